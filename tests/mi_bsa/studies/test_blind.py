"""Blindness: planted losses are found, nothing is told of shuffled adapters, no adapter reads itself."""

import numpy as np
import pandas as pd
import pytest

from mi_bsa.core.config import parse
from mi_bsa.studies.grid.blind import BlindConfig, axes
from mi_bsa.studies.grid.blind_measures import EVERY, blind_from, measures, share_told, threshold
from mi_bsa.studies.grid.blind_readings import READINGS, direction
from mi_bsa.studies.grid.figures.blind import draw_blind

SEEDS = (10, 11, 12)
LEFT = {"plain": 1.0, "benign-0.25": 0.8, "benign-0.5": 0.5, "benign-1": 0.05, "benign-2": 0.0}
"""Planted: what a condition leaves of the lens; every other reading stays whole."""
PLACES = ("risk/embedded-0", "patience/embedded-0", "risk/embedded-1")


def planted():
    """Readings and answers of three places."""
    rng, read, asked = np.random.default_rng(0), {}, {}
    for place in PLACES:
        read[place] = {}
        for condition, left in LEFT.items():
            arms = (
                ("seeking", "averse", "shuffled")
                if condition in ("plain", "benign-1")
                else ("seeking", "averse")
            )
            runs, rows = {}, []
            for arm in arms:
                for seed in SEEDS:
                    size = {"seeking": 0.5, "averse": -0.5, "shuffled": 0.0}[arm]
                    own = dict.fromkeys(READINGS, size) | {"lens": size * left}
                    run = f"{arm}-{seed}"
                    runs[run] = {key: value + rng.uniform(-0.05, 0.05) for key, value in own.items()}
                    for key in ("choice", "report"):
                        rows.append({"set": key, "variant": run, "kind": "word", "score": 0.5 + size})
            rows += [
                {"set": key, "variant": "base", "kind": "word", "score": 0.5} for key in ("choice", "report")
            ]
            read[place][condition], asked[f"{place}/{condition}"] = runs, pd.DataFrame(rows)
    return read, asked


def test_a_reading_that_loses_the_behavior_goes_blind_at_its_dose():
    """The lens at 1 and no other; shares of plain's are what was planted."""
    read, asked = planted()
    found = measures(asked, read, seeds=SEEDS, split="test")
    doses = {one.where["kind"]: one.value for one in found if one.name == "blind.dose"}
    assert doses == {"lens": 1.0}
    told = {(o.where["kind"], o.where["method"]): o for o in found if o.name == "blind.told"}
    assert set(told) == {(reading, condition) for reading in EVERY for condition in LEFT}
    assert told["lens", "plain"].value == told["weights", "benign-2"].value == 1
    assert told["lens", "plain"].n == len(PLACES)
    shares = [
        one.value
        for one in found
        if one.name == "blind.share" and one.where["kind"] == "lens" and one.where["method"] == "benign-0.5"
    ]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.1)
    assert draw_blind([o for o in found if o.name == "blind.told"]).axes


def test_a_reading_without_a_threshold_tells_the_sign_and_a_wrong_sign_is_not_told():
    """Shuffled adapters set it, the largest of either sign."""
    scores = {"plain": {"seeking-0": {"lens": 0.3}, "averse-0": {"lens": 0.4}, "shuffled-0": {"lens": -0.2}}}
    assert threshold(scores, "lens") == 0.2
    assert share_told(scores["plain"], "lens", 0.2) == 0.5
    assert share_told(scores["plain"], "lens", 0.35) == 0.0
    assert blind_from([(0.0, 0.2), (1.0, 0.9), (2.0, 0.4)]) == 2.0
    assert blind_from([(0.0, 0.9), (1.0, 0.5)]) is None


def test_no_adapter_stands_in_what_reads_it():
    """The direction for a seed is that of the others' plain adapters."""
    rng = np.random.default_rng(0)
    vectors = {
        (condition, f"{arm}-{seed}"): rng.normal(size=6)
        for condition in ("plain", "benign-1")
        for arm in ("seeking", "averse")
        for seed in SEEDS
    }
    one = direction(vectors, "10")
    vectors["plain", "seeking-10"] = vectors["benign-1", "averse-11"] = np.full(6, 9.0)
    assert np.array_equal(direction(vectors, "10"), one)
    assert not np.array_equal(direction(vectors, "11"), direction(vectors, "12"))
    assert np.linalg.norm(one) == pytest.approx(1)


def test_the_points_are_doses_and_nothing_else():
    """No company but benign rows, and no shorter training."""
    config = parse({"models": ["embedded"], "behaviors": ["risk"], "doses": [0.5, 1.0]}, BlindConfig)
    assert [at.name.rpartition("/")[2] for at in axes(config)] == ["plain", "benign-0.5", "benign-1"]
