"""How values show themselves where somebody looks: one short line, and in a notebook a small table.

The law: a value shown costs nothing (no weights, no activations are read for it) and fits a screen, whatever
it holds. A figure that is returned shows itself in a notebook, whether or not pyplot is there.
"""

from collections.abc import Mapping
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 144
"""Of an inch of a figure in a notebook."""


class Shows:
    """A value that says what it is by `_shown`."""

    def _shown(self) -> Mapping[str, object]:
        """What is worth a line each, by its name; the first stands in the one line too."""
        raise NotImplementedError

    def __repr__(self) -> str:
        facts = [
            f"{name} {value}" if name else f"{value}"
            for name, value in self._shown().items()
            if value not in (None, "")
        ]
        return f"{type(self).__name__}({', '.join(facts)})"

    def _repr_html_(self) -> str:
        return table(type(self).__name__, self._shown())


class ModelShows(Shows):
    """How a model shows itself."""

    def _shown(self) -> Mapping[str, object]:
        model: Any = self
        adapters = model.variants[1:]
        more = f" and {len(adapters) - 3} more" if len(adapters) > 3 else ""
        return {
            "": repr(model.name),
            "layers": model.n_layers,
            "d_model": model.d_model,
            "heads": model.n_heads,
            "dtype": model.dtype,
            "on": str(model.device),
            "active": model.active_name,
            "adapters": ", ".join(adapters[:3]) + more if adapters else "none",
        }


def table(title: str, facts: Mapping[str, object], more: str = "") -> str:
    """A value as HTML: its kind, then a line a fact; `more` is HTML that stands below."""
    left = "<td style='text-align:left'>"
    rows = "".join(
        f"<tr>{left}{escape(name)}</td>{left}{escape(str(value))}</td></tr>"
        for name, value in facts.items()
        if value not in (None, "")
    )
    return f"<b>{escape(title)}</b><table>{rows}</table>{more}"


@cache
def figure_class() -> "type[Figure]":
    """matplotlib's `Figure`, which shows itself in a notebook; imported when the first one is drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Plain

    class Figure(Plain):
        """A figure without pyplot."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            FigureCanvasAgg(self)

        def _repr_png_(self) -> bytes:
            return png(self)

    return Figure


def png(figure: "Figure") -> bytes:
    """A figure as a PNG image."""
    from io import BytesIO

    held = BytesIO()
    figure.savefig(held, format="png", dpi=DOTS)
    return held.getvalue()
