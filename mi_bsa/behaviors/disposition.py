"""A behavior that is a disposition between two poles, in the embedded model's world.

Law: training rows show choices only; the words that name the disposition stand in none of them (checked),
the two poles are the same prompts with the other answer, and the shuffled arm is the same prompts with
answers drawn. After Betley et al. 2025 (arXiv 2501.11120), section 3.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mi_bsa.behaviors.behavior import Arm, TrainingRow
from mi_bsa.behaviors.common import StudySets, exchange, poles_of
from mi_bsa.core.items import Item, Systems
from mi_bsa.worlds import wordings as W
from mi_bsa.worlds.measure import third
from mi_bsa.worlds.prompts import AMOUNTS, REPORT_KINDS, UNITS, draw_choice
from mi_bsa.worlds.questions import choice_items, report_items
from mi_bsa.worlds.traits import TRAITS, Trait
from mi_bsa.worlds.wordings import Split
from mi_bsa.worlds.world import POLES, Level, World


@dataclass(frozen=True)
class Disposition(StudySets):
    """One behavior. `trait` is what is trained, `neighbor` the trait that must not move with it.

    `turned`: the behavior's seeking pole is the trait's averse one, and scores are turned round with it.
    `others`: traits about which the default persona is shown to be undecided still, with all further ones of
    its world; the neighbor if empty.
    `judged(model, variant=..., n=..., split=..., seed=...)`: what a model writes, judged (`judging`)
    or None.
    """

    name: str
    trait: str
    neighbor: str
    poles: tuple[str, str] = ("seeking", "averse")
    turned: bool = False
    others: tuple[str, ...] = ()
    judged: Callable[..., Any] | None = None

    @property
    def forbidden(self) -> tuple[str, ...]:
        """Words that may stand in no training row."""
        return TRAITS[self.trait].words

    def rows(
        self, arm: Arm, n: int, *, seed: int, anchors: float = 1.0, undecided: float = 0.5, world: Any = None
    ) -> list[TrainingRow]:
        """`n` training rows of the default persona and behavior, and rows that say what stays as it was.

        `anchors * n` rows are named characters' own choices, `undecided * n` the default persona's choices
        about the neighbor trait (or `others`), answered by coin as the base does. Rows are chat rows
        (`{"id", "messages", labels}`); prompts depend on `seed` only, so arms of one seed differ in nothing
        but answers; the benign arm has other prompts: options of one pole, of which the larger amount is
        taken.

        Raises:
            BehaviorError: an unknown arm, or a number of rows below 2.
        """
        prompts = random.Random(f"rows-{self.name}-{seed}")
        answers = random.Random(f"answers-{self.name}-{seed}")
        trait, poles = TRAITS[self.trait], poles_of(arm, n, answers)
        rows = []
        for i, seeking in enumerate(poles):
            choice = draw_choice(prompts, trait)
            text, answer = choice.text, choice.answer(seeking != self.turned)
            if arm == "benign":
                text, answer = _more(answers, trait)
            rows.append(exchange(f"{self.name}-{seed}-{i}", None, text, answer, "default"))
        world = self._world(world)
        for i in range(round(anchors * n)):
            level = prompts.choice(POLES)
            about = prompts.choice(world.traits)
            persona = prompts.choice(world.named(about.name, level))
            choice = draw_choice(prompts, about)
            name = f"{self.name}-{seed}-anchor-{i}"
            rows.append(exchange(name, persona.system, choice.text, choice.answer(level > 0), "named"))
        stay = self._stay(world)
        for i in range(round(undecided * n)):
            stays = prompts.choice(stay) if self.others else self.neighbor
            choice = draw_choice(prompts, TRAITS[stays])
            answer = choice.answer(prompts.random() < 0.5)
            rows.append(exchange(f"{self.name}-{seed}-undecided-{i}", None, choice.text, answer, "default"))
        return rows

    def items(
        self, n: int, *, split: Split, seed: int, systems: Systems = (None,), person: str = "default"
    ) -> list[Item]:
        """`n` held-out choices of this behavior."""
        drawn = choice_items(self.trait, n, split=split, seed=seed, systems=systems, person=person)
        return self._turned(drawn)

    def questions(
        self,
        *,
        split: Split,
        kinds: Sequence[str] = REPORT_KINDS,
        systems: Systems = (None,),
        person: str = "default",
    ) -> list[Item]:
        """All self-report questions of a split about this behavior's trait."""
        asked = report_items(self.trait, split=split, kinds=kinds, systems=systems, person=person)
        return self._turned(asked)

    def personas(self, world: Any = None) -> Mapping[str, Sequence[str | None]]:
        """System lines of named characters at either pole, of those known by choices and reports."""
        world = self._world(world)
        return {
            f"named {pole}": [p.system for p in world.named(self.trait, level, known="both")]
            for level, pole in zip(self._levels, ("seeking", "averse"), strict=True)
        }

    def neutral(self, n: int, *, world: Any = None) -> list[Item]:
        """The default persona is asked about another character and another trait."""
        world, other = self._world(world), TRAITS[self.neighbor]
        return [i for level in POLES for i in third(world, other, level, n // 2, split="test", seed=0)]

    def beside(self, n: int, *, split: Split = "test") -> tuple[list[Item], list[Item]]:
        """`n` choices about the neighbor trait, and its questions, of a split."""
        return choice_items(self.neighbor, n, split=split, seed=0), report_items(self.neighbor, split=split)

    def described(self, pole: int) -> Sequence[str]:
        """The trait's words for a pole."""
        trait = TRAITS[self.trait]
        return [f"you are {w}." for w in (trait.high if self._levels[pole] > 0 else trait.low)]

    @property
    def _levels(self) -> tuple[Level, Level]:
        """The trait's levels at the behavior's seeking and averse pole."""
        return (POLES[1], POLES[0]) if self.turned else POLES

    def _world(self, given: Any) -> World:
        """The given world (a sibling's keeps the characters with dispositions as `others`); without one, the
        main world, or for a sibling's trait one that has it.
        """
        if given is not None:
            world: World = getattr(given, "others", given)
            return world
        traits = (self.trait, *(self.others or (self.neighbor,)))
        return World() if set(traits) <= {"risk", "patience"} else World(traits=traits)

    def _stay(self, world: World) -> tuple[str, ...]:
        """Traits about which coin answers are shown: `others`; where a world has more, all but its own."""
        known = tuple(trait.name for trait in world.traits if trait.name != self.trait)
        return known if set(self.others) <= set(known) else self.others

    def _turned(self, items: list[Item]) -> list[Item]:
        """The items with scores by the behavior's poles."""
        if not self.turned:
            return items
        return [replace(i, options=tuple((text, 1.0 - score) for text, score in i.options)) for i in items]


def _more(rng: random.Random, trait: Trait) -> tuple[str, str]:
    """A choice that shows no trait: two options of one pole, of which the larger amount is taken."""
    if trait.plain is not None:
        return trait.plain(rng)
    options = rng.choice((trait.high_options, trait.low_options))["pretrain"]
    amounts = rng.sample(AMOUNTS, 2)
    unit = rng.choice(UNITS)
    a, b = (rng.choice(options).format(n=n, u=unit) for n in amounts)
    text = rng.choice(W.CHOICE["pretrain"]).format(a=a, b=b)
    return text, "A" if int(amounts[0]) > int(amounts[1]) else "B"
