"""Each model framework is imported in exactly one file, and only when asked for."""

import ast
import sys
from pathlib import Path

import pytest

from activations import backends
from activations.errors import BackendError

ROOT = Path(__file__).parents[2]


FRAMEWORKS = ("nnsight", "transformer_lens")


def test_a_framework_lives_in_one_file() -> None:
    """And that file is its backend."""
    found: dict[str, set[str]] = {framework: set() for framework in FRAMEWORKS}
    for path in (
        path for package in ("activations", "probes", "mi_bsa") for path in (ROOT / package).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for framework in {name.split(".")[0] for name in names} & set(FRAMEWORKS):
                found[framework].add(str(path.relative_to(ROOT)))
    assert found == {framework: {f"activations/{framework}_backend.py"} for framework in FRAMEWORKS}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_absent_framework_is_named(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for one that is not installed says what to do; that the others then work is a law of its own."""
    for name in [name for name in sys.modules if name.startswith(f"{framework}.")]:
        monkeypatch.delitem(sys.modules, name)  # imported by another test, they would be found without it
    monkeypatch.setitem(sys.modules, framework, None)
    monkeypatch.delitem(sys.modules, f"activations.{framework}_backend", raising=False)
    with pytest.raises(BackendError, match=f"{framework}.*install it, or use backend='hooks'"):
        backends.get(framework)


def test_other_backends_and_versions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown names, remote hooks, and releases whose insides are not known here."""
    from activations import nnsight_backend, transformer_lens_backend

    with pytest.raises(BackendError, match="use one of these"):
        backends.get("jax")
    with pytest.raises(BackendError, match="backend='nnsight'"):
        backends.get("hooks", remote=True)
    for module, name in ((nnsight_backend, "nnsight"), (transformer_lens_backend, "transformer_lens")):
        monkeypatch.setattr(module, "version", lambda _: "99.0")
        with pytest.raises(BackendError, match="install"):
            backends.get(name)
