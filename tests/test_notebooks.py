"""Every notebook of docs/notebooks runs from top to bottom in an empty folder; none has outputs in it."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
SLOW = ("a_study",)
"""Notebooks that run for minutes."""
LONGEST = 14
"""Lines of a cell."""


def read(path: Path):
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(path, as_version=4)


def test_there_are_six():
    """As the page of notebooks says."""
    assert len(NOTEBOOKS) == 6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_plain(path):
    """Valid, without outputs and counts, short cells; it begins with a heading."""
    notebook = read(path)
    import nbformat

    nbformat.validate(notebook)
    assert notebook.cells[0].source.startswith("# ")
    for cell in notebook.cells:
        assert len(cell.source.splitlines()) <= LONGEST
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(one, marks=pytest.mark.slow if one.stem in SLOW else pytest.mark.pages, id=one.stem)
        for one in NOTEBOOKS
    ],
)
def test_a_notebook_runs(path, tmp_path, request):
    """In a kernel of its own; no cell fails, and what is looked at is shown."""
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = read(path)
    if any('load("smollm2")' in cell.source for cell in notebook.cells):
        request.getfixturevalue("smollm2")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        patched.setenv("JUPYTER_PLATFORM_DIRS", "1")
        patched.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        client = nbclient.NotebookClient(
            notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
        )
        client.execute()
    last = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = [output for cell in last for output in cell.outputs]
    assert any("text/html" in output.get("data", {}) for output in shown)
    assert any("image/png" in output.get("data", {}) for output in shown)
