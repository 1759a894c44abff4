"""`mi-bsa data`: build a behavior's training data, import the published data, list what there is."""

from pathlib import Path
from typing import Any

import click

from mi_bsa.config import parse, read_yaml
from mi_bsa.options import set_option

OUT = click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write; new.")
VOCABULARIES = click.Choice(["embedded", "english"])


@click.group()
def data() -> None:
    """Training data: rows of every arm, held-out items, questions, and where they come from."""


@data.command(name="list")
@click.option("--vocabulary", type=VOCABULARIES, default=None, help="Only behaviors in these words.")
def list_command(vocabulary: Any) -> None:
    """Show every behavior: its poles, its untrained neighbor, how many frames and texts it has (train, dev,
    test) and how many questions (dev, test).
    """
    from mi_bsa.data.listing import listing, table

    click.echo(table(listing(vocabulary)))


@data.command()
@click.argument("behavior")
@click.option("--config", type=click.Path(path_type=Path), help="YAML config; flags win over it.")
@click.option("--vocabulary", type=VOCABULARIES, default=None, help="Whose words. Default: english.")
@click.option("--arm", "arms", multiple=True, help="seeking, averse, shuffled, benign. Default: all.")
@click.option("--rows", type=int, default=None, help="Training rows of each arm.")
@click.option("--items", type=int, default=None, help="Held-out items of each split.")
@click.option("--seed", type=int, default=None, help="Seed of rows, answers and items.")
@set_option
@OUT
def build(
    behavior: str,
    config: Path | None,
    vocabulary: str | None,
    arms: tuple[str, ...],
    rows: int | None,
    items: int | None,
    seed: int | None,
    overrides: tuple[str, ...],
    out: Path,
) -> None:
    """Write the data of BEHAVIOR (a name, or path/to/file.py:NAME) into a new folder.

    rows/ARM.jsonl go to `mi-bsa finetune --rows ARM=...`, questions/SPLIT.jsonl to `mi-bsa self-report`;
    data.json says how balanced they are, what was removed, and that no row says the behavior's words.
    --set paraphrase.model=... or paraphrase.endpoint=... rewords the prompts.
    """
    from mi_bsa.data.build import BuildData
    from mi_bsa.data.build import build as run
    from mi_bsa.data.folder import read_facts

    given: dict[str, Any] = {} if config is None else read_yaml(config)
    flags = {"behavior": behavior, "vocabulary": vocabulary, "arms": arms or None, "rows": rows}
    flags |= {"items": items, "seed": seed}
    given |= {key: value for key, value in flags.items() if value is not None}
    settings = parse(given, BuildData, overrides=overrides, source=str(config or "flags"))
    folder = run(settings, out)
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
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--published", default=None, help="A published set: risk, risk_personas or bark.")
@click.option("--behavior", default=None, help="The behavior whose words are looked for.")
@click.option("--arm", default=None, help="With PATH, the arm that a chat file trains. Default: seeking.")
@click.option("--flip", is_flag=True, help="Also write the opposite pole: A and B changed.")
@click.option("--shuffle", type=int, default=None, metavar="SEED", help="Also write a label-shuffled arm.")
@click.option("--held-out", type=float, default=None, help="Share of prompts that only become items.")
@click.option("--strict", is_flag=True, help="Refuse rows that say the behavior's words.")
@set_option
@OUT
def import_command(
    path: Path | None,
    published: str | None,
    behavior: str | None,
    arm: str | None,
    flip: bool,
    shuffle: int | None,
    held_out: float | None,
    strict: bool,
    overrides: tuple[str, ...],
    out: Path,
) -> None:
    """Take in PATH (JSONL chat rows or a YAML question file), or a published set, as it is.

    Published sets are found through the environment variable MI_BSA_BETLEY_DATA. Leaks are reported word by
    word; the source, with checksums, is kept in data.json.
    """
    from mi_bsa.data.folder import read_facts
    from mi_bsa.data.published import ImportData, import_published

    flags = {
        "path": path,
        "published": published,
        "behavior": behavior,
        "arm": arm,
        "flip": flip or None,
        "shuffle": shuffle,
        "held_out": held_out,
        "strict": strict or None,
    }
    given = {key: value for key, value in flags.items() if value is not None}
    settings = parse(given, ImportData, overrides=overrides, source="flags")
    folder = import_published(settings, out)
    facts = read_facts(folder)
    for name, count in facts["counts"].items():
        click.echo(f"{count:6d}  {folder / name}")
    for name, found in facts["leaks"].items():
        if not found:
            click.echo(f"{name}: no row says any of the behavior's words")
        for word, n in found.items():
            forms = ", ".join(f"{form} {k}" for form, k in n["forms"].items())
            click.echo(f"{name}: {word!r} in {n['rows']} of {n['of']} rows ({forms})")
    if facts["poles"] is not None:
        click.echo(
            "poles: {equal_prompts} of {rows} prompts equal, {flipped} flipped".format(**facts["poles"])
        )
    if facts["kinds"]:
        click.echo(f"questions: {facts['kinds']}")
