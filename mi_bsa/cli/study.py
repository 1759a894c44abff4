"""`mi-bsa study`: a whole study from one config."""

from pathlib import Path

import click

from mi_bsa.cli.options import config_argument, run_options, set_option


@click.command()
@config_argument
@set_option
@run_options
def study(config: Path, overrides: tuple[str, ...], out: Path, resume: bool, dry_run: bool) -> None:
    """Run a study end to end and write the report; the config's field `study` says which kind it is.

    With --resume, only what is missing or has changed runs; --dry-run shows the steps, their time and size.
    """
    from mi_bsa.study.registry import load_study, study_of

    settings = load_study(config, overrides=overrides)
    kind = study_of(settings)
    if dry_run:
        click.echo(kind.preview(settings, out))
        return
    page = kind.run(settings, out, resume=resume)
    from mi_bsa.core.results import read
    from mi_bsa.report.headline import lines

    for line in lines(read(page.parent)):
        click.echo(line)
    click.echo(f"report: {page}")
    click.echo(f"results: {page.with_name('results.json')}")
