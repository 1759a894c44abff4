"""`mi-bsa patch`: activation patching between two variants or between pairs of prompts, as maps, tables and
figures.
"""

from pathlib import Path

import click

from mi_bsa.causal.config import PatchRun
from mi_bsa.cli.options import config_options, run_options
from mi_bsa.cli.registering import say_first


@click.command()
@config_options(PatchRun, adapters=True, parts=("items.behavior",))
@run_options
def patch(settings: PatchRun, out: Path, resume: bool, dry_run: bool) -> None:
    """Patch a source run into a target run: a layer x position (or head) map as a figure and a table.

    CONFIG is a YAML file, or a built-in one such as embedded/risk_patch: model, items or pairs, source,
    target, site.
    OUT gets results.json, patch_<read-out>.csv and figures; with `gates`, also what each LoRA module carries.
    """
    from mi_bsa.causal import patch_run

    if dry_run:
        click.echo("\n".join([*patch_run.rehearse(settings), settings.to_yaml().rstrip()]))
    else:
        patch_run.run(settings, out, resume=resume, say=click.echo)
        from mi_bsa.studies.behavior.page import SECTIONS

        say_first(out, SECTIONS)
