"""The site: its pages are all reachable, its generated ones current, and a broken link stops it.

The first part reads plain files. `make site` builds it, and the slow part tries what must fail.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

import pytest
import yaml

import activations
import probes
from activations import adapter_files, families
from mi_bsa.cli import docs_api
from mi_bsa.cli.docs_used import home, used

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
    """A page that nobody can find is not read; decisions and notebooks are listed on pages of their own."""
    left_out = SITE["not_in_nav"].split()
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    hidden = {page for page in pages if any(fnmatch(page, pattern) for pattern in left_out)}
    named = set(entries(SITE["nav"]))
    assert pages - (hidden - named) == named
    assert {"decisions/index.md", "notebooks/index.md"} <= named


@pytest.mark.parametrize("file", [*docs_api.pages()])
def test_an_api_page_is_current(file):
    """A page of the API is what its module writes now; `make docs` writes it again."""
    assert (DOCS / "api" / file).read_text() == docs_api.pages()[file], (
        f"docs/api/{file} is old: run `make docs`"
    )


@pytest.mark.parametrize("package", [*docs_api.PACKAGES])
def test_every_public_name_has_its_entry(package):
    """Each name of `__all__`, of a package and of what stands on its page, is a heading there, under the name
    by which it is imported.
    """
    page = (DOCS / "api" / f"{package}.md").read_text()
    for module in (package, *docs_api.PACKAGES[package]):
        heading = rf'^(?:###|      heading:) "?{re.escape(module)}\.(\w+)"?$'
        shown = set(re.findall(heading, page, re.MULTILINE))
        assert set(getattr(import_module(module), "__all__", ())) - shown == set()


def test_every_name_that_a_guide_imports_has_its_entry():
    """What pages tell a reader to import, also attributes of a module, and from a module that is not here."""
    found = used()
    assert "brier" in found["probes.reliability"]  # of `from probes import reliability`
    assert "answers" in found["mi_bsa.behaviors.inspect_tasks"]  # which needs an extra
    pages = "\n".join((DOCS / "api" / file).read_text() for file in docs_api.pages())
    whole = set(
        re.findall(r"^::: (\S+)\n    options:\n      show_root_heading: false\n(?!      m)", pages, re.M)
    )
    entries = set(re.findall(r'^(?:###|      heading:) "?([\w.]+)"?$', pages, re.M))
    entries |= set(re.findall(r"^::: (\S+)$", pages, re.M))
    missing = [
        f"{module}.{name}"
        for module, names in found.items()
        for name in names
        if not {f"{module}.{name}", home(module, name)} & entries
        and not {module, home(module, name).rpartition(".")[0]} & whole
    ]
    assert missing == []


def messages() -> list[str]:
    """Every text in the code, slots of f-strings as `{}`, texts that are joined as one."""
    found = []
    for package in ("activations", "probes", "mi_bsa"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return found


def stands_in(quoted: str, texts: Sequence[str]) -> bool:
    """Whether one text holds the parts of a quoted message between its `...`, in their order."""
    parts = [part.strip() for part in quoted.split("...") if part.strip(" ;:()")]
    pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
    return any(pattern.search(text) for text in texts)


def test_every_message_of_troubleshooting_stands_in_the_code():
    """At least twenty, each as it is raised; one that is not raised is found."""
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^### `(.+)`$", page, re.MULTILINE)
    texts = messages()
    assert len(quoted) >= 20
    assert [message for message in quoted if not stands_in(message, texts)] == []
    assert not stands_in("model ... is the folder of an adaptor", texts)


def test_the_families_page_names_every_family_and_every_refused_adapter():
    """A family that is read, or a kind of adapter that is refused, has its line."""
    page = (DOCS / "families.md").read_text(encoding="utf-8")
    known = [name for family in families.everyone().values() for name in family.model_types]
    assert [name for name in (*known, *adapter_files.REFUSED) if f"`{name}`" not in page] == []


def test_the_citation_is_of_this_version():
    """CITATION.cff says what pyproject.toml says."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])


@pytest.mark.parametrize("guide", sorted(DOCS.glob("guides/*.md")), ids=lambda path: path.stem)
def test_a_guide_begins_with_what_one_gets(guide):
    """And with the time that it takes, right under its title."""
    first = guide.read_text(encoding="utf-8").split("\n\n")[1]
    assert first.startswith("**What you get:** ")
    assert "**Time:**" in first


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
    """As `make site` does: its index holds the API, and no page loads anything from elsewhere."""
    pytest.importorskip("mkdocs", reason="the extra mi-bsa[docs] is not installed")
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "build/site/search/search_index.json").read_text()
    assert all(f"activations.{name}" in index for name in activations.__all__)
    assert all(f"probes.{name}" in index for name in probes.__all__)
    notebooks = [path.stem for path in DOCS.glob("notebooks/*.ipynb")]
    assert all((tmp_path / f"build/site/notebooks/{name}.html").is_file() for name in notebooks)
    pages = "".join(page.read_text() for page in (tmp_path / "build/site").rglob("*.html"))
    assert re.findall(r'<(?:script|img|iframe)[^>]+src="?https?:|<link[^>]+href="?https?:', pages) == []


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
