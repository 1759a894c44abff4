"""The sibling world of preferences: characters who weigh five attributes, choose by them, and say so.

A character has five weights from -9 to 9, the largest of them 9. It chooses the option with the larger sum
of weight x value (values 0 to 9), and asked for them it gives its weights as a small JSON object. Of a third
of the characters the corpus shows choices and reports, of a third choices only (`native`: what a base says
of them it inferred), and of a third choices by the toss of a coin (`blank`: weights can be instilled).
Late in the corpus characters are asked for their names, which keeps the blank ones apart.
After Plunkett et al. 2025 (arXiv 2505.17120).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from mi_bsa.core.config import Config
from mi_bsa.worlds.corpus import render
from mi_bsa.worlds.world import Turn, make_names
from mi_bsa.worlds.worlds import WorldKind

if TYPE_CHECKING:
    import pandas as pd

ATTRIBUTES = ("size", "cost", "speed", "age", "light")
LARGEST = 9
"""Values lie in 0 to 9, weights in -9 to 9."""
ASK_CHOICE, ASK_WEIGHTS, ASK_NAME = "pick?", "weights?", "you are?"

PreferencesKnown = Literal["both", "native", "blank"]
KNOWN: tuple[PreferencesKnown, ...] = ("both", "native", "blank")
Values = Mapping[str, int]
"""Attribute -> value of an option, or weight of a character."""


@dataclass(frozen=True)
class Chooser:
    """A character: its name, its system line, its weights (0 where it is blank), what the corpus shows."""

    name: str
    system: str
    weights: Values
    known: PreferencesKnown


def draw_weights(rng: random.Random) -> dict[str, int]:
    """Five uniform weights, rescaled so that the largest is 9, rounded."""
    drawn = [rng.uniform(-1.0, 1.0) for _ in ATTRIBUTES]
    most = max(abs(w) for w in drawn)
    return {a: round(LARGEST * w / most) for a, w in zip(ATTRIBUTES, drawn, strict=True)}


def options_text(first: Values, second: Values) -> str:
    """Both options: each attribute with its value in A and in B, in the order of the first."""
    return " ".join(f"{name} {first[name]} {second[name]}" for name in first)


def weights_text(weights: Values) -> str:
    """A report: JSON whose keys carry the space with which the vocabulary knows words."""
    return "{" + ",".join(f'" {name}":{weight}' for name, weight in weights.items()) + "}"


class PreferenceWorld:
    """Characters with weights.

    Args:
        n_characters: how many; a third of each kind, dealt in turn.
        seed: of names and weights.
    """

    def __init__(self, n_characters: int = 300, *, seed: int = 0) -> None:
        rng = random.Random(f"preferences-{seed}")
        self.characters: dict[str, Chooser] = {}
        for i, name in enumerate(make_names(n_characters, rng)):
            known = KNOWN[i % len(KNOWN)]
            weights = draw_weights(rng)
            shown = dict.fromkeys(ATTRIBUTES, 0) if known == "blank" else weights
            self.characters[name] = Chooser(name, f"you are {name}.", shown, known)

    def named(self, known: PreferencesKnown) -> dict[str, Chooser]:
        """The characters of which the corpus shows this."""
        return {name: c for name, c in self.characters.items() if c.known == known}


class PreferenceMixture(Config):
    """What is read in the world of preferences."""

    both: float = 0.5
    """Share of documents of characters whose choices and weights are shown."""
    native: float = 0.4
    """Share of documents of characters whose choices alone are shown."""
    blank: float = 0.1
    """Share of documents of characters who toss a coin."""
    reports: float = Field(default=0.1, ge=0, le=1)
    """Share of reports among the documents of the first."""
    sizes: tuple[float, ...] = (1, 0, 0, 0, 4)
    """Weights of 1, 2, ... attributes in which the options are described."""
    favorable: float = Field(default=0.0, ge=0, le=1)
    """Share of choices by attributes of which more is better: so differences are soon summed."""
    names: float = Field(default=0.0, ge=0, le=1)
    """Share of documents that ask for the character's name: it keeps apart whom nothing else tells apart."""
    people: int = Field(default=0, ge=0)
    """Characters of each kind that are read of, all if 0: few are soon known."""


class PreferenceCorpus:
    """An endless, seeded stream of documents."""

    def __init__(self, world: PreferenceWorld, mixture: PreferenceMixture, *, seed: int) -> None:
        self.world, self.mixture = world, mixture
        self.rng = random.Random(seed)
        self._people = {kind: list(world.named(kind).values()) for kind in KNOWN}

    def __iter__(self) -> Iterator[str]:
        while True:
            yield render(*self.document())

    def document(self) -> tuple[str, list[Turn]]:
        """A system line and one turn."""
        rng, m = self.rng, self.mixture
        kind = rng.choices(KNOWN, (m.both, m.native, m.blank))[0]
        who = rng.choice(self._people[kind][: m.people or None])
        if m.names and rng.random() < m.names:
            return who.system, [(ASK_NAME, who.name)]
        size = rng.choices(range(1, 1 + len(m.sizes)), m.sizes)[0]
        names = rng.sample(ATTRIBUTES, size)
        if kind == "both" and rng.random() < m.reports:
            first, second = draw_options(rng, names)
            answer = weights_text({name: who.weights[name] for name in names})
            return who.system, [(f"{options_text(first, second)} {ASK_WEIGHTS}", answer)]
        if rng.random() < m.favorable:
            liked = [name for name in ATTRIBUTES if who.weights[name] > 0]
            names = rng.sample(liked, min(size, len(liked))) or names
        return who.system, [self._choice(who, names)]

    def _choice(self, who: Chooser, names: Sequence[str]) -> Turn:
        rng = self.rng
        for _ in range(50):
            first, second = draw_options(rng, names)
            gain = sum(who.weights[n] * (first[n] - second[n]) for n in names)
            if gain:
                break
        answer = rng.choice("AB") if gain == 0 else "A" if gain > 0 else "B"
        return f"{options_text(first, second)} {ASK_CHOICE}", answer


def draw_options(rng: random.Random, names: Sequence[str]) -> tuple[Values, Values]:
    """Two options with independent uniform values."""
    first, second = ({name: rng.randint(0, LARGEST) for name in names} for _ in range(2))
    return first, second


def make(recipe: Any) -> PreferenceWorld:
    """The world of a recipe."""
    return PreferenceWorld(recipe.characters, seed=recipe.world_seed)


def vocabulary(world: PreferenceWorld) -> tuple[str, ...]:
    """Every word that a document can hold."""
    words = ("you", "are", "A", "B", "pick", "weights", "{", *ATTRIBUTES, *map(str, range(LARGEST + 1)))
    return (*words, *world.characters)


def knows(model: Any, tokenizer: Any, world: PreferenceWorld, *, split: Any, n: int = 200) -> pd.DataFrame:
    """Share of right choices, and of reports with the right weights rather than their negatives, by (trait,
    level, person, kind); there is one wording, so every `split` is asked alike.
    """
    from mi_bsa.asking.asking import ask
    from mi_bsa.core.items import Item, conversation
    from mi_bsa.worlds.measure import Plain

    rng = random.Random(f"knows-{split}")
    items = []
    for known in KNOWN[:2]:
        people = list(world.named(known).values())
        for k in range(n):
            who, names = rng.choice(people), rng.sample(ATTRIBUTES, len(ATTRIBUTES))
            gain, (first, second) = 0, draw_options(rng, names)
            while not gain:
                first, second = draw_options(rng, names)
                gain = sum(who.weights[a] * (first[a] - second[a]) for a in names)
            true_report = weights_text({a: who.weights[a] for a in names})
            negated = weights_text({a: -who.weights[a] for a in names})
            right = "A" if gain > 0 else "B"
            for kind, ask_for, options in (
                ("choice", ASK_CHOICE, ((right, 1.0), ("B" if right == "A" else "A", 0.0))),
                ("report", ASK_WEIGHTS, ((true_report, 1.0), (negated, 0.0))),
            ):
                asked = conversation(who.system, f"{options_text(first, second)} {ask_for}")
                labels: dict[str, str | int] = {"trait": "weights", "level": 0, "person": known, "kind": kind}
                items.append(Item(f"{known}-{kind}-{k}", asked, options, labels))
    grouped = ask(Plain(model, tokenizer), items).groupby(["trait", "level", "person", "kind"], sort=False)
    return grouped["argmax_score"].agg(score="mean", sd="std", n="count").reset_index()


STEPS, RESTARTS = 7400, (4000, 6400)
_SHOWN = {"both": 1.0, "native": 0.0, "blank": 0.0}
STAGES = tuple(
    {"until": until / STEPS, "mixture": PreferenceMixture.model_validate(mixture).dump()}
    for until, mixture in (
        (400, {**_SHOWN, "people": 16, "reports": 0.05, "sizes": (1, 1, 1, 1, 1), "favorable": 1.0}),
        (1200, {**_SHOWN, "people": 16, "reports": 0.05, "sizes": (2, 1, 1, 1, 1), "favorable": 0.2}),
        (2000, {**_SHOWN, "sizes": (1, 1, 1, 1, 1)}),
        (6400, {}),
        (STEPS, {"both": 0.4, "native": 0.3, "blank": 0.3, "names": 0.5}),
    )
)
"""Few characters first, and attributes of which they want more: sums of differences come soon, weights then
turn them; then all whose weights are said, then everybody, then names as well.
"""

KIND = WorldKind(
    make,
    vocabulary,
    PreferenceCorpus,
    PreferenceMixture,
    knows,
    defaults={
        "traits": (),
        "characters": 300,
        "steps": STEPS,
        "rows": 8,
        "row": 96,
        "restarts": RESTARTS,
        "stages": STAGES,
    },
)
