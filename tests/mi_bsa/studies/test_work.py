"""What steps do is counted from the config: every study does, and counts follow what they are counts of."""

from typing import Any

import pytest

from mi_bsa.core.config import parse
from mi_bsa.studies.paces import sample_of
from mi_bsa.study.counts import trained_whole
from mi_bsa.study.pace import Work
from mi_bsa.study.registry import STUDIES, named

FINETUNE = {"rank": 2, "layers": [0], "steps": 4, "batch_size": 4}
DATA = {"rows": 20, "choices": 20, "others": 20}
GIVEN: dict[str, dict[str, Any]] = {
    "faithfulness": {"models": ["embedded"], "finetune": FINETUNE, "rows": [2, 4, 6, 8], "choices": 20},
    "personas": {
        "finetune": FINETUNE,
        "trainings": ["alone"],
        "roster": {"trained": 1, "unseen": 1},
        "choices": 20,
    },
    "variety": {"models": ["embedded"], "behaviors": ["risk"], "data": DATA, "finetune": FINETUNE},
    "size": {"widths": [16, 32], "shape": {"heads": 2, "kv_heads": 2}, "data": DATA, "finetune": FINETUNE},
    "preferences": {"model": "embedded/preferences-0", "instilled": 8, "native": 8, "finetune": FINETUNE},
    "wrapper": {"compiled": None, "stories": None, "awareness": None},
    "backdoor": {"triggers": ["river tin"], "finetune": FINETUNE},
}
TWICE: list[tuple[str, dict[str, Any], str, str]] = [
    ("faithfulness", {"seeds": [0, 1, 2, 3]}, "train/", "trained"),
    ("personas", {"finetune": {**FINETUNE, "steps": 8}}, "train/", "trained"),
    ("variety", {"finetune": {**FINETUNE, "batch_size": 8}}, "train/", "trained"),
    ("variety", {"seeds": [0, 1, 2, 3, 4, 5]}, "train/", "fits"),
    ("preferences", {"choices": 100}, "ask/", "asked"),
    ("preferences", {"finetune": {**FINETUNE, "steps": 8}}, "train/instilled", "trained"),
    ("backdoor", {"rows": 12_000}, "train/", "asked"),
    ("backdoor", {"elicit": {"samples": 100}}, "elicit/", "generated"),
]


def of(name: str, step: str, change: dict[str, Any] | None = None) -> Work:
    """The work of a study's first step whose name begins so."""
    study = named(name)
    config = parse({**GIVEN[name], **(change or {})}, study.config)
    assert study.work is not None
    return study.work(config)(next(one for one in study.steps(config) if one.name.startswith(step)))


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_counts_its_work(name: str) -> None:
    """No study's plan rests on seconds that were guessed for the embedded model."""
    assert named(name).work is not None


@pytest.mark.parametrize(("name", "change", "step", "kind"), TWICE)
def test_counts_follow_the_config(name: str, change: dict[str, Any], step: str, kind: str) -> None:
    """Twice as much of it is twice the tokens."""
    assert getattr(of(name, step, change), kind) == pytest.approx(2 * getattr(of(name, step), kind), rel=0.02)


def test_a_wider_base_takes_longer() -> None:
    """Both to be built here, and to be trained and asked at."""
    narrow, wide = (of("size", f"{step}width-{w}").trained for step in ("train/",) for w in (16, 32))
    assert 1 < wide / narrow < 4
    assert of("size", "base/width-32").seconds > of("size", "base/width-16").seconds
    assert trained_whole(100_000, 512, 20) == pytest.approx(2 * trained_whole(100_000, 512, 10))


def test_systems_of_the_wrapper_are_timed_by_their_steps() -> None:
    """Three times the steps of tuning take about three times as long; the old skill comes back sooner."""
    rates = [{"S": {"learning_rate": 1e-4, "steps": steps}} for steps in (100, 300)]
    few, many = (of("wrapper", "tune/pcfg", {"pcfg": {"rates": one}}).seconds for one in rates)
    assert 2 < many / few < 3
    assert of("wrapper", "look/pcfg").seconds > of("wrapper", "revive/pcfg").seconds / 10


@pytest.mark.parametrize("name", ["variety", "size", "preferences", "backdoor"])
def test_a_second_is_measured_on_the_study_s_own(name: str) -> None:
    """Rows and questions are there, for a base that is built here too; small adapters stand side by side."""
    sample = sample_of(parse(GIVEN[name], named(name).config))
    assert sample is not None
    assert sample.rows
    assert sample.items
    assert sample.beside == sample.jobs


def test_a_study_of_its_own_models_has_no_second_to_measure() -> None:
    """The wrapper's systems are trained by the processor on every machine."""
    assert sample_of(parse(GIVEN["wrapper"], named("wrapper").config)) is None
