"""Quantities: one meaning a name, no number without one, and none that the code writes is missing."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import mi_bsa
from mi_bsa.core import quantities, results
from mi_bsa.core.errors import ResultError
from mi_bsa.core.quantities import Quantity, lookup, register, register_file
from mi_bsa.core.results import Result

ROOT = Path(mi_bsa.__file__).parent
NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
WRITERS = {"Result", "over_seeds", "over_seeds_and_items", "share", "_result", "_share", "_over", "bystander"}
NOTHING_ELSE = ("behavior", "bridge", "patch", "preferences", "self_report", "size", "steer", "wrapper")
"""What a dotted string that begins so can only be the name of a quantity: no field, no data file."""


@pytest.fixture(autouse=True)
def _registry(monkeypatch):
    """What a test registers is gone after it."""
    quantities.known()
    monkeypatch.setattr(quantities, "_known", dict(quantities._known))


def written() -> Iterator[tuple[str, str]]:
    """(name, file) of every result whose name stands in the code as it is."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = str(node.value) if isinstance(node, ast.Constant) else ""
            if NAME.fullmatch(text) and text.partition(".")[0] in NOTHING_ELSE and not text.endswith(".py"):
                yield text, path.name
            if not isinstance(node, ast.Call):
                continue
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            names = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "name")]
            for one in names if called in WRITERS else ():
                if isinstance(one, ast.Constant) and NAME.fullmatch(str(one.value)):
                    yield str(one.value), path.name


def test_every_name_in_the_code_is_registered():
    """A name that shipped code writes in full has a meaning."""
    found = dict(written())
    assert len(found) > 100
    for name in found:
        if name != "base.gap":  # written with `size.` before it
            assert lookup(name).meaning, name


def test_what_nobody_registered_is_refused_with_the_nearest_name(tmp_path):
    """A slip of the pen is no new quantity; nothing is written."""
    wrong = Result("behaviour.effect", {}, 0.5, (0.4, 0.6), "t over seeds", 5, "share")
    with pytest.raises(ResultError, match=r"nearest: behavior\.effect.*register\(Quantity"):
        results.write([wrong], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_name_has_one_meaning(tmp_path):
    """The same said twice is fine, something else is not; one's own names are written like any other."""
    mine = Quantity("mine.number", "share", "what I count")
    register(mine, mine)
    with pytest.raises(ResultError, match="choose another name"):
        register(Quantity("mine.number", "share", "something else"))
    results.write([Result("mine.number", {}, 0.5, (0.4, 0.6), "t", 5, "share")], tmp_path)
    assert results.read(tmp_path)[0].name == "mine.number"


def test_a_family_stands_for_known_names_alone():
    """`variety.` before a name of the behavior study is known, before anything else it is not."""
    assert lookup("variety.behavior.effect").name == "variety.*"
    assert lookup("bridge.recovery.self_report_shift").name == "*_shift"
    assert lookup("variety.mean.gap").name == "variety.mean.gap"
    for name in ("variety.behavior.affect", "variety.", "variety.*", "_shift"):
        with pytest.raises(ResultError):
            lookup(name)


def test_a_file_of_quantities(tmp_path):
    """A study's own file is read at the first question, and says what a line of it lacks."""
    path = tmp_path / "quantities.yaml"
    path.write_text("Mine:\n  mine.other:\n    unit: share\n    meaning: what I count\n    'null': coins\n")
    register_file(path)
    assert lookup("mine.other") == Quantity("mine.other", "share", "what I count", "coins", "Mine")
    path.write_text("Mine:\n  mine.third:\n    unit: share\n")
    register_file(path)
    with pytest.raises(ResultError, match=r"mine\.third: .*meaning"):
        lookup("mine.other")
