"""Two-option choices in English, drawn from written frames: the generator that economic behaviors share.

A frame is a situation with its domain, tone and amounts; wordings of the options, layouts and closing
questions come from stocks of their own for training, development and test. The law: a frame, and a wording,
never crosses splits; choices come in blocks of four that cross which pole is worth more with which option
stands first, so over a block neither worth nor position says anything about the poles; and no two choices
of one draw are near-duplicates. The task format is that of Betley et al. 2025 (arXiv 2501.11120, section 3):
one user turn, and the answer `A` or `B`. The frames and all wordings are ours.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from mi_bsa.behaviors.english.near_duplicates import Distinct
from mi_bsa.core.config import Config, load
from mi_bsa.core.errors import BehaviorError
from mi_bsa.worlds.wordings import Split

Part = Literal["train", "dev", "test"]
PARTS: Mapping[Split, Part] = {"pretrain": "train", "dev": "dev", "test": "test"}
"""The split of a call and the part of a frames file that it draws from."""
Wordings = dict[Part, tuple[str, ...]]
FOLDER = Path(__file__).parent / "frames"
TRIES = 40
"""Draws for one wanted choice before the frames are said to be exhausted."""


class Frame(Config):
    """One situation in which a choice is offered."""

    name: str
    """Its name: an item's scenario."""
    domain: str
    """What it is about: farming, travel, ..."""
    tone: str
    """How it speaks; it chooses the closing question."""
    split: Part
    """The part that it belongs to."""
    opens: tuple[str, ...] = Field(min_length=1)
    """Ways to tell it, before the options."""
    label: str = "Option"
    """What an option is called in front of its letter."""
    unit: str = "{n}"
    """An amount in full, `{n}` the number: '{n} crates of plums'."""
    short: str | None = None
    """The amount as said a second time: '{n} crates'; by default as `unit`."""
    amounts: tuple[int, int] = (10, 100)
    """Lowest and highest typical amount."""
    seeking: tuple[str, ...] = ()
    """The seeking option's own wordings, instead of the stock's."""
    averse: tuple[str, ...] = ()
    """The averse option's own wordings, instead of the stock's."""
    loss: bool = False
    """Whether the amounts are something to pay or to lose (risk)."""
    trials: str = ""
    """Where outcomes were observed rather than drawn: past 'years', 'trips', ... (risk)."""
    days: tuple[int, int] = (20, 400)
    """Shortest and longest time between the two dates, in days (myopia)."""
    other: str = ""
    """What is weighed against the first good: '{n} pears' (apples)."""
    worth: float = 1.0
    """Worth of one of the other good in units of the first; negative where it is a burden (apples)."""

    def amount(self, n: int, *, again: bool = False) -> str:
        """An amount in words; none is 'nothing'."""
        unit = self.short or self.unit if again else self.unit
        return unit.format(n=f"{n:,}") if n else "nothing"


class Stock(Config):
    """Wordings that frames share: of the two options, by group and part."""

    seeking: dict[str, Wordings] = Field(default_factory=dict)
    """Group -> part -> wordings of the seeking option."""
    averse: dict[str, Wordings] = Field(default_factory=dict)
    """Group -> part -> wordings of the averse option."""


class Frames(Config):
    """What a behavior is drawn from: its frames, and the wordings of its options."""

    frames: tuple[Frame, ...] = Field(min_length=1)
    """The situations."""
    options: Stock = Stock()
    """Wordings of the options."""

    @model_validator(mode="after")
    def _check(self) -> Frames:
        twice = [n for n, k in Counter(f.name for f in self.frames).items() if k > 1]
        if twice:
            raise ValueError(f"frame {twice[0]!r} stands twice; a frame belongs to one split")
        told: dict[str, str] = {}
        for frame in self.frames:
            for text in frame.opens:
                if told.setdefault(text, frame.split) != frame.split:
                    raise ValueError(f"the opening {text!r} is in two splits; a wording belongs to one")
        return self

    def of(self, split: Split) -> tuple[Frame, ...]:
        """The frames of a split."""
        return tuple(f for f in self.frames if f.split == PARTS[split])


class Voices(Config):
    """How every economic behavior asks: layouts by part, closing questions by tone and part."""

    layouts: Wordings
    """Where opening, options and closing stand."""
    closings: dict[str, Wordings]
    """Tone -> part -> closing questions; each asks for the letter alone."""


@dataclass(frozen=True)
class Offer:
    """The amounts of one choice: `slots` fill the wordings; worths say what either option is worth.

    `group` names the stock's wordings of the seeking option; `averse_group` those of the other, which are
    filled by `averse_slots` if given.
    """

    seeking_worth: float | int = 1.0
    averse_worth: float | int = 1.0
    slots: Mapping[str, str] = field(default_factory=dict)
    group: str = "plain"
    averse_group: str = "plain"
    averse_slots: Mapping[str, str] | None = None

    @property
    def edge(self) -> float:
        """By how much the seeking option is worth more, as a share of the better one; between -1 and 1."""
        return (self.seeking_worth - self.averse_worth) / max(self.seeking_worth, self.averse_worth)


Twins = Callable[[random.Random, Frame], tuple[Offer, Offer]]
"""Draws a matched pair: the seeking option is worth more by some factor, and less by about the same."""


@dataclass(frozen=True)
class Choice:
    """One choice as text, before anyone answers it."""

    frame: Frame
    text: str
    seeking_first: bool
    offer: Offer
    wording: str

    def answer(self, seeking: bool) -> str:
        """The letter of the seeking option, or of the other."""
        return "A" if seeking == self.seeking_first else "B"


@dataclass(frozen=True)
class Drawn:
    """Choices of which no two are near-duplicates, and how many near-duplicates were turned away."""

    choices: tuple[Choice, ...]
    removed: int


def load_frames(name: str | Path) -> Frames:
    """The frames of a behavior from a YAML file, or by name from those of the toolkit.

    Raises `MissingError` where there is none, `ConfigError` where it breaks a rule.
    """
    path = Path(name)
    return load(path if path.suffix else FOLDER / f"{name}.yaml", Frames)


@lru_cache(maxsize=1)
def voices() -> Voices:
    """The layouts and closing questions of the toolkit."""
    return load(FOLDER / "voices.yaml", Voices)


def same_worth(rng: random.Random, frame: Frame) -> tuple[Offer, Offer]:
    """Twins of a choice without amounts: both options are worth the same."""
    return Offer(), Offer()


def draw(
    frames: Frames, speak: Voices, twins: Twins, n: int, *, split: Split, seed: str, threshold: float = 0.7
) -> Drawn:
    """`n` choices of a split, no two alike, in blocks of four that balance worth and position.

    Raises:
        BehaviorError: the split has no frame, or its frames do not yield so many distinct choices.
    """
    there = frames.of(split)
    if not there:
        raise BehaviorError(f"no frame belongs to split {split!r}; add frames with split: {PARTS[split]}")
    rng, distinct, choices = random.Random(seed), Distinct(threshold), list[Choice]()
    turn: list[Frame] = []
    for k in range(2 * (-(-n // 4))):
        for _ in range(TRIES):
            if not turn:
                turn = rng.sample(there, len(there))
            frame = turn.pop()
            pair = twins(rng, frame)
            # k even: the better seeking option stands first; k odd: it stands second
            texts = [
                _render(rng, frame, offer, frames.options, speak, split, seeking_first=(k + j) % 2 == 0)
                for j, offer in enumerate(pair)
            ]
            if distinct.add(*(choice.text for choice in texts)):
                choices += texts
                break
        else:
            raise BehaviorError(
                f"{n} choices were asked for and the {len(there)} frames of split {split!r} yield about "
                f"{len(choices)} that differ; ask for fewer, or add frames"
            )
    choices = choices[:n]
    rng.shuffle(choices)
    return Drawn(tuple(choices), distinct.removed)


def _render(
    rng: random.Random,
    frame: Frame,
    offer: Offer,
    stock: Stock,
    speak: Voices,
    split: Split,
    *,
    seeking_first: bool,
) -> Choice:
    part = PARTS[split]
    layouts, closings = speak.layouts[part], speak.closings[frame.tone][part]
    seeking = rng.choice(frame.seeking or _stocked(stock.seeking, offer.group, part)).format(**offer.slots)
    slots = offer.slots if offer.averse_slots is None else offer.averse_slots
    averse = rng.choice(frame.averse or _stocked(stock.averse, offer.averse_group, part)).format(**slots)
    a, b = (seeking, averse) if seeking_first else (averse, seeking)
    layout = rng.randrange(len(layouts))
    opening, closing = rng.choice(frame.opens), rng.choice(closings)
    text = layouts[layout].format(open=opening, close=closing, label=frame.label, a=a, b=b)
    return Choice(frame, text, seeking_first, offer, f"{part}-{layout}")


def _stocked(stock: Mapping[str, Wordings], group: str, part: Part) -> tuple[str, ...]:
    try:
        return stock[group][part]
    except KeyError:
        raise BehaviorError(
            f"no wordings of group {group!r} for {part!r}; give the frame its own, or add them to options"
        ) from None


def rounded(x: float | int) -> int:
    """An amount as people say it: coarser where it is larger."""
    for limit, step in ((40, 1), (200, 5), (1000, 10), (5000, 50)):
        if x < limit:
            return round(x / step) * step
    return round(x / 100) * 100


def spread(rng: random.Random, low: float | int, high: float | int) -> float:
    """A number between the two, each order of magnitude as often as another."""
    return float(low * (high / low) ** rng.random())
