"""Fixtures of the study's floor."""

from pathlib import Path

import pytest
from synthetic_run import make_run


@pytest.fixture(scope="session")
def made_up_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of made-up results: "run" (in its run folder) and "both", which compares it with a weaker one."""
    from mi_bsa.report import compare, render
    from mi_bsa.studies.behavior.page import SECTIONS

    folder = tmp_path_factory.mktemp("pages")
    runs = [make_run(folder / "risk"), make_run(folder / "weak", shift=0.6)]
    return {
        "run": render(runs[0], SECTIONS),
        "both": compare(runs[0], runs[1], out=folder / "both.html", own=SECTIONS),
    }
