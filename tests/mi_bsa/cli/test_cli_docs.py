"""The pages that are generated say what the code says."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("name", "module"), [("cli", "docs"), ("results", "docs_results")])
def test_page_is_current(name, module):
    """A page is what its module writes now; `make docs` writes it again."""
    page = Path(__file__).parents[3] / "docs" / f"{name}.md"
    command = [sys.executable, "-m", f"mi_bsa.cli.{module}"]
    written = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert page.read_text() == written, f"docs/{name}.md is old: run `make docs`"
