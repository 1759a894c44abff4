"""`mi-bsa data`: build a behavior's training data, import the published data, list what there is."""

from pathlib import Path
from typing import Any

import click

from mi_bsa.cli.options import set_option
from mi_bsa.core.config import parse, read_yaml
from mi_bsa.core.errors import ConfigError

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
    from mi_bsa.behaviors.data.listing import listing, table

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
    from mi_bsa.behaviors.data.build import BuildData
    from mi_bsa.behaviors.data.build import build as run
    from mi_bsa.behaviors.data.folder import read_facts

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
@click.option(
    "--published",
    default=None,
    help="A published set: risk, risk_personas, myopia, apples, bark, ring or spring.",
)
@click.option("--behavior", default=None, help="The behavior whose words are looked for; PATH needs it.")
@click.option("--arm", default=None, help="With PATH, the arm that a chat file trains.")
@click.option("--flip", is_flag=True, help="Also write the opposite pole: A and B changed.")
@click.option("--shuffle", type=int, default=None, metavar="SEED", help="Also write a label-shuffled arm.")
@click.option("--held-out", type=float, default=None, help="Share of prompts that only become items.")
@click.option("--strict", is_flag=True, help="Refuse rows that say the behavior's words.")
@click.option(
    "--fill",
    "fills",
    multiple=True,
    metavar="SLOT=VALUE",
    help="Ask questions with this value in {SLOT}; repeat it for more values.",
)
@click.option(
    "--flipped",
    type=click.Choice(["yes", "no"]),
    default=None,
    help="Direction of scales that do not say it: no where their upper end is the seeking pole.",
)
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
    fills: tuple[str, ...],
    flipped: str | None,
    overrides: tuple[str, ...],
    out: Path,
) -> None:
    """Take in PATH (JSONL chat rows, a YAML question file, or a folder of them), or a published set, as it
    is.

    Published sets are found through the environment variable MI_BSA_BETLEY_DATA, a flat folder or a checkout
    of the repository. Leaks are reported word by word; the source, with checksums, is kept in data.json. What
    cannot be asked as it stands is refused by name; a folder's files are all in its table.md.
    """
    from mi_bsa.behaviors.data.folder import read_facts
    from mi_bsa.behaviors.data.published import ImportData, import_published

    flags = {
        "path": path,
        "published": published,
        "behavior": behavior,
        "arm": arm,
        "flip": flip or None,
        "shuffle": shuffle,
        "held_out": held_out,
        "strict": strict or None,
        "fill": _fills(fills),
        "flipped": None if flipped is None else flipped == "yes",
    }
    given = {key: value for key, value in flags.items() if value is not None}
    settings = parse(given, ImportData, overrides=overrides, source="flags")
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
    if settings.path is not None and arm is None and facts["leaks"]:
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


def _fills(fills: tuple[str, ...]) -> dict[str, list[str]] | None:
    """`--fill SLOT=VALUE` as slot -> values."""
    found: dict[str, list[str]] = {}
    for text in fills:
        slot, equals, value = text.partition("=")
        if not equals or not slot.strip():
            raise ConfigError(f"--fill {text!r}: write it as SLOT=VALUE, for example --fill codeword=ring")
        found.setdefault(slot.strip(), []).append(value)
    return found or None


def _say_leaks(leaks: dict[str, Any], under: str = "") -> None:
    for name, found in leaks.items():
        if not found:
            click.echo(f"{under}{name}: no row says any of the behavior's words")
        for word, n in found.items():
            forms = ", ".join(f"{form} {k}" for form, k in n["forms"].items())
            click.echo(f"{under}{name}: {word!r} in {n['rows']} of {n['of']} rows ({forms})")


def _say_told(told: dict[str, Any]) -> None:
    for name, entries in told.items():
        for entry, notes in entries.items():
            for note in notes:
                click.echo(f"{name}, entry {entry!r}: {note}")
