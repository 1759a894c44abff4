"""The engine: one model under many conditions, each over the same prompts, as rows of few large batches.

What a condition does is told in `conditions`; here it is run, from its site on or as whole edited passes.

The law: a row's result is what the same change gives for that prompt alone under `activations.edit`; a vector
of zeros is an identity. The finished pass up to a site is shared by all conditions, so only the blocks behind
it run again, and of each prompt only what stands behind the first token that changes: this is what makes null
distributions of a thousand directions affordable.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from activations import hooks, kept, recompute
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

STATES = ("resid_pre", "resid_post")
"""What stands between blocks; other sites lie inside of one."""

WORDS = 2**22
"""Logits of whole vocabularies that stand in memory at once."""


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
            count += int(real.sum())
            if isinstance(conditions, AtSite) and reference is None:
                same = int(conditions.first(batch.examples).min())
                real[:, :same] = False  # as it was: their divergence is 0
            with _inside(model, reference), torch.no_grad():
                before = model.unembed(model.forward(batch)[real]).float().log_softmax(-1)
        items = len(batch.examples)
        some = max(1, WORDS // before.numel()) * items  # the whole vocabulary is wide
        for at in range(0, len(final), some):
            each = rearrange(final[at : at + some], "(own items) pos d -> own items pos d", items=items)
            after = model.unembed(each[:, real]).float().log_softmax(-1)
            apart = (before.exp() * (before - after)).sum((-1, -2))
            total[lines.which[at : at + some : items]] += apart.double().cpu().numpy()
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
    if isinstance(conditions, AtSite) or model._kept is not None:
        budget = max(batch_tokens // SHARE, 1)
    with _inside(model, variant), torch.no_grad():
        ends = torch.from_numpy(slots(rows)).to(model.device)
        for batch in model.batches(rows, batch_tokens=budget):
            items = len(batch.examples)
            at = None if whole else ends[batch.examples]
            alone = isinstance(conditions, AtSite) and _alone(model, conditions, batch.examples, at)
            some = max(1, batch_tokens // (items if alone else batch.ids.numel()))
            chunks = [
                Lines(
                    np.repeat(np.arange(low, min(low + some, conditions.count)), items),
                    np.tile(batch.examples, min(some, conditions.count - low)).astype(np.int64),
                )
                for low in range(0, conditions.count, some)
            ]
            if isinstance(conditions, AtSite):
                run = _resumed(model, batch, conditions, chunks, at)
            else:
                run = _edited(model, batch, conditions, chunks, at)
            for lines, hidden in run:
                yield batch, lines, hidden


class Passed:
    """Prompts that were read once, to be run on from a site again and again, with gradients: what a vector is
    trained on."""

    def __init__(self, model: "Model", rows: Sequence[Row], *, variant: str | None = None) -> None:
        self.model, self.variant = model, variant
        recompute.check(model)
        batch = model.collate(list(rows), examples=np.arange(len(rows)))
        with _inside(model, variant), torch.no_grad():
            self._trace = kept.trace(model, batch)
        self._slots = torch.from_numpy(slots(rows)).to(model.device)

    def __call__(self, conditions: AtSite, lines: Lines) -> Float[Tensor, "line d_model"]:
        """Hidden states after the final norm at the answer slots of some lines; gradients flow where they are
        enabled."""
        _fits(self.model, conditions)
        own = torch.from_numpy(lines.examples)
        with _inside(self.model, self.variant):
            return _run_on(self.model, self._trace, conditions, lines, own, self._slots)


def _edited(
    model: "Model", batch: Batch, conditions: ByEdits, chunks: Sequence[Lines], slot: Tensor | None
) -> Iterator[tuple[Lines, Tensor]]:
    """Whole passes, each prompt repeated for every condition."""
    for lines in chunks:
        edits = conditions.edits(lines)
        times = len(lines.which) // len(batch.examples)
        still = kept.below(model, edits)
        given = kept.trace(model, batch).residual[still].repeat(times, 1, 1) if still else None
        with kept.standing_still(model, still, given), edit(model, *edits):
            hidden = model.forward(batch.repeated(times))
        yield lines, hidden if slot is None else _at(hidden, slot.repeat(len(hidden) // len(slot)))


def _resumed(
    model: "Model", batch: Batch, conditions: AtSite, chunks: Sequence[Lines], slot: Tensor | None
) -> Iterator[tuple[Lines, Tensor]]:
    """Run on from the site, behind one finished pass of the prompts."""
    trace = kept.trace(model, batch)
    for lines in chunks:
        yield lines, _run_on(model, trace, conditions, lines, None, slot)


def _run_on(
    model: "Model",
    trace: recompute.Trace,
    conditions: AtSite,
    lines: Lines,
    own: Int[Tensor, " line"] | None,
    slots_of: Int[Tensor, " row"] | None,
) -> Tensor:
    """Hidden states after the final norm, at the answer slot or at all tokens, of lines whose prompts are the
    rows `own` of a finished pass; None: all rows of the pass again and again.
    """
    place, depth = conditions.site, model.n_layers
    assert place.layer is not None
    state = place.kind in STATES
    first = place.layer + (place.kind == "resid_post")
    device = model.device
    rows = torch.arange(len(trace.residual[0]), device=device) if own is None else own.to(device)
    line = rows.repeat(len(lines.which) // len(rows))
    if slots_of is not None and _alone(model, conditions, lines.examples, slots_of[line]):
        slot = slots_of[line]
        hidden = trace.residual[first][line, slot][:, None]
        hidden = conditions.move(hidden, replace(lines, at=slot.cpu().numpy()))
        for block in range(first, depth):
            hidden = recompute.at_slots(model, trace, block, hidden, rows=rows, slots=slots_of[rows])[:, None]
        final: Tensor = model.anatomy.norm(hidden[:, 0])
        return final.to(device)
    # What stands before the first token that changes is as it was: the blocks run from there on, over the
    # keys and values of the finished pass. Inside of a block the whole row runs again.
    start = int(conditions.first(lines.examples).min()) if state else 0
    if slots_of is not None:
        start = min(start, int(slots_of.min()))
    # the last block runs at the answer slot alone, unless the change lies inside of it
    short = depth
    if slots_of is not None and recompute.plain_blocks(model) and (state or first < depth - 1):
        short = max(first, depth - 1)
    given = replace(lines, start=start)

    def moved(value: Tensor) -> Tensor:
        return conditions.move(value, given)

    hidden = trace.residual[first][line, start:]
    if state:
        hidden = moved(hidden)
    for block in range(first, short):
        with ExitStack() as stack:
            if block == first and not state:
                stack.enter_context(hooks.altering(model, place, moved))
            past = (part[block][line, :, :start] for part in (trace.keys, trace.values))
            hidden = recompute.run_block(
                model,
                block,
                hidden,
                start=start,
                rotary=trace.rotary[block],
                cache=recompute._Recorder(*past),
            )
    slot = torch.zeros_like(line) if slots_of is None else slots_of[line] - start
    for block in range(short, depth):
        past = (part[block][:, :, :start] for part in (trace.keys, trace.values))
        keys, values = past if own is None else (part[rows] for part in past)
        rotary = trace.rotary[block]
        hidden = recompute.at_one(
            model, block, hidden, start=start, read=slot, rotary=rotary, keys=keys, values=values
        )[:, None]
    if slots_of is None:
        hidden = torch.cat([trace.residual[depth][line, :start], hidden], 1)
    else:
        hidden = _at(hidden, slot) if short == depth else hidden[:, 0]
    normed: Tensor = model.anatomy.norm(hidden).to(hidden.device)
    return normed


def _alone(
    model: "Model",
    conditions: AtSite,
    examples: Int[np.ndarray, " example"],
    slots_of: Int[Tensor, " example"] | None,
) -> bool:
    """Whether blocks run at the answer slot alone: it is all that is read of each prompt, and nothing before
    it changes.
    """
    if slots_of is None or conditions.site.kind not in STATES or not recompute.plain_blocks(model):
        return False
    return bool((conditions.first(examples) >= slots_of.cpu().numpy()).all())


def _at(hidden: Tensor, slot: Tensor) -> Tensor:
    return hidden[torch.arange(len(hidden), device=hidden.device), slot]


def _read(
    model: "Model", rows: Sequence[Row], sites: Sequence[str], variant: str | None
) -> Iterator[tuple[Batch, dict[str, Tensor]]]:
    places = {name: Site.parse(name) for name in sites}
    finished = kept.is_on(model) and all(place.kind in STATES for place in places.values())
    budget = {"batch_tokens": BATCH_TOKENS // SHARE} if finished else {}
    for place in places.values() if finished else ():
        model.anatomy.tap(place)  # refuses one that the model does not have
    with _inside(model, variant):
        for batch in model.batches(rows, **budget):
            if finished:
                residual = kept.trace(model, batch).residual
                values = {p: residual[(p.layer or 0) + (p.kind == "resid_post")] for p in places.values()}
            else:
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
