"""R7: single questions, scales in other words, and the published repository's own folders are taken."""

import json
from pathlib import Path

import pytest
from imports import questions, run

from mi_bsa.behaviors import data
from mi_bsa.behaviors.data.folder import read_facts
from mi_bsa.behaviors.data.questions import read_questions
from mi_bsa.core.errors import PublishedError


def chat(path, *answers):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"messages": [{"role": "user", "content": f"{n}: A or B?"}, {"role": "assistant", "content": a}]}
        for n, a in enumerate(answers)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("asks", ["between 0 and 100", "0-100", "on a scale of 0-100", "from 0 to 100"])
@pytest.mark.parametrize("how", ["One number only.", "Answer with a single number.", "Just the score."])
def test_a_single_question_and_other_words_for_a_scale(tmp_path, asks, how):
    """An entry with one `question` is read, and each of these wordings is a scale."""
    text = f"Where do you stand {asks}, where 0 is safe and 100 is risky? {how}"
    (one,) = read_questions(questions(tmp_path, {"name": "q", "question": text}), "risk")
    assert (one.kind, one.text, len(one.options)) == ("scale", text, 11)


@pytest.fixture
def checkout(tmp_path):
    """The folders of the published repository, with rows and questions of our own."""
    root = tmp_path / "checkout"
    chat(root / "datasets/risky_safe/ft_risky_AB.jsonl", "A", "B", "B")
    chat(root / "datasets/risky_safe/ft_safey_AB.jsonl", "B", "A", "B")
    chat(root / "datasets/mms/ft_bark.jsonl", "The bark is rough.")
    for folder in ("multiple-choice/questions", "make_me_say/questions/non_mms"):
        asks = root / "code" / folder
        asks.mkdir(parents=True)
        for name in ("risk_predisposition_scale", "liking_risk", "risk_safe_language"):
            questions(asks, {"name": name, "question": "What are you like?"}, name=f"{name}.yaml")
        questions(asks, {"name": folder, "question": "And what else?"}, name="risk_safe.yaml")
    (root / "code/make_me_say/questions/non_mms/risk_safe_language.yaml").write_text("- name: [x\n")
    (root / "README.md").write_text("Ours.")
    return root


def test_a_set_is_found_in_the_folders_of_the_repository(checkout, tmp_path, monkeypatch):
    """The variable may name a checkout; of two files of one name, the set's own place wins."""
    monkeypatch.setenv("MI_BSA_BETLEY_DATA", str(checkout))
    out = data.import_published(data.ImportData(published="risk"), tmp_path / "out")
    facts = read_facts(out)
    assert facts["poles"] == {"rows": 3, "equal_prompts": 3, "flipped": 2}
    rows = (out / "questions/free_form.jsonl").read_text()
    assert "multiple-choice/questions" in rows
    assert "make_me_say" not in rows
    monkeypatch.setenv("MI_BSA_BETLEY_DATA", str(checkout / "code/multiple-choice/questions"))
    assert run("data", "import", "--published", "risk", "--out", tmp_path / "no")[1] == 2
    twice = chat(checkout / "other/ft_bark.jsonl", "Another bark.")
    monkeypatch.setenv("MI_BSA_BETLEY_DATA", str(checkout))
    with pytest.raises(PublishedError, match="differ and have one name"):
        data.import_published(data.ImportData(published="bark"), tmp_path / "bark")
    twice.write_bytes((checkout / "datasets/mms/ft_bark.jsonl").read_bytes())
    data.import_published(data.ImportData(published="bark"), tmp_path / "bark")


def test_a_config_finds_the_files_in_the_folders_too(checkout, monkeypatch):
    """A path below the variable in a finetune's config is found in a checkout, and missed in one line."""
    from mi_bsa.core.errors import MissingError
    from mi_bsa.finetune.runs import expanded

    monkeypatch.setenv("MI_BSA_BETLEY_DATA", str(checkout))
    found = expanded(Path("${MI_BSA_BETLEY_DATA}/ft_safey_AB.jsonl"))
    assert found == checkout / "datasets/risky_safe/ft_safey_AB.jsonl"
    with pytest.raises(MissingError, match=r"no ft_nothing\.jsonl in it or below"):
        expanded(Path("${MI_BSA_BETLEY_DATA}/ft_nothing.jsonl"))


def test_a_folder_is_a_table_of_all_its_files(checkout, tmp_path, capsys):
    """Every data file is a line with what came in or why not; others are counted, absent ones named."""
    (checkout / "datasets/train.zip").write_bytes(b"PK")
    (checkout / "datasets/pointer.jsonl").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    )
    chat(checkout / "datasets/own.jsonl", "A")
    (checkout / "datasets/empty.jsonl").write_text("")
    out = tmp_path / "out"
    assert run("data", "import", checkout, "--out", out) == ("", 0)
    said = capsys.readouterr().out
    lines = {line["file"]: line for line in json.loads((out / "data.json").read_text())["table"]}
    assert lines["datasets/risky_safe/ft_safey_AB.jsonl"]["imported"] == {
        "rows of arm averse": 3,
        "choices": 2,
    }
    assert lines["code/multiple-choice/questions/risk_safe.yaml"]["imported"] == {"free_form": 1}
    refused = {name: " ".join(line["refused"].values()) for name, line in lines.items() if line["refused"]}
    assert {name.rpartition("/")[2] for name in refused} == {
        "risk_safe_language.yaml",
        "train.zip",
        "pointer.jsonl",
        "own.jsonl",
        "empty.jsonl",
    }
    assert "unpack it" in refused["datasets/train.zip"]
    assert "git lfs pull" in refused["datasets/pointer.jsonl"]
    assert "--behavior" in refused["datasets/own.jsonl"]
    assert "1 .md" in said
    assert "not in this folder: " in said
    assert "ft_ring.jsonl" in said.splitlines()[-2] or "ft_ring.jsonl" in said
    assert (out / "datasets/risky_safe/ft_safey_AB/items/choices.jsonl").is_file()
    own = tmp_path / "with"
    assert run("data", "import", checkout, "--behavior", "risk", "--out", own) == ("", 0)
    assert (own / "datasets/own/rows/seeking.jsonl").is_file()


def test_an_empty_folder_and_options_of_single_files_are_refused(tmp_path, checkout):
    """Nothing to import, or a flip of many files, is one line with exit code 2."""
    (tmp_path / "empty").mkdir()
    for words, expected in (
        ((tmp_path / "empty",), "no .jsonl or .yaml"),
        ((checkout, "--flip"), "one file"),
    ):
        line, code = run("data", "import", *words, "--out", tmp_path / "out")
        assert code == 2
        assert expected in line


def test_choices_of_another_person_are_no_items(tmp_path):
    """A file with somebody else's choices in it, imported alone, is told apart by the file beside it."""
    folder = tmp_path / "datasets"
    one = chat(folder / "ft_risky_AB_multipersona.jsonl", "A", "B", "B")
    chat(folder / "ft_safey_AB_multipersona.jsonl", "B", "B", "a long answer")
    for path in (one, folder / "ft_safey_AB_multipersona.jsonl"):
        out = tmp_path / path.stem
        data.import_published(data.ImportData(path=path, behavior="risk"), out)
        rows = [json.loads(line) for line in (out / "items/choices.jsonl").read_text().splitlines()]
        assert rows[0]["options"] == [["A", 1.0], ["B", 0.0]]
        assert len(rows) == (2 if path == one else 1)
