"""What each run says of itself against what it does: one dot a run, one color an arm.

Reads `faithfulness.actual` and `faithfulness.reported` (one each a run, paired by arm and variant) and, for
the legend, `faithfulness.r` of kind "all" over all runs.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures.style import ARMS, MUTED, RULE, distinct, key, legend_above, panels, plain, styled


@styled
def draw_scatter(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Reported against actual degree with their intervals; one panel a behavior."""
    behaviors = distinct(results, "behavior")
    titles = [plain(name) for name in behaviors]
    arms = [arm for arm in ARMS if arm in distinct(results, "arm")]
    figure, axes = panels(titles, narrow=narrow, height=3.6, keys=len(arms))
    for ax, behavior in zip(axes, behaviors, strict=True):
        _draw_panel(ax, [item for item in results if item.where["behavior"] == behavior])
    handles = [key(ARMS[arm], _label(results, arm), linewidth=0) for arm in arms]
    legend_above(axes[0], handles, columns=1)
    return figure


def _draw_panel(ax: Axes, results: Sequence[Result]) -> None:
    ax.plot([0, 1], [0, 1], color=RULE, linewidth=0.8, zorder=0)
    reported = {_run(item): item for item in results if item.name == "faithfulness.reported"}
    for actual in results:
        said = reported.get(_run(actual))
        if actual.name != "faithfulness.actual" or said is None:
            continue
        color = ARMS.get(str(actual.where.get("arm")), MUTED)
        if said.ci is not None:
            ax.plot([actual.value] * 2, said.ci, color=color, linewidth=0.8, alpha=0.35, zorder=1)
        if actual.ci is not None:
            ax.plot(actual.ci, [said.value] * 2, color=color, linewidth=0.8, alpha=0.35, zorder=1)
        ax.scatter([actual.value], [said.value], s=14, color=color, linewidth=0, zorder=2)
    ax.set_xlim(-0.03, 1.03)
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel("what it does: P(seeking pole) of its choices")
    ax.set_ylabel("what it says, mean over kinds of question")


def _run(item: Result) -> tuple[object, object]:
    return item.where.get("arm"), item.where.get("variant")


def _label(results: Sequence[Result], arm: str) -> str:
    """The arm, with its r over all runs where that was measured."""
    for item in results:
        place = (item.where.get("arm"), item.where.get("kind"), item.where.get("method"))
        if item.name == "faithfulness.r" and place == (arm, "all", "all runs"):
            span = "" if item.ci is None else f" [{item.ci[0]:.2f}, {item.ci[1]:.2f}]"
            return f"trained {arm}: r = {item.value:.2f}{span}, {item.n} runs"
    return f"trained {arm}"
