"""One engine under all causal steps: a read-out under many interventions, as rows of few large batches.

Law: a row's logits are what the same intervention gives for that item alone. Conditions stand beside each
other along the batch; each has its own vector, and the tokens that it touches are those of its item's scope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from mi_bsa.asking.readouts import Readout
from mi_bsa.causal.options import Scope
from mi_bsa.core.errors import BridgeError

if TYPE_CHECKING:
    from torch import Tensor

    from activations import Edit, Model
    from activations.tokens import Row


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


@dataclass(frozen=True, eq=False)
class Lines:
    """The rows of one large batch: which condition and which item each is."""

    which: Int[np.ndarray, " row"]
    items: Int[np.ndarray, " row"]


Edits = Callable[[Lines], "list[Edit]"]
Change = Callable[["Tensor", Lines], "Tensor"]
"""Maps a site's values (row, pos, d_model) to new ones."""
Move = Change
"""A change that `at_tokens` will limit to some tokens."""


def option_logits(
    model: Model,
    readout: Readout,
    *,
    variant: str = "base",
    count: int = 1,
    edits: Edits | None = None,
    batch_tokens: int = 8192,
) -> Float[np.ndarray, "condition item option"]:
    """Logits of every item's options under each condition.

    Args:
        model: the model.
        readout: the items.
        variant: `base` or an adapter, in which all conditions run.
        count: number of conditions.
        edits: maps the rows of a batch to edits, whose vectors and positions are one a row.
        batch_tokens: token positions that run at once.
    """
    import torch

    found = np.empty((count, *readout.tokens.shape), np.float64)
    with model.variant(variant), torch.no_grad():
        for batch, lines in _batches(model, readout.rows, count, batch_tokens):
            found[lines.which, lines.items] = forward(model, readout, batch, lines, edits).cpu().numpy()
    return found


def forward(model: Model, readout: Readout, batch: Any, lines: Lines, edits: Edits | None) -> Any:
    """Logits (row, option) of one batch in the active variant; gradients flow where they are enabled."""
    import torch

    import activations
    from activations.metrics import Reader

    with activations.edit(model, *(edits(lines) if edits else [])):
        hidden = model.forward(batch)
    line = torch.arange(len(lines.items), device=hidden.device)
    ends = torch.tensor([scope_positions(readout.rows[n], "slot")[0] for n in lines.items])
    reader = Reader(model, readout.metric(), torch.from_numpy(lines.items).to(hidden.device))
    return reader.logits(hidden[line, ends.to(hidden.device)], line).float()


def divergence(
    model: Model,
    rows: Sequence[Row],
    *,
    variant: str = "base",
    count: int = 1,
    edits: Edits | None = None,
    batch_tokens: int = 8192,
) -> Float[np.ndarray, " condition"]:
    """Mean KL in nats a token, from the base as it is to each condition, over all tokens but BOS."""
    import torch

    import activations

    total, tokens = np.zeros(count), 0
    plain: dict[int, Any] = {}
    with torch.no_grad():
        for batch, _ in _batches(model, rows, 1, batch_tokens):
            with model.variant("base"):
                logs = model.unembed(model.forward(batch)).float().log_softmax(-1)
            for line, n in enumerate(batch.examples):
                plain[int(n)] = logs[line, rows[n].n_bos : len(rows[n])]
                tokens += len(plain[int(n)])
        with model.variant(variant):
            for batch, lines in _batches(model, rows, count, batch_tokens // 2):
                with activations.edit(model, *(edits(lines) if edits else [])):
                    hidden = model.forward(batch)
                logs = model.unembed(hidden).float().log_softmax(-1)
                for line, (which, n) in enumerate(zip(lines.which, lines.items, strict=True)):
                    before = plain[int(n)]
                    after = logs[line, rows[n].n_bos : len(rows[n])]
                    total[which] += float((before.exp() * (before - after)).sum())
    return total / tokens


def states(
    model: Model, rows: Sequence[Row], sites: Sequence[str], *, variant: str
) -> dict[str, Float[np.ndarray, "item pos d"]]:
    """Values of sites at every token, filled up with zeros behind each prompt's end."""
    from activations import Site, hooks

    places = {name: Site.parse(name) for name in sites}
    longest = max(len(row) for row in rows)
    found: dict[str, np.ndarray] = {}
    with model.variant(variant):
        for batch in model.batches(rows):
            values = hooks.read(model, batch, list(places.values()), hooks.whole)
            for name, place in places.items():
                value = values[place].float().cpu().numpy()
                full = found.setdefault(name, np.zeros((len(rows), longest, value.shape[-1]), np.float32))
                real = batch.mask.cpu().numpy()[:, :, None]
                full[batch.examples, : value.shape[1]] = value * real
    return found


def from_site(
    model: Model,
    rows: Sequence[Row],
    site: str,
    change: Change,
    *,
    variant: str = "base",
    count: int = 1,
    batch_tokens: int = 8192,
    whole: bool = False,
) -> Iterator[tuple[Any, Lines, Tensor]]:
    """The last residual of every condition, run on from a residual site whose value is changed there.

    The finished pass up to the site is shared by all conditions, and the last block runs at the answer slot
    alone; so this gives what `option_logits` gives, in a fraction of the time.

    Args:
        model: the model.
        rows: the prompts.
        site: `resid_pre.L` or `resid_post.L`.
        change: maps (values (row, pos, d_model), rows of the batch) to new values.
        variant: in which all conditions run.
        count: number of conditions.
        batch_tokens: token positions that run at once.
        whole: give all positions, not the answer slot alone.

    Yields:
        (batch of the items, rows of conditions x items, residual (row, d_model) or (row, pos, d_model)).

    Raises:
        BridgeError: another site.
    """
    import torch
    from einops import repeat

    from activations import Site, recompute

    place = Site.parse(site)
    if place.kind not in ("resid_pre", "resid_post") or place.layer is None:
        raise BridgeError(
            f"site {site!r}: causal steps act on resid_pre.L or resid_post.L; name one of these"
        )
    first, depth = place.layer + (place.kind == "resid_post"), model.n_layers
    plain = recompute.plain_blocks(model) and not whole
    with model.variant(variant), torch.no_grad():
        recompute.check(model)
        for batch in model.batches(rows, batch_tokens=max(batch_tokens // 4, 1)):
            trace = recompute.trace(model, batch)
            items = len(batch.examples)
            ends = torch.tensor([scope_positions(rows[n], "slot")[0] for n in batch.examples])
            some = max(1, batch_tokens // batch.ids.numel())
            for low in range(0, count, some):
                times = min(some, count - low)
                lines = Lines(
                    np.repeat(np.arange(low, low + times), items),
                    np.tile(batch.examples, times).astype(np.int64),
                )
                hidden = repeat(trace.residual[first], "item pos d -> (times item) pos d", times=times)
                hidden = change(hidden, lines)
                slot = ends.repeat(times).to(hidden.device)
                done = False
                for block in range(first, depth):
                    rotary = trace.rotary[block]
                    if block == depth - 1 and plain:
                        none = trace.keys[block][:1, :, :0].expand(len(hidden), -1, -1, -1)
                        hidden = recompute.last_block(
                            model, hidden, start=0, read=slot, rotary=rotary, keys=none, values=none
                        )
                        done = True
                    else:
                        cache = recompute._Recorder()
                        hidden = recompute.run_block(
                            model, block, hidden, start=0, rotary=rotary, cache=cache
                        )
                if not whole and not done:
                    hidden = hidden[torch.arange(len(hidden), device=hidden.device), slot]
                yield batch, lines, hidden


def changed_logits(
    model: Model,
    readout: Readout,
    site: str,
    change: Change,
    *,
    variant: str = "base",
    count: int = 1,
    batch_tokens: int = 8192,
) -> Float[np.ndarray, "condition item option"]:
    """`option_logits` for changes at one residual site; see `from_site`."""
    import torch

    from activations.metrics import Reader

    found = np.empty((count, *readout.tokens.shape), np.float64)
    options: dict[str, Any] = {"variant": variant, "count": count, "batch_tokens": batch_tokens}
    for _, lines, hidden in from_site(model, readout.rows, site, change, **options):
        final = model.anatomy.decoder.norm(hidden)  # type: ignore[operator]
        reader = Reader(model, readout.metric(), torch.from_numpy(lines.items).to(hidden.device))
        logits = reader.logits(final, torch.arange(len(final), device=hidden.device))
        found[lines.which, lines.items] = logits.float().cpu().numpy()
    return found


def changed_divergence(
    model: Model, rows: Sequence[Row], site: str, change: Change, *, count: int, batch_tokens: int = 8192
) -> Float[np.ndarray, " condition"]:
    """`divergence` of the base for changes at one residual site."""
    total, tokens = np.zeros(count), 0
    seen: dict[bytes, tuple[Any, Any]] = {}
    for batch, lines, hidden in from_site(
        model, rows, site, change, count=count, batch_tokens=batch_tokens, whole=True
    ):
        key = batch.examples.tobytes()
        if key not in seen:
            real = batch.mask.clone()
            for n, example in enumerate(batch.examples):
                real[n, : rows[example].n_bos] = False
            seen[key] = (real, model.unembed(model.forward(batch)).float().log_softmax(-1)[real])
            tokens += int(real.sum())
        real, before = seen[key]
        items = len(batch.examples)
        for at in range(0, len(hidden), items):
            after = model.anatomy.decoder.norm(hidden[at : at + items][real])  # type: ignore[operator]
            logs = model.unembed(after).float().log_softmax(-1)
            total[lines.which[at]] += float((before.exp() * (before - logs)).sum())
    return total / tokens


def at_tokens(move: Move, positions: Int[np.ndarray, "item token"]) -> Change:
    """`move` at each item's positions, nothing elsewhere.

    Raises:
        BridgeError: an item without a position, or one that no row can have.
    """
    import torch

    from activations.moments import NOWHERE

    wrong = ((positions < 0) & (positions != NOWHERE)).any(1) | (positions < 0).all(1)
    if wrong.any():
        raise BridgeError(
            f"item {int(np.flatnonzero(wrong)[0])} has no position, or a negative one; give those of "
            "padded_positions"
        )

    def change(values: Tensor, lines: Lines) -> Tensor:
        mask = np.zeros(values.shape[:2], bool)
        at = positions[lines.items]
        row, token = np.nonzero(at >= 0)
        mask[row, at[row, token]] = True
        where = torch.from_numpy(mask).to(values.device)[:, :, None]
        return torch.where(where, move(values, lines).to(values.dtype), values)

    return change


def adding(vectors: Float[np.ndarray, "condition d"], positions: np.ndarray) -> Change:
    """Each condition adds its own vector, in raw units."""
    import torch

    given = torch.from_numpy(np.ascontiguousarray(vectors)).float()
    return at_tokens(lambda values, lines: values + given[lines.which][:, None].to(values), positions)


def projection(vectors: Float[np.ndarray, "condition d"]) -> Move:
    """Each condition takes its own direction out."""
    import torch

    unit = torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).float()

    def move(values: Tensor, lines: Lines) -> Tensor:
        v = unit[lines.which][:, None].to(values)
        return values - (values * v).sum(-1, keepdim=True) * v

    return move


def clamping(
    vectors: Float[np.ndarray, "condition d"], wanted: Float[np.ndarray, "item pos d"], positions: np.ndarray
) -> Change:
    """Each condition sets the projection on its own direction to what it is in other values of the site,
    token by token.
    """
    import torch

    unit = torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).float()
    other = torch.from_numpy(wanted).float()

    def move(values: Tensor, lines: Lines) -> Tensor:
        v = unit[lines.which][:, None].to(values)
        target = other[lines.items, : values.shape[1]].to(values)
        return values + ((target - values) * v).sum(-1, keepdim=True) * v

    return at_tokens(move, positions)


def _batches(model: Model, rows: Sequence[Row], count: int, batch_tokens: int) -> Iterator[tuple[Any, Lines]]:
    """Batches of items, each repeated for as many conditions as fit."""
    from activations.batches import Batch

    for batch in model.batches(rows, batch_tokens=batch_tokens):
        items = len(batch.examples)
        some = max(1, batch_tokens // batch.ids.numel())
        for low in range(0, count, some):
            times = min(some, count - low)
            examples = np.tile(batch.examples, times)
            large = Batch(
                examples,
                batch.ids.repeat(times, 1),
                batch.mask.repeat(times, 1),
                batch.positions.repeat(times, 1),
                batch.lengths.repeat(times),
                batch.prompt_lengths.repeat(times),
            )
            yield large, Lines(np.repeat(np.arange(low, low + times), items), np.asarray(examples, np.int64))
