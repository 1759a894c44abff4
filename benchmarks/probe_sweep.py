"""Claim: the batched solver fits a sweep at least 8 times faster than scikit-learn, to the same AUROC.

    python benchmarks/probe_sweep.py   # 32 layers x 2,048 x 1,024, 5 penalties, 5 folds, 20 shuffles
    python benchmarks/probe_sweep.py --model smollm2 --rows 2000 --workers 1 --peer-cells 120 \\
        --peers lmprobe=ENVIRONMENT/bin/python probelab=ENVIRONMENT/bin/python
    python benchmarks/probe_sweep.py --device cuda --layers 32 --rows 20000 --width 4096   # on a GPU

Both sides solve the same problems: L2 logistic regression on rows standardized inside the fold, the same
grouped folds, the same shuffled labels, float32, stopped when the gradient norm has fallen to 1e-6 of its
start. scikit-learn's own stop is on the largest entry of the gradient, which is set to 1e-6 times the
2-norm of the start: easier for scikit-learn. The peer is timed on randomly chosen cells (--peer-cells, 500
by default), each layer's directly after ours, and its time is scaled to all cells; its float32 runs often
stop before the rule is met, because its line search sees no more change in the float32 loss, and how far
they got is printed. For the comparison of AUROC scikit-learn solves the same cells in float64 to convergence.
Libraries that cannot stand beside this stack (--peers NAME=PYTHON, `benchmarks/peer_probes.py`) fit the same
cells in an environment of their own, in turns with ours, and stop where they do by default.

Rows are made like a residual stream: a power-law spectrum (variance of component k falls as 1/k) in a
random basis, group offsets, a few large dimensions, and a label direction that grows with depth. With --model
they are what our capture reads of a model: `resid_post` of every block at the last token of the toolkit's
English risk situations; the label is whether the gamble is named first.
"""

import argparse
import itertools
import json
import resource
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lines
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from lines import Line
from peers import ask, named
from sklearn.linear_model import LogisticRegression

from probes.fits import Job, held_out
from probes.methods import PENALTIES
from probes.scores import auroc_many
from probes.shuffles import Shuffler
from probes.splits import grouped_splits

SCIKIT, EXACT = "scikit-learn", "scikit-learn in float64"


@dataclass(frozen=True)
class Sweep:
    """Where the rows of each layer lie, the label columns [column, example], and the folds."""

    path: str
    y: np.ndarray
    splits: Any
    device: str
    peers: tuple[tuple[str, str], ...]

    def rows(self, layer: int) -> np.ndarray:
        """Rows of a layer [example, d_model]."""
        return np.load(self.path.format(layer=layer))


def layer_rows(layer: int, layers: int, table: pd.DataFrame, width: int, seed: int) -> np.ndarray:
    """Rows of one layer [example, width], float32."""
    rng = np.random.default_rng([seed, layer])
    n = len(table)
    basis = rng.normal(size=(width, width)).astype(np.float32) / np.float32(np.sqrt(width))
    x = rng.normal(size=(n, width)).astype(np.float32) * np.arange(1, width + 1, dtype=np.float32) ** -0.5
    groups = table["scenario"].to_numpy()
    offsets = rng.normal(size=(groups.max() + 1, width)).astype(np.float32) * np.arange(1, width + 1) ** -0.5
    x += 0.5 * offsets[groups]
    x[:, 20] += 0.4 * layer / layers * (2 * table["y"].to_numpy() - 1)
    x = (x @ basis).astype(np.float32)
    x[:, :3] *= 30
    return x


def captured(name: str, count: int, path: str, folder: Path) -> tuple[pd.DataFrame, int, int]:
    """Rows of every block of a model, by our capture; the table, how many blocks, and the width."""
    import activations
    from mi_bsa.behaviors import behavior_for

    rows = behavior_for("risk", name).rows("seeking", count, seed=0, anchors=0.0, undecided=0.0)
    prompts = [{"id": str(n), "text": row["messages"][0]["content"]} for n, row in enumerate(rows)]
    model = activations.load(name, device="cpu", dtype="bfloat16")
    store = activations.capture(model, prompts, sites="resid_post", out=folder / "rows.h5")
    for layer in range(model.n_layers):
        np.save(path.format(layer=layer), np.asarray(store.read(f"resid_post.{layer}"), np.float32))
    first = [int(row["messages"][1]["content"] == "A") for row in rows]
    return pd.DataFrame({"scenario": np.arange(count), "y": first}), model.n_layers, model.d_model


def standardized(sweep: Sweep, cell: tuple[int, int, int, int], dtype: Any) -> tuple[np.ndarray, ...]:
    """Training rows and labels of a cell, and its held-out rows, standardized by the training rows."""
    layer, k, _, t = cell
    x, split = sweep.rows(layer).astype(dtype), sweep.splits[k]
    z = x[split.train]
    mean, std = z.mean(axis=0), z.std(axis=0)
    return (z - mean) / std, sweep.y[t][split.train], (x[split.test] - mean) / std


def left_of(z: np.ndarray, y: np.ndarray, w: np.ndarray, b: float, c: float) -> float:
    """The gradient's norm over that at the start."""
    error = 1 / (1 + np.exp(-(z @ w + b))) - y
    return float(np.linalg.norm(z.T @ error + w / c) / np.linalg.norm(z.T @ (y - 0.5)))


def asked(name: str, python: str, x: np.ndarray, y: np.ndarray, c: float) -> dict[str, Any]:
    """What a library answers to one problem."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"x": f"{folder}/x.npy", "y": f"{folder}/y.npy"}
        np.save(files["x"], x)
        np.save(files["y"], y)
        return ask("peer_probes.py", name, python, files | {"c": c})


def fitted(sweep: Sweep, cell: tuple[int, int, int, int]) -> dict[str, Any]:
    """One cell by every peer: seconds, gradient left and held-out scores."""
    layer, k, p, t = cell
    c, found = PENALTIES[p], {}
    z, y, test = standardized(sweep, cell, np.float32)
    train = sweep.splits[k].train
    for name, dtype in ((SCIKIT, np.float32), (EXACT, np.float64)):
        raw = sweep.rows(layer)[train].astype(dtype)
        wall, cpu = time.perf_counter(), time.process_time()
        own = (raw - raw.mean(axis=0)) / raw.std(axis=0)
        tol = 1e-6 * float(np.linalg.norm(own.T @ (y - 0.5)) / len(y))
        model = LogisticRegression(C=c, tol=tol, max_iter=20_000).fit(own, y)
        spent = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        found[name] = spent | {"coef": model.coef_[0], "intercept": float(model.intercept_[0])}
    for name, python in sweep.peers:
        found[name] = asked(name, python, sweep.rows(layer)[train], y, c)
    for each in found.values():
        w, b = np.asarray(each.pop("coef"), float), each.pop("intercept")
        each |= {"left": left_of(z, y, w, b, c), "scores": test @ w + b}
    return found


def one_layer(sweep: Sweep, layer: int, cells: list[tuple[int, int, int, int]]) -> dict[str, Any]:
    """All fits of a layer by ours, then its chosen cells by the peers, on one thread."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    y, splits = sweep.y, sweep.splits
    with threadpool_limits(1):
        for name, python in sweep.peers:  # imports and first calls count for nobody
            z, labels, _ = standardized(sweep, (layer, 0, 0, 0), np.float32)
            asked(name, python, z[:200, :8], labels[:200], 1.0)
        x = sweep.rows(layer)
        wall, cpu = time.perf_counter(), time.process_time()
        jobs = [Job(x[s.train], y[:, s.train].T, [x[s.test]]) for s in splits]
        out = np.full((len(PENALTIES), len(y), len(x)), np.nan)
        for s, (values,) in zip(splits, held_out("logistic", jobs, device=sweep.device), strict=True):
            out[:, :, s.test] = values
        spent = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        peers = []
        for cell in cells:
            _, k, p, t = cell
            test, done = splits[k].test, fitted(sweep, cell)
            names = [name for name in done if name != EXACT]
            scores = [done[EXACT]["scores"], out[p, t, test], *(done[name]["scores"] for name in names)]
            exact, own, *theirs = auroc_many(y[t][test], np.stack(scores))
            for name, score in zip(names, theirs, strict=True):
                done[name] |= {"gap": abs(score - exact)}
            del done[EXACT]["scores"]
            peers.append({name: {**done[name], "scores": None} for name in names} | {"gap": abs(own - exact)})
    return spent | {"memory_gb": memory, "peers": peers}


def claims(options: argparse.Namespace, found: dict[str, Any], rows: str) -> list[Line]:
    """A line a peer."""
    cpu = options.device == "cpu"
    made = []
    for name, peer in found["peers"].items():
        ours, theirs = (each["cpu_s" if cpu else "wall_s"] for each in (found, peer))
        left = f"median gradient left {peer['left']:.0e} of its start, AUROC within {peer['gap']:.1g}"
        way = (
            "against converged scikit-learn" if name == SCIKIT else f"against {name}, stopped by its default"
        )
        made.append(
            Line(
                topic="probe sweep",
                claim=f"logistic sweep {way}",
                model=rows,
                ratio=round(theirs / ours, 2),
                compared=f"AUROC within {found['gap']:.1g} of scikit-learn in float64; {name}: {left}",
                ours=round(ours, 1),
                peer=round(theirs, 1),
                bar=8 if name == SCIKIT else None,
                note=f"{found['cells']:,} fits, {options.workers} process(es); {peer['timed']} cells of "
                f"{name} timed and scaled, each layer's beside ours; "
                f"{peer['wall_s'] / found['wall_s']:.2g}x wall",
            )
        )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--shuffles", type=int, default=20)
    parser.add_argument("--peer-cells", type=int, default=500)
    parser.add_argument("--model", help="rows that our capture reads of this model, for made ones")
    parser.add_argument("--peers", nargs="*", default=[], metavar="NAME=PYTHON", help="lmprobe, probelab")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", default=None)
    lines.options(parser)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path, layers, width = folder + "/{layer}.npy", options.layers, options.width
        if options.model:
            table, layers, width = captured(options.model, options.rows, path, Path(folder))
            rows = lines.MODELS.get(options.model, options.model)
            rows += f": {layers} blocks x {options.rows:,} x {width:,}"
        else:
            scenarios = options.rows // 16
            table = pd.DataFrame({"scenario": np.arange(options.rows) % scenarios})
            table["y"] = rng.permutation(options.rows) % 2
            for layer in range(layers):
                np.save(path.format(layer=layer), layer_rows(layer, layers, table, width, 0))
            rows = f"rows like a residual stream, {layers} layers x {options.rows:,} x {width:,}"
        y0 = table["y"].to_numpy()
        groups = None if options.model else ["scenario"]  # situations of a model share no row
        splits = grouped_splits(table, groups, n_splits=5, labels=y0)
        blocks = [b for s in splits for b in (s.train, s.test)]
        y = np.concatenate([y0[None], Shuffler(y0, table, None).draw(options.shuffles, blocks, seed=0)])
        peers = named(options.peers)
        sweep = Sweep(path, y, splits, options.device, peers)
        every = list(itertools.product(range(layers), range(5), range(len(PENALTIES)), range(len(y))))
        chosen = rng.choice(len(every), min(options.peer_cells, len(every)), replace=False)
        own: dict[int, list[Any]] = {layer: [] for layer in range(layers)}
        for n in chosen:
            own[every[n][0]].append(every[n])
        if options.workers == 1:
            one_layer(sweep, 0, [])
            done = [one_layer(sweep, layer, own[layer]) for layer in range(layers)]
        else:
            run = Parallel(options.workers)
            run(delayed(one_layer)(sweep, 0, []) for _ in range(options.workers))  # start the workers
            done = run(delayed(one_layer)(sweep, layer, own[layer]) for layer in range(layers))
    found: dict[str, Any] = {"rows": rows, "cells": len(every), "device": options.device}
    found |= {key: sum(each[key] for each in done) for key in ("cpu_s", "wall_s")}
    found |= {"memory_gb_per_worker": max(each["memory_gb"] for each in done), "peers": {}}
    fits = [fit for each in done for fit in each["peers"]]
    found["gap"] = max((fit["gap"] for fit in fits), default=0.0)
    for name in (SCIKIT, *dict(peers)) if fits else ():
        each = [fit[name] for fit in fits]
        scaled = {key: float(np.mean([one[key] for one in each])) * len(every) for key in ("cpu_s", "wall_s")}
        left, gap = np.median([one["left"] for one in each]), max(one["gap"] for one in each)
        found["peers"][name] = scaled | {"timed": len(each), "left": float(left), "gap": float(gap)}
    print(json.dumps(found, indent=2))
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=2), encoding="utf-8")
    clock = "processor" if options.device == "cpu" else "wall"
    lines.write(claims(options, found, rows), options.record, clock=clock, threads=1)


if __name__ == "__main__":
    main()
