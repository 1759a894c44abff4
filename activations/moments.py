"""Moments: where in each row's own text a forward pass stands, also in generation with its cache.

The law: positions are absolute in a row's real tokens. They come from the attention mask and from the length
of the cache, never from the column of a batch, so that neither padding nor the one-token steps of `generate`
can shift an edit. What was asked for is met or refused: a negative position counts back from the end of the
row as it was given (in generation and in questions: of the prompt), an index that a row does not have is an
error that names the row, and so is an edit that selected nothing in all the passes of its run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Int
from torch import Tensor

from activations.cache_names import NAMES
from activations.errors import EditError

if TYPE_CHECKING:
    from activations.models import Model

Where = Any
"""Positions as a user may write them: a word, or integers as numbers, lists, arrays or tensors. `read_where`
refuses everything else in one line, so the type says no more."""

NOWHERE = int(np.iinfo(np.int64).min)
"""No position: what fills up a table of positions where a row names fewer than others."""


@dataclass(frozen=True)
class Told:
    """What whoever runs a batch knows of its rows, and the decoder does not.

    Attributes:
        prompts: tokens before the answer, or before what is generated.
        given: tokens of each row as it was given, from whose end negative positions count.
        reach: tokens of each row that can be forwarded at most; None where the pass itself says so.
        real: True at real tokens, for a pass whose own mask is no plain one.
        stops: tokens that end an answer: where a row has ended, only its neighbors go on.
    """

    prompts: Int[Tensor, " example"]
    given: Int[Tensor, " example"]
    reach: Int[Tensor, " example"] | None = None
    real: Bool[Tensor, "example pos"] | None = None
    stops: tuple[int, ...] = ()


@dataclass(frozen=True)
class Order:
    """Which of all the rows that were given a batch holds: batches are sorted by length, edits are not.

    Attributes:
        which: for each row of the batch its place among all rows; None where equal rows are asked once, so
            that an edit cannot differ by row.
        names: the rows' names, all of them.
    """

    which: np.ndarray | None
    names: Sequence[str]


@dataclass(frozen=True)
class Moment:
    """What a change may know of the forward pass it is in.

    Attributes:
        selected: True where the edit applies, shape (example, pos).
        positions: absolute position of each token in its row.
        table: the positions that were asked for, as absolute ones of this batch's rows (`NOWHERE` where a
            row names fewer); None where a word says it.
        order: which of the given rows these are; None where the batch itself was given.
    """

    selected: Bool[Tensor, "example pos"]
    positions: Int[Tensor, "example pos"]
    table: Int[Tensor, "example k"] | None = None
    order: Order | None = None

    def own(self, values: Tensor, count: int, name: str, what: str) -> Tensor:
        """Of values that differ by row, those of this batch's `count` rows.

        Raises:
            EditError: as many values as there are rows were not given.
        """
        places = _places(self.order, len(values), count, name, what)
        return values if self.order is None else values[places]


@dataclass(eq=False)
class Use:
    """One edit's positions, and what became of them in a run."""

    where: "str | Places"
    name: str
    selected: bool = False
    fired: bool = False
    missed: bool = False
    now: bool = False
    table: Tensor | None = field(default=None, repr=False)
    moment: Moment | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Places:
    """Positions as integers: one for all rows (1, 1), or (row, k)."""

    table: np.ndarray
    by_row: bool


class Tracker:
    """Watches the decoder's passes: each token's absolute position, which tokens are prompt, and which edits
    have met what they ask for."""

    def __init__(self, model: "Model", uses: Sequence[Use]) -> None:
        self.model, self.uses = model, uses
        self.passes = 0
        self.positions: Tensor  # from the first pass on
        self.mask: Tensor
        self.told: Told | None = None
        self._words: dict[str, Tensor] = {}

    def __call__(self, _: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Before a pass of the decoder: where it stands, and what each edit selects of it."""
        ids = named.get("input_ids")
        ids = named.get("inputs_embeds") if ids is None else ids
        ids = arguments[0] if ids is None else ids
        examples, width = ids.shape[:2]
        cache = next((named[name] for name in NAMES if named.get(name) is not None), None)
        past = int(cache.get_seq_length()) if cache is not None else 0
        mask = named.get("attention_mask")
        self._words = {}
        note = self.model._told
        if note is not None and len(note.prompts) != examples:
            note = None
        if isinstance(mask, Tensor) and mask.ndim == 2:
            real = mask.bool()
            self.positions = (real.long().cumsum(1) - 1)[:, -width:]
        else:  # no mask, or one of who sees whom, as of a tree: columns then are no positions
            told = None if note is None else note.real
            real = torch.ones(examples, past + width, dtype=torch.bool, device=ids.device)
            real = real if told is None or told.shape != real.shape else told.to(ids.device)
            given = named.get("position_ids")
            self.positions = (
                (real.long().cumsum(1) - 1)[:, -width:] if given is None else given.expand(examples, width)
            )
        self.mask = real[:, -width:]
        if note is not None:
            self.told = note
        elif past == 0 or self.told is None or len(self.told.prompts) != examples:
            lengths = real.sum(1)
            self.told = Told(lengths, lengths)
        if self.told.stops and ids.ndim == 2:
            ended = torch.isin(ids, torch.tensor(self.told.stops, device=ids.device))
            self.mask = self.mask & ~(ended & ~self._word("prompt"))
        reach = self.told.reach
        if reach is None and cache is None:  # all of the row is here
            reach = real.sum(1)
        self.passes += 1
        for use in self.uses:
            self._select(use, first=past == 0 or use.table is None, reach=reach)

    def completed(self, _: Any, __: Any, ___: Any) -> None:
        """After a pass that ran to its end: an edit that had tokens in it and was not applied missed it."""
        for use in self.uses:
            use.missed |= use.now and not use.fired

    def moment(self, use: Use) -> Moment:
        """What an edit may know of the pass that is running."""
        use.fired = True
        return self._moment(use)

    def settle(self, described: Callable[[Use], str]) -> None:
        """At the end of a run: every edit has selected something, and was applied where it did.

        Raises:
            EditError: one that did not, though forward passes ran.
        """
        for use in self.uses if self.passes else ():
            if not use.selected:
                hint = (
                    "nothing was generated and forwarded again (the last new token never is); generate two "
                    "tokens or more, or use positions='all' or 'prompt'"
                    if use.where == "generated"
                    else "choose positions that the rows have"
                )
                raise EditError(
                    f"{described(use)} selected no token in {self.passes} forward passes, so it changed "
                    f"nothing: {hint}"
                )
            if use.missed and not use.fired:
                raise EditError(
                    f"{described(use)} was never applied, though {self.passes} forward passes ran: its "
                    "module did not run; edit an adapter's sites in that adapter's variant"
                )

    def _select(self, use: Use, *, first: bool, reach: Tensor | None) -> None:
        """Read an edit's integers where rows begin, and note whether this pass has what it asks for."""
        use.moment = None
        if isinstance(use.where, str) and use.where == "all":
            use.now = use.selected = True
            return
        if isinstance(use.where, Places) and first:
            use.table = self._resolved(use.where, use.name, reach)
        if use.selected and use.fired:  # nothing is left to find out, and asking costs a wait on a GPU
            return
        use.now = bool(self._moment(use).selected.any())
        use.selected |= use.now

    def _moment(self, use: Use) -> Moment:
        """Made once a pass, also where an edit is at many sites."""
        if use.moment is None:
            selected = self.mask & self._chosen(use)
            use.moment = Moment(selected, self.positions, use.table, self.model._order)
        return use.moment

    def _chosen(self, use: Use) -> Tensor:
        if isinstance(use.where, str):
            return self._word(use.where)
        assert use.table is not None
        own = rearrange(self.positions, "example pos -> example pos 1")
        return (own == rearrange(use.table, "example k -> example 1 k")).any(-1)

    def _word(self, where: str) -> Tensor:
        if where not in self._words:
            assert self.told is not None
            ends = rearrange(self.told.prompts.to(self.positions.device), "example -> example 1")
            match where:
                case "all":
                    chosen = torch.ones_like(self.positions, dtype=torch.bool)
                case "prompt":
                    chosen = self.positions < ends
                case "generated":
                    chosen = self.positions >= ends
                case _:
                    chosen = self.positions >= int(where.removeprefix("from:"))
            self._words[where] = chosen
        return self._words[where]

    def _resolved(self, places: Places, name: str, reach: Tensor | None) -> Tensor:
        """Absolute positions of this batch's rows."""
        assert self.told is not None
        count, order = len(self.positions), self.model._order
        table = places.table
        if places.by_row:
            table = table[_places(order, len(table), count, name, "positions for")]
        else:
            table = np.repeat(table, count, axis=0)
        given = self.told.given.cpu().numpy()[:, None]
        named = table != NOWHERE
        absolute = np.where(named & (table < 0), table + given, table)
        most = given if reach is None else reach.cpu().numpy()[:, None]
        wrong = named & ((absolute < 0) | ((absolute >= most) if reach is not None else False))
        if wrong.any():
            row, column = (int(n) for n in np.argwhere(wrong)[0])
            length, room = int(given[row, 0]), int(most[row, 0])
            more = f", and {room} with what is generated and forwarded again" if room > length else ""
            raise EditError(
                f"{name}: position {int(table[row, column])} is beyond {_row_name(order, row)}, which has "
                f"{length} tokens{more}; give one of {-length} to {max(room, length) - 1}"
            )
        return torch.from_numpy(absolute).to(self.positions.device)


def _row_name(order: Order | None, row: int) -> str:
    if order is None or order.which is None:
        return f"row {row}"
    return f"row {int(order.which[row])} ({order.names[int(order.which[row])]!r})"


def _places(order: Order | None, given: int, count: int, name: str, what: str) -> np.ndarray:
    """Where a batch's rows find what differs by row."""
    if order is not None and order.which is None:
        raise EditError(
            f"{name}: {what} {given} rows met questions, of which equal ones are asked once: what differs by "
            "row has no row there; give one for all"
        )
    wanted = count if order is None else len(order.names)
    if given != wanted:
        raise EditError(
            f"{name}: {what} {given} rows met {'a batch of ' if order is None else ''}{wanted} rows; give "
            "one for all, or one row each"
        )
    return np.arange(count) if order is None or order.which is None else order.which


def read_where(where: Where, name: str) -> str | Places:
    """Positions as they may be written.

    Raises:
        EditError: no word that is known; no integers; or none at all.
    """
    if isinstance(where, str):
        start = where.removeprefix("from:")
        if where not in ("all", "prompt", "generated") and not (
            start != where and start.isascii() and start.isdecimal()
        ):
            raise EditError(f"{name}: positions {where!r}: use all, prompt, generated, from:K, or integers")
        return where
    values = _array(where, name)
    if values.ndim > 2:
        raise EditError(
            f"{name}: positions of shape {values.shape}: give integers, one for all rows, or (example,) or "
            "(example, k)"
        )
    if values.size == 0 or bool((values == NOWHERE).all()):
        raise EditError(f"{name}: positions hold no position, so the edit would change nothing; give some")
    table = values.astype(np.int64)
    return Places(table.reshape(len(table) if table.ndim else 1, -1), table.ndim > 0)


def _array(where: Any, name: str) -> np.ndarray:
    """Integers, in lists of lists of unequal lengths too (filled up with `NOWHERE`)."""

    def whole(value: Any) -> int | list[Any]:
        if isinstance(value, Tensor):
            value = (
                value.detach().cpu().double().numpy() if value.is_floating_point() else value.cpu().numpy()
            )
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "iu":
            return value.tolist()
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
            return [whole(one) for one in value]
        kind = str(value.dtype) if isinstance(value, np.ndarray | np.generic) else type(value).__name__
        raise EditError(
            f"{name}: positions hold {kind}: give integers, one for all rows, or (example,) or (example, k); "
            "a range of tokens in every row is [[first, ..., last]] * rows"
        )

    values = whole(where)
    if isinstance(values, list) and any(isinstance(one, list) for one in values):
        rows = [one if isinstance(one, list) else [one] for one in values]
        if any(isinstance(n, list) for row in rows for n in row):
            raise EditError(
                f"{name}: positions are lists of lists of lists: give integers, (example,) or (example, k)"
            )
        width = max(len(row) for row in rows)
        values = [[*row, *[NOWHERE] * (width - len(row))] for row in rows]
    try:
        return np.array(values, np.int64)
    except OverflowError:
        raise EditError(
            f"{name}: a position is larger than any row is long; give one that rows have"
        ) from None
