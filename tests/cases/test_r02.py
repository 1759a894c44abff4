"""Case R2: JSONL as others write it is read: lines end at a line feed only, and text parts are text."""

import json
from pathlib import Path

import numpy as np
import pytest

from activations.errors import PromptError
from activations.prompts import read
from mi_bsa.core.errors import ItemError, RowError
from mi_bsa.core.items import Item, read_items, write_items
from mi_bsa.finetune import read_rows

ODD = "one\u2028two\u2029three\x85four\x0bfive\x0csix\x1cseven"
CHAT = [{"role": "user", "content": ODD}, {"role": "assistant", "content": "yes" + ODD}]


def test_only_a_line_feed_ends_a_line(tmp_path: Path):
    """Characters that `str.splitlines` splits at are data, escaped or not, in every reader and writer."""
    path = tmp_path / "rows.jsonl"
    for ascii in (True, False):
        path.write_text(json.dumps({"messages": CHAT}, ensure_ascii=ascii) + "\n", encoding="utf-8")
        assert [m["content"] for m in read(path)[0].messages or ()] == [ODD, "yes" + ODD]
        assert read_rows(path) == [{"messages": CHAT}]
    item = Item("a", CHAT[:1], [(f"a{ODD}", 1), ("b", 0)], {"label": ODD})
    write_items([item], path)
    assert read_items(path) == [item]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_marks_and_line_ends_of_other_systems(end: str, mark: str, last: bool, tmp_path: Path):
    """A byte order mark, carriage returns, blank lines and a missing last line end change nothing."""
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps({"id": n, "text": f"row {n}"}) for n in range(2)]
    path.write_bytes((mark + f"{end} {end}".join(lines) + (end if last else "")).encode())
    assert [(p.id, p.text) for p in read(path)] == [("0", "row 0"), ("1", "row 1")]
    path.write_bytes((mark + end.join(lines) + end + mark + '{"id": "2", "text": "x"}').encode())
    assert len(read(path)) == 3


def test_text_parts_are_joined(tmp_path: Path):
    """Content as a list of text parts, as chat endpoints write it, is the joined text in every reader."""
    parts = [{"type": "text", "text": "pick the "}, {"type": "text", "text": "red card"}]
    row = {
        "messages": [
            {"role": "user", "content": parts},
            {"role": "assistant", "content": "yes", "name": None},
        ]
    }
    assert read([row])[0].messages == (
        {"role": "user", "content": "pick the red card"},
        {"role": "assistant", "content": "yes"},
    )
    row = {"messages": [*row["messages"][:1], {"role": "assistant", "content": parts[1:]}]}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    assert [m["content"] for m in read_rows(path)[0]["messages"]] == ["pick the red card", "red card"]
    assert Item("a", row["messages"][:1], [("y", 1), ("n", 0)]).messages[0]["content"] == "pick the red card"


@pytest.mark.parametrize("part", [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "input_audio"}])
def test_other_parts_are_refused_by_name(part: dict):
    """An image or a sound is never dropped in silence."""
    message = {"role": "user", "content": [{"type": "text", "text": "see"}, part]}
    with pytest.raises(PromptError, match=part["type"]):
        read([{"messages": [message]}])
    with pytest.raises(ItemError, match=part["type"]):
        Item("a", [message], [("y", 1), ("n", 0)])
    with pytest.raises(RowError, match=part["type"]):
        read_rows([{"messages": [message, {"role": "assistant", "content": "y"}]}])


def test_numbers_of_numpy_are_labels():
    """Integers, floats and booleans of numpy, and an id of numpy."""
    (found,) = read([{"id": np.int64(4), "text": "a", "n": np.int16(3), "b": np.bool_(False)}])
    assert (found.id, found.labels) == ("4", {"n": 3, "b": False})


def test_what_is_cut_off_is_still_told(tmp_path: Path):
    """Negative control: a file that is cut off is not read as a shorter one."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b')
    with pytest.raises(PromptError, match=r"line 2 is not JSON.*cut off"):
        read(path)
    with pytest.raises(RowError, match=r"line 2 is not JSON.*cut off"):
        read_rows(path)
