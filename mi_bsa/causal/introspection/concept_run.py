"""`mi-bsa concepts` in steps: the model, words and their vectors, trials, results in a run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mi_bsa.causal.introspection.concepts import POSITIONS, ConceptsRun, measure, trials
from mi_bsa.core import model_config, record, results
from mi_bsa.core.progress import Progress
from mi_bsa.finetune import preflight


def rehearse(settings: ConceptsRun) -> list[str]:
    """What `--dry-run` does: load the model where it is small, and count what would be asked."""
    said = f"would put {settings.concepts} words in at {' and '.join(POSITIONS)}"
    grid = f"{len(settings.ways)} ways, {len(settings.strengths)} strengths"
    return [*preflight.rehearse(settings), f"{said}: {grid}"]


def run(settings: ConceptsRun, out: Path, *, resume: bool, say: Callable[[str], None]) -> None:
    """Write results.json and results.csv; `say` is told the chosen cell of each position."""
    model = preflight.ready(settings, out, resume=resume)
    given = trials(model, settings)
    cells = 2 * len(given.norms) * len(settings.strengths)
    # development: every way and random vectors; test: the chosen way and random vectors
    total = cells * (len(settings.ways) + 1) + 2 * cells
    revisions = model_config.facts(model)
    with (
        record.start(
            out, config=settings, resume=resume, seeds=(settings.seed,), revisions=revisions
        ) as folder,
        Progress("concept injection", total) as progress,
    ):
        found = measure(given, settings, step=lambda said: progress.advance(1, said))
        results.write(results.with_q(found), folder.path)
    say(f"{len(given.words)} concepts: {', '.join(given.words[:8])}, ...")
    for one in found:
        if one.where.get("kind") == "chosen" or one.where.get("method") == "nothing":
            say(_line(one))
    say(f"written to {folder.path}")


def _line(one: results.Result) -> str:
    place = ", ".join(str(one.where[key]) for key in ("method", "position", "layer") if key in one.where)
    ends = "" if one.ci is None else f" [{one.ci[0]:.2f}, {one.ci[1]:.2f}]"
    return f"  {one.name.rpartition('.')[2]:<15} {one.value:.2f}{ends}  {place}; {one.notes}"
