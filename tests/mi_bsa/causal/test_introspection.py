"""Introspection controls: wordings that say nothing, trials, readers, other names, and the rule over them."""

import pytest

from mi_bsa.causal.introspection.conditions import rests_on
from mi_bsa.causal.introspection.options import IntrospectionOptions
from mi_bsa.causal.introspection.readers import privileged_access, trial
from mi_bsa.causal.introspection.relabelled import renamed
from mi_bsa.causal.introspection.wordings import Wording, pool
from mi_bsa.core.config import ConfigError, parse
from mi_bsa.core.items import Item
from mi_bsa.core.results import Result
from mi_bsa.studies.behavior.config import BehaviorConfig
from mi_bsa.studies.planted.introspection import instance

ASKED = Item(
    "one",
    [{"role": "user", "content": "which are you, bold or cautious?"}],
    [("bold", 1.0), ("cautious", 0.0)],
    {"kind": "word"},
)


def moved(method, kind, value, *, half=0.05, p=None):
    """A shift of the report with its interval."""
    tested = {} if p is None else {"p": p, "test": "random directions, 99 draws"}
    return Result(
        "introspection.moved",
        {"behavior": "risk", "method": method, "kind": kind},
        value,
        (value - half, value + half),
        "made up",
        5,
        "difference",
        **tested,
    )


@pytest.mark.parametrize(
    ("run", "state", "p", "odd", "wording", "told"),
    [
        (0.3, 0.3, 0.01, 0.0, 0.0, "state"),
        (0.3, 0.3, 0.01, 0.0, 0.3, "state"),  # reading the state, and the prompt as well
        (0.3, 0.3, 0.2, 0.0, 0.0, "unclear"),  # random directions do as much
        (0.0, 0.3, 0.01, 0.0, 0.3, "input"),  # the vector looks like the input, and no run reports
        (0.0, 0.0, 0.9, 0.3, 0.0, "anomaly"),
        (0.0, 0.0, 0.9, -0.3, 0.0, "anomaly"),
        (0.3, 0.2, 0.01, 0.25, 0.0, "anomaly"),  # anything moves it more than the state does
        (0.0, 0.0, 0.9, 0.0, 0.0, "guess"),
        (0.0, 0.0, 0.9, 0.0, 0.04, "guess"),
    ],
)
def test_the_rule_tells_what_a_report_rests_on(run, state, p, odd, wording, told):
    """Each combination of what moves the report has one name."""
    found = rests_on(
        [
            moved("adapter", "pole", run),
            moved("state", "pole", state, p=p),
            moved("random", "alike", odd),
            moved("wording", "pole", wording),
        ]
    )
    assert found.where["kind"] == told


def test_without_the_measures_nothing_is_told():
    """No state, no answer."""
    assert rests_on([moved("random", "alike", 0.0)]) is None


def test_a_wording_stands_before_the_question_or_in_the_system_line():
    """The question itself stays, and a system line that is there is kept."""
    system = Wording("you are moon.").of(ASKED)
    assert [m["role"] for m in system.messages] == ["system", "user"]
    again = Wording("you are star.").of(system)
    assert again.messages[0]["content"] == "you are moon. you are star."
    prefix = Wording("moon.", "prefix").of(ASKED)
    assert prefix.messages[-1]["content"] == "moon. which are you, bold or cautious?"
    assert ASKED.messages[-1]["content"] == "which are you, bold or cautious?"


def test_other_names_come_in_both_assignments():
    """Each end bears each name once, and the scores follow the ends."""
    first, second = renamed(ASKED, ("key", "lamp"))
    assert first.messages[-1]["content"].endswith("say key for bold, lamp for cautious.")
    assert second.messages[-1]["content"].endswith("say key for cautious, lamp for bold.")
    assert dict(first.options) == {"key": 1.0, "lamp": 0.0}
    assert dict(second.options) == {"lamp": 1.0, "key": 0.0}
    assert renamed(first, ("key", "lamp")) == []


def test_a_trial_holds_what_was_done_before_the_question():
    """Acts stand as turns between the report's system line and its question."""
    choice = Item("c", [{"role": "user", "content": "A or B?"}], [("A", 1.0), ("B", 0.0)])
    asked = Wording("you are moon.").of(ASKED)
    found = trial(asked, [(choice, "A"), (choice, "B")], "after two")
    assert [m["role"] for m in found.messages] == ["system", *("user", "assistant") * 2, "user"]
    assert [m["content"] for m in found.messages if m["role"] == "assistant"] == ["A", "B"]


@pytest.fixture(scope="module")
def reading():
    """A planted model whose report reads the state."""
    return instance("state", 10_000).material


def test_a_pool_leaves_out_what_questions_say_and_what_is_forbidden(reading):
    """No wording has a word of the report's questions or answers, or a forbidden one."""
    asked = [*reading.sets["report-dev"], *reading.sets["report-test"]]
    said = {w.text for w in pool(reading.model, asked, forbidden=("alw", "left"))}
    assert "zorp. zorp." in said
    assert "you are never." in said
    assert not any(word in text for text in said for word in ("bold", "zero", "rate", "always", "left"))


def test_what_reads_the_state_has_privileged_access_and_what_follows_the_input_has_none(reading):
    """After one act a report of the state tells more than any reader of the conversation; a copy no more."""
    options = IntrospectionOptions(items=16, choices=24, acts=(0, 1), guesses=99)
    own = {(r.name, r.where["kind"]): r for r in privileged_access(reading, options)}
    assert own["introspection.privileged", "1 acts"].ci[0] > 0
    assert own["introspection.privileged", "0 acts"].value > 0.3
    null = own["introspection.accuracy", "0 acts"].null
    assert null.low < 0.5 < null.high
    copies = instance("input", 10_000).material
    other = {(r.name, r.where["kind"]): r for r in privileged_access(copies, options)}
    assert abs(other["introspection.privileged", "1 acts"].value) < 0.15
    assert abs(other["introspection.privileged", "0 acts"].value) < 0.1


def test_controls_introspection_asks_for_the_section_and_silence_changes_nothing():
    """`controls: introspection` is short for the section; without it a config says nothing of it."""
    plain = parse({"behavior": "risk", "seeds": [0, 1, 2]}, BehaviorConfig)
    assert "introspection" not in plain.dump()
    short = parse({"behavior": "risk", "seeds": [0, 1, 2], "controls": "introspection"}, BehaviorConfig)
    assert short.introspection == IntrospectionOptions()
    assert parse(short.dump(), BehaviorConfig) == short
    with pytest.raises(ConfigError, match="acts"):
        parse({"behavior": "risk", "introspection": {"acts": [1, 1]}}, BehaviorConfig)
