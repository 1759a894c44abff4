"""What a user types wrong is one line on stderr and exit code 2, whatever the command."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from mi_bsa.cli.command import main

MISTAKES = {
    "embedded build --out NEW --set sed=3": "did you mean 'seed'",
    "embedded build --out NEW --config none.yaml": "no such config file",
    "embedded build --out TAKEN": "--resume",
    "embedded info no-such-model": "no-such-model",
    "study none.yaml --out NEW": "no such config file",
    "study wrong_key.yaml --out NEW": "unknown key",
    "study wrong_study.yaml --out NEW": "did you mean 'behavior'",
    "study not_yaml.yaml --out NEW": "not valid YAML",
    "cache build --model no-such-model --prompts rows.jsonl --sites resid_post --out NEW.h5": "no-such-model",
    "cache build --model embedded --prompts none.jsonl --sites resid_post --out NEW.h5": "none.jsonl",
    "cache build none.yaml --out NEW.h5": "none.yaml",
    "cache build --model embedded --prompts rows.jsonl --set sties=resid_post --out NEW.h5": "sites",
    "cache check none.h5": "none.h5",
    "probe sweep --cache none.h5 --label pole --groups none --out NEW": "none.h5",
    "probe sweep --cache none.h5 --label pole --groups none --out TAKEN": "TAKEN",
    "probe test --probe none --cache none.h5 --label pole": "none",
    "finetune --model no-such-model --rows rows.jsonl --steps 3 --out NEW": "no-such-model",
    "finetune --model embedded --rows none.jsonl --steps 3 --out NEW": "none.jsonl",
    "finetune --model embedded --behavior risk --steps 3 --out TAKEN": "TAKEN",
    "finetune wrong_key.yaml --out NEW": "of a study of kind 'behavior'",
    "finetune finetune_key.yaml --out NEW": "seeds",
    "self-report --model no-such-model --bank risk --out NEW": "no-such-model",
    "self-report --model embedded --bank none.yaml --out NEW": "none.yaml",
    "report NEW": "no such run folder",
    "report TAKEN": "not a run folder",
    "report": "Missing argument",
    "reprot TAKEN": "No such command",
}
"""Command line (NEW is no folder yet, TAKEN is one with a file) and a part of the line it must give."""


@pytest.mark.parametrize("typed", MISTAKES)
def test_mistake_is_one_line(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A mistake is answered in one line that says what to do, exit code 2, and nothing is written."""
    command = typed.split()[0]
    if command != "reprot" and find_spec(f"mi_bsa.cli.{command.replace('-', '_')}") is None:
        pytest.skip(f"this version has no command {command}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "TAKEN").mkdir()
    (tmp_path / "TAKEN" / "a-file").write_text("kept")
    (tmp_path / "wrong_key.yaml").write_text("study: behavior\nsedes: 5\n")
    (tmp_path / "finetune_key.yaml").write_text("sedes: [5]\n")
    (tmp_path / "wrong_study.yaml").write_text("study: behaviour\n")
    row = {"id": "a", "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "not_yaml.yaml").write_text("study: [\n")
    with pytest.raises(SystemExit) as left:
        main(typed.split())
    printed = capsys.readouterr()
    assert left.value.code == 2, printed.err
    assert printed.err.startswith("mi-bsa: ")
    assert len(printed.err.splitlines()) == 1
    assert MISTAKES[typed] in printed.err
    assert printed.out == ""
    assert [file.name for file in (tmp_path / "TAKEN").iterdir()] == ["a-file"]
    assert not [file for file in tmp_path.iterdir() if file.name.startswith("NEW")]
