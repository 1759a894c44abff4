"""Transfer by layer: the probe of behavior prompts read on self-report prompts, above its floors.

Reads `bridge.transfer.auroc` with `where` keys layer, kind (what the probe was tested on) and, optionally,
behavior and method; `null` is the band of what nothing gives. A ring marks `bridge.transfer.chosen`, the
layer that was chosen without the test prompts.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mi_bsa.core.results import Result
from mi_bsa.report.figures.style import (
    INK,
    MUTED,
    NULL,
    PAINTS,
    RULE,
    distinct,
    legend_above,
    null_band,
    panels,
    plain,
    styled,
)
from mi_bsa.report.names import short

KINDS: dict[str, tuple[str, str, Any, float]] = {
    "self_report": ("self-report prompts (transfer)", PAINTS["accent"], "-", 2.2),
    "behavior": ("behavior prompts (ceiling)", PAINTS["second"], "--", 1.2),
    "neutral": ("neutral prompts (floor)", PAINTS["third"], "-", 1.2),
    "wrong_behavior": ("another behavior (floor)", PAINTS["averse"], "-", 1.2),
    "base": ("base model (floor)", PAINTS["muted"], ":", 1.4),
}
"""What a probe is tested on: legend, color, line style, width."""


@styled
def draw_layers(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """AUROC over layers by what the probe was tested on; one panel a behavior and method."""
    shown = [item for item in results if "layer" in item.where and not item.name.endswith(".chosen")]
    chosen = [item for item in results if item.name.endswith(".chosen")]
    groups = list(dict.fromkeys(_group(item) for item in shown))
    kinds = [str(kind) for kind in distinct(shown, "kind")]
    handles: list[Line2D | Patch] = []
    for kind in sorted(kinds, key=lambda kind: list(KINDS).index(kind) if kind in KINDS else len(KINDS)):
        label, color, line, width = _look(kind)
        handles.append(Line2D([], [], color=color, linestyle=line, linewidth=width, label=label))
    nulls = [str(item.null.kind) for item in shown if item.null is not None]
    if nulls:
        handles.append(Patch(color=NULL, label=f"null: {plain(nulls[0])} (95 %)"))
    if chosen:
        ring: Any = {"marker": "o", "markersize": 8, "markerfacecolor": "none", "markeredgewidth": 1.4}
        label = "layer chosen on development prompts"
        handles.append(Line2D([], [], linewidth=0, markeredgecolor=INK, label=label, **ring))
    columns = 1 if narrow else 2
    titles = [plain(", ".join(group)) for group in groups]
    figure, axes = panels(titles, narrow=narrow, height=2.3, keys=-(-len(handles) // columns))
    for ax, group in zip(axes, groups, strict=True):
        _draw_panel(ax, [item for item in shown if _group(item) == group])
        for item in (item for item in chosen if _group(item) == group):
            ax.plot([_layer(item)], [item.value], markeredgecolor=INK, zorder=5, **ring)
    legend_above(axes[0], handles, columns=columns)
    return figure


def _draw_panel(ax: Axes, results: Sequence[Result]) -> None:
    ax.axhline(0.5, color=RULE, linewidth=0.8, zorder=1)
    for kind in distinct(results, "kind"):
        line = sorted((item for item in results if item.where.get("kind") == kind), key=_layer)
        layers, values = [_layer(item) for item in line], [item.value for item in line]
        _, color, style, width = _look(str(kind))
        if kind == "self_report" or len(distinct(results, "kind")) == 1:
            null_band(ax, line, _layer)
            for item in line:
                if item.ci is not None:
                    ax.plot([_layer(item)] * 2, item.ci, color=color, linewidth=1.2, alpha=0.6, zorder=3)
            ax.scatter(layers, values, s=22, color=color, linewidth=0, zorder=4)
        ax.plot(layers, values, color=color, linestyle=style, linewidth=width, zorder=3)
    every = sorted({_layer(item) for item in results})
    ax.set_xticks(every[:: max(1, len(every) // 8)])
    ax.set_xlabel("layer")
    ax.set_ylabel("AUROC", color=MUTED)
    lowest = min(item.value for item in results)
    ax.set_ylim(max(0.0, min(0.38, lowest - 0.05)), 1.02)
    ax.tick_params(axis="y", labelcolor=INK)


def _group(item: Result) -> tuple[str, ...]:
    return tuple(
        short(item.where[key]).replace("_", " ") for key in ("behavior", "method") if key in item.where
    )


def _look(kind: str) -> tuple[str, str, Any, float]:
    return KINDS.get(kind, (plain(kind.replace("_", " ")), MUTED, "-.", 1.2))


def _layer(item: Result) -> int:
    return int(item.where["layer"])
