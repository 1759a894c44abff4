"""`mi-bsa embedded`: build the small Llama that ships with the toolkit, or look at it."""

from pathlib import Path

import click

from mi_bsa.cli.options import config_options, out_option
from mi_bsa.core.errors import RunFolderError
from mi_bsa.worlds.recipe import BuildConfig
from mi_bsa.worlds.wordings import Split


@click.group()
def embedded() -> None:
    """The small Llama that ships with the toolkit."""


@embedded.command()
@config_options(BuildConfig, file_flag=True)
@out_option
@click.option("--resume", is_flag=True, help="Continue a build that was interrupted.")
def build(settings: BuildConfig, out: Path, resume: bool) -> None:
    """Pretrain one base model from scratch: the shipped one with --seed 0, 1 or 2."""
    from mi_bsa.worlds.build import build as run

    click.echo(f"wrote {run(settings, out, resume=resume)}")


@embedded.command()
@click.argument("name", default="embedded")
@click.option("--measure", is_flag=True, help="Ask the base everything it should know (about half a minute).")
@click.option("--split", type=click.Choice(["dev", "test"]), default="dev", help="Wordings to ask.")
@click.option("--csv", type=click.Path(path_type=Path), help="Also write the measured table here.")
def info(name: str, measure: bool, split: Split, csv: Path | None) -> None:
    """Show what NAME is (embedded, embedded/1, or a folder), and with --measure what it knows."""
    from mi_bsa.worlds import inform

    if csv is not None and csv.exists():
        raise RunFolderError(f"{csv}: exists already; give another --csv")
    if csv is not None and not measure:
        raise click.UsageError("--csv is the table of --measure; give both")
    click.echo(inform.describe(name))
    if measure:
        table = inform.measure(name, split=split)
        click.echo(inform.render(table))
        if csv is not None:
            csv.parent.mkdir(parents=True, exist_ok=True)
            table.to_csv(csv, index=False)
            click.echo(f"wrote {csv}")
