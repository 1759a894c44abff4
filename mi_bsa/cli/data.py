"""`mi-bsa data`: build a behavior's training data, import the published data, list what there is."""

from pathlib import Path
from typing import Any

import click

from mi_bsa.behaviors.data.build import BuildData
from mi_bsa.behaviors.data.build import build as write_data
from mi_bsa.behaviors.data.folder import read_facts
from mi_bsa.behaviors.data.published import ImportData, import_published
from mi_bsa.cli.options import config_options, out_option


@click.group()
def data() -> None:
    """Training data: rows of every arm, held-out items, questions, and where they come from."""


@data.command(name="list")
@click.option(
    "--vocabulary",
    type=click.Choice(["embedded", "english"]),
    default=None,
    help="Only behaviors in these words.",
)
def list_command(vocabulary: Any) -> None:
    """Show every behavior: its poles, its untrained neighbor, how many frames and texts it has (train, dev,
    test) and how many questions (dev, test).
    """
    from mi_bsa.behaviors.data.listing import listing, table

    click.echo(table(listing(vocabulary)))


@data.command()
@config_options(BuildData, positional="behavior", names={"arms": "--arm"})
@out_option
def build(settings: BuildData, out: Path) -> None:
    """Write the data of BEHAVIOR (a name, or path/to/file.py:NAME) into a new folder.

    rows/ARM.jsonl go to `mi-bsa finetune --rows ARM=...`, questions/SPLIT.jsonl to `mi-bsa self-report`;
    data.json says how balanced they are, what was removed, and that no row says the behavior's words.
    --set paraphrase.model=... or paraphrase.endpoint=... rewords the prompts.
    """
    folder = write_data(settings, out)
    facts = read_facts(folder)
    for name, count in facts["counts"].items():
        click.echo(f"{count:6d}  {folder / name}")
    leaks, near = facts["leaks"], facts["near_duplicates"]
    click.echo(f"leak check: {leaks['rows_checked']} rows, none says any of {len(leaks['words'])} words")
    click.echo(f"near-duplicates: {near}")
    click.echo(f"balance: {facts['balance']}")
    if facts["paraphrase"] is not None:
        click.echo(f"paraphrase: {facts['paraphrase']}")


@data.command(name="import")
@config_options(ImportData, positional="path")
@out_option
def import_command(settings: ImportData, out: Path) -> None:
    """Take in PATH (JSONL chat rows, a YAML question file, or a folder of them), or a published set, as it
    is.

    Published sets are found through the environment variable MI_BSA_BETLEY_DATA, a flat folder or a checkout
    of the repository. Leaks are reported word by word; the source, with checksums, is kept in data.json. What
    cannot be asked as it stands is refused by name; a folder's files are all in its table.md.
    """
    folder = import_published(settings, out)
    facts = read_facts(folder)
    if "table" in facts:
        from mi_bsa.behaviors.data.tree import TABLE

        click.echo((folder / TABLE).read_text(encoding="utf-8"), nl=False)
        for name, some in facts["files"].items():
            _say_leaks(some["leaks"], under=f"{name}, ")
            _say_told(some["told"])
        click.echo(f"written to {folder}")
        return
    for name, count in facts["counts"].items():
        click.echo(f"{count:6d}  {folder / name}")
    if settings.path is not None and settings.arm is None and facts["leaks"]:
        first = next(iter(facts["leaks"]))
        click.echo(f"arm: {first}, as none was said; give --arm where the file trains another one")
    _say_leaks(facts["leaks"])
    if facts["poles"] is not None:
        click.echo(
            "poles: {equal_prompts} of {rows} prompts equal, {flipped} flipped".format(**facts["poles"])
        )
    if facts["kinds"]:
        click.echo(f"questions: {facts['kinds']}")
    for entries in facts["refused"].values():
        for entry, reason in entries.items():
            click.echo(f"refused: entry {entry!r}: {reason}")
    _say_told(facts["told"])


def _say_leaks(leaks: dict[str, Any], under: str = "") -> None:
    for name, words in leaks.items():
        if not words:
            click.echo(f"{under}{name}: no row says any of the behavior's words")
        for word, n in words.items():
            forms = ", ".join(f"{form} {k}" for form, k in n["forms"].items())
            click.echo(f"{under}{name}: {word!r} in {n['rows']} of {n['of']} rows ({forms})")


def _say_told(told: dict[str, Any]) -> None:
    for name, entries in told.items():
        for entry, notes in entries.items():
            for note in notes:
                click.echo(f"{name}, entry {entry!r}: {note}")
