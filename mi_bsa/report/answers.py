"""The one sentence that answers a question: words that follow from a number and its interval, for any
study.

A section of the page names its `Answer`s beside what it draws (`Section.answers`); the first screen is made
of those of the first section that has one for the run's results (`mi_bsa.report.sections.answer`).

The law it keeps: a sentence says "more" or "less" only where the whole interval lies on that side of the bar,
and a bar is fixed before anything is run; where the interval holds the bar, or there is none, nothing is
decided, and the number stands there all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from mi_bsa.core.results import Result
from mi_bsa.report.headline import interval, number
from mi_bsa.report.names import short

SHOWN = 6
"""So many numbers of one case are named at most; of more it is said how many."""
WORDS = 42
"""A sentence that is longer names fewer, down to one: title and what is not known stand beside it."""
Case = Literal["above", "below", "open"]
CASES: tuple[Case, ...] = ("above", "below", "open")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A rule that writes one sentence from the results of one name: lead, then words by case, with numbers.

    Attributes:
        names: of results; the first that has any is read. Where a number is over all bases, or all
            behaviors, those of each are left to the page.
        lead: how the sentence begins; `{n}` and keys of `where` in braces are those of the first result.
        above: goes on where the whole interval lies above the bar.
        open: where it holds the bar, or where there is no interval.
        below: where it lies below the bar; empty for what cannot (a share above 0), which is then open.
        where: what the cell of a result must say, by key; `*` in a value stands for anything.
        lacking: keys that its cell must not have.
        each: keys that tell the results of one sentence apart; their values stand before the numbers.
        furthest: key of which only the largest number at the end of a value is read ("benign-2", of doses).
        first: key of which only the value of the first result is read, such as the first method of a config.
        bar: what the interval is held against; "null" is the band of the result's own null.
        unless: names of results that say it better; where there are any, this is not said.
        beside: what is said for comparison: its words, and what is different in its cell.
    """

    names: tuple[str, ...]
    lead: str
    above: str
    open: str
    below: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()
    each: tuple[str, ...] = ()
    furthest: str = ""
    first: str = ""
    bar: float | Literal["null"] = 0.0
    unless: tuple[str, ...] = ()
    beside: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __call__(self, results: Sequence[Result]) -> list[str]:
        """The sentence on these results; none where no result fits."""
        found = self.read(results)
        if not found:
            return []
        places = {key: short(value).replace("_", " ") for key, value in found[0].where.items()}
        lead = self.lead.format(n=f"{found[0].n:,}", **places)
        behind = [f"{words} {self._number(one)}" for words, one in self._beside(found[0], results)]
        for shown in range(SHOWN, 0, -1):
            said = f"{lead} {'; '.join([*self._cases(found, shown), *behind])}."
            if len(said.split()) <= WORDS:
                break
        return [said]

    def _cases(self, found: Sequence[Result], shown: int) -> list[str]:
        """The words of each case that there is, with so many of its numbers."""
        told = []
        for case in CASES:
            own = [self._number(one) for one in found if self.case(one) == case]
            more = f" and {len(own) - shown} more" if len(own) > shown else ""
            if own:
                told.append(f"{getattr(self, case)}: {', '.join(own[:shown])}{more}")
        return told

    def read(self, results: Sequence[Result]) -> list[Result]:
        """The results that the sentence is written from."""
        if any(one.name in self.unless for one in results):
            return []
        for name in self.names:
            found = [one for one in results if one.name == name and self._fits(one)]
            for key in ("base", "behavior"):
                found = [one for one in found if key not in one.where] or found
            if found:
                return self._furthest([one for one in found if self._like(one, found[0])])
        return []

    def case(self, one: Result) -> Case:
        """On which side of the bar its whole interval lies."""
        if one.ci is None or (self.bar == "null" and one.null is None):
            return "open"
        low, high = one.ci
        if self.bar != "null":
            least, most = self.bar, self.bar
        else:
            assert one.null is not None
            least, most = one.null.low, one.null.high
        if low > most:
            return "above"
        return "below" if high < least and self.below else "open"

    def _fits(self, one: Result) -> bool:
        given = {key: str(value) for key, value in one.where.items()}
        return not any(key in given for key in self.lacking) and all(
            key in given and fnmatchcase(given[key], value) for key, value in self.where.items()
        )

    def _like(self, one: Result, first: Result) -> bool:
        return not self.first or one.where.get(self.first) == first.where.get(self.first)

    def _furthest(self, found: list[Result]) -> list[Result]:
        if not self.furthest:
            return found
        ends = [_end(str(one.where.get(self.furthest, ""))) for one in found]
        return [one for one, end in zip(found, ends, strict=True) if end == max(ends)]

    def _beside(self, first: Result, results: Sequence[Result]) -> list[tuple[str, Result]]:
        return [
            (words, one)
            for words, other in self.beside.items()
            for one in results
            if one.name == first.name and dict(one.where) == {**first.where, **other}
        ]

    def _number(self, one: Result) -> str:
        label = " ".join(short(one.where[key]) for key in self.each if key in one.where).replace("_", " ")
        sure = "(no interval)" if one.ci is None else interval(one)
        return f"{label} {number(one.value)} {sure}".strip()


def _end(value: str) -> float:
    """The number behind the last dash of a value; below all others where there is none."""
    try:
        return float(value.rpartition("-")[2])
    except ValueError:
        return float("-inf")
