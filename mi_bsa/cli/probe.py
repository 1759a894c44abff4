"""`mi-bsa probe train|test|sweep`: probes on activation caches from the command line.

The law: a probe is written as safetensors + JSON and never as a pickle, into a run folder that says what it
was fitted on; a test on another cache refuses another site, width or layer convention. Everything heavy is
imported inside the commands.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import Field, field_validator

from mi_bsa.cli.options import config_options, out_option, resume_option
from mi_bsa.core.config import Config
from mi_bsa.core.errors import ConfigError, MissingError
from mi_bsa.core.files import write_atomic
from probes.methods import PENALTIES, names


class CachesConfig(Config):
    """Caches, and the label that is read from them."""

    caches: tuple[str, ...] = Field(min_length=1)
    """`X.h5`, a cache; several are joined row below row. Facts after a comma become columns:
    a.h5,pole=1,seed=0."""
    label: str
    """The label column; two values."""
    seed: int = 0
    """Of folds, shuffles and bootstraps."""
    allow: tuple[str, ...] = ()
    """Attributes in which joined caches may differ (dtype, positions, ...), or 'labels'; recorded."""


class FitConfig(CachesConfig):
    """How probes are fitted and scored."""

    groups: tuple[str, ...] = Field(min_length=1)
    """Group columns that folds may not share (scenario,seed), or 'none': rows are independent."""
    sites: tuple[str, ...] = ()
    """Sites or cells (resid_post, resid_post.3); all that the caches hold if absent."""
    units: str | None = None
    """Top-level unit of the intervals (seed)."""
    shuffle_unit: str | None = None
    """Column at whose levels the label was assigned (adapter)."""
    penalties: tuple[float, ...] = Field(default=PENALTIES, min_length=1)
    """Of methods that have one: C of the logistic probe."""
    folds: int = 5
    """Folds of each group column."""
    shuffles: int = Field(default=20, ge=0)
    """20 draw the band of the null; a verdict's p needs 999."""
    device: str = "cpu"
    """Where probes are fitted."""

    @field_validator("penalties")
    @classmethod
    def _positive(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if min(values) <= 0:
            raise ValueError(f"penalties {list(values)} must be positive numbers")
        return values


class TrainConfig(FitConfig):
    """`mi-bsa probe train`."""

    method: str = Field(default="logistic", description=f"One of {','.join(names())}.")


class SweepConfig(FitConfig):
    """`mi-bsa probe sweep`."""

    methods: tuple[str, ...] = Field(default=("logistic",), description=f"Of {','.join(names())}.")
    by_position: str | None = None
    """Sweep each level of this column (position)."""
    base: Path | None = None
    """The base model's cache, for its control."""
    without: tuple[str, ...] = ()
    """Controls switched off, by name."""


class ScoreConfig(CachesConfig):
    """`mi-bsa probe test`."""

    probe: Path
    """A probe, or its folder."""
    units: str | None = None
    """Top-level unit of the interval; rows are taken as independent without it."""
    shuffles: int = Field(default=999, ge=0)
    """Shuffles of the label behind the null and p."""


@click.group()
def probe() -> None:
    """Train, test or sweep probes on activation caches."""


SAME = ("label", "penalties", "units", "shuffle_unit", "seed", "device")
"""Fields that `probes.sweep` calls by the same name."""
CACHES: dict[str, Any] = {"names": {"caches": "--cache", "by_position": "--position"}, "whole": ("caches",)}


@probe.command()
@config_options(SweepConfig, **CACHES)
@out_option
@resume_option
def sweep(settings: SweepConfig, out: Path, resume: bool) -> None:
    """Fit every layer, method and penalty; write table, figure, controls, the chosen probe and its
    direction."""
    base = None if settings.base is None else _opened(str(settings.base))
    more = {"by_position": settings.by_position, "base": base, "without": settings.without}
    _fit(settings, settings.methods, out, resume, "controls.csv, probes/best.*, directions/best.*", **more)


@probe.command()
@config_options(TrainConfig, **CACHES)
@out_option
@resume_option
def train(settings: TrainConfig, out: Path, resume: bool) -> None:
    """Fit one probe, layer and penalty chosen in inner folds; write it with its direction and held-out
    score."""
    _fit(
        settings, (settings.method,), out, resume, "probe.safetensors, direction.safetensors", controls=False
    )


@probe.command()
@config_options(ScoreConfig, **CACHES)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="A new folder for results.")
@resume_option
def test(settings: ScoreConfig, out: Path | None, resume: bool) -> None:
    """Test a fitted probe on another cache; refuses another site, width or layer convention."""
    import probes
    from mi_bsa.causal import probe_scores
    from mi_bsa.core import record

    if out is not None:
        record.check_free(out, resume=resume)
    inside = [settings.probe / part for part in ("probe", "probes/best")]
    folder = next((part for part in inside if part.with_name(f"{part.name}.json").is_file()), settings.probe)
    fitted = probes.Probe.load(folder)
    source, revisions = _source(settings.caches, settings.allow)
    if out is not None and record.finished(out, settings, revisions=revisions):
        click.echo(f"finished before: {out}")
        return
    scores, table = probe_scores.score(
        fitted, source, settings.label, settings.units, settings.shuffles, settings.seed
    )
    for score in scores:
        click.echo(f"{score.name.removeprefix('probe.')}: {probe_scores.shown(score)}")
    if out is not None:
        with record.start(
            out, config=settings, resume=resume, seeds=[settings.seed], revisions=revisions
        ) as run:
            write_atomic(run.path / "scores.csv", table.to_csv(index=False))
            probe_scores.write(scores, run.path)


def _fit(
    settings: FitConfig, methods: Sequence[str], out: Path, resume: bool, written: str, **more: Any
) -> None:
    """A sweep, and what it leaves: all of it, or its one probe where it has no controls."""
    import probes
    from mi_bsa.causal import probe_scores
    from mi_bsa.core import record

    record.check_free(out, resume=resume)
    source, revisions = _source(settings.caches, settings.allow)
    if record.finished(out, settings, revisions=revisions):
        click.echo(f"finished before: {out}")
        return
    result = probes.sweep(
        source,
        groups=None if [column.lower() for column in settings.groups] == ["none"] else settings.groups,
        sites=settings.sites or None,
        methods=methods,
        n_splits=settings.folds,
        n_shuffles=settings.shuffles,
        **{name: getattr(settings, name) for name in SAME},
        **more,
    )
    best = result.best
    with record.start(out, config=settings, resume=resume, seeds=[settings.seed], revisions=revisions) as run:
        probe_scores.clear(run.path)
        if result.controls is None:
            best.probe.save(run.path / "probe")
            best.direction.save(run.path / "direction")
            write_atomic(run.path / "table.csv", result.table.to_csv(index=False))
        else:
            result.save(run.path)
        facts = getattr(source, "attributes", {})  # arrays in memory have none
        probe_scores.write(probe_scores.of_sweep(result, facts.get("variant")), run.path)
    fitted = best.method if best.penalty != best.penalty else f"{best.method} C={best.penalty:g}"
    click.echo(f"best: {best.cell} {fitted}: AUROC {best.auroc} by nested choice, on held-out groups")
    if settings.shuffles:
        floor = result.table["p_floor"].min()
        click.echo(f"p over the whole search: {best.p_max:.3g} (smallest possible {floor:.3g})")
    for cell, reason in result.without_interval.items():
        click.echo(f"no interval at {cell}: {reason}")
    click.echo(f"written: {out}/results.json, table.csv, {written}")


def _source(caches: Sequence[str], allow: Sequence[str]) -> tuple[Any, dict[str, str]]:
    """One cache, or several joined, with what identifies each; `a.h5,pole=1,seed=0` adds columns."""
    import probes

    parts: dict[str, Any] = {}
    columns: dict[str, dict[str, Any]] = {}
    for text in caches:
        path, *facts = text.split(",")
        name = Path(path).stem if Path(path).stem not in parts else path
        parts[name] = _opened(path)
        pairs = [fact.partition("=") for fact in facts]
        if any(not middle for _, middle, _ in pairs):
            raise ConfigError(f"{text!r}: facts about a cache are written column=value, separated by commas")
        keys = [key.strip() for key, *_ in pairs]
        if len(set(keys)) < len(keys) or not all(keys):
            raise ConfigError(f"{text!r}: a column is named twice, or not at all; write each fact once")
        columns[name] = {key.strip(): _value(value) for key, _, value in pairs}
    kept = ("base_fingerprint", "adapter_fingerprint", "variant", "index_hash", "created")
    revisions = {
        name: " ".join(str(part.attributes[key]) for key in kept if key in part.attributes)
        for name, part in parts.items()
    }
    if len(parts) == 1 and not any(columns.values()):
        return next(iter(parts.values())), revisions
    return probes.Joined(parts, columns, allow=allow), revisions


def _opened(path: str) -> Any:
    import activations

    if not Path(path).is_file():
        raise MissingError(f"{path}: no such cache; build one with mi-bsa cache build")
    return activations.Store(path)


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
