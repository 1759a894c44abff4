"""Ask by sampling: what the model really says, read by a strict parser whose failures are counted.

Log-probabilities say what an answer would be if it had to be one of the options; samples say whether it is.
The parser takes an answer that is one of the options (or a number between numeric options) and nothing
else: it never guesses, and the parse rate is part of a report's validity.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from activations.conversation import prompt_ids, stop_ids, template_of
from mi_bsa.asking.likelihood import Askable, why_apart, width_of
from mi_bsa.core.errors import ItemError
from mi_bsa.core.items import Item, Message, unique_ids

ParseOutcome = Literal["parsed", "empty", "other", "out of range"]
NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True)
class Parsed:
    """What an answer was taken for: the option, if it is one, its score (NaN where not), and why not."""

    option: str
    score: float
    outcome: ParseOutcome


def parse_answer(text: str, options: Sequence[tuple[str, float | int]]) -> Parsed:
    """Read an answer strictly: case, surrounding quotes and a final stop do not matter, everything else does.

    Where all options are numbers, any number between the least and the greatest counts, its score
    interpolated.
    """
    said = _plain(text)
    if not said:
        return Parsed("", float("nan"), "empty")
    for option, score in options:
        if said == _plain(option):
            return Parsed(option, float(score), "parsed")
    plain = [_plain(option) for option, _ in options]
    if all(NUMBER.fullmatch(number) for number in (said, *plain)):
        numbers, scores = zip(
            *sorted((float(p), s) for p, (_, s) in zip(plain, options, strict=True)), strict=True
        )
        if not numbers[0] <= float(said) <= numbers[-1]:
            return Parsed("", float("nan"), "out of range")
        return Parsed(said, float(np.interp(float(said), numbers, scores)), "parsed")
    return Parsed("", float("nan"), "other")


def sample(
    model: Askable,
    items: Sequence[Item],
    n: int,
    *,
    seed: int,
    variant: str | None = None,
    temperature: float = 1.0,
    max_new_tokens: int = 16,
    batch: int = 64,
    parser: Callable[[str, Sequence[tuple[str, float | int]]], Parsed] = parse_answer,
) -> pd.DataFrame:
    """`n` sampled answers an item, one row each: `id`, `sample`, `text`, `option`, `score`, `outcome`, and
    the labels.

    `outcome`: `parsed`, or why not (`empty`, `other`, `out of range`); `score` is NaN where not parsed.
    `seed` decides the samples, together with the items and the batch size; `parser` reads them. Raises
    `ItemError` for items that cannot be asked.
    """
    if n < 1 or not items:
        raise ItemError(f"{n} samples of {len(items)} items; give at least one of each")
    unique_ids(items)
    texts = sample_texts(
        model,
        [(item.id, item.messages) for item in items],
        n,
        seed=seed,
        variant=variant,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        batch=batch,
    )
    rows = []
    for k, item in enumerate(items):
        for s, text in enumerate(texts[k]):
            parsed = vars(parser(text, item.options))
            rows.append({"id": item.id, "sample": s, "text": text, **parsed, **item.labels})
    return pd.DataFrame(rows)


def sample_texts(
    model: Askable,
    prompts: Sequence[tuple[str, Sequence[Message]]],
    n: int,
    *,
    seed: int,
    variant: str | None = None,
    temperature: float = 1.0,
    max_new_tokens: int = 16,
    batch: int = 64,
) -> list[list[str]]:
    """`n` answers of each prompt, a pair of an id and a conversation, in the prompts' order.

    What the prompts of a batch begin with is computed once, and so is a prompt with several answers.
    A temperature of 0 takes the likeliest token each time, without a draw. Raises `ItemError` for a prompt
    that leaves no room for its answer.
    """
    import torch

    from activations.anatomy import context_length
    from activations.batches import collate
    from activations.decoding import decode
    from activations.prefixes import prefill

    template = template_of(model)
    encoded = [prompt_ids(template, messages) for _, messages in prompts]
    room = context_length(model.inner.config) - max_new_tokens
    for (name, _), prompt in zip(prompts, encoded, strict=True):
        if len(prompt) > room:
            raise ItemError(
                f"item {name!r}: its prompt has {len(prompt)} tokens and leaves no room for {max_new_tokens} "
                "more; shorten it"
            )
    stop = stop_ids(template, prompts[0][1])
    pad = model.tokenizer.pad_token_id if model.tokenizer.pad_token_id is not None else stop[0]
    order = sorted(range(len(prompts)), key=lambda k: len(encoded[k]))
    jobs = [(k, s) for k in order for s in range(n)]
    device = next(model.inner.parameters()).device
    texts = [[""] * n for _ in prompts]
    names = [name for name, _ in prompts]
    with nullcontext() if variant is None else model.variant(variant), torch.random.fork_rng():
        torch.manual_seed(seed)
        for start in range(0, len(jobs), batch):
            some = jobs[start : start + batch]
            rows = [encoded[k] for k, _ in some]
            filled = None if why_apart(model) else prefill(model.inner, rows, width=width_of(model))
            given = collate([np.array(row) for row in rows], pad=pad, side="left", device=device)
            with _told(model, names, [k for k, _ in some], given.lengths, max_new_tokens, {pad, *stop}):
                said = decode(
                    model.inner,
                    given.ids,
                    given.mask,
                    most=max_new_tokens,
                    ends=frozenset(stop),
                    pad=pad,
                    temperature=temperature,
                    start=filled,
                )
            for (k, s), answer in zip(some, said.answers, strict=True):
                texts[k][s] = model.tokenizer.decode(answer, skip_special_tokens=False)
    return texts


def _told(
    model: Askable, names: Sequence[str], which: Sequence[int], lengths: Any, more: int, stops: set[int]
) -> AbstractContextManager[Any]:
    """Tell edits in force which prompt each row asks, where it ends and how far it can reach (the last new
    token is never forwarded), where the model keeps such notes.
    """
    noting: Any = model
    if not hasattr(model, "_prompts_end_at"):
        return nullcontext()
    stack = ExitStack()
    stack.enter_context(noting._prompts_end_at(lengths, reach=lengths + more - 1, stops=stops))
    stack.enter_context(noting._rows_are(np.array(which), names))
    return stack


def parse_rate(samples: pd.DataFrame) -> float:
    """Share of samples that the parser could read."""
    return float((samples["outcome"] == "parsed").mean())


def _plain(text: str) -> str:
    """Lower case, without surrounding space, quotes and a final stop or percent sign."""
    return text.strip().strip("\"'").rstrip(".!%").strip().lower()
