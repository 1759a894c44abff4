"""Every estimator of the table, and every kind of direction, passes the suites that users run too."""

import numpy as np
import pytest

from probes import METHODS, Direction, null_directions, testing
from probes.methods import Method


@pytest.fixture
def method(request: pytest.FixtureRequest) -> Method:
    """The method of the name that a class is parametrized by."""
    return METHODS[request.param]


def of(*kinds: str) -> list[str]:
    """Names in the table."""
    return [name for name, method in METHODS.items() if method.kind in kinds]


@pytest.mark.parametrize("method", of("classes"), indirect=True)
class TestProbes(testing.ProbeLaws):
    """Estimators that tell classes apart."""


@pytest.mark.parametrize("method", of("numbers", "differences"), indirect=True)
class TestFinders(testing.FinderLaws):
    """Others that find a direction."""


@pytest.mark.parametrize("method", of("erasure"), indirect=True)
class TestErasers(testing.EraserLaws):
    """Estimators that take something out."""


@pytest.mark.parametrize("method", of("blocks"), indirect=True)
class TestBlocks(testing.BlockLaws):
    """Estimators that read several rows an example."""


MADE = {
    "given": lambda like, rows: like,
    "sum": lambda like, rows: like + Direction(rows[0], like.site),
    "random": lambda like, rows: null_directions("random", like, n=1)[0],
    "random_difference": lambda like, rows: null_directions(
        "random_difference", like, n=1, rows=rows, units=np.arange(len(rows)) // 3
    )[0],
    **{
        name: lambda like, rows, name=name: (
            METHODS[name]
            .estimator()
            .fit(rows, None if METHODS[name].kind == "differences" else np.arange(len(rows)) % 2)
            .direction(like.site, scale=like.scale)
        )
        for name in of("classes", "numbers", "differences")
    },
}


@pytest.mark.parametrize("direction", MADE, indirect=True)
class TestDirections(testing.DirectionLaws):
    """Directions by hand, by arithmetic, of either null, and of every estimator."""

    @pytest.fixture
    def direction(self, request: pytest.FixtureRequest) -> Direction:
        """Made in one way."""
        rng = np.random.default_rng(0)
        like = Direction(rng.normal(size=16), "resid_post.7", "seeking", 3.5, {"n": 12, "seeds": [1, 2]})
        return MADE[request.param](like, rng.normal(size=(60, 16)))
