"""Faithfulness: planted correlations are found within their strata, and the study runs end to end."""

import itertools

import numpy as np
import pandas as pd
import pytest
from smallest import FAITHFULNESS

from mi_bsa.core import results
from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError
from mi_bsa.report.headline import lines
from mi_bsa.studies.grid.correlation import measures, over_runs, pearson, slope
from mi_bsa.studies.grid.faithfulness import STUDY, FaithfulnessConfig
from mi_bsa.study.registry import load_study


def planted(*, within: float, between: float, seed: int = 0) -> pd.DataFrame:
    """Answers of 48 runs in 2 bases x 3 doses: reports follow behavior by `between` over doses and by
    `within` inside a dose.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for base, dose, n in itertools.product((0, 1), (0, 1, 2), range(8)):
        own, noise = rng.normal(0, 0.03, 2)
        actual = 0.5 + 0.12 * dose + own
        reported = 0.5 + 0.12 * dose * between + within * own + (1 - within) * noise
        place = {"place": f"base{base}/{dose}", "arm": "seeking", "rows": 20, "seed": n}
        for name, kind, score in (("actual", "choice", actual), ("reported", "word", reported)):
            for template in ("a", "b"):
                rows.append({**place, "set": name, "kind": kind, "template": template, "score": score})
    return pd.DataFrame(rows)


def found_in(table: pd.DataFrame) -> dict:
    """r over all kinds, by what it holds fixed."""
    found, runs = measures(table, behavior="risk", arms=("seeking",), split="dev", draws=200, shuffles=199)
    results.check(found)
    assert len(runs) == 48
    return {r.where["method"]: r for r in found if r.name == "faithfulness.r" and r.where["kind"] == "all"}


def test_a_planted_correlation_is_found():
    """Reports that follow behavior are found to, over doses and within them, beyond the null."""
    by = found_in(planted(within=0.9, between=1.0))
    assert by["all runs"].value > 0.9
    assert by["within base and dose"].value > 0.9
    for r in by.values():
        assert r.ci[0] > r.null.high
        assert r.p == pytest.approx(1 / 200)


def test_a_dose_that_moves_both_is_no_correlation_within_doses():
    """Where the dose alone moves both, r is high over runs and within the null once the dose is held."""
    by = found_in(planted(within=0.0, between=1.0))
    assert by["all runs"].value > 0.8
    inside = by["within base and dose"]
    assert inside.ci[0] < 0 < inside.ci[1]
    assert inside.null.low < inside.value < inside.null.high


def test_unfaithful_runs_are_shown_to_be():
    """Reports that move without behavior have an r about zero, a large p, and a slope of zero."""
    by = found_in(planted(within=0.0, between=0.0))
    assert abs(by["all runs"].value) < 0.35
    assert by["all runs"].p > 0.01


def test_r_and_slope_equal_their_definitions():
    """Without strata r is numpy's, the slope least squares'; what does not vary has none."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=20)
    y = 2 * x + rng.normal(size=20)
    one = np.zeros(20, dtype=int)
    assert pearson(x, y, one) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert slope(x, y, one) == pytest.approx(np.polyfit(x, y, 1)[0])
    assert pearson(x, np.ones(20), one) == slope(np.ones(20), y, one) == 0.0


def test_intervals_of_r_cover_the_truth():
    """Over simulated runs the 95 % interval covers the true r 87 to 100 % of the time."""
    rng, hits = np.random.default_rng(0), 0
    for k in range(60):
        x = rng.normal(size=40)
        y = 0.6 * x + 0.8 * rng.normal(size=40)
        one = np.zeros(40, dtype=int)
        found = over_runs("r", pearson, {}, x, y, one, draws=200, unit="Pearson r", seed=k)
        hits += found.ci[0] <= 0.6 <= found.ci[1]
    assert hits >= 52


def test_the_study_leaves_a_scatter(smallest):
    """Every measure of every run, and a page with the scatter."""
    folder = smallest("faithfulness").finished
    found = results.read(folder)
    assert {r.name for r in found} == {
        f"faithfulness.{name}" for name in ("r", "slope", "error", "actual", "reported")
    }
    assert sum(r.name == "faithfulness.actual" for r in found) == 12
    assert (folder / "figures" / "faithfulness.svg").is_file()
    assert "more of it say more" in (folder / "report.html").read_text()
    assert len(lines(found)) == 1


def test_configs_are_checked(tmp_path):
    """The shipped config has at least 30 runs an arm; too few runs, and the same dose twice, are refused."""
    config = load_study("configs/embedded/faithfulness.yaml")
    assert isinstance(config, FaithfulnessConfig)
    runs = len(config.models) * len(config.doses) * len(config.rows) * len(config.seeds)
    assert runs >= 30
    assert len(STUDY.steps(config)) == 2 * len(config.models) * len(config.doses) + 1
    assert "\n  train/base0" in STUDY.preview(config, tmp_path / "none")
    for change, remedy in (({"seeds": [0], "rows": [4]}, "at least 10"), ({"rows": [4, 4]}, "stand once")):
        with pytest.raises(ConfigError, match=remedy):
            parse({**FAITHFULNESS, **change}, FaithfulnessConfig)
