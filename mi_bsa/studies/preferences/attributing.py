"""Do the same modules of an adapter carry choices and reports of a context?

The adapter's effect is attributed to its modules by integrated gradients along the joint opening of their
gates (`activations.adapter_profile`, method `linear`): for choices on the logit of the right letter less the
other's, for reports on that of the sign of the attribute that weighs most. Law: the cosine of a context's two
profiles is compared with that of profiles of different contexts; centered profiles leave out what all
contexts have in common. Gates lie in blocks: an adapter's LoRA of the embeddings, where it has one, stays on
throughout, and profiles are of its block modules given it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.studies.preferences.asking import prefilled
from mi_bsa.studies.preferences.contexts import Context, draw_pairs
from mi_bsa.studies.preferences.metrics import AttributeWeights
from mi_bsa.studies.preferences.wording import Language

if TYPE_CHECKING:
    import activations

Profiles = Float[np.ndarray, "context module"]


def attribute_both(
    model: activations.Model,
    contexts: Sequence[Context],
    weights: AttributeWeights,
    language: Language,
    *,
    options: Any,
    seed: int,
) -> dict[str, Any]:
    """Cosines of the two tasks' profiles: {`raw`, `centered`: {`matched`, `shuffled`}, `given_embeddings`:
    whether a LoRA of the embeddings stayed on}, or {`still`: why} where the block modules do not move a task.
    """
    import activations
    from activations import lora
    from activations.errors import PatchError
    from activations.metrics import answer_tokens, logit_difference

    adapter = str(model.active_adapter)
    if not model.anatomy.adapted(adapter):
        return {"still": "the adapter has no LoRA in a block"}
    some = list(contexts[: options.attributed])
    rows: dict[str, list[dict[str, Any]]] = {"choosing": [], "reporting": []}
    right: list[str] = []
    tokens = []
    for k, context in enumerate(some):
        drawn = draw_pairs(context, options.pairs, seed=f"attribute-{seed}", targets=weights[k])
        top = int(np.abs(weights[k]).argmax())
        order = [top, *(j for j in range(len(context.names)) if j != top)]
        key, said = language.key(context.names[top]), float(weights[k, top])
        labels = drawn.labels(weights[k])
        for m, (a, b) in enumerate(zip(drawn.a, drawn.b, strict=True)):
            pair = np.stack([a, b])
            rows["choosing"].append({"messages": language.choice(context, pair, order)})
            right.append("A" if labels[m] else "B")
            asked = language.report(context, pair, order)
            rows["reporting"].append(prefilled(model, asked, key))
            tokens.append([_next(model, asked, key, language.number(w)) for w in (said, -said)])
    wrong = ["B" if letter == "A" else "A" for letter in right]
    letters = [answer_tokens(model, rows["choosing"], given) for given in (right, wrong)]
    metrics = {"choosing": logit_difference(*letters), "reporting": logit_difference(*np.array(tokens).T)}
    how: dict[str, Any] = {"keep_embeddings": True, "methods": ("linear",), "seed": seed}
    profiles = []
    for task, metric in metrics.items():
        try:
            profile = activations.adapter_profile(model, rows[task], metric=metric, read_out=task, **how)
        except PatchError as error:
            return {"still": f"{task}: {error}"}
        profiles.append(profile.linear.reshape(len(profile.modules), len(some), -1).mean(2).T)
    return {
        "raw": matched_cosines(*profiles),
        "centered": matched_cosines(*(one - one.mean(0) for one in profiles)),
        "given_embeddings": lora.on_embeddings(model.inner, adapter),
    }


def matched_cosines(first: Profiles, second: Profiles) -> dict[str, Any]:
    """Mean cosine of a context's own two profiles, and of each of the n - 1 shifts that pair it with
    another's.
    """
    units = [one / np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-30) for one in (first, second)]
    grid = units[0] @ units[1].T
    n = len(grid)
    shifts = [float(np.mean([grid[k, (k + shift) % n] for k in range(n)])) for shift in range(n)]
    return {"matched": shifts[0], "shuffled": shifts[1:]}


def _next(model: activations.Model, messages: Any, key: str, number: str) -> int:
    """The first token after `key` when `number` follows it."""
    short, long = (
        model.rows([prefilled(model, messages, beginning)])[0].ids for beginning in (key, key + number)
    )
    same = 0
    while same < len(short) and short[same] == long[same]:
        same += 1
    return int(long[same])
