"""`mi-bsa finetune`: LoRA adapters for every arm and seed of a config, or of a rows file given by flags."""

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from mi_bsa.cli.options import config_options, run_options
from mi_bsa.finetune.runs import FinetuneRun


@click.command()
@config_options(FinetuneRun, parts=("finetune.steps",), bare={"rows": "seeking"})
@run_options
def finetune(settings: FinetuneRun, out: Path, resume: bool, dry_run: bool) -> None:
    """Train LoRA adapters on chat rows: arms x seeds, the loss on the assistant's words only.

    CONFIG is a YAML file (model, rows or behavior, seeds, finetune); flags say the same and win over it.
    Adapters are written to OUT/adapters/ARM-SEED/adapter. --dry-run shows the rows with the loss mask.
    """
    if dry_run:
        from mi_bsa.finetune.runs import describe

        click.echo(describe(settings))
        return
    import activations
    from mi_bsa.core import record
    from mi_bsa.core.files import write_json
    from mi_bsa.core.finetuned import RESULT, rank
    from mi_bsa.core.rows import rows_hash
    from mi_bsa.finetune import preflight
    from mi_bsa.finetune.many import train_many
    from mi_bsa.finetune.runs import runs_of

    first = rank() == 0  # under `accelerate launch` every rank trains and one writes
    if first:
        record.check_free(out, resume=resume)
        preflight.check(settings)
    # fetched, or refused, before rows are drawn and a folder is made
    activations.locate(settings.model.name, revision=settings.model.revision)
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

        def told(name: str, result: Any) -> None:
            if first:
                loss = f"loss {result.loss:.4f} after {result.steps} steps, {result.n_rows} rows"
                click.echo(f"{name}: {loss} -> {result.adapter}")

        results = train_many(settings.model, runs, out=run.adapters, stack=settings.together, told=told)
        if not first:
            return
        kept = ("loss", "steps", "fingerprint")
        write_json(run.path / RESULT, {n: {k: getattr(r, k) for k in kept} for n, r in results.items()})
        click.echo(f"{len(results)} adapters in {run.adapters} ({time.perf_counter() - began:.1f} s)")
