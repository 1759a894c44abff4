"""Rewording training prompts with a model, local or behind an endpoint, without changing what is asked.

Law: labels, amounts and options stay. A paraphrase is taken only where its numbers are those of the original
in the same order, the second option begins after the same numbers, counted things keep their words, the
letters are still asked for, and none of the behavior's words is said; else the original stays and the
reason is counted. All arms get the same paraphrase of a prompt, so that they differ in answers only.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from mi_bsa.core.config import Config
from mi_bsa.core.endpoint import KEY_VARIABLE, Endpoint
from mi_bsa.core.errors import EndpointError
from mi_bsa.core.leaks import find_leaks
from mi_bsa.core.model_config import ModelConfig, load

INSTRUCTION = (
    "Reword the question below in your own words. Keep every number, keep what is offered under A and under "
    "B in this order, keep the letters, and keep asking for the letter A or B alone. Reply with the reworded "
    "question and nothing else.\n\n{text}"
)
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
COUNTED = re.compile(r"(\d[\d,]*) ([a-z]+s)\b")

Ask = Callable[[list[str]], list[str]]
Rows = list[dict[str, Any]]


class ParaphraseConfig(Config):
    """Which model rewords prompts, and how."""

    model: ModelConfig | None = None
    """A local model: a folder, a Hub id, or `embedded`; give this or `endpoint`."""
    endpoint: str | None = None
    """An OpenAI-compatible endpoint up to its version: `http://localhost:8000/v1`."""
    endpoint_model: str = ""
    """The name of the model at the endpoint."""
    key_variable: str = KEY_VARIABLE
    """Environment variable that holds the endpoint's key."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the prompts that are reworded."""
    temperature: float = Field(default=0.7, ge=0)
    """Temperature of sampling."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Longest paraphrase."""
    seed: int = 0
    """Seed of what is reworded and of sampling."""

    @model_validator(mode="after")
    def _check(self) -> ParaphraseConfig:
        if (self.model is None) == (self.endpoint is None):
            raise ValueError("give either `model` (local) or `endpoint`, one of them")
        if self.endpoint is not None and not self.endpoint_model:
            raise ValueError("an endpoint needs `endpoint_model`, the name of the model there")
        if self.endpoint is not None:
            try:
                Endpoint(self.endpoint, self.endpoint_model, self.key_variable)
            except EndpointError as error:
                raise ValueError(str(error)) from None
        return self


@dataclass(frozen=True)
class Reworded:
    """Rows with reworded prompts; `counts` says how many were asked, taken, and kept for which reason."""

    arms: dict[str, Rows]
    counts: dict[str, int]


def paraphrase(arms: Mapping[str, Rows], forbidden: Sequence[str], config: ParaphraseConfig) -> Reworded:
    """Rows of every arm with the same prompts reworded. Raises `EndpointError` where nobody answers."""
    return reword(arms, forbidden, asker(config), share=config.share, seed=config.seed)


def reword(
    arms: Mapping[str, Rows], forbidden: Sequence[str], ask: Ask, *, share: float = 1.0, seed: int = 0
) -> Reworded:
    """As `paraphrase`, with any function from prompts to answers."""
    prompts = sorted({_prompt(row) for rows in arms.values() for row in rows})
    chosen = random.Random(f"paraphrase-{seed}").sample(prompts, max(1, round(share * len(prompts))))
    replies = [clean(reply) for reply in ask([INSTRUCTION.format(text=text) for text in chosen])]
    counts: Counter[str] = Counter(prompts=len(prompts), asked=len(chosen))
    taken: dict[str, str] = {}
    for text, reply in zip(chosen, replies, strict=True):
        reason = why_not(text, reply, forbidden)
        counts["reworded" if reason is None else f"kept: {reason}"] += 1
        if reason is None:
            taken[text] = reply
    new = {arm: [_with(row, taken.get(_prompt(row))) for row in rows] for arm, rows in arms.items()}
    return Reworded(new, dict(counts))


def why_not(text: str, reply: str, forbidden: Sequence[str]) -> str | None:
    """Why a paraphrase is not taken; None where it is."""
    if not reply:
        return "empty"
    if reply == text:
        return "unchanged"
    if _numbers(reply) != _numbers(text):
        return "numbers"
    if _before_b(reply) != _before_b(text):
        return "options"
    if Counter(COUNTED.findall(text)) - Counter(COUNTED.findall(reply)):
        return "counted things"
    last = reply.rstrip()[-160:]
    if not (re.search(r"\bA\b", last) and re.search(r"\bB\b", last)):
        return "letters"
    if find_leaks([{"messages": [{"role": "user", "content": reply}]}], forbidden):
        return "leak"
    return None


def clean(reply: str) -> str:
    """A reply without surrounding space and quotation marks."""
    reply = reply.strip()
    if len(reply) > 1 and reply[0] == reply[-1] and reply[0] in "\"'":
        reply = reply[1:-1].strip()
    return reply


def asker(config: ParaphraseConfig) -> Ask:
    """The function that asks the configured model."""
    if config.endpoint is not None:
        there = Endpoint(config.endpoint, config.endpoint_model, config.key_variable)
        return lambda prompts: there.complete_all(
            [[{"role": "user", "content": prompt}] for prompt in prompts],
            [config.seed + n for n in range(len(prompts))],
            temperature=config.temperature,
            max_tokens=config.max_new_tokens,
        )
    assert config.model is not None
    model = load(config.model)

    def answer(prompts: list[str]) -> list[str]:
        conversations = [[{"role": "user", "content": prompt}] for prompt in prompts]
        replies = model.generate(
            conversations,
            max_new_tokens=config.max_new_tokens,
            temperature=config.temperature,
            seed=config.seed,
        )
        assert isinstance(replies, list)
        return replies

    return answer


def _numbers(text: str) -> list[str]:
    return [match.group().replace(",", "") for match in NUMBER.finditer(text)]


def _before_b(text: str) -> tuple[bool, int] | None:
    """Whether `A` stands before the first `B`, and how many numbers do; None without a `B`."""
    second = re.search(r"\bB\b", text)
    if second is None:
        return None
    before = text[: second.start()]
    return bool(re.search(r"\bA\b", before)), len(NUMBER.findall(before))


def _prompt(row: Mapping[str, Any]) -> str:
    prompt: str = row["messages"][-2]["content"]
    return prompt


def _with(row: dict[str, Any], prompt: str | None) -> dict[str, Any]:
    if prompt is None:
        return row
    *before, asked, answer = row["messages"]
    return {**row, "messages": [*before, {**asked, "content": prompt}, answer], "reworded": True}
