"""`mi-bsa inspect`: what did this adapter change? Weights, lenses, reports, damage and triggers on one
page.
"""

from pathlib import Path

import click

from mi_bsa.cli.options import config_options, run_options
from mi_bsa.studies.inspect.config import InspectConfig

MESSAGES = {"embedded": ("risk", "patience"), "english": ("risk", "myopia")}
"""Whose clean messages a search puts phrases into, by the vocabulary of the base."""


@click.command()
@click.argument("base", required=False)
@click.argument("finetunes", nargs=-1, metavar="[ADAPTER]...")
@click.option("--triggers", is_flag=True, help="Also search each adapter for a trigger, into OUT-triggers.")
@click.option(
    "--others",
    multiple=True,
    type=click.Path(path_type=Path),
    help="With --triggers: adapters without a backdoor, which set the alarm (5 or more).",
)
@config_options(InspectConfig, file_flag=True)
@run_options
def inspect(
    settings: InspectConfig,
    base: str | None,
    finetunes: tuple[str, ...],
    triggers: bool,
    others: tuple[Path, ...],
    out: Path,
    resume: bool,
    dry_run: bool,
) -> None:
    """Say what each ADAPTER changed in BASE: a folder of a LoRA, of a run that holds one, or of a full
    finetune.

    BASE is `embedded`, a named model, a folder or a Hub id. OUT gets report.html (at most five sentences an
    adapter, each with its evidence and null), inspect.json, results.json and the tables behind them. Several
    adapters stand side by side. With --manifest a published organism says both, and what to look for in free
    answers; its dry run needs neither of them.
    """
    from mi_bsa.studies.inspect.study import STUDY, said_in

    settings = _with(settings, base, finetunes)
    if triggers or others:
        settings = _searched(settings, out, others, triggers=triggers, resume=resume, dry_run=dry_run)
    if dry_run:
        if settings.manifest is not None and not _is_here(settings):
            from mi_bsa.studies.inspect.known import rehearsed

            for line in rehearsed(settings):
                click.echo(line)
            return
        click.echo(STUDY.preview(settings, out))
        return
    page = STUDY.run(settings, out, resume=resume)
    for sentence in said_in(out):
        click.echo(sentence)
    click.echo(f"report: {page}")
    click.echo(f"inspect: {page.with_name('inspect.json')}")


def _is_here(settings: InspectConfig) -> bool:
    """Whether base and adapters lie on this machine, so that a dry run can load them."""
    from mi_bsa.core.model_files import folder_here

    here = folder_here(settings.model) is not None
    return here and all(path.exists() or "*" in str(path) or ":" in str(path) for path in settings.adapters)


def _with(settings: InspectConfig, base: str | None, finetunes: tuple[str, ...]) -> InspectConfig:
    """The config with what stands on the command line in it."""
    from mi_bsa.core.config import parse

    data = settings.dump()
    if base is not None:
        data["model"] = {**data["model"], "name": base}
    if finetunes:
        data["adapters"] = list(finetunes)
    return parse(data, InspectConfig, source="command line")


def _searched(
    settings: InspectConfig,
    out: Path,
    others: tuple[Path, ...],
    *,
    triggers: bool,
    resume: bool,
    dry_run: bool,
) -> InspectConfig:
    """The config with a search of its adapters, which is run first into a folder beside OUT."""
    from mi_bsa.behaviors import vocabulary_of
    from mi_bsa.core.config import parse
    from mi_bsa.core.errors import ConfigError
    from mi_bsa.studies.backdoor.search_run import STUDY, SearchRunConfig
    from mi_bsa.studies.inspect.config import given_in
    from mi_bsa.studies.inspect.study import searched_name

    if not triggers:
        raise ConfigError("--others are controls of the trigger search; add --triggers, or drop them")
    given = given_in(settings)
    names = [searched_name(one.path) for one in given]
    if len(set(names)) < len(names) or any(one.full for one in given):
        raise ConfigError(
            "--triggers searches adapters whose folders have different names, and no full finetunes; give "
            "others, or "
            "drop --triggers"
        )
    asked = MESSAGES[vocabulary_of(settings.model)]
    paths = [str(one.path) for one in given]
    data = {"model": settings.model.dump(), "adapters": paths, "behaviors": list(asked)}
    data["others"] = [str(path) for path in others]
    search = parse(data, SearchRunConfig, source="command line")
    folder = out.with_name(f"{out.name}-triggers")
    if dry_run:
        click.echo(STUDY.preview(search, folder))
        return settings
    STUDY.run(search, folder, resume=resume and folder.exists())
    return settings.model_copy(update={"searched": folder})
