"""Every registered study keeps the laws of studies, in its smallest form."""

import pytest

from mi_bsa.study.registry import STUDIES
from mi_bsa.study.testing import StudyLaws

SLOW = ("variety", "size", "preferences", "audit", "denial", "report_adapter", "blind")
"""Half a minute and more, or alike another: `blind` is a grid as `mixing` is."""


@pytest.fixture(
    params=[pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in STUDIES],
)
def name(request):
    """A registered study."""
    return request.param


class TestEveryStudy(StudyLaws):
    @pytest.fixture
    def reference(self, name):
        return STUDIES[name]

    @pytest.fixture
    def given(self, name, smallest):
        return smallest(name).given

    @pytest.fixture
    def finished(self, name, smallest):
        return smallest(name).finished
