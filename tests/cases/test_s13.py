"""Case S13: what is given as prompts means one thing everywhere, and what is not taken is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import activations
from activations import testing
from activations.errors import PatchError, PromptError
from activations.metrics import answer_tokens, logit_difference
from activations.prompts import label_columns, read

WORDS = ["pick the red card", "take the blue cup", "open a door"]
ROWS = [{"text": words, "y": n} for n, words in enumerate(WORDS)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> activations.Model:
    """A tiny random Llama."""
    return activations.load(testing.build(tmp_path_factory.mktemp("s13") / "llama"))


def tables() -> dict[str, Any]:
    """Three rows in every dress."""
    from datasets import Dataset

    frame = pd.DataFrame({"text": WORDS, "y": [0, 1, 2]}, index=[7, 7, 9])
    return {
        "DataFrame": frame,
        "its dictionaries": frame.to_dict("records"),
        "its rows": [row for _, row in frame.iterrows()],
        "Dataset": Dataset.from_list(ROWS),
        "Dataset of tensors": Dataset.from_list(ROWS).with_format("torch"),
        "Dataset of arrays": Dataset.from_list(ROWS).with_format("numpy"),
        "generator": (row for row in ROWS),
        "tuple": tuple(ROWS),
        "numpy scalars": [{"text": np.str_(w), "y": np.int32(n)} for n, w in enumerate(WORDS)],
        "torch scalars": [{"text": w, "y": torch.tensor(n)} for n, w in enumerate(WORDS)],
    }


@pytest.mark.parametrize("name", list(tables()))
def test_a_table_is_its_records(name: str):
    """Every kind of table gives the rows of the plain list, labels and types included."""
    found = read(tables()[name])
    assert [(p.id, p.text, p.labels) for p in found] == [(p.id, p.text, p.labels) for p in read(ROWS)]
    assert label_columns(found)["y"].dtype == np.int64
    assert all(type(p.text) is str and type(p.labels["y"]) is int for p in found)


def test_words_alone():
    """Strings in a list, an array or a Series are one user message each."""
    from datasets import Dataset

    own = Dataset.from_list(ROWS)["text"]
    for words in (WORDS, tuple(WORDS), np.array(WORDS), np.array(WORDS, dtype=object), pd.Series(WORDS), own):
        found = read(words)
        assert [p.messages for p in found] == [({"role": "user", "content": w},) for w in WORDS]


def test_one_prompt_is_one_prompt(model: activations.Model, tmp_path: Path):
    """A string, a row and a conversation are one prompt in every function, never a list of their parts."""
    chat = [{"role": "user", "content": WORDS[0]}]
    whole = model.logits([{"messages": chat}])
    for prompt in (WORDS[0], np.str_(WORDS[0]), {"messages": chat}, chat, tuple(chat), [chat]):
        assert torch.equal(model.logits(prompt), whole)
    text = model.logits([{"text": "take a walk"}])
    row = pd.DataFrame([{"text": "take a walk", "y": 1}]).iloc[0]
    for prompt in ({"text": "take a walk"}, {"text": "take a walk", "y": np.float32(1)}, row):
        assert torch.equal(model.logits(prompt), text)
    answer = model.generate(chat, max_new_tokens=2)
    for prompt in (WORDS[0], {"messages": chat}, tuple(chat)):
        assert model.generate(prompt, max_new_tokens=2) == answer
    for prompt in ([WORDS[0]], pd.DataFrame({"messages": [chat]})):
        assert model.generate(prompt, max_new_tokens=2) == [answer]
    for number, prompt in enumerate((WORDS[0], {"text": "take a walk"}, pd.DataFrame(ROWS))):
        store = activations.capture(model, prompt, sites="resid_post.0", out=tmp_path / f"{number}.h5")
        assert len(store) == (3 if number == 2 else 1)
    assert answer_tokens(model, WORDS[0], "red").tolist() == answer_tokens(model, [WORDS[0]], "red").tolist()


def test_pairs(model: activations.Model):
    """A map's pairs: a table is prompts that both runs read; a tuple of two prompts is asked about."""
    metric = logit_difference(3, 4)
    pair = ("pick the red card", "pick the tin card")
    found = activations.patch_map(model, [pair], metric=metric, align="roles")
    assert len(found.ids) == 1
    for pairs, fault in (
        (pair, r"\[\(source, target\)\]"),
        (pair[0], "1 pairs"),
        (pd.DataFrame(ROWS), "3 pairs"),
    ):
        with pytest.raises(PatchError, match=fault):
            activations.patch_map(model, pairs, metric=metric, align="roles")


def test_a_path_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A `Path` is a file, and so is a string that ends in .jsonl; a string that may be either is refused."""
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    (tmp_path / "notes").write_text('{"text": "a"}\n')
    monkeypatch.chdir(tmp_path)
    assert [p.text for p in read("rows.jsonl")] == ["a", "b"]
    assert [p.text for p in read(Path("notes"))] == ["a"]
    assert read("Say hello.")[0].messages == ({"role": "user", "content": "Say hello."},)
    assert read(["notes", "rows.jsonl"])[1].messages == ({"role": "user", "content": "rows.jsonl"},)
    with pytest.raises(PromptError, match=r"Path\('notes'\) for the file"):
        read("notes")
    for absent in ("none.jsonl", "none.json", Path("none")):
        with pytest.raises(PromptError, match="does not exist"):
            read(absent)


REFUSED = {
    "a number": (3, "pandas.DataFrame"),
    "nothing": (None, "a string"),
    "bytes": (b"pick", "decode"),
    "numbers": (np.arange(3), "words"),
    "a tensor": (torch.arange(3), "words"),
    "a square of words": (np.array([WORDS, WORDS]), "axis"),
    "a set": (set(WORDS), "list"),
    "columns": ({"text": WORDS, "y": [0, 1, 2]}, "one row for each"),
    "names": ({"a": WORDS[0], "b": WORDS[1]}, "exactly one of"),
    "a message": ({"role": "user", "content": "x"}, "exactly one of"),
    "another column": (pd.DataFrame({"question": WORDS}), "'text' or 'messages'; rename"),
    "a column twice": (pd.DataFrame([[1, 2, "a"]], columns=["y", "y", "text"]), "twice"),
    "numbered columns": (pd.DataFrame([["a", 1]], columns=["text", 0]), "rename"),
    "a gap": (pd.DataFrame({"text": WORDS, "y": [1.0, np.nan, 0.0]}), "row 1: label 'y' is missing"),
    "a gap of its own kind": (
        pd.DataFrame({"text": WORDS, "y": pd.array([1, None, 0], dtype="Int64")}),
        "is missing",
    ),
    "no time": (pd.DataFrame({"text": ["a"], "y": [pd.NaT]}), "is missing"),
    "a time": (pd.DataFrame({"text": ["a"], "y": [pd.Timestamp("2024-01-01")]}), "write it as one"),
    "a group": (pd.DataFrame({"text": WORDS, "y": [0, 1, 2]}).groupby("y"), "the DataFrame itself"),
    "NaN": ([{"text": "a", "y": float("nan")}], "is missing"),
    "NaN of torch": ([{"text": "a", "y": torch.tensor(float("nan"))}], "is missing"),
    "None": ([{"text": "a", "y": None}], "is missing"),
    "a vector": ([{"text": "a", "y": np.zeros(2)}], "a label is"),
    "65 bits": ([{"text": "a", "y": np.uint64(2**64 - 1)}], "64 bits"),
    "rounded": ([{"text": "a", "y": 2**53 + 1}, {"text": "b", "y": 0.5}], "float64"),
    "a complex number": ([{"text": "a", "y": 1j}], "a label is"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_is_not_taken_says_what_to_give(name: str):
    """One line, with the remedy."""
    given, remedy = REFUSED[name]
    with pytest.raises(PromptError, match=remedy) as error:
        read(given)
    assert "\n" not in str(error.value)


def test_split_datasets_and_foreign_frames_are_named():
    """A DatasetDict names its splits; a polars frame or an arrow table says which method to call."""
    import pyarrow
    from datasets import Dataset, DatasetDict

    with pytest.raises(PromptError, match="'train', 'test'"):
        read(DatasetDict(train=Dataset.from_list(ROWS), test=Dataset.from_list(ROWS)))
    with pytest.raises(PromptError, match="to_pylist"):
        read(pyarrow.table({"text": WORDS}))
    frame = type("DataFrame", (list,), {"__module__": "polars.dataframe.frame"})
    with pytest.raises(PromptError, match="to_dicts"):
        read(frame(["text", "y"]))


def test_labels_are_converted_exactly():
    """numpy's and torch's scalars give Python's of the same value and kind."""
    given = {
        "i": np.int64(-5),
        "u": np.uint8(200),
        "f": np.float32(0.1),
        "h": torch.tensor(0.3, dtype=torch.bfloat16),
        "b": np.bool_(True),
        "t": torch.tensor(False),
        "z": np.array(7),
        "s": np.str_("word"),
    }
    (found,) = read([{"text": "a", **given}])
    assert found.labels == {
        "i": -5, "u": 200, "f": float(np.float32(0.1)), "h": torch.tensor(0.3, dtype=torch.bfloat16).item(),
        "b": True, "t": False, "z": 7, "s": "word",
    }  # fmt: skip
    assert [type(v) for v in found.labels.values()] == [int, int, float, float, bool, bool, int, str]


def test_training_rows_and_items_take_tables_too():
    """Rows of a finetune from a table are those of the list; items take numpy's numbers."""
    from mi_bsa.core.items import Item
    from mi_bsa.finetune import read_rows

    chat = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    assert read_rows(pd.DataFrame({"messages": [chat, chat]})) == read_rows([{"messages": chat}] * 2)
    item = Item("a", chat[:1], [("y", np.float64(1)), ("n", 0)], {"seed": np.int64(3)})
    assert type(item.labels["seed"]) is int
