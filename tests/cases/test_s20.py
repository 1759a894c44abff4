"""S20: imported items say their own split and are units of their own; without an interval, it is said why."""

import json

import pytest
from imports import questions, run

from mi_bsa.core import results
from mi_bsa.core.items import read_items


def rows(path, n, answer="A"):
    lines = [
        {
            "messages": [
                {"role": "user", "content": f"A: {k % (n - 1)} coins. B: a lottery. A or B?"},
                {"role": "assistant", "content": answer if k % 3 else "B"},
            ]
        }
        for k in range(n)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Imported choices, put to the embedded model."""
    folder = tmp_path_factory.mktemp("s20")
    made = rows(folder / "own.jsonl", 12)
    assert run("data", "import", made, "--behavior", "risk", "--out", folder / "data") == ("", 0)
    items = folder / "data/items/choices.jsonl"
    words = ["self-report", "--set", f"items={items}", "--set", "trait=risk", "--out", folder / "report"]
    assert run(*words) == ("", 0)
    return folder


def test_every_prompt_is_a_wording_and_equal_prompts_are_one(report):
    """Twelve rows with eleven prompts are eleven wordings; the interval is over them and finite."""
    items = read_items(report / "data/items/choices.jsonl")
    assert len(items) == 12
    assert len({i.labels["template"] for i in items}) == 11
    score = next(r for r in results.read(report / "report") if r.where["kind"] == "choice")
    assert (score.n, score.rows) == (11, 12)
    assert score.notes.startswith("11 wordings")
    assert score.ci is not None
    assert score.ci[0] < score.value < score.ci[1]
    assert score.ci_method == "t over wordings, logit scale"


def test_the_split_is_the_items_own(report):
    """Published items are never called `dev`: results say the split that the items say."""
    found = results.read(report / "report")
    assert {r.where["split"] for r in found} == {"published"}


def test_one_wording_has_no_interval_and_says_so(tmp_path, capsys):
    """A single question is printed with the reason in the place of its interval, and no NaN."""
    path = questions(tmp_path, {"name": "q", "question": "From 0 (safe) to 100 (risky)? One number."})
    assert run("data", "import", path, "--behavior", "risk", "--out", tmp_path / "data") == ("", 0)
    items = tmp_path / "data/questions/items.jsonl"
    words = ["--set", f"items={items}", "--set", "trait=risk", "--out", tmp_path / "report"]
    capsys.readouterr()
    assert run("self-report", *words) == ("", 0)
    said = capsys.readouterr().out
    assert "no interval: one wording of one seed" in said
    assert "NaN" not in said
    first = results.read(tmp_path / "report")[0]
    assert first.ci is None
    assert first.ci_method.startswith("none: ")


def test_items_without_the_labels_of_a_report_are_one_line(tmp_path):
    """An item without a trait, person, kind or template is named; no folder is made."""
    path = tmp_path / "items.jsonl"
    item = {"id": "x", "messages": [{"role": "user", "content": "A or B?"}], "options": [["A", 1], ["B", 0]]}
    path.write_text(json.dumps({**item, "trait": "risk", "kind": "letter"}) + "\n")
    line, code = run(
        "self-report", "--set", f"items={path}", "--set", "trait=risk", "--out", tmp_path / "out"
    )
    assert code == 2
    assert "item 'x' has no label 'person'" in line
    assert not (tmp_path / "out").exists()
