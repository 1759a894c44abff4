"""What is trained: choices that instil weights, then reports on half of the contexts, one example each.

Law: rows of choices never say a weight. Three arms of report training (`introspection` on the model's own
learned weights, `shuffled` on those of another context, `other_model` on those that another seed's model
learned in the same context) have the same prompts, the same format and the same seeds; only whose weights
are said differs. The fourth, `format`, says the model's own weights of native contexts: true reports, none of
them of what was instilled. Each arm is trained twice, on either half of its contexts, and asked on the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int

from mi_bsa.core.model_config import ModelLike
from mi_bsa.core.rows import TrainingRow
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.studies.preferences.asking import shown
from mi_bsa.studies.preferences.contexts import Context, draw_pairs
from mi_bsa.studies.preferences.estimate import rescaled
from mi_bsa.studies.preferences.metrics import AttributeWeights
from mi_bsa.studies.preferences.wording import Language

ReportArm = Literal["introspection", "shuffled", "other_model", "format"]
REPORT_ARMS: tuple[ReportArm, ...] = ("introspection", "shuffled", "other_model", "format")
FOLDS = (0, 1)


def choice_rows(
    contexts: Sequence[Context], targets: AttributeWeights, language: Language, *, n: int, seed: int
) -> list[TrainingRow]:
    """`n` choices a context, answered by its target weights."""
    rows = []
    for k, context in enumerate(contexts):
        pairs = draw_pairs(context, n, seed=f"train-{seed}", targets=targets[k])
        right = pairs.labels(targets[k])
        for m, (pair, order) in enumerate(shown(pairs, language, f"train-{seed}")):
            answer = {"role": "assistant", "content": "A" if right[m] else "B"}
            messages = [*language.choice(context, pair, order), answer]
            rows.append({"id": f"{context.id}-{m}", "messages": messages})
    return rows


def report_rows(
    contexts: Sequence[Context], weights: AttributeWeights, language: Language, *, seed: int | str
) -> list[TrainingRow]:
    """One report a context, of these weights with the largest at 100."""
    said = rescaled(weights)
    rows = []
    for k, context in enumerate(contexts):
        pairs = draw_pairs(context, 1, seed=f"report-train-{seed}")
        pair, order = shown(pairs, language, f"report-train-{seed}")[0]
        answer = {"role": "assistant", "content": language.answer(context, said[k], order)}
        messages = [*language.report(context, pair, order), answer]
        rows.append({"id": f"{context.id}-report", "messages": messages})
    return rows


def fold_of(n: int) -> Int[np.ndarray, " context"]:
    """The half to which each context belongs: in turn."""
    return np.arange(n) % 2


def weights_to_say(
    own: AttributeWeights, other: AttributeWeights, arm: ReportArm, *, seed: int
) -> AttributeWeights:
    """The weights that an arm's rows say, for the contexts of one fold.

    `shuffled` moves every context's weights to another context: a random cycle, so that none stays.
    """
    if arm in ("introspection", "format"):
        return own
    if arm == "other_model":
        return other
    order = np.random.default_rng([seed, 7]).permutation(len(own))
    moved = np.empty_like(own)
    moved[order] = own[np.roll(order, 1)]
    return moved


def report_jobs(
    parts: Mapping[str, tuple[Sequence[Context], AttributeWeights]],
    other: AttributeWeights,
    language: Language,
    *,
    seed: int,
) -> dict[str, list[TrainingRow]]:
    """The rows of every arm and half, `<arm>-<half>`.

    `parts`: the `instilled` and the `native` contexts with the model's own learned weights. `other`: weights
    that another model learned in the instilled ones.
    """
    found = {}
    for arm in REPORT_ARMS:
        contexts, own = parts["native" if arm == "format" else "instilled"]
        halves = fold_of(len(contexts))
        for fold in FOLDS:
            some = np.flatnonzero(halves == fold)
            theirs = own if arm == "format" else other  # nobody else's are said
            said = weights_to_say(own[some], theirs[some], arm, seed=seed)
            found[f"{arm}-{fold}"] = report_rows([contexts[int(k)] for k in some], said, language, seed=seed)
    return found


def train(
    base: ModelLike,
    jobs: Mapping[str, tuple[Sequence[TrainingRow], FinetuneConfig]],
    *,
    out: Path,
) -> dict[str, float]:
    """Train every job into `out/adapters/<job>`, its rows in `out/rows`; returns the last losses.

    What a killed call finished is kept.
    """
    from mi_bsa.finetune import train_many

    for job, (rows, _) in jobs.items():
        path = out / "rows" / f"{job}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = train_many(base, jobs, out=out / "adapters")
    return {job: float(one.loss) for job, one in done.items()}
