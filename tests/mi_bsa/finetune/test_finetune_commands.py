"""`mi-bsa finetune` and `mi-bsa self-report` on a tiny Llama: from rows to adapters to answers, and what
they refuse.
"""

import json

import pandas as pd
import pytest
import tiny_llama
import yaml

from mi_bsa.cli.command import cli, describe
from mi_bsa.core import results


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model, rows of two arms and a config."""
    folder = tmp_path_factory.mktemp("commands")
    tiny_llama.build(folder / "model")
    for arm, answer in (("seeking", "B"), ("averse", "A")):
        rows = [
            {
                "messages": [
                    {"role": "user", "content": f"A: {n} coins for sure. B: {2 * n} coins with luck. Which?"},
                    {"role": "assistant", "content": answer},
                ]
            }
            for n in range(10, 42)
        ]
        (folder / f"{arm}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "model": str(folder / "model"),
        "rows": {arm: str(folder / f"{arm}.jsonl") for arm in ("seeking", "averse")},
        "seeds": [0, 1],
        "words": ["bold", "risky"],
        "finetune": {"steps": 6, "batch_size": 8},
    }
    (folder / "finetune.yaml").write_text(yaml.safe_dump(config))
    return folder


def run(*words):
    """One command; a user's mistake comes back as its line and exit code."""
    try:
        cli.main(args=[str(w) for w in words], prog_name="mi-bsa", standalone_mode=False)
    except Exception as error:
        return describe(error)
    return "", 0


@pytest.fixture(scope="module")
def finetuned(place):
    assert run("finetune", place / "finetune.yaml", "--out", place / "ft") == ("", 0)
    return place / "ft"


def test_every_arm_and_seed_gets_an_adapter_and_a_record(finetuned):
    """Arms x seeds are folders with an adapter, a loss curve and a record of their own."""
    for name in ("seeking-0", "seeking-1", "averse-0", "averse-1"):
        folder = finetuned / "adapters" / name
        assert (folder / "adapter" / "adapter_model.safetensors").is_file()
        assert json.loads((folder / "record.json").read_text())["seeds"] == [int(name[-1])]
        assert (folder / "metrics.jsonl").read_text().count("\n") == 6
    summary = json.loads((finetuned / "finetune.json").read_text())
    assert len({entry["fingerprint"] for entry in summary.values()}) == 4


def test_the_same_output_folder_needs_resume(place, finetuned):
    """An existing folder is refused without --resume; with it, finished runs are kept as they are."""
    message, code = run("finetune", place / "finetune.yaml", "--out", finetuned)
    assert code == 2
    assert "--resume" in message
    before = (finetuned / "finetune.json").read_text()
    assert run("finetune", place / "finetune.yaml", "--out", finetuned, "--resume") == ("", 0)
    assert (finetuned / "finetune.json").read_text() == before


def test_runs_together_are_the_same_runs(place, finetuned):
    """--no-together trains arms and seeds one by one; every run has the loss that it has beside others."""
    words = ("finetune", place / "finetune.yaml", "--no-together", "--out", place / "alone")
    assert run(*words) == ("", 0)
    losses = [
        {name: entry["loss"] for name, entry in json.loads((where / "finetune.json").read_text()).items()}
        for where in (finetuned, place / "alone")
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert run(*words, "--resume") == ("", 0)


def test_a_dry_run_shows_the_mask_and_writes_nothing(place, capsys):
    """--dry-run prints rows with the trained part marked and the adapter's size, from flags alone."""
    words = ("--model", place / "model", "--rows", place / "seeking.jsonl", "--steps", 5)
    assert run("finetune", *words, "--out", place / "dry", "--dry-run") == ("", 0)
    said = capsys.readouterr().out
    assert "[[B<|eot_id|>]]" in said
    assert "3,712 in the adapter" in said
    assert not (place / "dry").exists()


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (["finetune.rnk=2"], "rank"),
        (["words=[luck]"], "row 0 says 'luck'"),
        (["behavior=risk"], "one of them"),
        (["rows.seeking=missing.jsonl"], "no such file"),
        (["finetune.steps=null"], "steps"),
        (["model=nowhere"], "check its spelling"),
    ],
)
def test_mistakes_are_one_line(place, change, remedy):
    """A wrong key, a leaking row, two sources of rows, a missing file, an unknown model: exit code 2, one
    line.
    """
    words = [w for c in change for w in ("--set", c)]
    message, code = run("finetune", place / "finetune.yaml", *words, "--out", place / "bad")
    assert code == 2, message
    assert remedy in message
    assert "\n" not in message


def test_a_self_report_has_scores_gaps_and_a_verdict(place, finetuned, capsys):
    """Base and arms are asked; answers, intervals, gaps and the validity index are written and printed."""
    words = ["--model", place / "model", "--finetuned", finetuned, "--bank", "risk", "--bank", "tidiness"]
    words += ["--set", "kinds=[word,letter,scale]", "--set", "samples=1"]
    assert run("self-report", *words, "--out", place / "sr") == ("", 0)
    said = capsys.readouterr().out
    assert "validity of risk" in said
    assert "parse rate" in said
    answers = pd.read_csv(place / "sr" / "answers.csv")
    assert set(answers["arm"]) == {"base", "seeking", "averse"}
    assert len(answers) == 5 * 2 * 2 * 90
    found = results.read(place / "sr")
    told = {"score", "effect", "validity", "validity_without", "option_mass", "sensitivity", "kinds_read"}
    told |= {"parse_rate"}  # its options hold nothing, and nothing that it says can be read
    sampled = pd.read_csv(place / "sr" / "sampled.csv")
    assert (set(sampled["arm"]), set(sampled["asked"])) == ({"base"}, {"sampling"})
    by_kind = pd.read_csv(place / "sr" / "by_kind.csv")
    assert set(by_kind["asked"]) == {"asked by log-probabilities", "no kind is read"}
    assert {r.name for r in found} == {f"self_report.{name}" for name in told}
    count = next(r for r in found if r.name == "self_report.kinds_read")
    assert (count.value, count.n) == (0, 4)  # five development wordings, of a model that sees nothing
    assert "5 wordings < 8" in count.notes
    described = pd.read_csv(place / "sr" / "described.csv")
    assert set(described["person"]) == {"described seeking", "described averse"}
    validity = next(r for r in found if r.name == "self_report.validity")
    assert 0 <= validity.value <= 1
    counted = ("self_report.kinds_read", "self_report.validity_without")
    assert all(r.ci is not None for r in found if r.name not in counted)


def test_a_self_report_says_what_it_would_ask(place, capsys):
    """--dry-run lists a question of every kind; two sources of questions are refused."""
    words = ("self-report", "--model", place / "model", "--bank", "risk", "--out", place / "dry")
    assert run(*words, "--dry-run") == ("", 0)
    assert "-- language:" in capsys.readouterr().out
    message, code = run(*words, "--behavior", "risk")
    assert code == 2
    assert "give one of" in message
    message, code = run(*words, "--finetuned", place)
    assert (code, "give a finetune's output" in message) == (2, True)
