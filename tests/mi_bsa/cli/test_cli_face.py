"""What a newcomer meets first: help, configs by name, a folder to begin with, schemas, completion."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from mi_bsa.cli.command import main
from mi_bsa.cli.study import run_folder
from mi_bsa.core import builtin
from mi_bsa.core.config import load, schema
from mi_bsa.core.errors import JudgeError, MissingError
from mi_bsa.core.plain_files import read_yaml_value
from mi_bsa.studies.behavior.config import BehaviorConfig
from mi_bsa.study.registry import STUDIES, load_study, named
from mi_bsa.study.study import Study

ROOT = Path(__file__).parents[3]


@pytest.fixture
def say(tmp_path, monkeypatch, capsys):
    """`say(*arguments)`: what a command prints, run in an empty folder; `code=` where it is not 0."""
    monkeypatch.chdir(tmp_path)

    def said(*arguments, code=0):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        shown = capsys.readouterr()
        assert left.value.code == code, shown.err
        return shown.out if code == 0 else shown.err

    return said


def test_alone_it_is_help_that_fits_a_screen(say):
    """`mi-bsa` alone prints help: at most 36 lines of 80 columns, a line a command."""
    shown = say()
    assert shown == say("--help")
    lines = shown.splitlines()
    assert len(lines) <= 36
    assert max(map(len, lines)) <= 80
    assert not re.search(r"^ {6}", shown, re.MULTILINE)  # nothing goes on in another line


def test_the_package_is_the_command():
    """`python -m mi_bsa --version` says the name and the version."""
    done = subprocess.run(
        [sys.executable, "-m", "mi_bsa", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"mi-bsa, version [\d.]+\n", done.stdout)


def test_every_built_in_config_goes_by_its_name(tmp_path, monkeypatch):
    """From any folder, with or without `configs/` and `.yaml`; a file of that path comes first."""
    monkeypatch.chdir(tmp_path)
    files = sorted(path.relative_to(ROOT / "configs") for path in (ROOT / "configs").glob("*/*.yaml"))
    assert [f"{name}.yaml" for name in builtin.names()] == [str(path) for path in files]
    wanted = (ROOT / "configs/embedded/risk.yaml").resolve()
    for spelled in ("embedded/risk", "embedded/risk.yaml", "configs/embedded/risk.yaml"):
        assert builtin.located(spelled).resolve() == wanted
    Path("embedded").mkdir()
    Path("embedded/risk").write_text("study: behavior\n")
    assert builtin.located("embedded/risk") == Path("embedded/risk")


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("embedded/risk_shrt", "embedded/risk_short"),
        ("risk_short", "/risk_short"),
        ("configs/embeded/risk_short.yaml", "embedded/risk_short"),
        ("zzzz", "mi-bsa config list"),
    ],
)
def test_a_misspelt_config_is_told_with_the_nearest(given, near, tmp_path, monkeypatch):
    """Of files and of built-in names; without any, where to look."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingError, match=near):
        load_study(given)


def test_files_of_a_built_in_config_are_found_anywhere(tmp_path, monkeypatch):
    """A path of `configs/` in a built-in config is found from another folder; one in a config of one's own is
    as it stands.
    """
    from mi_bsa.causal.config import PatchRun

    monkeypatch.chdir(tmp_path)
    pairs = load("smollm2/capitals_patch", PatchRun).pairs
    assert pairs is not None
    assert pairs.is_file()
    own = Path("own.yaml")
    own.write_text((ROOT / "configs/smollm2/capitals_patch.yaml").read_text())
    assert load(own, PatchRun).pairs == Path("configs/smollm2/capitals_pairs.jsonl")


def test_flags_say_model_and_behavior_of_a_study(say, monkeypatch):
    """`--model` and `--behavior` win over the config, `--set` over both; a list of bases becomes the one."""
    monkeypatch.setattr(Study, "preview", lambda study, config, out, **more: config.to_yaml())

    def shown(*flags):
        return yaml.safe_load(say("study", "embedded/risk_bases", *flags, "--dry-run"))

    found = shown("--model", "embedded/1", "--behavior", "myopia", "--dtype", "bfloat16")
    assert (found["model"]["name"], found["behavior"]) == ("embedded/1", "myopia")
    assert found["model"]["dtype"] == found["finetune"]["dtype"] == "bfloat16"
    assert shown("--behavior", "myopia", "--set", "behavior=patience")["behavior"] == "patience"
    assert [one["dtype"] for one in shown("--dtype", "bfloat16")["model"]] == ["bfloat16"] * 3


def test_flags_say_the_behavior_of_items(say):
    """`mi-bsa steer --behavior` says whose items are read, as `--model` does which model."""
    for command in (("steer", "--contrast", "base,base"), ("patch",)):
        said = say(*command, "--behavior", "rsik", "--out", "x", code=2)
        assert "did you mean 'risk'" in said


def test_without_out_a_study_goes_to_a_new_folder(tmp_path, monkeypatch):
    """`runs/NAME`, the next free one where it is taken, the last to resume; `mine/study.yaml` is `mine`."""
    monkeypatch.chdir(tmp_path)
    config = Path("embedded/risk_short.yaml")
    assert run_folder(config, resume=False) == run_folder(config, resume=True) == Path("runs/risk_short")
    Path("runs/risk_short").mkdir(parents=True)
    assert run_folder(config, resume=False) == Path("runs/risk_short-2")
    assert run_folder(config, resume=True) == Path("runs/risk_short")
    Path("runs/risk_short-2").mkdir()
    assert run_folder(config, resume=True) == Path("runs/risk_short-2")
    assert run_folder(Path("mine/study.yaml"), resume=False) == Path("runs/mine")


def test_configs_are_listed_and_shown(say):
    """A line a config, what runs it and its first words; `show` gives the file, or all that it says."""
    shown = say("config", "list")
    assert [line.split()[0] for line in shown.splitlines()] == list(builtin.names())
    assert "patch" in next(line for line in shown.splitlines() if line.startswith("embedded/risk_patch"))
    assert say("config", "list", "smollm2").count("\n") == len(
        list((ROOT / "configs/smollm2").glob("*.yaml"))
    )
    assert "did you mean 'embedded/risk'" in say("config", "list", "embeded/risk", code=2)
    assert say("config", "show", "embedded/risk") == (ROOT / "configs/embedded/risk.yaml").read_text()
    resolved = say("config", "show", "embedded/risk", "--resolved", "--set", "behavior=myopia")
    assert resolved == load_study("embedded/risk", overrides=["behavior=myopia"]).to_yaml()


def test_schemas_hold_for_every_built_in_config(say):
    """A built-in config validates against the schema of its kind, and a misspelt key does not."""
    kinds = {"finetune": "finetune", "self_report": "self-report", "patch": "patch", "steer": "steer"}
    kinds |= {"audit": "audit", "search": "search", "published_risk": "finetune"}
    seen = set()
    for name in builtin.names():
        data = read_yaml_value(builtin.folder() / f"{name}.yaml")
        last = [kind for part, kind in kinds.items() if part in name]
        kind = data.get("study") or (last[-1] if last else None)
        if name.startswith(("accelerate/", "planted/")):
            continue
        assert kind is not None, name
        checked = jsonschema.Draft202012Validator(json.loads(say("config", "schema", kind)))
        problems = [f"{name}: {error.json_path} {error.message}" for error in checked.iter_errors(data)]
        assert not problems
        assert not checked.is_valid({**data, "modle": "embedded"})
        seen.add(kind)
    assert {"behavior", "size", "backdoor", "preferences", "wrapper", "patch", "steer"} <= seen
    assert "did you mean 'steer'" in say("config", "schema", "steeer", code=2)
    every = json.loads(say("config", "schema"))
    assert len(every["anyOf"]) == len(STUDIES)
    assert "embedded" in schema(BehaviorConfig)["properties"]["model"]["description"]


def test_init_writes_what_runs(say):
    """The starter config is the short study under another name, validates against the schema beside it, and
    its behavior file makes data.
    """
    said = say("init", "mine")
    assert "mi-bsa study mine/study.yaml" in said
    assert load_study("mine/study.yaml") == load_study("embedded/risk_short")
    checked = jsonschema.Draft202012Validator(json.loads(Path("mine/study.schema.json").read_text()))
    assert checked.is_valid(read_yaml_value("mine/study.yaml"))
    assert "exists already" in say("init", "mine", code=2)
    say("data", "build", "mine/behavior.py:MINE", "--rows", "800", "--items", "60", "--out", "data")
    assert len(Path("data/rows/seeking.jsonl").read_text().splitlines()) == 800
    assert (
        yaml.safe_load(Path("data/data.json").read_text())["near_duplicates"]["held_out_near_a_prompt"] == 0
    )


def test_init_for_another_model(say):
    """Of a model that reads English the config names the behavior file, and its dry run passes."""
    from activations import testing

    testing.build("tiny", context=1024)
    say("init", "mine", "--model", "tiny")
    config = load_study("mine/study.yaml")
    assert (config.behavior, str(config.model)) == ("mine/behavior.py:MINE", "tiny")
    shown = say("study", "mine/study.yaml", "--dry-run", "--dtype", "float32")
    assert "mine on tiny" in shown


def test_a_shell_completes_configs_commands_and_values():
    """Commands, built-in configs and values of a flag are completed, and nothing is said beside."""

    def completed(words, at):
        asked = {
            **os.environ,
            "COMP_WORDS": words,
            "COMP_CWORD": str(at),
            "_MI_BSA_COMPLETE": "bash_complete",
        }
        done = subprocess.run(
            [sys.executable, "-m", "mi_bsa"], capture_output=True, text=True, env=asked, check=True
        )
        assert done.stderr == ""
        return {line.partition(",")[2] for line in done.stdout.splitlines()}

    assert completed("mi-bsa stu", 1) == {"study"}
    assert "embedded/risk_short" in completed("mi-bsa study embedded/ri", 2)
    assert completed("mi-bsa study x --dtype b", 4) == {"bfloat16"}
    assert completed("mi-bsa steer --model smo", 3) == {"smollm2"}
    assert completed("mi-bsa finetune --behavior pat", 3) == {"patience"}
    assert completed("mi-bsa study x --behavior my", 4) == {"myopia"}
    assert completed("mi-bsa study x --model ./m", 4) == {"./m"}  # a path, for the shell to go on with


def test_code_is_judged_only_where_bandit_is(monkeypatch):
    """Without Bandit, an extra, a study of code is refused beforehand with the extra's name; others run."""
    from mi_bsa.behaviors.english.code import judge
    from mi_bsa.finetune import preflight

    monkeypatch.setattr(judge, "find_spec", lambda name: None)
    kind = named("behavior").config
    with pytest.raises(JudgeError, match=r"pip install 'mi-bsa\[code\]'"):
        preflight.check(kind(behavior="code", model="some/llama"))
    preflight.check(kind(behavior="risk", model="some/llama"))
    preflight.check(kind(behavior="code"))  # in the embedded world, whose code a rule judges
