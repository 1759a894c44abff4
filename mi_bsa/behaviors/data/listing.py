"""What behaviors there are, in which vocabulary, and how much each brings."""

import random
from collections import Counter
from dataclasses import dataclass
from typing import get_args

from mi_bsa import behaviors
from mi_bsa.behaviors import Vocabulary
from mi_bsa.behaviors.english import EconomicChoice, Frame
from mi_bsa.behaviors.english.economic import voices

Parts = tuple[int, int, int]
LOOKS = 20
"""Offers drawn of a frame to see which groups of wordings it uses."""


@dataclass(frozen=True)
class Listed:
    """One behavior: its poles, its neighbor, and how much it brings.

    `frames` and `texts` are by part (train, dev, test) where choices are drawn from frames: the situations,
    and the combinations of their wordings, amounts not counted and near-duplicates not taken out.
    `questions` are those of dev and test, `forbidden` the number of words that rows may not say.
    """

    name: str
    vocabulary: str
    poles: tuple[str, str]
    neighbor: str
    frames: Parts | None
    texts: Parts | None
    questions: tuple[int, int]
    forbidden: int


def listing(vocabulary: Vocabulary | None = None) -> list[Listed]:
    """Every registered behavior, of one vocabulary or of all."""
    rows = []
    for kind in get_args(Vocabulary) if vocabulary is None else (vocabulary,):
        for name in behaviors.BEHAVIORS[kind]:
            behavior = behaviors.get(name, kind)
            frames, texts = _counts(behavior) if isinstance(behavior, EconomicChoice) else (None, None)
            rows.append(
                Listed(
                    name=name,
                    vocabulary=kind,
                    poles=behavior.poles,
                    neighbor=behavior.neighbor,
                    frames=frames,
                    texts=texts,
                    questions=(len(behavior.questions(split="dev")), len(behavior.questions(split="test"))),
                    forbidden=len(behavior.forbidden),
                )
            )
    return rows


def table(rows: list[Listed]) -> str:
    """The list as text, one line a behavior."""
    cells: list[tuple[str, ...]] = [
        ("vocabulary", "behavior", "seeking / averse", "neighbor", "frames", "texts", "questions", "words")
    ]
    for row in rows:
        counts = ["-" if c is None else "/".join(map(str, c)) for c in (row.frames, row.texts, row.questions)]
        poles = " / ".join(row.poles)
        cells.append((row.vocabulary, row.name, poles, row.neighbor, *counts, str(row.forbidden)))
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _counts(behavior: EconomicChoice) -> tuple[Parts, Parts]:
    frames, texts = Counter[str](), Counter[str]()
    for frame in behavior.read_frames.frames:
        frames[frame.split] += 1
        texts[frame.split] += _texts(behavior, frame)
    return _parts(frames), _parts(texts)


def _parts(count: Counter[str]) -> Parts:
    return count["train"], count["dev"], count["test"]


def _texts(behavior: EconomicChoice, frame: Frame) -> int:
    """Combinations of opening, layout, closing and the wordings of both options."""
    speak, stock, part = voices(), behavior.read_frames.options, frame.split
    rng = random.Random(0)
    offers = [offer for _ in range(LOOKS) for offer in behavior.twins(rng, frame)]
    groups = sorted({(offer.group, offer.averse_group) for offer in offers})
    options = sum(
        len(frame.seeking or stock.seeking[seeking][part]) * len(frame.averse or stock.averse[averse][part])
        for seeking, averse in groups
    )
    return len(frame.opens) * len(speak.layouts[part]) * len(speak.closings[frame.tone][part]) * options
