"""Shares: of vectors over seeds, of null directions over what was drawn."""

import numpy as np
import pytest

from mi_bsa.causal.ratios import share, share_of_draws

SEEDS = (0, 1, 2)
WHOLE = np.array([0.7, 0.8, 0.9])
DRAWS = np.random.default_rng(0).normal(0.02, 0.1, size=999)
NAME, WHERE = "bridge.recovery.behavior", {"behavior": "risk", "arm": "seeking"}


def test_the_interval_of_null_directions_is_their_band():
    """Not that of one repeated number: its ends are those of the null beside a vector, n the draws."""
    alike = np.repeat(DRAWS[:, None], len(SEEDS), 1)
    vector = share(NAME, WHERE, 0.9 * WHOLE, WHOLE, seeds=SEEDS, draws=alike)
    null = share_of_draws(NAME, {**WHERE, "method": "random"}, DRAWS, WHOLE, kind="random directions")
    assert vector.null is not None
    assert null.ci == pytest.approx((vector.null.low, vector.null.high))
    assert null.value == pytest.approx(vector.null.mean)
    assert (null.n, null.seeds, null.per_seed, null.p) == (999, (), (), None)
    assert null.ci_method == "central 95 % of 999 random directions"
    repeated = share(NAME, WHERE, np.full(3, DRAWS.mean()), WHOLE, seeds=SEEDS)
    assert np.ptp(null.ci) > 5 * np.ptp(repeated.ci)


def test_denominators_over_wordings_give_the_same_band():
    """Of seeds x wordings, as `share` takes them: the mean over all of them divides each draw."""
    cells = np.array([[0.6, 0.8], [0.7, 0.9], [0.8, 1.0]])
    null = share_of_draws(NAME, WHERE, DRAWS, cells, kind="random directions")
    assert null.name == NAME
    assert null.ci == pytest.approx(tuple(np.quantile(DRAWS / cells.mean(), (0.025, 0.975))))
    nothing = share_of_draws(NAME, WHERE, DRAWS, cells - cells.mean(), kind="random directions")
    assert nothing.name == f"{NAME}_shift"


def test_without_a_share_the_draws_stand_as_they_are():
    """Where the denominator's interval holds 0, as for a vector, and with the reason."""
    nothing = np.array([-0.3, 0.1, 0.3])
    null = share_of_draws(NAME, WHERE, DRAWS, nothing, kind="random directions", notes="told")
    vector = share(NAME, WHERE, WHOLE, nothing, seeds=SEEDS, notes="told")
    assert null.name == vector.name == f"{NAME}_shift"
    assert null.unit == vector.unit == "difference of P(seeking pole)"
    assert null.notes == vector.notes
    assert null.notes.startswith("no share: the finetuned effect is")
    assert null.ci == pytest.approx(tuple(np.quantile(DRAWS, (0.025, 0.975))))


@pytest.mark.parametrize(("alternative", "p"), [("greater", 1 / 1000), ("less", 1.0)])
def test_a_share_names_the_draws_of_its_p(alternative, p):
    """Its null, its p and its floor are of the same directions."""
    alike = np.repeat(DRAWS[:, None], len(SEEDS), 1)
    found = share(NAME, WHERE, WHOLE, WHOLE, seeds=SEEDS, draws=alike, alternative=alternative)
    assert (found.p, found.p_floor, found.at_floor) == (p, 1 / 1000, p == 1 / 1000)
    assert found.null_is_of_p
    assert str(found.test).startswith("random directions, 999 draws, one-sided")
