"""`mi-bsa model`: real models by name, fetched once, and what is here."""

from pathlib import Path

import click

from mi_bsa.core.named_models.catalog import DTYPES


@click.group()
def model() -> None:
    """Real models by name, fetched once into the user's cache (MI_BSA_HOME, else the system's own)."""


@model.command()
@click.argument("target", metavar="NAME_OR_GGUF")
@click.option(
    "--dtype", type=click.Choice(DTYPES), default=None, help="Of the written weights; float32 by default."
)
@click.option("--name", help="Keep a GGUF's model under this name: it is then local/NAME.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write a GGUF's model into this new folder instead."
)
@click.option(
    "--tokenizer",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder whose tokenizer is taken instead of the GGUF's.",
)
def get(target: str, dtype: str | None, name: str | None, out: Path | None, tokenizer: Path | None) -> None:
    """Fetch a model that is known by name, or convert a GGUF file (or a folder that holds one).

    Afterwards the name works wherever `embedded` does: `--model smollm2`, `model: smollm2/bfloat16`,
    `activations.load("smollm2")`. The weights of a GGUF are dequantized: a model card beside them says so.
    `smollm2/linked-0`, `smollm2/separate-0` and `smollm2/prompt-0` are made here, from SmolLM2.
    """
    from mi_bsa.core.named_models import getting, installed
    from mi_bsa.core.named_models.catalog import LINKED, NAMED

    head, _, told = target.partition("/")
    if head in NAMED and told in LINKED:
        from mi_bsa.finetune.links import ensure

        if (dtype, name, out, tokenizer) != (None, None, None, None):
            raise click.UsageError(f"{target} is made by its own plan; give no other option")
        click.echo(f"{target} is in {ensure(target)}")
        return
    if head in NAMED and (told in DTYPES or not told):
        if name is not None or out is not None or tokenizer is not None:
            raise click.UsageError("--name, --out and --tokenizer are for a GGUF file, not for a known name")
        if told and dtype not in (None, told):
            raise click.UsageError(f"{target} names {told} and --dtype {dtype}; say one")
        chosen = dtype or told or DTYPES[0]
        folder = getting.get(head, dtype=chosen)
        called = installed.called(head, chosen)
    else:
        if name is not None and out is not None:
            raise click.UsageError("--name keeps it in the cache and --out writes it elsewhere; give one")
        called, folder = getting.get_gguf(
            Path(target), dtype=dtype or DTYPES[0], name=name, out=out, words=tokenizer
        )
    click.echo(f"{called} is in {folder}")


@model.command(name="list")
def list_models() -> None:
    """Show what is known by name and what is here: size, dtype, folder."""
    from mi_bsa.cli import model_listing as listing

    click.echo(listing.render(listing.rows()))
