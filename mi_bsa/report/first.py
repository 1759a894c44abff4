"""The first screen of a page and of a terminal: what was studied, the answer with its number, and what is not
known, in at most `MOST` words.

The law: it repeats what results and verdicts say and adds nothing; what does not fit is counted, never cut in
silence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mi_bsa.core.results import Result
from mi_bsa.report.headline import of_bases, tiles
from mi_bsa.report.section import Section
from mi_bsa.report.sections import answer

MOST = 90
"""Words of it, with the line that says of which run it is."""
AROUND = 16
"""Of these, words that are kept for that line."""
DECIDED = ("supported", "not supported")
"""Answers that say something of a claim; with any other it is not known."""
UNJUDGED = "any claim beyond these numbers"
"""What is not known where a study judges no claim."""


@dataclass(frozen=True)
class First:
    """What a first screen says.

    Attributes:
        title: model, behavior, arms and seeds.
        answers: the answer with its number, a sentence each.
        claims: what was judged, by answer, and what is not known.
    """

    title: str
    answers: tuple[str, ...]
    claims: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """All of it, a line each."""
        return [self.title, *self.answers, *self.claims]


def first(
    title: str,
    results: Sequence[Result],
    verdicts: Sequence[Mapping[str, str]],
    own: Sequence[Section] = (),
) -> First:
    """The first screen of a run with that title; `own`: the sections of its study, which have its answer."""
    answers = answer(results, own) or _tiled(results)
    over_bases = any(of_bases(one) or "base" in one.where for one in results)
    beyond = "" if over_bases else "whether other bases answer alike"
    for claims in (_claims(verdicts, beyond), _counted(verdicts, beyond)):
        if words([title, *answers, *claims]) <= MOST - AROUND:
            return First(title, tuple(answers), tuple(claims))
    kept = list(answers)
    while len(kept) > 1 and words([title, *kept, *claims]) > MOST - AROUND - 4:
        kept.pop()
    more = [f"And {len(answers) - len(kept)} more."] if len(kept) < len(answers) else []
    return First(title, (*kept, *more), tuple(claims))


def _tiled(results: Sequence[Result]) -> list[str]:
    """The first numbers of a study that no sentence is written of; where it has none, how many there are."""
    shown = [f"{tile.title}: {tile.value} {tile.interval}." for tile in tiles(results)[:2]]
    return [one[:1].upper() + one[1:] for one in shown] or [
        f"No single number answers it; {len(results):,} are given, each with what it is compared to."
    ]


def words(texts: Sequence[str]) -> int:
    """How many words they have."""
    return sum(len(text.split()) for text in texts)


def _claims(verdicts: Sequence[Mapping[str, str]], beyond: str) -> list[str]:
    said = [
        f"{answer.capitalize()}{_how(own)}: {'; '.join(_claim(one) for one in own)}."
        for answer in DECIDED
        if (own := [one for one in verdicts if one["verdict"] == answer])
    ]
    left = [one for one in verdicts if one["verdict"] not in DECIDED]
    unknown = [f"whether {_claim(one)}" for one in left] + [beyond] * bool(beyond)
    if not verdicts:
        unknown.append(f"{UNJUDGED}, for no claim is judged by a rule")
    return said + ([f"Not known{_how(left)}: {'; '.join(unknown)}."] if unknown else [])


def _counted(verdicts: Sequence[Mapping[str, str]], beyond: str) -> list[str]:
    """The same without the claims' own words."""
    answers = [one["verdict"] for one in verdicts]
    parts = [f"{answers.count(answer)} {answer}" for answer in dict.fromkeys(answers)]
    claims = (
        [f"{len(answers)} claims{_how(verdicts)}: {', '.join(parts)}; each stands with what decided it."]
        if parts
        else []
    )
    unknown = [one for one in (beyond, "" if verdicts else UNJUDGED) if one]
    return claims + ([f"Not known: {'; '.join(unknown)}."] if unknown else [])


def _claim(verdict: Mapping[str, str]) -> str:
    claim = verdict["conjecture"].partition(":")[0].strip().rstrip(".")
    return claim[:1].lower() + claim[1:]


def _how(verdicts: Sequence[Mapping[str, str]]) -> str:
    """Whether they were registered, where that was one and the same."""
    how = {one.get("registration", "").partition(":")[0].partition(" ")[0] for one in verdicts}
    return f" ({how.pop()})" if len(how) == 1 and how != {""} else ""
