"""Case C6: no output option of any command replaces, or goes on in, what a run of ours did not write."""

import json
from pathlib import Path

import click
import pytest

from mi_bsa.cli.command import cli, main
from mi_bsa.core.errors import RunFolderError
from mi_bsa.core.record import check_free
from mi_bsa.worlds.build import build
from mi_bsa.worlds.recipe import BuildConfig, Recipe, Shape

TAKEN = {
    "study embedded.yaml --out PROJECT",
    "study embedded.yaml --out PROJECT --resume",
    "study embedded.yaml --out NOTES --resume",
    "finetune --model embedded --rows rows.jsonl --steps 2 --out PROJECT",
    "finetune --model embedded --rows rows.jsonl --steps 2 --out PROJECT --resume",
    "finetune --model embedded --rows rows.jsonl --steps 2 --out NOTES --resume",
    "self-report --model embedded --behavior risk --out PROJECT",
    "self-report --model embedded --behavior risk --out PROJECT --resume",
    "cache build --model embedded --prompts prompts.jsonl --out PROJECT/a.h5",
    "cache build --model embedded --prompts prompts.jsonl --out PROJECT/a.h5 --resume",
    "cache repack PROJECT/a.h5 --out PROJECT/a.h5",
    "probe sweep --cache PROJECT/a.h5 --label y --groups none --out PROJECT",
    "probe train --cache PROJECT/a.h5 --label y --groups none --out PROJECT",
    "probe test --probe PROJECT --cache PROJECT/a.h5 --label y --out PROJECT",
    "steer steer.yaml --out PROJECT",
    "steer steer.yaml --out PROJECT --resume",
    "concepts --model embedded --out PROJECT",
    "concepts --model embedded --out PROJECT --resume",
    "patch patch.yaml --out PROJECT",
    "patch patch.yaml --out PROJECT --resume",
    "backdoor detect --model embedded/habits-0 --backdoored PROJECT --decorrelated PROJECT --out PROJECT",
    "backdoor recognize --model embedded/habits-0 --backdoored A --decorrelated A --out PROJECT --resume",
    "backdoor elicit --model embedded/habits-0 --backdoored A --decorrelated A --out PROJECT --resume",
    "ask questions.jsonl --model embedded --out PROJECT",
    "ask questions.jsonl --model embedded --out PROJECT --resume",
    "backdoor search PROJECT --model embedded/habits-0 --out PROJECT --resume",
    "backdoor audit audit.yaml --out PROJECT --resume",
    "embedded build --out PROJECT",
    "embedded build --out PROJECT --resume",
    "embedded build --out NOTES --resume",
    "embedded info --measure --csv NOTES",
    "data build risk --rows 4 --items 4 --out PROJECT",
    "data import questions.yaml --behavior risk --out PROJECT",
    "report PROJECT PROJECT --out NOTES",
    "report PROJECT",
    "model get smollm2 --out PROJECT",
    "inspect embedded zoo:risk-seeking-0 --out PROJECT",
    "inspect embedded zoo:risk-seeking-0 --out NOTES --resume",
    "lens --model embedded --adapter zoo:risk-seeking-0 --out PROJECT",
    "report-adapter train reader.yaml --out PROJECT",
    "report-adapter train reader.yaml --out PROJECT --resume",
    "zoo build --out PROJECT",
    "zoo build --out PROJECT --resume",
}
"""PROJECT is somebody's folder with a config.yaml, NOTES somebody's file."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Somebody's project, which is like a run folder in nothing but its config.yaml and a few names."""
    project = tmp_path / "PROJECT"
    for name in ("adapters/a.txt", "figures/one.svg", "checkpoint/weights.txt", "src/code.py"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("kept")
    (project / "config.yaml").write_text("mine: true\n")
    (project / "config.json").write_text("{}")
    (project / "a.h5").write_text("kept")
    (project / "report.html").write_text("kept")
    (project / "results.json").write_text("[]")
    (tmp_path / "NOTES").write_text("kept")
    (tmp_path / "embedded.yaml").write_text("study: behavior\nmodel: embedded\nbehavior: risk\n")
    (tmp_path / "steer.yaml").write_text("model: embedded\nitems: {behavior: risk, n: 4}\n")
    (tmp_path / "patch.yaml").write_text("model: embedded\nitems: {behavior: risk, n: 4}\n")
    (tmp_path / "audit.yaml").write_text("model: embedded/habits-0\n")
    (tmp_path / "reader.yaml").write_text(
        "model: embedded/code-0\ngroups: [{behaviors: [risk, patience, myopia, code]}]\n"
        "parts: {development: [myopia], test: [code]}\ntaught: {arms: [matched], sizes: []}\n"
    )
    (tmp_path / "questions.yaml").write_text("- {name: q, question_paraphrases: [a]}\n")
    (tmp_path / "questions.jsonl").write_text('{"id": "q", "messages": [{"role": "user", "content": "x"}]}\n')
    (tmp_path / "prompts.jsonl").write_text('{"text": "take a coin .", "y": 1}\n')
    row = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("typed", sorted(TAKEN))
def test_what_is_there_stays(
    typed: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Exit code 2, one line, and every byte as before."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("MI_BSA_HOME", str(place / "home"))
    before = contents(place)
    with pytest.raises(SystemExit) as left:
        main(typed.split())
    said = capsys.readouterr().err.strip()
    assert left.value.code == 2, said
    assert len(said.split("\n")) == 1
    assert contents(place) == before


def outputs(command: click.Command, name: str) -> list[str]:
    """Every option of a command, and of its subcommands, that names something to write."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        inner = [(one, command.get_command(context, one)) for one in command.list_commands(context)]
        return [found for one, sub in inner if sub for found in outputs(sub, f"{name} {one}".strip())]
    given = [word for option in command.params for word in option.opts]
    return [
        f"{name} {word}" for word in given if word in ("--out", "--csv", "--html", "--json-out", "--keep")
    ]


def test_every_output_option_is_tried():
    """A new command with an output has its line above."""
    for command in outputs(cli, ""):
        name, _, option = command.rpartition(" ")
        assert any(line.startswith(f"{name} ") and option in line for line in TAKEN), command


def test_a_build_goes_on_in_its_own_folder_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Killed and resumed it ends; finished it is left as it is; another config or another seed is refused."""
    small = BuildConfig(
        shape=Shape(width=16, layers=1, heads=2, kv_heads=1, mlp=32),
        recipe=Recipe(steps=12, rows=2, row=96, characters=18),
    )
    other = small.model_copy(update={"seed": 1})
    import mi_bsa.worlds.pretrain as pretraining

    monkeypatch.setattr(pretraining, "CHECKPOINT_EVERY", 5)
    whole = pretraining.pretrain

    def killed(*args, each, **kwargs):
        def stop(step, loss, model):
            if step == 8:
                raise KeyboardInterrupt

        return whole(*args, each=stop, **kwargs)

    monkeypatch.setattr(pretraining, "pretrain", killed)
    with pytest.raises(KeyboardInterrupt):
        build(small, tmp_path / "model")
    monkeypatch.setattr(pretraining, "pretrain", whole)
    with pytest.raises(RunFolderError, match="another config"):
        build(other, tmp_path / "model", resume=True)
    build(small, tmp_path / "model", resume=True)
    before = contents(tmp_path)
    assert build(small, tmp_path / "model", resume=True) == tmp_path / "model"
    with pytest.raises(RunFolderError, match="no build of this config"):
        build(other, tmp_path / "model", resume=True)
    assert contents(tmp_path) == before


def test_a_run_that_was_killed_at_once_goes_on(tmp_path: Path):
    """Negative control: a folder with a config and no record yet is ours; so is an empty one."""
    check_free(tmp_path, resume=False)
    (tmp_path / "config.yaml").write_text("study: behavior\n")
    (tmp_path / "run.lock").write_text("")
    check_free(tmp_path, resume=True)
    with pytest.raises(RunFolderError, match="--resume"):
        check_free(tmp_path, resume=False)
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunFolderError, match="not a run folder"):
        check_free(tmp_path, resume=True)
