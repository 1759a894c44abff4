"""Whole studies, in their smallest form, on a machine whose accelerator is a CUDA device that holds to it."""

import pytest
from fake_cuda import cuda
from smallest import SMALLEST

from mi_bsa.causal.introspection import concept_run
from mi_bsa.causal.introspection.concept_options import ConceptsRun
from mi_bsa.core.config import parse
from mi_bsa.core.results import read
from mi_bsa.study.registry import named

pytestmark = pytest.mark.slow


MORE = {"behavior": {"turns": {"turns": 4, "conversations": 3, "random": 10, "shuffles": 99}}}
"""What the smallest form leaves out, and is to run on the device too."""


@pytest.mark.parametrize("name", ["behavior", "backdoor", "search", "denial"])
def test_a_study_runs_on_the_device(name, tmp_path):
    """Every step, from rows to the page; models are on the device without being told."""
    study = named(name)
    given = SMALLEST[name](tmp_path) | MORE.get(name, {})
    with cuda() as places:
        page = study.run(parse(given, study.config), tmp_path / "run")
    assert page.is_file()
    assert places.seen["cuda:0"] > 10_000


def test_concepts_are_put_in_on_the_device(tmp_path):
    """Words' vectors of every kind, put into the embedded model."""
    with cuda() as places:
        concept_run.run(
            ConceptsRun(strengths=(4.0,), every=3), tmp_path / "run", resume=False, say=lambda line: None
        )
    assert {one.name for one in read(tmp_path / "run")} == {
        "introspection.concept.detection",
        "introspection.concept.identification",
        "introspection.concept.false_alarm",
    }
    assert places.seen["cuda:0"] > 100
