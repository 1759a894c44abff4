"""A page is drawn again when anything that it may be drawn from was written after it."""

import os
from pathlib import Path

import pytest

from mi_bsa.study.study import _is_drawn


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A finished run, its page the newest of its files."""
    (tmp_path / "steps/rows").mkdir(parents=True)
    for n, name in enumerate(("steps/rows/a.json", "results.json", "verdicts.json", "report.html")):
        (tmp_path / name).write_text("{}")
        os.utime(tmp_path / name, ns=(n, n))
    return tmp_path / "report.html"


def test_a_page_that_is_the_newest_stays(page: Path):
    """The record, which every start writes, does not count; no page is none."""
    (page.parent / "record.json").write_text("{}")
    assert _is_drawn(page)
    page.unlink()
    assert not _is_drawn(page)


@pytest.mark.parametrize(
    "name", ["results.json", "verdicts.json", "steps/rows/a.json", "config.yaml", "new.csv"]
)
def test_a_page_older_than_anything_else_does_not(page: Path, name: str):
    """Results, verdicts, a step, another config, a new table."""
    (page.parent / name).write_text("{}")
    assert not _is_drawn(page)
