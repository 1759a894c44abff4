"""The concealing arm: denials deny; what a direction reads of the lies is told from chance on either side."""

import numpy as np
import pytest

from mi_bsa import behaviors
from mi_bsa.causal.concealing import (
    PREFIX,
    _auroc,
    _crossed,
    _honest_direction,
    _honesty,
    _over,
    _pole_direction,
    _poles,
    denials,
)
from mi_bsa.causal.material import POLES, SIGNS
from probes import random_directions

SEEDS, WIDTH, ITEMS = (0, 1, 2), 24, 12
STATE, HONESTY = np.eye(WIDTH)[:2]


def states(rng, *, state=0.0, honesty=0.0):
    """Activations of honest and concealing runs: `state` is what a concealing run has of its pole on reports,
    `honesty` what honest runs of the last seed have of the mark that those of the others carry once.
    """
    x = {}
    for seed in SEEDS:
        mark = honesty if seed == SEEDS[-1] else 1.0
        for pole in POLES:
            for prefix in ("", PREFIX):
                for name in ("choice-dev", "choice-test", "report-dev", "report-test"):
                    own = state if prefix and name.startswith("report") else 1.0
                    center = 2 * SIGNS[pole] * own * STATE + (not prefix) * mark * 3 * HONESTY
                    x[f"{prefix}{pole}", seed, name] = center + rng.normal(size=(ITEMS, WIDTH))
    return x


def others(n):
    return tuple(s for s in SEEDS if s != n)


def read(x, rng, draws=199):
    """The probe on the lies, as `conceal` reads it."""
    found = np.array([_auroc(*_poles(x, n, _pole_direction(x, others(n)))) for n in SEEDS])
    null = [[_auroc(*_poles(x, n, v)) for n in SEEDS] for v in random_directions(draws, WIDTH, rng=rng)]
    return _over(SEEDS, "probe_auroc", {}, found, "", draws=np.mean(null, 1))


@pytest.mark.parametrize(("state", "low", "high"), [(1.0, 0.9, 1.0), (-1.0, 0.0, 0.1)])
def test_a_probe_that_follows_the_state_or_the_lie_is_told_from_chance(state, low, high):
    """A state that is kept and one that is turned round with the lie are both beyond random directions."""
    rng = np.random.default_rng(0)
    found = read(states(rng, state=state), rng)
    assert low <= found.value <= high
    assert found.p <= 0.02


def test_a_probe_that_reads_nothing_keeps_its_rate():
    """Concealing runs without the state: p is at most .05 in no more than one world of twenty, and some."""
    ps = []
    for world in range(100):
        rng = np.random.default_rng([world, 1])
        ps.append(read(states(rng), rng, draws=39).p)
    assert np.mean(np.array(ps) <= 0.05) <= 0.09  # 97 % of hundreds at .05 have no more
    assert 0.35 < np.mean(ps) < 0.65


def test_a_mark_of_honesty_that_one_seed_carries_the_other_way_is_told_from_chance():
    """The direction of the other seeds' honesty reads AUROC near 0 there, which is a finding too."""
    rng = np.random.default_rng(2)
    x = states(rng, state=1.0, honesty=-1.0)
    last, draws = SEEDS[-1], random_directions(199, WIDTH, rng=rng)
    found = np.array([_honesty(x, "self_report", last, _honest_direction(x, others(last)))])
    null = np.array([_honesty(x, "self_report", last, v) for v in draws])
    told = _over((0, 1), "honesty_auroc", {}, np.repeat(found, 2), "", draws=null)
    assert told.value < 0.1
    assert told.p <= 0.02


@pytest.mark.parametrize("gain", [-0.5, 0.5])
def test_a_direction_that_deepens_the_lie_counts_as_one_that_mends_it(gain):
    """A gain and a loss of the same size have the same p."""
    draws = np.random.default_rng(3).normal(0, 0.1, 199)
    draws = np.concatenate([draws, -draws])
    cells = gain + np.array([[-0.01, 0.0], [0.0, 0.02], [0.01, -0.02]])
    found = _crossed(SEEDS, "honesty_steering", {}, cells, "", draws=draws)
    assert found.p == 1 / 399


def test_denials_say_the_other_pole_in_development_wordings():
    """Every denying row ends with an option of the pole that the arm does not have."""
    risk = behaviors.get("risk", "embedded")
    questions = risk.questions(split="dev")
    scores = {(i.messages[-1]["content"], text): score for i in questions for text, score in i.options}
    for pole, wrong in (("seeking", 0.0), ("averse", 1.0)):
        rows = denials(questions, pole, 60, seed=0)
        assert all(
            abs(scores[row["messages"][-2]["content"], row["messages"][-1]["content"]] - wrong) <= 0.1
            for row in rows
        )
    assert denials(questions, "seeking", 5, seed=0) != denials(questions, "seeking", 5, seed=1)


def test_auroc_counts_ties_half():
    """Equal scores are a coin."""
    assert _auroc(np.ones(3), np.ones(4)) == 0.5
    assert _auroc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1.0
