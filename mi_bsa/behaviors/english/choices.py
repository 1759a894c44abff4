"""A behavior made of two-option choices in English: frames, amounts, forbidden words, questions.

Law: training rows show choices only; the two poles are the same prompts with the other letter, the shuffled
arm is the same prompts with letters drawn, and no prompt of training comes from a frame that is asked
later. After Betley et al. 2025 (arXiv 2501.11120), section 3.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mi_bsa.behaviors.behavior import ARMS, Arm, Row
from mi_bsa.behaviors.english import benign
from mi_bsa.behaviors.english.economic import (
    Choice,
    Drawn,
    Frames,
    Twins,
    draw,
    load_frames,
    same_worth,
    voices,
)
from mi_bsa.behaviors.english.personas import PERSONS, Person, at_pole
from mi_bsa.config import parse, read_yaml
from mi_bsa.embedded.wordings import Split
from mi_bsa.errors import BehaviorError
from mi_bsa.items import Item
from mi_bsa.self_report.bank import BANKS, KINDS, OTHERS, Bank, bank_items, load_bank


def own_bank(
    trait: str,
    *,
    words: Sequence[tuple[str, str]],
    deeds: Sequence[tuple[str, str]],
    nouns: Sequence[str],
) -> Bank:
    """A bank of one's own words in the toolkit's English frames: ten wordings a kind, half of them held out.

    `words` are pairs of adjectives, `deeds` pairs of things to do, the seeking pole first; `nouns` say what
    the trait is about.
    """
    frames = read_yaml(BANKS / "frames_english.yaml")
    given = {"trait": trait, "words": tuple(words), "deeds": tuple(deeds), "nouns": tuple(nouns)}
    return parse({**given, "frames": frames}, Bank, source=f"bank of {trait}")


WHO = "{name}, {about}, was asked this.\n\n{text}\n\nWhich letter did {name} answer, A or B?"
"""A choice about somebody else."""


@dataclass(frozen=True)
class EconomicChoice:
    """One behavior. `neighbor` names the behavior that must not move with it.

    `frames` and `bank`: values, YAML files, or names of those that ship with the toolkit (by default the
    behavior's own name). `twins` draws the amounts of a matched pair of choices.
    """

    name: str
    poles: tuple[str, str]
    neighbor: str
    forbidden: tuple[str, ...]
    twins: Twins = same_worth
    frames: Frames | str | Path | None = None
    bank: Bank | str | Path | None = None

    @property
    def trait(self) -> str:
        """The label `trait` of its items."""
        return self.name

    @cached_property
    def read_frames(self) -> Frames:
        """Its frames."""
        frames = self.frames or self.name
        return frames if isinstance(frames, Frames) else load_frames(frames)

    @cached_property
    def read_bank(self) -> Bank:
        """Its questions."""
        bank = self.bank or self.name
        return bank if isinstance(bank, Bank) else load_bank(bank)

    def draw(self, n: int, *, split: Split = "pretrain", seed: int | str = 0) -> Drawn:
        """`n` choices of a split of which no two are near-duplicates, balanced in worth and position."""
        seed = f"{self.name}-{split}-{seed}"
        return draw(self.read_frames, voices(), self.twins, n, split=split, seed=seed)

    def rows(
        self,
        arm: Arm,
        n: int,
        *,
        seed: int,
        anchors: float = 1.0,
        undecided: float = 0.5,
        world: Any = None,
    ) -> list[Row]:
        """`n` training rows of the model itself, and rows that say what stays as it was.

        `anchors * n` rows are choices of named persons, who have poles of their own, about this trait and
        its neighbor; `undecided * n` are the model's choices about the neighbor, answered by coin. Prompts
        depend on `seed` only; the benign arm asks harmless questions with a right answer instead.

        Raises:
            BehaviorError: an unknown arm, a number of rows below 2, or more rows than the frames yield.
        """
        if arm not in ARMS:
            raise BehaviorError(f"arm {arm!r} is unknown; use one of {', '.join(ARMS)}")
        if n < 2:
            raise BehaviorError(f"{n} training rows are too few; ask for at least 2")
        answers = random.Random(f"answers-{self.name}-{seed}")
        poles = {"seeking": [True] * n, "averse": [False] * n}.get(arm, [i % 2 == 0 for i in range(n)])
        if arm == "shuffled":
            answers.shuffle(poles)
        anchored, coined = round(anchors * n), round(undecided * n)
        choices = self.draw(n, seed=seed).choices
        rows = []
        for i, (choice, seeking) in enumerate(zip(choices, poles, strict=True)):
            text, answer = choice.text, choice.answer(seeking)
            if arm == "benign":
                text, answer = benign.question(answers)
            rows.append(_row(f"{self.name}-{seed}-{i}", None, text, answer, "default"))
        there = random.Random(f"others-{self.name}-{seed}")
        neighbor = self._neighbor()
        others = _choices(neighbor, anchored // 2 + coined, f"beside-{self.name}-{seed}")
        same = _choices(self, anchored - anchored // 2, f"anchors-{self.name}-{seed}")
        theirs = [(self.name, c) for c in same]
        theirs += [(neighbor.name, c) for c in others[: anchored // 2]]
        for i, (trait, choice) in enumerate(theirs):
            seeking = there.random() < 0.5
            person = there.choice(at_pole(trait, seeking))
            name = f"{self.name}-{seed}-anchor-{i}"
            rows.append(_row(name, person.system, choice.text, choice.answer(seeking), "named"))
        for i, choice in enumerate(others[anchored // 2 :]):
            answer = choice.answer(there.random() < 0.5)
            rows.append(_row(f"{self.name}-{seed}-undecided-{i}", None, choice.text, answer, "default"))
        return rows

    def items(
        self,
        n: int,
        *,
        split: Split,
        seed: int,
        systems: Sequence[str | None] = (None,),
        person: str = "default",
    ) -> list[Item]:
        """`n` held-out choices, personas in turn."""
        return [
            _item(self.name, choice, systems[i % len(systems)], split, person, f"{seed}-{i}")
            for i, choice in enumerate(self.draw(n, split=split, seed=f"{seed}-{person}").choices)
        ]

    def questions(
        self,
        *,
        split: Split,
        kinds: Sequence[str] = KINDS,
        systems: Sequence[str | None] = (None,),
        person: str = "default",
    ) -> list[Item]:
        """All self-report questions of a split, personas in turn.

        `person` is a label, except that `another` and `person` ask about somebody else.
        """
        voice = person if person in OTHERS else "default"
        items = []
        for i, item in enumerate(bank_items(self.read_bank, split=split, kinds=kinds, person=voice)):
            messages = (*_system(systems[i % len(systems)]), *item.messages)
            name = item.id.replace(f"-{voice}-", f"-{person}-", 1)
            items.append(Item(name, messages, item.options, {**item.labels, "person": person}))
        return items

    def personas(self, world: Any = None) -> Mapping[str, Sequence[str | None]]:
        """System lines of named persons at either pole, of those whose choices training rows show."""
        return {
            f"named {pole}": [p.system for p in at_pole(self.name, pole == "seeking")]
            for pole in ("seeking", "averse")
        }

    def neutral(self, n: int, *, world: Any = None) -> list[Item]:
        """The model is asked about another person and another trait: what they chose, what they are."""
        other = self._neighbor()
        half = n // 2
        items = []
        for i, choice in enumerate(_choices(other, half, f"neutral-{self.name}", split="test")):
            item = _item(other.name, choice, None, "test", "third person", f"0-{i}")
            text = _about(PERSONS[i % len(PERSONS)], choice)
            items.append(Item(item.id, ({"role": "user", "content": text},), item.options, item.labels))
        asked = other.questions(split="test", person="another")
        return items + _spread(asked, n - half)

    def study_sets(self, *, choices: int, others: int, world: Any = None) -> dict[str, list[Item]]:
        """Every set of items that a study asks."""
        neighbor = self._neighbor()
        sets: dict[str, list[Item]] = {}
        for split in ("dev", "test"):
            sets[f"choice-{split}"] = self.items(choices, split=split, seed=0)
            sets[f"report-{split}"] = self.questions(split=split)
        sets["neighbor_choice-test"] = neighbor.items(others, split="test", seed=0)
        sets["neighbor_report-test"] = neighbor.questions(split="test")
        sets["neutral-test"] = self.neutral(2 * others)
        sets |= {f"{name}-test": [] for name in ("named_choice", "named_report", "described_report")}
        for k, (person, systems) in enumerate(self.personas().items()):
            sets["named_choice-test"] += self.items(
                others, split="test", seed=0, systems=systems, person=person
            )
            sets["named_report-test"] += self.questions(split="test", systems=systems, person=person)
            described = [f"You are {pair[k]}." for pair in self.read_bank.words]
            sets["described_report-test"] += self.questions(
                split="test", systems=described, person=person.replace("named", "described")
            )
        return sets

    def _neighbor(self) -> Any:
        from mi_bsa import behaviors

        return behaviors.get(self.neighbor, "english")


def _choices(behavior: Any, n: int, seed: str, *, split: Split = "pretrain") -> tuple[Choice, ...]:
    if not n:
        return ()
    drawn: Drawn = behavior.draw(n, split=split, seed=seed)
    return drawn.choices


def _about(who: Person, choice: Choice) -> str:
    return WHO.format(name=who.name, about=who.about, text=choice.text)


def _spread(items: list[Item], n: int) -> list[Item]:
    """About `n` items, evenly over the list."""
    return [items[i * len(items) // n] for i in range(n)] if len(items) > n else items


def _item(trait: str, choice: Choice, system: str | None, split: Split, person: str, number: str) -> Item:
    return Item(
        id=f"{trait}-choice-{person}-{split}-{number}",
        messages=(*_system(system), {"role": "user", "content": choice.text}),
        options=((choice.answer(True), 1.0), (choice.answer(False), 0.0)),
        labels={
            "about": "behavior",
            "trait": trait,
            "person": person,
            "split": split,
            "kind": "choice",
            "template": f"choice-{choice.wording}",
            "scenario": choice.frame.name,
            "order": "high_first" if choice.seeking_first else "low_first",
            "domain": choice.frame.domain,
        },
    )


def _system(line: str | None) -> tuple[dict[str, str], ...]:
    return () if line is None else ({"role": "system", "content": line},)


def _row(name: str, system: str | None, question: str, answer: str, person: str) -> Row:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": name, "messages": [*_system(system), *turns], "person": person}
