"""What can be read from vectors, and how sure we are: probes, directions, splits, scores, nulls, statistics.

Light to import: numpy, scipy and scikit-learn come in when a name is first used, torch only inside the
    batched solver.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from probes.methods import METHODS

_HOMES = {
    "ActivationError": "probes.errors",
    "DirectionError": "probes.errors",
    "GroupError": "probes.errors",
    "LabelError": "probes.errors",
    "LeakageError": "probes.errors",
    "ProbesError": "probes.errors",
    "SourceError": "probes.errors",
    "StatisticsError": "probes.errors",
    "Direction": "probes.directions",
    "Probe": "probes.probe",
    "Slices": "probes.moments",
    "Arrays": "probes.source",
    "Joined": "probes.joining",
    "Comparison": "probes.comparison",
    "compare": "probes.comparison",
    "functional_similarity": "probes.comparison",
    "difference_directions": "probes.nulls",
    "null_directions": "probes.nulls",
    "random_directions": "probes.nulls",
    "principal_angles": "probes.comparison",
    "control_task": "probes.controls",
    "layer_figure": "probes.figures",
    "read_hub_folder": "probes.export",
    "write_hub_folder": "probes.export",
    "read_steered": "probes.steered",
    "write_steered": "probes.steered",
    "ActivationSource": "probes.source",
    "two_classes": "probes.source",
    "Split": "probes.splits",
    "grouped_splits": "probes.splits",
    "check_no_leak": "probes.splits",
    "accuracy": "probes.scores",
    "auroc": "probes.scores",
    "balanced_accuracy": "probes.scores",
    "calibration": "probes.scores",
    "recall_at_fpr": "probes.scores",
    "Sweep": "probes.sweeping",
    "sweep": "probes.sweeping",
    "Transfer": "probes.transferring",
    "transfer": "probes.transferring",
    "Estimate": "probes.statistics",
    "METHODS": "probes.methods",
} | {name: module for module, name in (method.home.split(":") for method in METHODS.values())}

__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from probes.directions import Direction as Direction
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
