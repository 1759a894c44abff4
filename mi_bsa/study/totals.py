"""A plan as lines for people: totals first, by kind of step, then every step.

The law: what is finished is not counted, and a sum of what is unknown is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mi_bsa.core.progress import duration
from mi_bsa.study.pace import Pace
from mi_bsa.study.steps import Planned, Step, size_in_words


def timed(graph: Sequence[Step], paces: Mapping[str, Pace]) -> list[Step]:
    """The graph with the seconds that each step takes at the pace of its part's model ("" for the whole); of
    a step that says no work, its estimate on the embedded model scaled.
    """
    found = []
    for step in graph:
        pace = paces.get(step.part, paces[""])
        took = pace.scaled(step.seconds) if step.work is None else pace.seconds(step.work)
        found.append(replace(step, seconds=took))
    return found


def describe(planned: Sequence[Planned], *, pace: Pace | None = None) -> str:
    """What `--dry-run` prints of the steps: the sum, the sum of each kind, and what runs and why."""
    todo = [item for item in planned if item.reason is not None]
    around = pace.around if pace and todo else 0.0
    kinds = [*_kinds(todo), *([_line("around", "", around, 0)] if around else [])]
    lines = [_sum(planned, todo, pace, around), *kinds, *([pace.needs] if pace and pace.needs else [])]
    for item in planned:
        state = "finished" if item.reason is None else f"runs: {item.reason}"
        large = size_in_words(item.step.bytes)
        lines.append(f"  {item.step.name:<40} {duration(item.seconds):>10} {large:>10}  {state}")
    return "\n".join(lines)


def _sum(planned: Sequence[Planned], todo: Sequence[Planned], pace: Pace | None, around: float | int) -> str:
    seconds, written = around + sum(item.seconds for item in todo), sum(item.step.bytes for item in todo)
    known = f"about {duration(seconds)} in one process" if seconds == seconds else "time unknown"
    line = f"{len(todo)} of {len(planned)} steps to run: {known}, {size_in_words(written)} to write"
    if pace is None or seconds != seconds:
        return line
    clock = f"; about {duration(pace.busy * seconds)} by the clock as it is now" if pace.busy > 1.1 else ""
    return f"{line}, on {pace.machine}{clock} ({pace.source})"


def _kinds(todo: Sequence[Planned]) -> Iterator[str]:
    """A line a kind of step, the longest first; none of a study of few steps."""
    kinds: dict[str, list[Planned]] = {}
    for item in todo:
        kinds.setdefault(item.step.own(item.step.name).partition("/")[0], []).append(item)
    if len(kinds) == len(todo):
        return
    sums = {kind: sum(item.seconds for item in own) for kind, own in kinds.items()}
    for kind in sorted(kinds, key=lambda kind: -sums[kind]):
        own = kinds[kind]
        yield _line(kind, f"x {len(own)}", sums[kind], sum(item.step.bytes for item in own))


def _line(kind: str, times: str, seconds: float | int, size: int) -> str:
    return f"  {kind:<30} {times:<9} {duration(seconds):>10} {size_in_words(size):>10}"
