"""A small graph of steps for the tests; as a script, FOLDER and WORKERS say where and how it runs."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from mi_bsa.core.config import Config
from mi_bsa.study.execute import Executed, execute
from mi_bsa.study.steps import Cell, Step


class Train(Config):
    """A part of the config."""

    rank: int = 2
    """Rank."""
    lr: float = 0.5
    """Learning rate."""


class Small(Config):
    """The graph's config."""

    train: Train = Train()
    """Training."""
    strength: float = 1.0
    """Of steering."""
    pause: float = 0.0
    """Seconds each step takes; declared by none, read from the environment, so that it changes no key."""


def pause() -> None:
    time.sleep(float(os.environ.get("GRAPH_PAUSE", "0")))


def train(cell: Cell, *, seed: int) -> dict[str, float]:
    """Write an adapter folder in two files, with a pause between them."""
    folder = cell.folder / "adapters" / str(seed)
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps([cell.config.train.rank] * seed))
    pause()
    (folder / "b.json").write_text("done")
    return {"loss": cell.config.train.lr / (seed + 1)}


def measure(cell: Cell, *, seed: int) -> float:
    """Use the value and the files of the training."""
    pause()
    rows = json.loads((cell.folder / "adapters" / str(seed) / "a.json").read_text())
    return float(cell.value(f"train/{seed}")["loss"]) + sum(rows)


def steer(cell: Cell) -> float:
    """Depend on the strength and on nothing else."""
    pause()
    return float(cell.config.strength) * 2


def summarize(cell: Cell) -> dict[str, Any]:
    """Collect the values of every step before it."""
    (cell.folder / "results.json").write_text(json.dumps(cell.values(), sort_keys=True))
    return cell.values()


def steps(seeds: int = 3) -> list[Step]:
    graph = []
    for seed in range(seeds):
        outputs, arguments = (f"adapters/{seed}",), {"seed": seed}
        graph.append(Step(f"train/{seed}", train, arguments, fields=("train",), outputs=outputs, seconds=2.0))
        graph.append(Step(f"measure/{seed}", measure, arguments, after=(f"train/{seed}",)))
    graph.append(Step("steer", steer, fields=("strength",)))
    after = tuple(step.name for step in graph if not step.name.startswith("train"))
    return [*graph, Step("summarize", summarize, after=after, outputs=("results.json",))]


def run(folder: Path, *, config: Config | None = None, workers: int = 1) -> Executed:
    config = Small() if config is None else config
    return execute(steps(), config=config, folder=folder, workers=workers, threads=1)


if __name__ == "__main__":
    # A shell starts its background jobs with SIGINT ignored; a test that runs there sends one all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run(Path(sys.argv[1]), workers=int(sys.argv[2]))
