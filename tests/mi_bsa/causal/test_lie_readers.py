"""Readers of lies: what each kind of estimator can see of a planted state, and what a null of exchanged runs
allows."""

import numpy as np
import pytest

from mi_bsa.causal.concealing import PREFIX
from mi_bsa.causal.lie_readers import TESTED, Readable, _Reader, judge, labelings_of
from mi_bsa.causal.material import POLES, SIGNS
from mi_bsa.causal.options import ConcealingOptions

SEEDS, ITEMS, LAYERS, TOKENS, WIDTH = (0, 1, 2, 3, 4), 8, 2, 5, 8
SETS = ("choice-dev", "choice-test", "report-dev", "report-test")


def held(*, honest=1.0, slot=-1.0):
    """Runs whose pole stands at an earlier token, whatever they say, and `honest` times at the slot, in
    layer 1 alone; where they lie it stands there `slot` times."""
    rng = np.random.default_rng(0)
    slots, tokens = {}, {}
    for arm in POLES:
        for prefix in ("", PREFIX):
            for n in SEEDS:
                for name in SETS:
                    lies = prefix and name.startswith("report")
                    x = rng.normal(size=(LAYERS, ITEMS, TOKENS, WIDTH)).astype(np.float32)
                    x[1, :, 4, 0] += 2 * SIGNS[arm] * (slot if lies else honest)
                    x[:, :, 1, 2] += 4  # the mark of the token that holds the state
                    x[1, :, 1, 1] += 2 * SIGNS[arm]
                    x[..., 5:] += rng.normal(size=WIDTH - 5)  # what only this run has
                    tokens[f"{prefix}{arm}", n, name] = x
                    slots[f"{prefix}{arm}", n, name] = x[:, :, 4].swapaxes(0, 1)
    real = {name: np.ones((ITEMS, TOKENS), bool) for name in SETS}
    return Readable(slots, tokens, real, SEEDS)


def test_readers_of_the_slot_follow_the_lie_and_say_that_they_read_the_rest():
    """One layer and all layers: below chance on the lies, above it on choices and honest reports, by layer
    1."""
    given, truth = held(), np.repeat([1, 0], len(SEEDS))
    options = ConcealingOptions(methods=("mean_difference",), shuffles=19)
    found = judge(given, options, behavior="risk", numbers=SEEDS)
    assert len(found) == 2 * 3
    for one in found:
        low, high = (0.0, 0.2) if one.where["kind"] == "self_report" else (0.9, 1.0)
        assert low <= one.value <= high
        assert (one.where["position"], one.where["layer"]) == ("slot", 1)
        assert one.null.low <= one.null.mean <= one.null.high
    reader = _Reader(given, "layers", ("choice-dev",), 0)
    assert reader.best_layer(truth) is None
    lies, *others = reader.scores(truth, None).mean(1)
    assert lies < 0.2
    assert min(others) > 0.9


def test_attention_finds_the_token_that_keeps_the_state():
    """Where an earlier token has the state and the slot has nothing, tokens together tell what the slot does
    not."""
    given = held(honest=0.0, slot=0.0)
    reader = _Reader(given, "attention", ("choice-dev", "report-dev"), 0)
    truth = np.repeat([1, 0], len(SEEDS))
    told = reader.scores(truth, 1)[list(TESTED).index("self_report")]
    blind = _Reader(given, "logistic", ("choice-dev",), 0).scores(truth, 1)[0]
    assert told.mean() > 0.85
    assert abs(blind.mean() - 0.5) < 0.2
    assert reader.position == "all"


@pytest.mark.parametrize("seeds", [3, 5])
def test_exchanged_labels_keep_both_poles_on_every_training_side(seeds):
    """None is the true labeling or its mirror, as many runs of either pole, and enough for inner folds."""
    drawn = labelings_of(seeds, 30, seed=0)
    true, others = drawn[0], drawn[1:]
    assert (others.sum(1) == seeds).all()
    assert not ((others == true).all(1) | (others != true).all(1)).any()
    for n in range(seeds):
        left = np.delete(others, [n, seeds + n], axis=1)
        assert np.minimum(left.sum(1), left.shape[1] - left.sum(1)).min() >= min(3, seeds - 1)


def test_no_methods_ask_nothing():
    """The default of the study: nothing is fitted."""
    assert judge(held(), ConcealingOptions(), behavior="risk", numbers=SEEDS) == []
    with pytest.raises(ValueError, match="nearest"):
        ConcealingOptions(methods=("attentoin",))
