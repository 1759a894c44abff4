"""`mi-bsa lens`: vectors of a model in words, beside vectors that mean nothing."""

from pathlib import Path

import click

from mi_bsa.cli.options import config_options, run_options
from mi_bsa.studies.inspect.lens_config import LensRun


@click.command()
@config_options(LensRun, adapters=True, names={"words": "--word"})
@run_options
def lens(settings: LensRun, out: Path, resume: bool, dry_run: bool) -> None:
    """Read what an adapter adds to unrelated texts, its weights' own vectors, or a direction, in words.

    CONFIG is a YAML file; flags say the same and win over it. Lenses are logit, jacobian and patchscope;
    each word has a p against random vectors and random differences of texts, of the same norm. OUT gets
    words.csv (each vector's first and last words), found.csv (where --word names some) and results.json.
    """
    from mi_bsa.studies.inspect import lens_run

    if dry_run:
        click.echo("\n".join([*lens_run.rehearse(settings), settings.to_yaml().rstrip()]))
    else:
        lens_run.run(settings, out, resume=resume, say=click.echo)
