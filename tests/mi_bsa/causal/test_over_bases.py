"""Laws of results over bases: verdicts read them as they read a base's own, and bases are the unit."""

from dataclasses import replace

import numpy as np
import pytest
from bridge_evidence import evidence

from mi_bsa.causal.over_bases import join, over_bases
from mi_bsa.causal.verdict import verdicts
from mi_bsa.core.behind import Behind
from mi_bsa.core.results import Result
from mi_bsa.core.tested import among
from probes.statistics import crossed_mean, crossed_ratio

DRAWN = ("bridge.recovery.apart", "bridge.mediation.nie", "bridge.necessity.self_report")
BASES = ("embedded/0", "embedded/1", "embedded/2")


def base(seed, **changed):
    """The evidence of one base, a little off; what a verdict holds against draws has its draws."""
    rng = np.random.default_rng(seed)
    found = []
    for one in evidence(**changed):
        one = replace(one, value=one.value + 0.01 * rng.normal(), where=dict(one.where))
        if one.name in (*DRAWN, "bridge.state_or_prompt.counter"):
            less = one.name.startswith("bridge.necessity")
            draws = (1.0 if less else 0.0) + 0.05 * rng.normal(size=999)
            cells = one.value + 0.01 * rng.normal(size=(5, 1))
            how = {"null_kind": "random directions", "alternative": "less" if less else "greater"}
            one = replace(one, where=dict(one.where), behind=Behind(cells, draws=draws, **how))
        found.append(one)
    return found


def three(*changes):
    return {name: base(k, **change) for k, (name, change) in enumerate(zip(BASES, changes, strict=True))}


def answers(found):
    return [one.answer for one in verdicts(found)]


def test_what_holds_on_every_base_holds_over_bases():
    each = three({}, {}, {})
    over, own = over_bases(each)
    assert answers(over) == ["supported", "supported", "not supported"]
    assert all("base" in one.where for one in own)
    for verdict in verdicts(over):
        assert not [line.name for line in verdict.lines if line.state == "missing"]


def test_a_base_that_says_no_is_not_outvoted():
    """Two bases whose report follows the vector and one where it does not: over bases nothing is known."""
    over, _ = over_bases(three({}, {}, {"recovered": 0.02, "kept": 0.98, "back": 0.02}))
    assert answers(over)[0] == "undecided"


def test_two_bases_are_too_few():
    each = dict(list(three({}, {}, {}).items())[:2])
    over, _ = over_bases(each)
    assert answers(over)[0] == "undecided"
    assert "rests on 2 bases, fewer than 3" in verdicts(over)[0].reason


def test_what_one_base_lacks_is_not_told_over_bases():
    each = three({}, {}, {})
    each[BASES[1]] = [one for one in each[BASES[1]] if one.name != "bridge.words.in_context"]
    over, own = over_bases(each)
    assert "bridge.words.in_context" not in {one.name for one in over}
    assert sum(one.name == "bridge.words.in_context" for one in own) == 2


def cells(rng, rows=(5, 5, 5), items=8):
    bases, wordings = rng.normal(size=len(rows)), rng.normal(size=items)
    return [b + wordings + 0.3 * rng.normal(size=(n, items)) for b, n in zip(bases, rows, strict=True)]


def number(value, behind=None, name="self_report.effect", **more):
    said = {"ci": (value - 0.1, value + 0.1), "ci_method": "t over seeds x wordings, crossed", "n": 5} | more
    where = {"behavior": "risk", "kind": "all", "split": "test"}
    return Result(name=name, where=where, value=value, unit="share", behind=behind, **said)


def joined(found):
    return join(dict(zip(BASES, found, strict=True)))


def test_the_mean_is_that_of_units_within_bases():
    """As `crossed_mean` has it with bases as blocks, kinds alike."""
    rng = np.random.default_rng(0)
    parts, names, kinds = cells(rng), tuple("abcdefgh"), tuple("xxxyyyyy")
    found = joined(
        [number(c.mean(), Behind(c / 9, items=names, kinds=kinds), p=0.5, test="t") for c in parts]
    )
    blocks = np.repeat(range(3), 5)
    known = crossed_mean(np.concatenate(parts) / 9, strata=kinds, blocks=blocks)
    ends = known.interval(bounds=(-1.0, 1.0), scale="linear")
    assert (found.value, found.p) == (pytest.approx(known.value), pytest.approx(known.p()))
    assert found.ci == pytest.approx((ends.low, ends.high))
    assert found.ci_method == "t over bases x wordings, crossed"
    assert (found.n, found.rows) == (3, 15)


def test_a_share_is_the_ratio_of_the_means():
    rng = np.random.default_rng(1)
    bottoms = [1 + 0.1 * c for c in cells(rng)]
    tops = [0.5 * b + 0.02 * c for b, c in zip(bottoms, cells(rng), strict=True)]
    names = tuple("abcdefgh")
    pairs = zip(tops, bottoms, strict=True)
    found = joined(
        [number(0.5, Behind(t, b, items=names), name="bridge.recovery.behavior") for t, b in pairs]
    )
    known = crossed_ratio(np.concatenate(tops), np.concatenate(bottoms), blocks=np.repeat(range(3), 5))
    assert found.value == pytest.approx(known.value)
    assert found.ci == pytest.approx((known.low, known.high))
    assert found.per_seed == pytest.approx([t.mean() / b.mean() for t, b in zip(tops, bottoms, strict=True)])


def test_bases_that_were_asked_other_wordings_are_no_pairs():
    """Their wordings then vary within bases, and bases alone are drawn."""
    rng = np.random.default_rng(2)
    parts = cells(rng)
    names = [tuple("abcdefgh"), tuple("abcdefgh"), tuple("abcdefgi")]
    found = joined([number(c.mean(), Behind(c / 9, items=n)) for c, n in zip(parts, names, strict=True)])
    assert found.ci_method == "t over bases"


def test_draws_of_the_mean_are_means_of_draws():
    rng = np.random.default_rng(3)
    draws = rng.normal(size=(3, 199))
    found = joined(
        [
            number(1.0, Behind(np.ones((5, 1)) + k / 9, draws=d, null_kind="random directions"))
            for k, d in enumerate(draws)
        ]
    )
    known = among(found.value, draws.mean(0), "random directions, mean over bases")
    assert (found.p, found.null, found.p_floor) == (known.p, known.null, 1 / 200)
    assert found.null_is_of_p


def test_an_interval_without_cells_keeps_each_bases_own_error():
    """Wordings are the same in every base, so bases that agree say nothing of them."""
    found = joined([number(v, ci=(v - 0.2, v + 0.2)) for v in (0.5, 0.5, 0.51)])
    assert found.ci[1] - found.ci[0] > 0.4
    assert "own error" in found.ci_method
    plain = joined([number(v, ci_method="t over seeds") for v in (0.5, 0.5, 0.51)])
    assert plain.ci[1] - plain.ci[0] < 0.1


def test_what_is_counted_is_the_least():
    found = joined(
        [
            number(v, name="self_report.kinds_read", ci=None, ci_method="none: a count", notes=f"read {v}")
            for v in (5, 3, 4)
        ]
    )
    assert (found.value, found.ci, found.n) == (3, None, 3)
    assert "read 5; read 3; read 4" in found.notes
