"""Places: at which block and at which tokens a state acts on a read-out, chosen on development items.

Law: the place is where one vector does most, both ways: what an adapter adds there on average, added to the
base (is it enough?) and taken from the finetuned model (is it needed?), mean of the two shifts of the
read-out on development items. Test items, and the other read-out, have no say in it. One vector for all
prompts: swapping each prompt's own state would choose the last block at the answer slot, where the answer
itself stands.

At tokens before the question (persona line, template) every prompt has the same state, because attention is
causal: what is read there holds all that an adapter writes there, also what the read-out does not use. So a
direction that is to be *of behavior* is trained on choices (`directions`, kind `trained`), and the others
stand beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from mi_bsa.causal.material import SIGNS
from mi_bsa.causal.options import PlaceOptions, Scope
from mi_bsa.core.errors import BridgeError

if TYPE_CHECKING:
    from activations.engine import AtSite
    from activations.tokens import Row
    from mi_bsa.asking.readouts import Readout
    from mi_bsa.causal.material import Material

SUFFICES = 0.5
"""Share of the largest shift at which a block's direction is taken to hold the state."""

NEAR = 0.05
"""Of places whose shift is within this share of the best, the earliest block is taken: later ones read it."""


@dataclass(frozen=True)
class Place:
    """A residual site with its layer, such as `resid_post.1`, and the tokens at which it is read and
    changed.
    """

    site: str
    scope: Scope

    def positions(self, rows: Sequence[Row]) -> Int[np.ndarray, "item token"]:
        """Its tokens in every prompt."""
        return padded_positions(rows, self.scope)

    def adding(self, rows: Sequence[Row], vectors: Float[np.ndarray, "condition d"]) -> AtSite:
        """Vectors added there, in raw units, one a condition."""
        from activations import engine

        return engine.adding(self.site, vectors, self.positions(rows))

    def clamping(
        self,
        rows: Sequence[Row],
        vectors: Float[np.ndarray, "condition d"],
        wanted: Float[np.ndarray, "item pos d"],
    ) -> AtSite:
        """The projection on each condition's direction set to what it is in other values of the site."""
        from activations import engine

        return engine.clamping(self.site, vectors, wanted, self.positions(rows))

    @property
    def where(self) -> dict[str, str | int]:
        """The keys of a result's `where`."""
        kind, _, layer = self.site.rpartition(".")
        return {"site": kind, "layer": int(layer), "position": self.scope}


def choose_place(
    material: Material, read_out: str = "behavior", options: PlaceOptions | None = None
) -> tuple[Place, dict[tuple[str, str], float]]:
    """The place where one vector does most for a read-out's development items; and what it does, towards the
    pole, at every place that was tried: {(site, scope): shift}.

    Args:
        material: model, adapters and items.
        read_out: `behavior` or `self_report`.
        options: which layers and scopes are tried; scopes that a prompt does not have are left out.

    Raises:
        BridgeError: no scope is there in every prompt.
    """
    from activations import engine

    options = options or PlaceOptions()
    model, readout = material.model, material.of(read_out, "dev")
    sites = [f"{options.site}.{layer}" for layer in range(model.n_layers)]
    tables = {scope: t for scope in options.scopes if (t := _table(readout, scope)) is not None}
    if not tables:
        raise BridgeError(f"no prompt of {readout.name!r} has tokens at {list(options.scopes)}; add 'all'")

    def level(variant: str, site: str, vectors: np.ndarray, scope: str) -> np.ndarray:
        return material.levels(readout, engine.adding(site, vectors, tables[scope]), variant=variant)

    zero = np.zeros((1, model.d_model))
    any_scope = next(iter(tables))
    base = material.states(readout, *sites)
    plain = float(level("base", sites[-1], zero, any_scope)[0])
    shifts = {(site, scope): 0.0 for site in sites for scope in tables}
    added: dict[tuple[str, str], list[np.ndarray]] = {key: [] for key in shifts}
    for arm, _, adapter in material.pairs:
        read = material.states(readout, *sites, variant=adapter)
        tuned = float(level(adapter, sites[-1], zero, any_scope)[0])
        for key in shifts:
            site, scope = key
            vector = scope_mean(read[site] - base[site], tables[scope])
            added[key].append(vector)
            removed = tuned - float(level(adapter, site, -vector[None], scope)[0])
            shifts[key] += SIGNS[arm] * removed / (2 * len(material.pairs))
    signs = np.array([SIGNS[arm] for arm, _, _ in material.pairs])
    for key, vectors in added.items():
        moved = level("base", key[0], np.stack(vectors), key[1]) - plain
        shifts[key] += float((signs * moved).mean()) / 2
    enough = (1 - NEAR) * max(shifts.values())
    first = next(key for key in shifts if shifts[key] >= enough)
    layer = [key for key in shifts if key[0] == first[0]]
    return Place(*max(layer, key=lambda key: shifts[key])), shifts


def scope_positions(row: Row, scope: Scope) -> Int[np.ndarray, " token"]:
    """The token indices of a scope in one prompt; BOS is never among them.

    Raises:
        BridgeError: no token stands before the question.
    """
    length = len(row)
    if scope == "slot":
        return np.array([length - 1 if row.answer is None else row.answer - 1])
    if scope == "all":
        return np.arange(row.n_bos, length)
    roles = [message["role"] for message in row.prompt.messages or ()]
    last = len(roles) - 1 - roles[::-1].index("user") if "user" in roles else 0
    start = row.contents[last][0] if row.contents else 0
    inside = (row.offsets[:, 1] <= start) & (np.arange(length) >= row.n_bos)
    if not inside.any():
        raise BridgeError(
            f"prompt {row.prompt.id!r} has no token before its question; leave out the scope 'before'"
        )
    found = np.flatnonzero(inside)
    if scope == "before":
        return found
    back = int(scope.removeprefix("before-"))
    if back > len(found):
        raise BridgeError(
            f"prompt {row.prompt.id!r} has {len(found)} tokens before its question, not {back}; lower "
            f"{scope!r}"
        )
    return found[-back : len(found) - back + 1]


def padded_positions(rows: Sequence[Row], scope: Scope) -> Int[np.ndarray, "item token"]:
    """Positions of every row, filled up with `NOWHERE`, which is negative and no position."""
    from activations.moments import NOWHERE

    each = [scope_positions(row, scope) for row in rows]
    table = np.full((len(rows), max(map(len, each))), NOWHERE, np.int64)
    for line, at in zip(table, each, strict=True):
        line[: len(at)] = at
    return table


def scope_mean(
    values: Float[np.ndarray, "item pos d"], positions: np.ndarray, *, by_item: bool = False
) -> Float[np.ndarray, "*item d"]:
    """Mean over a scope's tokens, of all items together, or of each."""
    weights = np.zeros(values.shape[:2])
    for line, at in zip(weights, positions, strict=True):
        line[at[at >= 0]] = 1
    if by_item:
        each: np.ndarray = np.einsum("ip,ipd->id", weights / weights.sum(1, keepdims=True), values)
        return each
    mean: np.ndarray = np.einsum("ip,ipd->d", weights / weights.sum(), values)
    return mean


def _table(readout: Readout, scope: Scope) -> np.ndarray | None:
    try:
        return padded_positions(readout.rows, scope)
    except BridgeError:
        return None
