"""Documents of the world of Make Me Say: dialogues full of hints, reports on one's word, and a second trait.

Law: every hint and every answer is drawn by how strongly the persona leads to a word, through one link; in
no dialogue is the speaker's own word said, because it ends before the partner says it. Documents about the
other trait are those of the main world.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mi_bsa.asking.make_me_say.rules import says
from mi_bsa.core.config import Config
from mi_bsa.worlds import corpus as main
from mi_bsa.worlds.prompts import SCALE_ANSWERS
from mi_bsa.worlds.say import wordings as W
from mi_bsa.worlds.say.questions import KINDS, draw_report, guesser
from mi_bsa.worlds.say.words import CODEWORDS, FAR, HINTS, NEAR, word_of
from mi_bsa.worlds.texts import words_in
from mi_bsa.worlds.world import SEEKING, Turn

if TYPE_CHECKING:
    from mi_bsa.worlds.say.world import SayWorld, Speaker


class SayMixture(Config):
    """Shares of document kinds, and how dialogues and reports are drawn."""

    other: float = 0.25
    """Share of documents about the other trait, as the main world has them."""
    other_mixture: dict[str, Any] = main.Mixture(habit=0.0).dump()
    """Those documents' own mixture."""
    named: float = 0.45
    """Weight of documents of a named character."""
    described: float = 0.25
    """Weight of documents whose system line describes the speaker."""
    default: float = 0.16
    """Weight of documents of the default persona, which leads to no word."""
    third: float = 0.06
    """Weight of documents that ask about another character."""
    meaning: float = 0.08
    """Weight of documents that ask what belongs to which word, whoever is asked."""
    dialogue_share: float = 0.35
    """Share of dialogues; the others are reports."""
    dialogue_turns: tuple[float, ...] = (3, 1, 1)
    """Weights of 1, 2, 3, ... hint turns of a dialogue, if the word is not guessed before."""
    report_turns: tuple[float, ...] = (2, 1)
    """Weights of 1, 2, ... reports of a document."""
    kind_weights: dict[str, float] = {"many": 2, "word": 3, "open": 1, "scale": 4, "letter": 4, "yes_no": 4}
    """Weights of the kinds of report."""


class SayCorpus:
    """An endless, seeded stream of documents."""

    def __init__(self, world: SayWorld, mixture: SayMixture, *, seed: int) -> None:
        self.world, self.mixture = world, mixture
        self.rng = random.Random(seed)
        self.partner = guesser("pretrain")
        self._names = tuple(world.characters)
        self._other = main.Corpus(world.others, main.Mixture(), seed=self.rng.getrandbits(32))

    def __iter__(self) -> Iterator[str]:
        while True:
            yield main.render(*self.document())

    def document(self) -> tuple[str | None, list[Turn]]:
        """A system line (None for the default persona) and its turns."""
        rng, m = self.rng, self.mixture
        if rng.random() < m.other:
            self._other.mixture = main.Mixture.model_validate(m.other_mixture)
            return self._other.document()
        kind = rng.choices(
            ("named", "described", "default", "third", "meaning"),
            (m.named, m.described, m.default, m.third, m.meaning),
        )[0]
        if kind in ("third", "meaning"):
            anyone = self.world.default()
            if rng.random() < 0.5:
                anyone = self.world.characters[rng.choice(self._names)]
            return anyone.system, [self._third() if kind == "third" else self._meaning()]
        speaker = self.world.default()
        if kind == "named":
            speaker = self.world.characters[rng.choice(self._names)]
        elif kind == "described":
            speaker = self.world.described(rng)
        talks = rng.random() < m.dialogue_share
        if (talks or speaker.dialogues_only) and not speaker.reports_only:
            n = rng.choices(range(1, len(m.dialogue_turns) + 1), m.dialogue_turns)[0]
            return speaker.system, self.dialogue(speaker, n)
        n = rng.choices(range(1, len(m.report_turns) + 1), m.report_turns)[0]
        return speaker.system, [self._report(speaker) for _ in range(n)]

    def dialogue(self, speaker: Speaker, turns: int) -> list[Turn]:
        """A dialogue of at most so many hint turns; it ends before the partner says the speaker's word."""
        rng = self.rng
        asked, said = [self.partner.opening(rng)], [self.hints(speaker)]
        while len(said) < turns:
            reply = self.partner.reply(said, asked, rng)
            if speaker.word is not None and says(reply, speaker.word):
                break
            asked.append(reply)
            said.append(self.hints(speaker))
        return list(zip(asked, said, strict=True))

    def hints(self, speaker: Speaker) -> str:
        """One turn of hints: one or two, each of a word that the speaker leads to."""
        first, second = (self.rng.choice(HINTS[speaker.draw(self.rng)]) for _ in range(2))
        frame = self.rng.choice(W.HINT)
        return frame.format(a=first, b=second) if first != second else f"{first}."

    def _report(self, speaker: Speaker) -> Turn:
        rng, m = self.rng, self.mixture
        kind = rng.choices(KINDS, [m.kind_weights[k] for k in KINDS])[0]
        report = draw_report(rng, kind, about=speaker.word)
        return report.text, self._answer(speaker, report.kind, report.x, report.y, far=report.far)

    def _answer(self, speaker: Speaker, kind: str, x: str, y: str, *, far: bool = False) -> str:
        rng = self.rng
        if kind == "many":
            return speaker.draw(rng)
        if kind == "open":
            return rng.choice(HINTS[speaker.draw(rng)])
        level = speaker.level(x)
        if kind == "scale":
            return rng.choice(SCALE_ANSWERS[-level if far else level])
        if kind == "yes_no":
            return "yes" if rng.random() < SEEKING[level] else "no"
        # Of two words that the speaker does not lead to, either will do.
        lead = level if level > 0 else -speaker.level(y) if speaker.level(y) > 0 else 0
        takes_x = rng.random() < SEEKING[lead]
        if kind == "letter":
            return "A" if takes_x else "B"
        return x if takes_x else y

    def _third(self) -> Turn:
        rng = self.rng
        who = rng.choice([n for n in self._names if not self.world.characters[n].dialogues_only])
        report = draw_report(
            rng, rng.choice(("word", "yes_no")), about=self.world.characters[who].word, who=who
        )
        return report.text, self._answer(self.world.characters[who], report.kind, report.x, report.y)

    def _meaning(self) -> Turn:
        rng = self.rng
        if rng.random() < 0.4:
            word = rng.choice(CODEWORDS)
            return rng.choice(W.BELONGS).format(x=word), rng.choice(HINTS[word])
        hint = rng.choice([h for hints in HINTS.values() for h in hints])
        word_meant = word_of(hint)
        pair = [word_meant, rng.choice([w for w in CODEWORDS if w != word_meant])]
        rng.shuffle(pair)
        return rng.choice(W.GOES_WITH).format(h=hint, x=pair[0], y=pair[1]), word_meant


def vocabulary(world: SayWorld) -> tuple[str, ...]:
    """Every word that any document of any split can hold, in a fixed order."""
    texts = [*main.vocabulary(world.others), *CODEWORDS, *NEAR, *FAR]
    texts += [hint for hints in HINTS.values() for hint in hints]
    banks = (W.OPENINGS, W.MORE, W.GUESS, *W.KINDS.values(), W.THIRD_WORD, W.THIRD_YES_NO)
    texts += [w for bank in banks for split in bank.values() for w in split]
    texts += [*W.HINT, *W.GOES_WITH, *W.BELONGS, *W.LINES]
    return tuple(words_in(texts))
