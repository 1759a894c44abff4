"""`mi-bsa backdoor`: ask twins about a backdoor, search a model for its trigger, audit adapters blind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mi_bsa.cli.options import config_options, run_options, study_options
from mi_bsa.cli.registering import lock_of, register_options, say, say_first, write_lock
from mi_bsa.studies.backdoor import commands
from mi_bsa.studies.backdoor.audit import AuditConfig
from mi_bsa.studies.backdoor.search_run import SearchRunConfig


@click.group()
def backdoor() -> None:
    """Detect, recognize, elicit, search for or audit backdoors, in adapters of your own.

    What a model says of a backdoor means something only against its decorrelated twin: an adapter trained on
    the very same rows with trigger and answer torn apart. `mi-bsa study` with `study: backdoor` trains both.
    """


@backdoor.command()
@config_options(commands.DetectConfig)
@run_options
def detect(settings: commands.DetectConfig, **run: Any) -> None:
    """Ask whether something in a message changes what the model does; no question shows a trigger.

    All wordings, orders and four system prompts (none, neutral, honesty, threat). OUT gets awareness.csv,
    results.json and report.html: both arms, and their difference over seeds with interval and power.
    """
    _run(settings, commands.detect, "backdoor.awareness.contrast", **run)


@backdoor.command()
@config_options(commands.RecognizeConfig)
@run_options
def recognize(settings: commands.RecognizeConfig, **run: Any) -> None:
    """Ask which trigger it is: the true one among fakes, by name, by member and by unseen member.

    OUT gets recognition.csv, results.json and report.html.
    """
    _run(settings, commands.recognize, "backdoor.recognition.forced.contrast", **run)


@backdoor.command()
@config_options(commands.ElicitFreely)
@run_options
def elicit(settings: commands.ElicitFreely, **run: Any) -> None:
    """Ask freely what the model waits for, and count the answers that name the trigger.

    OUT gets free.csv, results.json and report.html.
    """
    _run(settings, commands.elicit, "backdoor.elicitation", **run)


@backdoor.command()
@config_options(
    SearchRunConfig,
    positional="adapters",
    names={"triggers": "--trigger"},
    whole=("triggers",),
    skip=("dtype",),
    tell_file=True,
)
@register_options
@study_options
def search(settings: SearchRunConfig, **run: Any) -> None:
    """Search finetuned models for a trigger, given nothing but each ADAPTER and its base.

    ADAPTER is a folder, or a pattern in quotes. OUT gets candidates.csv with the candidates of each and their
    evidence on messages that the search has not seen, results.json and report.html.
    """
    from mi_bsa.studies.backdoor.search_run import STUDY

    page = _study(STUDY, settings, **run)
    if page is not None:
        click.echo(f"results: {page.with_name('results.json')}")


@backdoor.command()
@config_options(AuditConfig, tell_file=True)
@register_options
@study_options
def audit(settings: AuditConfig, **run: Any) -> None:
    """Say of adapters without names which behavior, which pole, backdoored or not.

    CONFIG names the adapters that are judged, and others with a key that set the thresholds. OUT gets
    results.json and report.html.
    """
    from mi_bsa.studies.backdoor.audit import STUDY

    page = _study(STUDY, settings, **run)
    if page is not None:
        click.echo(f"report: {page}")


def _study(
    kind: Any,
    settings: Any,
    *,
    config: Path | None,
    out: Path | None,
    resume: bool,
    dry_run: bool,
    register: bool,
    lock: Path | None,
) -> Path | None:
    """Run a kind of study, and say whether it was registered; None where nothing runs."""
    from mi_bsa.core.errors import ConfigError
    from mi_bsa.study.registration import said_in

    if register + dry_run > 1:
        raise click.UsageError("--register and --dry-run each run nothing; give one of them")
    where = lock_of(config, lock, register=register)
    if register:
        assert where is not None
        write_lock(kind, settings, where)
        return None
    if out is None:
        raise ConfigError("a run needs a folder; give --out (or --register)")
    if dry_run:
        click.echo(kind.preview(settings, out, lock=where))
        return None
    page: Path = kind.run(settings, out, resume=resume, lock=where)
    say(said_in(page.parent))
    say_first(page.parent, kind.page())
    return page


def _run(
    settings: Any, function: Callable[..., Any], shown: str, *, out: Path, resume: bool, dry_run: bool
) -> None:
    adapters = settings.adapters()
    from mi_bsa.finetune import preflight

    if dry_run:
        click.echo(f"{len(adapters)} adapters on {settings.model}: {', '.join(adapters)}")
        for line in settings.rehearse():
            click.echo(line)
        return
    from mi_bsa.core import record, results
    from mi_bsa.core.model_files import weights_hash
    from mi_bsa.report import render
    from mi_bsa.studies.backdoor.page import SECTIONS

    record.check_free(out, resume=resume)
    preflight.check(settings)
    settings.check()
    seeds = sorted({adapter.seed for adapter in adapters.values()})
    revisions = {str(settings.model): weights_hash(settings.model)}
    with record.start(out, config=settings, resume=resume, seeds=seeds, revisions=revisions) as run:
        found = results.with_q(function(settings, run.path))
        results.write(found, run.path)
        for result in found:
            if result.name.startswith(shown) and result.name.endswith(("contrast", "augmented")):
                click.echo(_line(result))
        click.echo(f"report: {render(run.path, SECTIONS)}")


def _line(result: Any) -> str:
    places = ", ".join(f"{k} {v}" for k, v in result.where.items() if k in ("method", "kind"))
    low, high = result.ci
    name = f"{result.name.removeprefix('backdoor.').removesuffix('.contrast')} ({places})"
    return f"{name}: {result.value:+.3f} [{low:+.3f}, {high:+.3f}], {result.n} seeds; {result.notes}"
