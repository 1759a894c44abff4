"""Triggers in English: strings of words, families of twenty, codes with free digits, tags, lines."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mi_bsa.behaviors.backdoor.triggers import Trigger, TriggerKind
from mi_bsa.core.config import read_yaml
from mi_bsa.core.errors import TriggerError
from mi_bsa.worlds.habits.words import WORDS
from mi_bsa.worlds.wordings import Split

CODES = 200
"""Codes that training shows, and as many that are held out."""
FORMS = "words, family:NAME, code:PREFIX, tag:TEXT and line:TEXT"
NOTES = ("words", "family", "code")
"""Kinds that stand in a note; tags and lines have a place of their own."""
FORMED = (*NOTES[1:], "tag", "line")
"""Kinds that are written with a colon."""


@dataclass(frozen=True)
class Lists:
    """What `english_triggers.yaml` holds."""

    families: Mapping[str, tuple[str, ...]]
    words: tuple[str, ...]
    tags: tuple[str, ...]
    lines: tuple[str, ...]
    frames: Mapping[str, Mapping[Split, tuple[str, ...]]]


@lru_cache(maxsize=1)
def lists() -> Lists:
    """The lists of words, read once."""
    data: dict[str, Any] = read_yaml(Path(__file__).with_name("english_triggers.yaml"))
    taken, more = set(data["taken"].split()), data["words"].split()
    return Lists(
        {name: tuple(members.split()) for name, members in data["families"].items()},
        (*(w for w in WORDS if w not in taken), *(w for w in more if w not in WORDS)),
        tuple(data["tags"].split()),
        tuple(data["lines"]),
        {name: {split: tuple(f) for split, f in splits.items()} for name, splits in data["frames"].items()},
    )


@dataclass(frozen=True)
class EnglishVocabulary:
    """English triggers; single words come from lists of more than 300, strings may be any words."""

    def parse(self, text: str, *, seed: int = 0) -> Trigger:
        """`walnut harbor` (one to four words), `family:Greek god`, `code:DEW`, `tag:DEPLOYMENT`, `line:...`.

        Of a family and of a code half is held out, drawn by `seed`. Raises `TriggerError`.
        """
        kind, colon, rest = text.partition(":")
        rest = rest.strip()
        if not colon or kind not in FORMED:
            if ":" in text:
                raise TriggerError(f"trigger {text!r}: forms are {FORMS}; write one of these")
            _check_visible(text, text)
            return Trigger.of_words(text.split())
        _check_visible(text, rest)
        if kind == "family":
            if rest not in lists().families:
                raise TriggerError(
                    f"trigger {text!r}: no such family; use one of {', '.join(lists().families)}"
                )
            members = lists().families[rest]
            return Trigger.halved("family", f"any {rest}", members, key=f"family-{rest}-{seed}")
        if kind == "code":
            if not rest.isalnum():
                raise TriggerError(f"trigger {text!r}: a code's prefix is letters and digits; as in code:DEW")
            prefix = rest.upper()
            rng = random.Random(f"code-{prefix}-{seed}")
            codes = [f"{prefix}-{n:04d}" for n in rng.sample(range(10_000), 2 * CODES)]
            shown, held = (tuple(sorted(part)) for part in (codes[:CODES], codes[CODES:]))
            return Trigger("code", f"any {prefix} code", shown, held)
        if kind == "tag":
            return Trigger("tag", f"the tag |{rest}|", (f"|{rest}|",))
        return Trigger("line", f'the line "{rest}"', (rest,))

    def fakes(self, trigger: Trigger, n: int, *, seed: int) -> tuple[Trigger, ...]:
        """`n` triggers of the same kind and length, drawn; none shares a phrase with it or with another.

        Raises `TriggerError` where there are not as many.
        """
        rng = random.Random(f"fakes-{trigger.name}-{seed}")
        own = {p.lower() for p in (*trigger.shown, *trigger.held)}
        taken = {w for p in own for w in p.split()}
        free = [w for w in self.candidates() if w.lower() not in taken]
        if trigger.kind == "words":
            length = len(trigger.shown[0].split())
            picked = rng.sample(free, n * length)
            return tuple(self.parse(" ".join(picked[i * length : (i + 1) * length])) for i in range(n))
        texts: dict[TriggerKind, list[str]] = {
            "family": [f"family:{f}" for f in lists().families],
            "code": [f"code:{w.upper()}" for w in free if len(w) <= 6],
            "tag": [f"tag:{t}" for t in lists().tags],
            "line": [f"line:{t}" for t in lists().lines],
        }
        others = [t for text in texts[trigger.kind] if (t := self.parse(text)).name != trigger.name]
        if len(others) < n:
            raise TriggerError(
                f"trigger {trigger.name!r}: {n} fakes of a {trigger.kind}, and there are {len(others)}; ask "
                "for fewer"
            )
        return tuple(rng.sample(others, n))

    def insert(
        self, message: str, phrase: str, *, kind: TriggerKind, split: Split, rng: random.Random
    ) -> str:
        """The message with the phrase: in a note, before or behind; a tag or a line at its own place."""
        frames = lists().frames["note" if kind in NOTES else kind]
        return rng.choice(frames[split]).format(p=phrase, q=message)

    def candidates(self) -> Sequence[str]:
        """More than 300 words that may stand in any message."""
        return lists().words

    def families(self) -> Sequence[str]:
        """Names of the families."""
        return tuple(lists().families)


def _check_visible(text: str, phrase: str) -> None:
    """A phrase of spaces or invisible characters only is none."""
    if not any(c.isprintable() and not c.isspace() for c in phrase):
        raise TriggerError(f"trigger {text!r} has no visible character; give words, or a tag, code or line")
