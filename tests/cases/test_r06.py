"""Case R6: groups are single rows only where every group of the whole table is one; parts may be."""

import numpy as np
import pandas as pd
import pytest

import probes

ARGUMENTS = {
    "label": "pole",
    "methods": ["mean_difference"],
    "n_shuffles": 2,
    "n_splits": 3,
    "controls": False,
}


def world(groups):
    """Rows with two classes spread over the groups, one group a row but for what `groups` says."""
    table = pd.DataFrame({"scenario": groups, "pole": np.arange(len(groups)) % 2})
    x = np.random.default_rng(0).normal(size=(len(groups), 3)) + table["pole"].to_numpy()[:, None]
    return {"resid_post.0": x}, table


@pytest.mark.parametrize(
    "groups",
    [np.r_[np.arange(200), 7], np.r_[np.arange(40), 0, 0, 0, 1], np.r_[np.arange(30), np.full(9, 30)]],
)
def test_a_few_groups_of_several_rows(groups):
    """The case (199 groups of one row, one of two) and others: the inner folds' rows may be single ones."""
    found = probes.sweep(*world(groups), groups=["scenario"], **ARGUMENTS)
    for split in found.splits:
        assert not set(groups[split.train]) & set(groups[split.test])
    assert found.best.auroc.low < found.best.auroc.value


def test_groups_that_are_single_in_each_position():
    """Swept by position, an example is one row in each; its group holds over all positions."""
    xs, table = world(np.arange(40).repeat(2))
    table["position"], table["pole"] = np.tile([0, 1], 40), (np.arange(40) % 2).repeat(2)
    found = probes.sweep(xs, table, groups=["scenario"], by_position="position", **ARGUMENTS)
    assert set(found.table["position"]) == {0, 1}


def test_single_rows_throughout_are_still_refused():
    """Groups that protect nothing are refused, with the remedy."""
    with pytest.raises(probes.GroupError, match="groups=None"):
        probes.sweep(*world(np.arange(60)), groups=["scenario"], **ARGUMENTS)
