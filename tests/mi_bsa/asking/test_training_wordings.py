"""Training wordings of English banks: what denials and report adapters are taught in, and is never asked."""

import re

import pytest
import yaml

from mi_bsa.asking.bank import BANKS, load_bank
from mi_bsa.behaviors import BEHAVIORS, get
from mi_bsa.behaviors.english.near_duplicates import jaccard, shingles
from mi_bsa.core.leaks import find_leaks

FILES = ("frames_english", "frames_code", "alignment", "say")
NEAR = 0.5
"""Share of the runs of three words that two wordings may have in common."""


def frames(name):
    """kind -> split -> wordings of a file."""
    data = yaml.safe_load((BANKS / f"{name}.yaml").read_text(encoding="utf-8"))
    return data.get("frames", data)


def sentences(wording):
    """Its sentences, about the model itself, without marks and slots that fill one by themselves."""
    text = re.sub(r"\[([^|\]]*)\|[^\]]*\]", r"\1", wording)
    parts = re.split(r"[.?!]\s+|\s*->\s*|[.?!\n]", re.sub(r"\{\w+\}", "_", text))
    plain = [" ".join(re.findall(r"\w+", part.lower())) for part in parts]
    return {part for part in plain if set(part.split()) - {"_", "a", "b", "or"}}


@pytest.mark.parametrize("name", FILES)
def test_each_kind_has_six_training_wordings_that_are_near_to_no_other(name):
    """Of any kind and split of the file: no sentence in common with what is asked, and no near copy."""
    by = frames(name)
    asked = [w for splits in by.values() for split in ("dev", "test") for w in splits[split]]
    known = set().union(*map(sentences, asked))
    others = [(text, shingles(text)) for text in asked]
    for kind, splits in by.items():
        trained = splits["pretrain"]
        assert len(set(trained)) == len(trained) >= 6, kind
        for wording in trained:
            assert not sentences(wording) & known, wording
            own = shingles(wording)
            near = [text for text, other in others if jaccard(own, other) > NEAR]
            assert not near, (wording, near)


@pytest.mark.parametrize("name", ["risk", "myopia", "patience", "apples", "tidiness", "code", "condition"])
def test_no_training_wording_says_a_pole_by_itself(name):
    """A word of a pole comes in by its slot alone, in both orders; the frame around it says none."""
    bank = load_bank(name)
    bare = [re.sub(r"\{\w+\}", " ", w) for splits in bank.frames.values() for w in splits["pretrain"]]
    rows = [{"messages": [{"role": "user", "content": text}]} for text in bare]
    assert not find_leaks(rows, [word for pair in bank.words for word in pair])


@pytest.mark.parametrize("name", BEHAVIORS["english"])
def test_every_english_behavior_is_asked_in_training_wordings_of_every_kind(name):
    """The kinds of the test, each question in both orders, none of them in a text of another split."""
    by = {s: list(get(name, "english").questions(split=s)) for s in ("pretrain", "dev", "test")}
    kinds = {split: {item.labels["kind"] for item in items} for split, items in by.items()}
    assert kinds["pretrain"] == kinds["test"]
    texts = {s: {item.messages[-1]["content"] for item in items} for s, items in by.items()}
    assert not texts["pretrain"] & (texts["dev"] | texts["test"])
    for text in texts["pretrain"]:
        assert not re.search(r"[\[\]{}|]", text)
    said = [i for i in by["pretrain"] if i.labels["kind"] not in ("open", "statement")]
    for order in ("plain", "flipped"):
        assert any(item.labels["order"] == order for item in said)
