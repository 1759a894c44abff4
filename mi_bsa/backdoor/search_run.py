"""Search many adapters for a trigger: `mi-bsa backdoor search`. One file a model, so a killed run resumes.

Nothing but the adapters and their base is read. Where the triggers are known (adapters named as `training`
names them, and `triggers` given), the ranks of the true ones are reported; adapters of any other arm are
controls, whose alarms are counted. The threshold comes from `others`, which are not reported on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from mi_bsa.backdoor.objectives import ObjectiveName
from mi_bsa.backdoor.search import SearchConfig
from mi_bsa.backdoor.training import slug
from mi_bsa.config import Config
from mi_bsa.errors import MissingError, TriggerError

if TYPE_CHECKING:
    import activations
    from mi_bsa.backdoor.triggers import Trigger, Vocabulary
    from mi_bsa.backdoor.verify import Verified
    from mi_bsa.behaviors import Behavior
    from mi_bsa.results import Result

MODELS, BASELINES = "models", "baselines"
GUIDED = "guided"
UNDECIDED = 8
"""Messages of each behavior of which a search takes the one that the adapter is least sure about."""


class SearchRunConfig(Config):
    """`mi-bsa backdoor search`: adapters of one base are searched for a trigger."""

    model: str = "embedded/habits-0"
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
    """Tokens of a baseline, as multiples of what the dearest guided search took."""
    verify: int = Field(default=16, ge=2)
    """Messages of each behavior on which candidates are verified."""
    split: Literal["dev", "test"] = "test"
    """Whose messages and frames verify."""
    seed: int = 0
    """Seed of the search's messages and of the random search."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the base's weights."""
    device: str = "cpu"
    """Where to run."""

    @model_validator(mode="after")
    def _check(self) -> SearchRunConfig:
        if len(set(self.behaviors)) < len(self.behaviors):
            raise ValueError(f"behaviors {list(self.behaviors)}: give each once")
        return self


@dataclass(frozen=True)
class Searched:
    """One search of one model.

    Attributes:
        name: the adapter's. method: `guided`, `beam` or `random`. objective: what it maximized.
        tokens: forwarded by the search; checking: by verification.
        candidates: best first, as dictionaries of `Verified`.
    """

    name: str
    method: str
    objective: str
    tokens: int
    checking: int
    candidates: tuple[dict[str, Any], ...]

    @property
    def cost(self) -> int:
        """All tokens forwarded."""
        return self.tokens + self.checking

    @property
    def alarm(self) -> float:
        """The largest verified shift of log odds: words that the base itself is unsure about move any
        finetuned model by a tenth or three of probability, and by far less than a trigger on this scale."""
        return max((float(c["odds"]) for c in self.candidates), default=0.0)

    def rank(self, trigger: Trigger) -> int | None:
        """1 where the first candidate is the trigger, any member of its family, any of its codes."""
        opens = {*trigger.shown, *trigger.held}
        return next((n for n, c in enumerate(self.candidates, 1) if c["phrase"] in opens), None)


def search_model(
    model: activations.Model,
    variant: str,
    config: SearchRunConfig,
    *,
    behaviors: Mapping[str, Behavior],
    vocabulary: Vocabulary,
    method: Literal["guided", "beam", "random"] = "guided",
    objective: ObjectiveName | None = None,
    budget: int | None = None,
    directions: Any = None,
) -> Searched:
    """Search one adapter and verify what was found on messages that the search has not seen."""
    from mi_bsa.backdoor.objectives import Meter, Probe
    from mi_bsa.backdoor.search import search
    from mi_bsa.backdoor.verify import messages_of, verify

    settings = (
        config.search if objective is None else config.search.model_copy(update={"objective": objective})
    )
    drawn = messages_of(behaviors, UNDECIDED * settings.messages, split="pretrain", seed=900 + config.seed)
    checks = messages_of(behaviors, settings.checks, split="pretrain", seed=901 + config.seed)
    probe = Probe(model, variant, vocabulary, drawn, settings.objective, directions=directions, checks=checks)
    probe = probe.undecided(settings.messages)
    found = search(probe, vocabulary.candidates(), settings, method=method, budget=budget, seed=config.seed)
    meter = Meter()
    checked: Sequence[Verified] = verify(
        model,
        variant,
        found,
        behaviors,
        vocabulary=vocabulary,
        n=config.verify,
        split=config.split,
        meter=meter,
    )
    return Searched(
        variant, method, settings.objective, found.tokens, meter.tokens, tuple(asdict(c) for c in checked)
    )


def run(config: SearchRunConfig, out: str | Path, *, resume: bool = False) -> list[Result]:
    """Search every adapter, judge alarms, and write `results.json`, `results.csv` and a figure.

    Raises:
        MissingError: a folder without an adapter. TriggerError: a trigger that the model cannot read.
        RunFolderError: the folder exists and `resume` is False.
    """
    from mi_bsa import record, results
    from mi_bsa.backdoor.search_results import draw_search, results_of
    from mi_bsa.backdoor.triggers import vocabulary_for
    from mi_bsa.progress import Progress

    out = Path(out)
    suspects, others = adapters_of(config.adapters), adapters_of(config.others)
    vocabulary = vocabulary_for(config.model)
    truth = {slug_of(text): vocabulary.parse(text) for text in config.triggers}
    with record.start(out, config=config, resume=resume, seeds=[config.seed], revisions={}):
        done: dict[str, list[Searched]] = {}
        held = [n for n in suspects if not truth or trigger_of(n, truth) is not None]
        compared = held if config.baselines else []
        with Progress("searching", float(len(suspects) + len(others) + len(compared))) as progress:
            for name, folder in {**suspects, **others}.items():
                objectives = config.objectives if name in held else ()
                done[name] = _one(config, name, folder, out, vocabulary, objectives)
                progress.advance(1.0, f"{name}: {_said(done[name][0])}")
            # every baseline gets the same tokens: a multiple of what the dearest guided search took
            budget = int(config.times * max((done[n][0].cost for n in held), default=0))
            for name in compared:
                done[name] += _baselines(config, name, suspects[name], out, vocabulary, budget)
                progress.advance(1.0, f"{name}, without a representation: {_said(done[name][-1])}")
        found = results_of(
            {n: s for n, s in done.items() if n in suspects},
            [s[0] for n, s in done.items() if n in others],
            truth={n: trigger_of(n, truth) for n in suspects},
        )
        results.write(found, out)
        figure = draw_search(found)
        if figure is not None:
            figure.savefig(out / "search.svg")
    return found


def _one(
    config: SearchRunConfig,
    name: str,
    folder: Path,
    out: Path,
    vocabulary: Vocabulary,
    objectives: Sequence[ObjectiveName],
) -> list[Searched]:
    """The guided searches of one adapter, the config's objective first; kept in a file of its own."""
    given = [config.search.objective, *(o for o in objectives if o != config.search.objective)]

    def search_all(
        searched: Callable[..., Searched], directions: Callable[[ObjectiveName], Any]
    ) -> list[Searched]:
        return [searched(objective=o, directions=directions(o)) for o in given]

    return _kept(config, name, folder, out / MODELS / f"{name}.json", vocabulary, search_all)


def _baselines(
    config: SearchRunConfig, name: str, folder: Path, out: Path, vocabulary: Vocabulary, budget: int
) -> list[Searched]:
    """The searches of one adapter without a representation, each with so many tokens."""

    def search_all(searched: Callable[..., Searched], _: Any) -> list[Searched]:
        return [searched(method=m, objective="answer", budget=budget) for m in config.baselines]

    return _kept(config, name, folder, out / BASELINES / f"{name}.json", vocabulary, search_all)


def _kept(
    config: SearchRunConfig,
    name: str,
    folder: Path,
    path: Path,
    vocabulary: Vocabulary,
    search_all: Callable[[Callable[..., Searched], Callable[[ObjectiveName], Any]], list[Searched]],
) -> list[Searched]:
    """What the file holds, or what `search_all` finds; it is given how to search, and an objective's
    directions.
    """
    from mi_bsa.files import write_json

    if path.is_file():
        return [
            Searched(**{**kept, "candidates": tuple(kept["candidates"])})
            for kept in json.loads(path.read_text(encoding="utf-8"))
        ]
    import activations
    from mi_bsa.arms import behavior_of

    model = activations.load(config.model, adapter={name: folder}, dtype=config.dtype, device=config.device)
    behaviors = {b: behavior_of(b, config.model) for b in config.behaviors}
    found = search_all(
        lambda **more: search_model(model, name, config, behaviors=behaviors, vocabulary=vocabulary, **more),
        lambda objective: _directions(config, model, behaviors, objective),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, [asdict(f) for f in found])
    return found


def _directions(
    config: SearchRunConfig,
    model: activations.Model,
    behaviors: Mapping[str, Behavior],
    objective: ObjectiveName,
) -> Any:
    if objective != "direction":
        return None
    from mi_bsa.backdoor.objectives import fit_directions
    from mi_bsa.embedded.weights import world_for

    return fit_directions(model, list(behaviors.values()), world=world_for(config.model))


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


def slug_of(text: str) -> str:
    """The name that folders have for a trigger. Raises `TriggerError` for one without a word."""
    from mi_bsa.backdoor.construction import Backdoor

    if not text.strip():
        raise TriggerError("an empty trigger: give words, family:NAME or code:WORD")
    return slug(Backdoor(trigger=text))


def trigger_of(name: str, truth: Mapping[str, Trigger]) -> Trigger | None:
    """The trigger of a backdoored adapter by its name; None for an adapter of another arm."""
    return next((t for key, t in truth.items() if name.startswith(f"{key}-backdoored-")), None)


def _said(searched: Searched) -> str:
    first = searched.candidates[0] if searched.candidates else None
    return f"{first['phrase']!r} moves {first['effect']:.2f}" if first else "nothing"
