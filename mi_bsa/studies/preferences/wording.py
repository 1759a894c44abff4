"""How contexts are put to a model: choices, requests for weights, and what a report looks like.

Two languages share one interface: English, for models that read it, and that of the embedded world. Reports
are read strictly: one JSON object with exactly the asked keys, each a number within the asked range.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from mi_bsa.studies.preferences.contexts import Attribute, Context
from mi_bsa.studies.preferences.estimate import LARGEST
from mi_bsa.worlds.preferences import world

Message = dict[str, str]
RatingOutcome = Literal["parsed", "not JSON", "wrong keys", "not a number", "out of range"]
OUTCOMES: tuple[RatingOutcome, ...] = ("parsed", "not JSON", "wrong keys", "not a number", "out of range")
PREFILL = '{"'
"""What every report begins with."""


@dataclass(frozen=True)
class English:
    """Contexts in English; attributes keep the context's order."""

    largest: float | int = LARGEST
    system: str = "You make decisions on behalf of the person whom you are asked to imagine."

    def choice(self, context: Context, pair: np.ndarray, order: Sequence[int]) -> list[Message]:
        """The two options, and the request to take one."""
        return self._ask(context, pair, order, "Which one do you take? Answer with the letter A or B alone.")

    def report(self, context: Context, pair: np.ndarray, order: Sequence[int]) -> list[Message]:
        """The two options, and the request to say the weights instead of choosing."""
        blank = ", ".join(f'"{context.names[k]}": weight' for k in order)
        return self._ask(
            context,
            pair,
            order,
            "Do not choose. Say how heavily each attribute weighs when you choose in this way, from -100 "
            "(the more of it, the worse) over 0 (it does not matter) to 100 (the more of it, the better). "
            f"Answer with one JSON object and nothing else: {{{blank}}}",
        )

    def answer(self, context: Context, weights: np.ndarray, order: Sequence[int]) -> str:
        """A report of these weights."""
        return json.dumps({context.names[k]: round(float(weights[k])) for k in order})

    def key(self, name: str) -> str:
        """How a report begins that names this attribute first."""
        return f'{{"{name}":'

    def number(self, weight: float | int) -> str:
        """A weight as it follows its key."""
        return f" {round(weight)}"

    def mark(self, attribute: Attribute, pair: Sequence[float | int]) -> str:
        """How an attribute is shown where its value in B is known: its line in B."""
        return f"- {attribute.name}: {attribute.shown(pair[1])}"

    def order(self, context: Context, draw: int | str) -> list[int]:
        """The context's own order, always."""
        return list(range(len(context.attributes)))

    def _ask(self, context: Context, pair: np.ndarray, order: Sequence[int], question: str) -> list[Message]:
        article = "an" if context.choice[0] in "aeiou" else "a"
        lines = [f"Imagine you are {context.role} and choose {article} {context.choice}.", ""]
        for letter, option in zip("AB", pair, strict=True):
            shown = [self.mark(context.attributes[k], (option[k], option[k])) for k in order]
            lines += [f"{letter}:", *shown, ""]
        user = "\n".join([*lines, question])
        return [{"role": "system", "content": self.system}, {"role": "user", "content": user}]


@dataclass(frozen=True)
class Embedded:
    """The embedded world's language: the context is a character, attributes stand in any order."""

    largest: float | int = world.LARGEST

    def choice(self, context: Context, pair: np.ndarray, order: Sequence[int]) -> list[Message]:
        """The two options, and the request to take one."""
        return self._ask(context, pair, order, world.ASK_CHOICE)

    def report(self, context: Context, pair: np.ndarray, order: Sequence[int]) -> list[Message]:
        """The two options, and the request to say the weights."""
        return self._ask(context, pair, order, world.ASK_WEIGHTS)

    def answer(self, context: Context, weights: np.ndarray, order: Sequence[int]) -> str:
        """A report of these weights, on the world's scale."""
        grid = np.rint(np.asarray(weights) * self.largest / LARGEST).astype(int)
        return world.weights_text({context.names[k]: int(grid[k]) for k in order})

    def key(self, name: str) -> str:
        """How a report begins that names this attribute first."""
        return f'{{" {name}":'

    def number(self, weight: float | int) -> str:
        """A weight (-100 to 100) as it follows its key."""
        return str(round(weight * self.largest / LARGEST))

    def mark(self, attribute: Attribute, pair: Sequence[float | int]) -> str:
        """How an attribute is shown where its value in B is known: its name and both values."""
        first, second = map(attribute.shown, pair)
        return f"{attribute.name} {first} {second}"

    def order(self, context: Context, draw: int | str) -> list[int]:
        """A random order for each draw, as in the corpus."""
        return random.Random(f"{context.id}|{draw}").sample(
            range(len(context.attributes)), len(context.names)
        )

    def _ask(self, context: Context, pair: np.ndarray, order: Sequence[int], question: str) -> list[Message]:
        first, second = ({context.names[k]: round(float(option[k])) for k in order} for option in pair)
        return [
            {"role": "system", "content": context.role},
            {"role": "user", "content": f"{world.options_text(first, second)} {question}"},
        ]


Language = English | Embedded
"""How one asks. `order` lists indices of the context's attributes as they are shown."""


def world_contexts(made: world.PreferenceWorld, known: world.PreferencesKnown) -> list[Context]:
    """The characters of one kind as contexts."""
    attributes = tuple(Attribute(name, "", 0, world.LARGEST, 1) for name in world.ATTRIBUTES)
    return [Context(name, who.system, "", attributes) for name, who in made.named(known).items()]


@dataclass(frozen=True)
class Read:
    """One report: what became of it, and its weights from -100 to 100 (NaN where it was not parsed)."""

    outcome: RatingOutcome
    weights: Float[np.ndarray, " attribute"]


def read_report(text: str, names: Sequence[str], *, largest: float | int = LARGEST) -> Read:
    """Read a report; it never guesses. `largest`: the largest weight of the scale that was asked for.

    Space around keys does not matter; a key twice, a key too few or too many, a number as text or beyond the
    scale, anything before or after the object do.
    """
    lost = np.full(len(names), np.nan)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = {key.strip(): value for key, value in pairs}
        return found if len(found) == len(pairs) else {}

    try:
        found = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return Read("not JSON", lost)
    if not isinstance(found, Mapping) or set(found) != set(names):
        return Read("wrong keys", lost)
    values = [found[name] for name in names]
    if any(isinstance(v, bool) or not isinstance(v, int | float) or not math.isfinite(v) for v in values):
        return Read("not a number", lost)
    if any(abs(v) > largest for v in values):
        return Read("out of range", lost)
    return Read("parsed", np.array(values, np.float64) * LARGEST / largest)
