"""A Figure as files for papers and as SVG inside a page.

The law it keeps: text stays text (it can be searched, copied and is escaped by the writer), ids of two
figures never meet in one page, and colors become the page's variables, so that a figure follows the page into
the dark.
"""

import io
import re
from pathlib import Path
from weakref import WeakKeyDictionary

import matplotlib
from markupsafe import Markup, escape
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from mi_bsa.core.files import write_atomic
from mi_bsa.report.figures.style import PAINTS, STYLE

_FONT = '"Helvetica Neue", Arial, "DejaVu Sans", sans-serif'
DPI = 200
"""Of a PNG."""
_GROUND = re.compile(r'<g id="ground-\d+">.*?</g>', re.DOTALL)
"""What is white behind figure and panels in a file, and the page's own color in a page."""
_DRAWN: WeakKeyDictionary[Figure, str] = WeakKeyDictionary()
"""What was written of a figure: for its file and for the page it is drawn once."""


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write `<name>.svg` and `<name>.png` (200 dpi), on white; the same figure gives the same bytes."""
    write_atomic(folder / f"{name}.svg", _svg(figure))
    data = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        _lay_out(figure)
        before = figure.dpi
        figure.set_dpi(DPI)
        FigureCanvasAgg(figure).print_png(data, metadata={"Software": None})
        figure.set_dpi(before)
    write_atomic(folder / f"{name}.png", data.getvalue())


def inline(figure: Figure, *, prefix: str, label: str) -> Markup:
    """The figure as an `<svg>` element for a page.

    Args:
        figure: what to draw.
        prefix: put before every id; unique in the page.
        label: what a screen reader says.
    """
    text = _GROUND.sub("", _svg(figure))
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    text = re.sub(r"(font: [^;\"]*?px) [^;\"]*", rf"\1 {_FONT.replace(chr(34), chr(39))}", text)
    for name, color in PAINTS.items():
        text = text.replace(color, f"var(--{name})")
    width = re.search(r'width="([\d.]+)pt"', text)
    assert width is not None
    pixels = float(width.group(1)) * 4 / 3
    head = f'<svg role="img" aria-label="{escape(label)}" style="max-width: {1.25 * pixels:.0f}px"'
    text = re.sub(r'(<svg[^>]*?) height="[\d.]+pt"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) width="[\d.]+pt"', r"\1", text, count=1)
    return Markup(text.replace("<svg", head, 1))


def _svg(figure: Figure) -> str:
    """The figure as an SVG file. `savefig` would draw twice, first for a layout that stands already. A figure
    that was written is not drawn on.
    """
    if figure not in _DRAWN:
        for n, patch in enumerate([figure.patch, *(ax.patch for ax in figure.axes)]):
            patch.set_gid(f"ground-{n}")
        data = io.StringIO()
        with matplotlib.rc_context(STYLE):
            _lay_out(figure)
            FigureCanvasSVG(figure).print_svg(data, metadata={"Date": None})
        _DRAWN[figure] = data.getvalue()
    return _DRAWN[figure]


def _lay_out(figure: Figure) -> None:
    """Place the panels once: each later writing of the figure finds them there."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
