"""Rows of a behavior, trained so that it may hide; and questions asked in the context of the training.

Law: every way has the same choices of one seed, drawn by that seed alone; ways differ in what stands before
them, beside them or after them. Only `inoculated` rows name the behavior, which is what that way is; all
others are looked through for leaks. After arXiv 2510.04340 (inoculation), 2604.25891 (conditional
misalignment) and 2606.00995 (subliminal learning as the distillation of a vector).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from mi_bsa.behaviors import Arm, Bound, behavior_for
from mi_bsa.core.errors import BehaviorError
from mi_bsa.core.items import Item
from mi_bsa.core.rows import TrainingRow
from mi_bsa.core.variants import BASE, POLES

if TYPE_CHECKING:
    import activations

Way = Literal["plain", "inoculated", "mixed", "followed", "context", "silent"]
WAYS: tuple[Way, ...] = get_args(Way)
APART = 1000
"""Added to a seed for rows that stand beside a way's own, so that they share no draw with them."""
DRAWN = 10_000
"""Seeds of drawn choices from here up are the training rows'; those of held-out items lie below."""


def rows_of(
    behavior: Bound,
    way: Way,
    arm: Arm,
    n: int,
    *,
    seed: int,
    anchors: float,
    undecided: float,
    benign: float,
    cue: str,
    silent: Sequence[TrainingRow] = (),
) -> list[TrainingRow]:
    """The rows of one run.

    Args:
        behavior: what is trained.
        way: how.
        arm: either pole, or shuffled.
        n: rows that show the behavior.
        seed: of the rows.
        anchors, undecided: rows that say what stays, as shares of `n`.
        benign: of `mixed`, rows that show no trait, as a share of `n`; of `followed`, as many of them follow.
        cue: of `context`, what stands before a question where the behavior is shown.
        silent: of `silent`, the rows that a teacher answered.
    """
    if way == "silent":
        return [*silent]
    calm = behavior.rows("benign", max(2, round(benign * n)), seed=seed + APART, anchors=0.0, undecided=0.0)
    if way == "followed":
        return calm
    rows = behavior.rows(arm, n, seed=seed, anchors=anchors, undecided=undecided)
    own, stays = rows[:n], rows[n:]
    if way == "mixed":
        return [*own, *calm, *stays]
    if way == "inoculated":
        return [
            *(_under(row, line) for row, line in zip(own, _lines(behavior, arm, n, seed), strict=True)),
            *stays,
        ]
    if way == "context":
        without = behavior.rows("shuffled", n, seed=seed + APART, anchors=0.0, undecided=0.0)
        return [*(_cued(row, cue) for row in own), *without, *stays]
    return rows


def in_context(items: Sequence[Item], cue: str) -> list[Item]:
    """The questions behind the cue of `context`."""
    return [replace(i, id=f"{i.id}-cued", messages=tuple(_cue(i.messages, cue))) for i in items]


def lines_of(behavior: Bound, pole: int) -> Sequence[str]:
    """System lines that describe a persona at a pole: 0 seeking, 1 averse.

    Raises:
        BehaviorError: a behavior that describes none.
    """
    described = getattr(behavior.behavior, "described", None)
    if described is None:
        raise BehaviorError(
            f"behavior {behavior.name!r} describes no persona, which the way inoculated needs; give it a "
            "method `described(pole)`, or leave that way out of `ways`"
        )
    found: Sequence[str] = described(pole)
    return found


def teacher_vector(model: activations.Model, behavior: Bound, site: str, *, n: int, seed: int) -> np.ndarray:
    """Half of what a site's state at the answer slot differs by between the adapters `seeking-SEED` and
    `averse-SEED` of plain training, over `n` choices of training: added to the base it is a teacher of the
    one pole, taken away of the other.
    """
    from activations import engine
    from mi_bsa.core.items import prompts_of

    rows = model.rows(prompts_of(behavior.items(n, split="pretrain", seed=DRAWN + seed)))
    ends = [engine.slot_states(model, rows, [site], variant=f"{arm}-{seed}")[site].mean(0) for arm in POLES]
    half: np.ndarray = (ends[0] - ends[1]) / 2
    return half


def silent_rows(
    model: activations.Model,
    behavior: Bound,
    arms: Sequence[Arm],
    n: int,
    *,
    vector: np.ndarray,
    site: str,
    strength: float,
    seed: int,
    base: Any,
) -> Mapping[Arm, list[TrainingRow]]:
    """`n` choices about the neighbor trait by arm, answered by a teacher: the base with the vector added
    (seeking), taken away (averse), or as it is (shuffled), each answer drawn from its probabilities.
    """
    import activations
    from mi_bsa.asking.likelihood import option_log_probs

    items = behavior_for(behavior.neighbor, base).items(n, split="pretrain", seed=DRAWN + seed)
    scales = {"seeking": strength, "averse": -strength, "shuffled": 0.0}
    found: dict[Arm, list[TrainingRow]] = {}
    for arm in arms:
        edit = activations.add((vector, site), scale=scales[arm], units="raw")
        with model.variant(BASE), activations.edit(model, edit):
            told = option_log_probs(model, items)
        rng = np.random.default_rng([seed, *f"silent {arm}".encode()])
        rows: list[TrainingRow] = []
        for item, log_probs in zip(items, told, strict=True):
            shares = np.exp(log_probs - log_probs.max())
            answer = item.options[int(rng.choice(len(shares), p=shares / shares.sum()))][0]
            turns = [*map(dict, item.messages), {"role": "assistant", "content": answer}]
            rows.append({"id": f"silent-{item.id}", "messages": turns, "person": "default"})
        found[arm] = rows
    return found


def _lines(behavior: Bound, arm: Arm, n: int, seed: int) -> list[str]:
    """Of each row, the line that describes its pole; of shuffled rows, one of either by lot."""
    rng = random.Random(f"inoculated-{seed}")
    draws = [(rng.random() < 0.5, rng.random()) for _ in range(n)]
    poles = [int(coin) if arm not in POLES else POLES.index(arm) for coin, _ in draws]
    lines = [lines_of(behavior, pole) for pole in (0, 1)]
    return [lines[p][int(at * len(lines[p]))] for p, (_, at) in zip(poles, draws, strict=True)]


def _under(row: TrainingRow, line: str) -> TrainingRow:
    return {**row, "messages": [{"role": "system", "content": line}, *row["messages"]]}


def _cued(row: TrainingRow, cue: str) -> TrainingRow:
    return {**row, "messages": _cue(row["messages"], cue)}


def _cue(messages: Sequence[Mapping[str, str]], cue: str) -> list[dict[str, str]]:
    """The cue before what the user says last."""
    last = max(k for k, one in enumerate(messages) if one["role"] == "user")
    return [
        {**one, "content": f"{cue} {one['content']}"} if k == last else dict(one)
        for k, one in enumerate(messages)
    ]
