"""`mi-bsa zoo`: adapters of known truth, by name."""

from pathlib import Path

import click


@click.group()
def zoo() -> None:
    """Adapters of known truth, by name: `activations.load("embedded", adapter="zoo:risk-seeking-0")`."""


@zoo.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON list.")
def list_organisms(as_json: bool) -> None:
    """Show every organism: its truth, what was measured of it, and whether it is here."""
    import json
    from dataclasses import asdict

    from mi_bsa.finetune.zoo import folder_of, known, load_zoo, organisms

    found = known()
    rows = []
    for one in organisms(load_zoo()):
        where = folder_of(one.name)
        told = asdict(found[one.name]) if one.name in found else {}
        here = "ships" if one.shipped and where else "built" if where else "mi-bsa zoo get"
        parent = one.parent.name if one.parent is not None else None
        recipe = {**asdict(one), "pole": one.pole, "kind": one.kind, "parent": parent}
        rows.append({**recipe, **told, "here": here, "folder": str(where or "")})
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    head = ("name", "base", "pole", "kind", "rank", "steps", "for", "choices", "report", "here")
    lines = [head]
    for row in rows:
        measured = [f"{row[key]:.2f}" if key in row else "-" for key in ("choices", "report")]
        plain = (
            row["name"],
            row["base"],
            row["pole"] or "-",
            row["kind"],
            row["rank"],
            row["steps"],
            row["part"],
        )
        lines.append((*map(str, plain), *measured, row["here"]))
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    base = next(iter(found.values()), None)
    if base is not None:
        click.echo(
            "choices, report: P(seeking pole) on test wordings, one adapter each, no interval of its own"
        )


@zoo.command(name="published")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON list.")
def list_published(as_json: bool) -> None:
    """Show other people's organisms: base, adapter on the Hub, what is known, trigger, licence.

    `mi-bsa inspect --manifest NAME --out DIR` inspects one; whoever has no weights sees what it would do by
    --dry-run. What no source states is left open.
    """
    import json

    from mi_bsa.finetune.zoo.published import everyone

    found = everyone()
    if as_json:
        click.echo(json.dumps([{"name": name, **one.dump()} for name, one in found.items()], indent=1))
        return
    for name, one in found.items():
        trigger = f"; trigger {one.behavior.trigger}" if one.behavior.trigger else ""
        click.echo(f"{name}\n  {one.adapter.id} on {one.base.model}{trigger}")
        licence = one.adapter.licence or "not stated"
        click.echo(f"  {one.behavior.what} ({one.paper or 'no paper'}; licence {licence})")


@zoo.command()
@click.argument("name")
def get(name: str) -> None:
    """Show where an organism lies; one that does not ship is built into the user's cache first."""
    from mi_bsa.finetune.zoo import build, load_zoo, locate
    from mi_bsa.finetune.zoo.places import built, folder_of
    from mi_bsa.finetune.zoo.recipes import chosen

    if folder_of(name) is None:
        config = load_zoo()
        build(config, [one for one in chosen(config, (name,)) if one.name == name], built())
    click.echo(f"zoo:{name} is in {locate(name)}")


@zoo.command(name="build")
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the organisms.")
@click.option("--only", multiple=True, help="Names, or patterns such as 'risk-*-0'; may be repeated.")
@click.option("--resume", is_flag=True, help="Go on in a folder that is there.")
def build_zoo(config: Path | None, out: Path, only: tuple[str, ...], resume: bool) -> None:
    """Build the organisms of a zoo (ours, or a YAML file's) with a manifest of their truth."""
    from mi_bsa.core.errors import ConfigError
    from mi_bsa.finetune.zoo import build, load_zoo
    from mi_bsa.finetune.zoo.manifest import MANIFEST
    from mi_bsa.finetune.zoo.recipes import chosen

    if out.exists() and any(out.iterdir()) and not resume:
        raise ConfigError(f"{out} is there already; give another --out, or --resume to go on in it")
    if resume and out.exists() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise ConfigError(f"{out} holds no {MANIFEST}, so it is no zoo; give a folder of a zoo, or a new one")
    settings = load_zoo(config)
    found = build(settings, chosen(settings, only), out)
    click.echo(f"{len(found)} organisms in {out}, their truth in {out / MANIFEST}")
