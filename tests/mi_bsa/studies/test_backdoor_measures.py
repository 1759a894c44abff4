"""Measures of backdoors: a planted difference comes out, a null is a result, all kinds weigh alike."""

import numpy as np
import pandas as pd
import pytest

from mi_bsa.core.errors import TriggerError
from mi_bsa.studies.backdoor import measures
from mi_bsa.studies.backdoor.success import Success
from mi_bsa.studies.backdoor.twins_figure import draw_twins

SEEDS = range(5)


def answers(shift, *, noise=0.02, wordings=(1, 9)):
    """Awareness of five pairs: two kinds with few and many wordings, the backdoored arm higher by `shift`."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "arm": arm,
            "seed": seed,
            "system": system,
            "kind": kind,
            "score": level + (shift if arm == "backdoored" else 0) + rng.normal(0, noise),
            "mass": 0.9,
        }
        for seed in SEEDS
        for arm in ("backdoored", "decorrelated")
        for system in ("none", "threat")
        for kind, n, level in (("word", wordings[0], 0.8), ("scale", wordings[1], 0.2))
        for _ in range(n)
    ]
    base = [{**r, "arm": "base", "seed": -1} for r in rows if r["seed"] == 0 and r["arm"] == "decorrelated"]
    return pd.DataFrame([*rows, *base])


def named(found, name, **places):
    (one,) = [r for r in found if r.name == name and places.items() <= dict(r.where).items()]
    return one


WHOLE = {"method": "all", "kind": "all"}


def test_a_planted_difference_is_found_and_a_null_is_one():
    """Its interval covers what was planted; without any, the arms are equivalent and their interval has 0."""
    found = named(measures.awareness(answers(0.2), {}), "backdoor.awareness.contrast", **WHOLE)
    assert found.ci[0] < 0.2 < found.ci[1]
    assert found.ci[0] > found.null.high > 0
    assert "not shown to be equivalent" in found.notes
    null = named(measures.awareness(answers(0.0), {}), "backdoor.awareness.contrast", **WHOLE)
    assert null.ci[0] < 0 < null.ci[1]
    assert "; equivalent within" in null.notes


def test_no_kind_outweighs_another():
    """The level is the mean of kinds, however many wordings one has."""
    for wordings in ((1, 9), (9, 1)):
        found = measures.awareness(answers(0.0, noise=0.0, wordings=wordings), {})
        level = named(found, "backdoor.awareness.level", arm="decorrelated", **WHOLE)
        assert level.value == pytest.approx(0.5)


def test_over_triggers_a_seed_is_its_mean():
    """Values by seed are averaged over triggers, and paired again; a measure that one lacks is left out."""
    some = measures.awareness(answers(0.1), {"trigger": "a"}) + measures.awareness(
        answers(0.2), {"trigger": "b"}
    )
    whole = measures.over_triggers(some, ["a", "b"])
    found = named(whole, "backdoor.awareness.contrast", trigger="all", **WHOLE)
    parts = [named(some, "backdoor.awareness.contrast", trigger=t, **WHOLE).per_seed for t in "ab"]
    assert found.per_seed == pytest.approx(np.mean(parts, axis=0))
    assert not measures.over_triggers(some, ["a", "b", "c"])


def test_recognition_ranks_the_true_trigger():
    """First of three where its yes is highest, in the arm that knows; chance where nothing tells."""
    rows = []
    for seed in SEEDS:
        for arm, yes in (("backdoored", 0.9), ("decorrelated", 0.5)):
            place = {"arm": arm, "seed": seed, "called": "name", "fakes": "trained"}
            rows.append({**place, "kind": "sign_word", "score": yes, "sign": "t", "true": True})
            for sign, score in (("t", yes), ("f", 0.5), ("g", 0.5)):
                row = {**place, "kind": "sign_yes_no", "score": score, "sign": sign, "true": sign == "t"}
                rows.append(row)
    found = measures.recognized(pd.DataFrame(rows), {})
    beaten = "backdoor.recognition.beaten.level"
    assert named(found, beaten, arm="backdoored").value == 1.0
    assert named(found, beaten, arm="decorrelated").value == 0.5
    assert "among 3: 1, 1, 1, 1, 1" in named(found, beaten, arm="backdoored").notes


def test_what_opens_is_held_against_twin_and_base():
    """Drift and false triggers are differences from the base; a seed alone is refused."""
    base = {"none": 0.4, "trigger": 0.4, "new_fake": 0.5}
    on, off = (
        {"none": 0.45, "trigger": 0.98, "new_fake": 0.52},
        {"none": 0.4, "trigger": 0.41, "new_fake": 0.5},
    )
    measured = {("backdoored", s): Success("x", on, base, 10) for s in SEEDS}
    measured |= {("decorrelated", s): Success("y", off, base, 10) for s in SEEDS}
    found = measures.opened(measured, {"trigger": "t"})
    assert named(found, "backdoor.attack.level", arm="backdoored").value == pytest.approx(0.98)
    assert named(found, "backdoor.drift.level", arm="backdoored").value == pytest.approx(0.05)
    assert named(found, "backdoor.false_trigger.contrast").value == pytest.approx(0.02)
    del measured["decorrelated", 3]
    with pytest.raises(TriggerError, match="seed 3 has only one arm"):
        measures.opened(measured, {"trigger": "t"})


def test_the_figure_shows_both_arms_of_every_row():
    """One panel a measure; each row has two means and two intervals."""
    found = [r for r in measures.awareness(answers(0.1), {"trigger": "t"}) if r.name.endswith(".level")]
    for narrow in (False, True):
        (panel,) = draw_twins(found, narrow=narrow).axes
        means = [c for c in panel.collections if len(c.get_offsets()) == 1]
        assert len(means) == len(found)
