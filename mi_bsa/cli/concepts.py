"""`mi-bsa concepts`: words put into a model that is asked for a word; does it name one, and which?"""

from pathlib import Path

import click

from mi_bsa.causal.introspection.concept_options import ConceptsRun
from mi_bsa.cli.options import config_options, run_options
from mi_bsa.cli.registering import say_first


@click.command()
@config_options(ConceptsRun)
@run_options
def concepts(settings: ConceptsRun, out: Path, resume: bool, dry_run: bool) -> None:
    """Put vectors of general concepts into a model, and see whether it names one, and which.

    CONFIG is a YAML file; flags say the same and win over it. Vectors are added at the answer slot, or at the
    question's tokens before it; way, layer and strength are chosen on development questions. OUT gets
    results.json: detection, identification, and false alarms on nothing and on random vectors of the norm.
    """
    from mi_bsa.causal.introspection import concept_run

    if dry_run:
        click.echo("\n".join([*concept_run.rehearse(settings), settings.to_yaml().rstrip()]))
    else:
        concept_run.run(settings, out, resume=resume, say=click.echo)
        from mi_bsa.studies.behavior.page import SECTIONS

        say_first(out, SECTIONS)
