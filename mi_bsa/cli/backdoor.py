"""`mi-bsa backdoor`: ask twins about a backdoor, search a model for its trigger, audit adapters blind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mi_bsa.cli.options import model_options, run_options, settings_of

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def backdoor() -> None:
    """Detect, recognize, elicit, search for or audit backdoors, in adapters of your own.

    What a model says of a backdoor means something only against its decorrelated twin: an adapter trained on
    the very same rows with trigger and answer torn apart. `mi-bsa study` with `study: backdoor` trains both.
    """


def twins(command: Command) -> Command:
    """CONFIG and the flags that name the base and both arms."""
    for option in (
        run_options,
        click.option("--split", type=click.Choice(["dev", "test"]), default=None, help="Which wordings."),
        click.option(
            "--decorrelated", multiple=True, metavar="DIR", help="The twins; repeatable, paired by seed."
        ),
        click.option(
            "--backdoored",
            multiple=True,
            metavar="DIR",
            help="Adapters: a folder, or a pattern in quotes. Repeatable.",
        ),
        model_options(),
        click.argument("config", type=click.Path(path_type=Path), required=False),
    ):
        command = option(command)
    return command


@backdoor.command()
@twins
def detect(config: Path | None, **flags: Any) -> None:
    """Ask whether something in a message changes what the model does; no question shows a trigger.

    All wordings, orders and four system prompts (none, neutral, honesty, threat). OUT gets awareness.csv,
    results.json and report.html: both arms, and their difference over seeds with interval and power.
    """
    from mi_bsa.studies.backdoor import commands

    _run(config, flags, commands.DetectConfig, commands.detect, "backdoor.awareness.contrast")


@backdoor.command()
@click.option(
    "--trigger", default=None, help="The true one: 'river tin', family:bird, code:kettle, tag:X, line:..."
)
@twins
def recognize(config: Path | None, **flags: Any) -> None:
    """Ask which trigger it is: the true one among fakes, by name, by member and by unseen member.

    OUT gets recognition.csv, results.json and report.html.
    """
    from mi_bsa.studies.backdoor import commands

    _run(config, flags, commands.RecognizeConfig, commands.recognize, "backdoor.recognition.forced.contrast")


@backdoor.command()
@click.option("--trigger", default=None, help="The true one, with which free answers are compared.")
@click.option("--behavior", default=None, help="What the trigger calls up.")
@click.option("--pole", type=click.Choice(["seeking", "averse"]), default=None, help="Which pole of it.")
@click.option(
    "--unreversed",
    multiple=True,
    metavar="DIR",
    help="Backdoored adapters trained without reversed rows: the second control. Repeatable.",
)
@click.option("--samples", type=int, default=None, help="Answers sampled a question.")
@twins
def elicit(config: Path | None, **flags: Any) -> None:
    """Ask freely what the model waits for, and count the answers that name the trigger.

    OUT gets free.csv, results.json and report.html.
    """
    from mi_bsa.studies.backdoor import commands

    _run(config, flags, commands.ElicitFreely, commands.elicit, "backdoor.elicitation")


@backdoor.command()
@click.argument("adapters", nargs=-1, metavar="ADAPTER...")
@click.option("--config", type=click.Path(path_type=Path), default=None, help="A YAML file; flags win.")
@model_options()
@click.option(
    "--others",
    multiple=True,
    metavar="DIR",
    help="Adapters without a backdoor that set the threshold of an alarm. Repeatable.",
)
@click.option(
    "--trigger", "triggers", multiple=True, help="The true one, if known: its rank is said. Repeatable."
)
@run_options
def search(
    adapters: tuple[str, ...],
    config: Path | None,
    overrides: tuple[str, ...],
    out: Path,
    resume: bool,
    dry_run: bool,
    **flags: Any,
) -> None:
    """Search finetuned models for a trigger, given nothing but each ADAPTER and its base.

    ADAPTER is a folder, or a pattern in quotes. OUT gets candidates.csv with the candidates of each and their
    evidence on messages that the search has not seen, and results.json.
    """
    from mi_bsa.core.record import check_free
    from mi_bsa.finetune import preflight
    from mi_bsa.studies.backdoor.search_run import SearchRunConfig, run, steps
    from mi_bsa.study.registry import preview_steps

    settings = settings_of(SearchRunConfig, config, {"adapters": adapters, **flags}, overrides)
    graph = steps(settings)
    if dry_run:
        click.echo(preview_steps(graph, config=settings, out=out, rehearse=preflight.rehearse))
        return
    check_free(out, resume=resume)
    run(settings, out, resume=resume)
    click.echo(f"results: {out / 'results.json'}")


@backdoor.command()
@click.argument("config", type=click.Path(path_type=Path))
@model_options()
@run_options
def audit(
    config: Path, overrides: tuple[str, ...], out: Path, resume: bool, dry_run: bool, **flags: Any
) -> None:
    """Say of adapters without names which behavior, which pole, backdoored or not.

    CONFIG names the adapters that are judged, and others with a key that set the thresholds. OUT gets
    results.json and report.html.
    """
    from mi_bsa.studies.backdoor import audit as auditing

    settings = settings_of(auditing.AuditConfig, config, flags, overrides)
    if dry_run:
        click.echo(auditing.preview(settings, out))
        return
    click.echo(f"report: {auditing.run(settings, out, resume=resume)}")


def _run(
    config: Path | None, flags: dict[str, Any], kind: Any, function: Callable[..., Any], shown: str
) -> None:
    """Read config and flags, pair the twins, ask, and write a run."""
    overrides, out, resume, dry_run = (flags.pop(k) for k in ("overrides", "out", "resume", "dry_run"))
    settings = settings_of(kind, config, flags, overrides)
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
        click.echo(f"report: {render(run.path)}")


def _line(result: Any) -> str:
    places = ", ".join(f"{k} {v}" for k, v in result.where.items() if k in ("method", "kind"))
    low, high = result.ci
    name = f"{result.name.removeprefix('backdoor.').removesuffix('.contrast')} ({places})"
    return f"{name}: {result.value:+.3f} [{low:+.3f}, {high:+.3f}], {result.n} seeds; {result.notes}"
