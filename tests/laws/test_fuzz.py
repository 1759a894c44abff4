"""Law: no input makes the toolkit fail, hang or change a number in silence.

Configs and prompts files are changed at random here (seeded, so that a failure is seen again), adapters,
caches and the files of unfinished runs in `test_fuzz_files.py`; whatever reads them must either take them as
what they are or refuse them in one line with exit code 2. Slow: `pytest -m slow tests/laws`; MI_BSA_FUZZ
multiplies the examples.
"""

import json
from pathlib import Path

import pytest
import yaml
from fuzzing import ODD, changed, fuzz, in_time, places, put, told, warm
from hypothesis import given
from hypothesis import strategies as st

from activations.errors import PromptError
from activations.prompts import read

pytestmark = pytest.mark.slow
CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "embedded").glob("*.yaml"))
COMMANDS = {"risk_patch": "patch", "risk_steer": "steer", "backdoor_search": "backdoor search"}
ROW = {"id": "a", "messages": [{"role": "user", "content": "take a coin ."}], "pole": 1, "g": "x"}

__all__ = ["warm"]  # a fixture of every test here


@given(data=st.data())
@fuzz(150)
def test_configs(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    """A shipped config with values replaced by odd ones, keys added and dropped: dry-run, or refused."""
    path = data.draw(st.sampled_from(CONFIGS))
    config = yaml.safe_load(path.read_text())
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.sampled_from(places(config)))
        how = data.draw(st.sampled_from(["value", "value", "value", "key", "drop"]))
        if how == "value":
            config = put(config, at, data.draw(ODD))
        elif how == "key":
            config = {**config, data.draw(st.text(max_size=6)): data.draw(ODD)}
        elif len(at) == 1:
            config = {key: value for key, value in config.items() if key != at[0]}
        if not places(config):
            break
    folder = tmp_path_factory.mktemp("configs")
    (folder / "c.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
    told([*_command(path), "c.yaml", "--out", "NEW", "--dry-run"], folder)
    assert not (folder / "NEW").exists()


def _command(path: Path) -> list[str]:
    words = COMMANDS.get(path.stem, "study").split()
    return [*words, "--config"] if words[-1] == "search" else words


@given(data=st.data())
@fuzz(100)
def test_configs_as_text(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    """A shipped config with bytes changed, cut out, repeated or put in."""
    path = data.draw(st.sampled_from(CONFIGS))
    folder = tmp_path_factory.mktemp("texts")
    (folder / "c.yaml").write_bytes(changed(path.read_bytes(), data))
    told([*_command(path), "c.yaml", "--out", "NEW", "--dry-run"], folder)
    assert not (folder / "NEW").exists()


@given(data=st.data())
@fuzz(600)
def test_prompts(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    """A prompts file with bytes changed is read as plain `json` reads its lines, or refused in one line."""
    rows = [{**ROW, "id": str(n), "pole": n % 2} for n in range(3)] + [
        {"id": "t", "text": "a", "pole": 1, "g": "y"}
    ]
    path = tmp_path_factory.mktemp("prompts") / "rows.jsonl"
    path.write_bytes(changed("".join(json.dumps(row) + "\n" for row in rows).encode(), data))
    fault, found = None, ()
    try:
        with in_time():
            found = read(path)
    except PromptError as error:
        fault = str(error)
    if fault is not None:
        assert "\n" not in fault
        return
    lines = [
        line.removeprefix("\ufeff").strip(" \t\r")
        for line in path.read_bytes().decode("utf-8-sig").split("\n")
    ]
    plain = [json.loads(line) for line in lines if line]
    assert len(found) == len(plain)
    for prompt, row in zip(found, plain, strict=True):
        row = {"messages": [{"role": "user", "content": row}]} if isinstance(row, str) else row
        row = {"messages": row} if isinstance(row, list) else row
        own = {"id", "messages", "text", "spans"}
        assert prompt.labels == {key: value for key, value in row.items() if key not in own}
        assert prompt.text == row.get("text")
        assert (prompt.messages is None) == ("messages" not in row)
        for message, given_ in zip(prompt.messages or (), row.get("messages", ()), strict=True):
            assert message["role"] == given_["role"]
            words = given_["content"]
            assert message["content"] == (
                words if isinstance(words, str) else "".join(p["text"] for p in words)
            )
