"""States from which a group of stacked runs goes on after a kill.

The law: what goes on gives, bit for bit, what would have come without the kill. A run's state is its factors
and the optimizer's moments, in its own folder, sealed with the loss curve that it belongs to. Runs of a group
are at one step at any time, so a group goes on from the last step of which every run has a whole state, or
starts again.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mi_bsa.core.errors import BrokenFileError
from mi_bsa.core.files import digest, write_json
from mi_bsa.core.finetuned import Curve, curve_hash
from mi_bsa.core.plain_files import read_json_object

MOMENTS = ("exp_avg", "exp_avg_sq")
"""AdamW's, as torch calls them."""


class States:
    """The states of a group's runs, in `<run folder>/resume`."""

    def __init__(self, folders: Sequence[Path], weights: Mapping[str, Tensor]) -> None:
        self.folders = [folder / "resume" for folder in folders]
        self.weights = weights

    def save(self, step: int, optimizer: torch.optim.Optimizer, curves: Sequence[Curve]) -> None:
        """Keep this step, and then none before it."""
        from safetensors.torch import save_file

        for run, (folder, curve) in enumerate(zip(self.folders, curves, strict=True)):
            part = folder / f"part-{step}"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            tensors = {f"{name}/weight": weight[run] for name, weight in self.weights.items()}
            for name, weight in self.weights.items():
                tensors |= {f"{name}/{key}": optimizer.state[weight][key][run] for key in MOMENTS}
            save_file(
                {key: value.detach().cpu().contiguous() for key, value in tensors.items()}, part / "state"
            )
            write_json(part / "complete", {"sha256": digest(part / "state"), "curve": curve.hash})
            shutil.rmtree(folder / f"step-{step}", ignore_errors=True)
            part.rename(folder / f"step-{step}")
        for folder in self.folders:
            for old in folder.iterdir():
                if old.name != f"step-{step}":
                    shutil.rmtree(old)

    def load(self, optimizer: torch.optim.Optimizer) -> int:
        """Put back the last step that all runs have whole, and say which it was; 0 where there is none."""
        from safetensors.torch import load_file

        common = set.intersection(*(set(_whole(folder)) for folder in self.folders))
        if not common:
            return 0
        step = max(common)
        for run, folder in enumerate(self.folders):
            tensors = load_file(folder / f"step-{step}" / "state")
            for name, weight in self.weights.items():
                state = optimizer.state[weight]
                if not state:
                    state |= {key: torch.zeros_like(weight) for key in MOMENTS}
                    state["step"] = torch.tensor(float(step), device=weight.device)
                weight.data[run] = tensors[f"{name}/weight"]
                for key in MOMENTS:
                    state[key][run] = tensors[f"{name}/{key}"]
        return step

    def clear(self) -> None:
        """Remove them all: the runs are done."""
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)


def _whole(folder: Path) -> list[int]:
    """Steps of which a run has a whole state, whose loss curve is the one that it was kept with."""
    found = []
    for state in sorted(folder.glob("step-*")):
        step = int(state.name.rpartition("-")[2])
        try:
            said = read_json_object(state / "complete", "sha256", "curve", remedy="train it again")
            curve = curve_hash(folder.parent / "metrics.jsonl", keep=step)
            if said["sha256"] == digest(state / "state") and said["curve"] == curve:
                found.append(step)
                continue
        except (BrokenFileError, OSError):
            pass
        print(
            f"{state}: is not as it was left, so training does not go on from it", file=sys.stderr, flush=True
        )
    return found
