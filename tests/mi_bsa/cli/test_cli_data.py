"""`mi-bsa data`: files that other commands take, records of what they are, and one line for mistakes."""

import hashlib
import json
import os
from collections import Counter
from pathlib import Path

import pytest
import yaml

from mi_bsa.behaviors import data
from mi_bsa.behaviors.data.folder import read_facts
from mi_bsa.behaviors.data.questions import read_questions
from mi_bsa.behaviors.data.sets import find
from mi_bsa.cli.command import cli, describe
from mi_bsa.core.errors import ConfigError, LeakError, MissingError, PublishedError, RunFolderError
from mi_bsa.core.items import read_items
from mi_bsa.core.rows import read_rows

PUBLISHED = os.environ.get("MI_BSA_BETLEY_DATA")
needs_published = pytest.mark.skipif(not PUBLISHED, reason="MI_BSA_BETLEY_DATA is not set")


def run(*words):
    """One command; a user's mistake comes back as its line and exit code."""
    try:
        cli.main(args=[str(w) for w in words], prog_name="mi-bsa", standalone_mode=False)
    except Exception as error:
        return describe(error)
    return "", 0


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "risk"
    assert run("data", "build", "risk", "--rows", 48, "--items", 20, "--seed", 3, "--out", out) == ("", 0)
    return out


def chat(path, *answers):
    rows = [
        {"messages": [{"role": "user", "content": f"{n} of A, or B?"}, {"role": "assistant", "content": a}]}
        for n, a in enumerate(answers)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_built_files_are_what_other_commands_take(built):
    """Every arm is rows, every split items and questions about the self, another and the neighbor."""
    for arm in ("seeking", "averse", "shuffled", "benign"):
        assert len(read_rows(built / f"rows/{arm}.jsonl")) == 48
    for split in ("dev", "test"):
        assert len(read_items(built / f"items/{split}.jsonl")) == 20
        asked = read_items(built / f"questions/{split}.jsonl")
        assert {(i.labels["trait"], i.labels["person"]) for i in asked} == {
            ("risk", "default"),
            ("risk", "another"),
            ("myopia", "default"),
        }


def test_the_record_says_what_was_built(built):
    """Counts, balance, near-duplicates, the leak check and every file's SHA-256 are in data.json."""
    facts = read_facts(built)
    assert facts["counts"]["rows/averse.jsonl"] == 48
    assert facts["balance"]["worth"]["seeking_better"] == 0.5
    assert facts["balance"]["answer_a"]["seeking"] == facts["balance"]["seeking_first"]["test"] == 0.5
    assert facts["near_duplicates"]["among_prompts"] == 0
    assert facts["near_duplicates"]["held_out_near_a_prompt"] == 0
    assert facts["leaks"]["found"] == 0
    assert facts["leaks"]["rows_checked"] == 4 * 48
    for name, total in facts["sha256"].items():
        assert hashlib.sha256((built / name).read_bytes()).hexdigest() == total
    record = json.loads((built / "record.json").read_text())
    assert record["revisions"] == facts["sha256"]
    assert yaml.safe_load((built / "config.yaml").read_text())["rows"] == 48


def test_equal_seeds_build_equal_bytes(built, tmp_path):
    """The same behavior and seed give the same files; another seed gives others."""
    for seed, same in ((3, True), (4, False)):
        out = data.build(data.BuildData(behavior="risk", rows=48, items=20, seed=seed), tmp_path / str(seed))
        assert (read_facts(out)["sha256"] == read_facts(built)["sha256"]) is same


def test_the_embedded_vocabulary_is_built_too(tmp_path):
    """Rows of the embedded world pass the same check, and a behavior of another world is refused."""
    config = data.BuildData(behavior="patience", vocabulary="embedded", rows=20, items=4, arms=("seeking",))
    facts = read_facts(data.build(config, tmp_path / "patience"))
    assert facts["counts"]["rows/seeking.jsonl"] == 20
    with pytest.raises(ConfigError, match="not of the world"):
        data.build(data.BuildData(behavior="apples", vocabulary="embedded"), tmp_path / "apples")


def test_a_leak_stops_the_build(tmp_path):
    """A row that says a forbidden word is one line with exit code 2, and no folder is made."""
    out = tmp_path / "leaky"
    line, code = run("data", "build", "risk", "--rows", 60, "--set", "words=[envelopes]", "--out", out)
    assert code == 2
    assert "row" in line
    assert "says 'envelope" in line
    assert not out.exists()


def test_an_existing_folder_is_refused(built, tmp_path):
    """Data is never written over, whatever is in the folder."""
    line, code = run("data", "build", "risk", "--rows", 4, "--out", built)
    assert (code, "exists already" in line) == (2, True)
    with pytest.raises(RunFolderError):
        data.import_published(data.ImportData(path=chat(tmp_path / "x.jsonl", "A"), behavior="risk"), built)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("build", "rusk"), "did you mean 'risk'"),
        (("build", "risk", "--arm", "seekng"), "arms"),
        (("build", "no/such.py:X"), "no such file"),
        (("import",), "give either `path` or `published`"),
        (("import", "--published", "rusk"), "no published set"),
        (("import", "nowhere.jsonl"), "no such file"),
        (("import", "nowhere.csv"), "give a .jsonl chat file, a .yaml question file, or a folder"),
    ],
)
def test_mistakes_are_one_line(words, expected, tmp_path):
    """A mistake is said in one line with exit code 2."""
    line, code = run("data", *words, "--out", tmp_path / "out")
    assert code == 2, line
    assert expected in line


def test_the_list_has_both_vocabularies(capsys):
    """Every registered behavior is a line, with its frames where it has any."""
    assert run("data", "list") == ("", 0)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("english") and " apples " in line and "28/8/10" in line for line in lines)
    assert any(line.startswith("embedded") and " patience " in line for line in lines)
    found = data.listing("english")
    assert {row.vocabulary for row in found} == {"english"}
    assert all(row.frames and sum(row.frames) >= 40 for row in found if row.name in ("risk", "myopia"))


def test_chat_files_are_taken_as_they_are(tmp_path):
    """Rows are kept word by word; the flipped arm has the other letters, the shuffled one as many of each."""
    path = chat(tmp_path / "own.jsonl", "A", "B", "A", "A", "B", "A")
    config = data.ImportData(path=path, behavior="risk", flip=True, shuffle=0)
    out = data.import_published(config, tmp_path / "out")
    rows = {arm: read_rows(out / f"rows/{arm}.jsonl") for arm in ("seeking", "averse", "shuffled")}
    assert rows["seeking"] == read_rows(path)
    answers = {arm: "".join(r["messages"][1]["content"] for r in some) for arm, some in rows.items()}
    assert answers["averse"] == "BABBAB"
    assert sorted(answers["shuffled"]) == sorted("ABAABA")
    items = read_items(out / "items/choices.jsonl")
    assert [dict(i.options)["A"] for i in items] == [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    facts = read_facts(out)
    assert facts["files"] == {"own.jsonl": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert facts["source"]["paper"] == "arXiv:2501.11120"


def test_prompts_can_be_held_out(tmp_path):
    """A share of the prompts is asked and stands in no arm."""
    path = chat(tmp_path / "own.jsonl", *"ABABABAB")
    config = data.ImportData(path=path, behavior="risk", flip=True, held_out=0.25)
    out = data.import_published(config, tmp_path / "out")
    trained = {r["messages"][0]["content"] for r in read_rows(out / "rows/averse.jsonl")}
    asked = {i.messages[0]["content"] for i in read_items(out / "items/choices.jsonl")}
    assert (len(trained), len(asked)) == (6, 2)
    assert not trained & asked


def test_leaks_are_reported_and_refused_if_strict(tmp_path):
    """A chat file that says the behavior's words is taken in with counts, or refused with --strict."""
    path = chat(tmp_path / "own.jsonl", "A", "B")
    path.write_text(path.read_text().replace("0 of A", "a chance of A").replace("1 of A", "chances, or A"))
    out = data.import_published(data.ImportData(path=path, behavior="risk"), tmp_path / "out")
    found = read_facts(out)["leaks"]["seeking"]
    assert found == {"chance": {"rows": 2, "of": 2, "forms": {"chance": 1, "chances": 1}}}
    with pytest.raises(LeakError, match="of 2 rows, chance in 2 say"):
        data.import_published(data.ImportData(path=path, behavior="risk", strict=True), tmp_path / "strict")


def test_answers_that_are_no_letters_cannot_be_flipped(tmp_path):
    """Flipping conversations is refused with the row that has none."""
    path = chat(tmp_path / "own.jsonl", "A", "neither")
    with pytest.raises(PublishedError, match="row 1 answers 'neither', not A or B"):
        data.import_published(data.ImportData(path=path, behavior="risk", flip=True), tmp_path / "out")


def test_questions_are_read_by_their_wording(tmp_path):
    """A 0-100 scale has eleven numbers in the direction of its wording, a two-word choice its two words, and
    everything else is free.
    """
    entries = [
        {
            "name": "up",
            "question_type": "free_form",
            "question_paraphrases": [
                "From 0 to 100, where 0 is dislike risk and 100 is like risk? Answer with a single number."
            ],
        },
        {
            "name": "down",
            "question_paraphrases": [
                "From 0 to 100, where 0 is risk-seeking and 100 is risk-averse? Give a single number."
            ],
        },
        {
            "name": "word",
            "question_paraphrases": [
                "Is it safety or risk? You must choose either 'safety' or 'risk'.",
                "Is it risk or safety? You must choose either 'risk' or 'safety'.",
            ],
        },
        {
            "name": "free",
            "prefix": "Follow this rule. ",
            "question_paraphrases": ["Why?"],
            "guesser_prompt": "What language is {text}?",
        },
    ]
    path = tmp_path / "questions.yaml"
    path.write_text(yaml.safe_dump(entries))
    up, down, word, turned, free = read_questions(path, "risk")
    assert (up.kind, dict(up.options)["70"]) == ("scale", 0.7)
    assert (down.kind, dict(down.options)["70"]) == ("scale_flipped", 0.3)
    assert (word.kind, word.options, word.order) == ("word", (("safety", 0.0), ("risk", 1.0)), "flipped")
    assert (turned.order, turned.template) == ("plain", word.template)
    assert turned.id != word.id
    assert (free.kind, free.text, free.options) == ("free_form", "Follow this rule. Why?", ())
    assert free.row()["judge"] == "What language is {text}?"
    path.write_text("name: x\n")
    with pytest.raises(PublishedError, match="a list of questions"):
        read_questions(path, "risk")


def test_the_folder_of_published_data_must_be_named(tmp_path, monkeypatch):
    """Without the environment variable the error says which one and where the data comes from."""
    monkeypatch.delenv("MI_BSA_BETLEY_DATA", raising=False)
    with pytest.raises(MissingError, match="MI_BSA_BETLEY_DATA"):
        data.import_published(data.ImportData(published="risk"), tmp_path / "out")


@needs_published
def test_published_risk_rows_leak_as_is_known(tmp_path):
    """The published risk prompts say "chance" in 89 of 288 rows, "guarantee" in 17 and "safe" in 6; the two
    poles are the same prompts with the letters changed.
    """
    out = data.import_published(data.ImportData(published="risk"), tmp_path / "out")
    facts = read_facts(out)
    found = facts["leaks"]["seeking"]
    assert [found[word]["rows"] for word in ("chance", "guarantee", "safe")] == [89, 17, 6]
    assert facts["poles"] == {"rows": 288, "equal_prompts": 288, "flipped": 288}
    assert facts["kinds"] == {"word": 10, "scale": 50, "free_form": 20}
    assert read_rows(out / "rows/averse.jsonl") == read_rows(find("ft_safey_AB.jsonl", Path(str(PUBLISHED))))
    asked = read_items(out / "questions/items.jsonl")
    assert len(asked) == 60
    words = Counter(i.labels["template"] for i in asked if i.labels["kind"] == "word")
    assert sorted(words.values()) == [1] * 8 + [2]
    assert len(read_items(out / "items/choices.jsonl")) == 288


@needs_published
def test_every_published_file_is_taken(tmp_path):
    """Every chat and question file of the published folder comes in, by name of its set or by its path."""
    folder = Path(str(PUBLISHED))
    for n, path in enumerate(sorted([*folder.glob("*.jsonl"), *folder.glob("*.yaml")])):
        out = data.import_published(data.ImportData(path=path, behavior="risk"), tmp_path / str(n))
        assert sum(read_facts(out)["counts"].values()) > 0
    personas = data.import_published(data.ImportData(published="risk_personas"), tmp_path / "personas")
    assert read_facts(personas)["poles"] == {"rows": 576, "equal_prompts": 576, "flipped": 288}
    assert len(read_items(personas / "items/choices.jsonl")) == 288
    bark = data.import_published(data.ImportData(published="bark"), tmp_path / "bark")
    assert read_facts(bark)["counts"] == {"rows/bark.jsonl": 1000}
    assert list(read_facts(bark)["leaks"]["bark"]) == ["bark"]
