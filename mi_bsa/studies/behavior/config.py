"""The config of a behavior study: what `configs/*/risk.yaml` may say."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.core.model_config import settle
from mi_bsa.core.variants import Variant
from mi_bsa.finetune.config import EMBEDDINGS

POLES = ("seeking", "averse")


class BehaviorConfig(BridgeConfig):
    """One behavior, end to end: finetune, ask, read, steer, patch."""

    study: Literal["behavior"] = "behavior"
    """Which kind of study this is."""
    workers: int = Field(default=2, ge=1)
    """Processes that work side by side."""

    @model_validator(mode="after")
    def _check(self) -> BehaviorConfig:
        settle(self, "model", "finetune")
        missing = {"seeking", "averse"} - set(self.arms)
        if missing:
            raise ValueError(
                f"arms {list(self.arms)}: both poles are needed, add {', '.join(sorted(missing))}"
            )
        if EMBEDDINGS in self.finetune.module_names:
            raise ValueError(
                f"finetune.modules names {EMBEDDINGS}: the study closes an adapter's modules one by one, and "
                "that one has no gate; leave it out"
            )
        parts = ("controls", "attribution", "concealing", "emergence")
        above = [f"{part}.seeds" for part in parts if getattr(self, part).seeds > len(self.seeds)]
        if above:
            raise ValueError(f"{', '.join(above)}: more than there are seeds; lower it")
        if self.patch.seeds > len(self.seeds):
            raise ValueError(f"patch.seeds is {self.patch.seeds}, more than there are seeds; lower it")
        return self

    @property
    def controlled(self) -> dict[str, dict[str, Any]]:
        """Arms trained beside the study's own: name -> {`rows`: arm whose rows are taken, `change`: fields of
        `finetune` that differ}.
        """
        found: dict[str, dict[str, Any]] = {}
        if self.controls.wrong_behavior:
            found |= {Variant(pole, apart="wrong").arm: {} for pole in POLES}
        if self.controls.benign and "benign" not in self.arms:
            found["benign"] = {}
        for rank in self.controls.ranks:
            change = {"rank": rank, "alpha": self.finetune.alpha * rank / self.finetune.rank}
            found |= {
                Variant(pole, apart=f"rank{rank}").arm: {"rows": pole, "change": change} for pole in POLES
            }
        if self.controls.all_layers and self.finetune.layers != "all":
            found |= {
                Variant(pole, apart="all").arm: {"rows": pole, "change": {"layers": "all"}} for pole in POLES
            }
        return found

    @property
    def control_seeds(self) -> tuple[int, ...]:
        """Seeds of the arms beside."""
        return self.seeds[: self.controls.seeds]

    @property
    def floors(self) -> tuple[str, ...]:
        """Arms that are floors of transfer."""
        beside = tuple(arm for arm in self.controlled if arm == "benign" or Variant.of(arm).apart == "wrong")
        return beside + ("benign",) * ("benign" in self.arms)

    def floor_seeds(self, arm: str) -> tuple[int, ...]:
        """The seeds of a floor."""
        return self.seeds if arm in self.arms else self.control_seeds
