"""Imports point one way, frameworks are imported in one file each, and light things stay light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("activations", "probes", "mi_bsa")


def imports(file: Path) -> Iterator[str]:
    """Top-level names of all modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def test_contracts_hold():
    """The contracts of pyproject.toml hold: three floors, one direction; probes know no models."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_pickle():
    """Nothing imports a module that runs code when it loads data."""
    unsafe = {"pickle", "joblib", "dill", "cloudpickle", "shelve"}
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    found = {str(file.relative_to(ROOT)): unsafe & set(imports(file)) for file in files}
    assert len(found) > 100
    assert not {file: names for file, names in found.items() if names}


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (
            "probes; probes.sweep",
            ("torch", "transformers", "peft", "nnsight", "transformer_lens", "matplotlib"),
        ),
        ("activations", ("torch", "transformers", "peft", "nnsight", "transformer_lens")),
        (
            "mi_bsa, mi_bsa.core.config, mi_bsa.core.results",
            ("torch", "transformers", "pandas", "matplotlib", "sklearn"),
        ),
    ],
)
def test_import_is_light(modules: str, heavy: tuple[str, ...]):
    """Importing a package, or naming its sweep, brings in no framework that it may never need."""
    code = f"import sys, {modules}; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
