"""How a sweep shows itself: its line, its highest cells in a notebook, its figure."""

from typing import TYPE_CHECKING, Any

from activations.showing import Shows, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 8
"""Cells that a notebook shows."""
COLUMNS = ("site", "layer", "position", "method", "penalty", "auroc", "low", "high", "null_high", "p_max")


def _p_of(p: float, cells: Any) -> str:
    """A p with its floor: 1 / (1 + refits on shuffled labels), below which it cannot fall."""
    if p != p:
        return ""
    draws = int(cells["n_shuffles"].max())
    floor = f", the least that {draws} shuffles can give" if p <= 1.001 / (1 + draws) else ""
    return f"{p:.3g}{floor}"


class SweepShows(Shows):
    """What a `Sweep` shows."""

    def plot(self) -> "Figure":
        """AUROC by layer with its null as a matplotlib figure (`probes.layer_figure`); it shows itself in a
        notebook.
        """
        from probes.figures import layer_figure

        return layer_figure(self)  # type: ignore[arg-type]

    def _shown(self) -> dict[str, object]:
        result: Any = self
        best = result.best
        by = best.method if best.penalty != best.penalty else f"{best.method} C={best.penalty:g}"
        return {
            "": f"{result.label} ({result.classes[0]} or {result.classes[1]})",
            "cells": len(result.table),
            "best": f"{best.cell} {by}",
            "AUROC": str(best.auroc),
            "p over the search": _p_of(best.p_max, self.table),  # type: ignore[attr-defined]
            "groups": ", ".join(result.groups),
        }

    def _repr_html_(self) -> str:
        cells: Any = self.table  # type: ignore[attr-defined]
        shown = cells.sort_values("auroc", ascending=False, kind="stable").head(SHOWN)
        kept = shown[[name for name in COLUMNS if name in shown and shown[name].notna().any()]]
        more = f"<p>the {len(kept)} highest of {len(cells)} cells; all in `.table`</p>"
        return table("Sweep", self._shown(), more + kept.to_html(index=False, float_format="{:.3g}".format))
