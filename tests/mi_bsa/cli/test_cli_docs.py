"""The pages that are generated say what the code says."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("name", "module"),
    [("docs/cli.md", "docs"), ("docs/results.md", "docs_results"), ("mi_bsa/cli/helps.txt", "docs_helps")],
)
def test_page_is_current(name, module):
    """A page is what its module writes now, and so is the help that is kept; `make docs` writes it again."""
    page = Path(__file__).parents[3] / name
    command = [sys.executable, "-m", f"mi_bsa.cli.{module}"]
    written = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert page.read_text() == written, f"{name} is old: run `make docs`"
