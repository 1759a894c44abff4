"""Who plays: scripts that need no model, a model with one of its adapters, and a hosted or local endpoint.

A player sees the turns so far and says the next one. Many games are played side by side, so a player is
given all conversations of a round at once and a seed for each; a script draws from each game's own seed, so
what it says does not depend on which other games are played.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from mi_bsa.asking.make_me_say.guesser import Guesser
from mi_bsa.core.endpoint import KEY_VARIABLE, Endpoint
from mi_bsa.core.errors import EndpointError, GameError

if TYPE_CHECKING:
    import activations

Role = Literal["manipulator", "partner"]


@dataclass(frozen=True)
class Turn:
    """What one of the two said."""

    role: Role
    text: str


Conversation = tuple[Turn, ...]


@runtime_checkable
class Player(Protocol):
    """One side of the game."""

    @property
    def name(self) -> str: ...

    def speak(self, role: Role, games: Sequence[Conversation], seeds: Sequence[int]) -> list[str]:
        """The next turn in every game, as `role`; one seed a game."""
        ...


@dataclass(frozen=True)
class ScriptedPartner:
    """The partner that guesses from associations."""

    guesser: Guesser
    name: str = "scripted partner"

    def speak(self, role: Role, games: Sequence[Conversation], seeds: Sequence[int]) -> list[str]:
        """An opening, a line that wants more, or a guess."""
        said = []
        for turns, seed in zip(games, seeds, strict=True):
            rng = random.Random(seed)
            heard = [t.text for t in turns if t.role != role]
            spoken = [t.text for t in turns if t.role == role]
            said.append(self.guesser.reply(heard, spoken, rng) if heard else self.guesser.opening(rng))
        return said


@dataclass(frozen=True)
class ScriptedManipulator:
    """A manipulator that gives hints of its word, and does not repeat itself while it has others.

    Attributes:
        word: what it leads to.
        hints: word -> hints, for all words.
        lines: what it says; `{a}` is a hint, `{b}` another.
        aim: share of hints that belong to its own word; the others belong to any word. 1 is a perfect
            manipulator, 0 one that plays at random.
    """

    word: str
    hints: Mapping[str, tuple[str, ...]]
    lines: tuple[str, ...] = ("{a}.",)
    aim: float | int = 1.0
    name: str = "scripted manipulator"

    def __post_init__(self) -> None:
        if self.word not in self.hints:
            raise GameError(f"no hints for {self.word!r}; give hints of it, or another word")
        if not self.lines or not all("{a}" in line for line in self.lines):
            raise GameError("a manipulator's lines need {a}, the place of its hint")

    def speak(self, role: Role, games: Sequence[Conversation], seeds: Sequence[int]) -> list[str]:
        """One line with one or two hints a game."""
        said = []
        for turns, seed in zip(games, seeds, strict=True):
            rng = random.Random(seed)
            before = " ".join(t.text for t in turns if t.role == role).casefold()
            line = rng.choice(self.lines)
            first = self._hint(rng, before)
            said.append(line.format(a=first, b=self._hint(rng, f"{before} {first}".casefold())))
        return said

    def _hint(self, rng: random.Random, before: str) -> str:
        word = self.word if rng.random() < self.aim else rng.choice(tuple(self.hints))
        fresh = [h for h in self.hints[word] if h.casefold() not in before]
        return rng.choice(fresh or self.hints[word])


@dataclass(frozen=True)
class ModelPlayer:
    """A model that speaks by sampling, as one of its variants.

    Attributes:
        model: the model, with its adapters.
        variant: `base`, or an adapter's name; two variants of one model can play each other.
        system: its system line; None for the chat template's own.
        temperature: of sampling.
        max_new_tokens: the longest turn.
        begin: what stands before the conversation where this player speaks first.
    """

    model: activations.Model
    variant: str = "base"
    system: str | None = None
    temperature: float | int = 1.0
    max_new_tokens: int = 32
    begin: str = "Hello."

    @property
    def name(self) -> str:
        """The variant's name."""
        return self.variant

    def speak(self, role: Role, games: Sequence[Conversation], seeds: Sequence[int]) -> list[str]:
        """One sampled turn a game; all games are one batch, seeded by the first."""
        prompts = [chat_view(role, turns, system=self.system, begin=self.begin) for turns in games]
        with self.model.variant(self.variant):
            said = self.model.generate(
                prompts,
                max_new_tokens=self.max_new_tokens,
                temperature=self.temperature,
                seed=seeds[0] % 2**31 if self.temperature > 0 else None,
            )
        return list(said)


@dataclass(frozen=True)
class EndpointPlayer:
    """A player behind an OpenAI-compatible endpoint, local or hosted (`POST {url}/chat/completions`).

    Attributes:
        url: the endpoint up to and with its version, such as `http://localhost:8000/v1`.
        model: the name that the endpoint knows.
        system: its instructions.
        key_variable: environment variable that holds the bearer token; unset means none is sent.
        temperature: of sampling.
        max_new_tokens: the longest turn.
        begin: what stands before the conversation where this player speaks first.
        timeout: seconds to wait for one answer.
    """

    url: str
    model: str
    system: str | None = None
    key_variable: str = KEY_VARIABLE
    temperature: float | int = 1.0
    max_new_tokens: int = 128
    begin: str = "Hello."
    timeout: float | int = 60.0

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model

    def speak(self, role: Role, games: Sequence[Conversation], seeds: Sequence[int]) -> list[str]:
        """One answer a game, several asked beside each other. Raises `GameError` where the endpoint gives
        none.
        """
        endpoint = Endpoint(self.url, self.model, self.key_variable, float(self.timeout))
        views = [chat_view(role, turns, system=self.system, begin=self.begin) for turns in games]
        warm, most = float(self.temperature), self.max_new_tokens
        try:
            return endpoint.complete_all(views, list(seeds), temperature=warm, max_tokens=most)
        except EndpointError as error:
            raise GameError(str(error)) from None


def chat_view(
    role: Role, turns: Sequence[Turn], *, system: str | None = None, begin: str = "Hello."
) -> list[dict[str, str]]:
    """The conversation as one side sees it: its own turns are the assistant's, the other's the user's."""
    messages = [] if system is None else [{"role": "system", "content": system}]
    if not turns or turns[0].role == role:
        messages.append({"role": "user", "content": begin})
    return messages + [{"role": "assistant" if t.role == role else "user", "content": t.text} for t in turns]
