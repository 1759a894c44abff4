"""The rules by which a kind of study gives its verdicts, as a value that has an identity.

The law: two sets of rules have the same identity exactly where their code and constants are the same:
docstrings, comments, types, imports and layout do not count; a constant, a comparison and what is said of an
outcome do.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mi_bsa.core.files import stable_hash

_UNSAID = ("annotation", "returns", "type_comment", "type_ignores", "type_params", "ctx", "kind")
"""Fields of a syntax tree that change no value."""


@dataclass(frozen=True)
class Rules:
    """By which rules a kind of study gives its verdicts.

    Attributes:
        module: whose functions and constants are the rules.
        splits: what chooses, and what is judged, in names of sets or in words.
        within: a package: its modules that a module of rules imports are rules too; None for none.
        beside: further modules of rules, which that module does not import, or which are of another package.
    """

    module: str
    splits: Mapping[str, Any]
    within: str | None = None
    beside: tuple[str, ...] = ()

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """Names of all modules of rules."""
        found, new = [], [self.module, *self.beside]
        while new:
            found.append(new.pop(0))
            new += sorted(_imported(ast.parse(_source(found[-1])), self.within) - {*found, *new})
        return tuple(found)

    @cached_property
    def bars(self) -> dict[str, Any]:
        """The constants of the modules by name, as plain values."""
        found: dict[str, Any] = {}
        for module in self.modules:
            found |= _constants(ast.parse(_source(module)))
        return found

    @cached_property
    def identity(self) -> str:
        """Hash of constants, functions and splits."""
        said = {module.rpartition(".")[2]: normalized(_source(module)) for module in self.modules}
        return stable_hash({"modules": said, "splits": _plain(self.splits)})


def normalized(source: str) -> Any:
    """A module's source as plain values: what it computes, without docstrings, comments, imports, types and
    layout. The same under every version of Python that writes the same syntax.
    """
    return _tree(ast.parse(source))


def _source(module: str) -> str:
    found = find_spec(module)
    assert found is not None, module
    assert found.origin is not None, module
    return Path(found.origin).read_text(encoding="utf-8")


def _imported(tree: ast.Module, package: str | None) -> set[str]:
    """The modules of a package that a module imports when it is read."""
    if package is None:
        return set()
    named = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            named |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == package:
            named |= {f"{package}.{one.name}" for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            named.add(node.module)
    return {one for one in named if one.startswith(f"{package}.") and find_spec(one) is not None}


def _constants(tree: ast.Module) -> dict[str, Any]:
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name.isupper() and not name.startswith("_"):
                try:
                    found[name] = _plain(ast.literal_eval(node.value))
                except (ValueError, TypeError):
                    continue  # made by a call: the hash of the functions holds it
    return found


def _tree(node: Any) -> Any:
    if isinstance(node, ast.Constant):
        return ["Constant", repr(node.value)]
    if isinstance(node, ast.AST):
        parts = {name: _tree(value) for name, value in ast.iter_fields(node) if name not in _UNSAID}
        return [type(node).__name__, {k: v for k, v in parts.items() if v not in (None, [])}]
    if isinstance(node, list):
        return [_tree(item) for item in node if not _changes_nothing(item)]
    return node


def _changes_nothing(node: Any) -> bool:
    """Imports, texts that stand alone, and what only a type checker reads."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    checked = isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    return isinstance(node, ast.Import | ast.ImportFrom) or (checked and node.test.id == "TYPE_CHECKING")


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False, default=dict))
