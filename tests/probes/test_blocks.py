"""Probes of several rows at once: what one row does not tell, and what their choices rest on."""

import numpy as np

from probes import AttentionProbe, LayerEnsemble, LogisticProbe
from probes.block_laws import Blocks, score
from probes.blocks import inner_folds
from probes.scores import auroc_many


def test_a_label_that_moves_between_tokens_is_read_by_attention_and_by_no_fixed_token():
    """The token that bears mark and label differs by example: a query finds it, one token or the mean does
    not."""
    rng = np.random.default_rng(0)
    world = Blocks.of(n=480, rows=8, at=rng.integers(8, size=480), strength=2.0)
    old, new = world.part(world.groups < 8), world.part(world.groups >= 8)
    probe = AttentionProbe().fit(old.x, old.y, groups=old.groups)
    others = [
        auroc_many(new.y[None], LogisticProbe().fit(a, old.y).decision_function(b)[None])[0]
        for a, b in ((old.x[:, 3], new.x[:, 3]), (old.x.mean(1), new.x.mean(1)))
    ]
    assert score(probe, new) > 0.95
    assert max(others) < 0.85
    looks = probe.attention(new.x)
    np.testing.assert_allclose(looks.sum(1), 1, rtol=1e-9)
    assert (looks.argmax(1) == new.x[:, :, 1].argmax(1)).mean() > 0.9


def test_a_label_over_several_layers_is_read_better_by_all_than_by_the_best():
    """Each of three layers has a part of the label, two have none: joined they tell more than any of them."""
    world = Blocks.of(n=480, rows=5, strength=0.0)
    world.x[:, :3, 2] += 0.6 * (2 * world.y - 1)[:, None]
    old, new = world.part(world.groups < 8), world.part(world.groups >= 8)
    single = [
        auroc_many(
            new.y[None], LogisticProbe(C=0.1).fit(old.x[:, k], old.y).decision_function(new.x[:, k])[None]
        )[0]
        for k in range(5)
    ]
    stacked = LayerEnsemble().fit(old.x, old.y, groups=old.groups)
    mean = LayerEnsemble(combine="mean").fit(old.x, old.y)
    assert score(stacked, new) > max(single) + 0.03
    assert score(mean, new) > max(single)
    assert stacked.weights_[:3].min() > 2 * np.abs(stacked.weights_[3:]).max()


def test_weights_of_layers_see_no_example_of_their_own_fold():
    """A layer of which every group has its own answer fits its groups and gets no weight on new ones."""
    world = Blocks.of(n=240, rows=2, d=40, at=1)
    rng = np.random.default_rng(1)
    own = rng.normal(size=(12, 40))
    world.x[:, 0] = 3 * own[world.groups] * (2 * world.y - 1)[:, None] + rng.normal(size=(240, 40))
    fitted = LayerEnsemble().fit(world.x, world.y, groups=world.groups)
    assert fitted.weights_[1] > 3 * abs(fitted.weights_[0])


def test_folds_keep_groups_whole_and_hold_both_classes():
    """Groups of one class each are dealt out so that every fold has both."""
    y = np.repeat([0, 1], 20)
    groups = np.arange(40) // 5
    folds = inner_folds(y, groups, 4, seed=0)
    assert len(folds) == 4
    for fold in folds:
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert set(y[fold.test]) == {0, 1} == set(y[fold.train])
