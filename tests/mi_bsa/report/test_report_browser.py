"""The page in a real browser: no console error, every figure visible, nothing wider than the screen."""

from pathlib import Path

import pytest

from mi_bsa.report.browser import CHROMIUM, look

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
