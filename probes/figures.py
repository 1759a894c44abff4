"""The figure of a sweep: score by layer with its interval, the null band, and the choice marked with its
own score.

Matplotlib's object interface, no global state; colors are told apart in gray and by the color-blind (Okabe
and Ito).
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from activations.showing import figure_class

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from probes.sweeping import Sweep

TICKS = 12
"""Layers of which each has a tick."""
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")


def layer_figure(result: Sweep) -> Figure:
    """Lines of AUROC by layer, one panel a site and position, one line a method at its best penalty by
    inner folds.

    The band is the 95 % range of refits on shuffled labels at that penalty. The diamond is the nested score
    of the choice, which, unlike the highest point of the curve, is not raised by the search.
    """
    table = result.table.assign(
        position=result.table["position"].map(lambda p: "" if p is None else str(p)),
        layer=result.table["layer"].map(lambda v: -1 if v is None or np.isnan(v) else int(v)),
    )
    panels = list(table.groupby(["site", "position"], sort=False))
    figure = figure_class()(figsize=(max(5.0, 4.2 * len(panels)), 3.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for axis, ((site, position), panel) in zip(axes, panels, strict=True):
        for color, (method, lines) in zip(cycle(COLORS), panel.groupby("method", sort=False), strict=False):
            means = lines.groupby("penalty", dropna=False)["pooled"].mean()
            if means.isna().all():
                continue  # no cell of this panel could be read; the table says why
            penalty = means.idxmax()
            same = lines["penalty"].isna() if np.isnan(penalty) else lines["penalty"] == penalty
            shown = lines[same].sort_values("layer")
            x = shown["layer"].to_numpy()
            axis.fill_between(x, shown["null_low"], shown["null_high"], color=color, alpha=0.13, lw=0)
            error = np.abs(shown[["low", "high"]].to_numpy().T - shown["auroc"].to_numpy())
            name = method if np.isnan(penalty) else f"{method}, C = {penalty:g} (best over layers)"
            axis.errorbar(
                x, shown["auroc"], yerr=error, color=color, marker="o", ms=3.5, lw=1.3, capsize=2, label=name
            )
        axis.axhline(0.5, color="0.5", lw=0.8, ls=":")
        axis.set_title(site + (f", position {position}" if position else ""), fontsize=10)
        axis.set_xlabel("layer")
        ends = panel[["low", "null_low"]].to_numpy()
        axis.set_ylim(min(0.2, float(np.min(ends, initial=0.2, where=~np.isnan(ends))) - 0.02), 1.02)
        layers = sorted(panel["layer"].unique())
        if len(layers) <= TICKS:
            axis.set_xticks(layers)
        else:
            axis.xaxis.get_major_locator().set_params(integer=True)
        best = result.best
        if best.cell.startswith(f"{site}.") or best.cell == site:
            where = float(best.cell.rsplit(".", 1)[1]) if "." in best.cell else -1.0
            ends = f"[{best.auroc.low:.2f}, {best.auroc.high:.2f}]"
            shown_ends = "" if np.isnan(best.auroc.low) else ends
            chosen = best.method if np.isnan(best.penalty) else f"{best.method}, C = {best.penalty:g}"
            label = f"nested choice {best.auroc.value:.2f} {shown_ends}".rstrip() + f"\nof {chosen}"
            diamond = {"marker": "D", "ms": 7, "color": "black", "mfc": "none", "ls": "none"}
            axis.plot([where], [best.auroc.value], label=label, **diamond)
    axes[0].set_ylabel(f"AUROC of {result.label}, held-out groups")
    first = result.table[result.table["pooled"].notna()].iloc[0]
    axes[-1].legend(fontsize=7, loc="lower right", frameon=False)
    draws = int(first["n_shuffles"])
    note = f"bars: 95 % interval over {int(first['units'])} units; band: {draws} refits on shuffled labels"
    figure.supxlabel(note, fontsize=7, color="0.35")
    return figure
