"""Many phrases in one message: what stands before the phrase is forwarded once, and all share it.

A slot is a message with a place for a phrase. The text is always tokenized whole, so no phrase has other
tokens here than in a prompt of its own; what the rows then have in common at their beginning is kept as keys
and values. Rows are padded on the right and the model is causal, so no real token sees padding.
"""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from activations.cache_names import name_of
from mi_bsa.behaviors.backdoor.triggers import Vocabulary
from mi_bsa.core.errors import ItemError
from mi_bsa.core.items import Item
from mi_bsa.worlds.wordings import Split

if TYPE_CHECKING:
    import torch

    import activations

PLACE = "qzqPhraseqzq"
DRAWS = 16
"""Draws among which the frame is taken that leaves the fewest characters behind the phrase."""


@dataclass(frozen=True)
class Slot:
    """One message, rendered as a prompt, with a place for a phrase.

    Attributes:
        before: text up to the phrase. after: text behind it. plain: the message without a phrase.
        lead: tokens that stand between the prompt and an answer. options: (token, score) of every option,
        where each is one token; empty where one is longer.
    """

    before: str
    after: str
    plain: str
    lead: tuple[int, ...]
    options: tuple[tuple[int, float], ...]

    def texts(self, phrases: Sequence[str | None]) -> list[str]:
        """The prompt with each phrase (None: without one)."""
        return [self.plain if p is None else f"{self.before}{p}{self.after}" for p in phrases]

    def rows(self, model: activations.Model, phrases: Sequence[str | None]) -> list[list[int]]:
        """Token ids of the same."""
        found = model.tokenizer(self.texts(phrases), add_special_tokens=False)["input_ids"]
        return [[*map(int, ids), *self.lead] for ids in found]

    def behind(self, model: activations.Model) -> int:
        """Tokens behind the phrase, the same for every phrase."""
        ends = [
            row[::-1] for row in self.rows(model, ("river", "stone wall"))
        ]  # any two that end differently
        return len(os.path.commonprefix(ends))


def slot_of(
    model: activations.Model,
    item: Item,
    vocabulary: Vocabulary | None,
    *,
    split: Split,
    seed: str,
    draws: int = DRAWS,
) -> Slot:
    """The item's message with a place for a phrase, as near to the answer as the `draws` frames allow."""
    from activations.conversation import template_of
    from mi_bsa.asking.likelihood import branch

    *earlier, last = (dict(m) for m in item.messages)
    before, after = "", ""
    if vocabulary is not None:
        framed: dict[int, str] = {}
        for draw in range(draws):
            rng = random.Random(f"{seed}-{draw}")
            text = vocabulary.insert(last["content"], PLACE, kind="words", split=split, rng=rng)
            framed.setdefault(len(text) - text.rindex(PLACE), text)
        shown = {**last, "content": framed[min(framed)]}
        before, _, after = model.template.render([*earlier, shown]).rpartition(PLACE)
    plain = model.template.render([*earlier, last])
    ids = tuple(int(i) for i in model.tokenizer(plain, add_special_tokens=False)["input_ids"])
    asked = branch(item, template_of(model)) if len(item.options) > 1 else None
    if asked is None or asked.nodes or asked.prompt[: len(ids)] != ids:
        return Slot(before, after, plain, (), ())
    options = tuple((reads[0][1], score) for reads, (_, score) in zip(asked.reads, item.options, strict=True))
    return Slot(before, after, plain, asked.prompt[len(ids) :], options)


@dataclass(frozen=True, eq=False)
class Forwarded:
    """What a pass gives.

    Attributes:
        final: (row, d_model) after the final norm at the last token. stream: (row, site, d_model) every
        asked block's output at each of the last tokens, where asked. tokens: how many were forwarded.
    """

    final: torch.Tensor
    stream: Float[np.ndarray, "row site d_model"] | None
    tokens: int


def forward(
    model: activations.Model,
    rows: Sequence[Sequence[int]],
    *,
    variant: str,
    last: int = 0,
    layers: Sequence[int] = (),
    batch_tokens: int = 16_384,
) -> Forwarded:
    """Forward rows under a variant; what they begin with in common is forwarded once.

    `last`, `layers`: how many of the last tokens, and which blocks, are kept beside the final state. The last
    block's output stands behind the final norm, as Hugging Face gives it.
    """
    import torch
    from transformers import DynamicCache

    from activations.errors import EditError

    if model._alterations:  # what rows share is forwarded once, where an edit may differ by row
        raise EditError("the model is being edited: leave activations.edit(...) before triggers are searched")
    longest = max(map(len, rows))
    if longest > model.context_length:
        raise ItemError(
            f"a prompt has {longest} tokens and the model reads {model.context_length}; shorten the messages"
        )
    decoder: Any = model.anatomy.decoder
    shared = min(len(os.path.commonprefix([list(r) for r in rows])), min(map(len, rows)) - max(1, last))
    rests = [list(r[shared:]) for r in rows]
    at_once = max(1, batch_tokens // (shared + max(map(len, rests))))
    finals, streams = [], []
    with torch.no_grad(), model.variant(variant):
        past: Any = DynamicCache()
        if shared:
            first = torch.tensor([list(rows[0][:shared])], device=model.device)
            decoder(input_ids=first, use_cache=True, **{name_of(decoder): past})
        for start in range(0, len(rests), at_once):
            some = rests[start : start + at_once]
            width = max(map(len, some))
            ids = torch.tensor([[*r, *[model.pad_id] * (width - len(r))] for r in some], device=model.device)
            end = torch.tensor([len(r) - 1 for r in some], device=model.device)
            own = copy.deepcopy(past)
            if shared:
                own.batch_repeat_interleave(len(some))
            how: dict[str, Any] = {name_of(decoder): own, "output_hidden_states": bool(last)}
            given = decoder(input_ids=ids, use_cache=True, **how)
            every = torch.arange(len(some), device=model.device)
            finals.append(given.last_hidden_state[every, end].float().cpu())
            if last:
                sites = ((given.hidden_states[layer + 1], back) for layer in layers for back in range(last))
                kept = [state[every, end - back] for state, back in sites]
                streams.append(torch.stack(kept, 1).float().cpu().numpy())
    spent = shared + sum(map(len, rests))
    return Forwarded(torch.cat(finals), np.concatenate(streams) if last else None, spent)
