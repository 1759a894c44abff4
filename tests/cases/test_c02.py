"""Case C2: what a command names is loaded first, in a dry run too; a mistake in it is exit 2, no folder."""

from pathlib import Path

import pytest
import yaml

from mi_bsa import behaviors
from mi_bsa.cli.command import main
from mi_bsa.core.errors import BehaviorError

FILES = {
    "ends": ("import sys\nsys.exit(0)\n", "line 2 cannot be run: it ends the process (exit code 0)"),
    "ends with words": ("raise SystemExit('bye')\n", "it ends the process (exit code bye)"),
    "syntax": ("X = 1\ndef broken(:\n", "line 2 cannot be run: SyntaxError"),
    "indentation": ("if True:\nX = 1\n", "line 2 cannot be run: IndentationError"),
    "import": ("import no_such_module_anywhere\n", "ModuleNotFoundError"),
    "raises": ("\n\nX = 1 / 0\n", "line 3 cannot be run: ZeroDivisionError"),
    "endless": ("def f():\n    f()\nf()\n", "RecursionError"),
    "null byte": ("X = '\0'\n", "cannot be run"),
    "no such name": ("Y = 1\n", "has no 'X'"),
    "no behavior": ("X = 1\n", "is no behavior"),
}
"""What a behavior's file says, and a part of the line about it."""

ITEMS = {"model": {"name": "embedded", "adapters": {}}, "items": {"behavior": "?"}}
COMMANDS = {
    "study": ({"study": "behavior", "behavior": "?"}, []),
    "study of faithfulness": ({"study": "faithfulness", "behavior": "?"}, []),
    "study of personas": ({"study": "personas", "behavior": "?"}, []),
    "study of sizes": ({"study": "size", "behavior": "?"}, []),
    "study of a wrapper": (
        {"study": "wrapper", "pcfg": None, "compiled": None, "stories": None, "awareness": {"behavior": "?"}},
        [],
    ),
    "study of backdoors": ({"study": "backdoor", "behavior": "?", "triggers": ["river tin"]}, []),
    "study of variety": ({"study": "variety", "behaviors": ["?"], "models": ["embedded"]}, []),
    "finetune": ({"behavior": "?", "finetune": {"steps": 2}}, ["--seeds", "0"]),
    "self-report": ({"behavior": "?"}, []),
    "patch": ({**ITEMS, "source": "base", "target": "base"}, []),
    "steer": ({**ITEMS, "contrast": ["base", "base"]}, []),
}


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    """A command as a user types it: exit code and what stands on stderr."""
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    code = left.value.code
    assert isinstance(code, int)
    return code, capsys.readouterr().err


def named(value: object, behavior: str) -> object:
    """The config with the behavior's name put in."""
    if isinstance(value, dict):
        return {key: named(item, behavior) for key, item in value.items()}
    if isinstance(value, list):
        return [named(item, behavior) for item in value]
    return behavior if value == "?" else value


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_cannot_be_run_is_a_mistake_in_it(what: str, tmp_path: Path):
    """Whatever it raises, it is named with its line; nothing of it stays behind."""
    text, message = FILES[what]
    path = tmp_path / "own.py"
    path.write_text(text)
    for _ in range(2):  # the second look is as good as the first
        with pytest.raises(BehaviorError) as refused:
            behaviors.get(f"{path}:X")
        assert message in str(refused.value)
        assert str(path) in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("behavior", ["rsik", "ends", "syntax"])
@pytest.mark.parametrize("dry", [True, False], ids=["dry", "real"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_loads_what_it_names_first(
    command: str, dry: bool, behavior: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Misspelled, ended or broken: exit 2, one line, no folder."""
    if behavior in FILES:
        (tmp_path / "own.py").write_text(FILES[behavior][0])
        behavior = f"{tmp_path}/own.py:X"
    data, more = COMMANDS[command]
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(named(data, behavior)))
    words = [command.split()[0], config, *more, "--out", tmp_path / "out", *(["--dry-run"] if dry else [])]
    code, said = run(capsys, *words)
    assert code == 2, said
    assert len(said.splitlines()) == 1, said
    assert ("did you mean 'risk'" if behavior == "rsik" else "cannot be run") in said or (
        command == "study of variety" and "is unknown" in said
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--set", "model=gone/nowhere/at-all"], "check its spelling"),
        (["--set", "model=EMPTY"], "neither model.safetensors"),
        (["--set", "model={name: embedded, attention: flash}"], "attention"),
        (["--set", "behavior=gone.py:X"], "no such file"),
        (["--set", "finetune.max_length=10"], "row 0 has"),
        (["--set", "probe.site=resid_pst"], "resid_post"),
        (["--set", "probe.site=resid_post.99"], "99"),
        (["--set", "probe.position=lst"], "unknown position"),
        (["--set", "finetune.layers=[7]"], "7"),
    ],
)
def test_a_dry_run_fails_where_the_run_would(
    given: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A model that is not there or has no weights, a file that is gone, rows that do not fit."""
    (tmp_path / "EMPTY").mkdir()
    config = tmp_path / "config.yaml"
    config.write_text("study: behavior\nbehavior: risk\nfinetune: {steps: 2}\n")
    given = [word.replace("EMPTY", str(tmp_path / "EMPTY")) for word in given]
    code, said = run(capsys, "study", config, *given, "--out", tmp_path / "out", "--dry-run")
    assert (code, len(said.splitlines())) == (2, 1), said
    assert message in said
    assert not (tmp_path / "out").exists()


def test_code_that_ends_the_process_later_is_told_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A behavior that calls sys.exit where its rows are drawn is no success."""
    (tmp_path / "own.py").write_text(
        "import dataclasses, sys\n"
        "from mi_bsa import behaviors\n"
        "class Own:\n"
        "    def __init__(self): self.of = behaviors.get('risk')\n"
        "    def __getattr__(self, name): return getattr(self.of, name)\n"
        + "".join(
            f"    {name} = property(lambda self: self.of.{name})\n"
            for name in ("name", "trait", "poles", "neighbor", "forbidden")
        )
        + "".join(
            f"    def {name}(self, *given, **more): return self.of.{name}(*given, **more)\n"
            for name in ("items", "questions", "personas", "neutral", "study_sets")
        )
        + "    def rows(self, *given, **more): sys.exit(0)\n"
        "X = Own()\n"
    )
    words = ["finetune", "--behavior", f"{tmp_path}/own.py:X", "--steps", "2", "--out", tmp_path / "out"]
    code, said = run(capsys, *words)
    assert code == 2
    assert "ended the process (exit code 0)" in said


def test_what_is_right_still_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A dry run of a right config says what it loaded and encoded, and writes nothing."""
    config = tmp_path / "config.yaml"
    config.write_text("study: behavior\nbehavior: risk\nfinetune: {steps: 2}\n")
    with pytest.raises(SystemExit) as left:
        main(["study", str(config), "--out", str(tmp_path / "out"), "--dry-run"])
    said = capsys.readouterr().out
    assert left.value.code == 0
    assert "embedded: loaded (base); attention sdpa" in said
    assert "risk on embedded: 150 rows and one item of each of" in said
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
