"""The site: its pages are all reachable, its generated ones current, and a broken link stops it.

The first part reads plain files. `make site` builds it, and the slow part tries what must fail.
"""

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

import activations
import probes
from mi_bsa.cli import docs_api

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def entries(nav) -> list[str]:
    """The pages that a navigation names, in order."""
    if isinstance(nav, str):
        return [nav]
    inner = nav.values() if isinstance(nav, dict) else nav
    return [page for one in inner for page in entries(one)]


def test_every_entry_of_the_navigation_is_a_page():
    """No entry names a page that is not there, and none stands twice."""
    named = entries(SITE["nav"])
    assert [page for page in named if not (DOCS / page).is_file()] == []
    assert len(named) == len(set(named))


def test_every_page_is_in_the_navigation():
    """A page that nobody can find is not read; decisions are listed on their own page."""
    left_out = SITE["not_in_nav"].split()
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    hidden = {page for page in pages if any(fnmatch(page, pattern) for pattern in left_out)}
    assert pages - hidden == set(entries(SITE["nav"]))


@pytest.mark.parametrize("file", [*docs_api.pages()])
def test_an_api_page_is_current(file):
    """A page of the API is what its module writes now; `make docs` writes it again."""
    assert (DOCS / "api" / file).read_text() == docs_api.pages()[file], (
        f"docs/api/{file} is old: run `make docs`"
    )


@pytest.mark.parametrize("package", [activations, probes], ids=lambda package: package.__name__)
def test_every_public_name_has_its_entry(package):
    """Each name of `__all__` is a heading of its package's page, under the name by which it is imported."""
    page = (DOCS / "api" / f"{package.__name__}.md").read_text()
    shown = set(re.findall(rf'^(?:###|      heading:) "?{package.__name__}\.(\w+)"?$', page, re.MULTILINE))
    assert set(package.__all__) - shown == set()


def build(folder: Path, *, added: str = "") -> subprocess.CompletedProcess[str]:
    """`mkdocs build --strict` of a copy of the pages, with a line more on one of them."""
    for name in ("docs", "activations", "probes", "mi_bsa"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors")
        )
    for file in (*ROOT.glob("*.md"), ROOT / "mkdocs.yml"):
        shutil.copy(file, folder)
    page = folder / "docs" / "glossary.md"
    page.write_text(page.read_text() + added)
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


@pytest.mark.slow
def test_the_site_builds_and_its_search_finds_public_names(tmp_path):
    """As `make site` does, with an index that holds the API."""
    pytest.importorskip("mkdocs", reason="the extra mi-bsa[docs] is not installed")
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "build/site/search/search_index.json").read_text()
    assert all(f"activations.{name}" in index for name in activations.__all__)
    assert all(f"probes.{name}" in index for name in probes.__all__)


@pytest.mark.slow
@pytest.mark.parametrize(
    "added",
    [
        "\n[a page](no_such_page.md)\n",
        "\n[an anchor](findings.md#no-such-anchor)\n",
        "\n![a figure](figures/none.png)\n",
    ],
    ids=["page", "anchor", "figure"],
)
def test_a_broken_link_stops_the_site(tmp_path, added):
    """A page, an anchor or a figure that is not there."""
    pytest.importorskip("mkdocs", reason="the extra mi-bsa[docs] is not installed")
    done = build(tmp_path, added=added)
    assert done.returncode != 0
    assert "glossary.md" in done.stderr
