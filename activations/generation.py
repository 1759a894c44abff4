"""Generation: answers in batches, left-padded, greedy or sampled with a seed of its own.

The law: the answer to a prompt does not depend on its neighbors in the batch, and sampling leaves the global
random state alone. Rows are sorted by length, so padding stays small; answers come back in the order of the
prompts.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from activations.batches import plan
from activations.conversation import stop_ids
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
    model.check()
    max_new_tokens = how.max_new_tokens
    if how.temperature < 0 or (how.temperature > 0 and how.seed is None):
        raise ModelError(
            f"temperature {how.temperature} with seed {how.seed}: sampling needs a temperature above 0 and a "
            "seed; give seed=0"
        )
    if max_new_tokens < 1:
        raise ModelError(f"max_new_tokens={max_new_tokens}: at least one token is generated; raise it")
    for row in rows:
        if len(row) + max_new_tokens > model.context_length:
            raise PromptError(
                f"prompt {row.prompt.id!r} has {len(row)} tokens and {max_new_tokens} more do not fit the "
                f"context of {model.context_length}; shorten it or lower max_new_tokens"
            )
    found: list[list[int]] = [[] for _ in rows]
    names = [row.prompt.id for row in rows]
    cut = plan([len(row) + max_new_tokens for row in rows], batch_tokens=how.batch_tokens)
    devices = [model.device] if model.device.type == "cuda" else []
    settings = _settings(model, how)
    stops = {model.pad_id, *end_ids(model)}
    with torch.random.fork_rng(devices=devices):
        if how.seed is not None:
            torch.manual_seed(how.seed)
        for n in range(len(cut)):
            members = cut[n]
            batch = model.collate([rows[i] for i in members], examples=members, side="left")
            reach = batch.lengths + max_new_tokens - 1  # the last new token is never forwarded
            with (
                model._prompts_end_at(batch.lengths, reach=reach, stops=stops),
                model._rows_are(members, names),
                nothing_else(model.inner),
            ):
                tokens: Tensor = model.inner.generate(  # type: ignore[operator]
                    input_ids=batch.ids, attention_mask=batch.mask.long(), generation_config=settings
                )
            for i, line in zip(members, tokens[:, batch.ids.shape[1] :].tolist(), strict=True):
                end = next((k for k, token in enumerate(line) if token in stops), len(line))
                found[i] = line[:end]
    return found


@contextmanager
def nothing_else(inner: Any) -> Iterator[None]:
    """Inside, a model's own generation config is empty: `generate` fills from it whatever is left open, and
    published ones hold repetition penalties, forced tokens and the like."""
    from transformers import GenerationConfig

    own = inner.generation_config
    try:
        inner.generation_config = GenerationConfig()
        yield
    finally:
        inner.generation_config = own


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


def _settings(model: "Model", how: Decoding) -> Any:
    """All that decides a generation."""
    from transformers import GenerationConfig

    warm = how.temperature > 0
    sampled = {"temperature": how.temperature, "top_k": 0, "top_p": 1.0} if warm else {}  # nothing is cut off
    return GenerationConfig(
        max_new_tokens=how.max_new_tokens,
        do_sample=warm,
        eos_token_id=end_ids(model) or None,
        pad_token_id=model.pad_id,
        use_cache=how.use_cache,
        **sampled,
    )
