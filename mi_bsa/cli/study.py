"""`mi-bsa study`: a whole study from one config."""

from pathlib import Path

import click

from mi_bsa.cli.options import config_argument, run_options, set_option
from mi_bsa.core.config import load_study


@click.command()
@config_argument
@set_option
@run_options
def study(config: Path, overrides: tuple[str, ...], out: Path, resume: bool, dry_run: bool) -> None:
    """Run a study end to end and write the report; the config's field `study` says which kind it is.

    With --resume, only what is missing or has changed runs; --dry-run shows the steps, their time and size.
    """
    settings = load_study(config, overrides=overrides)
    from mi_bsa.study.registry import runner_of

    runner = runner_of(settings)
    if dry_run:
        click.echo(runner.preview(settings, out))
        return
    page = runner.run(settings, out, resume=resume)
    from mi_bsa.core.results import read
    from mi_bsa.report.headline import lines

    for line in lines(read(page.parent)):
        click.echo(line)
    click.echo(f"report: {page}")
    click.echo(f"results: {page.with_name('results.json')}")
