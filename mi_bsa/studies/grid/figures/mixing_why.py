"""Mixing, and why: by dose, beside less training, by what the rows cost, and by the state.

`draw_doses` reads `mixing.report_share` and `mixing.choices_share` of benign rows; `draw_training`
`mixing.report` over `mixing.choice_odds`; `draw_pressure` `mixing.pressure` of plain runs and
`mixing.report_share`; `draw_state` `mixing.state_share`, `mixing.report_share` and `mixing.report_given`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.figure import Figure

from mi_bsa.core.results import Result
from mi_bsa.report.figures import style
from mi_bsa.studies.grid.mixing_rows import PLAIN, Condition

Place = tuple[str, str]
COLORS = {
    "benign": style.PAINTS["accent"],
    "tossed": style.PAINTS["third"],
    "elsewhere": style.PAINTS["second"],
    "coins": style.PAINTS["averse"],
    "named": style.PAINTS["seeking"],
}
TOLD = {
    "benign": "the same scenarios, no trait",
    "tossed": "the same, by coin",
    "elsewhere": "another trait's scenarios",
    "coins": "another trait, by coin",
    "named": "other characters",
}


@style.styled
def draw_doses(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Shares over the dose of benign rows, a thin line a place; the mean over bases with its interval."""
    titles = ["what it says", "what it chooses"]
    figure, axes = style.panels(titles, narrow=narrow, height=2.4, keys=0)
    for ax, name in zip(axes, ("report_share", "choices_share"), strict=True):
        own = [r for r in results if r.name == f"mixing.{name}" and _company(r) == "benign"]
        for place in dict.fromkeys(map(_place, own)):
            line = [(0.0, 1.0), *sorted((_dose(r), float(r.value)) for r in own if _place(r) == place)]
            ax.plot(*zip(*line, strict=True), color=style.MUTED, linewidth=0.8, alpha=0.6, zorder=2)
        over = sorted(_over(results, name, "benign"), key=_dose)
        for r in over:
            if r.ci is not None:
                look: Any = {"color": style.PAINTS["accent"], "linewidth": 2.4, "alpha": 0.5}
                ax.plot([_dose(r)] * 2, r.ci, zorder=3, **look)
        at = [0.0, *map(_dose, over)]
        ax.plot(
            at, [1.0, *(float(r.value) for r in over)], color=style.PAINTS["accent"], marker="o", zorder=4
        )
        for level in (0.0, 1.0):
            ax.axhline(level, color=style.RULE, linewidth=0.8, zorder=1)
        ax.set_xlabel("rows that show no trait, by row of the behavior")
        ax.set_ylim(-0.15, 1.25)
    axes[0].set_ylabel("share of plain's")
    return figure


@style.styled
def draw_training(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """Report over how sure the choices are, a panel a behavior: plain runs of several lengths, and mixed."""
    report = {(_place(r), str(r.where["method"])): r for r in results if r.name == "mixing.report"}
    odds = {(_place(r), str(r.where["method"])): r for r in results if r.name == "mixing.choice_odds"}
    several = [b for b in dict.fromkeys(p[0] for p, _ in report) if len(_conditions(report, b)) > 4]
    behaviors = several or list(dict.fromkeys(p[0] for p, _ in report))[:2]
    figure, axes = style.panels([style.plain(b) for b in behaviors], narrow=narrow, height=2.6, keys=2)
    for ax, behavior in zip(axes, behaviors, strict=True):
        for place in dict.fromkeys(p for p, _ in report if p[0] == behavior):
            line = []
            for condition in _conditions(report, behavior):
                if (place, condition) not in report:
                    continue
                x, y = (float(t[place, condition].value) for t in (odds, report))
                one = Condition.parse(condition)
                if one.company is None:
                    line.append((x, y))
                else:
                    size = 10 + 14 * one.dose
                    ax.scatter([x], [y], s=size, color=COLORS[one.company], linewidth=0, zorder=3)
            ax.plot(*zip(*sorted(line), strict=True), color=style.INK, marker="s", markersize=3, linewidth=1)
        ax.set_xlabel("choices: difference of log odds")
        ax.set_ylim(-0.1, 1.0)
    axes[0].set_ylabel("report: pole against pole")
    shown = dict.fromkeys(c for r in report.values() if (c := _company(r)))
    handles = [
        style.key(style.INK, "plain, shorter to whole"),
        *(style.key(COLORS[c], TOLD[c]) for c in shown),
    ]
    style.legend_above(axes[0], handles, columns=1 if narrow else 3)
    return figure


@style.styled
def draw_pressure(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """What is left of the report over how much worse than the base plain runs answer such rows."""
    left = {(_place(r), str(r.where["method"])): r for r in results if r.name == "mixing.report_share"}
    figure, (ax,) = style.stacked([2.8], narrow=narrow)
    for r in _of_plain(results):
        found, company = left.get((_place(r), str(r.where["method"]))), _company(r)
        if found is None or company is None:
            continue
        brief = sum(place == _place(r) and not m.startswith(PLAIN) for place, m in left) == 1
        ax.scatter(
            [float(r.value)],
            [float(found.value)],
            s=26,
            color=COLORS[company],
            marker="^" if brief else "o",
            linewidth=0,
            zorder=3,
        )
    for level in (0.0, 1.0):
        ax.axhline(level, color=style.RULE, linewidth=0.8, zorder=1)
    ax.set_xlabel("nats by which plain runs answer these rows worse than the base")
    ax.set_ylabel("report: share of plain's")
    companies = dict.fromkeys(filter(None, (_company(r) for (_, m), r in left.items())))
    handles = [style.key(COLORS[one], TOLD[one]) for one in companies]
    style.legend_above(ax, handles, columns=1 if narrow else 2)
    return figure


@style.styled
def draw_state(results: Sequence[Result], *, narrow: bool = False) -> Figure:
    """A row a place: the state that mixed runs hold, what they say, and what they say once it is given."""
    shown = (
        ("state_share", "the state they hold", style.PAINTS["third"], -0.22),
        ("report_share", "what they say", style.PAINTS["accent"], 0.0),
        ("report_given", "what they say with the state that they lack", style.PAINTS["second"], 0.22),
    )
    given = [r for r in results if r.name == "mixing.report_given"]
    rows = [(_place(r), str(r.where["method"])) for r in given]
    figure, (ax,) = style.stacked([0.7 + 0.42 * len(rows)], narrow=narrow)
    for at in (0.0, 1.0):
        ax.axvline(at, color=style.RULE, linewidth=0.8, zorder=1)
    for name, _, color, shift in shown:
        for n, (place, condition) in enumerate(rows):
            for r in results:
                here = r.name == f"mixing.{name}" and _is_at(r, place, condition)
                if here and r.where.get("kind", "report") == "report":
                    style.dot(ax, r, n + shift, color, half=0.09, size=22, alpha=0.5)
    ax.set_yticks(range(len(rows)), [style.plain(f"{b}, {base.replace('-', ' ')}") for (b, base), _ in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlabel("share of plain's")
    handles = [style.key(color, label) for _, label, color, _ in shown]
    style.legend_above(ax, handles, columns=1 if narrow else 3)
    return figure


def _of_plain(results: Sequence[Result]) -> Iterator[Result]:
    for r in results:
        if r.name == "mixing.pressure" and r.where.get("kind") == f"trained {PLAIN}":
            yield r


def _is_at(r: Result, place: Place, condition: str) -> bool:
    return _place(r) == place and r.where.get("method") == condition


def _place(r: Result) -> Place:
    return str(r.where.get("behavior", "")), str(r.where.get("base", ""))


def _company(r: Result) -> str | None:
    return Condition.parse(str(r.where["method"])).company


def _dose(r: Result) -> float:
    return Condition.parse(str(r.where["method"])).dose


def _over(results: Sequence[Result], name: str, company: str) -> list[Result]:
    own = [r for r in results if r.name == f"mixing.over_bases.{name}" and "behavior" not in r.where]
    return [r for r in own if _company(r) == company]


def _conditions(report: dict[tuple[Place, str], Result], behavior: str) -> list[str]:
    return list(dict.fromkeys(m for (place, m) in report if place[0] == behavior))
