"""`mi-bsa finetune`: LoRA adapters for every arm and seed of a config, or of a rows file given by flags."""

from pathlib import Path
from typing import Any

import click

from mi_bsa.cli.options import model_options, run_options, settings_of


@click.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@model_options()
@click.option(
    "--rows",
    multiple=True,
    metavar="[ARM=]X.jsonl",
    help="Chat rows of an arm (named 'seeking' if not named).",
)
@click.option("--behavior", default=None, help="Draw the rows of this behavior instead.")
@click.option("--seeds", default=None, metavar="0,1,2", help="Adapter seeds.")
@click.option("--steps", type=int, default=None, help="Optimizer steps.")
@click.option("--together", is_flag=True, help="All runs at once in one process: faster for small models.")
@run_options
def finetune(
    config: Path | None,
    rows: tuple[str, ...],
    behavior: str | None,
    seeds: str | None,
    steps: int | None,
    together: bool,
    overrides: tuple[str, ...],
    out: Path,
    resume: bool,
    dry_run: bool,
    **flags: Any,
) -> None:
    """Train LoRA adapters on chat rows: arms x seeds, the loss on the assistant's words only.

    CONFIG is a YAML file (model, rows or behavior, seeds, finetune); flags say the same and win over it.
    Adapters are written to OUT/adapters/ARM-SEED/adapter. --dry-run shows the rows with the loss mask.
    """
    from mi_bsa.finetune.runs import FinetuneRun

    flags["behavior"] = behavior
    flags["rows"] = dict(_arm(text) for text in rows) or None
    flags["seeds"] = _seeds(seeds)
    flags["together"] = together or None
    changes = [] if steps is None else [f"finetune.steps={steps}"]
    settings = settings_of(FinetuneRun, config, flags, overrides, changes=changes)
    if dry_run:
        from mi_bsa.finetune.runs import describe

        click.echo(describe(settings))
        return
    _run(settings, out, resume)


def _run(settings: Any, out: Path, resume: bool) -> None:
    import time
    from contextlib import nullcontext

    import activations
    from mi_bsa.core import record
    from mi_bsa.core.files import write_json
    from mi_bsa.core.finetuned import RESULT, rank
    from mi_bsa.core.rows import rows_hash
    from mi_bsa.finetune import preflight
    from mi_bsa.finetune.runs import runs_of
    from mi_bsa.finetune.train import finetune as train

    first = rank() == 0  # under `accelerate launch` every rank trains and one writes
    if first:
        record.check_free(out, resume=resume)
        preflight.check(settings)
    activations.locate(
        settings.model.name, revision=settings.model.revision
    )  # fetched, or refused, before rows are drawn and a folder is made
    if first:
        preflight.check_headers(settings.model)  # what cannot be loaded is refused before a folder is made
    runs = runs_of(settings)
    revisions = {f"rows/{name}": rows_hash(rows) for name, (rows, _) in runs.items()}
    with (
        record.start(out, config=settings, resume=resume, seeds=settings.seeds, revisions=revisions)
        if first
        else nullcontext(record.RunFolder(out)) as run
    ):
        began = time.perf_counter()
        if settings.together:
            from mi_bsa.finetune.together import finetune_together

            results = finetune_together(settings.model, runs, out=run.adapters, resume=resume)
        else:
            results = {}
            for name, (rows, config) in runs.items():
                folder = run.adapters / name
                results[name] = train(settings.model, rows, config=config, out=folder, resume=folder.exists())
                if first:
                    click.echo(_line(name, results[name]))
        if not first:
            return
        if settings.together:
            for name, result in results.items():
                click.echo(_line(name, result))
        summary = {
            n: {"loss": r.loss, "steps": r.steps, "fingerprint": r.fingerprint} for n, r in results.items()
        }
        write_json(run.path / RESULT, summary)
        click.echo(f"{len(results)} adapters in {run.adapters} ({time.perf_counter() - began:.1f} s)")


def _line(name: str, result: Any) -> str:
    return (
        f"{name}: loss {result.loss:.4f} after {result.steps} steps, {result.n_rows} rows -> {result.adapter}"
    )


def _arm(text: str) -> tuple[str, str]:
    arm, equals, path = text.partition("=")
    return (arm, path) if equals else ("seeking", text)


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"{text!r}: write seeds as 0,1,2", param_hint="--seeds") from None
