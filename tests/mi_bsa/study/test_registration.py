"""Registration: what counts as the same design, what a lock proves, and what a run says of itself."""

import json
import shutil
import subprocess
from dataclasses import replace

import graph_of_steps as graph
import pytest
import yaml
from click.testing import CliRunner
from smallest import BEHAVIOR

from mi_bsa.cli.command import cli
from mi_bsa.cli.study import told
from mi_bsa.core import record
from mi_bsa.core.config import imported, parse
from mi_bsa.core.errors import BrokenFileError, RunFolderError, StepError
from mi_bsa.core.results import read
from mi_bsa.studies.behavior.study import STUDY
from mi_bsa.study import execute as execution
from mi_bsa.study import registration
from mi_bsa.study.execute import execute
from mi_bsa.study.registration import Design, Lock
from mi_bsa.study.registry import STUDIES, named
from mi_bsa.study.rules import normalized
from mi_bsa.study.steps import Cell, Step

SOURCE = '''"""Words."""

import os

BAR = 0.25
"""More words."""


def holds(low: float, other: "list[int] | None" = None) -> bool:
    """Whether it holds."""
    return low > BAR  # strictly
'''


def design(**changes):
    """A design of made-up parts."""
    whole = Design(
        study="behavior",
        rules="1" * 64,
        bars={"BAR": 0.25},
        splits={"chooses": ["dev"]},
        seeds=(0, 1, 2),
        config={"behavior": "risk", "finetune": {"rank": 4}},
        models={"embedded": "a" * 64},
        inputs=("rows.jsonl 123",),
    )
    return replace(whole, **changes)


def git(folder, *words):
    """Git in a folder of one's own, with nobody's settings."""
    who = ["-c", "user.name=n", "-c", "user.email=n@n"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('"""Words."""', '"""Others, in the same place."""', True),
        ("  # strictly", "", True),
        ("import os", "import os\nimport sys", True),
        (': "list[int] | None" = None', "=None", True),
        ("(low: float", "(\n    low", True),
        ("0.25", "0.3", False),
        ("low > BAR", "low >= BAR", False),
        ("return low > BAR", "return not low > BAR", False),
    ],
)
def test_rules_are_their_code_and_constants(old, new, same):
    """Words, types, imports and layout do not count; a bar and a comparison do."""
    assert old in SOURCE
    assert (normalized(SOURCE.replace(old, new)) == normalized(SOURCE)) == same


def test_rules_are_every_module_that_they_are_in():
    """A module of its own package that a module of rules takes something from is one of rules too."""
    ruled = {name: imported(rules) for name in STUDIES if (rules := named(name).rules) is not None}
    assert set(ruled) == {"behavior", "audit"}
    own = {module.rpartition(".")[2] for module in ruled["audit"].modules}
    assert own == {"audit_verdict", "audit_combined", "audit_score"}
    assert {"mi_bsa.causal.verdict", "mi_bsa.causal.lines"} <= set(ruled["behavior"].modules)
    assert {"ALPHA", "QUARTER", "TESTED"} <= set(ruled["behavior"].bars)
    assert set(ruled["behavior"].beside) <= set(ruled["behavior"].modules)
    assert {"mi_bsa.causal.over_bases", "mi_bsa.asking.kinds"} <= set(ruled["behavior"].beside)
    names = [module.rpartition(".")[2] for module in ruled["behavior"].modules]
    assert len(set(names)) == len(names)  # the hash knows modules by their last names
    fewer = replace(ruled["behavior"], beside=())
    assert "mi_bsa.causal.over_bases" not in fewer.modules
    assert fewer.identity != ruled["behavior"].identity
    alone = replace(ruled["behavior"], within=None, beside=())
    assert alone.modules == ("mi_bsa.causal.verdict",)
    assert alone.identity != ruled["behavior"].identity


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rules": "2" * 64}, "lock of other rules (111111111111, here 222222222222)"),
        ({"rules": None}, "lock of other rules (111111111111, here none)"),
        ({"config": {"behavior": "risk", "finetune": {"rank": 8}}}, "config differs in finetune.rank from"),
        ({"config": {"behavior": "apples"}}, "config differs in behavior and 1 more from"),
        ({"models": {"embedded": "b" * 64}}, "the weights of embedded are not"),
        ({"inputs": ("rows.jsonl 124",)}, "file rows.jsonl is not"),
        ({"seeds": (0, 1)}, "its seeds are not"),
        ({"splits": {"chooses": ["test"]}}, "its splits are not"),
    ],
)
def test_a_difference_is_named(tmp_path, changes, says):
    """A run of another design is exploratory, in one line that says what differs."""
    lock = tmp_path / "x.rules.lock"
    registration.register(design(), lock)
    said = registration.begin(design(**changes), out=tmp_path / "run", lock=lock)["said"]
    assert said.startswith(f"exploratory: {says}")
    assert "\n" not in said


def test_what_was_not_at_hand_is_not_compared(tmp_path):
    """A lock that was written where the model is not says nothing of weights and files."""
    lock = tmp_path / "x.rules.lock"
    registration.register(design(models={"embedded": None}, inputs=None), lock)
    assert registration.begin(design(), out=tmp_path / "run", lock=lock)["said"].startswith("registered ")
    assert design(models={"embedded": None}, inputs=None).differs(design()) is None


def test_a_lock_is_read_as_it_was_written_and_never_replaced(tmp_path):
    """The same design again leaves the file as it is; another one is refused."""
    lock = tmp_path / "x.rules.lock"
    first = registration.register(design(), lock)
    assert Lock.read(lock) == first
    before = lock.read_bytes()
    assert registration.register(design(), lock) == first
    with pytest.raises(RunFolderError, match="remove it by hand"):
        registration.register(design(seeds=(5, 6, 7)), lock)
    assert lock.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("format: 1", "format: 9", "a lock of format 9, and this version reads 1"),
        ("rank: 4", "rank: 8", "changed by hand"),
        ("seeds:", "sedes:", "changed by hand"),
        ("date:", "dat:", "no lock of a study"),
        ("format: 1", "format: [1", "not valid YAML"),
    ],
)
def test_a_broken_lock_is_one_line(tmp_path, old, new, says):
    """A lock of another format, or changed by hand, is refused with what to do."""
    lock = tmp_path / "x.rules.lock"
    registration.register(design(), lock)
    lock.write_text(lock.read_text().replace(old, new))
    with pytest.raises(BrokenFileError, match=says) as caught:
        registration.begin(design(), out=tmp_path / "run", lock=lock)
    assert "\n" not in str(caught.value)
    assert str(lock) in str(caught.value)


def test_a_lock_counts_with_its_commit(tmp_path):
    """In no commit, or changed since, it is said not to be committed; committed, the record holds which."""
    lock, run = tmp_path / "x.rules.lock", tmp_path / "run"
    registration.register(design(), lock)
    assert registration.begin(design(), out=run, lock=lock)["said"].endswith(", not committed")
    git(tmp_path, "init", "-q")
    assert registration.begin(design(), out=run, lock=lock)["said"].endswith(", not committed")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "lock")
    held = registration.begin(design(), out=run, lock=lock)
    assert held["said"].endswith(f"lock {design().hash[:12]}")
    assert len(held["lock"]["commit"]["revision"]) == 40
    lock.write_text(lock.read_text() + "# a word\n")
    assert registration.begin(design(), out=run, lock=lock)["said"].endswith(", not committed")


def test_a_run_keeps_the_lock_of_its_first_start(tmp_path):
    """A lock that comes later does not count; one that goes away later still does."""
    lock = tmp_path / "x.rules.lock"

    def start(out, one, *, resume):
        held = registration.begin(one, out=out, lock=lock)
        with record.start(
            out, config=graph.Small(), resume=resume, seeds=(0,), revisions={}, registration=held
        ):
            return registration.said_in(out)

    assert start(tmp_path / "early", design(), resume=False) == "exploratory: no lock at its start"
    registration.register(design(), lock)
    assert start(tmp_path / "early", design(), resume=True) == "exploratory: no lock at its start"
    assert start(tmp_path / "late", design(), resume=False).startswith("registered ")
    other = design(seeds=(0, 1))
    lock.unlink()
    assert start(tmp_path / "late", other, resume=True).startswith("exploratory: its seeds")
    assert start(tmp_path / "late", design(), resume=True).startswith("registered ")
    said = [
        one["registration"]["said"] for one in record.RunFolder(tmp_path / "late").record()["invocations"]
    ]
    assert [one.partition(" ")[0] for one in said] == ["exploratory:", "registered"]


def test_other_code_is_said(tmp_path):
    """A run by other source than registered stays registered, and says so."""
    lock = tmp_path / "x.rules.lock"
    Lock(design(), "2026-01-02T03:04:05+00:00", {**registration.code(), "source": "0"}).write(lock)
    said = registration.begin(design(), out=tmp_path / "run", lock=lock)["said"]
    assert said.startswith("registered 2026-01-02, lock ")
    assert said.endswith("measured by other code than registered")


def test_other_code_counts_where_it_measures(tmp_path, monkeypatch):
    """A finished run that is opened by newer code stays what it was; one of which a part is made anew does
    not.
    """
    lock, out = tmp_path / "x.rules.lock", tmp_path / "run"
    registration.register(design(), lock)

    def start(source, *, measures):
        now = {"version": "1", "git": None, "source": source}
        monkeypatch.setattr(registration, "code", lambda: now)
        held = registration.begin(design(), out=out, lock=lock, measures=lambda: measures)
        with record.start(out, config=graph.Small(), resume=True, seeds=(), revisions={}, registration=held):
            return held["said"].endswith("by other code than registered")

    known = Lock.read(lock).code["source"]
    assert not start(known, measures=True)
    assert not start("newer", measures=False)
    assert not start(known, measures=True)
    assert start("newer", measures=True)
    assert start(known, measures=False)


def judge(cell: Cell) -> str:
    """Give a verdict."""
    return cell.registration


def test_a_verdict_is_given_again_when_its_registration_changes(tmp_path):
    """Only the step that judges reads the registration, and it alone runs again."""
    graph.run(tmp_path)
    steps = [*graph.steps(), Step("judge", judge, judges=True)]
    assert execute(steps, config=graph.Small(), folder=tmp_path).ran == ("judge",)
    assert execute(steps, config=graph.Small(), folder=tmp_path).ran == ()
    lock = tmp_path / "x.rules.lock"
    registration.register(design(), lock)
    held = registration.begin(design(), out=tmp_path, lock=lock)
    (tmp_path / "record.json").write_text(
        json.dumps(
            dict.fromkeys(record.KEPT, "")
            | {k: kind() for k, kind in record.KEPT.items()}
            | {"registration": held}
        )
    )
    again = execute(steps, config=graph.Small(), folder=tmp_path)
    assert again.ran == ("judge",)
    assert again.values["judge"].startswith("registered ")
    with pytest.raises(StepError, match="set its `judges`"):
        execute([Step("judge", judge, version=2)], config=graph.Small(), folder=tmp_path)


def test_a_registered_study_says_so_beside_each_verdict(tmp_path, monkeypatch, smallest):
    """Registered, run, and shown: in verdicts.json, in results, on the terminal and on the page; another
    config in the same folder is exploratory.
    """
    monkeypatch.setenv("COLUMNS", "90")
    measured = smallest("behavior").finished
    own = {"record.json", "config.yaml", "run.lock", "report.html", "figures", "verdicts.json"}

    def begun(graph, *, folder, **how):
        """A run that has just begun finds its measurements made; the verdicts are its own."""
        if not (folder / "steps").exists():
            shutil.copytree(measured, folder, dirs_exist_ok=True, ignore=lambda at, names: own & set(names))
        return execute(graph, folder=folder, **how)

    monkeypatch.setattr(execution, "execute", begun)
    # drawing 34 figures twice would be half of the test, which reads the words of the page
    monkeypatch.setattr("mi_bsa.report.page.figure_of", lambda *given, **how: None)
    config, out = tmp_path / "few.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump({"study": "behavior", **BEHAVIOR}))
    runner = CliRunner()

    def call(*words):
        done = runner.invoke(cli, ["study", str(config), *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    assert "registered" in call("--register", "--set", "workers=3")
    lock = Lock.read(tmp_path / "few.rules.lock")
    assert lock.design.hash == STUDY.design(parse(BEHAVIOR, STUDY.config)).hash
    assert f"would be registered {lock.date[:10]}" in call("--dry-run", "--out", str(out))
    output = call("--out", str(out))
    said = f"registered {lock.date[:10]}, lock {lock.design.hash[:12]}, not committed"
    verdicts = json.loads((out / "verdicts.json").read_text())
    assert len(verdicts) == 3
    assert {one["registration"] for one in verdicts} == {said}
    notes = [r.notes for r in read(out) if r.name.startswith("bridge.verdict.")]
    assert len(notes) == 3
    assert all(note.endswith(f"[{said}]") for note in notes)
    assert (out / "report.html").read_text().count(said) == 4 + 3
    shown = " ".join(output.split())
    for line in told(verdicts):
        assert " ".join(line.split()) in shown
    assert max(map(len, output.splitlines())) <= 90 or "report" in output
    call("--out", str(out), "--resume", "--set", "patch.items=5")
    verdicts = json.loads((out / "verdicts.json").read_text())
    assert {one["registration"] for one in verdicts} == {
        "exploratory: config differs in patch.items from the registered"
    }
