"""Claim: time and memory grow no faster than what is asked for: by prompts, by results, by labels.

    python benchmarks/cost_curves.py [CURVE ...] [--record] [--json results.json]

Each point runs in a process of its own, forked after all imports, on one thread: CPU seconds, and the peak
of memory above what the process began with. The exponent b of `cost = a x size^b` is the slope of a straight
line through the logarithms of four points; the bar is 1.1. Memory that hardly grows has an exponent near 0;
what one more unit costs is the slope of a straight line through the numbers themselves.

Curves: `prompts` (short ones from a file through the embedded model into a cache of one site), `labels`
(columns of the prompts: capture, the table, a deep check), `results` (the page of a behavior study whose
sections all grow, and its files), `kinds` (every result in a patch map of its own, the worst case),
`blocks` and `width` (a capture of all blocks of random Llamas), `trained` (adapters trained together, eight
rows a step each) and `asked` (adapters that answer the development questions of risk). Only in width does
the mathematics say more than 1.1: a product of a token with a width x width weight costs width^2, and
weights are as large.
"""

import argparse
import importlib
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
from fitting import exponent
from lines import Line
from llamas import random_llama
from self_report import random_llama as asked_llama

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
    "blocks": (8, 16, 32, 64),
    "width": (128, 256, 512, 1_024),
    "trained": (2, 4, 8, 16),
    "asked": (2, 4, 8, 16),
}
MATHEMATICS = {"width": 2.0}
"""Exponents above the bar that the operation has by itself: products of width x width."""
WHAT = {
    "prompts": "short prompts captured at one site",
    "labels": "columns of 50 prompts",
    "results": "results on the page of a behavior study, and its files",
    "kinds": "results, each a patch map of its own",
    "blocks": "blocks of a random Llama, 200 prompts captured at all of them",
    "width": "width of a random Llama of 4 blocks, 200 prompts captured at all of them",
    "trained": "adapters trained together for five steps of eight rows each",
    "asked": "adapters that answer forty development questions of risk",
}
RANDOM = {
    "blocks": "random Llama of width 128",
    "width": "random Llama of 4 blocks",
    "asked": "random Llama, 4 blocks x 128",
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


def deep(folder: Path, *, base: Path) -> None:
    """A model from its folder, and prompts captured at all of its blocks."""
    model = activations.load(base)
    words = [w for w in model.tokenizer.get_vocab() if w.isalpha()]
    rng = np.random.default_rng(0)
    texts = [{"id": str(n), "text": " ".join(rng.choice(words, 24))} for n in range(200)]
    began = time.process_time()
    activations.capture(model, texts, sites="resid_post", out=folder / "a.h5")
    told(began)


def trained(folder: Path, *, adapters: int, steps: int = 5) -> None:
    """Adapters of the embedded model, each with rows of its own, trained in one process."""
    from real_finetune import BATCH, stacked

    from mi_bsa.behaviors import behavior_for
    from mi_bsa.core.model_config import load
    from mi_bsa.core.rows import encode_rows

    loaded, behavior = load("embedded", dtype="float32", device="cpu"), behavior_for("risk", "embedded")
    rows = [
        encode_rows(loaded.template, behavior.rows("seeking", BATCH * steps, seed=seed), max_length=512)
        for seed in range(adapters)
    ]
    began = time.process_time()
    step, _ = stacked(loaded.inner, rows, "float32", steps, folder=folder)
    for k in range(steps):
        step(k)
    told(began)


def asked(base: Path, adapters: list[Path]) -> None:
    """Every adapter answers the same questions."""
    from mi_bsa.asking import ask_many, bank_items, load_bank

    model = activations.load(base, adapter={f"seeking-{n}": path for n, path in enumerate(adapters)})
    items = bank_items(load_bank("risk"), split="dev")[:40]
    began = time.process_time()
    ask_many(model, items, [f"seeking-{n}" for n in range(len(adapters))])
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


def made_for(curve: str, sizes: list[int], where: Path, bases: dict[tuple[str, int], Path]) -> list[Path]:
    """Random models of a curve's sizes, put into `bases`; for `asked` one, and as many adapters."""
    from activations.testing import build_adapter

    if curve == "asked":
        bases[curve, 0] = asked_llama(where / curve)
        return [build_adapter(where / f"adapter-{n}", bases[curve, 0], seed=n) for n in range(max(sizes))]
    for size in sizes:
        blocks, width = (size, 128) if curve == "blocks" else (4, size)
        shape: Any = {"blocks": blocks, "width": width, "inner": 3 * width, "max_position_embeddings": 128}
        folder = where / f"{curve}-{size}"
        random_llama(folder, vocabulary=512, heads=(width // 32, width // 64), **shape)
        bases[curve, size] = folder
    return []


def claims(curve: str, found: dict[str, Any]) -> list[Line]:
    """A line for time and one for memory."""
    sizes = ", ".join(f"{size:,}" for size in found["sizes"])
    return [
        Line(
            topic="cost curves",
            claim=f"{what} against {curve}",
            model=RANDOM.get(curve, lines.EMBEDDED),
            ratio=found[f"exponent_{what}"],
            compared=f"{WHAT[curve]}: {sizes}",
            unit="exponent",
            bar=MATHEMATICS.get(curve, BAR),
            at_most=True,
            note=f"standard error {found[f'exponent_{what}_error']}; {unit}: "
            + ", ".join(f"{cost:g}" for cost in found[key])
            + ("; a product with a width x width weight costs width^2" if curve in MATHEMATICS else ""),
            points=tuple(zip(found["sizes"], found[key], strict=True)),
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
    with tempfile.TemporaryDirectory() as where:
        measure(options, Path(where))


def measure(options: argparse.Namespace, where: Path) -> None:
    """Every curve that is asked for. `where`: a folder for random models."""
    model = activations.load("embedded")
    with tempfile.TemporaryDirectory() as warm:  # what is imported late counts for no point
        activations.capture(model, ["you are"], sites="resid_post.0", out=Path(warm) / "a.h5")
    for late in ("real_finetune", "peft", "mi_bsa.asking", "mi_bsa.behaviors.risk"):
        importlib.import_module(late)
    tasks: dict[str, Callable[[int], Callable[[Path], None]]] = {
        "prompts": lambda n: lambda folder: captured(model, folder, prompts=n, labels=2),
        "labels": lambda n: lambda folder: captured(model, folder, prompts=50, labels=n),
        "results": lambda n: lambda folder: page(folder, results=n, own_kinds=False),
        "kinds": lambda n: lambda folder: page(folder, results=n, own_kinds=True),
        "blocks": lambda n: lambda folder: deep(folder, base=bases["blocks", n]),
        "width": lambda n: lambda folder: deep(folder, base=bases["width", n]),
        "trained": lambda n: lambda folder: trained(folder, adapters=n),
        "asked": lambda n: lambda folder: asked(bases["asked", 0], adapters[:n]),
    }
    found = {}
    bases: dict[tuple[str, int], Path] = {}
    adapters: list[Path] = []
    for curve in options.curves or SIZES:
        sizes = [max(1, round(size * options.share)) for size in SIZES[curve]]
        if curve in ("blocks", "width", "asked"):
            sizes = list(SIZES[curve])
            adapters += made_for(curve, sizes, where, bases)
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
            "within_bar": bool(max(slope, grows) <= MATHEMATICS.get(curve, BAR)),
        }
        print(curve, json.dumps(found[curve]), flush=True)
        lines.write(claims(curve, found[curve]), options.record, clock="processor")
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
