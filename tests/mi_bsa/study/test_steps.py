"""The graph of steps: what runs again, what does not, and what a kill leaves."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import graph_of_steps as graph
import pytest

from mi_bsa.core.errors import MissingError, StepError
from mi_bsa.core.files import stable_hash
from mi_bsa.study import execute as execution
from mi_bsa.study.execute import execute
from mi_bsa.study.steps import Cell, Step, plan, read_marker, write_marker
from mi_bsa.study.totals import describe


def broken(cell: Cell) -> None:
    raise ZeroDivisionError("planted")


def forgetful(cell: Cell) -> None:
    """Declares an output and writes none."""


def nosy(cell: Cell) -> int:
    """Reads a field and a value that it does not declare."""
    return int(cell.config.train.rank)


def nosy_of_values(cell: Cell) -> object:
    return cell.value("train/0")


def test_second_run_does_nothing(tmp_path: Path):
    """A finished graph is skipped whole, and gives the same values."""
    first = graph.run(tmp_path)
    second = graph.run(tmp_path)
    assert first.ran == tuple(step.name for step in graph.steps())
    assert second.ran == ()
    assert second.values == first.values


@pytest.mark.parametrize(
    ("changed", "reruns"),
    [
        (graph.Small(strength=3.0), {"steer", "summarize"}),
        (graph.Small(pause=1.0), set()),
        (graph.Small(train=graph.Train(rank=5)), {step.name for step in graph.steps()} - {"steer"}),
    ],
)
def test_changed_field_reruns_what_depends_on_it(tmp_path: Path, changed: graph.Small, reruns: set[str]):
    """A changed field reruns exactly the steps that declare it and those after them."""
    graph.run(tmp_path)
    again = graph.run(tmp_path, config=changed)
    assert set(again.ran) == reruns
    fresh = graph.run(tmp_path / "fresh", config=changed)
    assert again.values == fresh.values


@pytest.mark.parametrize(
    ("changed", "reruns"), [(graph.Small(), set()), (graph.Small(strength=3.0), {"steer", "summarize"})]
)
def test_a_folder_of_an_older_layout_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: graph.Small, reruns: set[str]
):
    """Steps whose functions stood elsewhere, in other words, are kept; a changed field still counts."""
    graph.run(tmp_path)
    before: dict[str, str] = {}
    for step in graph.steps():
        marker = read_marker(tmp_path, step.name)
        assert marker is not None
        marker.pop("layout")
        marker["parts"] |= {"function": "mi_bsa.old.place:name", "source": "0" * 64}
        marker["parts"]["after"] = {name: before[name] for name in marker["parts"]["after"]}
        before[step.name] = marker["key"] = stable_hash(marker["parts"])
        write_marker(tmp_path, step.name, marker)
    again = graph.run(tmp_path, config=changed)
    assert set(again.ran) == reruns
    assert f"{len(graph.steps()) - len(reruns)} of {len(graph.steps())} steps were" in capsys.readouterr().err
    assert graph.run(tmp_path, config=changed).ran == ()
    assert "older" not in capsys.readouterr().err  # their markers are of today: another source counts again


@pytest.mark.parametrize("damage", ["gone", "edited"])
def test_damaged_output_is_made_again(tmp_path: Path, damage: str):
    """An output that is gone or was edited is made again, by its step alone."""
    graph.run(tmp_path)
    file = tmp_path / "adapters" / "1" / "b.json"
    file.unlink() if damage == "gone" else file.write_text("DONE")
    assert graph.run(tmp_path).ran == ("train/1",)
    assert file.read_text() == "done"


def test_input_files_count_by_content(tmp_path: Path):
    """A step reruns when a file it reads from outside changes, and a missing one is the user's mistake."""
    given = tmp_path / "rows.jsonl"
    steps = [Step("steer", graph.steer, fields=("strength",), files=(given,))]
    with pytest.raises(MissingError, match="check the path"):
        plan(steps, config=graph.Small(), folder=tmp_path)
    for text, ran in (("a", ("steer",)), ("a", ()), ("b", ("steer",))):
        given.write_text(text)
        assert execute(steps, config=graph.Small(), folder=tmp_path).ran == ran


def test_plan_says_why(tmp_path: Path):
    """A plan names what changed, writes nothing, and sums up what is left."""
    assert {item.reason for item in plan(graph.steps(), config=graph.Small(), folder=tmp_path)} == {"new"}
    assert not list(tmp_path.iterdir())
    graph.run(tmp_path)
    planned = plan(graph.steps(), config=graph.Small(strength=2.0), folder=tmp_path)
    reasons = {item.step.name: item.reason for item in planned if item.reason is not None}
    assert reasons == {"steer": "strength: 1.0 -> 2.0", "summarize": "steer changed"}
    assert "2 of 8 steps to run" in describe(planned)


def test_workers_give_the_same_values(tmp_path: Path):
    """Independent steps beside each other in processes give what one process gives."""
    assert graph.run(tmp_path / "two", workers=2).values == graph.run(tmp_path / "one").values


class AtOnce:
    """A pool of processes that does in this one what it is given, at once."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def __enter__(self) -> "AtOnce":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, call, item, *rest) -> Future:
        self.given.append(item.step.name)
        done: Future = Future()
        done.set_result(call(item, *rest))
        return done


def test_the_longest_chain_begins_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of the steps that can start, the one behind which most is left; what is short fills the gaps."""
    pool, what = AtOnce(), {"function": graph.steer, "fields": ("strength",)}
    monkeypatch.setattr(execution, "_pool", lambda *_: pool)
    short = [Step(f"short/{n}", **what, seconds=2.0) for n in range(4)]
    chain = [
        Step("head", **what, seconds=1.0),
        Step("middle", **what, after=("head",), seconds=float("nan")),
        Step("tail", **what, after=("middle",), seconds=9.0),
    ]
    execute([*short, *chain], config=graph.Small(), folder=tmp_path, workers=2)
    assert pool.given == ["head", "short/0", "middle", "short/1", "tail", "short/2", "short/3"]


@pytest.mark.parametrize("workers", [1, 2])
def test_failure_names_the_step(tmp_path: Path, workers: int):
    """A step's error comes out as it is, with the step's name; steps done before stay done."""
    steps = [Step("steer", graph.steer, fields=("strength",)), Step("bad", broken, after=("steer",))]
    with pytest.raises(ZeroDivisionError, match="planted") as caught:
        execute(steps, config=graph.Small(), folder=tmp_path, workers=workers, threads=1)
    assert caught.value.__notes__ == ["in step 'bad'"] or workers == 2
    assert [item.reason for item in plan(steps, config=graph.Small(), folder=tmp_path)] == [
        None,
        "was interrupted",
    ]


@pytest.mark.parametrize("function", [nosy, nosy_of_values])
def test_undeclared_reading_is_an_error(tmp_path: Path, function: object):
    """A step that reads what it did not declare fails, and is told what to add."""
    steps = [*graph.steps()[:1], Step("nosy", function)]  # type: ignore[arg-type]
    with pytest.raises(StepError, match="add it to its"):
        execute(steps, config=graph.Small(), folder=tmp_path)


def test_missing_output_is_an_error(tmp_path: Path):
    """A step that does not write what it declares is not finished."""
    with pytest.raises(StepError, match="without writing"):
        execute([Step("f", forgetful, outputs=("x",))], config=graph.Small(), folder=tmp_path)


STEER = Step("steer", graph.steer)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([STEER, STEER], "given twice"),
        ([replace(STEER, after=("later",)), replace(STEER, name="later")], "no earlier step"),
        ([replace(STEER, name="../x")], "step name"),
        ([replace(STEER, outputs=("/x",))], "outside the run folder"),
        ([replace(STEER, outputs=("x",)), replace(STEER, name="b", outputs=("x",))], "both write"),
        ([replace(STEER, fields=("nothing",))], "does not have"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, steps: list[Step], message: str):
    """A graph that contradicts itself is refused before anything runs."""
    with pytest.raises(StepError, match=message):
        plan(steps, config=graph.Small(), folder=tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_and_resume(tmp_path: Path, workers: int):
    """After SIGKILLs at random moments the resumed graph ends with the uninterrupted values."""
    expected = graph.run(tmp_path / "whole").values
    folder, moments = tmp_path / "killed", random.Random(workers)
    command = [sys.executable, graph.__file__, str(folder), str(workers)]
    environment = os.environ | {"GRAPH_PAUSE": "0.1"}
    for _ in range(4):
        child = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        time.sleep(0.4 + moments.random() * 0.6)
        child.send_signal(signal.SIGKILL)
        child.wait()
    time.sleep(0.3)  # workers see that their parent is gone
    resumed = graph.run(folder)
    assert resumed.values == expected
    written = json.loads((folder / "results.json").read_text())
    assert written == json.loads((tmp_path / "whole" / "results.json").read_text())


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupt_ends_at_once(tmp_path: Path, workers: int):
    """Ctrl-C ends a run and its workers at once, with one traceback at most, and leaves it to be resumed."""
    command = [sys.executable, graph.__file__, str(tmp_path), str(workers)]
    environment = os.environ | {"GRAPH_PAUSE": "30"}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        while not list(tmp_path.glob("steps/train/*.json")):
            time.sleep(0.05)
        began = time.monotonic()
        os.killpg(child.pid, signal.SIGINT)
        try:
            _, printed = child.communicate(timeout=20)
        finally:
            child.kill()
    assert time.monotonic() - began < 10
    assert printed.count("Traceback") <= 1
    assert graph.run(tmp_path).values == graph.run(tmp_path / "whole").values
