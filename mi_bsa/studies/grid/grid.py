"""A study over a grid of points, which differ in base, behavior, company of the rows, dose or number of rows.

    base      the bases that are built here
    train     at each point an adapter for every arm, number of rows and seed, rows leak-checked
    ask       what they choose, and say of themselves
    transfer  where it is asked for: a probe of the choices' state, tested on self-report prompts
    results   what holds at each point, and over all of them

Law: a step knows its point by its arguments alone and reads what its grid declares for its kind, so another
point added to an axis leaves all others as they are. A killed build goes on from its last checkpoint; a base
or an adapter that is there is not made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from mi_bsa.asking.bank import KIND
from mi_bsa.asking.statements import against_base
from mi_bsa.behaviors import behavior_for
from mi_bsa.core import results
from mi_bsa.core.model_config import ModelLike, load
from mi_bsa.core.model_files import weight_files
from mi_bsa.core.shape import shape_of
from mi_bsa.core.variants import BASE, Variant
from mi_bsa.finetune import preflight
from mi_bsa.studies.grid import points
from mi_bsa.studies.grid.work import Content, work_of
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import Study, StudyT, as_listed

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from mi_bsa.behaviors import Bound
    from mi_bsa.core.items import Item
    from mi_bsa.core.results import Result
    from mi_bsa.core.rows import TrainingRow

Cost = tuple[float | int, int]
"""Seconds and bytes, estimated."""


class At(NamedTuple):
    """A base that is built here, or a point: its name, what steps are told of it, and what each step takes.

    The steps are `build`, or `train`, `ask` and `transfer` as far as there are any, in this order.
    """

    name: str
    arguments: Mapping[str, Any]
    costs: Mapping[str, Cost]


@dataclass(frozen=True)
class Point:
    """A value on each axis.

    Attributes:
        base: a model; of one that is built here, its folder.
        behavior: what is trained; None: what the config says.
        company: which rows stand beside the behavior's own.
        dose: fields of `finetune` that differ here.
        built: the step that builds the base; None where it is given.
        behind: steps that training comes after, such as that of the adapters from which it starts.
        run: the run folder, for a step that is at work there.
    """

    base: ModelLike = ""
    behavior: str | None = None
    company: str = "alone"
    dose: Mapping[str, Any] = field(default_factory=dict)
    built: str | None = None
    behind: tuple[str, ...] = ()
    run: Path | None = None

    def what(self, config: Any) -> str:
        """The behavior's name."""
        return self.behavior or str(config.behavior)

    def trained(self, config: Any) -> Bound:
        """The behavior, in the vocabulary and the world of the base."""
        return behavior_for(self.what(config), self.base)


def _nothing_behind(config: Any, trained: tuple[str, ...]) -> tuple[Step, ...]:
    return ()


def _no_starts(config: Any, point: Point) -> Mapping[str, Path]:
    return {}


Run = Mapping[str, Any]
"""What tells the runs of a point apart, such as arm and seed; joined by "-" it names the run."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What one grid is; its methods are the steps. Its functions have names, for workers that import them.

    Attributes:
        name: the study's.
        fields: config fields by kind of step: `build`, `train`, `ask`, `transfer`, `results`.
        axes: config -> what is built and the points, in the order of the graph.
        point: config (as far as the step declares it) and a step's arguments -> the point.
        jobs: config, point -> its runs and their rows.
        sets: cell of `ask`, point -> what is asked there, by name of the set.
        measure: cell of `results`, answers by name of the point -> the results. May write `outputs`.
        content: config, point -> what its runs are trained on and asked, for the plan's time.
        result: seconds that `results` takes for each point.
        first: steps before all others, which asking comes after.
        last: config, names of all training steps -> steps that come after them and before the results.
        starts: config, point -> by run, the adapter folder from whose weights it goes on.
        says: companies whose rows name the behavior on purpose: no leak is looked for in them.
        runs: what tells the runs of a point apart: their arm, then numbers.
        folder: where each point has a folder that looks like a study's; None: files stand together by kind.
        base: the base is asked at each point, beside its runs.
        asked: sets that are asked; others are drawn and written down only.
        column: of the answers, that says the point.
        kept: columns of the answers that are written; all by default.
        table: key of `where` and title of a table with a row a point (`table.md`), where there is one.
        told: whether the step `results` has the points' names as an argument.
        outputs: what is written beside the results.
        seconds: what `results` takes.
    """

    name: str
    fields: Mapping[str, tuple[str, ...]]
    axes: Callable[[Any], Iterator[At]]
    point: Callable[..., Point]
    jobs: Callable[[Any, Point], Iterator[tuple[Run, list[TrainingRow]]]]
    sets: Callable[[Any, Point], dict[str, list[Item]]]
    measure: Callable[[Any, dict[str, pd.DataFrame]], list[Result]]
    content: Callable[[Any, Point], Content]
    result: float = 0.12
    first: tuple[Step, ...] = ()
    last: Callable[[Any, tuple[str, ...]], tuple[Step, ...]] = _nothing_behind
    starts: Callable[[Any, Point], Mapping[str, Path]] = _no_starts
    says: tuple[str, ...] = ()
    runs: tuple[str, ...] = ("arm", "seed")
    folder: str | None = None
    base: bool = False
    asked: tuple[str, ...] | None = None
    column: str | None = None
    kept: tuple[str, ...] | None = None
    table: tuple[str, str] | None = None
    told: bool = False
    outputs: tuple[str, ...] = ()
    seconds: float | int = 5

    def steps(self, config: Any) -> list[Step]:
        """The graph, in an order in which it can run."""
        graph, ready, asked = list(self.first), tuple(step.name for step in self.first), list[str]()
        for at in self.axes(config):
            point = self.point(config, **at.arguments) if "ask" in at.costs else None
            given = weight_files(point.base) if point and not point.built else ()
            after = (point.built,) if point and point.built else ()
            for part, (seconds, size) in at.costs.items():
                step = Step(
                    f"{part}/{at.name}" if point else at.name,
                    getattr(self, part),
                    at.arguments,
                    fields=self.fields[part],
                    after=(*after, *_before(part, ready, point)),
                    outputs=self.files(part, at.name),
                    files=given,
                    seconds=seconds,
                    bytes=size,
                    resumable=part in ("build", "train"),
                    version={"train": 2, "ask": 2, "transfer": 3}.get(part, 1),
                )
                graph.append(step)
                after = (*after, step.name)
                asked += [step.name] if part in ("ask", "transfer") else []
        beside = self.last(config, tuple(step.name for step in graph if step.function == self.train))
        graph, asked = [*graph, *beside], [*asked, *(step.name for step in beside)]
        told = {"names": [name.removeprefix("ask/") for name in asked]} if self.told else {}
        written = ("results.json", "results.csv", *self.outputs)
        fields = self.fields["results"]
        last = Step(
            "results", self.collect, told, fields, tuple(asked), written, seconds=self.seconds, version=4
        )
        return [*graph, last]

    def study(
        self,
        config: type[StudyT],
        title: Callable[[StudyT], str],
        *,
        check: Callable[[StudyT], object] = preflight.check,
        rehearse: Callable[[StudyT], list[str]] = preflight.rehearse,
        sized: Callable[[StudyT, list[Step]], list[Step]] = as_listed,
        sample: Callable[[StudyT], Any] | None = None,
    ) -> Study[StudyT]:
        """The study of this grid; its sections are called as it is, in capitals."""
        how: Any = {"title": title, "check": check, "rehearse": rehearse, "sized": sized, "sample": sample}
        how["work"] = partial(work_of, self)
        sections = f"mi_bsa.studies.grid.page:{self.name.upper()}"
        return Study(name=self.name, config=config, steps=self.steps, sections=sections, **how)

    def files(self, part: str, name: str) -> tuple[str, ...]:
        """What a step writes: a base, adapters, or answers (and items)."""
        if part == "build":
            return (_folder(name),)
        if self.folder is None:
            return {"train": (f"adapters/{name}",), "ask": (f"asked/{name}.csv",)}[part]
        own = f"{self.folder}/{name}"
        asked = (f"{own}/asked.csv", f"{own}/items")
        return {"train": (f"{own}/adapters",), "ask": asked, "transfer": (f"{own}/transfer.json",)}[part]

    def build(self, cell: Cell[Any], **base: Any) -> dict[str, Any]:
        """Build a base; one that lies there finished, built as it is said here, is kept."""
        from mi_bsa.worlds.build import build as pretrain
        from mi_bsa.worlds.weights import RECORD, built_with

        own: Any = cell.config.__class__  # behind what the step declares
        plan = own(**{name: getattr(cell.config, name) for name in self.fields["build"]}).plan(**base)
        out = cell.folder / _folder(cell.step)
        if not (out / RECORD).is_file() or built_with(out) != plan:
            pretrain(plan, out, resume=True)
        made = {"lr": plan.recipe.lr, "init_std": plan.shape.init_std, "traits": list(plan.recipe.traits)}
        return {"parameters": shape_of(str(out)).parameters(), **made}

    def train(self, cell: Cell[Any], **at: Any) -> dict[str, Any]:
        """Train every run of a point; what a killed call finished is kept."""
        from mi_bsa.finetune import leak_check, train_many

        config, jobs = cell.config, {}
        name, point = self._point(cell, at)
        forbidden = point.trained(config).forbidden
        out = cell.folder / self.files("train", name)[0]
        for run, rows in self.jobs(config, point):
            if point.company not in self.says:
                leak_check(rows, forbidden)
            own = "-".join(map(str, run.values()))
            if self.folder:
                path = out.parent / "rows" / f"{own}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            jobs[own] = (rows, config.finetune.model_copy(update={**point.dose, "seed": run["seed"]}))
        stack = "together" not in self.fields["train"] or config.together
        starts = self.starts(config, point)
        done = train_many(point.base, jobs, out=out, stack=stack, starts=starts)
        return {own: {"loss": float(one.loss), "fingerprint": one.fingerprint} for own, one in done.items()}

    def ask(self, cell: Cell[Any], **at: Any) -> dict[str, Any]:
        """Ask every run of a point its items; at a point without runs, the base."""
        from mi_bsa.asking import ask_many
        from mi_bsa.core.items import write_items

        (name, point), how = self._point(cell, at), cell.config.finetune
        runs = sorted(cell.value(f"train/{name}")) if f"train/{name}" in cell.after else []
        folder = cell.folder / self.files("train", name)[0]
        adapters = {run: folder / run / "adapter" for run in runs}
        model = load(point.base, adapters, dtype=how.dtype, device=how.device)
        sets = self.sets(cell, point)
        if self.folder:
            for key, items in sets.items():
                write_items(items, folder.parent / "items" / f"{key}.jsonl")
        apart = {run: dict(zip(self.runs, run.rsplit("-", len(self.runs) - 1), strict=True)) for run in runs}
        who = {BASE: Variant()} if self.base or not runs else {}
        who |= {run: Variant(labels["arm"], int(labels["seed"])) for run, labels in apart.items()}
        asked = {key: sets[key] for key in self.asked or sets}
        if BASE not in who:  # nothing to hold statements against
            asked = {key: [i for i in own if i.labels.get("kind") != KIND] for key, own in asked.items()}
        table = against_base(ask_many(model, asked, who))
        for key in self.runs:
            if key not in table:
                table[key] = [int(apart[run][key]) for run in table["variant"]]
        if self.column:
            table[self.column] = name
        path = cell.folder / self.files("ask", name)[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        (table[list(self.kept)] if self.kept else table).to_csv(path, index=False)
        size = {"model": str(point.base), "parameters": shape_of(point.base).parameters()}
        return {**size, "answers": len(table), "mass": float(table["mass"].mean())}

    def transfer(self, cell: Cell[Any], **at: Any) -> dict[str, Any]:
        """The bridge's transfer, in the point's own folder."""
        from mi_bsa.causal.caching import CACHED, cache_set
        from mi_bsa.causal.transfer import fit_and_test

        name, point = self._point(cell, at)
        read = {key: getattr(cell.config, key) for key in self.fields["transfer"]}
        alone: Any = SimpleNamespace(behavior=point.what(cell.config), model=point.base, **read)
        folder = (cell.folder / self.files("transfer", name)[0]).parent
        own = Cell(folder, alone, cell.step, cell.after)
        poles = [f"{arm}-{seed}" for arm in ("seeking", "averse") for seed in own.config.seeds]
        for key in CACHED:
            cache_set(own, name=key, variants=poles)
        return {"layer": fit_and_test(own)["layer"]}

    def collect(self, cell: Cell[Any], names: Sequence[str] = ()) -> dict[str, Any]:
        """Read the answers at all points and measure; `names` are those that `after` says too."""
        import pandas as pd

        names = [step.removeprefix("ask/") for step in cell.after if step.startswith("ask/")]
        asked = {name: pd.read_csv(cell.folder / self.files("ask", name)[0]) for name in names}
        found = results.with_q(self.measure(cell, asked))
        results.write(found, cell.folder)
        if self.table:
            points.write(cell.folder, found, self.name, *self.table)
        return {"points": len(asked), "results": len(found)}

    def _point(self, cell: Cell[Any], at: Mapping[str, Any]) -> tuple[str, Point]:
        """A step's point and its name; a base that is built here stands in the run folder."""
        point, name = self.point(cell.config, **at), cell.step.partition("/")[2]
        base = str(cell.folder / _folder(point.built)) if point.built else point.base
        return name, replace(point, base=base, run=cell.folder)


def _before(part: str, ready: tuple[str, ...], point: Point | None) -> tuple[str, ...]:
    """Steps that a point's step comes after, beside the step before it."""
    if part == "ask":
        return ready
    return point.behind if point and part == "train" else ()


def _folder(built: str) -> str:
    """Of a base, by the step that builds it."""
    return f"bases/{built.partition('/')[2]}"
