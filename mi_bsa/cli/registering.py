"""`--register` and `--lock`, for what runs a kind of study; `--register` writes the lock and runs nothing.
And the lines with which a run ends.
"""

import shutil
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from mi_bsa.core.errors import ConfigError, MissingError

Command = TypeVar("Command", bound=Callable[..., Any])


def register_options(command: Command) -> Command:
    """The two flags; parameters `register` and `lock`."""
    for option in (
        click.option(
            "--lock",
            type=click.Path(path_type=Path),
            help="The lock that --register writes and a run looks for.  [default: CONFIG with .rules.lock]",
        ),
        click.option(
            "--register",
            is_flag=True,
            help="Write the lock of its rules and config, to be committed; run nothing.",
        ),
    ):
        command = option(command)
    return command


def lock_of(config: Path | None, lock: Path | None, *, register: bool) -> Path | None:
    """Where a command's lock lies: what `--lock` says, else beside its config; None of a command without.

    Raises:
        MissingError: `--lock` names no file, and none is written. ConfigError: one is to be written and
            nothing says where.
    """
    from mi_bsa.core import builtin
    from mi_bsa.study import registration

    if register and lock is None and config is not None and builtin.is_installed(config):
        raise ConfigError("the lock of a config that was installed goes elsewhere; say where by --lock")
    if register and lock is None and config is None:
        raise ConfigError("nothing says where the lock goes; give the config as a file, or --lock")
    if lock is not None and not register and not lock.is_file():
        raise MissingError(f"{lock}: no such lock; write it with --register, or leave --lock out")
    return lock or (None if config is None else registration.beside(config))


def write_lock(kind: Any, settings: Any, where: Path) -> None:
    """Register a design, and say what was left open. Raises `RunFolderError` where another lock lies."""
    from mi_bsa.study import registration

    held = registration.register(kind.design(settings), where)
    say(f"registered {held.date[:10]}, lock {held.design.hash[: registration.SHOWN]}: {where}; commit it")
    for name in [name for name, weights in held.design.models.items() if weights is None]:
        say(f"the weights of {name} are not on this machine, and are not part of the lock")


def say_first(folder: Path, sections: Sequence[Any]) -> None:
    """The first screen of a run after an empty line: last of all, it is what stands there when it is done.

    `sections`: those of its study, which have its answer.
    """
    from mi_bsa.report.page import first_of, read_run

    click.echo()
    for line in first_of(read_run(folder), sections).lines:
        say(line)


def say(line: str) -> None:
    """A line, wrapped to the terminal; what goes on is indented."""
    width = max(40, shutil.get_terminal_size((100, 24)).columns)
    inset = " " * (len(line) - len(line.lstrip()))
    wrapped = textwrap.wrap(
        line, width, subsequent_indent=inset + "    ", break_on_hyphens=False, break_long_words=False
    )
    click.echo("\n".join(wrapped) if wrapped else "")
