"""The sentence that answers: every kind of study has one, and its words follow from the number alone."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mi_bsa.core.quantities import lookup
from mi_bsa.core.results import Null, Result
from mi_bsa.report import render
from mi_bsa.report.answers import SHOWN, Answer
from mi_bsa.report.first import AROUND, MOST, first, words
from mi_bsa.report.headline import number as shown_as
from mi_bsa.report.sections import FIRST, answer
from mi_bsa.studies.behavior.page import SECTIONS as BEHAVIOR
from mi_bsa.study.registry import STUDIES, named

SECTIONS = list(dict.fromkeys(section for name in STUDIES for section in named(name).page()))
RULES = [
    pytest.param(rule, id=rule.names[0])
    for section in SECTIONS
    for rule in section.answers
    if isinstance(rule, Answer)
]
BAND = Null("what chance gives", 99, 0.5, 0.4, 0.6)


def number(rule: Answer, ci: tuple[float, float] | None, name: str = "", **where: str) -> Result:
    """A result that the rule reads."""
    place = {**dict.fromkeys(rule.each, "some"), **rule.where, **where}
    if rule.furthest:
        place[rule.furthest] = place.get(rule.furthest, "*").replace("*", "3")
    place = {key: value.replace("*", "x") for key, value in place.items()}
    value = 0.123 if ci is None else sum(ci) / 2
    how = "none: one of them" if ci is None else "t over seeds"
    return Result(name or rule.names[0], place, value, ci, how, 3, "share", null=BAND)


@pytest.mark.parametrize("name", STUDIES)
def test_every_kind_of_study_has_a_sentence(name: str):
    """A new kind gives one of its sections `answers`; the behavior study's is that of every page."""
    own = [rule for section in named(name).page() for rule in section.answers]
    assert own or name == "behavior", f"{name}: give one of its sections `answers` (mi_bsa.report.answers)"
    assert [rule for section in FIRST for rule in section.answers]


@pytest.mark.parametrize("rule", RULES)
def test_its_words_follow_from_the_interval(rule: Answer):
    """Beyond the bar, short of it, about it, no interval: other words each time, the number always."""
    low, high = (BAND.low, BAND.high) if rule.bar == "null" else (rule.bar, rule.bar)
    cases = {
        "above": (high + 0.1, high + 0.3),
        "open": (low - 0.1, high + 0.3),
        "below": (low - 0.3, low - 0.1),
    }
    said = {}
    for case, ci in cases.items():
        (said[case],) = rule([number(rule, ci)])
        expected = "open" if case == "below" and not rule.below else case
        assert getattr(rule, expected) in said[case]
        assert f"{sum(ci) / 2:.2f} [{ci[0]:.2f}, {ci[1]:.2f}]" in said[case]
        assert words([said[case]]) <= 40
    assert rule.above != rule.open != rule.below or rule.names[0].endswith("search.effect")
    (untold,) = rule([number(rule, None)])
    assert rule.open in untold
    assert "0.12 (no interval)" in untold


@pytest.mark.parametrize("rule", RULES)
def test_it_reads_registered_numbers(rule: Answer):
    """Each name that a rule reads is one that results may have."""
    for name in rule.names:
        assert lookup(name).name
    assert rule([Result("mine.other", {}, 0.1, (0.0, 0.2), "t over seeds", 3, "share")]) == []


def test_a_bar_is_no_matter_of_the_value():
    """On the bar itself, and with a value beyond it whose interval is not, nothing is decided."""
    rule = Answer(names=("a.b",), lead="It", above="does", below="does not", open="may", bar=0.5)
    one = Result("a.b", {}, 0.9, (0.5, 1.0), "t over seeds", 3, "share")
    assert rule([one]) == ["It may: 0.90 [0.50, 1.00]."]
    assert rule([replace(one, ci=(0.51, 1.0))]) == ["It does: 0.90 [0.51, 1.00]."]
    assert rule([replace(one, value=0.1, ci=(0.0, 0.49))]) == ["It does not: 0.10 [0.00, 0.49]."]


def test_numbers_of_one_sentence_stand_by_case():
    """What is decided first; a whole goes before its parts; of many it is said how many more."""
    rule = Answer(names=("a.b",), lead="It", above="does", below="does not", open="may", each=("kind",))

    def one(kind: str, low: float, **where: str) -> Result:
        return Result("a.b", {"kind": kind, **where}, low + 0.1, (low, low + 0.2), "t over seeds", 3, "share")

    assert rule([one("x", -0.1), one("y", 0.1), one("z", -0.3)]) == [
        "It does: y 0.20 [0.10, 0.30]; does not: z -0.20 [-0.30, -0.10]; may: x 0.00 [-0.10, 0.10]."
    ]
    (said,) = rule([one(f"k_{n}", 0.1) for n in range(SHOWN + 3)])
    assert said.count("0.20 [") == SHOWN
    assert said.endswith("] and 3 more.")
    assert "k 0 0.20" in said
    whole = one("all", 0.1)
    assert rule([one("all", 0.1, base="b"), one("all", 0.1, behavior="c"), whole]) == rule([whole])


def test_the_furthest_dose_alone_is_read_and_another_stands_beside():
    """Which dose answers is no matter of what it gave; what is compared to has its own words."""
    rule = Answer(
        names=("a.b",),
        lead="At {method} of {n}, it",
        above="does",
        open="may",
        where={"method": "benign-*"},
        furthest="method",
        beside={"without": {"arm": "alone"}},
    )
    found = [
        Result(
            "a.b", {"arm": arm, "method": f"benign-{dose:g}"}, dose, (dose, dose), "t over seeds", 1200, "s"
        )
        for arm in ("matched", "alone")
        for dose in (0.5, 2.0, 1.0)
    ]
    (said,) = replace(rule, where={**rule.where, "arm": "matched"})(found)
    assert said == "At benign-2 of 1,200, it does: 2.00 [2.00, 2.00]; without 2.00 [2.00, 2.00]."


def test_the_first_section_that_has_one_answers():
    """Of a behavior study what it says of itself, though it was steered too; of a patch map its best cell."""
    effect = Result(
        "self_report.effect", {"behavior": "risk", "kind": "all"}, 0.3, (0.1, 0.5), "t over seeds", 3, "p"
    )
    steered = Result(
        "steer.effect", {"behavior": "risk", "kind": "behavior"}, 0.9, (0.8, 1.0), "t", 3, "p", null=BAND
    )
    assert "moves with them" in answer([steered, effect], BEHAVIOR)[0]
    assert "further to the pole" in answer([steered], BEHAVIOR)[0]

    def cell(layer: int, low: float) -> Result:
        where = {"kind": "behavior", "layer": layer, "position": "slot"}
        return Result("patch.recovery", where, low + 0.1, (low, low + 0.2), "t over examples", 8, "share")

    (most,) = answer([cell(0, -0.2), cell(1, 0.6)], BEHAVIOR)
    assert most.startswith("Of 2 cells of behavior, layer 1, position slot brings the largest share")
    assert "0.70 [0.60, 0.80]" in most
    assert "none measurably" in answer([cell(0, -0.2), cell(1, -0.1)], BEHAVIOR)[0]


@pytest.mark.parametrize("rule", RULES)
def test_a_first_screen_of_it_is_short_and_says_what_is_not_known(rule: Answer):
    """Also where there are many numbers, and a long title."""
    key = rule.each[0] if rule.each else "variant"
    many = [number(rule, (0.1, 0.9), **{key: f"way{n}"}) for n in range(12)]
    many = [one for one in many if rule.read([one])]
    sections = [section for section in SECTIONS if rule in section.answers]
    found = first("a, b, c and 17 more on d: x, y, z x 5 seeds", many, [], sections)
    assert words(found.lines) <= MOST - AROUND
    assert "Not known: " in found.claims[-1]
    assert "any claim beyond these numbers" in found.claims[-1]


def test_the_first_way_alone_is_read():
    """Of several methods that a config names, the first: not that which gave most."""
    rule = Answer(names=("a.b",), lead="By {method} it", above="does", open="may", first="method")
    found = [
        Result("a.b", {"method": method}, value, (value, value), "t over seeds", 3, "share")
        for method, value in (("logistic", 0.1), ("layers", 0.9))
    ]
    assert rule(found) == ["By logistic it does: 0.10 [0.10, 0.10]."]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0.00"), (-9.95e-10, "0.00"), (2e-6, "2e-06"), (0.0047, "0.0047"), (123.4, "123")],
)
def test_a_number_that_is_next_to_nothing_is_none(value: float, shown: str):
    """The lower end of an exact interval may be 1e-9."""
    assert shown_as(value) == shown


def test_what_stands_between_backticks_is_code(made_up_pages: dict[str, Path], tmp_path: Path):
    """Names of methods in what a section says, escaped all the same."""
    folder = tmp_path / "run"
    shutil.copytree(made_up_pages["run"].parent, folder)
    told = [replace(one, reading="Read `a<b>`; <i> is not set.") for one in BEHAVIOR]
    page = render(folder, told).read_text()
    assert "<p>Read <code>a&lt;b&gt;</code>; &lt;i&gt; is not set.</p>" in page
