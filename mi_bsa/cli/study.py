"""`mi-bsa study`: a whole study from one config; its registration and its power before it runs."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from mi_bsa.cli.options import config_argument, resume_option, set_option


@click.command()
@config_argument
@set_option
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write; new.  [required to run]")
@resume_option
@click.option("--dry-run", is_flag=True, help="Show what would run, how long and how large; run nothing.")
@click.option("--plan", is_flag=True, help="Show the smallest effects that it can find; run nothing.")
@click.option(
    "--register", is_flag=True, help="Write the lock of its rules and config, to be committed; run nothing."
)
@click.option(
    "--lock",
    type=click.Path(path_type=Path),
    help="The lock that --register writes and a run looks for.  [default: CONFIG with .rules.lock]",
)
def study(
    config: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: bool,
    dry_run: bool,
    plan: bool,
    register: bool,
    lock: Path | None,
) -> None:
    """Run a study end to end and write the report; the config's field `study` says which kind it is.

    With --resume, only what is missing or has changed runs; --dry-run shows the steps, their time and size.

    A run whose lock was written before it first started, with the same rules and config, is registered; any
    other is exploratory, which stands beside each verdict with the reason.
    """
    from mi_bsa.core.errors import ConfigError, MissingError
    from mi_bsa.study import registration
    from mi_bsa.study.registry import load_study, study_of

    if plan + register + dry_run > 1:
        raise click.UsageError("--plan, --register and --dry-run each run nothing; give one of them")
    settings = load_study(config, overrides=overrides)
    kind = study_of(settings)
    where = lock or registration.beside(config)
    if plan:
        for line in kind.planned(settings):
            _say(line)
        return
    if register:
        held = registration.register(kind.design(settings), where)
        _say(
            f"registered {held.date[:10]}, lock {held.design.hash[: registration.SHOWN]}: {where}; commit it"
        )
        unknown = [name for name, weights in held.design.models.items() if weights is None]
        for name in unknown:
            _say(f"the weights of {name} are not on this machine, and are not part of the lock")
        return
    if out is None:
        raise ConfigError("a run needs a folder; give --out (or --plan, or --register)")
    if lock is not None and not lock.is_file():
        raise MissingError(f"{lock}: no such lock; write it with --register, or leave --lock out")
    if dry_run:
        click.echo(kind.preview(settings, out, lock=where))
        return
    page = kind.run(settings, out, resume=resume, lock=where)
    from mi_bsa.core.results import read
    from mi_bsa.report.headline import lines
    from mi_bsa.report.page import read_verdicts

    for line in lines(read(page.parent)):
        click.echo(line)
    judged = list(told(read_verdicts(page.parent)))
    for line in judged or [registration.said_in(page.parent)]:
        _say(line)
    click.echo(f"report: {page}")
    click.echo(f"results: {page.with_name('results.json')}")


def told(verdicts: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Verdicts as lines: conjecture and outcome, whether it was registered, and what decided."""
    for one in verdicts:
        state = one.get("registration", "")
        yield f"{one['conjecture']} {one['verdict'].upper()}" + (f" ({state})" if state else "")
        yield f"  because {one['because']}"


def _say(line: str) -> None:
    """A line, wrapped to the terminal; what goes on is indented."""
    width = max(40, shutil.get_terminal_size((100, 24)).columns)
    inset = " " * (len(line) - len(line.lstrip()))
    wrapped = textwrap.wrap(
        line, width, subsequent_indent=inset + "    ", break_on_hyphens=False, break_long_words=False
    )
    click.echo("\n".join(wrapped) if wrapped else "")
