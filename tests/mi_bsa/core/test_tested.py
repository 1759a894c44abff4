"""Tests in words: each p with what gave it, the least that it could have been, and its own draws."""

import numpy as np
import pytest
from scipy import stats

from mi_bsa.core import tested
from mi_bsa.core.tested import UNTESTED, among, by_t, equivalent, largest
from probes import statistics

DRAWS = np.random.default_rng(0).normal(size=99)


@pytest.mark.parametrize(("alternative", "words"), [("greater", "one-sided"), ("two-sided", "two-sided")])
def test_p_and_null_are_of_the_same_draws(alternative, words):
    """p is that of the draws, the band too, and the test names them, their number and the side."""
    found = among(1.2, DRAWS, "random directions", alternative=alternative)
    assert found.p == statistics.permutation_p(1.2, DRAWS, alternative=alternative)
    assert (found.null.n, found.null.mean) == (99, pytest.approx(DRAWS.mean()))
    assert found.test == f"random directions, 99 draws, {words}"
    assert found.floor == 0.01


def test_what_no_draw_reaches_is_at_the_floor():
    """More draws, not a larger effect, would make this p smaller; a small value counts where it should."""
    assert among(100.0, DRAWS, "draws").p == among(100.0, DRAWS, "draws").floor == 0.01
    assert among(-100.0, DRAWS, "draws", alternative="less").p == 0.01
    assert among(-100.0, DRAWS, "draws").p == 1.0


def test_few_labelings_raise_the_floor():
    """Four runs of two poles have three labelings: 999 shuffles tell no more than p = 1 / 3."""
    found = among(1.0, np.zeros(999), "shuffled labels", labelings=3)
    assert (found.p, found.floor) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_two_sided_is_about_chance():
    """.1 is as far from .5 as .9 is."""
    above, below = (
        among(v, [0.2, 0.5, 0.95], "draws", alternative="two-sided", chance=0.5).p for v in (0.9, 0.1)
    )
    assert above == below == 0.5


def test_t_and_equivalence_draw_nothing():
    """They have p and words, no floor and no null; equal values have no test at all."""
    values = [0.2, 0.5, 0.4]
    found = by_t(values, chance=0.5)
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0.5).pvalue)
    assert (found.test, found.floor, found.null) == ("t over seeds against 0.5", None, None)
    assert by_t([1.0, 1.0, 1.0]) == UNTESTED
    same = statistics.equivalence([0.01, -0.02, 0.03], bound=0.15)
    assert equivalent(same, bound=0.15) == tested.Tested(same.p, "two one-sided t over seeds, bound 0.15")
    assert tested.Tested.of(float("nan"), "t over wordings x seeds against 0") == UNTESTED


def test_claims_that_must_hold_together_have_the_largest_p():
    """And none where one was not tested."""
    one, other = tested.Tested(0.01, "t over seeds against 0"), tested.Tested(0.2, "draws, 9 draws", 0.1)
    both = largest([one, other], "the two")
    assert both == tested.Tested(0.2, "largest p of the two: t over seeds against 0 and draws, 9 draws", 0.1)
    assert largest([one, UNTESTED], "the two") == largest([], "none") == UNTESTED
