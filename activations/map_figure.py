"""The figure of a patch map: recovery over layer x column, a panel a head.

Cells that no example has are left white; the scale ends at 1, the run that values come from, or at the
largest recovery beyond it.
"""

from typing import TYPE_CHECKING

import numpy as np

from activations.showing import figure_class

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from activations.maps import PatchMap

MOST = 8
"""Panels that are drawn: heads of the largest recovery."""


def draw(found: "PatchMap") -> "Figure":
    """The map as a figure; of more than `MOST` heads those with the largest recovery."""
    values = found.recovery
    peaks = np.nanmax(np.abs(np.where(np.isnan(values), 0.0, values)), axis=(0, 1))
    heads = sorted(np.argsort(-peaks, kind="stable")[:MOST].tolist())
    reach = max(1.0, float(peaks.max(initial=0.0)))
    wide = max(4.0, 0.32 * len(found.columns) + 1.8)
    tall = max(1.2, 0.22 * len(found.sites) + 0.4)
    labels = [column.label for column in found.columns]
    below = 0.4 + 0.075 * max(map(len, labels))  # labels stand upright
    figure = figure_class()(figsize=(wide, tall * len(heads) + below), layout="constrained")
    axes = figure.subplots(len(heads), 1, squeeze=False)[:, 0]
    image = None
    for axis, head in zip(axes, heads, strict=True):
        image = axis.imshow(
            values[:, :, head], cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto", origin="lower"
        )
        axis.set_yticks(range(len(found.sites)), [_name(site) for site in found.sites], fontsize=7)
        last = head == heads[-1]
        axis.set_xticks(range(len(labels)), labels if last else [""] * len(labels), fontsize=7)
        axis.tick_params(axis="x", rotation=90)
        head_of = f", head {found.heads[head]}" if found.heads else ""
        axis.set_title(f"{found.sites[0].name}{head_of}: {found.source} into {found.target}", fontsize=9)
        axis.set_ylabel("layer")
    assert image is not None
    bar = figure.colorbar(image, ax=list(axes), ticks=[-1, 0, 1])
    bar.set_label("recovery", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    if not found.readable:
        note = "the two runs do not differ readably: a recovery is a ratio to nothing"
        figure.supxlabel(note, fontsize=7, color="0.35")
    return figure


def _name(site: object) -> str:
    layer = getattr(site, "layer", None)
    return str(site) if layer is None else str(layer)
