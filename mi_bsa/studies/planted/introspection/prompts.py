"""Prompts of planted reports: choices of a few scenarios, reports of some wordings."""

from __future__ import annotations

import numpy as np

from mi_bsa.core.items import Item

COMMON = ["alder", "ash", "aspen", "beech", "birch", "cedar", "elm", "fir", "hazel", "holly", "larch", "lime"]
COMMON += ["agate", "amber", "basalt", "chalk", "flint", "garnet", "granite", "jade"]
COMMON += ["jet", "marble", "onyx", "opal"]
RARE = ["zorp", "quim", "blat", "vrex", "nulk", "drob", "fesk", "jyll", "morv", "pluz", "trag", "wexo"]
RARE += ["brin", "clep", "dovu", "eskar", "frum", "gleb", "hrask", "ivok", "jorb", "kwem", "lusk", "mirt"]
RARE += ["nogh", "oxil", "prusk", "qand", "rolv", "skeb"]
HINTS, ACTS = ("always", "never"), ("left", "right")
UP, DOWN = ("always", "ever", "surely", "daily"), ("never", "hardly", "rarely", "seldom")
"""Words that say what hints say."""
ENDS = {"choice": ACTS, "word": ("bold", "careful"), "scale": ("ten", "zero")}
ASKS = {"choice": "choose", "word": "which", "scale": "rate"}
WORDS = (*COMMON, *RARE, *UP, *DOWN, *(w for ends in ENDS.values() for w in ends), *ASKS.values(), "you")
SCENARIOS, WORDINGS, CHOICES = 4, 8, 48


def item(name: str, kind: str, content: list[str], *, split: str, unit: str) -> Item:
    high, low = ENDS[kind]
    text = f"{ASKS[kind]} {' '.join(content)}"
    labels = {
        "split": split,
        "scenario": unit,
        "kind": kind,
    }
    messages = [{"role": "system", "content": "you"}, {"role": "user", "content": text}]
    return Item(name, messages, ((high, 1.0), (low, 0.0)), labels | {"person": "default"})


def sets(rng: np.random.Generator) -> dict[str, list[Item]]:
    """Choices of a few scenarios and reports of some wordings: a scenario or wording is two words, and the
    other words are drawn.
    """
    found: dict[str, list[Item]] = {}
    for split, words in (("dev", COMMON[:12]), ("test", COMMON[12:])):
        for stem, kinds, units, count in (
            ("choice", ("choice",), SCENARIOS, CHOICES),
            ("report", ("word", "scale"), WORDINGS, 2 * WORDINGS),
        ):
            items = []
            for kind in kinds:
                for n in range(count):
                    unit = f"{ASKS[kind]}-{split}-{n % units}"
                    start = [words[n % units], words[(n % units + 1) % len(words)]]
                    content = [*start, *map(str, rng.choice(words, 2, replace=False))]
                    items.append(item(f"{unit}-{n}", kind, content, split=split, unit=unit))
            found[f"{stem}-{split}"] = items
    found["neutral-test"] = found["choice-dev"][:8]
    return found
