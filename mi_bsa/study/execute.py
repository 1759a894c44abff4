"""Running a graph of steps: here, or independent steps beside each other in spawned processes.

The law it keeps: a kill at any moment leaves finished steps finished and the others unstarted; running the
same graph again gives the values that an uninterrupted run gives. Workers end when their parent does, so that
no orphan writes into a folder that somebody has resumed.
"""

import copy
import math
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any, Literal

from activations.progress import headed, quiet
from mi_bsa.core.config import Config
from mi_bsa.core.progress import Progress, duration
from mi_bsa.study.steps import (
    LAYOUT,
    Cell,
    Declared,
    Planned,
    Step,
    fingerprint,
    part_of,
    plan,
    read_marker,
    write_marker,
)

Engine = Literal["local", "ray"]
"""What runs steps beside each other: processes of this machine, or a Ray cluster."""


@dataclass(frozen=True)
class Executed:
    """What a call of `execute` did.

    Attributes:
        ran: names of the steps that ran, in the order in which they finished.
        skipped: names of the steps that were finished already.
        values: what each step returned, by name.
        seconds: wall time.
    """

    ran: tuple[str, ...]
    skipped: tuple[str, ...]
    values: Mapping[str, Any]
    seconds: float


def execute(
    steps: Sequence[Step],
    *,
    config: Config,
    folder: str | Path,
    workers: int = 1,
    threads: int | None = None,
    engine: Engine = "local",
    title: str = "study",
) -> Executed:
    """Run the steps that are not finished, each after those it depends on.

    Args:
        steps: the graph, in an order in which it can run.
        config: the study's config.
        folder: the run folder.
        workers: processes; 1 runs the steps in this one.
        threads: threads of each worker process (OMP_NUM_THREADS), all cores shared evenly by default.
        engine: `local` processes, or `ray` (see `mi_bsa.study.cluster`).
        title: heads the progress.

    Raises:
        StepError: the graph contradicts itself, or a step did not write what it declares.
        ConfigError: engine `ray` where Ray is not installed.
        Exception: whatever a step raises, with a note that names the step.
    """
    began, folder = time.monotonic(), Path(folder)
    planned = plan(steps, config=config, folder=folder)
    todo = [item for item in planned if item.reason is not None]
    if older := sum(item.older for item in planned):
        said = "were finished by an older layout of mi-bsa, with the same arguments and files; they are kept"
        print(f"{older} of {len(planned)} steps {said}", file=sys.stderr, flush=True)
        for item in planned:
            marker = read_marker(folder, item.step.name) if item.older else None
            if marker is not None:  # from now on a change of its function counts again
                today = {"parts": item.parts, "key": item.key, "layout": LAYOUT}
                write_marker(folder, item.step.name, marker | today)
    if again := sum(_was_finished(folder, item.step.name) for item in todo):
        print(
            f"{again} finished steps run again: what they depend on has changed", file=sys.stderr, flush=True
        )
    for item in todo:
        if item.reason and "other hands" in item.reason:
            print(f"{item.step.name} runs again: {item.reason}", file=sys.stderr, flush=True)
    with Progress(title, sum(item.seconds for item in todo)) as progress:
        ran: list[str] = []
        if not todo:
            pass
        elif workers == 1 and engine == "local":
            for item in todo:
                progress.start(item.step.name, item.seconds)
                seconds = run_step(item, config=config, folder=folder)
                progress.advance(item.seconds, f"{item.step.name} ({duration(seconds)})")
                ran.append(item.step.name)
        else:
            share = max(1, (os.cpu_count() or 1) // workers) if threads is None else threads
            pool = _pool(engine, workers, share)
            # a cluster that is joined has its own number of workers
            seen = workers if engine == "local" else len(todo)
            ran = _run_beside(todo, config, folder, progress, pool=pool, at_once=seen)
    values = {step.name: _value(folder, step.name) for step in steps}
    skipped = tuple(step.name for step in steps if step.name not in set(ran))
    return Executed(tuple(ran), skipped, values, time.monotonic() - began)


def run_step(item: Planned, *, config: Config, folder: Path) -> float:
    """Run one step whose predecessors are finished, and mark it finished; returns its seconds."""
    step, began, spent = item.step, time.monotonic(), time.process_time()
    before = read_marker(folder, step.name)
    continues = (
        step.resumable and before is not None and before["key"] == item.key and before["state"] == "started"
    )
    marker = {"name": step.name, "key": item.key, "parts": item.parts, "layout": LAYOUT}
    if not continues:
        write_marker(folder, step.name, marker | {"state": "started"})
        for output in step.outputs:
            _remove(folder / output)
    for output in step.outputs:
        (folder / output).parent.mkdir(parents=True, exist_ok=True)
    declared: Any = Declared(part_of(config, step.part), step.fields, step=step.name)  # typed as the config
    after = tuple(step.own(name) for name in step.after)
    cell = Cell(folder / step.part, declared, step.own(step.name), after, step.judges, step.part)
    try:
        value = step.function(cell, **step.arguments)
        outputs = fingerprint(folder, step.outputs, step=step.name)
        seconds = time.monotonic() - began
        took = {"seconds": round(seconds, 3), "processor": round(time.process_time() - spent, 3)}
        finished = {"state": "finished", "outputs": outputs, **took, "value": value}
        write_marker(folder, step.name, marker | finished)
    except Exception as error:
        error.add_note(f"in step {step.name!r}")
        raise
    return seconds


def _pool(engine: Engine, workers: int, threads: int) -> Any:
    """What runs steps beside each other."""
    if engine == "ray":
        from mi_bsa.study.cluster import RayPool

        return RayPool(workers, threads)
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=spawn, initializer=_prepare, initargs=(threads,))


def _run_beside(
    todo: Sequence[Planned], config: Config, folder: Path, progress: Progress, *, pool: Any, at_once: int
) -> list[str]:
    """Run steps in other processes, `at_once` at a time, each as soon as all steps before it are done; of
    those that can start, the one first behind which most is left to do one after another.
    """
    waiting = {item.step.name: item for item in _longest_first(todo)}
    running: dict[Future[float], Planned] = {}
    ran: list[str] = []
    with pool:
        try:
            while waiting or running:
                unfinished = waiting.keys() | {item.step.name for item in running.values()}
                ready = [item for item in waiting.values() if not unfinished & set(item.step.after)]
                for item in ready[: at_once - len(running)]:
                    with _interrupt_held():
                        running[pool.submit(_call, item, config, folder)] = waiting.pop(item.step.name)
                    progress.start(item.step.name, item.seconds)
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    item = running.pop(future)
                    told = f"{item.step.name} ({duration(future.result())})"
                    progress.advance(item.seconds, told, of=item.step.name)
                    ran.append(item.step.name)
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if not isinstance(error, Exception):  # an interrupt: do not wait for what runs beside
                for process in multiprocessing.active_children():
                    process.terminate()
            raise
    return ran


def _longest_first(todo: Sequence[Planned]) -> list[Planned]:
    """Steps by the estimated seconds of the longest chain that begins with them; as given where those are
    equal, or unknown.
    """
    behind: dict[str, float] = {}
    for item in reversed(todo):  # what follows a step stands after it
        own = item.seconds if math.isfinite(item.seconds) else 0.0
        behind[item.step.name] = own + behind.get(item.step.name, 0.0)
        for name in item.step.after:
            behind[name] = max(behind.get(name, 0.0), behind[item.step.name])
    return sorted(todo, key=lambda item: -behind[item.step.name])


@contextmanager
def _interrupt_held() -> Iterator[None]:
    """Workers are spawned within, and inherit the held signal: none prints a traceback of its start."""
    resource_tracker.ensure_running()  # it lets the signal through again when it starts: before, not within
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _prepare(threads: int) -> None:
    """Begin a worker: its share of threads, before any framework is imported; and end with its parent."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends its workers
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _call(item: Planned, config: Config, folder: Path) -> float:
    """Run a step in a worker; an error that cannot travel between processes is told in words.

    What it says of its own progress are lines headed by its name; in a terminal the bars of several processes
    would be drawn over each other, and the one that shows the whole names what is at work.
    """
    try:
        with quiet() if sys.stderr.isatty() else headed(item.step.name):
            return run_step(item, config=config, folder=folder)
    except Exception as error:
        try:
            copy.copy(error)  # rebuilt from its arguments, as it is on the other side
        except Exception:
            raise RuntimeError(f"step {item.step.name!r}: {type(error).__name__}: {error}") from None
        raise


def _value(folder: Path, name: str) -> Any:
    marker = read_marker(folder, name)
    assert marker is not None
    return marker["value"]


def _was_finished(folder: Path, name: str) -> bool:
    marker = read_marker(folder, name)
    return marker is not None and marker["state"] == "finished"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
