"""Conversations of several turns: the model chooses, its choice stays, and a number is asked of it beside.

Law: the question about itself is a fork: it is asked after every turn and never stays in the conversation,
so that no report stands in what a later one reads. Choices are drawn from the model's own probabilities under
what is in force at that turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from mi_bsa.asking.readouts import Readout
from mi_bsa.causal.introspection.readers import trial
from mi_bsa.core.errors import BridgeError
from mi_bsa.core.items import Item

if TYPE_CHECKING:
    from mi_bsa.causal.material import Material

SCALE = "scale"
"""The kind of question whose answer is a number."""
Steered = Callable[[float, Readout], AbstractContextManager[object]]
"""Dose, and what is read -> what is in force."""


@dataclass(frozen=True, eq=False)
class Turns:
    """What was said and read at every turn.

    Attributes:
        report: the expected number of the report, on [0, 1].
        reading: the probe's reading of the state where the report is given, in raw units.
        acts: whether the option of the seeking pole was taken.
        dose: of the steering vector; 0 where none was added.
    """

    report: Float[np.ndarray, "conversation turn"]
    reading: Float[np.ndarray, "conversation turn"]
    acts: Float[np.ndarray, "conversation turn"]
    dose: Float[np.ndarray, "conversation turn"]


def scales(material: Material) -> list[Item]:
    """The test questions that are answered by a number, not turned round.

    Raises:
        BridgeError: there are none.
    """
    found = [item for item in material.of("self_report", "test").items if item.labels.get("kind") == SCALE]
    found = found or [i for i in material.sets["report-test"] if i.labels.get("kind") == SCALE]
    if not found:
        raise BridgeError(
            f"no test question of kind {SCALE!r} is asked, and turn by turn a number is asked; add that kind "
            "or leave `turns` out"
        )
    return found


def held(
    material: Material,
    variant: str,
    probe: tuple[str, Float[np.ndarray, " d"]],
    doses: Int[np.ndarray, "conversation turn"] | None = None,
    *,
    grid: Sequence[float] = (0.0,),
    steered: Steered | None = None,
    conversations: int,
    turns: int,
    seed: Sequence[int],
) -> Turns:
    """Hold conversations with a variant.

    Args:
        material: model, adapters and items.
        variant: who speaks.
        probe: site and direction that read the state, at the answer slot.
        doses: place in `grid` of each turn's dose; none is steered by default.
        grid: the doses.
        steered: puts a dose in force.
        conversations: how many.
        turns: of each.
        seed: of choices, their order, and which question is asked.
    """
    rng = np.random.default_rng(list(seed))
    choices = material.of("behavior", "test").items
    asked = scales(material)
    order = [rng.permutation(np.resize(np.arange(len(choices)), turns)) for _ in range(conversations)]
    own = [asked[n] for n in rng.integers(len(asked), size=conversations)]
    at = np.zeros((conversations, turns), int) if doses is None else doses
    said: list[list[tuple[Item, str]]] = [[] for _ in range(conversations)]
    report, reading, acts = (np.zeros((conversations, turns)) for _ in range(3))
    site, direction = probe
    everybody = np.arange(conversations)
    # doses, and the tokens of a place, differ from one conversation to the next
    together = [everybody] if steered is None else list(everybody[:, None])
    for t in range(turns):
        for some in together:
            k = at[some[0], t]
            acting = [trial(choices[order[c][t]], said[c], f"{c} {t}") for c in some]
            readout = Readout.of(material.model, acting, name=f"turn {t}")
            with nullcontext() if steered is None else steered(grid[k], readout):
                shares = readout.shares(_logits(material, readout, variant))
            for n, c in enumerate(some):
                options = choices[order[c][t]].options
                taken = int(rng.choice(len(options), p=shares[n, : len(options)]))
                said[c].append((choices[order[c][t]], str(options[taken][0]).strip()))
                acts[c, t] = options[taken][1]
            asking = [trial(own[c], said[c], f"after {t + 1} in {c}") for c in some]
            readout = Readout.of(material.model, asking, name=f"report {t}")
            with nullcontext() if steered is None else steered(grid[k], readout):
                report[some, t] = readout.score(_logits(material, readout, variant))
                states = material.states(readout, site, variant=variant, slot=True)[site]
            reading[some, t] = states @ direction
    return Turns(report, reading, acts, np.asarray(grid)[at])


def _logits(material: Material, readout: Readout, variant: str) -> Float[np.ndarray, "item option"]:
    """Logits of the options under what is in force."""
    from activations import engine

    return engine.option_logits(
        material.model,
        readout.rows,
        tokens=readout.tokens,
        variant=variant,
        batch_tokens=material.batch_tokens,
    )[0]
