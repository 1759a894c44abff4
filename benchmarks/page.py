"""docs/benchmarks.md and its figure of ratios, from the lines that the benchmarks wrote.

    python benchmarks/page.py [--record docs/benchmarks.jsonl] [--out docs/benchmarks.md]

The page shows the newest line of each claim, model and kind of machine; older ones stay in the record. The
figure has a dot a line on a logarithmic axis, filled where the bar is met, and the bar beside it.
"""

import argparse
from pathlib import Path
from typing import Any

from lines import FILE, Line, newest, read

FIGURE = Path("docs/figures/benchmarks.png")
CURVES = Path("docs/figures/cost_curves.png")
COSTS = "cost curves"
COLORS = {"AMX": "tab:blue", "AVX512-BF16": "tab:orange", "neither": "tab:green", "not recorded": "0.45"}
HEAD = """# Benchmarks

Written by `python benchmarks/page.py` from `docs/benchmarks.jsonl`, to which each script of `benchmarks/`
appends its lines with `--record`; not to be changed by hand. Ours and the named peer in one run on the same
inputs, outputs compared. Only ratios carry over to another machine, and they depend on what it multiplies
bfloat16 with (AMX, AVX512-BF16 or neither), so each line says that, its threads and the load at its start.
Lines whose machine is *not recorded* were written by hand before there was a record. Shares above 1
of a bound are possible: it counts the multiplications of plain passes, and the peer also pays for its hooks
and its eager attention.

{count} lines; bars met: {met}, **missed: {missed}**.

![Ratios and their bars](figures/{figure})
"""
COSTS_HEAD = """
Exponents of `cost = a x size^b`, least squares through the logarithms of four points or more, with their
standard errors.

![Time and memory against size](figures/cost_curves.png)
"""


def figure_of(line: Line) -> str:
    """The number that the bar is about."""
    if line.ratio is None:
        return "none"
    shown = f"{line.ratio:.3g}" + ("" if line.topic == COSTS or "share of" in line.claim else "x")
    shown = f"**{shown}**"
    if line.ours is not None and line.peer is not None:
        shown += f" ({line.ours:.3g} and {line.peer:.3g} {line.unit})"
    return shown


def bar_of(line: Line) -> str:
    """The bar, the bound and the verdict."""
    if line.bar is None:
        shown = "no bar"
    else:
        sign, verdict = ("<=" if line.at_most else ">="), line.verdict
        shown = f"{sign} {line.bar:g}: " + (f"**{verdict}**" if verdict == "missed" else verdict)
    return shown + ("" if line.bound is None else f"; bound {line.bound:.3g}")


def where_of(line: Line) -> str:
    """Date and machine."""
    threads = "" if line.threads is None else f", {line.threads} thread" + "s" * (line.threads > 1)
    load = "" if line.load is None else f", load {line.load:g}"
    return f"{line.date}, {line.kind}{threads}{load}, {line.clock} time"


def table(found: list[Line]) -> list[str]:
    """The rows of one topic."""
    rows = [
        "| claim | model | ratio (ours and peer) | bar | compared | when and where |",
        "|---|---|---|---|---|---|",
    ]
    for line in found:
        said = f"{line.compared}. {line.note}".strip() if line.note else line.compared
        cells = [line.claim, line.model, figure_of(line), bar_of(line), said, where_of(line)]
        rows.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    commands = dict.fromkeys(line.command for line in found)
    return [*rows, "", *(f"- `{text}`" for text in commands)]


def text(found: list[Line], figure: Path = FIGURE) -> str:
    """The page."""
    shown = newest(found)
    verdicts = [line.verdict for line in shown]
    parts = [
        HEAD.format(
            count=len(shown), met=verdicts.count("met"), missed=verdicts.count("missed"), figure=figure.name
        )
    ]
    for topic in dict.fromkeys(line.topic for line in shown):
        own = [line for line in shown if line.topic == topic]
        parts.append(f"## {topic[0].upper()}{topic[1:]}\n")
        if topic == COSTS:
            parts.append(COSTS_HEAD.lstrip())
        parts.append("\n".join(table(own)) + "\n")
    return "\n".join(parts)


def drawn(found: list[Line]) -> Any:
    """A matplotlib figure: a row a claim and model, a dot a kind of machine, a tick for each bar."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    shown = [line for line in newest(found) if line.ratio and line.topic != COSTS]
    rows = list(dict.fromkeys((line.topic, line.claim, line.model) for line in shown))
    figure = Figure(figsize=(12, 1.5 + 0.27 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for line in shown:
        row, color = rows.index((line.topic, line.claim, line.model)), COLORS[line.kind]
        if line.bar is not None:
            axes.plot([line.bar], [row], marker="|", markersize=15, markeredgewidth=2, color="black")
            axes.annotate(
                "<" if line.at_most else ">", (line.bar, row), (4, -3), textcoords="offset points", fontsize=7
            )
        if line.bound is not None:
            axes.plot([line.bound], [row], marker="x", markersize=6, color="tab:red")
        filled = "none" if line.verdict == "missed" else color
        axes.plot([line.ratio], [row], marker="o", markersize=7, color=color, markerfacecolor=filled)
    axes.axvline(1, color="0.8", linewidth=1, zorder=0)
    axes.set_xscale("log")
    ticks = [0.5, 1, 2, 3, 5, 10, 20, 30, 50]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks(range(len(rows)), [f"{topic}: {claim} ({model})"[:120] for topic, claim, model in rows])
    axes.tick_params(axis="y", labelsize=7)
    axes.set_ylim(len(rows) - 0.3, -0.7)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("ratio (peer over ours where the claim says nothing else)")
    marks = [
        Line2D([], [], linestyle="none", marker="o", color=COLORS[kind], label=kind)
        for kind in dict.fromkeys(line.kind for line in shown)
    ]
    marks += [
        Line2D([], [], linestyle="none", marker="o", color="0.3", markerfacecolor="none", label="bar missed"),
        Line2D([], [], linestyle="none", marker="|", markersize=12, color="black", label="bar (> at least)"),
        Line2D([], [], linestyle="none", marker="x", color="tab:red", label="bound by counting"),
    ]
    axes.legend(
        handles=marks, loc="lower center", bbox_to_anchor=(0.2, 1.0), ncols=6, fontsize=8, frameon=False
    )
    return figure


def curves(found: list[Line]) -> Any:
    """A matplotlib figure: time and memory against size, both as multiples of a curve's first point."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    shown = [line for line in newest(found) if line.topic == COSTS and line.points]
    names = list(dict.fromkeys(line.claim.rpartition(" against ")[2] for line in shown))
    for axes, what in zip(figure.subplots(1, 2, sharex=True), ("time", "memory"), strict=True):
        for line in shown:
            measured, _, size = line.claim.partition(" against ")
            if measured != what:
                continue
            (first, cost), *_ = line.points
            style = "--o" if line.verdict == "missed" else "-o"
            axes.plot(
                [x / first for x, _ in line.points],
                [y / cost for _, y in line.points],
                style,
                color=f"C{names.index(size)}",
                markerfacecolor=None if line.kind == "AMX" else "white",
                label=f"{size}: {line.ratio:.2f} ({line.kind})",
            )
        axes.plot([1, 10], [1, 10], color="0.7", linewidth=1, zorder=0)
        axes.annotate("1", (10, 10), color="0.5")
        axes.plot([1, 8], [1, 64], color="0.85", linewidth=1, zorder=0)
        axes.annotate("2", (8, 64), color="0.5")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("size, as a multiple of the smallest")
        axes.set_ylabel("processor time" if what == "time" else "peak memory above the start")
        axes.set_title(f"{what}: exponents (gray: slopes of 1 and 2)", fontsize=10)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7)
    return figure


def main() -> None:
    """Write the page and the figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--record", type=Path, default=FILE)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    parser.add_argument("--figure", type=Path, default=FIGURE)
    parser.add_argument("--curves", type=Path, default=CURVES)
    given = parser.parse_args()
    found = read(given.record)
    given.out.write_text(text(found, given.figure), encoding="utf-8")
    drawn(found).savefig(given.figure, dpi=110)
    curves(found).savefig(given.curves, dpi=110)
    print(f"{given.out} and {given.figure}: {len(newest(found))} of {len(found)} lines")


if __name__ == "__main__":
    main()
