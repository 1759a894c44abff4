"""The page in a real browser: no console error, every figure visible, nothing wider than the screen, and no
fault that axe-core knows.
"""

from importlib import resources
from pathlib import Path

import pytest

from mi_bsa.report.browser import CHROMIUM, faults, look

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine (Debian: apt install chromium)"
)


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize(("name", "figures"), [("run", 7), ("both", 14)])
def test_page_in_a_browser(
    made_up_pages: dict[str, Path], tmp_path: Path, name: str, figures: int, width: int
):
    """The browser shows every figure, writes no error to its console and needs no sideways scrolling."""
    measured, console = look(made_up_pages[name], width=width, folder=tmp_path)
    assert len(console) == 1, console
    assert "measured" in console[0]
    assert measured == {"figures": figures, "visible": figures, "wider": 0}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["run", "both"])
def test_page_without_good_eyes_or_a_mouse(
    made_up_pages: dict[str, Path], tmp_path: Path, name: str, dark: bool
):
    """Contrast, labels, order of headings, what is reached by keyboard; and what has a fault is told."""
    pytest.importorskip("axe_core_python", reason="axe-core is not installed (pip install mi-bsa[dev])")
    axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    assert faults(made_up_pages[name], axe=axe, dark=dark, folder=tmp_path) == []
    bad = tmp_path / "bad.html"
    bad.write_text("<html lang='en'><title>x</title><body><main><h1>x</h1><p style='color: #aaa'>pale</p>"
                   "<img src='data:,'></main></body></html>")  # fmt: skip
    found = faults(bad, axe=axe, dark=False, folder=tmp_path)
    assert [one.split()[0] for one in found] == ["color-contrast", "image-alt"]
