"""The laws of probes of several rows at once (`probes.blocks`): for those of the table and for yours.

A test subclasses `BlockLaws` and provides the fixture `method`, a `Method` of kind "blocks". All worlds are
planted: four rows an example of unit noise about an offset, groups that hold both classes, and a label that
is written on one of the rows, which bears a mark.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from probes.errors import ProbesError
from probes.methods import Method
from probes.scores import auroc_many


@dataclass(frozen=True, eq=False)
class Blocks:
    """Examples [example, row, d_model], labels, and the groups that they share."""

    x: np.ndarray
    y: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(
        cls, *, seed: int = 0, n: int = 240, rows: int = 4, d: int = 10, strength: float = 1.5, at: Any = 1
    ) -> "Blocks":
        """A planted world; `at` is the row that bears mark and label, one for all or one an example."""
        rng = np.random.default_rng(seed)
        y = np.arange(n) % 2
        x = rng.normal(size=(n, rows, d)) + 5
        where = np.broadcast_to(at, n)
        x[np.arange(n), where, 0] += strength * (2 * y - 1)
        x[np.arange(n), where, 1] += 4  # what an attention probe can look for
        return cls(x, y, np.arange(n) // 2 % 12)

    def part(self, chosen: Any) -> "Blocks":
        """Some of the examples."""
        return Blocks(self.x[chosen], self.y[chosen], self.groups[chosen])


def fit(method: Method, world: Blocks, **more: Any) -> Any:
    """A fresh fit."""
    return method.estimator().fit(world.x, world.y, groups=world.groups, **more)


def score(fitted: Any, world: Blocks) -> float:
    """AUROC."""
    return float(auroc_many(world.y[None], fitted.decision_function(world.x)[None])[0])


class BlockLaws:
    """What every probe of several rows at once must do. A test subclasses it and provides the fixture
    `method`."""

    owed = 2e-3
    """Agreement of decisions, in units of their spread: both kinds of fit iterate to a rule."""

    def close(self, one: np.ndarray, other: np.ndarray) -> None:
        """Equal decisions within what is owed."""
        np.testing.assert_allclose(one, other, rtol=0, atol=self.owed * float(other.std()))

    def test_parameters_are_kept_verbatim(self, method: Method) -> None:
        """`get_params` gives what was given, a clone has the same and nothing learnt."""
        world = Blocks.of(n=48)
        made = method.estimator().fit(world.x, world.y)
        again = clone(made)
        assert again.get_params() == made.get_params()
        assert not hasattr(again, "classes_")

    def test_nothing_given_is_changed_a_second_fit_forgets_the_first_and_a_seed_repeats_it(
        self, method: Method
    ) -> None:
        """Examples and labels stay; fitting again after other examples gives a fresh fit to the last bit."""
        world, other = Blocks.of(n=96), Blocks.of(n=96, seed=1)
        before = world.x.copy(), world.y.copy()
        again = method.estimator().fit(other.x, other.y).fit(world.x, world.y, groups=world.groups)
        np.testing.assert_array_equal(world.x, before[0])
        np.testing.assert_array_equal(world.y, before[1])
        fresh = fit(method, world)
        np.testing.assert_array_equal(again.decision_function(world.x), fresh.decision_function(world.x))

    def test_a_planted_label_is_read_on_new_groups(self, method: Method) -> None:
        """AUROC above .9 on groups that the fit did not see, where one row of four has the label."""
        world = Blocks.of()
        new = world.groups >= 8
        assert score(fit(method, world.part(~new)), world.part(new)) > 0.9

    def test_labels_that_mean_nothing_are_read_at_chance(self, method: Method) -> None:
        """Fitted on labels without meaning, new ones are read at chance on average."""
        rng, found = np.random.default_rng(0), []
        for seed in range(8):
            world = Blocks.of(seed=seed, n=160)
            drawn = Blocks(world.x, rng.permutation(world.y), world.groups)
            found.append(score(fit(method, drawn.part(slice(0, 80))), drawn.part(slice(80, 160))))
        assert abs(np.mean(found) - 0.5) < 4 * 0.065 / np.sqrt(8)  # .065: an AUROC of 40 against 40

    def test_the_order_of_examples_does_not_matter(self, method: Method) -> None:
        """The same examples in another order give the same decisions, since folds go by groups."""
        world = Blocks.of(n=96)
        order = np.random.default_rng(0).permutation(96)
        there = fit(method, world.part(order)).decision_function(world.x)
        self.close(there, fit(method, world).decision_function(world.x))

    def test_units_and_origin_do_not_matter(self, method: Method) -> None:
        """Features in other units and moved give the same decisions."""
        world = Blocks.of(n=96)
        units = 2.0 ** (np.arange(world.x.shape[2]) % 5 - 2)
        moved = Blocks(world.x * units + 30, world.y, world.groups)
        there = fit(method, moved).decision_function(moved.x)
        self.close(there, fit(method, world).decision_function(world.x))

    def test_exchanged_classes_negate_the_decision(self, method: Method) -> None:
        """Above zero is always the second class, whose name `predict` gives."""
        world = Blocks.of(n=96)
        fitted = fit(method, world)
        turned = fit(method, Blocks(world.x, 1 - world.y, world.groups))
        self.close(-turned.decision_function(world.x), fitted.decision_function(world.x))
        words = np.array(["calm", "wild"])[world.y]
        named = method.estimator().fit(world.x, words, groups=world.groups)
        above = named.decision_function(world.x) > 0
        np.testing.assert_array_equal(named.predict(world.x) == "wild", above)
        np.testing.assert_allclose(named.predict_proba(world.x)[above, 1] > 0.5, True)
        assert (named.predict(world.x) == words).mean() > 0.85

    def test_rows_that_are_not_there_change_nothing_or_are_refused(self, method: Method) -> None:
        """Whatever stands in padding, NaN too; an estimator that needs every row refuses a mask with
        holes."""
        world = Blocks.of(n=96)
        wider = np.concatenate([world.x, np.full_like(world.x[:, :2], np.nan)], axis=1)
        mask = np.broadcast_to(np.arange(6) < 4, (96, 6))
        if method.estimator().rows == "layers":
            with pytest.raises(ProbesError, match="lack rows"):
                method.estimator().fit(wider, world.y, mask=mask)
            return
        here, there = fit(method, world), method.estimator()
        there.fit(wider, world.y, mask=mask, groups=world.groups)
        self.close(there.decision_function(wider, mask=mask), here.decision_function(world.x))

    def test_bad_examples_are_refused_in_one_line(self, method: Method) -> None:
        """Flat rows, NaN, a constant label, masks and groups of another shape, one group: one line each."""
        world = Blocks.of(n=48)
        broken = world.x.copy()
        broken[7, 2, 1] = np.nan
        bad: list[tuple[str, Any]] = [
            ("several rows an", (world.x[:, 0], world.y, {})),
            ("1 of 48 rows", (broken, world.y, {})),
            ("constant", (world.x, np.zeros(48), {})),
            ("3 classes", (world.x, np.arange(48) % 3, {})),
            ("mask of shape", (world.x, world.y, {"mask": np.ones(48, bool)})),
            ("groups of shape", (world.x, world.y, {"groups": np.zeros(3)})),
            ("give finer groups", (world.x, world.y, {"groups": np.zeros(48)})),
        ]
        for said, (x, y, more) in bad:
            with pytest.raises(ProbesError, match=said) as caught:
                method.estimator().fit(x, y, **more)
            assert "\n" not in str(caught.value)
        fitted = fit(method, world)
        with pytest.raises(ProbesError, match="width"):
            fitted.decision_function(world.x[:, :, :3])

    def test_a_probe_that_is_saved_is_loaded_again(self, method: Method, tmp_path: Path) -> None:
        """The same decisions to the last bit; nothing is pickled, and another estimator's file is
        refused."""
        world = Blocks.of(n=48)
        fitted = fit(method, world)
        fitted.save(tmp_path / "probe")
        again = type(fitted).load(tmp_path / "probe")
        np.testing.assert_array_equal(again.decision_function(world.x), fitted.decision_function(world.x))
        np.testing.assert_array_equal(again.predict(world.x), fitted.predict(world.x))
        assert {p.suffix for p in tmp_path.iterdir()} == {".safetensors", ".json"}
        other: Any = type("Other", (type(fitted),), {})
        with pytest.raises(ProbesError, match="load it with that class"):
            other.load(tmp_path / "probe")
