"""The laws that every direction must keep, whatever found it; `probes.testing` has them beside those of
estimators."""

from pathlib import Path

import numpy as np
import pytest

from probes.directions import Direction
from probes.errors import DirectionError


class DirectionLaws:
    """What every direction must do, whatever found it. A test subclasses it and provides the fixture
    `direction`."""

    def test_it_has_norm_one_and_keeps_its_length(self, direction: Direction) -> None:
        """`vector` has norm 1 and `raw` is what was given: the vector with its length."""
        assert np.linalg.norm(direction.vector) == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(np.linalg.norm(direction.raw), direction.length, rtol=1e-12)
        again = Direction(direction.raw, direction.site)
        np.testing.assert_allclose(again.raw, direction.raw, rtol=1e-12)

    def test_it_can_not_be_changed(self, direction: Direction) -> None:
        """A frozen value: its vector is read-only."""
        with pytest.raises(ValueError, match="read-only"):
            direction.vector[0] = 1

    def test_arithmetic_acts_on_the_vector_with_its_length(self, direction: Direction) -> None:
        """Sums and differences are those of raw vectors; the negative has cosine -1, the same length and a
        sign convention that says so; a direction less itself is none."""
        other = Direction(np.random.default_rng(71).normal(size=direction.d_model), direction.site)
        np.testing.assert_allclose((direction + other).raw, direction.raw + other.raw, atol=1e-12)
        np.testing.assert_allclose((direction - other).raw, direction.raw - other.raw, atol=1e-12)
        assert direction.cosine(-direction) == pytest.approx(-1)
        assert (-direction).length == pytest.approx(direction.length)
        assert (-direction).sign == f"opposite of: {direction.sign}"
        assert (3 * direction).cosine(direction) == pytest.approx(1)
        with pytest.raises(DirectionError, match="zero vector"):
            direction - direction

    def test_rows_move_along_it_by_what_is_added(self, direction: Direction) -> None:
        """Adding k unit vectors to a row moves its projection by k; rows of another width are refused."""
        rows = np.random.default_rng(71).normal(size=(5, direction.d_model))
        moved = direction.project(rows + 3 * direction.vector) - direction.project(rows)
        np.testing.assert_allclose(moved, 3, rtol=1e-9)
        with pytest.raises(DirectionError, match="read the same site"):
            direction.project(rows[:, :-1])

    def test_what_is_orthogonal_is_left_when_another_is_taken_out(self, direction: Direction) -> None:
        """Without another direction, its cosine with that one is 0; without itself, nothing is left."""
        other = Direction(np.random.default_rng(71).normal(size=direction.d_model), direction.site)
        assert direction.without(other).cosine(other) == pytest.approx(0, abs=1e-9)
        with pytest.raises(DirectionError, match="parallel"):
            direction.without(2 * direction)

    def test_another_site_does_not_mix(self, direction: Direction) -> None:
        """Sums and cosines with a direction of another site are refused."""
        elsewhere = Direction(direction.raw, "resid_post.99")
        for mix in (direction.cosine, direction.without, direction.__add__, direction.__sub__):
            with pytest.raises(DirectionError, match="fit both there"):
                mix(elsewhere)

    def test_it_is_saved_whole_and_never_over_another(self, direction: Direction, tmp_path: Path) -> None:
        """Loaded again it is equal in every field (numbers to rounding, as its length is taken anew); an
        existing file is kept, changed bytes are refused, and nothing is pickled."""
        tensors = direction.save(tmp_path / "one")
        again = Direction.load(tmp_path / "one")
        np.testing.assert_allclose(again.raw, direction.raw, rtol=1e-14)
        for name in ("site", "sign", "scale", "provenance"):
            assert getattr(again, name) == getattr(direction, name)
        assert {p.suffix for p in tmp_path.iterdir()} == {".safetensors", ".json"}
        with pytest.raises(DirectionError, match="choose another name"):
            direction.save(tmp_path / "one")
        changed = bytearray(tensors.read_bytes())
        changed[-1] ^= 1
        tensors.write_bytes(changed)
        with pytest.raises(DirectionError, match="bytes have changed"):
            Direction.load(tmp_path / "one")
