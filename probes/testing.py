"""Testing: the laws that every estimator and every direction must keep, for those of the table and for yours.

A test subclasses a suite and provides its fixture: `method`, a `probes.methods.Method`
(``Method("mine:MyProbe", "what it finds")``), or `direction`, a `Direction`. `ProbeLaws` is for estimators
that tell classes apart, `FinderLaws` for others that find a direction, `EraserLaws` for those that take
something out, `BlockLaws` for those that read several rows an example. tests/contract/test_estimators.py
runs them over the whole table.

All worlds here are planted: rows of unit noise about an offset, and one unit vector along which a label is
written.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probes.block_laws import BlockLaws as BlockLaws
from probes.direction_laws import DirectionLaws as DirectionLaws
from probes.directions import Direction
from probes.errors import DirectionError, ProbesError
from probes.linear import fit_many
from probes.methods import Method, TargetKind
from probes.moments import Slices
from probes.probe import Probe

SITE = "resid_post.3"
SURE = 4.0
"""Standard errors that a random quantity may lie off: one run in 16,000 by chance, and seeds are fixed."""
CONTRACT = """
import importlib, sys, warnings
from sklearn.utils.estimator_checks import check_estimator

warnings.simplefilter("ignore")
module, name = sys.argv[1].split(":")
made = getattr(importlib.import_module(module), name)(**eval(sys.argv[2]))
found = check_estimator(made, on_fail=None, on_skip=None)
failed = {r["check_name"]: repr(r["exception"]) for r in found if r["status"] not in ("passed", "skipped")}
assert len(found) > 40 and not failed, failed
"""


@dataclass(frozen=True, eq=False)
class World:
    """Rows, their label (None for differences), and the unit vector along which it is written."""

    x: np.ndarray
    y: Any
    unit: np.ndarray

    @classmethod
    def of(
        cls, kind: TargetKind, *, seed: int = 0, n: int = 600, d: int = 12, strength: float = 1.5
    ) -> "World":
        """A planted world of one kind."""
        rng = np.random.default_rng(seed)
        unit = rng.normal(size=d)
        unit /= np.linalg.norm(unit)
        noise = rng.normal(size=(n, d))
        if kind == "differences":  # an offset would itself be what differences have in common
            return cls(noise + strength * unit, None, unit)
        y = rng.uniform(-2, 2, size=n) if kind == "numbers" else rng.permutation(n) % 2
        side = y if kind == "numbers" else 2 * y - 1
        return cls(noise + strength * np.outer(side, unit) + 5, y, unit)

    def turned(self, kind: TargetKind) -> "World":
        """The same world with the label's ends exchanged."""
        if self.y is None:
            return World(-self.x, None, self.unit)
        return World(self.x, -self.y if kind == "numbers" else 1 - self.y, self.unit)

    def meaningless(self, rng: np.random.Generator) -> "World":
        """The same rows with labels that mean nothing: exchanged between rows; differences in random
        order."""
        if self.y is None:
            return World(self.x * rng.choice([-1.0, 1.0], size=len(self.x))[:, None], None, self.unit)
        return World(self.x, rng.permutation(self.y), self.unit)

    def part(self, rows: Any) -> "World":
        """Some of the rows."""
        return World(self.x[rows], None if self.y is None else self.y[rows], self.unit)


def learnt(fitted: Any) -> np.ndarray:
    """What a fit found, whatever the estimator calls it, as a matrix [direction, d_model]."""
    name = next(n for n in ("coef_", "components_", "removal_") if hasattr(fitted, n))
    return np.atleast_2d(getattr(fitted, name))


class EstimatorLaws:
    """What every estimator must do. A test subclasses it and provides the fixture `method`."""

    tolerance = 1e-8
    """Agreement that a closed form owes; one that iterates to a rule (`method.penalty`) owes `iterated`."""
    iterated = 3e-3

    def close(self, method: Method, one: Any, other: Any) -> None:
        """Equal within what the method owes, in units of the larger entries."""
        owed = self.iterated if method.penalty == "C" else self.tolerance
        size = max(1e-12, float(np.abs(other).max()))
        np.testing.assert_allclose(one, other, rtol=0, atol=owed * size)

    def fit(self, method: Method, world: World) -> Any:
        """A fresh fit."""
        return method.estimator().fit(world.x, world.y)

    def test_it_keeps_scikit_learns_contract(self, method: Method) -> None:
        """scikit-learn's own suite, in a process of its own: it hands senseless parameters to `__init__`,
        which the type checks of a test run refuse."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        words = [sys.executable, "-c", CONTRACT, method.home, repr(dict(method.options))]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr[-2000:]

    def test_nothing_that_was_given_is_changed_and_a_second_fit_forgets_the_first(
        self, method: Method
    ) -> None:
        """Rows and labels stay as they were; fitting again on other rows gives what a fresh one gives."""
        world, other = World.of(method.kind), World.of(method.kind, seed=1)
        before = world.x.copy(), None if world.y is None else world.y.copy()
        again = method.estimator().fit(other.x, other.y).fit(world.x, world.y)
        np.testing.assert_array_equal(world.x, before[0])
        np.testing.assert_array_equal(world.y, before[1])
        np.testing.assert_array_equal(learnt(again), learnt(self.fit(method, world)))

    def test_the_order_of_rows_does_not_matter(self, method: Method) -> None:
        """The same rows in another order, and, without a penalty, every row twice, give the same fit."""
        world = World.of(method.kind)
        fitted = learnt(self.fit(method, world))
        order = np.random.default_rng(0).permutation(len(world.x))
        self.close(method, learnt(self.fit(method, world.part(order))), fitted)
        if method.penalty is None:
            self.close(method, learnt(self.fit(method, world.part(np.repeat(order, 2)))), fitted)

    def test_units_and_origin_of_the_rows_do_not_matter(self, method: Method) -> None:
        """Rows times 8, moved far away, give the same directions; differences have an origin of their own."""
        world = World.of(method.kind)
        moved = World(8 * world.x + (0 if world.y is None else 100), world.y, world.unit)
        here, there = (learnt(self.fit(method, w)) for w in (world, moved))
        one, other = (m / np.linalg.norm(m, axis=1, keepdims=True) for m in (here, there))
        self.close(method, other, one)

    def test_slices_give_what_all_rows_give(self, method: Method) -> None:
        """Rows read in slices of 37 give the fit that all rows at once give."""
        world = World.of(method.kind, n=240)
        if world.y is None:
            slices: Any = [world.x[i : i + 37] for i in range(0, 240, 37)]
        else:
            slices = Slices(lambda rows: world.x[rows], world.y, size=37)
        self.close(method, learnt(method.estimator().fit_stream(slices)), learnt(self.fit(method, world)))

    def test_bad_rows_and_labels_are_refused_in_one_line(self, method: Method) -> None:
        """NaN, infinite rows and constant labels: an error of ours, one line, in a fit and after it."""
        world = World.of(method.kind, n=60)
        fitted = self.fit(method, world)
        use = getattr(fitted, "transform", None) or fitted.predict
        for bad in (np.nan, np.inf):
            broken = world.x.copy()
            broken[7, 2] = bad
            for call in (lambda: method.estimator().fit(broken, world.y), lambda: use(broken)):  # noqa: B023
                with pytest.raises(ProbesError, match=r"1 of 60 rows .*\(rows \[7\]\); drop") as caught:
                    call()
                assert "\n" not in str(caught.value)
        if world.y is not None:
            constant = np.zeros(len(world.x), dtype=world.y.dtype)
            with pytest.raises(ProbesError) as caught:
                method.estimator().fit(world.x, constant)
            assert "constant" in str(caught.value)
            assert "\n" not in str(caught.value)


class FinderLaws(EstimatorLaws):
    """What every estimator that finds a direction must do besides."""

    draws = 30
    """Shuffles behind the law of labels that mean nothing."""

    def found(self, method: Method, world: World) -> Direction:
        """The direction of a fresh fit."""
        return self.fit(method, world).direction(SITE)

    def test_a_planted_direction_is_found(self, method: Method) -> None:
        """Cosine with the planted unit vector above .97, on the side of the second class or larger
        numbers."""
        for seed in range(3):
            world = World.of(method.kind, seed=seed, n=1500)
            assert self.found(method, world).vector @ world.unit > 0.97

    def test_labels_that_mean_nothing_are_read_at_chance(self, method: Method) -> None:
        """Fitted on labels without meaning, held-out labels without meaning are read at chance, on average
        and within the spread of chance."""
        world, rng = World.of(method.kind, n=400), np.random.default_rng(0)
        z = []
        for _ in range(self.draws):
            drawn = world.meaningless(rng)
            direction = self.found(method, drawn.part(slice(0, 200)))
            score = drawn.x[200:] @ direction.vector
            if drawn.y is None:  # as many differences on the positive side as on the other
                z.append((2 * (score > 0).mean() - 1) * np.sqrt(len(score)))
            else:
                z.append(np.corrcoef(score, drawn.y[200:])[0, 1] * np.sqrt(len(score)))
        assert abs(np.mean(z)) < SURE / np.sqrt(self.draws)
        assert np.mean(np.square(z)) < 1 + SURE * np.sqrt(2 / self.draws)

    def test_exchanged_ends_turn_the_direction(self, method: Method) -> None:
        """Exchanging the classes (the sign of the numbers, of the differences) negates the vector, not its
        words: the positive end is always that of the larger label."""
        world = World.of(method.kind)
        one, other = self.found(method, world), self.found(method, world.turned(method.kind))
        self.close(method, other.vector, -one.vector)
        assert one.sign == other.sign

    def test_units_of_single_features_do_not_matter_where_it_standardizes(self, method: Method) -> None:
        """Features in other units, and a model with `standardize=True`: what is read from the rows is the
        same."""
        if not method.estimator().get_params().get("standardize"):
            return  # one without the parameter makes no such promise: massive dimensions weigh more there
        world = World.of(method.kind)
        units = 2.0 ** (np.arange(world.x.shape[1]) % 7 - 3)
        other = World(world.x * units, world.y, world.unit)
        here, there = (
            getattr(fitted, "decision_function", fitted.predict)(w.x)
            for w, fitted in ((w, self.fit(method, w)) for w in (world, other))
        )
        self.close(method, there, here)

    def test_rows_that_are_all_alike_have_no_direction(self, method: Method) -> None:
        """Where no row differs from another (and no difference from zero), a direction is refused, not made
        up."""
        world = World.of(method.kind, n=60)
        alike = World(np.full_like(world.x, 0.0 if world.y is None else 5.0), world.y, world.unit)
        with pytest.raises(DirectionError, match="zero"):
            self.found(method, alike)

    def test_the_direction_is_a_unit_vector_that_says_where_it_came_from(self, method: Method) -> None:
        """Norm 1, the length of what was fitted beside it; site and method are known."""
        fitted = self.fit(method, World.of(method.kind))
        direction = fitted.direction(SITE, scale=2.5, provenance={"label": "pole"})
        assert np.linalg.norm(direction.vector) == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(direction.raw, learnt(fitted)[0], rtol=1e-12)
        assert (direction.site, direction.scale) == (SITE, 2.5)
        assert direction.provenance["label"] == "pole"
        assert direction.provenance["method"] == type(fitted).__name__

    def test_a_direction_that_is_saved_is_loaded_again(self, method: Method, tmp_path: Path) -> None:
        """safetensors and JSON, equal to rounding (its length is taken anew); nothing is pickled."""
        direction = self.found(method, World.of(method.kind))
        direction.save(tmp_path / "direction")
        np.testing.assert_allclose(Direction.load(tmp_path / "direction").raw, direction.raw, rtol=1e-14)
        assert {p.suffix for p in tmp_path.iterdir()} == {".safetensors", ".json"}


class ProbeLaws(FinderLaws):
    """What every estimator that tells classes apart must do besides."""

    def test_the_positive_end_bears_the_name_of_the_second_class(self, method: Method) -> None:
        """Labels are words here: decisions above zero are of the later word, which the direction names."""
        world = World.of(method.kind)
        words = np.array(["calm", "wild"])[world.y]
        fitted = method.estimator().fit(world.x, words)
        assert fitted.direction(SITE).sign == "towards wild"
        assert (fitted.predict(world.x) == words).mean() > 0.9
        above = fitted.decision_function(world.x) > 0
        np.testing.assert_array_equal(fitted.predict(world.x) == "wild", above)

    def test_many_at_once_equal_one_by_one(self, method: Method) -> None:
        """Training sets of unequal size, label columns and penalties in one call give what single fits
        give."""
        rng = np.random.default_rng(0)
        worlds = [World.of("classes", n=n, seed=n) for n in (150, 90)]
        xs = [w.x for w in worlds]
        # the planted label, one without meaning, and one of unequal classes, which a threshold must know
        ys = [
            np.stack([w.y, rng.permutation(w.y), rng.permutation(len(w.y)) < 30], axis=1).astype(int)
            for w in worlds
        ]
        grid = [0.01, 1.0] if method.penalty else [float("nan")]
        found = fit_many(method.estimator(), xs, ys, grid, penalty=method.penalty)
        for x, y, fits in zip(xs, ys, found, strict=True):
            assert fits.coef.shape == (len(grid), 3, x.shape[1])
            for p, penalty in enumerate(grid):
                for t in range(3):
                    alone = method.estimator(penalty).fit(x, y[:, t])
                    decision = x @ fits.coef[p, t] + fits.intercept[p, t]
                    self.close(method, decision, alone.decision_function(x))

    def test_a_probe_that_is_saved_is_loaded_again(self, method: Method, tmp_path: Path) -> None:
        """Weights, classes, site and scale, equal to the last bit, and the same decisions; nothing is
        pickled."""
        world = World.of(method.kind)
        fitted = self.fit(method, world)
        probe = Probe.of(fitted, SITE, scale=3.0, provenance={"label": "pole"})
        probe.save(tmp_path / "probe")
        again = Probe.load(tmp_path / "probe")
        assert (again.classes, again.site, again.scale) == ((0, 1), SITE, 3.0)
        np.testing.assert_array_equal(again.decision(world.x), probe.decision(world.x))
        np.testing.assert_allclose(again.decision(world.x), fitted.decision_function(world.x), rtol=1e-9)
        assert {p.suffix for p in tmp_path.iterdir()} == {".safetensors", ".json"}


class EraserLaws(EstimatorLaws):
    """What every estimator that takes out what can be read of a label must do besides."""

    def test_nothing_linear_is_left_and_the_rest_stays(self, method: Method) -> None:
        """Class means agree after erasure, the common mean and other directions stay, and twice is once."""
        world = World.of(method.kind)
        fitted = self.fit(method, world)
        erased = fitted.transform(world.x)
        gap = erased[world.y == 1].mean(0) - erased[world.y == 0].mean(0)
        np.testing.assert_allclose(gap, 0, atol=1e-8)
        np.testing.assert_allclose(erased.mean(0), world.x.mean(0), atol=1e-8)
        moved = erased - world.x
        along = moved @ world.unit
        assert (along**2).sum() > 0.97 * (moved**2).sum()
        np.testing.assert_allclose(fitted.transform(erased), erased, atol=1e-8)

    def test_labels_that_mean_nothing_take_nothing_else_out(self, method: Method) -> None:
        """Erasing shuffled labels leaves the planted one as readable as it was."""
        world = World.of(method.kind)
        fitted = self.fit(method, world.meaningless(np.random.default_rng(0)))
        gap = [
            x[world.y == 1].mean(0) - x[world.y == 0].mean(0) for x in (world.x, fitted.transform(world.x))
        ]
        assert np.linalg.norm(gap[1]) > 0.9 * np.linalg.norm(gap[0])

    def test_exchanged_classes_are_erased_alike(self, method: Method) -> None:
        """What is taken out has no sign."""
        world = World.of(method.kind)
        self.close(
            method, learnt(self.fit(method, world.turned(method.kind))), learnt(self.fit(method, world))
        )
