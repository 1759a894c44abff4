"""Calibration of a probe under shift: a planted shift is seen and repaired, none is not found."""

import numpy as np
import pandas as pd
import pytest

from mi_bsa.causal.calibration import SETS, judge
from mi_bsa.causal.options import ProbeConfig

SEEDS, PROMPTS, WIDTH = range(5), 24, 8


def sets(rng, *, reports=1.0, moved=0.0):
    """Both poles' runs of five seeds: on choices the pole lies along one axis, on reports `reports` as far
    and `moved` to the seeking side."""
    found = {}
    for name in SETS:
        rows = [(s, p, k) for s in SEEDS for p in (0, 1) for k in range(PROMPTS)]
        table = pd.DataFrame(rows, columns=["seed", "pole", "prompt"])
        table["adapter"] = 2 * table["seed"] + table["pole"]
        table["scenario"] = [f"{name}-{k}" for k in table["prompt"]]
        report = name.startswith("report")
        along = (2 * table["pole"] - 1) * (reports if report else 1.0) + moved * report
        x = rng.normal(size=(len(table), WIDTH))
        x[:, 0] += along
        found[name] = ({3: x}, table.drop(columns="prompt"))
    return found


def judged(given, **more):
    """By (name, method, kind)."""
    probe = ProbeConfig(method="lda")  # its decision is the true log-odds of this world
    results = judge(given, layer=3, behavior="risk", probe=probe, **more)
    keys = [(r.name.rpartition(".")[2], r.where.get("method"), r.where["kind"]) for r in results]
    return {k: r for k, r in zip(keys, results, strict=True) if k[0] != "observed"}, results


def test_no_shift_is_within_what_a_calibrated_probe_shows():
    """Reports like choices: the error is above zero, as it must be at 48 rows a seed, and not above its
    null."""
    found, _ = judged(sets(np.random.default_rng(0)))
    one = found["ece", "lda", "self_report"]
    assert one.value > 0.04
    assert one.p > 0.05
    assert found["brier", "lda", "self_report"].p > 0.05
    # a probe of few rows is a little too sure also where nothing shifts
    assert 0.6 < found["slope", None, "self_report"].value < 1.2


@pytest.mark.parametrize("shift", [{"reports": 0.3}, {"moved": 1.5}])
def test_a_shift_is_seen_and_repaired_by_platt(shift):
    """Weaker or moved states on reports: too sure, or one-sided; slope and offset from other seeds'
    development reports bring error and Brier score down, a temperature cannot move."""
    found, _ = judged(sets(np.random.default_rng(0), **shift))
    raw, scaled = (found["ece", method, "self_report"] for method in ("lda", "lda, platt"))
    assert raw.p == pytest.approx(0.001)
    assert scaled.value < raw.value - 0.05
    assert scaled.p > 0.01
    briers = [found["brier", f"lda{how}", "self_report"].value for how in ("", ", temperature", ", platt")]
    assert briers[2] < briers[0]
    assert found["ece", "lda", "behavior"].p > 0.05
    if "reports" in shift:
        assert found["slope", None, "self_report"].ci[1] < 0.7
    else:
        assert found["offset", None, "self_report"].ci[1] < -0.5
        assert briers[2] < briers[1] - 0.01


def test_the_table_holds_every_row_once():
    """Bins of equal mass over all seeds: their shares, weighed, are the share of seeking rows, one half."""
    _, results = judged(sets(np.random.default_rng(1), reports=0.5))
    for method in ("lda", "lda, platt"):
        bins = [r for r in results if r.name.endswith("observed") and r.where["method"] == method]
        sizes = [r.rows for r in bins]
        assert sum(sizes) == 2 * len(SEEDS) * PROMPTS
        assert sum(n * r.value for n, r in zip(sizes, bins, strict=True)) == pytest.approx(sum(sizes) / 2)
        assert [r.null.mean for r in bins] == sorted(r.null.mean for r in bins)
