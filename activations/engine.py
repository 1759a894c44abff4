"""The engine: one model under many conditions, each over the same prompts, as rows of few large batches.

What a condition does is told in `conditions`; here it is run, from its site on or as whole edited passes.

The law: a row's result is what the same change gives for that prompt alone under `activations.edit`; a vector
of zeros is an identity. The finished pass up to a site is shared by all conditions, so only the blocks behind
it run again: this is what makes null distributions of hundreds of directions affordable.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor

from activations import hooks, recompute
from activations.alignment import slots
from activations.batches import Batch
from activations.conditions import PLAIN, AtSite, ByEdits, Conditions, Lines
from activations.conditions import Move as Move
from activations.conditions import adding as adding
from activations.conditions import at_tokens as at_tokens
from activations.conditions import clamping as clamping
from activations.conditions import projecting as projecting
from activations.edits import edit
from activations.errors import EditError, SiteError
from activations.metrics import token_logits
from activations.sites import RESIDUAL, Site
from activations.tokens import Row

if TYPE_CHECKING:
    from activations.models import Model

BATCH_TOKENS = 8192
"""Token positions that run at once by default: the multiplications of a small model then cost more than their
calls, and the activations of a 1B model's batch stay below a gigabyte."""

SHARE = 4
"""A batch of prompts takes one part in this of the budget, so that as many conditions stand beside each other
in one large batch: with fewer, the shared pass is paid more often; with more, its own batches are too small
to be worth their calls."""


def option_logits(
    model: "Model",
    rows: Sequence[Row],
    conditions: Conditions = PLAIN,
    *,
    tokens: Int[np.ndarray, "example option"],
    variant: str | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> Float[np.ndarray, "condition example option"]:
    """Logits of some tokens at each prompt's answer slot, under each condition.

    Args:
        rows: tokenized prompts (`model.rows`).
        conditions: what is done; nothing by default.
        tokens: the token ids wanted for each prompt.
        variant: in which all conditions run; the active one by default.
        batch_tokens: token positions that run at once.

    Raises:
        SiteError: a site that has not the width of the residual stream, or no layer.
        EditError: vectors that are not finite or do not fit, tokens that the model does not have, or an edit
            in force.
    """
    vocabulary = int(model.anatomy.config.vocab_size)
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < vocabulary:
        raise EditError(
            f"tokens {int(tokens.min())} to {int(tokens.max())}: the model has 0 to {vocabulary - 1}; "
            "give ids of its tokenizer"
        )
    found = np.empty((conditions.count, *tokens.shape), np.float64)
    ids = torch.from_numpy(np.asarray(tokens, np.int64)).to(model.device)
    for _, lines, final in passes(model, rows, conditions, variant=variant, batch_tokens=batch_tokens):
        logits = token_logits(model, final, ids[lines.examples])
        found[lines.which, lines.examples] = logits.float().cpu().numpy()
    return found


def divergence(
    model: "Model",
    rows: Sequence[Row],
    conditions: Conditions = PLAIN,
    *,
    variant: str | None = None,
    reference: str | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> Float[np.ndarray, " condition"]:
    """Mean KL in nats a token, from the variant `reference` (by default the one that is changed) as it is to
    each condition, over all tokens but BOS.

    Raises:
        SiteError: as in `option_logits`.
        EditError: likewise.
    """
    total, count = np.zeros(conditions.count), 0
    seen: Batch | None = None
    for batch, lines, final in passes(
        model, rows, conditions, variant=variant, whole=True, batch_tokens=batch_tokens
    ):
        if batch is not seen:  # all conditions of a batch follow each other: what it says unchanged is kept
            seen, real = batch, batch.mask.clone()
            for n, example in enumerate(batch.examples):
                real[n, : rows[example].n_bos] = False
            with _inside(model, reference), torch.no_grad():
                before = model.unembed(model.forward(batch)[real]).float().log_softmax(-1)
            count += int(real.sum())
        items = len(batch.examples)
        for at in range(0, len(final), items):  # one condition at a time: the whole vocabulary is wide
            after = model.unembed(final[at : at + items][real]).float().log_softmax(-1)
            total[lines.which[at]] += float((before.exp() * (before - after)).sum())
    return total / count


def states(
    model: "Model", rows: Sequence[Row], sites: Sequence[str], *, variant: str | None = None
) -> dict[str, Float[np.ndarray, "example pos d"]]:
    """Values of sites at every token, filled up with zeros behind each prompt's end."""
    longest = max(len(row) for row in rows)
    found: dict[str, np.ndarray] = {}
    for batch, values in _read(model, rows, sites, variant):
        real = rearrange(batch.mask.cpu().numpy(), "example pos -> example pos 1")
        for name, value in values.items():
            full = found.setdefault(name, np.zeros((len(rows), longest, value.shape[-1]), np.float32))
            full[batch.examples, : value.shape[1]] = value.float().cpu().numpy() * real
    return found


def slot_states(
    model: "Model", rows: Sequence[Row], sites: Sequence[str], *, variant: str | None = None
) -> dict[str, Float[np.ndarray, "example d"]]:
    """Values of sites at each prompt's answer slot."""
    at = torch.from_numpy(slots(rows))
    found: dict[str, np.ndarray] = {}
    for batch, values in _read(model, rows, sites, variant):
        for name, value in values.items():
            own = value[torch.arange(len(value)), at[batch.examples]].float().cpu().numpy()
            found.setdefault(name, np.zeros((len(rows), own.shape[-1]), np.float32))[batch.examples] = own
    return found


def passes(
    model: "Model",
    rows: Sequence[Row],
    conditions: Conditions = PLAIN,
    *,
    variant: str | None = None,
    whole: bool = False,
    batch_tokens: int = BATCH_TOKENS,
) -> Iterator[tuple[Batch, Lines, Tensor]]:
    """Every condition run over every prompt.

    Args:
        rows: the prompts.
        conditions: what is done.
        variant: in which all conditions run.
        whole: give all positions, not the answer slot alone.
        batch_tokens: token positions that run at once.

    Yields:
        (batch of the prompts, rows of conditions x prompts, hidden states after the final norm, (line,
        d_model), or (line, pos, d_model)); the conditions of a batch follow each other.
    """
    budget = batch_tokens
    if isinstance(conditions, AtSite):
        recompute.check(model)
        _fits(model, conditions)
        budget = max(batch_tokens // SHARE, 1)
    with _inside(model, variant), torch.no_grad():
        ends = torch.from_numpy(slots(rows)).to(model.device)
        for batch in model.batches(rows, batch_tokens=budget):
            items = len(batch.examples)
            some = max(1, batch_tokens // batch.ids.numel())
            chunks = [
                Lines(
                    np.repeat(np.arange(low, min(low + some, conditions.count)), items),
                    np.tile(batch.examples, min(some, conditions.count - low)).astype(np.int64),
                )
                for low in range(0, conditions.count, some)
            ]
            at = None if whole else ends
            if isinstance(conditions, AtSite):
                run = _resumed(model, batch, conditions, chunks, at)
            else:
                run = _edited(model, batch, conditions, chunks, at)
            for lines, hidden in run:
                yield batch, lines, hidden


def forward(
    model: "Model", rows: Sequence[Row], conditions: ByEdits, lines: Lines, batch: Batch
) -> Float[Tensor, "line d_model"]:
    """Hidden states after the final norm at the answer slots of one batch, whose rows are `lines`; gradients
    flow where they are enabled."""
    with edit(model, *conditions.edits(lines)):
        hidden = model.forward(batch)
    return _at(hidden, torch.from_numpy(slots([rows[n] for n in lines.examples])).to(hidden.device))


def _edited(
    model: "Model", batch: Batch, conditions: ByEdits, chunks: Sequence[Lines], ends: Tensor | None
) -> Iterator[tuple[Lines, Tensor]]:
    """Whole passes, each prompt repeated for every condition."""
    for lines in chunks:
        with edit(model, *conditions.edits(lines)):
            hidden = model.forward(batch.repeated(len(lines.which) // len(batch.examples)))
        yield lines, hidden if ends is None else _at(hidden, ends[lines.examples])


def _resumed(
    model: "Model", batch: Batch, conditions: AtSite, chunks: Sequence[Lines], ends: Tensor | None
) -> Iterator[tuple[Lines, Tensor]]:
    """Run on from the site, behind one finished pass of the prompts."""
    place, depth = conditions.site, model.n_layers
    assert place.layer is not None
    state = place.kind in ("resid_pre", "resid_post")  # what stands between blocks; others lie inside one
    first = place.layer + (place.kind == "resid_post")
    # the last block runs at the answer slot alone, unless the change lies inside of it
    short = depth - 1 if ends is not None and recompute.plain_blocks(model) else depth
    short = depth if not state and first == short else short
    trace = recompute.trace(model, batch)
    for lines in chunks:

        def moved(value: Tensor, lines: Lines = lines) -> Tensor:
            return conditions.move(value, lines)

        times = len(lines.which) // len(batch.examples)
        hidden = repeat(trace.residual[first], "example pos d -> (times example) pos d", times=times)
        if state:
            hidden = moved(hidden)
        for block in range(first, short):
            with ExitStack() as stack:
                if block == first and not state:
                    stack.enter_context(hooks.altering(model, place, moved))
                cache = recompute._Recorder()  # empty: every position runs again, and brings its own keys
                rotary = trace.rotary[block]
                hidden = recompute.run_block(model, block, hidden, start=0, rotary=rotary, cache=cache)
        if ends is not None:
            slot = ends[lines.examples]
            if first <= short < depth:
                # no keys of earlier positions, for the same reason
                none = trace.keys[short][:1, :, :0].expand(len(hidden), -1, -1, -1)
                hidden = recompute.last_block(
                    model, hidden, start=0, read=slot, rotary=trace.rotary[short], keys=none, values=none
                )
            else:
                hidden = _at(hidden, slot)
        yield lines, model.anatomy.norm(hidden)


def _at(hidden: Tensor, slot: Tensor) -> Tensor:
    return hidden[torch.arange(len(hidden), device=hidden.device), slot]


def _read(
    model: "Model", rows: Sequence[Row], sites: Sequence[str], variant: str | None
) -> Iterator[tuple[Batch, dict[str, Tensor]]]:
    places = {name: Site.parse(name) for name in sites}
    with _inside(model, variant):
        for batch in model.batches(rows):
            values = hooks.read(model, batch, list(places.values()), hooks.whole)
            yield batch, {name: values[place] for name, place in places.items()}


def _inside(model: "Model", variant: str | None) -> AbstractContextManager[Any]:
    """A variant, or the active one as it is."""
    return nullcontext() if variant is None else model.variant(variant)


def _fits(model: "Model", conditions: AtSite) -> None:
    if conditions.site.kind not in RESIDUAL:
        raise SiteError(
            f"site {str(conditions.site)!r} is not as wide as the residual stream; use one of "
            f"{', '.join(RESIDUAL)}"
        )
    model.anatomy.tap(conditions.site)
    if conditions.width not in (None, model.d_model):
        raise EditError(
            f"vectors of {conditions.width} entries do not fit: the model's residual stream has "
            f"{model.d_model}"
        )
