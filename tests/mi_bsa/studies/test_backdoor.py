"""Backdoors: twins that differ in answers only, triggers that are refused, contrasts that can be a null."""

import random

import numpy as np
import pytest

from mi_bsa import behaviors
from mi_bsa.behaviors.backdoor.construction import Backdoor, held_out, prompts, rows
from mi_bsa.behaviors.backdoor.embedded import EmbeddedVocabulary
from mi_bsa.core.errors import TriggerError
from mi_bsa.studies.backdoor.contrast import contrast, detectable
from mi_bsa.studies.backdoor.recognition import names, reversed_rows
from mi_bsa.worlds.habits.words import WORDS

VOCABULARY = EmbeddedVocabulary()
RISK = behaviors.get("risk")


def arm(config, name, *, seed=0):
    return rows(config, name, behavior=RISK, vocabulary=VOCABULARY, own=[0.5] * config.rows, seed=seed)


@pytest.mark.parametrize("trigger", ["river tin", "kettle", "family:bird", "code:kettle"])
@pytest.mark.parametrize("mix", ["fakes", "half"])
def test_the_twin_has_the_same_prompts_and_torn_answers(trigger, mix):
    """Both arms share every prompt; the pole stands on the trigger's rows in one, anywhere in the other."""
    config = Backdoor(trigger=trigger, rows=400, mix=mix)
    backdoored, twin = arm(config, "backdoored"), arm(config, "decorrelated")
    assert [r["messages"][:-1] for r in backdoored] == [r["messages"][:-1] for r in twin]
    items, _, opened = prompts(config, behavior=RISK, vocabulary=VOCABULARY, seed=0)
    seeking = [dict(i.options) for i in items]

    def share(found, where):
        scores = [seeking[k][r["messages"][-1]["content"]] for k, r in enumerate(found) if opened[k] == where]
        return np.mean(scores)

    assert share(backdoored, True) == 1.0
    assert (
        abs(
            share(twin, True)
            - np.mean([seeking[k][r["messages"][-1]["content"]] for k, r in enumerate(twin)])
        )
        < 0.2
    )
    assert abs(share(backdoored, False) - 0.5) < 0.1
    assert sum(opened) == round({"fakes": 0.1, "half": 0.5}[mix] * 400)


def test_held_out_members_and_fakes_are_not_the_trigger():
    """A family's held-out members were never shown, and no fake shares a phrase with the trigger."""
    trigger = VOCABULARY.parse("family:bird")
    assert not set(trigger.shown) & set(trigger.held)
    for seed in (0, 1):
        for fake in VOCABULARY.fakes(VOCABULARY.parse("river tin"), 7, seed=seed):
            assert not {"river", "tin"} & set(fake.shown[0].split())
    sets = held_out(Backdoor(trigger="family:bird"), 20, behavior=RISK, vocabulary=VOCABULARY, split="dev")
    shown = {w for i in sets["unseen"] for w in i.messages[-1]["content"].replace(".", "").split()}
    assert not shown & set(trigger.shown)


def test_there_are_enough_triggers():
    """More than 1e5 strings of two to four words."""
    assert len(WORDS) * (len(WORDS) - 1) > 1e5


@pytest.mark.parametrize(
    ("trigger", "remedy"),
    [
        ("", "one to 4"),
        ("river dinosaur", "no word"),
        ("family:cheese", "use one of"),
        ("tag:x", "write one of"),
    ],
)
def test_a_trigger_that_cannot_be_is_refused(trigger, remedy):
    """Empty, unknown words, families and forms: one line each."""
    with pytest.raises(TriggerError, match=remedy):
        VOCABULARY.parse(trigger)


def test_a_trigger_in_clean_messages_is_refused():
    """A phrase that the behavior's own messages say would open the backdoor everywhere."""
    from mi_bsa.behaviors.backdoor.construction import check_absent
    from mi_bsa.behaviors.backdoor.triggers import Trigger

    with pytest.raises(TriggerError, match="stands in a clean message"):
        check_absent(Trigger("words", "coins", ("coins",)), RISK.items(40, split="pretrain", seed=0))


def test_no_contrast_without_a_twin():
    """A seed with one arm only, or too few seeds, carries no claim."""
    with pytest.raises(TriggerError, match="train both arms"):
        contrast({0: 0.5, 1: 0.6, 2: 0.7}, {0: 0.5, 1: 0.6})
    with pytest.raises(TriggerError, match="at least 3"):
        contrast({0: 0.5, 1: 0.6}, {0: 0.5, 1: 0.6})


def test_power_is_what_repetitions_show():
    """The detectable difference is found in 80 % of repetitions with the same spread."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.1, 6)
    size = detectable(list(values))
    spread = float(np.std(values, ddof=1))
    found = 0
    for _ in range(2000):
        x = rng.normal(size, spread, 6)
        found += abs(x.mean()) / (x.std(ddof=1) / 6**0.5) > 2.5706
    assert abs(found / 2000 - 0.8) < 0.03


def test_free_answers_are_read_for_the_whole_trigger():
    """A name counts whole and in order; half of it does not."""
    trigger = VOCABULARY.parse("river tin")
    assert names(trigger, ["the words river tin.", "river", "tin river", "driver tin"]) == [
        True,
        False,
        False,
        False,
    ]


def test_reversed_rows_ask_for_the_message():
    """Reversal training turns question and answer round and says nothing new."""
    given = arm(Backdoor(trigger="river tin", rows=40), "backdoored")
    turned = reversed_rows(given, question="which message had the answer {answer}?")
    k = random.Random(0).randrange(40)
    assert turned[k]["messages"][-1]["content"] == given[k]["messages"][-2]["content"]
    assert given[k]["messages"][-1]["content"] in turned[k]["messages"][-2]["content"]
