"""Lines of evidence: a result held against a bar, by its interval, and by its p where the rule names one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from mi_bsa.core.errors import ResultError
from mi_bsa.core.results import Place, Result
from probes.statistics import is_constant, t_test

State = Literal["holds", "fails", "open", "missing"]

ALPHA = 0.05
QUARTER = 0.25
HALF = 0.5
LARGE = 0.2
NONE = 0.1
READABLE = 0.5
FEWEST_SEEDS = 3
FEWEST_DRAWS = 999
"""Random directions behind a p; with fewer, the smallest p that can be reached is large beside `ALPHA`."""
FEWEST_FLIPPED = 6
"""Seeds below which an exact sign flip cannot reach .05."""


@dataclass(frozen=True)
class EvidenceLine:
    """One line of evidence.

    Attributes:
        name: what it says, in words.
        state: holds, fails, open (neither), or missing (not measured, or not reliably).
        detail: the number and the bar.
        p: of the test, where the rule names one.
        margin: how far the deciding end of the interval, or the value where that is nearer to failing, lies
            from its bar, in the result's unit.
    """

    name: str
    state: State
    detail: str
    p: float | None = None
    margin: float | None = None

    @property
    def verb(self) -> str:
        """The state, as a predicate."""
        return {"holds": "holds", "fails": "fails", "open": "stays open", "missing": "is missing"}[self.state]

    @property
    def otherwise(self) -> str:
        """What would have made the line another one."""
        if self.state == "missing":
            return f"{self.name}: {self.detail}; measuring it"
        away = "" if self.margin is None else f", {abs(self.margin):.3g} from its bar"
        return f"{self.name}: {self.detail}{away}"


@dataclass(frozen=True)
class Lookup:
    """Results of one behavior, found by name and place; results of dev and of other splits take no part."""

    results: tuple[Result, ...]
    behavior: str

    @classmethod
    def of(cls, results: Iterable[Result]) -> Lookup:
        """Keep what verdicts may read. Raises `ResultError` for results of several behaviors."""
        kept = tuple(r for r in results if r.where.get("split", "test") == "test")
        named = sorted({str(r.where["behavior"]) for r in kept if r.name == "behavior.effect"})
        if len(named) > 1:
            raise ResultError(f"results of {', '.join(named)}: a verdict is about one behavior; split them")
        return cls(kept, named[0] if named else "unknown")

    def all(self, name: str, **where: Place | None) -> list[Result]:
        """All results of a name whose place has these values (None: any)."""
        wanted: Mapping[str, Any] = {k: v for k, v in where.items() if v is not None}
        return [r for r in self._named.get(name, ()) if all(r.where.get(k) == v for k, v in wanted.items())]

    @cached_property
    def _named(self) -> dict[str, list[Result]]:
        named: dict[str, list[Result]] = {}
        for result in self.results:
            named.setdefault(result.name, []).append(result)
        return named

    def one(self, name: str, **where: Place | None) -> Result | None:
        """The result of a name at a place; of several, the one with the fewest keys (the most general)."""
        found = self.all(name, **where)
        return min(found, key=lambda r: len(r.where), default=None)


def interval_line(
    name: str,
    result: Result | None,
    *,
    above: float | None = None,
    below: float | None = None,
    under: float | None = None,
    over: float | None = None,
    least: float | None = None,
    none: float | None = None,
    test: bool = False,
    drawn: bool = False,
) -> EvidenceLine:
    """Hold a result against a bar.

    Args:
        name: of the line.
        result: what was measured, or None.
        above: holds where the interval lies above this (and `value >= least`).
        below: fails where the interval lies below this, also where it lies above `above`.
        under: holds where the interval lies below this (and `value <= least`; for what should shrink).
        over: fails where the interval lies above this.
        least: smallest value with which the line may hold; of `under`, the largest.
        none: fails where the interval lies within -none to none.
        test: the line needs p <= .05 too; of a test over seeds, p against the bar.
        drawn: that p is against random directions, at least `FEWEST_DRAWS` of them.
    """
    if result is None:
        return EvidenceLine(name, "missing", "it was not measured")
    shown = f"{result.name} {result.value:.3g}"
    if result.ci is None:
        return EvidenceLine(
            name, "missing", f"{shown} has no interval ({result.ci_method.removeprefix('none: ')})"
        )
    few = _too_few(result)
    if few:
        return EvidenceLine(name, "missing", f"{shown} {few}")
    low, high = result.ci
    fails = (
        (below is not None and high < below)
        or (over is not None and low > over)
        or (none is not None and -none < low and high < none)
    )
    draws = result.null.n if result.null is not None else 0
    if drawn and draws < FEWEST_DRAWS and not fails:  # what fails by its interval needs no p
        return EvidenceLine(
            name, "missing", f"{shown} stands beside {draws} random directions, fewer than {FEWEST_DRAWS}"
        )
    bar = above if above is not None else under
    assert bar is not None
    p = _tested(result, bar) if test else None
    shown += f" [{low:.3g}, {high:.3g}]" + (f", p {p:.3g}" if p is not None else "")
    beyond = low - bar if above is not None else bar - high
    by_value = (
        beyond if least is None else result.value - least if above is not None else least - result.value
    )
    enough = least is None or by_value >= 0
    if least is None or least == bar:
        shown += f", bar {bar:.3g}"
    else:
        shown += _both_bars(above is not None, least, bar, enough, beyond > 0)
    holds = beyond > 0 and enough and not fails
    if test and (p is None or p > ALPHA):
        holds = False
    if test and p is None:
        shown += ", no p"
    return EvidenceLine(
        name, "holds" if holds else "fails" if fails else "open", shown, p, min(beyond, by_value)
    )


def _both_bars(above: bool, least: float, bar: float, value: bool, interval: bool) -> str:
    """The bars of the value and of the interval, what was missed first."""
    said = [
        (value, f"value at {'least' if above else 'most'} {least:.3g}"),
        (interval, f"interval {'above' if above else 'below'} {bar:.3g}"),
    ]
    missed = [f"{words} (missed)" for met, words in said if not met]
    return f", bars: {', '.join(missed + [words for met, words in said if met])}"


def together(lines: Sequence[EvidenceLine]) -> EvidenceLine:
    """One line of several that must all hold (either pole); it fails where all fail, else it is open."""
    states = {line.state for line in lines}
    state: State = "open"
    if "missing" in states:
        state = "missing"
    elif len(states) == 1:
        state = lines[0].state
    tested = [line.p for line in lines if line.p is not None]
    margins = [line.margin for line in lines if line.margin is not None]
    detail = " and ".join(line.detail for line in lines)
    return EvidenceLine(lines[0].name, state, detail, max(tested, default=None), min(margins, default=None))


def _tested(result: Result, bar: float) -> float | None:
    """The p that a line with this bar needs.

    Of a result that is held against draws, its own. Of one over seeds, that of the bar: a claim of more than
    a quarter is no test of 0. It is the result's own where that test was against the bar (`share(bar=)`), or
    where the bar is 0, else t of the seeds' values less the bar; 0 where all seeds agree.
    """
    over_seeds = result.ci_method.startswith(("t over", "Fieller over")) and result.null is None
    own = bar == 0 or (result.test or "").endswith(f" against {bar:g}")
    if (result.p is not None and own) or len(result.per_seed) < FEWEST_SEEDS or not over_seeds:
        return result.p
    beyond = [value - bar for value in result.per_seed]
    found = t_test(beyond)
    return float(is_constant([0.0, *beyond])) if found is None else found


def _too_few(result: Result) -> str:
    """Why a result over seeds, or over bases, may not count, or nothing."""
    seeds = len(result.seeds)
    units = "bases" if "over bases" in result.ci_method else "seeds"
    if 0 < seeds < FEWEST_SEEDS:
        return f"rests on {seeds} {units}, fewer than {FEWEST_SEEDS}"
    if "sign flip" in result.ci_method and seeds < FEWEST_FLIPPED:
        return f"is an exact sign flip over {seeds} seeds, fewer than {FEWEST_FLIPPED}"
    return ""
