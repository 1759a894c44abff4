"""A layer is chosen by the other units alone, and differences over units hold what shared probes add."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import probes
from probes.layer_choice import leave_one_out
from probes.scores import auroc_many
from probes.shared_training import mean_out_of_fold, shared_factor
from probes.validity import layer_laws

UNITS, LAYERS = 4, 3


def rows(block: np.ndarray, first: int) -> tuple[dict[int, np.ndarray], pd.DataFrame]:
    """Rows [layer, unit, class, row, width] as a set, one scenario a row, numbered from `first`."""
    layers, units, classes, n, width = block.shape
    table = pd.DataFrame(
        [(k, c, first + i) for k in range(units) for c in range(classes) for i in range(n)],
        columns=["seed", "pole", "scenario"],
    )
    return {layer: block[layer].reshape(-1, width) for layer in range(layers)}, table


def drawn(seed: int = 0, **design: float) -> tuple[np.ndarray, ...]:
    """Training, development and test rows of planted adapters."""
    rng = np.random.default_rng(seed)
    own, _ = layer_laws.adapters(rng, layer_laws.LayerDesign(UNITS, LAYERS, **design))
    return tuple(layer_laws.rows_of(rng, own, n) for n in (8, 6, 10))


def left(fit: np.ndarray, develop: np.ndarray, test: np.ndarray, **options: object) -> probes.LeftOut:
    """Leave one out of them, by mean differences."""
    given = {"label": "pole", "unit": "seed", "apart": ["scenario"], "method": "mean_difference"}
    sets = rows(fit, 0), rows(develop, 100), {"report": rows(test, 200)}
    return leave_one_out(*sets, **{**given, **options})


@pytest.mark.parametrize("seed", range(3))
def test_a_fit_at_a_time_is_the_closed_form(seed):
    """Layers and AUROC of every unit are those of the validity page's simulation, which shares no code."""
    fit, develop, test = drawn(seed, offset=1.0)
    found = left(fit, develop, test)
    layer, w = layer_laws.left_out(fit, develop)
    assert list(found.layers.values()) == layer.tolist()
    scores = np.einsum("ucrd,ud->ucr", test[layer, np.arange(UNITS)], w)
    own = [float(auroc_many(np.repeat((0, 1), 10), one.reshape(1, -1))[0]) for one in scores]
    np.testing.assert_allclose(list(found.by_unit("report").values()), own)


def test_a_unit_has_no_part_in_its_own_layer_and_probe():
    """Other training and development rows of a unit leave its layer and its scores as they were."""
    fit, develop, test = drawn(offset=1.0)
    before = left(fit, develop, test)
    noise = np.random.default_rng(9)
    fit[:, 1] += 5 * noise.normal(size=fit[:, 1].shape)
    develop[:, 1] += 5 * noise.normal(size=develop[:, 1].shape)
    after = left(fit, develop, test)
    assert after.layers[1] == before.layers[1]
    of = [one.scores.query("unit == 1")["score"] for one in (before, after)]
    np.testing.assert_allclose(*of)


def test_a_planted_layer_is_chosen_by_all():
    """Where the poles differ along one direction at the first layer most, all units read it there."""
    fit, develop, test = drawn(offset=0.2, effect=4.0)
    fit[1:] = np.random.default_rng(1).normal(size=fit[1:].shape)
    develop[1:], test[1:] = fit[1:, :, :, :6], np.random.default_rng(2).normal(size=test[1:].shape)
    found = left(fit, develop, test)
    assert found.layer == 0
    assert found.counts == "0 in 4 of 4"
    assert found.development[0] > 0.9
    estimate, p = found.estimate("report")
    assert estimate.low > 0.7
    assert p >= 2 / 2**4  # near the ceiling four units can not say more than four equal signs


def test_the_null_is_every_renaming_with_its_own_choice():
    """Four units have 7 renamings besides the true one; on offsets alone their mean is near chance."""
    found = left(*drawn(5, offset=1.0))
    assert found.null["report"].shape == (7,)
    assert 0.2 < found.null["report"].mean() < 0.8
    assert left(*drawn(5, offset=1.0), n_shuffles=5).null["report"].shape == (5,)


def test_two_units_choose_by_the_other_alone():
    """With two units the other's own training rows read its development rows; nothing can be tested."""
    fit, develop, test = (block[:, :2] for block in drawn(offset=0.3, effect=3.0))
    found = left(fit, develop, test)
    assert set(found.layers) == {0, 1}
    values = list(found.by_unit("report").values())
    estimate, p = mean_out_of_fold(values)
    assert np.isnan(estimate.low)
    assert np.isnan(p)


def test_what_can_not_be_left_out_is_refused():
    """Shared scenarios, one unit, a unit of one class, other layers, an unknown set: each with a remedy."""
    fit, develop, test = drawn()
    with pytest.raises(probes.LeakageError, match="give each its own"):
        leave_one_out(rows(fit, 0), rows(develop, 0), {}, label="pole", unit="seed", apart=["scenario"])
    with pytest.raises(probes.GroupError, match="two at least"):
        left(fit[:, :1], develop[:, :1], test[:, :1])
    arrays, table = rows(fit, 0)
    half = ((table["seed"] != 1) | (table["pole"] == 1)).to_numpy()
    part = {layer: x[half] for layer, x in arrays.items()}, table[half].reset_index(drop=True)
    with pytest.raises(probes.LabelError, match="both classes in each"):
        leave_one_out(part, rows(develop, 100), {"r": rows(test, 200)}, label="pole", unit="seed")
    with pytest.raises(probes.SourceError, match="read the same of all"):
        left(fit, develop[:2], test)
    with pytest.raises(probes.SourceError, match="no test set"):
        left(fit, develop, test).by_unit("neutral")


def test_a_difference_over_units_is_t_with_the_squared_error_multiplied():
    """p by hand for five values, and an interval that holds 0 exactly where p does not reject it."""
    values = np.array([0.2, 0.3, 0.1, 0.25, 0.15])
    estimate, p = mean_out_of_fold(values, layers=12)
    t = values.mean() / (values.std(ddof=1) / np.sqrt(5) * np.sqrt(1 + 5 / 4))
    assert p == pytest.approx(2 * stats.t.sf(t, 4))
    assert estimate.value == pytest.approx(0.2)
    plain = probes.statistics.t_interval(values)
    assert estimate.low < plain.low < estimate.high
    assert (estimate.low > 0) == (p < 0.05)
    weak, p_weak = mean_out_of_fold([0.05, 0.1, 0.02])
    assert p_weak > 0.05
    assert weak.low <= 0 <= weak.high
    assert mean_out_of_fold([0.1, 0.1, 0.1])[0].low == pytest.approx(0.1)


def test_an_auroc_is_laid_out_by_items():
    """The mean of a unit's cells is its AUROC; without an item it is, to first order, the others'."""
    sets = drawn(offset=0.3, effect=1.5)
    found = left(*sets, items="scenario")
    placed = found.placed("report")
    assert placed.mean(axis=1).to_dict() == pytest.approx(found.by_unit("report"))
    scores = found.scores
    some = placed.columns[:4]
    for item in some:
        fewer = replace(found, scores=scores[scores["item"] != item]).by_unit("report")
        told = placed.drop(columns=item).mean(axis=1)
        assert told.to_dict() == pytest.approx(fewer, abs=0.03)
    with pytest.raises(probes.SourceError, match="leave_one_out"):
        left(*sets).placed("report")


def test_items_that_vary_are_in_the_error_of_a_difference():
    """What units share is multiplied, what items add is not; a side counts a half where kinds are two."""
    rng = np.random.default_rng(0)
    units, items = rng.normal(0.3, 0.05, 10), rng.normal(0, 0.4, 12)
    cells = units[:, None] + items - items.mean()
    alone, _ = mean_out_of_fold(units)
    found, p = mean_out_of_fold(cells)
    assert found.value == pytest.approx(alone.value)
    assert found.high - found.low > 2 * (alone.high - alone.low)
    error = units.var(ddof=1) / 10 * shared_factor(10, paired=True) + items.var(ddof=1) / 12
    assert stats.t.isf(p / 2, 11) == pytest.approx(found.value / np.sqrt(error), rel=0.2)
    both = np.concatenate([2 * cells, -2 * cells[:, ::-1] + 0.2], axis=1)
    assert mean_out_of_fold(both, strata=[0] * 12 + [1] * 12)[0].value == pytest.approx(0.1)


def test_the_factor_grows_where_units_choose_among_several():
    """Nadeau and Bengio's for differences, the correlation's for scores, more where layers are chosen."""
    assert shared_factor(6) == 2.5
    assert shared_factor(6, layers=2) == 4.0
    assert shared_factor(3, layers=12, paired=True) == 2.5
    assert shared_factor(10, paired=True) == pytest.approx(1 + 10 / 9)
    assert shared_factor(10, layers=3, paired=True) == 3.0
    assert shared_factor(2) == np.inf
