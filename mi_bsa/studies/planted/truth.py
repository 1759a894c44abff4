"""The true share of an instance: how much of the report the choices' state carries, by the planted weights.

Law: nothing that the study estimates takes part. The state's own direction is added to the base where
adapters write it, at the answer slot, and what it moves the report by, pole against pole, is divided by what
the adapters move it by, on the test items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.causal.material import SIGNS
from mi_bsa.causal.places import Place

if TYPE_CHECKING:
    from mi_bsa.studies.planted.llama import Instance


@dataclass(frozen=True)
class PlantedTruth:
    """Shares of one instance.

    Attributes:
        share: what the state as adapters write it on choices moves the report by, as a share of what the
            adapters do.
        carried: the same of what they write of it on reports.
        choices: the same of the choices: 1 where their state is all that moves them.
        report: distance of the poles in the report, on [0, 1].
    """

    share: float
    carried: float
    choices: float
    report: float


def truth(planted: Instance) -> PlantedTruth:
    """Measure the shares of an instance."""
    material, wiring = planted.material, planted.wiring
    place = Place(f"resid_post.{wiring.adapter_block}", "slot")
    own = [planted.written[name] for _, _, name in material.pairs]
    signs = np.array([SIGNS[arm] for arm, _, _ in material.pairs])
    full = signs * [one.strength for one in own]
    on_reports = full * [one.on_reports for one in own]

    def gap(read_out: str, amounts: np.ndarray | None) -> float:
        readout = material.of(read_out, "test")
        if amounts is None:
            levels = np.array([material.levels(readout, variant=name)[0] for _, _, name in material.pairs])
        else:
            vectors = amounts[:, None] * planted.state
            levels = material.levels(readout, place.adding(readout.rows, vectors))
        return float((signs * levels).sum() / len(material.seeds))

    report = gap("self_report", None)
    return PlantedTruth(
        gap("self_report", full) / report,
        gap("self_report", on_reports) / report,
        gap("behavior", full) / gap("behavior", None),
        report,
    )
