"""Claim: time and memory grow no faster than what is asked for: by prompts, by results, by labels.

    python benchmarks/cost_curves.py [CURVE ...] [--record] [--json results.json]

Each point runs in a process of its own, forked after all imports, on one thread: CPU seconds, and the peak
of memory above what the process began with. The exponent b of `cost = a x size^b` is the slope of a straight
line through the logarithms of four points; the bar is 1.1. Memory that hardly grows has an exponent near 0;
what one more unit costs is the slope of a straight line through the numbers themselves.

Curves: `prompts` (short ones from a file through the embedded model into a cache of one site), `labels`
(columns of the prompts: capture, the table, a deep check), `results` (the page of a behavior study whose
sections all grow, and its files), `kinds` (every result in a patch map of its own, the worst case).
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lines
import numpy as np
import torch
from lines import Line

import activations
from mi_bsa.core import results as results_module
from mi_bsa.core.config import Config
from mi_bsa.core.record import start
from mi_bsa.core.results import Null, Place, Result
from mi_bsa.report.page import render
from mi_bsa.studies.behavior.page import SECTIONS

BAR = 1.1
SIZES = {
    "prompts": (10_000, 20_000, 40_000, 80_000),
    "labels": (250, 500, 1_000, 2_000),
    "results": (500, 1_000, 2_500, 5_000),
    "kinds": (500, 1_000, 2_500, 5_000),
}
WHAT = {
    "prompts": "short prompts captured at one site",
    "labels": "columns of 50 prompts",
    "results": "results on the page of a behavior study, and its files",
    "kinds": "results, each a patch map of its own",
}
NAMES = (
    "bridge.transfer.auroc",
    "patch.recovery",
    "bridge.recovery.behavior",
    "self_report.level",
    "self_report.flips.net",
)


class Made(Config):
    """The config of a made-up run."""

    study: str = "behavior"
    """Which study."""


def captured(model: activations.Model, folder: Path, *, prompts: int, labels: int) -> None:
    """Prompts in, a finished and checked cache out."""
    with (folder / "prompts.jsonl").open("w", encoding="utf-8") as file:
        for k in range(prompts):
            row: dict[str, object] = {"id": f"q{k}", "text": f"you are an assistant {k % 97} choose {k}"}
            file.write(json.dumps(row | {f"c{j}": f"{j} of {k % 7}" for j in range(labels)}) + "\n")
    began = time.process_time()
    store = activations.capture(model, folder / "prompts.jsonl", sites="resid_post.0", out=folder / "a.h5")
    if labels > 10:
        assert len(store.table().columns) == labels + 5
        assert not store.check(deep=True)
    told(began)


def page(folder: Path, *, results: int, own_kinds: bool) -> None:
    """Results in, files and page out."""
    rng = np.random.default_rng(0)
    made = []
    for k in range(results):
        values = [float(v) for v in rng.random(5)]
        j, middle = k // len(NAMES), float(np.mean(values))
        where: dict[str, Place] = {"behavior": "risk", "arm": ("seeking", "averse")[j % 2], "split": "test"}
        where |= {"layer": j // 2 % 30, "position": f"{j // 60 % 32}:you", "kind": f"kind {j // 1920}"}
        name = NAMES[k % len(NAMES)]
        if own_kinds:
            name, where = "patch.recovery", where | {"kind": f"kind {k}"}
        elif name == "bridge.transfer.auroc":
            where = {"behavior": "risk", "layer": j % 30, "kind": "self_report", "method": f"way {j // 30}"}
        elif name != "patch.recovery":
            where |= {"kind": f"kind {j}", "method": "trained"}
        made.append(
            Result(
                name=name,
                where=where,
                value=middle,
                ci=(middle - 0.1, middle + 0.1),
                ci_method="t over seeds",
                n=5,
                unit="share",
                null=Null("shuffled labels", 100, 0.5, 0.4, 0.6),
                per_seed=tuple(values),
                seeds=(0, 1, 2, 3, 4),
            )
        )
    began = time.process_time()
    run = folder / "run"
    with start(run, config=Made(), resume=False, seeds=range(5), revisions={}, command=["made up"]):
        results_module.write(made, run)
    render(run, SECTIONS)
    told(began)


def told(began: float) -> None:
    """The point's cost so far, to the parent process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"cpu_s": time.process_time() - began, "peak": peak - BEGAN}), file=TO, flush=True)


def point(task: Callable[[Path], None]) -> dict[str, float]:
    """CPU seconds and peak bytes of a task, in a fork."""
    global BEGAN, TO
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with os.fdopen(writer, "w") as TO, tempfile.TemporaryDirectory() as folder:
            BEGAN = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
            task(Path(folder))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as lines:
        said = lines.read()
    _, status = os.waitpid(child, 0)
    if status or not said:
        raise SystemExit(f"a point failed with status {status}")
    return json.loads(said)


def exponent(sizes: list[int], costs: list[float]) -> tuple[float, float]:
    """The slope of log cost against log size, and its standard error (points less two degrees of freedom)."""
    x, y = np.log(sizes), np.log(np.maximum(costs, 1e-9))
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    left = y - y.mean() - slope * x
    return slope, float(np.sqrt(left @ left / (len(x) - 2) / (x @ x)))


def claims(curve: str, found: dict[str, Any]) -> list[Line]:
    """A line for time and one for memory."""
    sizes = ", ".join(f"{size:,}" for size in found["sizes"])
    return [
        Line(
            topic="cost curves",
            claim=f"{what} against {curve}",
            model=lines.EMBEDDED,
            ratio=found[f"exponent_{what}"],
            compared=f"{WHAT[curve]}: {sizes}",
            unit="exponent",
            bar=BAR,
            at_most=True,
            note=f"standard error {found[f'exponent_{what}_error']}; {unit}: "
            + ", ".join(f"{cost:g}" for cost in found[key]),
        )
        for what, key, unit in (("time", "cpu_s", "s"), ("memory", "peak_mb", "MB above the start"))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("curves", nargs="*", choices=[*SIZES, []], default=[])
    parser.add_argument("--share", type=float, default=1.0, help="of every size, for a quick look")
    parser.add_argument("--json", default=None)
    lines.options(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = activations.load("embedded")
    with tempfile.TemporaryDirectory() as warm:  # what is imported late counts for no point
        activations.capture(model, ["you are"], sites="resid_post.0", out=Path(warm) / "a.h5")
    tasks: dict[str, Callable[[int], Callable[[Path], None]]] = {
        "prompts": lambda n: lambda folder: captured(model, folder, prompts=n, labels=2),
        "labels": lambda n: lambda folder: captured(model, folder, prompts=50, labels=n),
        "results": lambda n: lambda folder: page(folder, results=n, own_kinds=False),
        "kinds": lambda n: lambda folder: page(folder, results=n, own_kinds=True),
    }
    found = {}
    for curve in options.curves or SIZES:
        sizes = [max(1, round(size * options.share)) for size in SIZES[curve]]
        points = [point(tasks[curve](size)) for size in sizes]
        seconds, memory = ([p[key] for p in points] for key in ("cpu_s", "peak"))
        slope, slope_error = exponent(sizes, seconds)
        grows, grows_error = exponent(sizes, memory)
        found[curve] = {
            "sizes": sizes,
            "cpu_s": [round(s, 2) for s in seconds],
            "peak_mb": [round(m / 1e6) for m in memory],
            "exponent_time": round(slope, 2),
            "exponent_time_error": round(slope_error, 2),
            "exponent_memory": round(grows, 2),
            "exponent_memory_error": round(grows_error, 2),
            "bytes_each": round(float(np.polyfit(sizes, memory, 1)[0])),
            "within_bar": bool(max(slope, grows) <= BAR),
        }
        print(curve, json.dumps(found[curve]), flush=True)
        lines.write(claims(curve, found[curve]), options.record, clock="processor")
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
