"""Case S16: a finished finetune is what it left, to the byte, or it is refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mi_bsa.cli.command import main
from mi_bsa.core.config import Config
from mi_bsa.study.execute import execute
from mi_bsa.study.steps import Cell, Step, plan


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two steps, one arm and one seed."""
    folder = tmp_path_factory.mktemp("s16")
    row = {
        "messages": [
            {"role": "user", "content": "take the sure coins ."},
            {"role": "assistant", "content": "yes"},
        ]
    }
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row) + "\n")
    code, _ = run(command(folder), folder)
    assert code == 0
    return folder


def command(folder: Path) -> str:
    rows = folder / "rows.jsonl"
    how = "--seeds 0 --steps 2 --set finetune.checkpoints=1 --out RUN"
    return f"finetune --model embedded --rows seeking={rows} {how}"


def run(typed: str, folder: Path, capsys: pytest.CaptureFixture[str] | None = None) -> tuple[int, str]:
    """Exit code and what went to stderr."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises(SystemExit) as left:
            main(typed.split())
    return int(left.value.code or 0), capsys.readouterr().err if capsys else ""


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-4:] = bytes(b ^ 0x40 for b in data[-4:])
    path.write_bytes(data)


def alpha(path: Path) -> None:
    """An adapter at twice its strength."""
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"lora_alpha": 2 * config["lora_alpha"]}))


CHANGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "weights": ("adapter/adapter_model.safetensors", flip),
    "strength": ("adapter/adapter_config.json", alpha),
    "cut short": ("adapter/adapter_model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-9])),
    "gone": ("adapter/adapter_model.safetensors", Path.unlink),
    "result cut short": ("finetune.json", lambda path: path.write_text(path.read_text()[:40])),
    "result emptied": ("finetune.json", lambda path: path.write_text("{}")),
    "identity": ("identity.json", lambda path: path.write_text("{")),
}
PATCH = """
model: {name: embedded, adapters: {a: RUN/adapters/seeking-0/adapter}}
items: {behavior: risk, n: 2}
source: a
target: base
"""
USES = {
    "finetune": "",
    "self-report": "self-report --model embedded --behavior risk --finetuned RUN --out NEW",
    "cache": "cache build --model embedded --adapter RUN/adapters/seeking-0/adapter --prompts p.jsonl "
    "--out NEW.h5",
    "patch": "patch p.yaml --out NEW",
}


@pytest.mark.parametrize("change", list(CHANGES))
@pytest.mark.parametrize("use", list(USES))
def test_a_changed_file_is_named(
    use: str, change: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Whatever goes on from the folder: exit code 2 and the file, and nothing is written."""
    if use != "finetune" and change == "identity":
        pytest.skip("the identity is of concern to who trains")
    shutil.copytree(trained / "RUN", tmp_path / "RUN")
    (tmp_path / "p.jsonl").write_text('{"text": "take the sure coins ."}\n')
    (tmp_path / "p.yaml").write_text(PATCH)
    name, damage = CHANGES[change]
    damage(tmp_path / "RUN/adapters/seeking-0" / name)
    typed = USES[use] or command(trained) + " --resume"
    code, said = run(typed, tmp_path, capsys)
    assert code == 2, said
    assert len(said.strip().split("\n")) == 1
    assert Path(name).name in said or (change == "gone" and "adapter" in said)
    assert not [item for item in tmp_path.iterdir() if item.name.startswith("NEW")]


def test_an_unchanged_run_is_taken(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Negative control: a finished run resumes to itself, also moved, and also with the older record."""
    shutil.copytree(trained / "RUN", tmp_path / "RUN")
    record = tmp_path / "RUN/adapters/seeking-0/finetune.json"
    code, said = run(command(trained) + " --resume", tmp_path, capsys)
    assert code == 0, said
    older = {
        key: value for key, value in json.loads(record.read_text()).items() if key not in ("sha256", "seal")
    }
    record.write_text(json.dumps(older))
    assert run(command(trained) + " --resume", tmp_path, capsys)[0] == 0
    flip(tmp_path / "RUN/adapters/seeking-0/adapter/adapter_model.safetensors")
    assert run(command(trained) + " --resume", tmp_path, capsys)[0] == 2


class Nothing(Config):
    """No field."""


def write(cell: Cell) -> int:
    """A step with one output."""
    (cell.folder / "out.txt").write_text("whole")
    return 7


STEPS = [Step(name="one", function=write, outputs=("out.txt",))]
MARKERS: dict[str, Callable[[str], str]] = {
    "value": lambda text: text.replace('"value": 7', '"value": 9'),
    "cut short": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "another's": lambda text: text.replace('"name": "one"', '"name": "two"'),
    "list": lambda text: "[]",
    "no outputs": lambda text: text.replace('"outputs"', '"outputz"', 1),
}


@pytest.mark.parametrize("change", list(MARKERS))
def test_a_changed_marker_is_not_believed(change: str, tmp_path: Path):
    """The step runs again and says why; its value is the function's, not the marker's."""
    execute(STEPS, config=Nothing(), folder=tmp_path)
    path = tmp_path / "steps" / "one.json"
    text = path.read_text()
    assert plan(STEPS, config=Nothing(), folder=tmp_path)[0].reason is None
    path.write_text(MARKERS[change](text))
    assert "other hands" in (plan(STEPS, config=Nothing(), folder=tmp_path)[0].reason or "")
    done = execute(STEPS, config=Nothing(), folder=tmp_path)
    assert (done.ran, done.values["one"]) == (("one",), 7)


def test_a_changed_output_is_made_again_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A step whose output was changed runs again, and the progress says which file and why."""
    execute(STEPS, config=Nothing(), folder=tmp_path)
    (tmp_path / "out.txt").write_text("wrong")
    capsys.readouterr()
    execute(STEPS, config=Nothing(), folder=tmp_path)
    assert "out.txt was changed by other hands" in capsys.readouterr().err
    assert (tmp_path / "out.txt").read_text() == "whole"
