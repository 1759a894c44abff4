"""A line holds, fails, stays open or is missing: at each bar, on either side of it, with and without a p."""

import numpy as np
import pytest
from bridge_evidence import one
from scipy import stats

from mi_bsa.causal.lines import EvidenceLine, Lookup, interval_line, together
from mi_bsa.causal.ratios import share
from mi_bsa.core.errors import ResultError
from mi_bsa.core.results import Null, Result

NAME = "the line"
SPREAD = (0.3, 0.5, 0.4, 0.6)


def measured(
    low,
    high,
    *,
    value=None,
    p=None,
    test="planted",
    method="t over seeds",
    per_seed=(),
    seeds=(0, 1, 2),
    null=None,
):
    """A result with this interval."""
    middle = (low + high) / 2 if value is None else value
    if per_seed:
        seeds = tuple(range(len(per_seed)))
    return Result(
        name="behavior.effect",
        where={"behavior": "risk"},
        value=middle,
        ci=(low, high),
        ci_method=method,
        n=3,
        unit="share",
        null=null,
        p=p,
        test=None if p is None else test,
        per_seed=per_seed,
        seeds=seeds,
    )


@pytest.mark.parametrize(
    ("low", "high", "bars", "state", "margin"),
    [
        (0.25, 0.35, {"above": 0.2}, "holds", 0.05),
        (0.2, 0.3, {"above": 0.2, "below": 0.2}, "open", 0.0),
        (0.05, 0.15, {"above": 0.2, "below": 0.2}, "fails", -0.15),
        (0.1, 0.2, {"above": 0.2, "below": 0.2}, "open", -0.1),
        (0.05, 0.15, {"above": 0.2}, "open", -0.15),
        (0.25, 0.35, {"above": 0.0, "least": 0.3}, "holds", 0.0),
        (0.25, 0.3, {"above": 0.0, "least": 0.3}, "open", -0.025),
        (-0.05, 0.05, {"above": 0.0, "none": 0.1}, "fails", -0.05),
        (-0.1, 0.05, {"above": 0.0, "none": 0.1}, "open", -0.1),
        (-0.05, 0.1, {"above": 0.0, "none": 0.1}, "open", -0.05),
        (0.01, 0.05, {"above": 0.0, "none": 0.1, "least": 0.1}, "fails", -0.07),
        (0.3, 0.7, {"under": 0.75, "over": 0.75}, "holds", 0.05),
        (0.3, 0.75, {"under": 0.75, "over": 0.75}, "open", 0.0),
        (0.75, 0.9, {"under": 0.75, "over": 0.75}, "open", -0.15),
        (0.8, 0.9, {"under": 0.75, "over": 0.75}, "fails", -0.15),
        (0.8, 0.9, {"under": 0.75}, "open", -0.15),
    ],
)
def test_an_interval_against_its_bars(low, high, bars, state, margin):
    """Strictly beyond the bar it holds or fails, else it is open; the margin is that of the deciding end."""
    line = interval_line(NAME, measured(low, high), **bars)
    assert (line.name, line.state, line.p) == (NAME, state, None)
    assert line.margin == pytest.approx(margin)


@pytest.mark.parametrize(
    ("low", "high", "bars", "state", "said"),
    [
        (0.75, 0.92, {"under": 1.0, "least": 0.75}, "open", "value at most 0.75 (missed), interval below 1"),
        (0.4, 1.2, {"under": 1.0, "least": 0.8}, "open", "interval below 1 (missed), value at most 0.8"),
        (
            0.7,
            1.2,
            {"under": 1.0, "least": 0.75},
            "open",
            "value at most 0.75 (missed), interval below 1 (missed)",
        ),
        (0.1, 0.5, {"above": 0.0, "least": 0.25}, "holds", "value at least 0.25, interval above 0"),
        (0.1, 0.3, {"above": 0.0, "least": 0.25}, "open", "value at least 0.25 (missed), interval above 0"),
    ],
)
def test_a_line_with_two_bars_says_both(low, high, bars, state, said):
    """That of the value and that of the interval, what was missed first; one bar for both is said once."""
    line = interval_line(NAME, measured(low, high), **bars)
    assert (line.state, line.detail.partition("], bars: ")[2]) == (state, said)
    one_bar = interval_line(NAME, measured(low, high), above=0.25, least=0.25)
    assert one_bar.detail.endswith("], bar 0.25")


@pytest.mark.parametrize(("p", "state"), [(0.05, "holds"), (0.051, "open"), (None, "open"), (0.0, "holds")])
def test_a_line_with_a_test_needs_its_p(p, state):
    """At most .05 holds; without a p nothing does, and the line says so."""
    line = interval_line(NAME, measured(0.3, 0.5, p=p), above=0.25, test=True)
    assert (line.state, line.p) == (state, p)
    shown = ", no p" if p is None else ""
    told = "" if p is None else f", p {p:.3g}"
    assert line.detail == f"behavior.effect 0.4 [0.3, 0.5]{told}, bar 0.25{shown}"
    bare = interval_line(NAME, measured(0.3, 0.5, p=p), above=0.25)
    assert (bare.state, bare.p, bare.detail) == ("holds", None, "behavior.effect 0.4 [0.3, 0.5], bar 0.25")


def test_a_line_with_a_test_may_fail_without_one():
    """An interval below its bar fails, whatever p is."""
    assert interval_line(NAME, measured(0.0, 0.1, p=0.9), above=0.25, below=0.25, test=True).state == "fails"


@pytest.mark.parametrize(
    ("changes", "p"),
    [
        ({}, stats.ttest_1samp(SPREAD, 0.25).pvalue),
        ({"method": "Fieller over units"}, stats.ttest_1samp(SPREAD, 0.25).pvalue),
        ({"per_seed": SPREAD[:3]}, stats.ttest_1samp(SPREAD[:3], 0.25).pvalue),
        ({"p": 0.04}, stats.ttest_1samp(SPREAD, 0.25).pvalue),
        ({"p": 0.04, "test": "Fieller over seeds against 0.25"}, 0.04),
        ({"p": 0.04, "null": Null("shuffled labels", 9, 0.0, -0.1, 0.1)}, 0.04),
        ({"method": "bootstrap over groups"}, None),
        ({"null": Null("shuffled labels", 9, 0.0, -0.1, 0.1)}, None),
        ({"per_seed": (0.5, 0.5, 0.5)}, 0.0),
        ({"per_seed": (0.25, 0.25, 0.25)}, 1.0),
    ],
)
def test_p_of_seeds(changes, p):
    """Against the bar by t over three seeds or more; a ratio's own p is of its bar, and draws have theirs."""
    line = interval_line(NAME, measured(0.3, 0.5, **{"per_seed": SPREAD} | changes), above=0.25, test=True)
    assert line.p == (None if p is None else pytest.approx(p))


def test_p_of_a_difference_from_zero_is_its_own():
    """At a bar of 0 the result's p stands, which may hold more than t over seeds does."""
    line = interval_line(NAME, measured(0.3, 0.5, per_seed=SPREAD, p=0.04), above=0.0, test=True)
    assert (line.state, line.p) == ("holds", 0.04)


def test_a_share_is_tested_against_its_bar():
    """Fieller's p of the bar is at most .05 exactly where the interval leaves the bar out."""
    whole = np.array([1.0, 1.1, 0.9, 1.05])
    for top in (np.array([0.6, 0.75, 0.5, 0.7]), np.array([0.2, 0.6, 0.3, 0.5])):
        result = share("r.r", {"behavior": "b"}, top, whole, seeds=range(4), bar=0.25)
        assert result.p == pytest.approx(stats.ttest_1samp(top - 0.25 * whole, 0).pvalue)
        assert (result.p < 0.05) == (result.ci[0] > 0.25)
        assert result.test == "Fieller over seeds against 0.25"
        assert interval_line(NAME, result, above=0.25, test=True).p == result.p


def test_what_was_not_measured_is_missing():
    """No result, no interval, or too few seeds for their kind of test."""
    bare = interval_line(NAME, None, above=0.25)
    assert (bare.state, bare.detail, bare.p, bare.margin) == ("missing", "it was not measured", None, None)
    count = Result("behavior.effect", {}, 0.4, None, "none: exact count", 3, "share")
    line = interval_line(NAME, count, above=0.25)
    assert (line.state, line.detail) == ("missing", "behavior.effect 0.4 has no interval (exact count)")


@pytest.mark.parametrize(
    ("seeds", "method", "state"),
    [
        (0, "t over seeds", "holds"),
        (1, "t over seeds", "missing"),
        (2, "t over seeds", "missing"),
        (3, "t over seeds", "holds"),
        (5, "exact sign flip over seeds", "missing"),
        (6, "exact sign flip over seeds", "holds"),
    ],
)
def test_fewest_seeds(seeds, method, state):
    """Three seeds, or six for an exact sign flip; a result over other units names none."""
    line = interval_line(NAME, measured(0.3, 0.5, method=method, seeds=tuple(range(seeds))), above=0.25)
    assert line.state == state
    if state == "missing":
        flip = "is an exact sign flip over 5 seeds, fewer than 6"
        said = flip if seeds == 5 else f"rests on {seeds} seeds, fewer than 3"
        assert line.detail == f"behavior.effect 0.4 {said}"


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (("holds", "holds"), "holds"),
        (("fails", "fails"), "fails"),
        (("holds", "fails"), "open"),
        (("holds", "open"), "open"),
        (("holds", "missing"), "missing"),
        (("fails", "missing"), "missing"),
    ],
)
def test_either_pole(states, state):
    """Both must hold; one that is missing leaves both unread; the worse p and margin count."""
    both = [
        EvidenceLine(NAME, each, word, p, margin)
        for each, word, p, margin in zip(states, ("one", "other"), (0.01, 0.03), (0.2, 0.1), strict=True)
    ]
    assert together(both) == EvidenceLine(NAME, state, "one and other", 0.03, 0.1)
    bare = [EvidenceLine(NAME, each, "x") for each in states]
    assert together(bare) == EvidenceLine(NAME, state, "x and x", None, None)


def test_a_line_says_what_would_make_it_another():
    """How far it was from its bar, or that measuring it would do."""
    assert (
        EvidenceLine(NAME, "missing", "it was not measured").otherwise
        == f"{NAME}: it was not measured; measuring it"
    )
    assert EvidenceLine(NAME, "open", "0.4", None, -0.05).otherwise == f"{NAME}: 0.4, 0.05 from its bar"
    assert EvidenceLine(NAME, "fails", "0.4").otherwise == f"{NAME}: 0.4"
    verbs = [EvidenceLine(NAME, state, "").verb for state in ("holds", "fails", "open", "missing")]
    assert verbs == ["holds", "fails", "stays open", "is missing"]


def test_results_are_found_by_name_and_place():
    """Of several that fit, the most general; those of other splits take no part."""
    general = one("bridge.words.bag", 0.1, 0.05, kind="all")
    narrow = one("bridge.words.bag", 0.2, 0.05, kind="all", arm="seeking")
    whole = Result("bridge.words.bag", {"kind": "scale"}, 0.3, None, "none: exact count", 1, "share")
    dev = one("bridge.words.bag", 0.4, 0.05, kind="all")
    dev = Result(
        dev.name, dict(dev.where) | {"split": "dev"}, dev.value, dev.ci, dev.ci_method, dev.n, dev.unit
    )
    held = Lookup.of([narrow, general, whole, dev])
    assert held.all("bridge.words.bag") == [narrow, general, whole]
    assert held.all("bridge.words.bag", arm="seeking", kind=None) == [narrow]
    assert held.all("bridge.words.bag", kind="all") == [narrow, general]
    assert held.one("bridge.words.bag", kind="all") == general
    assert held.one("bridge.words.bag", kind="letters") is None
    assert held.one("bridge.words.in_context") is None
    assert held.behavior == "unknown"


def test_one_behavior_is_named_by_its_effect():
    """Two are refused, by name; other results do not name one."""
    risk = one("behavior.effect", 0.9, 0.05)
    other = Result("behavior.effect", {"behavior": "myopia"}, 0.9, (0.8, 1.0), "t over seeds", 3, "share")
    assert Lookup.of([risk, risk]).behavior == "risk"
    with pytest.raises(ResultError, match="results of myopia, risk: a verdict"):
        Lookup.of([risk, other])


def test_what_fails_by_its_interval_needs_no_draws():
    """A line that is held against random directions is missing without them, unless its interval decides."""
    low, high = measured(0.0, 0.1), measured(0.3, 0.5)
    for result, state in ((low, "fails"), (high, "missing")):
        assert interval_line(NAME, result, above=0.25, below=0.25, test=True, drawn=True).state == state


def test_an_interval_against_one_bar_and_a_value_against_another():
    """Of what should grow and of what should shrink; below the bar that refutes nothing holds."""
    assert interval_line(NAME, measured(0.1, 0.5), above=0.0, least=0.25, below=0.25).state == "holds"
    assert interval_line(NAME, measured(0.1, 0.3), above=0.0, least=0.25, below=0.25).state == "open"
    assert interval_line(NAME, measured(0.1, 0.2), above=0.0, least=0.1, below=0.25).state == "fails"
    assert interval_line(NAME, measured(0.5, 0.9), under=1.0, least=0.75, over=0.75).state == "holds"
    assert interval_line(NAME, measured(0.7, 0.9), under=1.0, least=0.75, over=0.75).state == "open"
    assert interval_line(NAME, measured(0.76, 0.9), under=1.0, least=0.9, over=0.75).state == "fails"
