"""Generation: answers in batches, left-padded, greedy or sampled with a seed of its own.

The law: the answer to a prompt does not depend on its neighbors in the batch, and sampling leaves the global
random state alone. Rows are sorted by length, so padding stays small; answers come back in the order of the
prompts.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from activations.batches import Batch, plan
from activations.conversation import stop_ids
from activations.decoding import Decoded, decode
from activations.errors import ModelError, PromptError
from activations.prompts import Prompts, parsed
from activations.tokens import Row

if TYPE_CHECKING:
    from activations.models import Model


@dataclass(frozen=True)
class Decoding:
    """How answers are made; see `Model.generate`."""

    max_new_tokens: int
    temperature: float
    seed: int | None
    use_cache: bool
    batch_tokens: int


def generate(model: "Model", prompt: Prompts, how: Decoding) -> str | list[str]:
    """See `Model.generate`."""
    prompts, single = parsed(prompt)
    ids = answers(model, model._encode(prompts), how)
    texts = [text.strip() for text in model.tokenizer.batch_decode(ids, skip_special_tokens=True)]
    return texts[0] if single else texts


def answers(model: "Model", rows: Sequence[Row], how: Decoding) -> list[list[int]]:
    """The tokens that follow each row."""
    names = [row.prompt.id for row in rows]
    check(model, [len(row) for row in rows], names, how)
    found: list[list[int]] = [[] for _ in rows]
    cut = plan([len(row) + how.max_new_tokens for row in rows], batch_tokens=how.batch_tokens)
    with seeded(model, how.seed):
        for members in (cut[n] for n in range(len(cut))):
            batch = model.collate([rows[i] for i in members], examples=members, side="left")
            for i, answer in zip(members, decoded(model, batch, how, names).answers, strict=True):
                found[i] = answer
    return found


def check(model: "Model", lengths: Sequence[int], names: Sequence[str], how: Decoding) -> None:
    """Refuse what cannot be answered.

    Raises:
        ModelError: sampling without a seed, no token to generate, or a state in which activations lie.
        PromptError: no room left in the context.
    """
    model.check()
    max_new_tokens = how.max_new_tokens
    if how.temperature < 0 or (how.temperature > 0 and how.seed is None):
        raise ModelError(
            f"temperature {how.temperature} with seed {how.seed}: sampling needs a temperature above 0 and a "
            "seed; give seed=0"
        )
    if max_new_tokens < 1:
        raise ModelError(f"max_new_tokens={max_new_tokens}: at least one token is generated; raise it")
    for name, length in zip(names, lengths, strict=True):
        if length + max_new_tokens > model.context_length:
            raise PromptError(
                f"prompt {name!r} has {length} tokens and {max_new_tokens} more do not fit the "
                f"context of {model.context_length}; shorten it or lower max_new_tokens"
            )


@contextmanager
def seeded(model: "Model", seed: int | None) -> Iterator[None]:
    """Inside, torch draws from a seed; afterwards its global state is as before."""
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        if seed is not None:
            torch.manual_seed(seed)
        yield


def decoded(
    model: "Model",
    batch: Batch,
    how: Decoding,
    names: Sequence[str],
    *,
    after: Callable[[], None] | None = None,
) -> Decoded:
    """Answer a left-padded batch, of which edits in force are told; see `decoding.decode`."""
    stops = frozenset((model.pad_id, *end_ids(model)))
    forwarded = how.max_new_tokens - (1 if after is None else 0)  # the last new token only to be read
    reach = batch.lengths + forwarded
    with (
        model._prompts_end_at(batch.lengths, reach=reach, stops=stops),
        model._rows_are(batch.examples, names),
    ):
        return decode(
            model.inner,
            batch.ids,
            batch.mask,
            most=how.max_new_tokens,
            ends=stops,
            pad=model.pad_id,
            temperature=how.temperature,
            use_cache=how.use_cache,
            after=after,
        )


def end_ids(model: "Model") -> list[int]:
    """What ends an answer: the token with which the chat template closes a turn, the tokenizer's end token,
    and those of the base's generation config (the config of a base need not know the chat's)."""
    own = getattr(getattr(model.inner, "generation_config", None), "eos_token_id", None)
    ends = [] if own is None else np.atleast_1d(own).tolist()
    if model.tokenizer.chat_template:
        with suppress(PromptError):  # a template that refuses a question on its own
            ends = [*stop_ids(model.template), *ends]
    if model.tokenizer.eos_token_id is not None:
        ends.append(model.tokenizer.eos_token_id)
    return list(dict.fromkeys(int(token) for token in ends))
