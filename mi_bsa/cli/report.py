"""`mi-bsa report`: a run's page again from its results, or two runs side by side."""

from pathlib import Path

import click

from mi_bsa.core.errors import MissingError


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The page that compares two runs; new.")
def report(runs: tuple[Path, ...], out: Path | None) -> Path | None:
    """Render the report page of one run again, or compare two.

    `mi-bsa report RUN` writes RUN/report.html and RUN/figures from RUN/results.json. `mi-bsa report A B`
    writes compare-A-B.html into the current folder, or the page that --out names.
    """
    if len(runs) > 2:
        raise click.UsageError(f"{len(runs)} runs given; one is rendered, two are compared")
    if len(runs) == 1 and out is not None:
        raise click.UsageError("--out is for comparing two runs; one run's page is written into its folder")
    for run in runs:
        if not run.is_dir():
            raise MissingError(f"{run}: no such run folder; give what --out was given")
    from mi_bsa.report import compare, render
    from mi_bsa.study.registry import page_of

    sections = list(dict.fromkeys(section for run in runs for section in page_of(run)))
    if len(runs) == 1:
        page = render(runs[0], sections)
    else:
        name = f"compare-{runs[0].resolve().name}-{runs[1].resolve().name}.html"
        page = compare(runs[0], runs[1], out=Path(name) if out is None else out, own=sections)
    click.echo(page)
    return runs[0] if len(runs) == 1 else None
