"""How much a command says, and in which form: `-q`, `-v` and `--json`, the same for every command that runs.

The law: with `--json` stdout holds one JSON object and nothing else, what a run's own files say of its
results and verdicts; lines for people go to stderr. Flags of its own that a command has go before these.
"""

import contextlib
import functools
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

FLAGS = ("quiet", "verbose", "as_json")
DRY = ("dry_run", "plan", "register")
"""Flags under which nothing is run, so that there are no results."""


def dress(command: click.Command) -> click.Command:
    """The command, and those below it, with the flags that they do not have; dressed once."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            dress(inner)
        return command
    names = {one.name for one in command.params}
    if "out" not in names or "quiet" in names or command.callback is None:
        return command
    command.params += [
        click.Option(["-q", "--quiet"], is_flag=True, help="Say nothing but errors: no lines, no progress."),
        click.Option(
            ["-v", "--verbose"], is_flag=True, help="Also logs of libraries, warnings with their place."
        ),
    ]
    if "as_json" not in names:
        told = "Results and verdicts as one JSON object on stdout; lines go to stderr."
        command.params.append(click.Option(["--json", "as_json"], is_flag=True, help=told))
    command.callback = _spoken(command.callback, own_json="as_json" in names)
    return command


def _spoken(function: Any, *, own_json: bool) -> Any:
    @functools.wraps(function)
    def spoken(*arguments: Any, quiet: bool, verbose: bool, **given: Any) -> Any:
        as_json = False if own_json else given.pop("as_json")
        if quiet and verbose:
            raise click.UsageError("-q says less and -v says more; give one of them")
        if as_json and any(given.get(name) for name in DRY):
            raise click.UsageError("--json gives results, and a dry run makes none; leave one of them out")
        with contextlib.ExitStack() as manner:
            if quiet:
                manner.enter_context(_silent())
            elif as_json:
                manner.enter_context(contextlib.redirect_stdout(sys.stderr))
            if verbose:
                manner.enter_context(_talkative())
            made = function(*arguments, **given)
        if as_json:
            folder = made if isinstance(made, Path) else given.get("out")
            click.echo(json.dumps(told(folder), ensure_ascii=False, indent=1))
        return made

    return spoken


def told(out: Path | None) -> dict[str, Any]:
    """What a run's files say: its folder, its page if it has one, verdicts and results."""
    folder = None if out is None else out.with_suffix(".run") if out.suffix == ".h5" else out
    said: dict[str, Any] = {"out": None if out is None else str(out), "report": None}
    for name in ("verdicts", "results"):
        path = None if folder is None else folder / f"{name}.json"
        said[name] = json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else []
    if folder is not None and (folder / "report.html").is_file():
        said["report"] = str(folder / "report.html")
    return said


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    before = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"  # holds for lines too, and in the processes of a study
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    finally:
        if before is None:
            del os.environ["TQDM_DISABLE"]
        else:
            os.environ["TQDM_DISABLE"] = before


@contextlib.contextmanager
def _talkative() -> Iterator[None]:
    logger, handler = logging.getLogger(), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    level, formatted = logger.level, warnings.formatwarning
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    warnings.formatwarning = _placed
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        warnings.formatwarning = formatted


def _placed(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    del line
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"
