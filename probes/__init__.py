"""What can be read from vectors, and how sure we are: probes, directions, splits, scores, nulls, statistics.

Light to import: numpy, scipy and scikit-learn come in when a name is first used, torch only inside the
    batched solver.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from probes.methods import METHODS

_HOMES = {
    name: f"probes.{module}"
    for module, names in {
        "comparison": ("Comparison", "compare", "functional_similarity", "principal_angles"),
        "controls": ("control_task",),
        "directions": ("Direction",),
        "errors": (
            "ActivationError", "DirectionError", "GroupError", "LabelError", "LeakageError", "ProbesError",
            "SourceError", "StatisticsError",
        ),
        "export": ("read_hub_folder", "write_hub_folder"),
        "figures": ("layer_figure",),
        "joining": ("Joined",),
        "layer_choice": ("LeftOut", "leave_one_out"),
        "methods": ("METHODS",),
        "moments": ("Slices",),
        "nulls": ("difference_directions", "null_directions", "random_directions"),
        "probe": ("Probe",),
        "scores": ("accuracy", "auroc", "balanced_accuracy", "calibration", "recall_at_fpr"),
        "source": ("ActivationSource", "Arrays", "two_classes"),
        "splits": ("Split", "check_no_leak", "grouped_splits"),
        "statistics": ("Estimate",),
        "steered": ("read_steered", "write_steered"),
        "sweeping": ("Sweep", "sweep"),
        "transferring": ("Transfer", "transfer"),
    }.items()
    for name in names
} | {name: module for module, name in (method.home.split(":") for method in METHODS.values())}  # fmt: skip

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from probes.directions import Direction as Direction
    from probes.layer_choice import LeftOut as LeftOut
    from probes.layer_choice import leave_one_out as leave_one_out
    from probes.probe import Probe as Probe
    from probes.sweeping import sweep as sweep
    from probes.transferring import transfer as transfer


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'probes' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
