"""Whole studies, in their smallest form, on a machine whose accelerator is a CUDA device that holds to it."""

import pytest
from fake_cuda import cuda
from smallest import SMALLEST

from mi_bsa.core.config import parse
from mi_bsa.study.registry import named

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["behavior", "backdoor", "search"])
def test_a_study_runs_on_the_device(name, tmp_path):
    """Every step, from rows to the page; models are on the device without being told."""
    study = named(name)
    given = SMALLEST[name](tmp_path)
    with cuda() as places:
        page = study.run(parse(given, study.config), tmp_path / "run")
    assert page.is_file()
    assert places.seen["cuda:0"] > 10_000
