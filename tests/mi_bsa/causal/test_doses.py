"""Doses: where a vector recovers the whole, within the coherence gate, between the doses that were tried."""

import numpy as np
import pytest

from mi_bsa.causal.doses import CLOSE, FINER, choose_doses

TRIED = np.array([0.5, 1.0, 2.0])


def chosen(shifts, costs=(0.0, 0.0, 0.0), *, wanted=1.0, budget=0.5):
    """The dose of one vector."""
    found = choose_doses(TRIED, np.array([shifts]), np.array([costs]), wanted=wanted, budget=budget)
    return tuple(float(part[0]) for part in (found.doses, found.shifts, found.costs)), bool(found.within[0])


def test_what_overshoots_is_taken_back_to_the_whole():
    """Between the doses tried, by interpolation: the first that is as near as `CLOSE` to the nearest."""
    (dose, shift, _), within = chosen([1.25, 2.0, 4.0])
    assert within
    assert (dose, shift) == (pytest.approx(0.4), pytest.approx(1.0))  # a step before lacks .0625
    (dose, shift, _), _ = chosen([0.2, 0.4, 1.6])
    assert (dose, shift) == (pytest.approx(1.5), pytest.approx(1.0))
    (dose, shift, _), _ = chosen([0.2, 0.4, 1.6], wanted=0.4)
    assert (dose, shift) == (pytest.approx(0.95), pytest.approx(0.38))  # .02 is 5 % of what is wanted


def test_no_dose_is_twice_as_long_for_the_last_hundredth():
    """An answer that is nearly sure is moved hardly more by twice the dose."""
    (dose, shift, _), _ = chosen([0.8, 0.985, 1.0])
    assert dose < 1.0
    assert 1.0 - CLOSE <= shift < 0.97


def test_what_does_not_reach_the_whole_goes_as_far_as_it_can():
    """The largest shift, less `CLOSE` of what is wanted, whatever its dose; of equal ones the smallest."""
    assert chosen([0.2, 0.4, 0.6])[0][:2] == (pytest.approx(1.75), pytest.approx(0.55))
    assert chosen([0.2, 0.6, 0.3])[0][:2] == (pytest.approx(0.95), pytest.approx(0.56))
    assert chosen([0.6, 0.6, 0.6])[0][:2] == (pytest.approx(0.475), pytest.approx(0.57))
    assert chosen([-0.2, -0.4, -0.6])[0][0] == pytest.approx(0.5 / FINER)


def test_no_dose_beyond_the_gate():
    """The largest shift within it; where nothing is, the smallest dose, and it is said."""
    (dose, shift, cost), within = chosen([0.5, 1.0, 1.0], [0.2, 0.8, 2.0])
    assert within
    assert cost <= 0.5
    assert (dose, shift) == (pytest.approx(0.7), pytest.approx(0.7))
    (dose, _, cost), within = chosen([0.5, 1.0, 1.0], [20.0, 80.0, 200.0])
    assert not within
    assert (dose, cost) == (pytest.approx(0.5 / FINER), pytest.approx(1.0))


def test_rows_are_dosed_each_by_itself():
    """Many rows at once are as many alone."""
    rng = np.random.default_rng(0)
    shifts, costs = rng.normal(size=(20, 3)), rng.uniform(0, 1, (20, 3))
    many = choose_doses(TRIED, shifts, costs, wanted=1.0, budget=0.5)
    for n in range(20):
        (dose, shift, cost), within = chosen(shifts[n], costs[n])
        assert (many.doses[n], many.shifts[n], many.costs[n]) == (dose, shift, cost)
        assert many.within[n] == within
