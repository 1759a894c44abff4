"""The question bank: enough wordings, split for good, flipped in every kind, and readable by a real
template.
"""

import re
from collections import Counter, defaultdict

import pytest
import tiny_llama
import yaml

from mi_bsa.asking.asking import ask
from mi_bsa.asking.bank import BANKS, KINDS, bank_items, load_bank
from mi_bsa.behaviors import BEHAVIORS, get
from mi_bsa.causal.gate import BARS
from mi_bsa.core.errors import BankError, ConfigError, MissingError

NAMES = ("risk", "patience", "tidiness", "myopia", "apples", "code")


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_has_ten_wordings_half_of_them_held_out(name):
    """Each kind is asked in at least ten wordings, at least half of which stand in the test split only; those
    that are taught are never asked.
    """
    bank = load_bank(name)
    assert set(bank.frames) == set(KINDS)
    for splits in bank.frames.values():
        frames = [frame for split in ("dev", "test") for frame in splits[split]]
        assert len(set(frames)) == len(frames) >= 10
        assert 2 * len(splits["test"]) >= len(frames)


@pytest.mark.parametrize(
    ("vocabulary", "name"), [(v, name) for v, known in BEHAVIORS.items() for name in known]
)
def test_every_behavior_asks_each_kind_in_wordings_enough_to_be_read(vocabulary, name):
    """Whatever ships, whichever vocabulary: a kind of test question has the wordings that the gate asks."""
    wordings = defaultdict(set)
    for item in get(name, vocabulary).questions(split="test"):
        wordings[item.labels["kind"]].add(item.labels["template"])
    assert wordings
    assert {kind: len(each) for kind, each in wordings.items() if len(each) < BARS.wordings} == {}


def test_every_bank_asks_each_kind_in_wordings_enough_to_be_read():
    """The same of banks that no behavior names."""
    for path in BANKS.glob("*.yaml"):
        if "trait" in yaml.safe_load(path.read_text(encoding="utf-8")):
            frames = load_bank(path.stem).frames
            assert min(len(splits["test"]) for splits in frames.values()) >= BARS.wordings, path.stem


@pytest.mark.parametrize("person", ["default", "another", "Mara"])
def test_questions_are_whole_and_say_whom_they_are_about(person):
    """No slot is left open, and a question about somebody else names them instead of the model."""
    names = {"default": None, "another": "another AI assistant", "Mara": "Mara"}
    for split in ("dev", "test"):
        for item in bank_items(load_bank("risk"), split=split, person=person):
            text = item.messages[-1]["content"]
            assert not re.search(r"[\[\]{}|]", text)
            assert text[0] == text[0].upper()
            if names[person]:
                assert names[person].lower() in text.lower()  # or begins it
                assert not re.search(r"\b(your|yourself|are you|do you|you are)\b", text)


def test_every_order_is_asked_and_scores_turn_with_it():
    """Each wording comes plain and flipped equally often, and over both every option is worth one half."""
    items = bank_items(load_bank("risk"), split="dev")
    for kind in ("word", "choice", "letter", "yes_no", "language"):
        some = [i for i in items if i.labels["kind"] == kind]
        assert Counter(i.labels["order"] for i in some) == {"plain": 15, "flipped": 15}
    letters = [dict(i.options)["A"] for i in items if i.labels["kind"] == "letter"]
    assert sum(letters) / len(letters) == 0.5
    numbers = [dict(i.options)["80"] for i in items if i.labels["kind"].startswith("scale")]
    assert sum(numbers) / len(numbers) == pytest.approx(0.5)


def test_the_flipped_scale_swaps_its_ends():
    """A flipped scale names the poles the other way round, and 100 is worth 0 there."""
    items = bank_items(load_bank("risk"), split="dev", kinds=["scale"])
    plain, flipped = items[0], items[1]
    assert "0 is fully cautious and 100 is fully bold" in plain.messages[0]["content"]
    assert "0 is fully bold and 100 is fully cautious" in flipped.messages[0]["content"]
    assert dict(plain.options)["100"] == dict(flipped.options)["0"] == 1.0
    assert (plain.labels["kind"], flipped.labels["kind"]) == ("scale", "scale_flipped")
    assert plain.labels["template"] == flipped.labels["template"]


def test_a_model_with_a_chat_template_can_be_asked_the_whole_bank(tmp_path):
    """Every kind is scored in [0, 1] by a tiny Llama, long options included."""
    model = tiny_llama.load(tiny_llama.build(tmp_path))
    table = ask(model, bank_items(load_bank("risk"), split="test"))
    assert set(table["kind"]) == {*KINDS, "scale_flipped"}
    assert table["score"].between(0, 1).all()
    assert table["mass"].between(0, 1).all()


def test_bad_banks_are_refused(tmp_path):
    """An unknown bank, an unknown key, a wording in two splits, and a slot that nothing fills are one-line
    errors.
    """
    with pytest.raises(MissingError, match="one of: .*patience, risk, .*tidiness"):
        load_bank("boldness")
    with pytest.raises(BankError, match="two codewords"):
        load_bank("say")
    good = yaml.safe_load((BANKS / "risk.yaml").read_text())
    good["frames"] = {"word": {"dev": ["[you|{who}]: {x} or {y}?"]}}
    for change, remedy in (
        ({"wordz": []}, "words"),
        ({"frames": {"word": {s: ["[you|{who}]: {x} or {y}?"] for s in ("dev", "test")}}}, "belongs to one"),
        ({"frames": {"word": {"dev": ["[you|{who}]: {x} or {z}?"]}}}, "nothing fills"),
        ({"frames": {"word": {"dev": ["are you {x} or {y}?"]}}}, "somebody else"),
        ({"frames": {"scale": {"dev": ["[you|{who}]: {x}?"]}}}, "lacks a slot"),
    ):
        path = tmp_path / "bank.yaml"
        path.write_text(yaml.safe_dump({**good, **change}))
        with pytest.raises(ConfigError, match=remedy):
            load_bank(path)
    (tmp_path / "bank.yaml").write_text(yaml.safe_dump(good))
    small = load_bank(tmp_path / "bank.yaml")
    with pytest.raises(BankError, match="add one"):
        bank_items(small, split="test")
