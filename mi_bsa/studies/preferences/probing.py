"""Are the weights linearly readable while choosing and while reporting, and by the same direction?

One example is an attribute of a context. While choosing it is read where the attribute's value in option B
is shown (mean over the attribute's tokens there), while reporting at the token after which its weight is due.
A ridge probe is fitted on some contexts and tested on the others: within a task, and from each task to the
other. The control is the same with weights moved between contexts (a control task: Hewitt and Liang 2019,
arXiv 1909.03368).
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

from mi_bsa.studies.preferences import metrics
from mi_bsa.studies.preferences.asking import prefilled
from mi_bsa.studies.preferences.contexts import Context, draw_pairs
from mi_bsa.studies.preferences.metrics import AttributeWeights
from mi_bsa.studies.preferences.wording import Language

if TYPE_CHECKING:
    import activations

Task = Literal["choosing", "reporting"]
TASKS: tuple[Task, ...] = ("choosing", "reporting")
States = Float[np.ndarray, "context attribute d_model"]


def prompts_of(
    model: activations.Model,
    contexts: Sequence[Context],
    language: Language,
    task: Task,
    *,
    pairs: int,
    seed: int,
) -> list[dict[str, Any]]:
    """One row a context, attribute and pair, in this order; the attribute stands first in its options."""
    rows = []
    for context in contexts:
        drawn = draw_pairs(context, pairs, seed=f"probe-{seed}")
        for k, name in enumerate(context.names):
            others = [j for j in range(len(context.names)) if j != k]
            for a, b in zip(drawn.a, drawn.b, strict=True):
                pair, order = np.stack([a, b]), [k, *others]
                if task == "reporting":
                    row = prefilled(model, language.report(context, pair, order), language.key(name))
                    rows.append({**row, "spans": {}})
                    continue
                messages = language.choice(context, pair, order)
                mark = language.mark(context.attributes[k], (a[k], b[k]))
                start = messages[-1]["content"].rindex(mark)  # the last place is option B
                span = [len(messages) - 1, start, start + len(mark)]
                rows.append({"messages": messages, "spans": {"own": span}})
    return rows


def read_states(
    model: activations.Model, rows: list[dict[str, Any]], task: Task, *, shape: tuple[int, int, int]
) -> dict[int, States]:
    """The residual stream after every block, averaged over pairs: layer -> (context, attribute, d_model).

    `rows`: of `prompts_of`. `shape`: how many contexts, attributes and pairs they are of.
    """
    import activations

    position = "mean:span:own" if task == "choosing" else "last"
    with tempfile.TemporaryDirectory() as folder:
        store = activations.capture(
            model, rows, sites="resid_post", positions=position, out=Path(folder) / "states.h5"
        )
        return {
            layer: store.read("resid_post", layer).astype(np.float64).reshape(*shape, -1).mean(2)
            for layer in store.layers("resid_post")
        }


def probe_both(
    model: activations.Model,
    contexts: Sequence[Context],
    weights: AttributeWeights,
    language: Language,
    *,
    options: Any,
    seed: int,
) -> list[dict[str, Any]]:
    """Probes at every layer: one entry a layer and kind, with `r` and the control's `null` draws.

    `kind`: `choosing`, `reporting` (fitted and tested within a task), `choosing to reporting`, `reporting to
    choosing`, and `cosine` of the two tasks' directions.
    """
    shape, held = (len(contexts), len(contexts[0].names), options.pairs), {}
    for task in TASKS:
        rows = prompts_of(model, contexts, language, task, pairs=options.pairs, seed=seed)
        held[task] = read_states(model, rows, task, shape=shape)
    rng = np.random.default_rng([seed, 3])
    moved = [weights[rng.permutation(len(weights))] for _ in range(options.shuffles)]
    found = []
    for layer in held["choosing"]:
        states = dict(zip(TASKS, _narrow([held[task][layer] for task in TASKS]), strict=True))
        own = judge(states, weights, penalty=options.penalty, folds=options.folds)
        nulls = [judge(states, w, penalty=options.penalty, folds=options.folds) for w in moved]
        found += [
            {"layer": int(layer), "kind": kind, "r": value, "null": [null[kind] for null in nulls]}
            for kind, value in own.items()
        ]
    return found


def judge(
    states: dict[Task, States], weights: AttributeWeights, *, penalty: float | int, folds: int
) -> dict[str, float]:
    """Held-out r of every pair of tasks, and the cosine of the directions fitted on all contexts."""
    from probes import RidgeProbe

    def fitted(task: Task, some: Any) -> RidgeProbe:
        probe = RidgeProbe(alpha=penalty, standardize=False)
        return probe.fit(_flat(states[task][some]), weights[some].ravel())

    place = np.arange(len(weights)) % folds
    said = {(a, b): np.zeros_like(weights) for a in TASKS for b in TASKS}
    for fold, task in itertools.product(range(folds), TASKS):
        probe, test = fitted(task, place != fold), place == fold
        for other in TASKS:
            read = probe.predict(_flat(states[other][test]))
            said[task, other][test] = read.reshape(-1, weights.shape[1])
    whole = [fitted(task, slice(None)).coef_ for task in TASKS]
    norms = np.prod([np.linalg.norm(one) for one in whole])
    found = {
        task if task == other else f"{task} to {other}": metrics.of("r", read, weights)
        for (task, other), read in said.items()
    }
    return found | {"cosine": float(whole[0] @ whole[1] / norms) if norms > 0 else 0.0}


def _flat(states: States) -> np.ndarray:
    return states.reshape(-1, states.shape[-1])


def _narrow(both: list[States]) -> list[Float[np.ndarray, "context attribute narrow"]]:
    """The same rows in as many dimensions as there are rows, where the model is wider; ridge is unmoved."""
    rows = np.concatenate([_flat(one) for one in both])
    if rows.shape[1] <= rows.shape[0]:
        return both
    u, s, _ = np.linalg.svd(rows, full_matrices=False)
    parts = np.split(u * s, np.cumsum([_flat(one).shape[0] for one in both])[:-1])
    return [part.reshape(*one.shape[:2], -1) for part, one in zip(parts, both, strict=True)]
