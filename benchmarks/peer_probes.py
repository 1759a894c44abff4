"""A library of probes that stands in an environment of its own: fits what it is told, one problem a line.

    PYTHON_OF_THAT_ENVIRONMENT benchmarks/peer_probes.py lmprobe|probelab

Started by `benchmarks/probe_sweep.py --peers`. It reads JSON lines {"x", "y", "c"} (two .npy files: rows
[example, d_model] in float32 and labels 0 or 1; the inverse penalty) and answers each with a line
{"cpu_s", "wall_s", "coef", "intercept"}, weights in the coordinates of standardized rows. Both libraries
standardize by the training rows, and both penalize the sum of losses by |w|^2 / (2 C), as scikit-learn does;
each stops where it does by default.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def of_lmprobe() -> Callable[[np.ndarray, np.ndarray, float], tuple[Any, float]]:
    """`Probe.fit_from_activations`: a StandardScaler and scikit-learn's LogisticRegression."""
    from lmprobe import Probe

    def fit(x: np.ndarray, y: np.ndarray, c: float) -> tuple[Any, float]:
        probe = Probe(classifier="logistic_regression", classifier_kwargs={"C": c}, random_state=0)
        probe.fit_from_activations(x, y)
        return probe.classifier_.coef_[0], float(probe.classifier_.intercept_[0])

    return fit


def of_probelab() -> Callable[[np.ndarray, np.ndarray, float], tuple[Any, float]]:
    """`probes.Logistic`: torch's L-BFGS, at most 500 steps."""
    import probelab
    import torch

    torch.set_num_threads(1)

    def fit(x: np.ndarray, y: np.ndarray, c: float) -> tuple[Any, float]:
        rows = probelab.Activations(torch.from_numpy(x), dims="bh")
        probe = probelab.probes.Logistic(C=c, seed=0).fit(rows, torch.from_numpy(y))
        return probe.linear.weight.detach().numpy()[0], float(probe.linear.bias.detach())

    return fit


def main() -> None:
    """Answer problem after problem until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever the library prints is no answer
    fit = {"lmprobe": of_lmprobe, "probelab": of_probelab}[sys.argv[1]]()
    for text in sys.stdin:
        asked = json.loads(text)
        x, y = np.load(asked["x"]), np.load(asked["y"])
        wall, cpu = time.perf_counter(), time.process_time()
        coef, intercept = fit(x, y, asked["c"])
        spent = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        found = {"coef": np.asarray(coef, float).tolist(), "intercept": intercept}
        print(json.dumps(spent | found), file=answers, flush=True)


if __name__ == "__main__":
    main()
