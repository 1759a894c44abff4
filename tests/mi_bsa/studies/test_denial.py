"""Denial: what a reader is worth is told over behaviors, beside what the runs say themselves."""

import numpy as np
import pandas as pd
import pytest

from mi_bsa.core.config import parse
from mi_bsa.core.errors import BankError, BehaviorError, ConfigError
from mi_bsa.core.results import read
from mi_bsa.finetune.zoo.manifest import Truth
from mi_bsa.studies.denial import study
from mi_bsa.studies.denial.config import DenialStudyConfig, base_of, behaviors_of, organisms_of, training_of
from mi_bsa.studies.denial.judging import judge
from mi_bsa.studies.denial.reading import Told, auroc

SMALL = {"places": [{"model": "embedded", "behaviors": ["risk", "patience"]}], "finetune": {"steps": 2}}


def config(**changes):
    """A small config."""
    return parse({**SMALL, **changes}, DenialStudyConfig)


def test_organisms_are_the_honest_the_shuffled_and_those_that_go_on_from_the_honest():
    """Each behavior has both poles a seed and a training; who denies names the run it goes on from."""
    given = config(seeds=[0, 1, 5])
    assert behaviors_of(given) == ("risk", "patience")
    own = organisms_of(given, "patience")
    assert base_of(given, "patience").text == "embedded"
    by = pd.Series([training_of(one) for one in own]).value_counts()
    assert by.to_dict() == {
        "honest": 6,
        "shuffled": 3,
        "base-rows": 6,
        "opposite-rows": 6,
        "opposite-preferences": 6,
    }
    names = {one.name for one in own}
    assert all(one.parent.name in names for one in own if one.says)
    assert {one.seed for one in own} == {0, 1, 5}
    assert {(one.rank, one.steps) for one in own} == {(given.finetune.rank, 2)}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"places": [{"behaviors": ["risk"]}]}, "at least two"),
        ({"places": [{"behaviors": ["risk", "risk"]}]}, "each once"),
        ({"trainings": ["base-preferences"]}, "base-rows"),
        ({"seeds": [0, 1]}, "at least 3 different seeds"),
    ],
)
def test_a_config_that_could_tell_nothing_is_refused(changes, says):
    """One behavior has no interval; a base that is undecided teaches nothing by preferences."""
    with pytest.raises(ConfigError, match=says):
        config(**changes)


def test_what_cannot_be_taught_or_read_is_refused_before_anything_is_trained(monkeypatch, tmp_path):
    """A bank of one's own without training wordings, and a behavior whose choices are texts."""
    monkeypatch.setattr(study.preflight, "check", lambda config: None)
    own = tmp_path / "own.py"
    own.write_text(
        "from dataclasses import replace\n"
        "from mi_bsa.behaviors.english.risk import RISK\n"
        "bank = RISK.read_bank\n"
        "asked = {k: {s: w for s, w in by.items() if s != 'pretrain'} for k, by in bank.frames.items()}\n"
        "OWN = replace(RISK, bank=bank.model_copy(update={'frames': asked}))\n"
    )
    for name, error, says in (
        (f"{own}:OWN", BankError, "no 'word' question in split 'pretrain'"),
        ("say", BehaviorError, "its choices are texts"),
    ):
        given = config(places=[{"model": "smollm2", "behaviors": ["risk", name]}], trainings=["base-rows"])
        with pytest.raises(error, match=says):
            study.check(given)


def test_a_pair_is_told_by_its_order():
    """1 where every item of the seeking run lies above, ties half."""
    assert auroc([2, 3], [0, 1]) == 1
    assert auroc([0, 1], [2, 3]) == 0
    assert auroc(1.0, 1.0) == 0.5


def told(lies, reads, *, behaviors=("risk", "patience", "myopia"), seeds=3):
    """What readers say where runs say `lies` and states say `reads`, by behavior."""
    rows = []
    for k, behavior in enumerate(behaviors):
        for seed in range(seeds):
            for training, said, read_ in (("opposite-rows", lies[k], reads[k]), ("shuffled", 0.5, 0.5)):
                tilt = 0.01 * (seed - 1)
                rows += [
                    (Told(training, seed, "confession", "", "self_report", said + tilt, 40), behavior),
                    (Told(training, seed, "layers", "choices", "self_report", read_ + tilt, 40), behavior),
                ]
    return pd.DataFrame([one for one, _ in rows]).assign(behavior=[name for _, name in rows])


def test_what_holds_is_told_over_behaviors():
    """The unit is the behavior: its seeds are averaged, three behaviors are three."""
    found = judge(told([0.1, 0.2, 0.15], [0.75, 0.9, 0.9]), [], split="test")
    by = {(one.name, one.where["method"]): one for one in found}
    assert set(by) == {
        ("denial.auroc", "confession"),
        ("denial.auroc", "layers"),
        ("denial.advantage", "layers"),
    }
    more = by["denial.advantage", "layers"]
    assert more.value == pytest.approx(0.7)
    assert (more.n, more.rows) == (3, 720)
    assert more.test == "t over behaviors against 0"
    one = by["denial.auroc", "layers"]
    assert one.value == pytest.approx(0.85)
    assert one.ci[0] > 0.5
    assert (one.null.n, one.null.mean) == (9, pytest.approx(0.5))
    assert "patience 0.90" in one.notes


def test_readers_that_differ_between_behaviors_are_not_sure():
    """One behavior read and two not is no finding."""
    found = judge(told([0.5, 0.5, 0.5], [1.0, 0.5, 0.5]), [], split="test")
    one = next(one for one in found if one.name == "denial.advantage")
    assert one.ci[0] < 0 < one.ci[1]


def test_shifts_point_to_the_pole_that_is_shown():
    """A report below the base's is a denial of a seeking organism, one above it of an averse one."""

    def truth(behavior, pole, says, report):
        given = {
            "base": "embedded",
            "kind": "denies" if says else "behaves",
            "seed": 0,
            "rank": 1,
            "steps": 1,
        }
        given |= {"trigger": None, "rows": 1, "rows_sha256": "", "fingerprint": "", "loss": 0.0}
        levels = {"choices": 0.9 if pole == "seeking" else 0.1, "base_choices": 0.5, "base_report": 0.5}
        more = {"part": "training", "says": says, "by": "rows" if says else None, "parent": None}
        name = f"{behavior}-{pole}-{says}"
        return Truth(name=name, behavior=behavior, pole=pole, report=report, **given, **levels, **more)

    truths = [
        truth(behavior, pole, says, report if pole == "seeking" else 1 - report)
        for behavior in ("risk", "patience")
        for pole in ("seeking", "averse")
        for says, report in ((None, 0.8), ("opposite", 0.1))
    ]
    found = judge(told([0.1, 0.2, 0.15], [0.8, 0.9, 0.85]), truths, split="test")
    by = {(one.where["arm"], one.where["kind"]): one.value for one in found if one.name == "denial.shift"}
    assert by == {
        ("honest", "behavior"): pytest.approx(0.4),
        ("honest", "self_report"): pytest.approx(0.3),
        ("opposite-rows", "behavior"): pytest.approx(0.4),
        ("opposite-rows", "self_report"): pytest.approx(-0.4),
    }


@pytest.mark.slow
def test_a_run_tells_every_reader(smallest):
    """In the smallest run each reader is asked about each pair, and pairs of shuffled runs are read too."""
    folder = smallest("denial").finished
    table = pd.read_csv(folder / "told.csv", keep_default_na=False)
    assert set(table["training"]) == {"honest", "shuffled", "base-rows"}
    assert set(table["method"]) == {"confession", "choices", "logistic", "layers", "shift", "lens"}
    counts = table.groupby(["training", "method", "fitted", "kind", "behavior"]).size()
    assert set(counts) == {3}
    assert np.isfinite(table["auroc"]).all()
    found = read(folder)
    assert {one.name for one in found} == {"denial.auroc", "denial.advantage", "denial.shift"}
    assert all(one.null is not None for one in found if one.name == "denial.auroc")
