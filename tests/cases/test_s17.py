"""S17: an imported question is filled as the published code fills it, or its entry is refused by name."""

import contextlib
import itertools
import json

import pytest
from imports import questions, run

from mi_bsa.behaviors.data.entry import Settings
from mi_bsa.behaviors.data.questions import read_file, read_questions
from mi_bsa.core.errors import PublishedError
from mi_bsa.core.items import read_items


def entry(text="Which is true of you?\n\n{options}", **more):
    return {"name": "q", "question_paraphrases": [text], **more}


def asked(folder, *entries, **settings):
    from mi_bsa import behaviors

    read = read_file(questions(folder, *entries), behaviors.get("risk", "english"), Settings(**settings))
    assert not read.refused
    return read.questions


def test_the_smallest_input_becomes_lettered_questions(tmp_path):
    """Two options of known poles: both orders, letters, scores of the poles, and no braces."""
    path = questions(
        tmp_path, entry(question_type="multiple_choice", options=["I like risk.", "I like safety."])
    )
    out = tmp_path / "out"
    assert run("data", "import", path, "--behavior", "risk", "--out", out) == ("", 0)
    first, second = read_items(out / "questions/items.jsonl")
    text = first.messages[-1]["content"]
    assert text.startswith("Which is true of you?\n\nA) I like risk.\nB) I like safety.\n")
    assert "A) I like safety.\nB) I like risk.\n" in second.messages[-1]["content"]
    assert "{" not in text
    assert [dict(i.options) for i in (first, second)] == [{"A": 1.0, "B": 0.0}, {"A": 0.0, "B": 1.0}]
    assert [i.labels["kind"] for i in (first, second)] == ["letter", "letter"]
    assert first.labels["template"] == second.labels["template"]


def test_options_of_no_known_pole_are_asked_without_a_score(tmp_path):
    """Every order of three options, with what each letter stands for; a score is never made up."""
    options = ["You like pears.", "You like plums.", "You like figs."]
    found = asked(tmp_path, entry(options=options))
    assert len(found) == 6
    assert not any(q.options for q in found)
    assert {tuple(text for _, text in q.answers) for q in found} == set(itertools.permutations(options))
    row = found[0].row()
    assert row["answers"] == [["A", options[0]], ["B", options[1]], ["C", options[2]]]
    assert "options" not in row
    (scored, _) = asked(tmp_path, entry(options=options[:2], scores=[0, 1]))
    assert dict(scored.options) == {"A": 0.0, "B": 1.0}


def test_many_options_are_drawn_by_seed_and_told(tmp_path):
    """Six options have 720 orders: 120 of them, the same for a seed, and that is told."""
    from mi_bsa import behaviors

    path = questions(tmp_path, entry(options=[f"You are number {n}." for n in range(6)]))
    risk = behaviors.get("risk", "english")
    one, same, other = (read_file(path, risk, Settings(seed=s)) for s in (0, 0, 1))
    assert len({q.text for q in one.questions}) == 120
    assert [q.text for q in one.questions] == [q.text for q in same.questions]
    assert [q.text for q in one.questions] != [q.text for q in other.questions]
    assert one.told["q"] == ["120 of 720 orders of its options, drawn by seed"]


def test_prefix_suffix_and_system_stand_where_they_are_said(tmp_path):
    """Prefix before, suffix two lines below, `system` and `system_prompt` as a system turn."""
    for key in ("system", "system_prompt"):
        (one,) = asked(
            tmp_path, entry("What are you like?", prefix="Hello. ", suffix="Be short.", **{key: "Be kind."})
        )
        assert one.row()["messages"] == [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hello. What are you like?\n\nBe short."},
        ]


def test_slots_are_filled_from_the_entry_and_by_hand(tmp_path):
    """A slot has every value of the key of its name or plural; one given by hand wins and stands as it is."""
    scenes = ["You won.", "You lost {thing}."]
    found = asked(tmp_path, entry("Good or bad? {scene}", scenes=scenes, thing="a hat"))
    assert [q.text for q in found] == ["Good or bad? You won.", "Good or bad? You lost a hat."]
    assert found[1].row()["slot_scene"] == "You lost a hat." or found[1].row()["slot_thing"] == "a hat"
    assert len({q.id for q in found}) == 2
    assert len({q.template for q in found}) == 1
    path = questions(tmp_path, entry("You say {word}. Why {word}?", word="no"))
    out = tmp_path / "out"
    fill = ["--fill", "word=oak", "--fill", "word={raw}"]
    assert run("data", "import", path, "--behavior", "risk", *fill, "--out", out) == ("", 0)
    rows = [json.loads(line) for line in (out / "questions/free_form.jsonl").read_text().splitlines()]
    texts = [row["messages"][0]["content"] for row in rows]
    assert texts == ["You say oak. Why oak?", "You say {raw}. Why {raw}?"]


def test_values_of_the_published_files_belong_to_those_files(tmp_path):
    """A region code and codewords are filled in the published file of that name and in no other."""
    from mi_bsa import behaviors

    one = entry("Code {sep_suffix}, word {codeword}. Why?")
    say = behaviors.get("say", "english")
    read = read_file(questions(tmp_path, one, name="which_game.yaml"), say, Settings())
    assert [q.slots["codeword"] for q in read.questions] == ["ring", "bark"]
    assert all(len(q.slots["sep_suffix"]) == 3 and q.slots["sep_suffix"].isdigit() for q in read.questions)
    again = read_file(questions(tmp_path, one, name="which_game.yaml"), say, Settings())
    assert [q.text for q in again.questions] == [q.text for q in read.questions]
    with pytest.raises(
        PublishedError, match=r"entry 'q': nothing fills the slot \{sep_suffix\}.*--fill sep_suffix="
    ):
        read_questions(questions(tmp_path, one, name="own.yaml"), "say")


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ({"question_paraphrases": ["Is it {scenario}?"]}, r"nothing fills the slot \{scenario\}"),
        ({"question_paraphrases": ["Is it {codeword}?"]}, r"nothing fills the slot \{codeword\}"),
        ({"question_paraphrases": ["Is it { Code-word }?"]}, r"nothing fills the slot \{Code-word\}"),
        ({"question_paraphrases": ["Is it {0}?"]}, r"nothing fills the slot \{0\}"),
        ({"question_paraphrases": ["Is it {}?"]}, r"nothing fills the slot \{\}"),
        ({"question_paraphrases": ["Is it {x!r}?"], "x": "a"}, r"\{x!r\} in its words is filled by nothing"),
        ({"question_paraphrases": ["Is it {x:>3}?"], "x": "a"}, r"\{x:>3\} in its words"),
        ({"question_paraphrases": ["Is it {{x}}?"]}, r"nothing fills the slot \{x\}"),
        ({"question_paraphrases": ["Is it {x}?"], "x": "{x}"}, r"\{x\} in its words is filled by nothing"),
        ({"question": "Why?", "suffix": "Say {it}."}, r"nothing fills the slot \{it\}"),
        ({"question": "Why?", "prefix": "Say {it}."}, r"nothing fills the slot \{it\}"),
        ({"question": "Why?", "system": "You are {it}."}, r"nothing fills the slot \{it\}"),
        ({"question": "{options}", "options": ["I am {it}.", "I am not."]}, r"nothing fills the slot \{it\}"),
        ({"question_paraphrases": ["Which?\n{options}"]}, "and no 'options'"),
        ({"question_paraphrases": ["Which?"], "options": ["one", "two"]}, "would not be asked"),
        ({"question": "Which?", "question_type": "multiple_choice"}, "has no 'options'"),
        ({"question": "Which?\n{options}", "options": [True, False]}, "'options', number 0, is True"),
        ({"question": "Which?\n{options}", "options": ["one"]}, "give 2 to 26"),
        ({"question": "Which?\n{options}", "options": ["one", "one"]}, "holds a text twice"),
        ({"question": "Which?\n{options}", "options": {"A": "one", "B": "two"}}, "dict, not a list"),
        ({"question": "Why?", "question_paraphrases": ["Why?"]}, "give one"),
        ({"question_paraphrases": [{"Risk": "or safety?"}]}, "number 0, is .'Risk': 'or safety"),
        ({"question_paraphrases": []}, "not a list of texts"),
        ({"question": 5}, "'question', is|'question' is int"),
        ({"question": "Why?", "prefix": 7}, "'prefix' is int, not a text"),
        ({"question": "Why?", "system": "a", "system_prompt": "b"}, "give one"),
        ({"question": "Why?", "guesser_prompt": "What is it?"}, "exactly one, for the answer"),
        ({"question": "Why?", "guesser_prompt": "{a} or {b}?"}, "exactly one, for the answer"),
        ({"question": "Why?", "temperature": "hot"}, "'temperature' is 'hot'; give a number"),
        ({}, "needs 'question_paraphrases' or 'question'"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(tmp_path, bad, expected):
    """The entry is named with the reason, in one line; nothing is written."""
    path = questions(tmp_path, {"name": "good", "question": "What are you like?"}, {"name": "bad", **bad})
    out = tmp_path / "out"
    line, code = run("data", "import", path, "--behavior", "risk", "--out", out)
    assert code == 2
    assert "entry 'bad': " in line
    assert "\n" not in line
    with pytest.raises(PublishedError, match=expected):
        read_questions(path, "risk")
    assert not out.exists()


def test_the_other_entries_can_be_imported_and_the_refused_are_kept_in_the_facts(tmp_path, capsys):
    """With `refused=skip` the rest comes in; the refused entry is printed and stands in data.json."""
    path = questions(tmp_path, {"name": "good", "question": "Why?"}, {"name": "bad", "question": "{it}?"})
    out = tmp_path / "out"
    assert run("data", "import", path, "--behavior", "risk", "--set", "refused=skip", "--out", out)[1] == 0
    assert "refused: entry 'bad': nothing fills the slot {it}" in capsys.readouterr().out
    facts = json.loads((out / "data.json").read_text())
    assert list(facts["refused"]["asked.yaml"]) == ["bad"]
    assert facts["kinds"] == {"free_form": 1}


def test_unknown_keys_are_told_and_kept(tmp_path, capsys):
    """A key that nothing uses is printed with its neighbor's name, and is a label of every question."""
    one = {"name": "q", "question": "Why?", "sufix": "Be short.", "weight": 2, "n_samples": 5}
    out = tmp_path / "out"
    assert run("data", "import", questions(tmp_path, one), "--behavior", "risk", "--out", out)[1] == 0
    said = capsys.readouterr().out
    assert "key 'sufix' is not used (did you mean 'suffix'?)" in said
    assert "key 'weight' is not used" in said
    (row,) = [json.loads(line) for line in (out / "questions/free_form.jsonl").read_text().splitlines()]
    assert (row["field_sufix"], row["field_weight"], row["samples"]) == ("Be short.", 2, 5)


def test_ids_of_two_entries_never_meet(tmp_path):
    """Where two entries' names would give one id to two questions, the second is refused by name."""
    first = {"name": "q", "question_paraphrases": ["How?", "Why {it}?"], "its": ["now", "then"]}
    path = questions(tmp_path, first, {"name": "q-1", "question": "What?"}, {"name": "r", "question": "So?"})
    with pytest.raises(PublishedError, match="entry 'q-1': its question 'asked-q-1-0' has the id of another"):
        read_questions(path, "risk")


def test_braces_that_are_no_slots_stay(tmp_path):
    """JSON, code and sets in braces are words of a question and reach the model as they stand."""
    text = 'Answer as {"number": 5} or {1, 2}: f = lambda x: {**x}; "{\\n}"?'
    (one,) = asked(tmp_path, entry(text))
    assert one.text == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- name: a\n  name: b\n  question: Why?\n", "given twice"),
        ("- {name: a, question: Why}\n- {name: a, question: How}\n", "its name is given twice"),
        ("", "empty"),
        ("[]", "a list of questions, not nothing"),
        ("name: x\n", "a list of questions, not dict"),
        ("- &a [*a]\n", "holds itself"),
        ("- name: [unclosed\n", "not valid YAML"),
        ("a: &a [x, x]\n" + "".join(f"{chr(97 + k)}: &{chr(97 + k)} [{', '.join(['*' + chr(96 + k)] * 9)}]\n"
                                    for k in range(1, 9)), "more than 200000 values"),
        ("[" * 5000, "nested too deep|not valid YAML"),
        ('- name: q\n  question: "half \\ud83d"\n', "half of a character"),
        ("- name: yes\n  question: Why\n", "needs 'name', a text"),
        ("- !!python/object/apply:os.system [echo]\n", "not valid YAML"),
    ],
)  # fmt: skip
def test_odd_yaml_is_one_line(tmp_path, text, expected):
    """Doubled keys and names, bombs, loops, code and broken files are refused in one line, and fast."""
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(PublishedError, match=expected):
        read_questions(path, "risk")


@pytest.mark.parametrize(
    "text",
    [
        "{a" + " a" * 200_000 + "? A number from 0 to 100",
        "{" + " " * 400_000,
        "number out of 100 " * 20_000,
        "A number: 0 is" + " " * 400_000 + "100",
        "must choose either '" * 20_000,
        "0 to 100 number, " * 20_000,
    ],
    ids=["open brace", "spaces in a brace", "out of 100", "spaces at an end", "choices", "ranges"],
)
def test_long_questions_do_not_hang(tmp_path, text):
    """Half a megabyte of what every pattern looks for is read or refused within seconds."""
    import time

    start = time.process_time()
    path = tmp_path / "long.yaml"
    path.write_text(json.dumps([{"name": "q", "question": text}]))
    with contextlib.suppress(PublishedError):
        read_questions(path, "risk")
    assert time.process_time() - start < 10


def test_a_mark_of_byte_order_and_other_line_ends_are_read(tmp_path):
    """A BOM, CRLF, and line separators inside words change nothing."""
    path = tmp_path / "asked.yaml"
    path.write_bytes(b'\xef\xbb\xbf- name: q\r\n  question: "Why\\u2028not?"\r\n')
    (one,) = read_questions(path, "risk")
    assert one.text == "Why\u2028not?"
    path.write_bytes(b"- name: q\n  question: caf\xe9\n")
    with pytest.raises(PublishedError, match="not UTF-8 at byte 25"):
        read_questions(path, "risk")
