"""Conditions: what may be done to a model while it reads prompts, many at once, as the engine's rows.

A condition adds a vector, takes a direction out, sets the projection on it, or maps in any other way what
stands at a residual site at some tokens of each prompt (`AtSite`); or it is a set of edits of whole passes
(`ByEdits`): gates, all layers at once, what is trained.

The law: a change is out of place, touches the given tokens alone, and is refused where it selects nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from activations.edits import Edit
from activations.errors import EditError
from activations.moments import NOWHERE
from activations.sites import Site


@dataclass(frozen=True, eq=False)
class Lines:
    """The rows of one large batch: which condition and which prompt each is; `start` is the token at which
    given values begin (what stands before it is as it was); or they are of one token each, those of `at`."""

    which: Int[np.ndarray, " line"]
    examples: Int[np.ndarray, " line"]
    start: int = 0
    at: Int[np.ndarray, " line"] | None = None


Move = Callable[[Float[Tensor, "line pos d_model"], Lines], Float[Tensor, "line pos d_model"]]
"""Maps a site's values to new ones, out of place."""


@dataclass(frozen=True, eq=False)
class AtSite:
    """Conditions at one residual site.

    Attributes:
        site: as wide as the residual stream.
        move: what becomes of its values.
        count: how many conditions.
        width: that the vectors of `move` have, to be checked against the model's; None where it has none.
        positions: the only tokens that change, so that what stands before the first of them need not run
            again; None where every token may.
    """

    site: Site
    move: Move
    count: int = 1
    width: int | None = None
    positions: Int[np.ndarray, "example k"] | None = None

    def first(self, examples: Int[np.ndarray, " example"]) -> Int[np.ndarray, " example"]:
        """The first token that changes in each of these prompts."""
        if self.positions is None:
            return np.zeros(len(examples), np.int64)
        at = self.positions[examples]
        first: np.ndarray = np.where(at >= 0, at, np.iinfo(np.int64).max).min(1)
        return first


@dataclass(frozen=True, eq=False)
class ByEdits:
    """Conditions that are edits of whole passes: `edits` maps the rows of a batch to edits, whose vectors and
    positions are one a row."""

    edits: Callable[[Lines], Sequence[Edit]] = lambda _: ()
    count: int = 1


Conditions = AtSite | ByEdits
Positions = Int[np.ndarray, "example k"]
"""Token indices of each prompt, filled up with `moments.NOWHERE`."""
PLAIN = ByEdits()


def adding(
    site: str | Site, vectors: Float[np.ndarray, "condition d_model"], positions: Positions | None = None
) -> AtSite:
    """Each condition adds its own vector, in raw units, at `positions` or at every token."""
    given = torch.from_numpy(_checked(vectors, np.float32))
    return _each(site, given, positions, lambda values, v, _: values + v)


def projecting(
    site: str | Site, vectors: Float[np.ndarray, "condition d_model"], positions: Positions | None = None
) -> AtSite:
    """Each condition takes its own direction out."""
    return _each(
        site, _units(vectors), positions, lambda values, v, _: values - (values * v).sum(-1, keepdim=True) * v
    )


def clamping(
    site: str | Site,
    vectors: Float[np.ndarray, "condition d_model"],
    wanted: Float[np.ndarray, "example pos d_model"],
    positions: Positions | None = None,
) -> AtSite:
    """Each condition sets the projection on its own direction to what it is in other values of the site
    (`states` of another variant), token by token."""
    other = torch.from_numpy(wanted).float()

    def change(values: Tensor, v: Tensor, lines: Lines) -> Tensor:
        if lines.at is None:
            target = other[lines.examples, lines.start : lines.start + values.shape[1]].to(values)
        else:
            target = other[lines.examples, lines.at][:, None].to(values)
        return values + ((target - values) * v).sum(-1, keepdim=True) * v

    return _each(site, _units(vectors), positions, change)


def _each(
    site: str | Site,
    vectors: Tensor,
    positions: Positions | None,
    change: Callable[[Tensor, Tensor, Lines], Tensor],
) -> AtSite:
    """Conditions that each change values by a vector of their own."""

    def move(values: Tensor, lines: Lines) -> Tensor:
        return change(values, rearrange(vectors[lines.which], "line d -> line 1 d").to(values), lines)

    return at_tokens(AtSite(Site.parse(site), move, len(vectors), vectors.shape[1]), positions)


def at_tokens(conditions: AtSite, positions: Positions | None) -> AtSite:
    """The same conditions at each prompt's positions alone; None is every token.

    Raises:
        EditError: a prompt without a position, or one that no row can have.
    """
    if positions is None:
        return conditions
    wrong = ((positions < 0) & (positions != NOWHERE)).any(1) | (positions < 0).all(1)
    if wrong.any():
        raise EditError(
            f"prompt {int(np.flatnonzero(wrong)[0])} has no position, or a negative one; name a token, and "
            "fill up with moments.NOWHERE"
        )

    def move(values: Tensor, lines: Lines) -> Tensor:
        at = positions[lines.examples]
        if lines.at is None:
            mask = np.zeros(values.shape[:2], bool)
            line, token = np.nonzero(at >= 0)
            mask[line, at[line, token] - lines.start] = True
        else:
            mask = (at == lines.at[:, None]).any(1, keepdims=True)
        if mask.all():
            return conditions.move(values, lines).to(values.dtype)
        where = rearrange(torch.from_numpy(mask).to(values.device), "line pos -> line pos 1")
        return torch.where(where, conditions.move(values, lines).to(values.dtype), values)

    return replace(conditions, move=move, positions=positions)


def _units(vectors: np.ndarray) -> Tensor:
    given = _checked(vectors, np.float64)
    norms = np.linalg.norm(given, axis=1, keepdims=True)
    if (norms == 0).any():
        raise EditError(
            f"vector {int(np.flatnonzero(norms[:, 0] == 0)[0])} is zero, so it has no direction; give another"
        )
    return torch.from_numpy(given / norms).float()


def _checked(vectors: np.ndarray, dtype: type) -> np.ndarray:
    if vectors.ndim != 2:
        raise EditError(f"vectors of shape {vectors.shape} do not fit: give (condition, d_model)")
    if not np.isfinite(vectors).all():
        raise EditError("a vector or its strength is not finite; mend it")
    return np.ascontiguousarray(vectors, dtype)
