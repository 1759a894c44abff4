"""A kind of study as one frozen value; how any of them is run, previewed and shown exists here, once.

The law it keeps: whatever the study, a mistake in what its config names is found before a folder is made, a
folder is never clobbered, finished steps are kept, and the page is rendered from the results alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import Field, model_validator

from activations.errors import ActivationsError
from mi_bsa.core.config import Config, imported
from mi_bsa.core.errors import MissingError
from mi_bsa.core.files import digest_once
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.core.model_files import weight_files, weights_hash
from mi_bsa.study.pace import Pace, Work
from mi_bsa.study.registration import Design, begin, design_config
from mi_bsa.study.rules import Rules
from mi_bsa.study.steps import Step, plan
from mi_bsa.study.totals import describe, timed

if TYPE_CHECKING:
    from mi_bsa.report.section import Section


class StudyConfig(Config):
    """What every study's config has: its kind, and how its steps are run."""

    study: str
    """Which kind of study this is."""
    workers: int = Field(default=1, ge=1)
    """Processes that work side by side."""
    engine: Literal["local", "ray"] = "local"
    """What runs them: this machine, or a Ray cluster (`RAY_ADDRESS`; an extra)."""

    @property
    def recorded(self) -> tuple[int, ...]:
        """The seeds that the record keeps."""
        return tuple(getattr(self, "seeds", ()))


class SeedsConfig(StudyConfig):
    """A study over adapter seeds."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Adapter seeds; each also draws its own training rows."""

    @model_validator(mode="after")
    def _check_seeds(self) -> SeedsConfig:
        if len(set(self.seeds)) != len(self.seeds) or len(self.seeds) < 3:
            raise ValueError(f"seeds {list(self.seeds)}: give at least 3 different seeds")
        return self


StudyT = TypeVar("StudyT", bound=StudyConfig)


def as_listed(config: Any, graph: list[Step]) -> list[Step]:
    """The graph with the seconds and bytes that its steps say."""
    del config
    return graph


def _is_drawn(page: Path) -> bool:
    """Whether a page is there and nothing in its folder was written after it: a study that is resumed to
    nothing leaves it as it is (`mi-bsa report` draws it again). The record is written whenever a run begins.
    """
    beside = ("record.json", "run.lock")
    return page.is_file() and all(
        file.stat().st_mtime_ns <= page.stat().st_mtime_ns
        for file in page.parent.rglob("*")
        if file.is_file() and file.name not in beside
    )


@dataclass(frozen=True, kw_only=True)
class Study(Generic[StudyT]):
    """A kind of study.

    Attributes:
        name: the value of a config's top field `study`.
        config: the class that validates such a config.
        steps: config -> the graph, in an order in which it can run.
        title: config -> what heads the progress.
        check: refuses what the config names and is not there, or cannot be used, before a folder is made.
        rehearse: does what a run does first, as a dry run may, and says it in lines.
        sized: config, graph -> the graph with the seconds and bytes of this model, for the plan.
        work: config -> what each step of its graph does (`Work`), for the plan's time; without it, seconds
            of the graph are scaled.
        sample: config -> what a second of its model is measured on (`mi_bsa.finetune.work.Sample`; None of
            a config that has no such model); by default what its behavior trains and asks.
        sections: `module:NAME` of the page's own sections, imported when a page is made: figures are slow.
        rules: `module:NAME` of the `Rules` of its verdicts; None for a kind that gives none.
        power: `module:NAME` of a function, config -> lines: the smallest effect that each line of evidence
            can find, for `--plan`; None where nothing of the kind is worked out.
    """

    name: str
    config: type[StudyT]
    steps: Callable[[StudyT], list[Step]]
    title: Callable[[StudyT], str]
    check: Callable[[StudyT], object]
    rehearse: Callable[[StudyT], list[str]]
    work: Callable[[StudyT], Callable[[Step], Work]] | None = None
    sample: Callable[[StudyT], Any] | None = None
    sized: Callable[[StudyT, list[Step]], list[Step]] = as_listed
    sections: str | None = None
    rules: str | None = None
    power: str | None = None

    def run(self, config: StudyT, out: Path, *, resume: bool = False, lock: Path | None = None) -> Path:
        """Run the study into a folder, or what is missing of it; returns the path of the report page.

        `lock`: where the study's lock would lie (`mi_bsa.study.registration`); without one it is exploratory.

        Raises:
            RunFolderError: the folder exists and `resume` is False. What `check` and the steps raise.
        """
        from mi_bsa.core import record
        from mi_bsa.report import render
        from mi_bsa.study.execute import execute

        record.check_free(out, resume=resume)
        self.check(config)
        graph = self.steps(config)
        revisions = {str(model): weights_hash(model) for model in models_of(config)}
        with record.start(
            out,
            config=config,
            resume=resume,
            seeds=config.recorded,
            revisions=revisions,
            registration=self._begun(config, graph, out, lock),
        ) as opened:
            execute(
                graph,
                config=config,
                folder=opened.path,
                workers=config.workers,
                engine=config.engine,
                title=self.title(config),
            )
            page = opened.path / "report.html"
            return page if _is_drawn(page) else render(opened.path, self.page())

    def preview(
        self,
        config: StudyT,
        out: Path,
        *,
        lock: Path | None = None,
        paces: Callable[[], Mapping[str, Pace]] | None = None,
    ) -> str:
        """What `--dry-run` prints: what would run, after everything that the config names was loaded.

        `paces`: measures, once the config is seen to be right: part -> the pace of its model ("" for the
        whole study); without, estimates are those of the embedded model.
        """
        said = self.rehearse(config)
        found = None if paces is None else paces()
        graph = self.estimated(config, found)
        would = self._begun(config, graph, out, lock)["said"]
        steps = describe(plan(graph, config=config, folder=out), pace=found[""] if found else None)
        return "\n".join([steps, *said, f"would be {would}"])

    def estimated(self, config: StudyT, paces: Mapping[str, Pace] | None) -> list[Step]:
        """The graph with what its steps take and write: at those paces, or as on the embedded model."""
        own = self.steps(config)
        graph = self.sized(config, own)
        if paces is None:
            return graph
        work_of = self.work(config) if self.work else (lambda step: step.work)
        given = zip(graph, own, strict=True)
        return timed([replace(step, seconds=was.seconds, work=work_of(was)) for step, was in given], paces)

    def _begun(self, config: StudyT, graph: Sequence[Step], out: Path, lock: Path | None) -> dict[str, Any]:
        """What the record says of the registration of a run that starts now."""

        def measures() -> bool:
            planned = plan(graph, config=config, folder=out)
            return any(item.reason is not None and not item.step.judges for item in planned)

        return begin(self.design(config, graph), out=out, lock=lock, measures=measures)

    def design(self, config: StudyT, graph: Sequence[Step] | None = None) -> Design:
        """What a run of this config fixes before it measures.

        `graph`: its steps; worked out by default, and left open where the files they need are not here.
        """
        rules: Rules | None = None if self.rules is None else imported(self.rules)
        if graph is None:
            try:
                graph = self.steps(config)
            except (MissingError, ActivationsError):
                graph = None
        weights = {str(model): _weights_here(model) for model in models_of(config)}
        own = {path.resolve() for paths in weights.values() for path in paths}
        inputs = None
        if graph is not None and all(weights.values()):
            files = {path for step in graph for path in step.files if path.resolve() not in own}
            inputs = tuple(sorted(f"{path.name} {digest_once(path)}" for path in files))
        return Design(
            study=self.name,
            rules=None if rules is None else rules.identity,
            bars={} if rules is None else rules.bars,
            splits={} if rules is None else dict(rules.splits),
            seeds=config.recorded,
            config=design_config(config.dump()),
            models={str(m): weights_hash(m) if weights[str(m)] else None for m in models_of(config)},
            inputs=inputs,
        )

    def planned(self, config: StudyT) -> list[str]:
        """What `--plan` prints: the smallest effects that this config can find."""
        if self.power is not None:
            found: list[str] = imported(self.power)(config)
            return found
        from mi_bsa.study.power import of_seeds

        return of_seeds(len(getattr(config, "seeds", ())))

    def page(self) -> Sequence[Section]:
        """The page's own sections, between those that every study has."""
        return () if self.sections is None else imported(self.sections)


def _weights_here(model: ModelConfig) -> tuple[Path, ...]:
    """The files of a model's weights; none where they are not on this machine."""
    try:
        return weight_files(model)
    except (MissingError, ActivationsError):
        return ()


def models_of(config: Config) -> Iterator[ModelConfig]:
    """Every model that a config or a part of it names."""
    for name in type(config).model_fields:
        value = getattr(config, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, ModelConfig):
                yield part
            elif isinstance(part, Config):
                yield from models_of(part)
