"""Shares and intervals: exact ends hold their rate, and what has no interval says why."""

import numpy as np
import pytest
from scipy.stats import binom

from mi_bsa.core.intervals import interval_of, share
from mi_bsa.core.tested import among
from probes import statistics


@pytest.mark.parametrize("chance", [0.05, 0.3, 0.9])
def test_an_exact_interval_covers_at_least_what_it_says(chance):
    """Of all outcomes of 12 units, weighed by their probability, 95 % or more have the truth within."""
    found = [share("backdoor.audit.accuracy", {}, k, 12, ci_method="exact over adapters") for k in range(13)]
    held = [r.ci[0] <= chance <= r.ci[1] for r in found]
    assert binom.pmf(np.arange(13), 12, chance) @ held >= 0.95
    assert [r.value for r in found] == [k / 12 for k in range(13)]


def test_a_share_says_how_many_of_how_many():
    """Its notes are the counts unless others are given; the test stands as it is, and what was drawn is n
    where the counted ones come in groups.
    """
    tested = among(0.75, [0.4, 0.6], "shuffled keys")
    found = share("backdoor.audit.accuracy", {}, 3, 4, ci_method="exact over adapters", tested=tested)
    assert (found.n, found.rows, found.notes) == (4, None, "3 of 4")
    assert (found.null, found.p, found.p_floor) == (tested.null, 1 / 3, 1 / 3)
    grouped = share("backdoor.audit.accuracy", {}, 3, 4, ci_method="exact over adapters", units=2)
    assert (grouped.n, grouped.rows, grouped.value) == (2, 4, found.value)
    assert grouped.ci[0] < found.ci[0] < found.ci[1] < grouped.ci[1]


@pytest.mark.parametrize(("groups", "low"), [(1, 0.025), (4, 0.398), (20, 0.832)])
def test_what_comes_in_groups_is_counted_by_group(groups, low):
    """Twenty of twenty models of four triggers are four of four; where all of a group agree, the interval is
    that of the groups, and covers them as it covers anything.
    """
    every = share("backdoor.search.first", {}, 20, 20, ci_method="exact over triggers", units=groups)
    assert every.ci == (pytest.approx(low, abs=1e-3), 1.0)
    none = share("backdoor.search.first", {}, 0, 20, ci_method="exact over triggers", units=groups)
    assert none.ci == (0.0, pytest.approx(1 - low, abs=1e-3))
    own = share("backdoor.search.first", {}, groups, groups, ci_method="exact over triggers")
    assert own.ci == every.ci


def test_what_has_no_interval_says_why():
    """An estimate that cannot be made is None with the reason, one that can is its ends with the method."""
    values, units = np.array([0.1, 0.4, 0.5, 0.2]), np.arange(4)
    ends, method = interval_of(lambda: statistics.t_interval(values))
    assert ends == (statistics.t_interval(values).low, statistics.t_interval(values).high)
    assert method == statistics.t_interval(values).method
    ends, method = interval_of(lambda: statistics.paired_bootstrap(values, values, units * 0))
    assert ends is None
    assert method.startswith("none: ")
