"""The page about the command line says what the command line says."""

import subprocess
import sys
from pathlib import Path


def test_page_is_current():
    """docs/cli.md is what `python -m mi_bsa.cli.docs` writes now; `make docs` writes it again."""
    page = Path(__file__).parents[3] / "docs" / "cli.md"
    command = [sys.executable, "-m", "mi_bsa.cli.docs"]
    written = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert page.read_text() == written, "docs/cli.md is old: run `make docs`"
