"""The specification curve of the verdict on a shared state: every path, sorted by what its handle moves of
the report, over its place on each axis (after Simonsohn, Simmons and Nelson 2020).

Reads the rows of `multiverse.csv`, not results: a page shows the paths of its run.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mi_bsa.report.figures.style import INK, MUTED, PAINTS, RULE, key, legend_above, plain, stacked, styled

Row = Mapping[str, str]

ANSWERS = {
    "supported": PAINTS["second"],
    "undecided": PAINTS["third"],
    "not supported": PAINTS["accent"],
}
TITLES = {
    "place": "place",
    "handle": "handle",
    "dose": "dose, share of the choices",
    "without": "wording left out",
    "bar": "bar",
}
"""Axis -> what its values are."""
LIMITS = (-0.5, 1.6)
"""Of the curve; what lies beyond stands at the edge."""
ROW = 0.17
"""Inches of a value of an axis."""
DOT = 0.012
"""Half the height of a path's value on the curve."""
MOST = 9
"""Values that an axis shows one by one; the wordings of more kinds stand in one row."""
_NUMBERED = re.compile(r"[- _](?:test[- _])?\d+$")


@styled
def draw_multiverse(rows: Sequence[Row], *, narrow: bool = False) -> Figure:
    """The curve with its intervals, colored by the answer; beneath, where on each axis each path lies, and
    which share of the paths there agrees with the study.
    """
    known = sorted((row for row in rows if row["share"]), key=lambda row: float(row["share"]))
    ordered = [*known, *(row for row in rows if not row["share"])]
    answers = np.array([row["shared_state"] for row in ordered])
    own = next((n for n, row in enumerate(ordered) if row["own"] == "True"), None)
    as_given = {axis: list(_values(axis, [row[axis] for row in rows])) for axis in TITLES}
    axes_rows = {
        axis: {name: found[name] for name in as_given[axis]}
        for axis in TITLES
        if len(found := _values(axis, [row[axis] for row in ordered])) > 1
    }
    heights = [2.1, *((0.75 + len(found)) * ROW for found in axes_rows.values())]
    figure, panels = stacked(heights, narrow=narrow, more=0.5)
    _curve(panels[0], known, answers, own)
    verdict = "" if own is None else str(answers[own])
    for ax, (axis, found) in zip(panels[1:], axes_rows.items(), strict=True):
        first = ax is panels[1]
        _axis(ax, TITLES[axis], found, answers, verdict, own, count=len(ordered), first=first)
    panels[-1].set_xlabel(f"{len(ordered):,} paths, sorted by the curve")
    keys: list[Line2D] = [key(color, answer) for answer, color in ANSWERS.items() if answer in answers]
    keys.append(Line2D([], [], color=INK, linewidth=1, linestyle=":", label="the study's own path"))
    legend_above(panels[0], keys, columns=2 if narrow else 4)
    return figure


def _curve(ax: Axes, known: Sequence[Row], answers: np.ndarray, own: int | None) -> None:
    """What the handle moves of the report along each path, with its interval."""
    ax.set_title("report moved by the handle")
    for mark in (0.0, 1.0):
        ax.axhline(mark, color=RULE, linewidth=0.8, zorder=0)
    x = np.arange(len(known))
    share, low, high = (
        np.array([float(row[name] or "nan") for row in known]) for name in ("share", "low", "high")
    )
    for answer, color in ANSWERS.items():
        here = answers[: len(known)] == answer
        _ticks(ax, x[here], np.clip(low, *LIMITS)[here], np.clip(high, *LIMITS)[here], color, alpha=0.3)
        at = np.clip(share, *LIMITS)[here]
        _ticks(ax, x[here], at - DOT, at + DOT, color)
    if own is not None:
        ax.axvline(own, color=INK, linewidth=1, linestyle=":", zorder=4)
    ax.set_ylim(*LIMITS)
    ax.set_ylabel("share of the finetune's, 95 %")
    ax.set_xlim(*_span(len(answers)))
    ax.set_xticks([])


def _axis(
    ax: Axes,
    title: str,
    found: Mapping[str, np.ndarray],
    answers: np.ndarray,
    verdict: str,
    own: int | None,
    *,
    count: int,
    first: bool,
) -> None:
    """One axis: a row a value, a tick a path."""
    ax.set_title(title, size=8, color=MUTED, pad=2, weight="normal")
    for n, here in enumerate(found.values()):
        for answer, color in ANSWERS.items():
            at = np.flatnonzero(here & (answers == answer))
            _ticks(ax, at, np.full(len(at), n - 0.32), np.full(len(at), n + 0.32), color)
        if verdict:
            if n == 0 and first:
                ax.text(1.01, -0.9, "agree", transform=ax.get_yaxis_transform(), size=6.5, color=MUTED)
            agree = (answers[here] == verdict).mean()
            ax.text(1.01, n, f"{agree:.2f}", transform=ax.get_yaxis_transform(), size=6.5, va="center")
    if own is not None:
        ax.axvline(own, color=INK, linewidth=1, linestyle=":", zorder=4)
    ax.set_yticks(range(len(found)), [plain(name) for name in found])
    ax.tick_params(axis="y", labelsize=7, labelcolor=MUTED)
    ax.set_ylim(len(found) - 0.4, -0.6)
    ax.set_xlim(*_span(count))
    ax.set_xticks([])
    ax.spines[["left", "bottom"]].set_visible(False)


def _values(axis: str, values: Sequence[str]) -> dict[str, np.ndarray]:
    """Value of an axis -> which paths have it; wordings by their kind."""
    named = [_kind(value) for value in values] if axis == "without" else list(values)
    if axis == "without" and len(set(named)) > MOST:
        named = [name if name == "none" else "one of all" for name in named]
    array = np.array(named)
    return {name: array == name for name in dict.fromkeys(named)}


def _span(count: int) -> tuple[float, float]:
    return -0.01 * count - 1, 1.01 * count


def _kind(wording: str) -> str:
    kind = _NUMBERED.sub("", wording)
    return wording if wording == "none" else f"one of {kind}"


def _ticks(
    ax: Axes, x: np.ndarray, low: np.ndarray, high: np.ndarray, color: str, *, alpha: float = 1.0
) -> None:
    """Upright bars, one a path, neighbors of the same ends as one; all in one outline with gaps, because a
    shape each would make the page large.
    """
    if not len(x):
        return
    apart = (np.diff(x) != 1) | (np.diff(low) != 0) | (np.diff(high) != 0)
    first = np.flatnonzero(np.concatenate([[True], apart]))
    last = np.concatenate([first[1:] - 1, [len(x) - 1]])
    left, right, under, over = x[first] - 0.5, x[last] + 0.5, low[first], high[first]
    gap = np.full(len(first), np.nan)
    across = np.stack([left, left, right, right, gap], 1).ravel()
    along = np.stack([under, over, over, under, gap], 1).ravel()
    ax.fill(across, along, color=color, alpha=alpha, linewidth=0)
