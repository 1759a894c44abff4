"""Case C8: memory of a capture grows by what it stores, not by what a prompt is in Python."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from activations import prompts, tokens
from activations.errors import PromptError
from activations.index import Index
from activations.prompts import Labels, blocks, label_columns, read
from activations.selection import Ragged, select


@pytest.fixture(scope="module")
def model():
    """The shipped model."""
    import activations

    return activations.load("embedded")


def write(path: Path, n: int, change=lambda number, row: row) -> Path:
    """Short prompts with two labels."""
    rows = (
        change(k, {"id": f"q{k}", "messages": [{"role": "user", "content": f"would you take {k} or wait ?"}],
                   "pole": k % 2, "topic": f"t{k % 7}"})
        for k in range(n)
    )  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_memory_a_prompt(model, tmp_path, monkeypatch):
    """From 512 to 1,024 prompts, what is held grows by less than 1 kB each (7 kB before), at its peak too."""
    whole = prompts.blocks
    monkeypatch.setattr("activations.index.blocks", lambda given: whole(given, size=128))
    held = []
    for n in (512, 1024):
        file = write(tmp_path / f"{n}.jsonl", n)
        tracemalloc.start()
        index, selection = Index.of(model, file, "last")
        size, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(index) == len(selection.examples["id"]) == n
        held.append((size, peak))
    assert (held[1][0] - held[0][0]) / 512 < 1000
    assert (held[1][1] - held[0][1]) / 512 < 1200


def test_blocks_are_all_at_once(model, tmp_path, monkeypatch):
    """Token ids, answers, selections, labels and hash are those of one list of rows, whatever the block."""

    def mixed(k, row):
        if k % 3 == 0:
            row["messages"].append({"role": "assistant", "content": "wait ."})
        return row

    file = write(tmp_path / "mixed.jsonl", 50, mixed)
    rows = model.rows(file)
    whole = prompts.blocks
    for rule in ("last", "last:3", "all", "mean"):
        wanted = select(rows, rule)
        monkeypatch.setattr("activations.index.blocks", lambda given: whole(given, size=7))
        index, found = Index.of(model, file, rule)
        assert found.index_hash == wanted.index_hash
        for name in wanted.rows:
            np.testing.assert_array_equal(found.rows[name], wanted.rows[name])
        for name in wanted.examples:
            assert found.examples[name].tolist() == wanted.examples[name].tolist()
        for n, row in enumerate(rows):
            np.testing.assert_array_equal(index.ids[n], row.ids)
            np.testing.assert_array_equal(found.chosen[n], wanted.chosen[n])
            assert index.answers[n] == (len(row) if row.answer is None else row.answer)
        assert [row.prompt.id for row in index.head] == ["q0", "q1", "q2"]
        batch, one = index.batch(model, np.array([4, 9])), model.collate([rows[4], rows[9]], examples=[4, 9])
        for name in ("ids", "mask", "positions", "lengths", "prompt_lengths"):
            assert getattr(batch, name).tolist() == getattr(one, name).tolist()
        assert isinstance(index.head[0], tokens.Row)


FAULTS = {
    "an id twice": (lambda k, row: row | {"id": "q3"} if k == 30 else row, "id 'q3' is in rows 3 and 30"),
    "ids in some rows": (
        lambda k, row: {key: v for key, v in row.items() if key != "id"} if k == 30 else row,
        "39 of 40 rows have an 'id'",
    ),
    "a label that starts late": (
        lambda k, row: row | ({"late": 1} if k > 30 else {}), "absent in 31 of 40 rows",
    ),
    "a label that ends": (
        lambda k, row: {key: v for key, v in row.items() if key != "topic" or k < 30},
        r"absent in 10 of 40 rows \(first: id 'q30'\)",
    ),
    "a label of two types": (lambda k, row: row | {"pole": "one"} if k == 30 else row, "has mixed types"),
    "no words": (
        lambda k, row: row | {"messages": [{"role": "user", "content": " "}]} if k == 30 else row, "row 30",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FAULTS))
def test_faults_are_the_same_in_blocks(name, tmp_path):
    """What is wrong with a later row is said as before, though earlier blocks are gone."""
    change, message = FAULTS[name]
    file = write(tmp_path / "bad.jsonl", 40, change)
    with pytest.raises(PromptError, match=message):
        read(file)
    with pytest.raises(PromptError, match=message):
        _in_blocks(file)


def _in_blocks(file):
    labels = Labels()
    for block in blocks(file, size=8):
        for prompt in block:
            labels.add(prompt)
    return labels.columns()


def test_a_late_byte_that_is_no_text(tmp_path):
    """The place of a bad byte is counted from the beginning of the file."""
    file = write(tmp_path / "bad.jsonl", 40)
    content = file.read_bytes()
    file.write_bytes(content + b'{"text": "\xff"}\n')
    with pytest.raises(PromptError, match=rf"byte 0xff at {len(content) + 10}\)"):
        list(blocks(file))


def test_ragged_arrays():
    """Arrays of any lengths, joined in order."""
    parts = [np.arange(3), np.zeros(0, int), np.array([7])]
    found = Ragged.joined([Ragged(parts), Ragged(parts[:1])])
    assert [item.tolist() for item in found] == [[0, 1, 2], [], [7], [0, 1, 2]]
    assert found.lengths.tolist() == [3, 0, 1, 3]
    assert len(Ragged([])) == 0


def test_labels_are_collected_as_columns():
    """Types as before: words, whole numbers, numbers, truth values."""
    made = [
        prompts.Prompt(str(n), None, "x", {"w": "ab"[n % 2], "i": n, "f": n / 2, "b": n > 1})
        for n in range(4)
    ]
    columns = label_columns(made)
    assert [columns[k].dtype.kind for k in "wifb"] == ["O", "i", "f", "b"]
    assert columns["f"].tolist() == [0, 0.5, 1, 1.5]
