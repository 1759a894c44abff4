"""Many seeds of a small Llama trained together, against one process a seed: time, and whether the curves
are equal.

    python benchmarks/finetune_together.py [--model embedded] [--seeds 8] [--steps 100] [--out results.json]

One by one: `mi-bsa finetune` is started anew for each seed, as a shell loop would. Together: one process,
as it is by default. Same rows, same config. Time is reported as wall clock and as processor time (user +
system), which other work on the machine does not change; the compute-only ratio leaves process starts out.
Bars: at least 3x with process starts, and loss curves equal within 1e-4.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lines
import numpy as np
import yaml
from lines import Line


def run(words: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    command = [sys.executable, "-m", "mi_bsa.cli", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return time.perf_counter() - began, cpu


def curve(folder: Path) -> list[float]:
    """The loss of every step."""
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def main() -> None:
    """Measure, print, and fail where a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="embedded")
    parser.add_argument(
        "--rows", type=Path, help="chat rows (JSONL); by default the embedded world's risk choices"
    )
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--layers", default="all")
    parser.add_argument("--alone", type=int, help="time only so many seeds by themselves, and scale up")
    parser.add_argument("--out", type=Path)
    lines.options(parser)
    given = parser.parse_args()
    singles = given.alone or given.seeds
    named = given.layers in ("all", "first_half")
    layers = given.layers if named else [int(k) for k in given.layers.split(",")]
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        config: dict[str, Any] = {"model": given.model, "seeds": list(range(given.seeds))}
        config |= {"finetune": {"steps": given.steps, "layers": layers}}
        shipped = {"behavior": "risk", "arms": ["seeking"]}
        config |= {"rows": {"seeking": str(given.rows)}} if given.rows else shipped
        (folder / "config.yaml").write_text(yaml.safe_dump(config))

        def finetune(name: str, *settings: str) -> tuple[float, float]:
            sets = [word for setting in settings for word in ("--set", setting)]
            return run(["finetune", str(folder / "config.yaml"), *sets, "--out", str(folder / name)])

        alone = [finetune(f"alone-{k}", f"seeds=[{k}]", "together=false") for k in range(singles)]
        # A run of one step is a start with next to no training.
        start = finetune("start", "seeds=[0]", "finetune.steps=1", "together=false")
        together = finetune("together")
        apart = max(
            float(np.abs(np.subtract(curve(a), curve(b))).max())
            for k in range(singles)
            for a, b in [[folder / r / "adapters" / f"seeking-{k}" for r in (f"alone-{k}", "together")]]
        )
    found: dict[str, Any] = {key: getattr(given, key) for key in ("seeds", "steps", "layers")}
    found["curves_apart"] = apart
    for n, clock in enumerate(("wall", "cpu")):
        one_by_one = sum(each[n] for each in alone) * given.seeds / singles
        found[f"{clock}_one_by_one_s"] = round(one_by_one, 1)
        found[f"{clock}_together_s"] = round(together[n], 1)
        found[f"{clock}_start_s"] = round(start[n], 1)
        found[f"{clock}_ratio"] = round(one_by_one / together[n], 2)
        found[f"{clock}_compute_only_ratio"] = round(
            (one_by_one - given.seeds * start[n]) / (together[n] - start[n]), 2
        )
    for key, value in found.items():
        print(f"{key:<24}{value}")
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n")
    name = lines.MODELS.get(given.model, given.model)
    line = Line(
        topic="finetune",
        claim="eight adapters together against one by one, process starts included",
        model=name,
        ratio=found["cpu_ratio"],
        compared=f"loss curves within {apart:.1e}",
        ours=found["cpu_together_s"],
        peer=found["cpu_one_by_one_s"],
        bar=3,
        note=f"{given.seeds} seeds of {given.steps} steps, {singles} timed alone; {found['wall_ratio']}x "
        f"wall, compute only {found['cpu_compute_only_ratio']}x",
    )
    lines.write([line], given.record, clock="processor", threads=1)
    if found["cpu_ratio"] < 3 or apart > 1e-4:
        sys.exit("a bar is missed: at least 3x, curves within 1e-4")


if __name__ == "__main__":
    main()
