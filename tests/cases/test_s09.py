"""Case S9: labels named like a cache's own columns, contradictions of joined caches, hand-made caches."""

import h5py
import numpy as np
import pandas as pd
import pytest
from small_cache import write

import probes
from activations.errors import PromptError, StoreError
from activations.prompts import Prompt
from activations.selection import select
from activations.store import Store
from activations.tokens import Row
from activations.writer import EXAMPLE_COLUMNS, ROW_COLUMNS


def rows(labels):
    """Two tokenized prompts with these labels."""
    ids = np.arange(4)
    offsets = np.stack([ids, ids + 1], axis=1)
    return [Row(Prompt(f"q{n}", None, "abcd", labels), "abcd", ids, offsets, (), None, 0) for n in range(2)]


@pytest.mark.parametrize("name", [*ROW_COLUMNS, *EXAMPLE_COLUMNS, "."])
def test_reserved_names_are_refused_at_capture(name):
    """The case (`position`) and every other column that a cache has, before anything is made."""
    with pytest.raises(PromptError, match=r"cache's own column \(example, position, token_id, id, prompt\)"):
        select(rows({"topic": "a", name: "first"}), "last")
    assert select(rows({"topic": "a", "variant": 1}), "last").examples["variant"].tolist() == [1, 1]


def change(path, how):
    with h5py.File(path, "r+") as file:
        how(file)
    return path


def _set(name, values):
    def how(file):
        if name in file:
            del file[name]
        file[name] = values

    return how


def _attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


def _nested(file):
    group = file["activations/resid_post"]
    for _ in range(3000):
        group = group.create_group("g")


HAND_MADE = {
    "label of a row column": (_set("examples/position", np.zeros(6)), "has the name of a column of rows"),
    "short label": (_set("examples/pole", np.zeros(5)), r"examples/pole is \(5,\), not \(6,\)"),
    "two-dimensional label": (_set("examples/pole", np.zeros((6, 1))), "examples/pole is"),
    "short row column": (_set("rows/position", np.zeros(3, int)), r"rows/position is \(3,\), not \(12,\)"),
    "fractional positions": (_set("rows/position", np.zeros(12)), "not whole numbers"),
    "no prompts": (lambda file: file.__delitem__("examples/prompt"), "examples/prompt is missing"),
    "no rows": (lambda file: file.__delitem__("rows"), "rows/example is missing"),
    "short site": (_set("activations/resid_post/0", np.zeros((9, 4), np.float32)), "and there are 12 rows"),
    "double site": (_set("activations/resid_post/0", np.zeros((12, 4))), "'dtype' says float32"),
    "dtype": (_attribute("dtype", "bfloat16"), "'dtype' says bfloat16"),
    "no dtype": (lambda file: file.attrs.__delitem__("dtype"), "'dtype' is missing"),
    "schema": (_attribute("schema_version", 2), "has schema 2"),
    "schema of no kind": (_attribute("schema_version", "new"), "has schema new"),
    "3,000 nested groups": (_nested, "groups within groups"),
    "a site of no kind": (_set("activations/resid_past/0", np.zeros((12, 4), np.float32)), "resid_past"),
}


@pytest.mark.parametrize("name", list(HAND_MADE))
def test_hand_made_caches_are_checked_when_opened(name, tmp_path):
    """What plain h5py wrote is read for what it is, or refused in one line that names the part."""
    how, message = HAND_MADE[name]
    with pytest.raises((StoreError, ValueError), match=message) as caught:
        Store(change(write(tmp_path / "c.h5"), how))
    assert "\n" not in str(caught.value)


def test_rows_of_examples_that_are_not_there(tmp_path):
    """Row tables that point beyond the examples are refused when they are read."""
    store = Store(change(write(tmp_path / "c.h5"), _set("rows/example", np.full(12, 6))))
    with pytest.raises(StoreError, match="do not belong together"):
        store.table()


def joined(tmp_path, one, two, columns=None, **more):
    parts = {name: Store(write(tmp_path / f"{name}.h5", **given)) for name, given in (("a", one), ("b", two))}
    return probes.Joined(parts, columns, **more)


N = np.arange(6)


def test_a_fact_against_a_label(tmp_path):
    """`--cache a.h5,pole=0` where the cache has another pole is refused; one that agrees is not."""
    with pytest.raises(probes.SourceError, match="holds a label 'pole' already"):
        joined(tmp_path, {}, {"variant": "x"}, {"a": {"pole": 0}, "b": {"pole": 1}})
    same = {"labels": {"pole": np.zeros(6, int)}}
    both = joined(tmp_path / "n", same, same, {"a": {"pole": 0}, "b": {"pole": 0}})
    assert (both.table()["pole"] == 0).all()
    for own in ("position", "example", "id"):
        with pytest.raises(probes.SourceError, match="own column"):
            probes.Joined({"a": Store(tmp_path / "a.h5")}, {"a": {own: 1}})


def test_labels_that_one_cache_lacks(tmp_path):
    """A label of one cache only is refused, or left out where that is allowed."""
    one, two = {"labels": {"pole": N % 2, "topic": N}}, {"labels": {"pole": N % 2}}
    with pytest.raises(probes.SourceError, match="b has no column 'topic' and a has"):
        joined(tmp_path, one, two)
    parts = {"a": Store(tmp_path / "a.h5"), "b": Store(tmp_path / "b.h5")}
    assert "topic" not in probes.Joined(parts, allow=["labels"]).table()


def test_one_example_with_two_labels(tmp_path):
    """The same prompt with another label in the other cache is refused; labels of the run may be allowed."""
    one, two = {"labels": {"pole": N % 2}}, {"labels": {"pole": (N + (N == 3)) % 2}}
    with pytest.raises(probes.SourceError, match="example 'q3' has different values of label 'pole'"):
        joined(tmp_path, one, two)
    parts = {"a": Store(tmp_path / "a.h5"), "b": Store(tmp_path / "b.h5")}
    assert len(probes.Joined(parts, allow=["labels"]).table()) == 24


def test_labels_of_two_types(tmp_path):
    """Numbers in one cache and words in the other would never be equal."""
    words = np.array([str(n % 2) for n in N], dtype=object)
    with pytest.raises(probes.SourceError, match="'pole' is text in b and number in a"):
        joined(tmp_path, {"labels": {"pole": N % 2}}, {"labels": {"pole": words}})


def test_facts_captured_as_labels_are_kept(tmp_path):
    """A label that is constant in each cache says whose it is, and contradicts nothing."""
    both = joined(tmp_path, {"labels": {"pole": np.zeros(6, int)}}, {"labels": {"pole": np.ones(6, int)}})
    assert both.table().groupby("adapter")["pole"].first().tolist() == [0, 1]
    assert isinstance(both.table(), pd.DataFrame)
