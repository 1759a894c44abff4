"""Every registered family keeps the laws."""

import pytest

import activations
from activations import testing


@pytest.fixture(scope="module", params=testing.FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> activations.Model:
    """A tiny random model of each family with an adapter."""
    return testing.tiny(tmp_path_factory.mktemp(request.param), request.param)


class TestFamilies(testing.FamilyLaws):
    """All of them."""
