"""What fine-tuning changes: what comes back when units or modules are taken out, and while reviving.

Reads `wrapper.pruned.accuracy` (behavior, arm, variant "fine-tuning, rate", kind `old`, method `scored
again`, position the number of units): one panel a system, one line a rate of the first base; the gray band is
as many units at random.
Reads `wrapper.adapter.pruned` (position: number of modules) and `.revived` (variant `step-000010`) by kind.
"""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures import style

KINDS = ("choice", "report")
Panel = tuple[str, str, dict[str, list[Result]], Callable[[Result], float]]
"""Title, label of x, lines by name, x of a result."""


@style.styled
def draw_wrapper(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """One panel a system, then the adapter's two; intervals over seeds, cut off at the frame."""
    shown = _systems(results) + _adapter(results)
    labels = list(dict.fromkeys(label for _, _, lines, _ in shown for label in lines))
    colors = {label: style.SERIES[place % len(style.SERIES)] for place, label in enumerate(labels)}
    handles = [style.key(colors[k], style.plain(k), size=4) for k in labels]
    columns = 2 if narrow else 5
    titles = [title for title, _, _, _ in shown]
    figure, axes = style.panels(titles, narrow=narrow, height=2.2, keys=-(-len(handles) // columns))
    for ax, (_, across, lines, x) in zip(axes, shown, strict=True):
        for place, (label, line) in enumerate(lines.items()):
            _draw_line(ax, sorted(line, key=x), x, colors[label], banded=place == len(lines) - 1)
        ax.axhline(0.0, color=style.RULE, linewidth=0.8, zorder=1)
        ax.set_xlabel(across)
        heights = [r.value for line in lines.values() for r in line]
        ax.set_ylim(min(0.0, *heights) - 0.05, max(1.0, *heights) + 0.05)
    style.legend_above(axes[0], handles, columns=columns)
    return figure


def _systems(results: Sequence[Result]) -> list[Panel]:
    found: list[Panel] = []
    shown = {"kind": "old", "method": "scored again"}.items()
    own = [r for r in results if r.name == "wrapper.pruned.accuracy" and shown <= dict(r.where).items()]
    for system in dict.fromkeys(r.where["behavior"] for r in own):
        here = [r for r in own if r.where["behavior"] == system and r.where["variant"] != "untuned"]
        if here:
            first = [r for r in here if r.where["arm"] == here[0].where["arm"]]
            tune = str(first[0].where["variant"]).rpartition(", ")[0]
            lines: dict[str, list[Result]] = {}
            for r in first:
                how, _, rate = str(r.where["variant"]).rpartition(", ")
                if how == tune:
                    lines.setdefault(f"rate {rate}", []).append(r)
            found.append((f"{system}: old skill", "units pruned", lines, _position))
    return found


def _adapter(results: Sequence[Result]) -> list[Panel]:
    found: list[Panel] = []
    for name, title, across, x in (
        ("wrapper.adapter.pruned", "adapter: share returned", "modules closed", _position),
        ("wrapper.adapter.revived", "adapter: share returned", "steps of reviving", _step),
    ):
        lines = {kind: [r for r in results if r.name == name and r.where["kind"] == kind] for kind in KINDS}
        if any(lines.values()):
            found.append((title, across, {kind: line for kind, line in lines.items() if line}, x))
    return found


def _position(result: Result) -> float:
    return float(result.where["position"])


def _step(result: Result) -> float:
    return float(str(result.where["variant"]).removeprefix("step-"))


def _draw_line(
    ax: Axes, line: Sequence[Result], x: Callable[[Result], float], color: str, *, banded: bool
) -> None:
    if banded and all(r.null is not None for r in line):
        style.null_band(ax, line, x)
    style.interval_band(ax, line, x, color, alpha=0.15, zorder=2)
    across, values = [x(r) for r in line], [r.value for r in line]
    ax.plot(across, values, color=color, marker="o", markersize=3.2, linewidth=1.6, zorder=3)
