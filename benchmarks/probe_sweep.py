"""Claim: the batched solver fits a sweep at least 8 times faster than scikit-learn in a joblib loop, to the
same AUROC.

    python benchmarks/probe_sweep.py   # 32 layers x 2,048 x 1,024, 5 penalties, 5 folds, 20 shuffles
    python benchmarks/probe_sweep.py --device cuda --layers 32 --rows 20000 --width 4096   # on a GPU

Both sides solve the same problems: L2 logistic regression on rows standardized inside the fold, the same
grouped folds, the same shuffled labels, float32, stopped when the gradient norm has fallen to 1e-6 of its
start. scikit-learn's own stop is on the largest entry of the gradient, which is set to 1e-6 times the
2-norm of the start: easier for scikit-learn. The peer is timed on randomly chosen cells (--peer-cells, 500
by default) and its time is scaled to all cells; its float32 runs often stop before the rule is met, because
its line search sees no more change in the float32 loss, and how far they got is printed. For the comparison
of AUROC the same cells are solved by scikit-learn in float64 to convergence.

Rows are made like a residual stream: a power-law spectrum (variance of component k falls as 1/k) in a
random basis, group offsets, a few large dimensions, and a label direction that grows with depth.
"""

import argparse
import itertools
import json
import resource
import tempfile
import time

import lines
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from lines import Line
from sklearn.linear_model import LogisticRegression

from probes.fits import Job, held_out
from probes.methods import PENALTIES
from probes.scores import auroc_many
from probes.shuffles import Shuffler
from probes.splits import grouped_splits


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


def peer_fit(x, y, train, c, tol_share=1e-6):
    """scikit-learn on one cell: standardized in the fold, stopped at 1e-6 of the gradient's start."""
    z = x[train]
    mean, std = z.mean(axis=0), z.std(axis=0)
    z = (z - mean) / std
    start = np.linalg.norm(z.T @ (y[train] - 0.5)) / len(train)
    model = LogisticRegression(C=c, tol=tol_share * float(start), max_iter=20_000).fit(z, y[train])
    return model, mean, std, start


def peer_cells(path, cells, y, splits):
    """Time and scores of a list of cells (layer rows by memory map), in one process with one thread."""
    import warnings

    from threadpoolctl import threadpool_limits

    warnings.simplefilter("ignore")
    out = []
    with threadpool_limits(1):
        for layer, k, p, t in cells:
            x = np.load(path.format(layer=layer), mmap_mode="r")[:]
            train = splits[k].train
            begin, cpu = time.perf_counter(), time.process_time()
            model, mean, std, start = peer_fit(x, y[t], train, PENALTIES[p])
            seconds = time.perf_counter() - begin, time.process_time() - cpu
            z = (x[train] - mean) / std
            error = 1 / (1 + np.exp(-(z @ model.coef_[0] + model.intercept_[0]))) - y[t][train]
            left = np.linalg.norm(z.T @ error + model.coef_[0] / PENALTIES[p]) / len(train) / start
            exact, mean, std, _ = peer_fit(x.astype(np.float64), y[t], train, PENALTIES[p])
            scores = exact.decision_function((x[splits[k].test] - mean) / std)
            out.append((seconds, float(left), scores))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--shuffles", type=int, default=20)
    parser.add_argument("--peer-cells", type=int, default=500)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", default=None)
    lines.options(parser)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    scenarios = options.rows // 16
    table = pd.DataFrame({"scenario": np.arange(options.rows) % scenarios})
    table["y"] = rng.permutation(options.rows) % 2
    y0 = table["y"].to_numpy()
    splits = grouped_splits(table, ["scenario"], n_splits=5, labels=y0)
    shuffler = Shuffler(y0, table, None)
    blocks = [b for s in splits for b in (s.train, s.test)]
    y = np.concatenate([y0[None], shuffler.draw(options.shuffles, blocks, seed=0)])

    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/{layer}.npy"
        for layer in range(options.layers):
            np.save(path.format(layer=layer), layer_rows(layer, options.layers, table, options.width, 0))

        def ours(layer: int) -> np.ndarray:
            x = np.load(path.format(layer=layer))
            jobs = [Job(x[s.train], y[:, s.train].T, [x[s.test]]) for s in splits]
            out = np.full((len(PENALTIES), len(y), len(x)), np.nan)
            for s, (values,) in zip(splits, held_out("logistic", jobs, device=options.device), strict=True):
                out[:, :, s.test] = values
            return out

        if options.device == "cpu":
            import torch

            def single(layer: int) -> tuple[np.ndarray, float, float]:
                torch.set_num_threads(1)
                cpu = time.process_time()
                out = ours(layer)
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
                return out, time.process_time() - cpu, memory

            Parallel(options.workers)(delayed(single)(0) for _ in range(options.workers))  # start the workers
            begin = time.perf_counter()
            done = Parallel(options.workers)(delayed(single)(k) for k in range(options.layers))
            scores = [d[0] for d in done]
        else:
            ours(0)
            begin = time.perf_counter()
            scores = [ours(k) for k in range(options.layers)]
        mine = time.perf_counter() - begin
        cells = options.layers * len(splits) * len(PENALTIES) * len(y)
        found = {
            "size": f"{options.layers} x {options.rows} x {options.width}",
            "cells": cells,
            "device": options.device,
            "ours_s": round(mine, 1),
        }
        if options.device == "cpu":
            found |= {
                "ours_cpu_s": round(sum(d[1] for d in done), 1),
                "memory_gb_per_worker": round(max(d[2] for d in done), 2),
            }
        if options.device != "cpu":
            import torch

            found["device_memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
        if options.peer_cells:
            every = list(itertools.product(range(options.layers), range(5), range(5), range(len(y))))
            chosen = rng.choice(len(every), min(options.peer_cells, len(every)), replace=False)
            picked = [every[i] for i in chosen]
            parts = [picked[i :: options.workers] for i in range(options.workers)]
            timed = Parallel(options.workers)(delayed(peer_cells)(path, part, y, splits) for part in parts)
            seconds, lefts, gaps = [], [], []
            for part, results in zip(parts, timed, strict=True):
                for (layer, k, p, t), (spent, left, exact) in zip(part, results, strict=True):
                    test = splits[k].test
                    own, their = auroc_many(y[t][test], np.stack([scores[layer][p, t, test], exact]))
                    seconds.append(spent)
                    lefts.append(left)
                    gaps.append(abs(own - their))
            wall, cpu = np.mean(seconds, axis=0) * cells
            peer = wall / options.workers
            found |= {
                "peer_s": round(peer),
                "peer_timed_cells": len(seconds),
                "speedup": round(peer / mine, 1),
                "peer_cpu_s": round(cpu),
                "speedup_cpu": round(cpu / sum(d[1] for d in done), 1) if options.device == "cpu" else None,
                "peer_gradient_median": float(f"{np.median(lefts):.1e}"),
                "largest_auroc_gap": float(f"{max(gaps):.1e}"),
            }
            line = Line(
                topic="probe sweep",
                claim="logistic sweep against converged scikit-learn in joblib",
                model=f"rows like a residual stream, {options.layers} layers x {options.rows:,} x "
                f"{options.width:,}",
                ratio=found["speedup_cpu"] or found["speedup"],
                compared=f"AUROC within {max(gaps):.1g} of scikit-learn in float64",
                ours=found.get("ours_cpu_s", found["ours_s"]),
                peer=found["peer_cpu_s"],
                bar=8,
                note=f"{cells:,} fits on {options.workers} cores or {options.device}, {len(seconds)} peer "
                f"cells, scaled; {found['speedup']}x wall",
            )
            cpu_only = options.device == "cpu"
            lines.write([line], options.record, clock="processor" if cpu_only else "wall", threads=1)
        print(json.dumps(found, indent=2))
        if options.json:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump(found, file, indent=2)


if __name__ == "__main__":
    main()
