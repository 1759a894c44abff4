"""`mi-bsa study`: a whole study from one config; its registration and its power before it runs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from mi_bsa.cli.completing import behaviors
from mi_bsa.cli.options import config_argument, model_changes, model_options, set_option, study_options
from mi_bsa.cli.registering import lock_of, register_options, say, say_first, write_lock
from mi_bsa.study.pace import MACHINES


@click.command()
@config_argument
@click.option(
    "--behavior",
    shell_complete=behaviors,
    help="Instead of the config's: a behavior by its name, or path/to/file.py:NAME.",
)
@model_options()
@set_option
@study_options
@click.option(
    "--on",
    type=click.Choice(MACHINES),
    help="With --dry-run: the time on another machine, by a table.",
)
@click.option("--plan", is_flag=True, help="Show the smallest effects that it can find; run nothing.")
@register_options
def study(
    config: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: bool,
    dry_run: bool,
    on: str | None,
    plan: bool,
    register: bool,
    lock: Path | None,
    behavior: str | None,
    **model: Any,
) -> Path | None:
    """Run a study end to end and write the report; the config's field `study` says which kind it is.

    CONFIG is a YAML file (`mi-bsa init FOLDER` writes one to begin with), or a built-in one such as
    embedded/risk_short (`mi-bsa config list`).

    With --resume, only what is missing or has changed runs; --dry-run shows the steps, their time and size: a
    second of the real work is measured where the weights are here and small.

    A run whose lock was written before it first started, with the same rules and config, is registered; any
    other is exploratory, which stands beside each verdict with the reason.
    """
    from mi_bsa.core.config import read_config
    from mi_bsa.study import registration
    from mi_bsa.study.registry import load_study, study_of

    if plan + register + dry_run > 1:
        raise click.UsageError("--plan, --register and --dry-run each run nothing; give one of them")
    changes = model_changes(read_config(config), model)
    changes += [] if behavior is None else [f"behavior={json.dumps(behavior)}"]
    settings = load_study(config, overrides=[*changes, *overrides])
    kind = study_of(settings)
    if on is not None and not dry_run:
        raise click.UsageError("--on says where a plan is for; give --dry-run too")
    if plan:
        for line in kind.planned(settings):
            say(line)
        return None
    where = lock_of(config, lock, register=register)
    if register:
        assert where is not None
        write_lock(kind, settings, where)
        return None
    if out is None:
        out = run_folder(config, resume=resume)
    if dry_run:
        from mi_bsa.studies.paces import paces_of

        click.echo(kind.preview(settings, out, lock=where, paces=lambda: paces_of(settings, on=on)))
        return None
    page = kind.run(settings, out, resume=resume, lock=where)
    from mi_bsa.report.headline import numbers
    from mi_bsa.report.page import read_run

    done = read_run(page.parent)
    for line in numbers(done.results):
        click.echo(line)
    judged = list(told(done.verdicts))
    for line in judged or [registration.said_in(page.parent)]:
        say(line)
    say_first(page.parent, kind.page())
    click.echo(f"report: {page}")
    click.echo(f"results: {page.with_name('results.json')}")
    return page.parent


def run_folder(config: Path, *, resume: bool) -> Path:
    """Where a study goes that was given no `--out`: `runs/NAME`, the first of `runs/NAME-2`, ... that is free
    where it is taken; with `resume` the last that is taken. NAME is the config's, or its folder's where it is
    `study.yaml`.
    """
    name = config.resolve().parent.name if config.stem == "study" else config.stem
    tried = [Path("runs") / name]
    while tried[-1].exists():
        tried.append(Path("runs") / f"{name}-{len(tried) + 1}")
    return tried[-2] if resume and len(tried) > 1 else tried[-1]


def told(verdicts: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Verdicts as lines: conjecture and outcome, whether it was registered, what bases gave, how many paths
    agree, and what decided.
    """
    for one in verdicts:
        state = one.get("registration", "")
        yield f"{one['conjecture']} {one['verdict'].upper()}" + (f" ({state})" if state else "")
        yield from (f"  {one[beside]}" for beside in ("bases", "paths") if one.get(beside))
        yield f"  because {one['because']}"
