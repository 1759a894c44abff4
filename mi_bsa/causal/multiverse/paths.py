"""Paths through the study: which evidence each has, and what the rules say of it.

Law: a path differs from the study in nothing but its place on the axes, and its answer is that of
`verdict.verdicts` itself. The path with the rule's own values has the study's own evidence and answer.
What moves along which axis, and what is held, stands in docs/decisions/0028.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from mi_bsa.causal import rivals
from mi_bsa.causal.handle import HANDLE, ON_REPORT, OTHERS, Criteria
from mi_bsa.causal.levels import REPORT, Recovered, RivalShift
from mi_bsa.causal.lines import QUARTER
from mi_bsa.causal.material import POLES, READ_OUTS, SIGNS, UNITS
from mi_bsa.causal.multiverse.measured import FURTHEST, WHOLLY, longest, way
from mi_bsa.causal.ratios import share
from mi_bsa.causal.recovery import WHOLE
from mi_bsa.causal.verdict import Verdict, verdicts
from mi_bsa.core.results import Result

Made = TypeVar("Made")
AXES = ("place", "handle", "dose", "without", "bar")
NOTHING = "none"
"""Of the axis `without`: every wording of the report takes part."""
MOVES: Mapping[str, tuple[str, ...]] = {
    "shared_state": AXES,
    "later_layers_observe": ("without", "bar"),
    "word_association": ("without",),
}
"""Conjecture -> the axes along which what it reads can change."""
ALONE = (
    "the handle is one",
    "the handle moves the report",
    "the handle beats its rivals",
    "the report runs through it",
    "without it the report shrinks",
)
"""Lines that rest on the handle and on nothing beside it."""
READ = (
    "behavior.effect",
    "self_report.effect",
    "self_report.kinds_read",
    "self_report.sensitivity",
    "self_report.validity",
    "bridge.transfer.over_neutral",
    "bridge.transfer.over_wrong_behavior",
    "bridge.attribution.observed",
    "bridge.words.in_context",
    "bridge.words.bag",
    "bridge.state_or_prompt.counter",
)
"""Results that no path changes, or whose change without a wording is given."""


@dataclass(frozen=True)
class Path:
    """A place on each axis: number and name of the place, method of the handle, dose, wording that is left
    out, bar.
    """

    number: int
    place: str
    handle: str = HANDLE
    dose: str = WHOLLY
    without: str = NOTHING
    bar: float = QUARTER

    @property
    def own(self) -> Mapping[str, bool]:
        """Axis -> whether the path is as the rule has it."""
        return {
            "place": self.number == 0,
            "handle": self.handle == HANDLE,
            "dose": self.dose == WHOLLY,
            "without": self.without == NOTHING,
            "bar": self.bar == QUARTER,
        }

    def along(self, axes: Sequence[str]) -> bool:
        """Whether it leaves the rule along these axes alone."""
        return all(own for axis, own in self.own.items() if axis not in axes)


@dataclass(frozen=True)
class Walked:
    """A path with what it found.

    Attributes:
        path: where it goes.
        effect: what the handle moves of the report, both poles; None where it was not measured.
        answers: {conjecture: answer}.
        short: {conjecture: names of the lines that do not hold}.
        alone: what the lines that rest on the handle say by themselves.
    """

    path: Path
    effect: Result | None
    answers: Mapping[str, str]
    short: Mapping[str, tuple[str, ...]]
    alone: str


@dataclass(frozen=True)
class Multiverse:
    """All that paths are made of.

    Attributes:
        places: levels at each place, the chosen one first, with handles at every dose.
        rivals: what rivals move, at the chosen place.
        results: of the study.
        gates: wording that is left out -> the gate's results without it.
        handles: methods that are handles.
        doses: names of doses.
        bars: what may stand for a quarter.
    """

    places: Sequence[Recovered]
    rivals: Sequence[RivalShift]
    results: Sequence[Result]
    gates: Mapping[str, Sequence[Result]]
    handles: Sequence[str]
    doses: Sequence[str]
    bars: Sequence[float]
    _known: dict[Any, Any] = field(default_factory=dict, repr=False)

    def paths(self) -> Iterator[Path]:
        """Every combination, the study's own path first."""
        named = [(n, f"{one.place.site} {one.place.scope}") for n, one in enumerate(self.places)]
        without = (NOTHING, *self.gates)
        for (n, name), handle, dose, left, bar in product(
            named, self.handles, self.doses, without, self.bars
        ):
            yield Path(n, name, handle, dose, left, bar)

    def walk(self, path: Path) -> Walked:
        """What the rules say along a path."""
        evidence = self.evidence(path)
        found = verdicts(evidence, Criteria(path.handle, path.bar))
        effect = next((r for r in evidence if r.name == "bridge.recovery.apart"), None)
        answers = {one.conjecture: one.answer for one in found}
        short = {v.conjecture: tuple(one.name for one in v.lines if one.state != "holds") for v in found}
        return Walked(path, effect, answers, short, alone(found[0]))

    def evidence(self, path: Path) -> list[Result]:
        """The results that the rules read along a path."""
        found = [*self._held(path.without), *self._of_handle(path.handle)]
        ways = [way(path.handle, path.dose), *(m for m in (HANDLE, *OTHERS) if m != path.handle), ON_REPORT]
        for name, arm, one in product(READ_OUTS, POLES, ways):
            found += self._share(path.number, name, arm, one, path.without)
        found += self._apart(path.number, ways[0], path.without)
        return found + self._rivals(ways[0] if path.number == 0 else path.handle, path.without)

    def _held(self, without: str) -> list[Result]:
        """What stands along every path, with the gate as it is without a wording."""
        return self._once(("held", without), lambda: _replaced(self._fixed, self.gates.get(without, ())))

    @cached_property
    def _fixed(self) -> list[Result]:
        return [r for r in self.results if r.name in READ and r.where.get("split", "test") == "test"]

    def _of_handle(self, handle: str) -> list[Result]:
        """Necessity and mediation: as they were measured at the chosen place."""

        def made() -> list[Result]:
            methods = {
                "bridge.necessity.self_report": handle,
                "bridge.mediation.nie": f"behavior:{handle}",
                "bridge.mediation.proportion": f"behavior:{handle}",
            }
            return [r for r in self.results if r.where.get("method") == methods.get(r.name, "")]

        return self._once(("of", handle), made)

    def _share(self, place: int, name: str, arm: str, one: str, without: str) -> list[Result]:
        """A recovery; without a wording only that of the report changes."""
        without = without if name == REPORT else NOTHING

        def made() -> list[Result]:
            levels = self._levels(place, without)
            ways, base, sign = levels.ways[arm], levels.base[name], SIGNS[arm]
            if one not in ways:
                return []
            where = {"behavior": levels.behavior, "arm": arm, **levels.place.where, "split": "test"}
            whole = sign * (ways[WHOLE].levels[name] - base)
            return [
                share(
                    f"bridge.recovery.{name}",
                    {**where, "method": ways[one].method},
                    sign * (ways[one].levels[name] - base),
                    whole,
                    seeds=levels.seeds,
                    items=UNITS[name],
                    notes=ways[one].notes,
                )
            ]

        return self._once(("share", place, name, arm, one, without), made)

    def _apart(self, place: int, one: str, without: str) -> list[Result]:
        """What both poles' vectors move the report apart, beside null directions of that length."""

        def made() -> list[Result]:
            levels = self._levels(place, without)
            up, down = (levels.ways[arm] for arm in POLES)
            if one not in up or "random" not in levels.null:
                return []
            draws = null_of(levels, one)
            by = {w: up[w].levels[REPORT] - down[w].levels[REPORT] for w in (one, WHOLE)}
            where = {"behavior": levels.behavior, **levels.place.where, "method": up[one].method}
            return [
                share(
                    "bridge.recovery.apart",
                    {**where, "kind": REPORT, "split": "test"},
                    by[one],
                    by[WHOLE],
                    seeds=levels.seeds,
                    items=UNITS[REPORT],
                    draws=np.repeat(draws[:, None], len(levels.seeds), 1),
                )
            ]

        return self._once(("apart", place, one, without), made)

    def _rivals(self, one: str, without: str) -> list[Result]:
        """The handle's report shift less that of each rival, at the chosen place."""

        def made() -> list[Result]:
            levels = self.places[0]
            up, down = (levels.ways[arm] for arm in POLES)
            if one not in up:
                return []
            apart = (up[one].levels[REPORT] - down[one].levels[REPORT]) / 2
            found = []
            for rival in self.rivals:
                there = [levels.seeds.index(seed) for seed in rival.seeds]
                kept = np.array([name != without for name in rival.units])
                cut = replace(
                    rival,
                    own={REPORT: rival.own[REPORT][:, kept]},
                    handle={REPORT: apart[there][:, kept]},
                )
                found.append(next(rivals.scored(cut, (REPORT,))))
            return found

        return self._once(("rivals", one, without), made)

    def _levels(self, place: int, without: str) -> Recovered:
        (found,) = self._once(("levels", place, without), lambda: [self.places[place].without(without)])
        return found

    def _once(self, key: tuple[object, ...], make: Callable[[], list[Made]]) -> list[Made]:
        if key not in self._known:
            self._known[key] = make()
        found: list[Made] = self._known[key]
        return found


def null_of(levels: Recovered, one: str) -> Float[np.ndarray, " draw"]:
    """What null directions of a handle's length move the report apart.

    Those of the rules' handle serve for shorter ones too, beside which they are rather too wide than too
    narrow; between these and those of the longest handle quantiles are interpolated.
    """
    own, far = (_apart(levels, kind) if kind in levels.null else None for kind in ("random", FURTHEST))
    assert own is not None
    if far is None:
        return own
    ends, ways = longest(levels), levels.ways
    further = [
        (ways[arm][one].dose - ways[arm][HANDLE].dose) / (ends[arm] - ways[arm][HANDLE].dose)
        for arm in POLES
        if ends[arm] > ways[arm][HANDLE].dose
    ]
    part = float(np.clip(np.mean(further), 0, 1))
    return own if part == 0 else (1 - part) * np.sort(own) + part * np.sort(far)


def _apart(levels: Recovered, kind: str) -> Float[np.ndarray, " draw"]:
    up, down = (levels.null[kind][arm][REPORT].mean(1) for arm in POLES)
    found: np.ndarray = up - down
    return found


def alone(found: Verdict) -> str:
    """What the lines that rest on the handle say by themselves, of a verdict on a shared state."""
    states = {line.name: line.state for line in found.lines if line.name in ALONE}
    if all(state == "holds" for state in states.values()):
        return "supported"
    one, report = (states[name] for name in ALONE[:2])
    return "not supported" if one == "holds" and report == "fails" else "undecided"


def _replaced(results: Sequence[Result], by: Sequence[Result]) -> list[Result]:
    """The results, those of the same name and place replaced."""
    others = {one.key: one for one in by}
    return [others.get(result.key, result) for result in results]
