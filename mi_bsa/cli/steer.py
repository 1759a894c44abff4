"""`mi-bsa steer`: dose curves of a direction on behavior and self-report, against null directions."""

from pathlib import Path

import click

from mi_bsa.causal.config import SteerRun
from mi_bsa.cli.options import config_options, run_options
from mi_bsa.cli.registering import say_first


@click.command()
@config_options(SteerRun, adapters=True, parts=("items.behavior",))
@run_options
def steer(settings: SteerRun, out: Path, resume: bool, dry_run: bool) -> None:
    """Add a direction at growing strength and read behavior and self-report; layer and strength chosen on
    development items.

    CONFIG is a YAML file, or a built-in one such as embedded/risk_steer: model, items, directions or
    contrast, strengths.
    OUT gets results.json, development.csv, curve.csv, items.csv, matched.csv and figures.
    """
    from mi_bsa.causal import steer_run

    if dry_run:
        click.echo("\n".join([*steer_run.rehearse(settings), settings.to_yaml().rstrip()]))
    else:
        steer_run.run(settings, out, resume=resume, say=click.echo)
        from mi_bsa.studies.behavior.page import SECTIONS

        say_first(out, SECTIONS)
