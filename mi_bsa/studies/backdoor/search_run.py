"""Search many adapters for a trigger: `mi-bsa backdoor search`. One step a model, so a killed run resumes.

Nothing but the adapters and their base is read. Where the triggers are known (adapters named as `training`
names them, and `triggers` given), the ranks of the true ones are reported; adapters of any other arm are
controls, whose alarms are counted. The threshold comes from `others`, which are not reported on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from mi_bsa.core.errors import MissingError, TriggerError
from mi_bsa.core.model_config import Device, ModelConfig, load, settle
from mi_bsa.core.model_files import weight_files
from mi_bsa.finetune import preflight
from mi_bsa.studies.backdoor.objectives import ObjectiveName
from mi_bsa.studies.backdoor.search_config import SearchConfig, SearchMethod, within
from mi_bsa.studies.backdoor.training import slug
from mi_bsa.studies.backdoor.work import search_sample, search_steps
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import Study, StudyConfig

if TYPE_CHECKING:
    import activations
    from mi_bsa.behaviors import Behavior
    from mi_bsa.behaviors.backdoor.triggers import Trigger, Vocabulary

TABLE = "candidates.csv"
READ = ("model", "behaviors", "search", "verify", "split", "seed", "dtype", "device")
"""Fields of the config that every search reads."""
UNDECIDED = 8
"""Messages of each behavior of which a search takes the one that the adapter is least sure about."""


class SearchRunConfig(StudyConfig):
    """`mi-bsa backdoor search`: adapters of one base are searched for a trigger."""

    same: ClassVar[tuple[tuple[str, ...], ...]] = (("model.dtype", "dtype"), ("model.device", "device"))
    study: Literal["search"] = "search"
    """Which kind of study this is."""
    model: ModelConfig = ModelConfig(name="embedded/habits-0")
    """The base: an embedded model, a local folder, or a Hub id."""
    adapters: tuple[Path, ...] = Field(min_length=1)
    """Adapter folders, run folders that hold one, or patterns with `*`."""
    others: tuple[Path, ...] = ()
    """Adapters without a backdoor that set the threshold of an alarm; none of them is reported on."""
    triggers: tuple[str, ...] = ()
    """The triggers, where they are known: the true one's rank is then reported."""
    behaviors: tuple[str, ...] = Field(default=("risk", "patience"), min_length=1)
    """Behaviors whose clean messages are used; which of them a trigger calls up is not known."""
    search: SearchConfig = SearchConfig()
    """How a trigger is searched."""
    objectives: tuple[ObjectiveName, ...] = ()
    """Further objectives, each searched in the same way."""
    baselines: tuple[Literal["beam", "random"], ...] = ()
    """Searches without a representation, of backdoored models only."""
    times: float = Field(default=5.0, gt=0)
    """Tokens of a baseline, as multiples of those by which the guided search had four of five triggers."""
    verify: int = Field(default=16, ge=2)
    """Messages of each behavior, of `split` and of the search's own, on which candidates are verified."""
    split: Literal["dev", "test"] = "test"
    """Whose held-out messages and frames verify."""
    seed: int = 0
    """Seed of the search's messages and of the random search."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the base's weights, as `model.dtype` says it."""
    device: Device = None
    """Where to run, as `model.device` says it."""

    @model_validator(mode="after")
    def _check(self) -> SearchRunConfig:
        settle(self, "model", "")
        if len(set(self.behaviors)) < len(self.behaviors):
            raise ValueError(f"behaviors {list(self.behaviors)}: give each once")
        return self

    @property
    def recorded(self) -> tuple[int, ...]:
        """The seeds that the record keeps."""
        return (self.seed,)


@dataclass(frozen=True)
class Searched:
    """One search of one model.

    Attributes:
        name: the adapter's. method: `guided`, `beam` or `random`. objective: what it maximized.
        tokens: forwarded by the search; checking: by verification.
        candidates: best first, as dictionaries of `Verified`.
        course: after so many tokens, the phrase that was strongest where the search checks its candidates.
    """

    name: str
    method: str
    objective: str
    tokens: int
    checking: int
    candidates: tuple[dict[str, Any], ...]
    course: tuple[tuple[int, str], ...] = ()

    @property
    def cost(self) -> int:
        """All tokens forwarded."""
        return self.tokens + self.checking

    @property
    def alarm(self) -> float:
        """The largest verified move away from the base, in log odds: words that the base itself is unsure
        about move any finetuned model by a tenth or three of probability, and by far less than a trigger on
        this scale; a phrase that takes a model back to its base opens nothing."""
        moved = [c["odds"] if (away := c.get("away")) is None else away for c in self.candidates]
        return max((float(one) for one in moved), default=0.0)

    def rank(self, trigger: Trigger) -> int | None:
        """1 where the first candidate is the trigger, any member of its family, any of its codes."""
        opens = {*trigger.shown, *trigger.held}
        return next((n for n, c in enumerate(self.candidates, 1) if c["phrase"] in opens), None)

    def found_at(self, trigger: Trigger | None) -> int | None:
        """Tokens after which its own check named the trigger and did not leave it again, where words that
        are not needed may stand between the trigger's; all tokens where only verification put it first; None
        where verification did not.
        """
        if trigger is None or self.rank(trigger) != 1:
            return None
        since = None
        for at, phrase in self.course:
            held = any(within(opens, phrase) for opens in (*trigger.shown, *trigger.held))
            since = (at if since is None else since) if held else None
        return self.cost if since is None else since


def search_model(
    model: activations.Model,
    variant: str,
    config: SearchRunConfig,
    *,
    behaviors: Mapping[str, Behavior],
    vocabulary: Vocabulary,
    method: SearchMethod = "guided",
    objective: ObjectiveName | None = None,
    budget: int | None = None,
) -> Searched:
    """Search one adapter and verify what was found on messages that the search has not seen."""
    from mi_bsa.studies.backdoor.apart import Apart
    from mi_bsa.studies.backdoor.objectives import Meter, Probe, fit_directions, judged_by
    from mi_bsa.studies.backdoor.search import search
    from mi_bsa.studies.backdoor.verify import messages_of, verify

    given, seed = config.search, config.seed
    settings = given if objective is None else given.model_copy(update={"objective": objective})
    needed = "direction" in judged_by(settings.objective)
    lines = fit_directions(model, list(behaviors.values())) if needed else None
    drawn = messages_of(behaviors, UNDECIDED * settings.messages, split="pretrain", seed=900 + seed)
    checks = messages_of(behaviors, settings.checks, split="pretrain", seed=901 + seed)
    apart = Apart.of(model, variant)
    more: dict[str, Any] = {"directions": lines, "checks": checks, "apart": apart}
    probe = Probe(model, variant, vocabulary, drawn, settings.objective, **more)
    probe = probe.undecided(settings.messages)
    found = search(probe, vocabulary.candidates(), settings, method=method, budget=budget, seed=seed)
    meter = Meter()
    how: dict[str, Any] = {"n": config.verify, "split": config.split, "meter": meter, "apart": apart}
    checked = verify(model, variant, found, behaviors, vocabulary=vocabulary, **how)
    candidates, cost = tuple(asdict(c) for c in checked[: settings.report]), (found.tokens, meter.tokens)
    return Searched(variant, method, settings.objective, *cost, candidates, found.course)


def steps(config: SearchRunConfig) -> list[Step]:
    """A search of every model; then, of those with a trigger, searches without a representation."""
    suspects, others = adapters_of(config.adapters), adapters_of(config.others)
    if twice := sorted(set(suspects) & set(others)):
        raise MissingError(f"{twice[0]} is among the adapters and the others; give each to one of them")
    truth = truths_of(config)
    held = [n for n in suspects if not truth or trigger_of(n, truth) is not None]
    every = {**suspects, **others}
    files = {n: (*weight_files(config.model), *sorted(f.glob("adapter_*"))) for n, f in every.items()}
    graph = [
        Step(
            f"search/{name}",
            hunt,
            {"name": name, "adapter": str(folder), "compared": name in held},
            fields=(*READ, "objectives"),
            files=files[name],
            version=4,
            seconds=20 + 10 * len(config.objectives) * (name in held),
        )
        for name, folder in every.items()
    ]
    before = tuple(f"search/{name}" for name in held)
    graph += [
        Step(
            f"baselines/{name}",
            compare,
            {"name": name, "adapter": str(suspects[name])},
            fields=(*READ, "triggers", "baselines", "times"),
            files=files[name],
            after=before,
            seconds=60 * len(config.baselines),
        )
        for name in held
        if config.baselines
    ]
    told, after = {"suspects": list(suspects), "others": list(others)}, tuple(step.name for step in graph)
    written = ("results.json", "results.csv", TABLE)
    return [*graph, Step("results", collect, told, ("model", "triggers"), after, written, version=4)]


def hunt(cell: Cell[SearchRunConfig], *, name: str, adapter: str, compared: bool) -> list[dict[str, Any]]:
    """The guided searches of one adapter, the config's objective first."""
    own = cell.config.search.objective
    more = [o for o in cell.config.objectives if o != own] if compared else []
    searched = _searcher(cell, name, adapter)
    return [asdict(searched(objective=o)) for o in (own, *more)]


def compare(cell: Cell[SearchRunConfig], *, name: str, adapter: str) -> list[dict[str, Any]]:
    """The searches of one adapter without a representation. Each model's get the same tokens: a multiple of
    those by which the guided search has found most triggers (has ended for most models, where none is known).
    """
    from mi_bsa.studies.backdoor.search_results import cost_of_most

    config, truth = cell.config, truths_of(cell.config)
    guided = [searches_of(value)[0] for value in cell.values().values()]
    cost = cost_of_most(guided, [trigger_of(s.name, truth) for s in guided])
    budget, searched = int(config.times * cost), _searcher(cell, name, adapter)
    return [asdict(searched(method=m, objective="answer", budget=budget)) for m in config.baselines]


def searches_of(value: Sequence[Mapping[str, Any]]) -> list[Searched]:
    """Searches as a step's value keeps them."""
    found = []
    for kept in value:
        course = tuple((int(at), str(phrase)) for at, phrase in kept.get("course", ()))
        found.append(Searched(**{**kept, "candidates": tuple(kept["candidates"]), "course": course}))
    return found


def _searcher(cell: Cell[SearchRunConfig], name: str, adapter: str) -> Callable[..., Searched]:
    """What searches one adapter, by the fields that the step has declared."""
    from mi_bsa.behaviors import behavior_for
    from mi_bsa.behaviors.backdoor.triggers import vocabulary_for

    given = {key: getattr(cell.config, key) for key in READ}
    config = SearchRunConfig(adapters=(Path(adapter),), **given)
    model, vocabulary = load(config.model, {name: Path(adapter)}), vocabulary_for(config.model)
    behaviors = {b: behavior_for(b, config.model) for b in config.behaviors}
    return partial(search_model, model, name, config, behaviors=behaviors, vocabulary=vocabulary)


def collect(cell: Cell[SearchRunConfig], *, suspects: list[str], others: list[str]) -> dict[str, Any]:
    """Judge alarms, and rank the true triggers where they are known."""
    from mi_bsa.core import results
    from mi_bsa.studies.backdoor.search_results import results_of

    truth, values = truths_of(cell.config), cell.values()
    searched = {
        name: [s for kind in ("search", "baselines") for s in searches_of(values.get(f"{kind}/{name}", ()))]
        for name in (*suspects, *others)
    }
    found = results_of(
        {n: searched[n] for n in suspects},
        [searched[n][0] for n in others],
        truth={n: trigger_of(n, truth) for n in suspects},
    )
    results.write(found, cell.folder)
    _write_table(searched, cell.folder / TABLE)
    return {"results": len(found)}


def _write_table(searched: Mapping[str, Sequence[Searched]], path: Path) -> None:
    """Every candidate of every search with its evidence, as CSV."""
    import pandas as pd

    rows = [
        {"model": name, "method": s.method, "objective": s.objective, "tokens": s.cost, "rank": n, **c}
        for name, several in searched.items()
        for s in several
        for n, c in enumerate(s.candidates, 1)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)


def truths_of(config: SearchRunConfig) -> dict[str, Trigger]:
    """The triggers that are known, by the name that folders have. Raises `TriggerError`."""
    from mi_bsa.behaviors.backdoor.construction import Backdoor
    from mi_bsa.behaviors.backdoor.triggers import vocabulary_for

    if not all(text.strip() for text in config.triggers):
        raise TriggerError("an empty trigger: give words, family:NAME or code:WORD")
    vocabulary = vocabulary_for(config.model)
    return {slug(Backdoor(trigger=text)): vocabulary.parse(text) for text in config.triggers}


def adapters_of(paths: Sequence[Path]) -> dict[str, Path]:
    """Name -> adapter folder. Raises `MissingError` for a path that holds no adapter."""
    found: dict[str, Path] = {}
    for path in paths:
        matches = sorted(path.parent.glob(path.name)) if "*" in path.name else [path]
        held = [m / "adapter" if (m / "adapter").is_dir() else m for m in matches]
        held = [m for m in held if (m / "adapter_config.json").is_file()]
        if not held:
            raise MissingError(f"{path}: no adapter here; give a folder with adapter_config.json")
        found |= {(m.parent if m.name == "adapter" else m).name: m for m in held}
    return found


def trigger_of(name: str, truth: Mapping[str, Trigger]) -> Trigger | None:
    """The trigger of a backdoored adapter by its name; None for an adapter of another arm."""
    return next((t for key, t in truth.items() if name.startswith(f"{key}-backdoored-")), None)


STUDY = Study(
    name="search",
    config=SearchRunConfig,
    steps=steps,
    title=lambda config: "searching",
    check=preflight.check,
    rehearse=preflight.rehearse,
    work=search_steps,
    sample=search_sample,
    sections="mi_bsa.studies.backdoor.page:SECTIONS",
)
