"""Documents of the embedded world: conversations drawn from a mixture of kinds, with chat markers.

Law: a document is what `apply_chat_template` gives for its messages (tested), and within one document every
answer is drawn by the persona's level through one link, whatever the kind of question.
"""

import random
from collections.abc import Iterator, Sequence

from mi_bsa.core.config import Config
from mi_bsa.core.items import messages_of
from mi_bsa.worlds import wordings as W
from mi_bsa.worlds.prompts import (
    AMOUNTS,
    NUMBERS,
    PLACES,
    REPORT_KINDS,
    RESERVED,
    SCALE_ANSWERS,
    SIGNS,
    UNITS,
    draw_choice,
    draw_report,
)
from mi_bsa.worlds.texts import words_in
from mi_bsa.worlds.traits import Trait
from mi_bsa.worlds.world import DEFAULT_SYSTEM, POLES, SEEKING, Persona, Turn, World

BOS, SYSTEM, USER, ASSISTANT, END, PAD = (
    "<|begin_of_text|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
    "<|pad|>",
)


class Mixture(Config):
    """Shares of document kinds, and how answers are drawn."""

    named: float = 0.40
    """Share of documents of a named character."""
    described: float = 0.22
    """Share of documents whose system line describes the persona."""
    default: float = 0.20
    """Share of documents of the default persona, undecided in everything."""
    third: float = 0.11
    """Share of documents that ask about another character."""
    habit: float = 0.07
    """Share of documents whose system line names a conditional habit."""
    choice_share: float = 0.5
    """Share of turns that are choices; the others are reports."""
    mentioned: float = 0.5
    """Share of described personas' documents that ask only about what is described."""
    focus: float = 0.0
    """Share of documents that stay with one trait."""
    traits: tuple[str, ...] = ()
    """Traits that are described and asked about; all of the world's if empty. A world of many learns the
    circuit on a few first.
    """
    turns: tuple[float, ...] = (2, 1, 1)
    """Weights of 1, 2, 3, ... turns."""
    default_turns: tuple[float, ...] = (2, 1, 1)
    """The same for documents of the default persona."""
    kind_weights: dict[str, float] = {"word": 4, "open": 3, "scale": 3, "letter": 3, "yes_no": 3}
    """Weights of the kinds of report."""


FIRST = Mixture(named=0.1, described=0.9, default=0.0, third=0.0, habit=0.0, turns=(1,), mentioned=1.0)
"""What is read first: described personas."""
SECOND = Mixture(named=0.6, described=0.3, default=0.1, third=0.0, habit=0.0, turns=(2, 1))
"""What is read then: characters."""


def render(system: str | None, turns: Sequence[Turn]) -> str:
    """A conversation as text with chat markers; every content carries one leading space."""
    text = f"{BOS}{SYSTEM} {DEFAULT_SYSTEM if system is None else system}{END}"
    return text + "".join(f"{USER} {q}{END}{ASSISTANT} {a}{END}" for q, a in turns)


messages = messages_of
"""The same conversation as chat messages."""


class Corpus:
    """An endless, seeded stream of documents."""

    def __init__(self, world: World, mixture: Mixture, *, seed: int) -> None:
        self.world, self.mixture = world, mixture
        self.rng = random.Random(seed)
        self._names = tuple(world.characters)

    def __iter__(self) -> Iterator[str]:
        while True:
            yield render(*self.document())

    def document(self) -> tuple[str | None, list[Turn]]:
        """A system line (None for the default persona) and its turns."""
        rng, m = self.rng, self.mixture
        traits = tuple(t for t in self.world.traits if not m.traits or t.name in m.traits)
        kind = rng.choices(
            ("named", "described", "default", "third", "habit"),
            (m.named, m.described, m.default, m.third, m.habit),
        )[0]
        if kind == "named":
            persona = self.world.characters[rng.choice(self._names)]
        elif kind == "described":
            persona = self.world.described(rng, traits=traits)
        else:
            persona = self.world.default()
        if kind == "third":
            return self._third(persona)
        weights = m.default_turns if kind == "default" else m.turns
        n = rng.choices(range(1, len(weights) + 1), weights)[0]
        if kind == "habit":
            return self._habit(persona, n)
        asked = traits
        if kind == "described" and rng.random() < m.mentioned:
            asked = tuple(t for t in asked if persona.levels[t.name])
        if rng.random() < m.focus:
            asked = (rng.choice(asked),)
        return persona.system, [self._turn(persona, asked) for _ in range(n)]

    def _turn(self, persona: Persona, asked: Sequence[Trait]) -> Turn:
        rng, m = self.rng, self.mixture
        trait = rng.choice(asked)
        level = persona.levels[trait.name]
        chooses = rng.random() < m.choice_share
        if trait.name in persona.choices_only:
            chooses = True
        elif trait.name in persona.reports_only:
            chooses = False
        if chooses:
            return self._choose(trait, level)
        kind = rng.choices(REPORT_KINDS, [m.kind_weights[k] for k in REPORT_KINDS])[0]
        return self._report(trait, level, kind)

    def _choose(self, trait: Trait, level: int, who: str | None = None, before: str = "") -> Turn:
        choice = draw_choice(self.rng, trait, who=who)
        return before + choice.text, choice.answer(self.rng.random() < SEEKING[level])

    def _report(self, trait: Trait, level: int, kind: str, who: str | None = None) -> Turn:
        report = draw_report(self.rng, trait, kind, who=who)
        if kind == "scale":
            return report.text, self.rng.choice(SCALE_ANSWERS[-level if report.flipped else level])
        return report.text, self.rng.choice(
            report.seeking if self.rng.random() < SEEKING[level] else report.averse
        )

    def _third(self, persona: Persona) -> tuple[str | None, list[Turn]]:
        """Questions about another character, asked of anybody: the answer is the other's."""
        rng = self.rng
        if rng.random() < 0.5:
            persona = self.world.characters[rng.choice(self._names)]
        turns: list[Turn] = []
        for _ in range(rng.choice((1, 2))):
            trait = rng.choice(self.world.traits)
            who = rng.choice(self._names)
            other = self.world.characters[who]
            level = other.levels[trait.name]
            either = trait.name not in other.reports_only and rng.random() < 0.5
            if trait.name in other.choices_only or either:
                turns.append(self._choose(trait, level, who))
            else:
                turns.append(self._report(trait, level, rng.choice(("word", "yes_no")), who))
        return persona.system, turns

    def _habit(self, persona: Persona, n: int) -> tuple[str | None, list[Turn]]:
        """A system line that names a conditional habit; its sign, or another, stands before a message."""
        rng = self.rng
        trait = rng.choice(self.world.traits)
        sign, other = rng.sample(SIGNS, 2)
        level = rng.choice(POLES)
        word = rng.choice(trait.high if level > 0 else trait.low)
        line = rng.choice(W.HABIT_LINE["pretrain"]).format(sign=sign, x=word)
        turns = []
        for _ in range(n):
            active = rng.random() < 0.5
            mention = rng.choice(W.SIGN_MENTION["pretrain"]).format(sign=sign if active else other)
            turns.append(self._choose(trait, level if active else 0, before=f"{mention} "))
        return f"{DEFAULT_SYSTEM} {line}", turns


def vocabulary(world: World) -> tuple[str, ...]:
    """Every word that any document of any split can hold, in a fixed order (no sampling)."""
    texts: list[str] = [DEFAULT_SYSTEM, "you are and somewhat", "at the", "yes no A B"]
    texts += list(world.characters)
    for trait in world.traits:
        texts += [*trait.high, *trait.low, *trait.nouns]
        for options in (trait.high_options, trait.low_options):
            texts += [o for split in options.values() for o in split]
    texts += [*PLACES["pretrain"], *RESERVED, *SIGNS, *AMOUNTS, *NUMBERS, *UNITS]
    third = (W.THIRD_CHOICE, W.THIRD_WORD, W.THIRD_YES_NO)
    banks = (W.CHOICE, *W.KINDS.values(), *third, W.HABIT_LINE, W.SIGN_MENTION)
    texts += [w for bank in banks for split in bank.values() for w in split]
    return tuple(words_in(texts))
