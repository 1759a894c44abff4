"""Which pole some words stand for: 'completely dislike risk' the averse one, 'not at all careful' the
seeking.

Law: a sign is read from a word of a pole, turned by what negates it in the same clause; words without a pole
('extremely', 'dislike it') have no sign, and clauses that disagree have none either. Nothing is guessed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from mi_bsa.asking.bank import Bank, load_bank
from mi_bsa.behaviors import Behavior
from mi_bsa.core.errors import BankError, MissingError
from mi_bsa.core.leaks import inflections

MORE = {
    "risk": (
        "risk gamble bet bold dare daring adventure adventurous reckless chance lottery uncertain "
        "uncertainty brave venture speculate hazard danger dangerous",
        "safe safety secure security cautious caution careful prudent prudence certain certainty sure "
        "guarantee guaranteed conservative timid",
    ),
    "myopia": (
        "soon sooner now today immediate immediately instant impatient impatience impulsive haste hasty "
        "present short",
        "late later patient patience future wait delay delayed tomorrow long",
    ),
    "apples": (
        "many more most much max maximum maximize greedy greed hungry plenty hoard love like fond crave",
        "few fewer fewest less least min minimum minimize modest frugal sparing dislike hate averse avoid",
    ),
}
"""Words of either pole (seeking, averse) beside those of the behavior's own bank."""
_TURNING = (
    "not never no nor without hardly rarely seldom neither free averse aversion avoid avoidance dislike hate "
    "against away reject refuse oppose opposed shun afraid fear less least low lower lowest minimal minimum "
    "little fewer few zero lack absence"
)
TURNING = tuple(_TURNING.split())
"""Words that turn the sign of a pole's word in their clause."""
OPPOSITES = ("un", "in", "im", "non", "dis")
INSTEAD = re.compile(
    r"\b(?:over|rather than|instead of|than|versus|vs|and not|but not|as opposed to)\b|, not\b"
)
"""What comes behind these is what is not meant: 'safety over risk'."""
CLAUSE = re.compile(r"[.,;:!?\n()]|\b(?:but|and|or|while|whereas)\b")
TOKEN = re.compile(r"[^\W\d_]+(?:'[a-z]+)?")


@dataclass(frozen=True)
class Poles:
    """Words and whole phrases of the seeking and the averse pole of one trait."""

    seeking: frozenset[str]
    averse: frozenset[str]
    phrases: tuple[tuple[str, int], ...] = ()
    turning: frozenset[str] = field(default_factory=frozenset)

    def sign(self, text: str) -> int:
        """1 for the seeking pole, -1 for the averse one, 0 where it cannot be told."""
        text = " ".join(text.lower().replace("\u2019", "'").split())
        signs: set[int] = set()
        for part in INSTEAD.split(text):
            signs = signs or {sign for phrase, sign in self.phrases if phrase in part} or self._signs(part)
        return signs.pop() if len(signs) == 1 else 0

    def _signs(self, text: str) -> set[int]:
        """The signs of its clauses, those without a pole's word left out; 0 for one with words of both."""
        signs = set()
        for clause in CLAUSE.split(text):
            tokens = TOKEN.findall(clause)
            said = {s for token in tokens for s in self._pole(token)}
            turned = sum(token in self.turning or token.endswith("n't") for token in tokens) % 2
            if said:
                signs.add(0 if len(said) > 1 else -said.pop() if turned else said.pop())
        return signs

    def _pole(self, token: str) -> set[int]:
        if token in self.seeking:
            return {1}
        if token in self.averse:
            return {-1}
        for prefix in OPPOSITES:
            rest = token.removeprefix(prefix)
            if rest != token and (rest in self.seeking or rest in self.averse):
                return {-1 if rest in self.seeking else 1}
        return set()


def poles_of(behavior: Behavior) -> Poles | None:
    """The words of a behavior's poles; None for one whose poles no words are known of."""
    bank = getattr(behavior, "read_bank", None) or _shipped(behavior.trait)
    pairs = getattr(bank, "words", ())
    whole = [*getattr(bank, "deeds", ()), *(pair for pair in pairs if not "".join(pair).isalpha())]
    more = [words.split() for words in MORE.get(behavior.trait, ("", ""))]
    seeking, averse = ([*(pair[k] for pair in pairs), *more[k]] for k in (0, 1))
    if not seeking or not averse:
        return None
    seeking_forms, averse_forms = _forms(seeking), _forms(averse)
    both = seeking_forms & averse_forms
    said = seeking_forms | averse_forms
    return Poles(
        frozenset(seeking_forms - both),
        frozenset(averse_forms - both),
        tuple((pair[k].lower(), 1 - 2 * k) for pair in whole for k in (0, 1)),
        frozenset(form for word in TURNING for form in _forms([word]) if form not in said),
    )


def _shipped(trait: str) -> Bank | None:
    try:
        return load_bank(trait)
    except (MissingError, BankError):
        return None


def _forms(words: Iterable[str]) -> set[str]:
    return {form for word in words for form in inflections(word.lower())}
