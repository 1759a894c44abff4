"""What each step of a grid puts through its model, counted at each point, for the plan's time.

Law: a grid says what a point's runs are trained on and asked (`Content`), and nothing else is counted twice:
bases, training, asking and transfer cost the same in every grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mi_bsa.core.model_config import ModelLike
from mi_bsa.core.shape import shape_of
from mi_bsa.finetune.work import EMBEDDED, item_tokens, row_tokens
from mi_bsa.study.counts import asked, by_name, loading, relative, trained_whole
from mi_bsa.study.pace import Work
from mi_bsa.study.steps import Step
from mi_bsa.study.study import models_of

if TYPE_CHECKING:
    from mi_bsa.core.items import Item
    from mi_bsa.core.rows import TrainingRow
    from mi_bsa.studies.grid.grid import Grid, Point
    from mi_bsa.worlds.recipe import Shape

VOCABULARY = 1000
"""Words of such a world, about."""
ROW, DRAWN = 1e-4, 2.5e-4
"""Seconds in which a training row, and an item, is drawn and written."""


class Content(NamedTuple):
    """What stands at a point.

    Attributes:
        runs: how many.
        rows: training rows of one of them, or some. drawn: how many it has.
        sets: what can be asked there, by name of the set.
    """

    runs: int
    rows: Sequence[TrainingRow]
    drawn: int
    sets: Mapping[str, Sequence[Item]]


def work_of(grid: Grid, config: Any) -> Callable[[Step], Work]:
    """Every step's work."""
    found: dict[str, Work] = {}
    to, points = shape_of(next(models_of(config), EMBEDDED)), 0
    built: dict[str, Shape] = {}
    for at in grid.axes(config):
        if "ask" not in at.costs:
            plan = config.plan(**at.arguments)
            built[at.name] = plan.shape
            tokens = plan.recipe.rows * plan.recipe.row
            found[at.name] = Work(
                seconds=0.3 + trained_whole(parameters(plan.shape), tokens, plan.recipe.steps)
            )
            continue
        point = grid.point(config, **at.arguments)
        content = grid.content(config, point)
        base = built.get(point.built or "")
        factor = relative(parameters(base), base.layers, to) if base else _relative(point.base, to)
        items = [item for key in grid.asked or content.sets for item in content.sets[key]]
        found |= _of_point(config, at.name, content, items, point, factor)
        points += 1
        found |= {step.name: Work(seconds=DRAWN * len(items)) for step in grid.first}
    found["results"] = Work(seconds=0.2 + grid.result * points)
    return by_name(found)


def _of_point(
    config: Any, name: str, content: Content, items: Sequence[Item], point: Point, factor: float
) -> dict[str, Work]:
    plan = config.finetune.model_copy(update=dict(point.dose))
    base = EMBEDDED if point.built else point.base
    row, each = row_tokens(base, content.rows), item_tokens(base, items)
    trained = content.runs * plan.total_steps(content.drawn) * plan.batch_size * row
    found = {
        f"train/{name}": Work(
            trained=factor * trained, fits=content.runs, seconds=0.3 + ROW * content.runs * content.drawn
        ),
        f"ask/{name}": asked(factor * each, len(items), content.runs + 1, adapters=content.runs),
    }
    probe = getattr(config, "probe", None)
    if probe is not None:
        usual = type(probe)()
        shuffled = (probe.shuffles + probe.test_shuffles) / (usual.shuffles + usual.test_shuffles)
        cached = 5 * probe.prompts * content.runs
        found[f"transfer/{name}"] = Work(
            read=factor * each * cached, seconds=loading(content.runs) + 1 + 19 * shuffled
        )
    return found


def parameters(shape: Shape) -> int:
    """Of a base that is built here, about."""
    inside = shape.layers * (4 * shape.width**2 + 3 * shape.width * shape.mlp)
    return inside + VOCABULARY * shape.width


def _relative(base: ModelLike, to: Any) -> float:
    own = shape_of(base)
    return 1.0 if own.model == to.model else relative(own.parameters(), own.blocks, to)


__all__ = ["Content", "work_of"]
