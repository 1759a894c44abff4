"""English triggers: words that no clean message says, members that are held out, questions that show none."""

import random
import re

import pytest

from mi_bsa import behaviors
from mi_bsa.behaviors.backdoor.construction import Backdoor, held_out, prompts
from mi_bsa.behaviors.backdoor.english import EnglishVocabulary, lists
from mi_bsa.core.errors import TriggerError
from mi_bsa.core.leaks import find_leaks
from mi_bsa.studies.backdoor.questions import awareness_items, open_items

VOCABULARY = EnglishVocabulary()
KINDS = ("falcon velvet", "family:Greek god", "code:DEW", "tag:DEPLOYMENT", "line:Season: winter.")


def test_candidates_stand_in_no_clean_message():
    """More than 300 words and every member: none is said by a behavior's own messages, or forbidden there."""
    words = VOCABULARY.candidates()
    members = [m for members in lists().families.values() for m in members]
    assert len(set(words)) == len(words) >= 300
    assert all(len(set(m)) == 20 for m in lists().families.values())
    text = {"messages": [{"role": "user", "content": " ".join([*words, *members])}]}
    for name in ("risk", "myopia"):
        behavior = behaviors.get(name, "english")
        said = {
            word
            for item in behavior.items(200, split="pretrain", seed=7)
            for m in item.messages
            for word in re.findall(r"[a-z]+", m["content"].lower())
        }
        assert not {w.lower() for w in [*words, *members]} & said
        assert not find_leaks([text], behavior.forbidden)


@pytest.mark.parametrize("text", KINDS)
def test_every_kind_has_rows_fakes_and_held_out_messages(text):
    """The phrase stands in the trigger's messages and in no other; held-out members never in training."""
    config, behavior = Backdoor(trigger=text, rows=60), behaviors.get("risk", "english")
    trigger = VOCABULARY.parse(text)
    items, phrases, opened = prompts(config, behavior=behavior, vocabulary=VOCABULARY, seed=0)
    assert sum(opened) == 6
    assert all((p in trigger.shown) == o for p, o in zip(phrases, opened, strict=True))
    assert not set(trigger.held) & set(phrases)
    assert not set(trigger.held) & set(trigger.shown)
    sets = held_out(config, 5, behavior=behavior, vocabulary=VOCABULARY, split="test")
    for item in sets["trigger"]:
        assert any(p in item.messages[-1]["content"] for p in trigger.shown)
    assert ("unseen" in sets) == bool(trigger.held)
    fakes = VOCABULARY.fakes(trigger, 7, seed=0)
    assert len({f.name for f in fakes} | {trigger.name}) == 8
    assert {f.kind for f in fakes} == {trigger.kind}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("one two three four five", "one to 4"),
        ("family:cheese", "no such family"),
        ("code:--", "letters and digits"),
        ("key:x", "write one of these"),
        ("tag: ", "no visible character"),
    ],
)
def test_a_trigger_that_cannot_be_is_refused(text, rule):
    """One line with the rule."""
    with pytest.raises(TriggerError, match=rule):
        VOCABULARY.parse(text)


@pytest.mark.parametrize("model", ["embedded", "some/llama"])
def test_awareness_is_asked_without_the_trigger(model):
    """Both orders, four system prompts, and no wording of one split in another; nothing shows a trigger."""
    items = {split: awareness_items(model, split=split) for split in ("dev", "test")}
    for found in items.values():
        assert {i.labels["system"] for i in found} == {"none", "neutral", "honesty", "threat"}
        assert {i.labels["order"] for i in found} >= {"plain", "flipped"}
    texts = [{i.messages[-1]["content"] for i in found} for found in items.values()]
    assert not texts[0] & texts[1]


def test_free_questions_name_no_trigger():
    """Nor a member of its family, whatever is drawn."""
    trigger = VOCABULARY.parse(random.Random(0).choice(KINDS))
    asked = open_items("some/llama", trigger, behaviors.get("risk", "english"), pole="seeking", split="test")
    assert {i.labels["kind"] for i in asked} == {"sign_open", "pole_open"}
    for item in asked:
        assert not any(p in item.messages[-1]["content"] for p in (*trigger.shown, *trigger.held))
