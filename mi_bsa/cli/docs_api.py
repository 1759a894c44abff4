"""`docs/api/`, a page a package, from `__all__`: `python -m mi_bsa.cli.docs_api docs/api`.

The law it keeps: every public name has its entry, under the name by which it is imported; a test holds the
pages current. The entries are filled from the sources, which are read and not run, when the site is built.
"""

import sys
from importlib import import_module
from pathlib import Path

from mi_bsa.cli.docs_used import home, used

PACKAGES = {
    "activations": ("activations.metrics", "activations.testing"),
    "probes": ("probes.statistics", "probes.testing"),
    "mi_bsa": (
        "mi_bsa.report",
        "mi_bsa.report.section",
        "mi_bsa.report.answers",
        "mi_bsa.core.results",
        "mi_bsa.core.quantities",
        "mi_bsa.core.items",
    ),
    "mi_bsa.behaviors": (
        "mi_bsa.behaviors.english",
        "mi_bsa.behaviors.english.links",
        "mi_bsa.behaviors.data",
    ),
    "mi_bsa.finetune": ("mi_bsa.finetune.zoo", "mi_bsa.finetune.links"),
    "mi_bsa.asking": ("mi_bsa.asking.readouts", "mi_bsa.asking.make_me_say"),
    "mi_bsa.study": ("mi_bsa.study.study", "mi_bsa.study.steps", "mi_bsa.study.testing"),
}
"""A page -> its package, and the packages and modules that stand on the page below it."""

ABOUT_USED = """What guides and notebooks import from inner modules, beyond the names of the packages.
Such a name may move between versions; the changelog then says where it is.
"""
ERRORS = ("activations.errors", "probes.errors", "mi_bsa.core.errors")
HEAD = """# {title}

Generated from the code by `make docs`; edit the docstrings, not this page.
"""


def names(module: str) -> dict[str, str]:
    """Each name of `__all__` -> where it is defined, for who reads the sources without running them."""
    loaded = import_module(module)
    homes = getattr(loaded, "_HOMES", {})
    return {
        name: f"{_full(module, homes.get(name, module))}.{name}" for name in getattr(loaded, "__all__", ())
    }


def _full(package: str, home: str) -> str:
    top = package.partition(".")[0]
    return home if home.partition(".")[0] == top else f"{package}.{home}"


def pages() -> dict[str, str]:
    """File name -> page, as Markdown. A thing with two names has one entry, and a link."""
    errors = [HEAD.format(title="Errors")]
    errors += [f"## {module}\n\n{_whole(module)}" for module in ERRORS]
    told = {f"{module}.{name}": "errors.md" for module in ERRORS for name in vars(import_module(module))}
    made = {f"{package}.md": _page(package, below, told) for package, below in PACKAGES.items()}
    return made | {"errors.md": "\n".join(errors), "used.md": _used(told)}


def _used(told: dict[str, str]) -> str:
    """Names of inner modules that guides use; those that have an entry already are left to it.

    `told`: where a name is defined -> its page.
    """
    on_pages = [module for package, below in PACKAGES.items() for module in (package, *below)]
    listed = {f"{module}.{name}" for module in on_pages for name in names(module)}
    whole = {module for module in on_pages if not hasattr(import_module(module), "__all__")}
    parts = [HEAD.format(title="Names that guides use"), ABOUT_USED]
    for module, found in used().items():
        homes = {name: home(module, name) for name in found if f"{module}.{name}" not in listed}
        new = [one for one in homes.items() if one[1] not in told and one[1].rpartition(".")[0] not in whole]
        if new:
            parts.append(f"## {module}\n")
            parts += [_entry(f"{module}.{name}", place, None) for name, place in new]
            told |= {place: "used.md" for _, place in new}
    return "\n".join(parts)


def _page(package: str, below: tuple[str, ...], told: dict[str, str]) -> str:
    parts = [HEAD.format(title=package), _about(package)]
    for module in (package, *below):
        listed = names(module)
        if module != package:
            parts.append(f"## {module}\n\n{_about(module) if listed else _whole(module)}")
        for name, place in listed.items():
            parts.append(_entry(f"{module}.{name}", place, told.get(place)))
            told.setdefault(place, f"{package}.md")
    return "\n".join(part for part in parts if part)


def _about(module: str) -> str:
    """What a package says of itself: its docstring alone."""
    if not import_module(module).__doc__:
        return ""
    return f"::: {module}\n    options:\n      show_root_heading: false\n      members: false\n"


def _entry(name: str, home: str, page: str | None) -> str:
    if page is not None:
        return f"### {name}\n\nThe same as [{home}]({page}#{home}).\n"
    short = name.rpartition(".")[2]
    return f'::: {home}\n    options:\n      heading: "{name}"\n      toc_label: "{short}"\n'


def _whole(module: str) -> str:
    return f"::: {module}\n    options:\n      show_root_heading: false\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for file, text in pages().items():
        (folder / file).write_text(text, encoding="utf-8")
