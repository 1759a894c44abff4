"""`mi-bsa probe train|test|sweep`: probes on activation caches from the command line.

The law: a probe is written as safetensors + JSON and never as a pickle, beside a record of what it was
fitted on; a test on another cache refuses another site, width or layer convention. Everything heavy is
imported inside the commands.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from mi_bsa.cli.options import set_option
from mi_bsa.core.errors import ConfigError, MissingError, RunFolderError
from mi_bsa.core.files import write_atomic
from probes.methods import PENALTIES, names

F = TypeVar("F", bound=Callable[..., Any])


_penalties = click.option(
    "--penalties",
    default=",".join(f"{c:g}" for c in PENALTIES),
    show_default=True,
    help="Of methods that have one: C of the logistic probe.",
)


@click.group()
def probe() -> None:
    """Train, test or sweep probes on activation caches."""


def _allow_option() -> Callable[[F], F]:
    return click.option(
        "--allow",
        default="",
        metavar="A,B",
        help="Attributes in which joined caches may differ (dtype, positions, ...), or 'labels'; recorded.",
    )


def _data_options(command: F) -> F:
    for option in reversed(
        [
            click.option(
                "--cache",
                "caches",
                multiple=True,
                required=True,
                metavar="X.h5[,column=value...]",
                help="A cache; several are joined row below row. Facts after a comma become columns: "
                "a.h5,pole=1,seed=0",
            ),
            click.option("--label", required=True, help="The label column; two values."),
            click.option(
                "--groups",
                required=True,
                metavar="A,B",
                help="Group columns that folds may not share (scenario,seed), or 'none': rows are "
                "independent.",
            ),
            click.option(
                "--out", "out", type=click.Path(path_type=Path), required=True, help="A new folder."
            ),
            click.option(
                "--sites", default=None, metavar="S,T", help="Sites or cells (resid_post, resid_post.3)."
            ),
            click.option("--units", default=None, help="Top-level unit of the intervals (seed)."),
            click.option(
                "--shuffle-unit",
                default=None,
                help="Column at whose levels the label was assigned (adapter).",
            ),
            click.option("--seed", default=0, show_default=True, help="Of folds, shuffles and bootstraps."),
            _allow_option(),
        ]
    ):
        command = option(command)
    return command


@probe.command()
@_data_options
@click.option("--methods", default="logistic", show_default=True, help=",".join(names()))
@_penalties
@click.option("--folds", default=5, show_default=True)
@click.option("--shuffles", default=20, show_default=True, help="20 draw the band; a verdict's p needs 999.")
@click.option("--position", "by_position", default=None, help="Sweep each level of this column (position).")
@click.option(
    "--base", type=click.Path(path_type=Path), default=None, help="The base model's cache, for its control."
)
@click.option("--without", default="", help="Controls switched off, by name.")
@click.option("--device", default="cpu", show_default=True)
@set_option
@click.pass_context
def sweep(ctx: click.Context, overrides: Sequence[str], **options: Any) -> None:
    """Fit every layer, method and penalty; write table, figure, controls, the chosen probe and its
    direction."""
    options = _overridden(ctx, options, overrides)
    import probes
    from mi_bsa.core.progress import Progress

    out = _fresh(options["out"])
    source, names = _source(options["caches"], options["allow"])
    with Progress("probing", 1.0) as progress:
        shown = 0.0

        def advance(done: int, total: int, _left: float) -> None:
            nonlocal shown
            progress.advance(done / total - shown, f"{done} of {total} sites")
            shown = done / total

        result = probes.sweep(
            source,
            label=options["label"],
            groups=_groups(options["groups"]),
            sites=_list(options["sites"]) or None,
            by_position=options["by_position"],
            methods=_list(options["methods"]),
            penalties=_numbers(options["penalties"]),
            n_splits=options["folds"],
            n_shuffles=options["shuffles"],
            units=options["units"],
            shuffle_unit=options["shuffle_unit"],
            base=_base(options["base"]),
            without=_list(options["without"]),
            seed=options["seed"],
            device=options["device"],
            progress=advance,
        )
    result.save(out)
    best = result.best
    _record(out, "sweep", options, names, {"best": _best(best)})
    click.echo(f"best: {best.cell} {best.method} C={best.penalty:g}: AUROC {best.auroc} by nested choice")
    click.echo(
        f"p over the whole search: {best.p_max:.3g} (smallest possible {result.table['p_floor'].min():.3g})"
    )
    _without_interval(result)
    click.echo(f"written: {out}/table.csv, figure.svg, controls.csv, probes/best.*, directions/best.*")


@probe.command()
@_data_options
@click.option("--method", default="logistic", show_default=True, help=f"One of {','.join(names())}.")
@_penalties
@click.option("--folds", default=5, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@set_option
@click.pass_context
def train(ctx: click.Context, overrides: Sequence[str], **options: Any) -> None:
    """Fit one probe, layer and penalty chosen in inner folds; write it with its direction and held-out
    score."""
    options = _overridden(ctx, options, overrides)
    import probes

    out = _fresh(options["out"])
    source, names = _source(options["caches"], options["allow"])
    result = probes.sweep(
        source,
        label=options["label"],
        groups=_groups(options["groups"]),
        sites=_list(options["sites"]) or None,
        methods=(options["method"],),
        penalties=_numbers(options["penalties"]),
        n_splits=options["folds"],
        units=options["units"],
        shuffle_unit=options["shuffle_unit"],
        controls=False,
        seed=options["seed"],
        device=options["device"],
    )
    out.mkdir(parents=True, exist_ok=True)
    result.best.probe.save(out / "probe")
    result.best.direction.save(out / "direction")
    write_atomic(out / "table.csv", result.table.to_csv(index=False))
    _record(out, "train", options, names, {"best": _best(result.best)})
    click.echo(f"{result.best.cell}: AUROC {result.best.auroc} on held-out groups")
    _without_interval(result)
    click.echo(f"written: {out}/probe.safetensors, direction.safetensors, table.csv, record.json")


@probe.command()
@click.option(
    "--probe", "path", type=click.Path(path_type=Path), required=True, help="A probe, or its folder."
)
@click.option("--cache", "caches", multiple=True, required=True, metavar="X.h5[,column=value...]")
@click.option("--label", required=True, help="The label column; two values.")
@click.option(
    "--units", default=None, help="Top-level unit of the interval; rows are taken as independent without it."
)
@click.option("--out", "out", type=click.Path(path_type=Path), default=None, help="A new folder for results.")
@click.option("--seed", default=0, show_default=True)
@_allow_option()
def test(
    path: Path, caches: Sequence[str], label: str, units: str | None, out: Path | None, seed: int, allow: str
) -> None:
    """Test a fitted probe on another cache; refuses another site, width or layer convention."""
    import probes
    from probes.source import Cell, cells_of, column, read_rows
    from probes.splits import refuse_repeats

    folder = path / "probe" if path.is_dir() and (path / "probe.json").is_file() else path
    folder = (
        path / "probes" / "best" if path.is_dir() and (path / "probes" / "best.json").is_file() else folder
    )
    fitted = probes.Probe.load(folder)
    target = _fresh(out) if out is not None else None
    source, names = _source(caches, allow)
    fitted.check(source.attributes)
    cell = Cell.parse(fitted.site)
    if cell not in cells_of(source):
        held = ", ".join(map(str, cells_of(source)[:6]))
        raise probes.SourceError(
            f"the probe reads {fitted.site}, the cache holds {held}; capture that site, or use another probe"
        )
    table = source.table()
    y, classes = probes.two_classes(table, label)
    if tuple(classes) != tuple(fitted.classes):
        raise probes.LabelError(
            f"the probe tells {fitted.classes} apart, label {label!r} holds {classes}; name the matching "
            "label"
        )
    scores = fitted.decision(read_rows(source, cell))
    if units is None:
        refuse_repeats(table, remedy="--units {0}")
    unit = None if units is None else column(table, units, what="group").to_numpy()
    found = {
        "auroc": probes.auroc(y, scores, units=unit, seed=seed),
        "accuracy": probes.accuracy(y, scores, units=unit, seed=seed),
        "balanced_accuracy": probes.balanced_accuracy(y, scores, units=unit, seed=seed),
    }
    for name, estimate in found.items():
        click.echo(f"{name}: {estimate}")
    if target is not None:
        target.mkdir(parents=True, exist_ok=True)
        own = table.rename(columns={name: f"label.{name}" for name in ("score", "y") if name in table})
        write_atomic(target / "scores.csv", own.assign(score=scores, y=y).to_csv(index=False))
        options = {"probe": str(folder), "label": label, "units": units, "seed": seed, "allow": allow}
        _record(target, "test", options, names, {name: e.as_dict() for name, e in found.items()})


def _without_interval(result: Any) -> None:
    """One line for each cell that has no interval, with the reason."""
    for cell, reason in result.without_interval.items():
        click.echo(f"no interval at {cell}: {reason}")


def _fresh(out: Path) -> Path:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunFolderError(f"{out} exists already and is not empty; give a new --out folder")
    return out


def _source(caches: Sequence[str], allow: str) -> tuple[Any, list[str]]:
    """One cache, or several joined; `a.h5,pole=1,seed=0` adds columns."""
    import activations
    import probes

    parts: dict[str, Any] = {}
    columns: dict[str, dict[str, Any]] = {}
    for text in caches:
        path, *facts = text.split(",")
        if not Path(path).is_file():
            raise MissingError(f"{path}: no such cache; build one with mi-bsa cache build")
        name = Path(path).stem
        if name in parts:
            name = path
        parts[name] = activations.Store(path)
        pairs = [fact.partition("=") for fact in facts]
        if any(not middle for _, middle, _ in pairs):
            raise ConfigError(f"{text!r}: facts about a cache are written column=value, separated by commas")
        keys = [key.strip() for key, *_ in pairs]
        if len(set(keys)) < len(keys) or not all(keys):
            raise ConfigError(f"{text!r}: a column is named twice, or not at all; write each fact once")
        columns[name] = {key.strip(): _value(value) for key, _, value in pairs}
    if len(parts) == 1 and not any(columns.values()):
        return next(iter(parts.values())), list(parts)
    return probes.Joined(parts, columns, allow=_list(allow)), list(parts)


def _base(path: Path | None) -> Any:
    if path is None:
        return None
    import activations

    if not path.is_file():
        raise MissingError(f"{path}: no such cache; build the base model's with mi-bsa cache build")
    return activations.Store(path)


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _list(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _groups(text: str) -> list[str] | None:
    return None if text.strip().lower() == "none" else _list(text)


def _numbers(text: str) -> list[float]:
    try:
        found = [float(part) for part in _list(text)]
    except ValueError:
        raise ConfigError(f"penalties {text!r} are no numbers; write them as 0.01,0.1,1") from None
    if not found or min(found) <= 0:
        raise ConfigError(f"penalties {text!r} must be positive numbers")
    return found


def _overridden(ctx: click.Context, options: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`--set name=value` for any option, converted as the option itself would be."""
    known = {p.name: p for p in ctx.command.params if p.name != "overrides"}
    for text in overrides:
        key, middle, value = text.partition("=")
        key = key.replace("-", "_")
        if not middle or key not in known:
            from probes.errors import nearest

            raise ConfigError(f"--set {text}: no option {key!r}; {nearest(key, [k for k in known if k])}")
        found = known[key]
        options[key] = (value,) if found.multiple else found.type_cast_value(ctx, value)
    return options


def _best(best: Any) -> dict[str, Any]:
    return {
        "cell": best.cell,
        "position": best.position,
        "method": best.method,
        "penalty": None if best.penalty != best.penalty else best.penalty,
        "auroc": best.auroc.as_dict(),
        "p_max": None if best.p_max != best.p_max else best.p_max,
    }


def _record(
    out: Path, command: str, options: dict[str, Any], caches: Sequence[str], found: dict[str, Any]
) -> None:
    """What was run, on what, with which versions."""
    from mi_bsa.core.record import environment

    body = {
        "command": f"mi-bsa probe {command}",
        "options": {key: str(value) if isinstance(value, Path) else value for key, value in options.items()},
        "caches": list(caches),
        "environment": environment(),
        "results": found,
    }
    write_atomic(out / "record.json", json.dumps(body, indent=2, sort_keys=True, allow_nan=False) + "\n")
