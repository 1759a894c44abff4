"""`mi-bsa report-adapter`: one LoRA over many finetunes of known truth, that makes others say what they
learned.
"""

from pathlib import Path
from typing import Any

import click


@click.group()
def report_adapter() -> None:
    """Train a report adapter over finetunes of known truth, and put it onto one of unknown truth.

    The study of it, with its controls, is `mi-bsa study embedded/report_adapter`.
    """


@report_adapter.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the report adapter.")
@click.option("--arm", default="matched", show_default=True, help="Whose truth it is taught.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of adapter, rows and order.",
)
@click.option(
    "--organisms", type=click.Path(path_type=Path), help="Folder of the organisms; missing ones are built."
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="A field of the config.")
@click.option("--resume", is_flag=True, help="Go on in a folder that is there.")
def train(
    config: Path,
    out: Path,
    arm: Any,
    seed: int,
    organisms: Path | None,
    overrides: tuple[str, ...],
    resume: bool,
) -> None:
    """Train one report adapter over the organisms of a study's config."""
    from mi_bsa.core.config import load
    from mi_bsa.core.errors import ConfigError
    from mi_bsa.studies.report_adapter.config import ReportAdapterConfig
    from mi_bsa.studies.report_adapter.single import train_one

    settings = load(config, ReportAdapterConfig, overrides=overrides)
    if arm not in settings.taught.arms:
        raise ConfigError(
            f"--arm {arm}: the config teaches {', '.join(settings.taught.arms)}; give one of these"
        )
    done = train_one(settings, out, arm=arm, seed=seed, organisms=organisms, resume=resume)
    click.echo(f"report adapter in {done.adapter}: loss {done.loss:.3f} over {done.n_rows} answers")


@report_adapter.command()
@click.argument("reader", type=click.Path(path_type=Path))
@click.option("--adapter", required=True, help="Folder of the adapter in question, or zoo:NAME.")
@click.option("--model", help="The base; by default that of the report adapter.")
@click.option("--behavior", "behaviors", multiple=True, help="What is asked about; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON list.")
def ask(reader: Path, adapter: str, model: str | None, behaviors: tuple[str, ...], as_json: bool) -> None:
    """Ask an adapter what it learned, with a report adapter and without, on test wordings."""
    import json

    from mi_bsa.studies.report_adapter.single import ask_one

    told = ask_one(reader, Path(adapter), model=model, behaviors=behaviors)
    if as_json:
        rows = told.round(6).reset_index().to_dict("records")
        click.echo(json.dumps(rows, indent=1))
        return
    order = (told["read"] - 0.5).abs().sort_values(ascending=False).index
    click.echo(told.loc[order].to_string(float_format="{:.2f}".format))
    click.echo(
        "P(seeking pole): base, adapter alone; base_read, read: the same with the report adapter. One "
        "adapter, no interval"
    )
