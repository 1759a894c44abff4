"""`docs/api/used.md`: names that guides and notebooks import from inner modules, which no other page has.

The law it keeps: whatever a reader is told to import, its entry can be found and searched. The list is read
from the code of the pages themselves (`mi_bsa.cli.docs_api` writes it with the others).
"""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("activations", "mi_bsa", "probes")
FENCE = re.compile(r"^ *```python[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def used() -> dict[str, list[str]]:
    """Module -> names of it that the README, guides and notebooks use, sorted; modules and names of ours."""
    dotted = sorted({name for code in _codes() for name in _names(code)})
    found: dict[str, list[str]] = {}
    for module, name in filter(None, map(_split, dotted)):
        if name not in found.setdefault(module, []):
            found[module].append(name)
    return found


def _codes() -> Iterator[str]:
    """The code of each page, a page or a notebook at a time."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs/guides").glob("*.md"))):
        yield "\n".join(_plain(code) for code in FENCE.findall(page.read_text(encoding="utf-8")))
    for path in sorted((ROOT / "docs/notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        yield "\n".join(_plain("".join(one["source"])) for one in cells if one["cell_type"] == "code")


def _plain(code: str) -> str:
    """The code where Python can read it; a page also shows parts of files."""
    try:
        ast.parse(code)
    except SyntaxError:
        return ""
    return code


def _names(code: str) -> Iterator[str]:
    """Dotted names that stand for something of ours: what is imported, and attributes of what is."""
    tree, means = ast.parse(code), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in OURS:
            for one in node.names:
                means[one.asname or one.name] = f"{node.module}.{one.name}"
        if isinstance(node, ast.Import):
            for one in node.names:
                if one.name.partition(".")[0] in OURS:
                    means[one.asname or one.name.partition(".")[0]] = (
                        one.name if one.asname else one.name.partition(".")[0]
                    )
    yield from means.values()
    for node in ast.walk(tree):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            parts.insert(0, inner.attr)
            inner = inner.value
        if parts and isinstance(inner, ast.Name) and inner.id in means:
            yield ".".join([means[inner.id], *parts])


def _split(dotted: str) -> tuple[str, str] | None:
    """Module and name; None of a module alone."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        try:
            there = find_spec(module) is not None
        except ModuleNotFoundError:  # its parent is no package
            there = False
        if there:
            return (module, parts[end]) if end < len(parts) and parts[end] in _tops(module) else None
    return None


def home(module: str, name: str) -> str:
    """Where a name that a module has is defined: there, or where it imports it from."""
    place = _tops(module).get(name, module)
    return f"{module}.{name}" if place == module else home(*place.rsplit(".", 1))


@cache
def _tops(module: str) -> dict[str, str]:
    """Each name at the top of a module -> the module, or what it is imported from; nothing is run."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return {}
    found: dict[str, str] = {}
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in OURS:
            found |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = module
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id: module for target in targets if isinstance(target, ast.Name)}
    return found
