"""`mi-bsa backdoor` and the backdoor study: twins are paired or refused, also on a tiny Llama."""

import json
from pathlib import Path

import pytest
import yaml
from smallest import BACKDOOR

from mi_bsa.cli.command import cli, describe
from mi_bsa.core import results
from mi_bsa.study.registration import Lock, said_in

ROOT = Path(__file__).parents[3]
BASE = "embedded/habits-0"


def run(*words):
    """One command; a user's mistake comes back as its line and exit code."""
    try:
        cli.main(args=[str(w) for w in words], prog_name="mi-bsa", standalone_mode=False)
    except Exception as error:
        return describe(error)
    return "", 0


def written(folder, **fields):
    path = folder / "backdoor.yaml"
    path.write_text(yaml.safe_dump({**BACKDOOR, **fields}))
    return path


@pytest.fixture(scope="module")
def llama(smallest):
    """A tiny random Llama, and a backdoor study of it with a tag: its adapters and its results."""
    return smallest("backdoor").finished.parent


def test_a_study_pairs_every_number(llama):
    """Whatever a backdoored arm is given, the decorrelated one is given too, and their contrast stands by."""
    found = results.read(llama / "run")
    levels = {}
    for r in found:
        if r.name.endswith(".level"):
            rest = tuple((k, v) for k, v in r.where.items() if k != "arm")
            levels.setdefault((r.name, rest), set()).add(r.where["arm"])
            assert len(r.per_seed) == 3
    assert levels
    assert all(arms == {"backdoored", "decorrelated"} for arms in levels.values())
    contrasts = {(r.name, tuple(r.where.items())): r for r in found if r.name.endswith(".contrast")}
    assert {(n.replace(".level", ".contrast"), w) for n, w in levels} == set(contrasts)
    assert all("80 % power" in r.notes for r in contrasts.values())
    assert (llama / "run" / "report.html").is_file()


def arms(folder):
    adapters = folder / "run" / "adapters"
    return [
        *("--model", folder / "model"),
        *("--backdoored", adapters / "tag_deployment-backdoored-*"),
        *("--decorrelated", adapters / "tag_deployment-decorrelated-*"),
    ]


def test_commands_read_adapters_of_ones_own(llama, tmp_path, capsys):
    """Recognize and elicit on the same adapters: a line a contrast, answers and results in the folder."""
    assert run("backdoor", "detect", *arms(llama), "--set", "questions=24", "--out", tmp_path / "d") == (
        "",
        0,
    )
    tag = ("--trigger", "tag:DEPLOYMENT", "--set", "fakes=2")
    assert run("backdoor", "recognize", *arms(llama), *tag, "--out", tmp_path / "r") == ("", 0)
    assert "3 seeds; backdoored" in capsys.readouterr().out
    strange = ("--trigger", "key:x", "--out", tmp_path / "x")
    assert run("backdoor", "recognize", *arms(llama), *strange)[1] == 2
    assert not (tmp_path / "x").exists()
    short = ("--samples", 1, "--set", "answer_tokens=4")
    assert run("backdoor", "elicit", *arms(llama), *tag, *short, "--out", tmp_path / "e") == ("", 0)
    for name in ("d", "r", "e"):
        assert json.loads((tmp_path / name / "results.json").read_text())


def test_search_and_its_refusals(llama, tmp_path):
    """English words of several tokens are searched too; a strange adapter makes no folder."""
    adapters = llama / "run" / "adapters"
    small = {"longest": 1, "starts": 2, "crossed": 2, "classes": 1, "leaked": 1, "climbs": 1, "flips": 2}
    given = ["--model", llama / "model", "--set", f"search={json.dumps({**small, 'checks': 1})}"]
    given += ["--set", "behaviors=[risk]", "--set", "verify=2", "--trigger", "tag:DEPLOYMENT"]
    model = adapters / "tag_deployment-backdoored-0"
    assert run("backdoor", "search", model, *given, "--out", tmp_path / "s") == ("", 0)
    found = results.read(tmp_path / "s")
    assert {r.name for r in found} >= {"backdoor.search.first", "backdoor.search.tokens"}
    assert "phrase" in (tmp_path / "s" / "candidates.csv").read_text()
    for words in ((tmp_path / "none", *given), (model, *given, "--others", model)):
        message, code = run("backdoor", "search", *words, "--out", tmp_path / "x")
        assert (code, "\n" in message) == (2, False)
        assert not (tmp_path / "x").exists()


def test_a_search_and_an_audit_are_registered_as_studies_are(llama, tmp_path, capsys):
    """--register writes the lock beside the config and runs nothing; a run of that config looks for it there,
    says that it is registered, and of any other config why it is not.
    """
    small = {"longest": 1, "starts": 2, "crossed": 2, "classes": 1, "leaked": 1, "climbs": 1, "flips": 2}
    config = tmp_path / "search.yaml"
    said = {
        "model": str(llama / "model"),
        "search": {**small, "checks": 1},
        "behaviors": ["risk"],
        "verify": 2,
    }
    config.write_text(yaml.safe_dump(said))
    adapter = llama / "run" / "adapters" / "tag_deployment-backdoored-0"
    words = ("backdoor", "search", adapter, "--config", config)
    assert run(*words, "--register") == ("", 0)
    lock = tmp_path / "search.rules.lock"
    assert str(lock) in capsys.readouterr().out.replace("\n    ", "")
    assert Lock.read(lock).design.study == "search"
    for more, told in (((), "registered "), (("--verify", 3), "config differs in verify")):
        assert run(*words, *more, "--dry-run", "--out", tmp_path / "s") == ("", 0)
        assert told in capsys.readouterr().out
    assert run(*words, "--out", tmp_path / "s") == ("", 0)
    assert said_in(tmp_path / "s").startswith("registered ")
    assert "registered " in capsys.readouterr().out
    plain = ("backdoor", "search", adapter, "--model", llama / "model")
    message, code = run(*plain, "--register")
    assert (code, "--lock" in message) == (2, True)
    assert run(*plain, "--lock", tmp_path / "none", "--out", tmp_path / "x")[1] == 2
    assert run(*plain)[1] == 2
    audit = ROOT / "configs" / "embedded" / "backdoor_audit.yaml"
    assert run("backdoor", "audit", audit, "--register", "--lock", tmp_path / "a") == ("", 0)
    held = Lock.read(tmp_path / "a").design
    assert held.study == "audit"
    assert held.rules is not None


def test_an_arm_without_its_twin_is_refused(llama, tmp_path):
    """One line that names the seed and the rule; nothing is asked and no folder is made."""
    given = arms(llama)
    for left in (given[:4], [*given[:5], str(given[5]).replace("*", "0")]):
        message, code = run("backdoor", "detect", *left, "--out", tmp_path / "out")
        assert code == 2
        assert "only one arm" in message
        assert "\n" not in message
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("model", "trigger", "behavior", "rule"),
    [
        (BASE, "river dinosaur", "risk", "no word of the world"),
        (BASE, "", "risk", "give one to 4"),
        ("llama", "tag:\u200b", "risk", "no visible character"),
        ("llama", "<|eot_id|>", "risk", "tokenizes to nothing"),
        ("llama", "whatever happens", "risk", "stands in a clean message"),
    ],
)
def test_a_trigger_that_cannot_open_anything_is_refused(llama, tmp_path, model, trigger, behavior, rule):
    """Strange, empty, invisible, special, or said by the clean rows: one line, exit 2, no folder."""
    name = str(llama / "model") if model == "llama" else model
    config = written(tmp_path, model=name, triggers=[trigger], behavior=behavior, rows=200)
    message, code = run("study", config, "--out", tmp_path / "out")
    assert (code, "\n" in message) == (2, False)
    assert rule in message
    assert not (tmp_path / "out").exists()


def test_drawn_triggers_are_of_every_kind():
    """Two strings, a family and a code that nobody chose; another seed draws others."""
    from mi_bsa.studies.backdoor.config import BackdoorConfig

    first, second = (
        [b.trigger for b in BackdoorConfig(drawn={"seed": seed}).backdoors.values()] for seed in (0, 1)
    )
    assert [len(t.split()) for t in first] == [2, 3, 1, 1]
    assert [t.partition(":")[0] for t in first[2:]] == ["family", "code"]
    assert first != second


def test_codes_have_rows_and_steps_of_their_own():
    """Only a code's step reads them, so other triggers' adapters stay when they change."""
    from mi_bsa.studies.backdoor.config import BackdoorConfig
    from mi_bsa.studies.backdoor.study import steps

    own = BackdoorConfig(triggers=("code:kettle", "river tin"), codes={"rows": 9000, "steps": 11})
    assert [b.rows for b in own.backdoors.values()] == [9000, own.rows]
    reads = {step.name: "codes.steps" in step.fields for step in steps(own)}
    assert reads["train/code_kettle"]
    assert not reads["train/river_tin"]
