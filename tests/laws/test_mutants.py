"""The tests of what every number rests on see nine of ten small faults."""

import importlib.util
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "mutation.py"


@pytest.fixture(scope="module")
def mutation():
    """The command `tests/mutation.py`, as a module."""
    spec = importlib.util.spec_from_file_location("mutation", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_change_is_told_in_its_words(mutation):
    """Where it stands, and what became of what; a sentence that changes its letters does not count."""
    old = ["def _(x):", '    y = "bar" if x >', "        1 else 2", "    return y"]
    new = [*old[:2], "        1 else 3", old[3]]
    assert mutation.change(old, new) == (2, "1 else 2", "1 else 3")
    assert mutation.is_sentence('say("it is late", 2)', 'say("XXit is lateXX", 2)')
    assert not mutation.is_sentence('say("it is late", 2)', 'say("it is late", 3)')
    assert not mutation.is_sentence('say("it is late", 2)', "say(None, 2)")
    assert not mutation.is_sentence('say("late")', 'say("LATE")')


def test_every_listed_survivor_is_in_the_code(mutation):
    """The list of those who survive for a reason names files and functions that are still there."""
    for file, function, *_ in mutation.reasons():
        assert (mutation.ROOT / file).is_file(), f"{file}: run tests/mutation.py again"
        assert function in mutation._lines_of(mutation.ROOT / file), f"{file}: {function} is gone"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["results", "statistics", "verdict"])
def test_nine_of_ten_mutants_are_killed(mutation, name):
    """Minutes: each target of `make mutants`, every survivor with its reason."""
    text, passes = mutation.section(name, mutation.run(name))
    assert passes, text
