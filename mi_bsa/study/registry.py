"""What every kind of study shares: how its steps become a run folder, and how a config finds its kind.

A kind of study is a config in `mi_bsa.core.config.STUDIES` whose class variable `runner` names a module with
`run(config, out, resume=...)`, which returns the path of the report page, and `preview(config, out)`, what
`--dry-run` prints. One whose graph is a list of steps makes both of `run_steps` and `preview_steps`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from mi_bsa.core.config import Config
from mi_bsa.core.errors import ConfigError
from mi_bsa.study.steps import Step


@runtime_checkable
class Runner(Protocol):
    """A module that runs one kind of study."""

    def run(self, config: Any, out: Path, *, resume: bool = False) -> Path: ...

    def preview(self, config: Any, out: Path) -> str: ...


def runner_of(config: Config) -> Runner:
    """The module that runs this kind of study. Raises `ConfigError` for a config that no command runs."""
    name = getattr(type(config), "runner", None)
    if name is None:
        raise ConfigError(f"a {type(config).__name__} is no study that can be run; see `mi-bsa study --help`")
    return cast(Runner, importlib.import_module(name))


def run_steps(
    graph: Sequence[Step],
    *,
    config: Any,
    out: Path,
    resume: bool,
    title: str,
    revisions: Mapping[str, str],
    check: Callable[[Config], None],
) -> Path:
    """Run a graph into a folder with record and config, or what is missing of it; returns the report page.

    `config` has `seeds` and `workers`; `check` refuses what the config names and is not there. Raises
    `RunFolderError` where the folder exists and `resume` is False.
    """
    from mi_bsa.core import record
    from mi_bsa.report import render
    from mi_bsa.study import execute

    record.check_free(out, resume=resume)
    check(config)
    with record.start(
        out, config=config, resume=resume, seeds=config.seeds, revisions=dict(revisions)
    ) as opened:
        execute.execute(graph, config=config, folder=opened.path, workers=config.workers, title=title)
        return render(opened.path)


def preview_steps(
    graph: Sequence[Step], *, config: Config, out: Path, rehearse: Callable[[Config], list[str]]
) -> str:
    """What `--dry-run` prints of a graph, after everything that it names was loaded by `rehearse`."""
    from mi_bsa.study.steps import describe, plan

    said = rehearse(config)
    return "\n".join([describe(plan(graph, config=config, folder=out)), *said])
