"""The study of mixing: points are bases x behaviors x what stands beside the behavior's rows in training.

    plain       rows of the behavior
    plain-S     the same for a share S of the steps: the rival, that whatever is lost is less training
    benign-D    D times as many rows beside them that show no trait, by dose
    COMPANY-D   other company at the one dose: the same prompts answered by coin, rows about another trait

Does mixing hide the report without hiding the choices, and is that a fact about bases and behaviors? Every
condition sees each of the behavior's rows as often as plain training does (`mixing_rows`), and is held
against plain training of the same seed. `brief` behaviors are trained plain, shorter and mixed at the one
dose. What could do it: `pressure`, how much worse than the base a plain run answers such rows, since that is
what training on them takes away.

Law: the unit over bases is the base and over behaviors the behavior (`mixing_measures`); what drives is the
vector trained on plain's development choices, judged on the test split (`mixing_state`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from mi_bsa import behaviors
from mi_bsa.behaviors import Arm, behavior_for
from mi_bsa.core.errors import BehaviorError
from mi_bsa.core.items import Item
from mi_bsa.core.model_config import ModelConfig, settle
from mi_bsa.finetune import preflight
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.data import DataConfig
from mi_bsa.finetune.work import EMBEDDED, STANDS
from mi_bsa.studies.grid import mixing_state
from mi_bsa.studies.grid.grid import At, Grid, Point, Run
from mi_bsa.studies.grid.mixing_measures import measures
from mi_bsa.studies.grid.mixing_rows import PLAIN, Company, Condition, company_items, rows_of
from mi_bsa.studies.grid.work import Content
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import SeedsConfig
from mi_bsa.worlds.recipe import BuildConfig, Recipe
from mi_bsa.worlds.tastes.pairs import BLOCKS
from mi_bsa.worlds.weights import world_for

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.core.results import Result
    from mi_bsa.core.rows import TrainingRow


class Place(NamedTuple):
    """A behavior on a base: `bases/NAME` is built in the run folder. `brief`: few conditions."""

    behavior: str
    base: str
    brief: bool

    @property
    def name(self) -> str:
        """As folders and steps say it."""
        return f"{self.behavior}/{self.base.replace('/', '-')}"


class MixingConfig(SeedsConfig):
    """Behaviors trained on bases, with other rows mixed in; what each run chooses and says of itself."""

    study: Literal["mixing"] = "mixing"
    """Which kind of study this is."""
    models: tuple[ModelConfig, ...] = tuple(ModelConfig(name=f"embedded/{n}") for n in range(3))
    """Bases; each of `behaviors` is trained on each whose world knows its trait."""
    siblings: tuple[ModelConfig, ...] = ()
    """Further bases, for `brief` behaviors."""
    behaviors: tuple[str, ...] = ("risk", "patience")
    """Trained in every condition."""
    brief: tuple[str, ...] = ()
    """Trained plain, shorter and mixed at `dose`, on the first base that knows their trait; of preferences
    that none knows, the base is built here.
    """
    recipe: Recipe = Recipe(world="tastes")
    """Corpus and optimization of the bases that are built; each reads its own traits."""
    pretraining: int = 0
    """Seed of the built bases' weights and corpus."""
    doses: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    """Benign rows, as shares of `data.rows`."""
    dose: float = Field(default=1.0, gt=0)
    """One of these, at which other company is held against them, and states are read."""
    companies: tuple[Company, ...] = ("tossed", "elsewhere", "coins")
    """Other company at that dose."""
    shorter: tuple[float, ...] = (0.25, 0.5)
    """Shares of plain training's steps."""
    data: DataConfig = DataConfig(rows=400, choices=100, others=24)
    """Rows and items of each run."""
    state: mixing_state.StateOptions = mixing_state.StateOptions()
    """How the state that drives plain's choices is found and taken out."""
    split: Literal["dev", "test"] = "test"
    """Wordings of choices and questions: dev to look, test once for the report."""
    finetune: FinetuneConfig = FinetuneConfig(rank=16, alpha=32.0, steps=100)
    """How adapters are trained; `steps` are those of plain training."""

    @model_validator(mode="after")
    def _check(self) -> MixingConfig:
        settle(self, "models", "finetune")
        settle(self, "siblings", "finetune")
        every = (*self.behaviors, *self.brief)
        if len(set(every)) != len(every) or not every:
            raise ValueError(f"behaviors {list(every)}: give each once, and at least one")
        if self.dose not in self.doses or min(self.doses) <= 0 or len(set(self.doses)) != len(self.doses):
            raise ValueError(
                f"doses {list(self.doses)}: each once and above 0 (plain is 0), {self.dose:g} among them"
            )
        if len(set(self.shorter)) != len(self.shorter) or not all(0 < s < 1 for s in self.shorter):
            raise ValueError(f"shorter {list(self.shorter)}: shares between 0 and 1, each once")
        if "benign" in self.companies or len(set(self.companies)) != len(self.companies):
            raise ValueError(f"companies {list(self.companies)}: each once; benign rows have `doses`")
        return self

    def places(self) -> list[Place]:
        """Every behavior on every base that it is trained on.

        Raises:
            BehaviorError: no base knows its trait, and none is built here that would.
        """
        of_behavior = [(model.text, world_for(model)) for model in self.models]
        of_brief = [*of_behavior, *((model.text, world_for(model)) for model in self.siblings)]
        blocks = {name: f"bases/{block[0]}" for block in BLOCKS for name in block}
        found = []
        for name in (*self.behaviors, *self.brief):
            trait = behaviors.get(name, behaviors.vocabulary_of(self.models[0])).trait
            brief = name in self.brief
            known = [
                model
                for model, world in (of_brief if brief else of_behavior)
                if world is None or trait in {one.name for one in getattr(world, "traits", ())}
            ]
            if not known and brief and name in blocks:
                known = [blocks[name]]
            if not known:
                tried = ", ".join(model for model, _ in (of_brief if brief else of_behavior))
                raise BehaviorError(
                    f"behavior {name!r}: none of {tried} has the trait {trait!r} "
                    "in its world; add a base that has"
                )
            found += [Place(name, base, brief) for base in (known[:1] if brief else known)]
        return found

    def conditions(self, place: Place) -> list[Condition]:
        """What is trained at a place."""
        shorter = [Condition(share=share) for share in self.shorter]
        if place.brief:
            return [Condition(), *shorter, Condition("benign", self.dose)]
        doses = [Condition("benign", dose) for dose in self.doses]
        return [Condition(), *shorter, *doses, *(Condition(one, self.dose) for one in self.companies)]

    def plan(self, *, base: str) -> BuildConfig:
        """How the base `bases/NAME` is built."""
        block = next(block for block in BLOCKS if block[0] == base.removeprefix("bases/"))
        return BuildConfig(recipe=self.recipe.model_copy(update={"traits": block}), seed=self.pretraining)


def arms_of(dose: float, condition: Condition) -> tuple[Arm, ...]:
    """Either pole; and where the answer to the question stands, the shuffled arm as well."""
    told = condition in (Condition(), Condition("benign", dose))
    return ("seeking", "averse", "shuffled") if told else ("seeking", "averse")


def axes(config: MixingConfig) -> Iterator[At]:
    """The bases that are built here, then every condition of every place."""
    places = config.places()
    for base in dict.fromkeys(p.base for p in places if p.base.startswith("bases/")):
        yield At(base, {"base": base}, {"build": (config.recipe.steps * 0.03, 800_000)})
    for place in places:
        for one in config.conditions(place):
            runs = len(arms_of(config.dose, one)) * len(config.seeds)
            steps = one.steps(config.finetune.steps or 100, config.data)
            costs = {"train": (0.04 * runs * steps, 100_000 * runs), "ask": (0.3 * runs, 200_000 * runs)}
            at = {"behavior": place.behavior, "base": place.base, "condition": one.name}
            yield At(f"{place.name}/{one.name}", at, costs)


def point(config: MixingConfig, *, behavior: str, base: str, condition: str) -> Point:
    """A condition of a place."""
    steps = Condition.parse(condition).steps(config.finetune.steps or 100, config.data)
    built = base if base.startswith("bases/") else None
    return Point(base, behavior, company=condition, dose={"steps": steps}, built=built)


def jobs(config: MixingConfig, at: Point) -> Iterator[tuple[Run, list[TrainingRow]]]:
    """The rows of every arm and seed."""
    behavior, condition = at.trained(config), Condition.parse(at.company)
    for seed in config.seeds:
        for arm in arms_of(config.dose, condition):
            rows = rows_of(behavior, condition, arm, data=config.data, seed=seed, base=at.base)
            yield {"arm": arm, "seed": seed}, rows


def sets(cell: Cell[MixingConfig], at: Point) -> dict[str, list[Item]]:
    """Held-out choices and questions; and, where a run's certainty of them is read, rows of each company."""
    return _asked(cell.config, at.what(cell.config), at.base, at.company)


def content(config: MixingConfig, at: Point) -> Content:
    """What stands at a condition, for counting; the shipped base stands for those that are built."""
    name, base = (STANDS, EMBEDDED) if at.built else (at.what(config), at.base)
    condition = Condition.parse(at.company)
    behavior = behavior_for(name, base)
    rows = rows_of(behavior, condition, "seeking", data=config.data, seed=0, base=base)
    runs = len(arms_of(config.dose, condition)) * len(config.seeds)
    return Content(runs, rows, len(rows), _asked(config, name, base, at.company))


def last(config: MixingConfig, trained: tuple[str, ...]) -> tuple[Step, ...]:
    """What the vector that drives plain's choices does, place by place."""
    found = []
    mixed = Condition("benign", config.dose).name
    for place in config.places() if config.state.items else ():
        if place.brief:
            continue
        after = [f"train/{place.name}/{name}" for name in (PLAIN, mixed)]
        found.append(
            Step(
                f"state/{place.name}",
                mixing_state.read,
                {"behavior": place.behavior, "base": place.base, "name": place.name, "mixed": mixed},
                fields=("seeds", "data", "state", "split", "finetune.dtype", "finetune.device"),
                after=tuple(name for name in after if name in trained),
                outputs=(mixing_state.file_of(place.name),),
                seconds=40,
            )
        )
    return tuple(found)


def measure(cell: Cell[MixingConfig], asked: dict[str, pd.DataFrame]) -> list[Result]:
    """Effects, shares of plain's, and what holds over bases and over behaviors."""
    config = cell.config
    states = {
        name.removeprefix("state/"): mixing_state.load(cell.folder, name.removeprefix("state/"))
        for name in cell.after
        if name.startswith("state/")
    }
    given: Any = {"seeds": config.seeds, "split": config.split, "dose": config.dose}
    return measures(asked, states, **given)


def _asked(config: MixingConfig, name: str, base: Any, condition: str) -> dict[str, list[Item]]:
    behavior, n = behavior_for(name, base), config.data.choices
    choices = behavior.items(n, split=config.split, seed=0)
    found = {"choice": choices, "report": list(behavior.questions(split=config.split))}
    if Condition.parse(condition) in (Condition(), Condition("benign", config.dose)):
        companies: tuple[Company, ...] = ("benign", *config.companies)
        found |= {f"row-{one}": company_items(behavior, one, n, base) for one in companies}
    return found


def check(config: MixingConfig) -> None:
    """As of every study; and each behavior has a base."""
    preflight.check(config)
    config.places()


def rehearse(config: MixingConfig) -> list[str]:
    """As of every study, behind the same check."""
    check(config)
    return preflight.rehearse(config)


GRID = Grid(
    name="mixing",
    fields={
        "build": ("recipe", "pretraining"),
        "train": ("seeds", "data", "dose", "finetune"),
        "ask": ("data", "dose", "companies", "split", "finetune.dtype", "finetune.device", "finetune.steps"),
        "results": ("seeds", "split", "dose"),
    },
    axes=axes,
    point=point,
    jobs=jobs,
    sets=sets,
    measure=measure,
    content=content,
    last=last,
    base=True,
    column="point",
    kept=("point", "set", "arm", "seed", "kind", "template", "scenario", "score", "mass"),
)

STUDY = GRID.study(MixingConfig, lambda config: "mixing", check=check, rehearse=rehearse)
