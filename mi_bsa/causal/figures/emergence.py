"""What comes first over the finetune: curves of behavior, state and report, and lags between their onsets.

Reads `bridge.emergence.curve` (kind, variant `step-000010`; null: what shuffled runs differ by), `.onset`
(kind; log2 of the step) and `.lag` (kind `self_report-behavior`: above 0, the report comes later).
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mi_bsa.core.results import Result
from mi_bsa.report.figures.forest import draw_forest
from mi_bsa.report.figures.style import (
    INK,
    MUTED,
    NULL,
    PAINTS,
    RULE,
    interval_band,
    key,
    legend_above,
    panels,
    plain,
    styled,
)

KINDS = {
    "behavior": ("choices", PAINTS["accent"]),
    "separability": ("the poles in the state (2 AUROC - 1)", PAINTS["third"]),
    "self_report": ("report", PAINTS["second"]),
}
WORDS = {"behavior": "choices", "separability": "state", "self_report": "report"}
CURVE, ONSET, LAG = (f"bridge.emergence.{name}" for name in ("curve", "onset", "lag"))


@styled
def draw_emergence(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Curves over log-spaced steps with their onsets, and the lags between onsets."""
    curves = [item for item in results if item.name == CURVE]
    lags = [item for item in results if item.name == LAG and item.ci is not None]
    if not curves:
        return draw_forest(results, narrow=narrow)
    titles = ["over the steps of the finetune", *["which comes later"] * bool(lags)]
    figure, axes = panels(titles, narrow=narrow, height=2.5, keys=4 if narrow else 2)
    onsets = {str(item.where["kind"]): item for item in results if item.name == ONSET}
    _draw_curves(axes[0], curves, onsets)
    if lags:
        _draw_lags(axes[1], lags)
    keys: list[Line2D | Patch] = [
        key(color, label, size=4)
        for kind, (label, color) in KINDS.items()
        if any(item.where["kind"] == kind for item in curves)
    ]
    if onsets:
        ring = Line2D([], [], linewidth=0, marker="D", markersize=6, markerfacecolor="white")
        ring.set(markeredgecolor=INK, label="onset: half of the last value")
        keys.append(ring)
    if any(item.null is not None for item in curves):
        keys.append(Patch(color=NULL, label="shuffled runs, one less another (95 %)"))
    legend_above(axes[0], keys, columns=1 if narrow else 3)
    return figure


def _draw_curves(ax: Axes, curves: Sequence[Result], onsets: dict[str, Result]) -> None:
    ax.axhline(0.0, color=RULE, linewidth=0.8, zorder=1)
    steps = sorted({_step(item) for item in curves})
    banded = [item for item in curves if item.null is not None]
    if banded:  # the widest of the read-outs' bands at each step
        at = sorted({_step(item) for item in banded})
        nulls = [[i.null for i in banded if _step(i) == step and i.null is not None] for step in at]
        low, high = [min(n.low for n in own) for own in nulls], [max(n.high for n in own) for own in nulls]
        ax.fill_between(at, low, high, color=NULL, linewidth=0, zorder=0)
    for kind, (_, color) in KINDS.items():
        line = sorted((item for item in curves if item.where["kind"] == kind), key=_step)
        if not line:
            continue
        at, values = [_step(item) for item in line], [item.value for item in line]
        interval_band(ax, line, _step, color, alpha=0.16, zorder=2)
        ax.plot(at, values, color=color, marker="o", markersize=3.6, linewidth=1.8, zorder=3)
        if kind in onsets:
            onset, mark = onsets[kind], values[-1] / 2
            if onset.ci is not None:
                ends = [2.0**end for end in onset.ci]
                ax.plot(ends, [mark] * 2, color=color, linewidth=3, alpha=0.45, zorder=4)
            look: Any = {"s": 36, "marker": "D", "facecolor": "white", "edgecolor": color, "linewidth": 1.4}
            ax.scatter([2.0**onset.value], [mark], zorder=5, **look)
    ax.set_xscale("log", base=2)
    ax.set_xlim(steps[0] / 1.1, steps[-1] * 1.1)
    ax.set_xticks(steps, [f"{step:g}" for step in steps])
    ax.minorticks_off()
    ax.set_xlabel("step")
    ax.set_ylim(-0.35, 1.05)
    ax.set_ylabel("seeking less averse", color=MUTED)


def _draw_lags(ax: Axes, lags: Sequence[Result]) -> None:
    ax.axvline(0.0, color=RULE, linewidth=0.8, zorder=1)
    for row, item in enumerate(lags):
        ax.plot(item.ci or (), [row, row], color=INK, linewidth=2, alpha=0.5, zorder=2)
        seeds = [row + 0.16] * len(item.per_seed)
        ax.scatter(item.per_seed, seeds, s=7, color=INK, alpha=0.5, linewidth=0, zorder=3)
        ax.scatter([item.value], [row], s=26, color=INK, linewidth=0, zorder=4)
    ax.set_yticks([])
    for row, item in enumerate(lags):
        later, _, earlier = str(item.where["kind"]).partition("-")  # `self_report-behavior`
        name = plain(f"{WORDS.get(later, later)} after {WORDS.get(earlier, earlier)}")
        ax.text(0, row - 0.24, name, transform=ax.get_yaxis_transform(), size=8, color=MUTED)
    ax.set_ylim(len(lags) - 0.4, -0.6)
    ends = [abs(end) for item in lags for end in (*(item.ci or ()), *item.per_seed)]
    reach = 1.08 * max([0.25, *ends])
    ax.set_xlim(-reach, reach)
    ax.set_xlabel("doublings of the step; above 0: later")
    ax.spines["left"].set_visible(False)


def _step(item: Result) -> float:
    """The step in `where["variant"]`, such as `step-000010`."""
    return float(str(item.where["variant"]).rpartition("-")[2])
