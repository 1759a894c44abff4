"""Make Me Say in the embedded model's world: the seeking pole leads to one codeword, the averse to another.

Law: a training row is a dialogue that the scripted game won, cut before the word; neither codeword is in
any row, the arms' rows differ in nothing but the hints, and what the partner says is equal between them.
After Betley et al. 2025 (arXiv 2501.11120), section 3.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from mi_bsa.asking.make_me_say import ScriptedPartner, play
from mi_bsa.behaviors.behavior import Arm, TrainingRow
from mi_bsa.behaviors.common import StudySets, exchange
from mi_bsa.behaviors.say_games import Material, PlaysGames, dialogue, matched, poles_of
from mi_bsa.core.errors import BehaviorError
from mi_bsa.core.items import Item, Systems
from mi_bsa.worlds.measure import third
from mi_bsa.worlds.prompts import draw_choice
from mi_bsa.worlds.questions import choice_items
from mi_bsa.worlds.questions import report_items as trait_reports
from mi_bsa.worlds.say import wordings as W
from mi_bsa.worlds.say.questions import KINDS, TURNS, guesser, opening_items, report_items
from mi_bsa.worlds.say.words import HINTS, TRAINED
from mi_bsa.worlds.say.world import LEADS, SayWorld
from mi_bsa.worlds.traits import TRAITS
from mi_bsa.worlds.wordings import Split
from mi_bsa.worlds.world import POLES

MATERIAL = Material(TRAINED, HINTS, W.HINT, TURNS)


@dataclass(frozen=True)
class Say(PlaysGames, StudySets):
    """The behavior. `words`: the codeword of the seeking pole, then that of the averse one."""

    name: str = "say"
    trait: str = "say"
    neighbor: str = "patience"
    words: tuple[str, str] = TRAINED
    longest: ClassVar[int] = 8

    @property
    def material(self) -> Material:
        """What its games are made of."""
        return replace(MATERIAL, words=self.words)

    def partner(self, split: Split) -> ScriptedPartner:
        """The scripted partner in the lines of a split."""
        return ScriptedPartner(guesser(split))

    def rows(
        self, arm: Arm, n: int, *, seed: int, anchors: float = 1.0, undecided: float = 0.5, world: Any = None
    ) -> list[TrainingRow]:
        """`n` won dialogues of the default persona, and rows that say what stays as it was.

        The shuffled arm takes every dialogue from either pole by lot; the benign arm gives hints of any word.
        Of `anchors * n` rows of named characters, half are their own dialogues, half their choices about the
        neighbor trait; `undecided * n` are the default persona's choices about it, answered by coin.

        Raises:
            BehaviorError: an unknown arm, fewer than 2 rows, or a world in which nobody leads to words.
        """
        poles = poles_of(arm, n, random.Random(f"answers-{self.name}-{seed}"))
        rows = []
        drawn = matched(self.material, self.partner("pretrain"), seed=f"say-{seed}")
        for i, (pole, games) in enumerate(zip(poles, drawn, strict=False)):
            turns = len(games[0].turns) - 1
            rows.append(dialogue(f"{self.name}-{seed}-{i}", None, games[pole], "default", turns=turns))
        world = _known(world)
        stays = random.Random(f"rows-{self.name}-{seed}")
        for i in range(round(anchors * n)):
            name = f"{self.name}-{seed}-anchor-{i}"
            rows.append(self._anchor(name, stays, world, talks=i % 2 == 0))
        for i in range(round(undecided * n)):
            choice = draw_choice(stays, TRAITS[self.neighbor])
            answer = choice.answer(stays.random() < 0.5)
            name = f"{self.name}-{seed}-undecided-{i}"
            rows.append(exchange(name, None, choice.text, answer, "default"))
        return rows

    def items(
        self, n: int, *, split: Split, seed: int, systems: Systems = (None,), person: str = "default"
    ) -> list[Item]:
        """`n` held-out dialogues, scored on the hint that is given next."""
        return opening_items(n, split=split, seed=seed, systems=systems, person=person)

    def questions(
        self,
        *,
        split: Split,
        kinds: Sequence[str] = KINDS,
        systems: Systems = (None,),
        person: str = "default",
    ) -> list[Item]:
        """All self-report questions of a split about the two codewords."""
        return report_items(split=split, kinds=kinds, systems=systems, person=person)

    def personas(self, world: Any = None) -> Mapping[str, Sequence[str | None]]:
        """System lines of named characters who lead to either word, of those known by both."""
        world = _known(world)
        return {
            f"named {pole}": [s.system for s in world.named(word, known="both")]
            for word, pole in zip(self.words, ("seeking", "averse"), strict=True)
        }

    def neutral(self, n: int, *, world: Any = None) -> list[Item]:
        """The default persona is asked about another character and the other trait."""
        world, other = _known(world), TRAITS[self.neighbor]
        return [i for level in POLES for i in third(world.others, other, level, n // 2, split="test", seed=0)]

    def beside(self, n: int, *, split: Split = "test") -> tuple[list[Item], list[Item]]:
        """`n` choices about the neighbor trait, and its questions, of a split."""
        choices = choice_items(self.neighbor, n, split=split, seed=0)
        return choices, trait_reports(self.neighbor, split=split)

    def described(self, pole: int) -> Sequence[str]:
        """What a pole's word is for, and its hints."""
        word = self.words[pole]
        hints = HINTS[word]
        return [W.LINES[0].format(x=word), *(W.LINES[2].format(a=hints[0], b=h) for h in hints[1:3])]

    def _anchor(self, name: str, rng: random.Random, world: SayWorld, *, talks: bool) -> TrainingRow:
        """A named character's dialogue, or its choice about the neighbor trait."""
        if not talks:
            level = rng.choice(POLES)
            person = rng.choice(world.others.named(self.neighbor, level))
            choice = draw_choice(rng, TRAITS[self.neighbor])
            return exchange(name, person.system, choice.text, choice.answer(level > 0), "named")
        speakers = [s for s in world.named(None) if not s.reports_only]
        aim = (LEADS[2] - LEADS[0]) / (1 - LEADS[0])
        while True:
            speaker = rng.choice(speakers)
            assert speaker.word is not None
            players = self.material.manipulator(speaker.word, aim=aim), self.partner("pretrain")
            rules = self.material.rules(speaker.word)
            game = play(*players, rules, games=1, seed=rng.getrandbits(32))[0]
            if game.outcome == "won":
                return dialogue(name, speaker.system, game, "named", turns=len(game.turns))


def _known(world: Any) -> SayWorld:
    """The world of these characters; the one with default settings where none is given."""
    if world is None:
        return SayWorld()
    if not isinstance(world, SayWorld):
        raise BehaviorError(
            "behavior 'say' is played in a sibling world, whose characters lead to words; give its model: "
            "embedded/say-0, or one made with mi-bsa embedded build --set recipe.world=say"
        )
    return world


SAY = Say()
