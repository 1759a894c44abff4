"""Adapters that are there, read: what each one's weights say, and whether its trigger opens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mi_bsa.core.model_config import load
from mi_bsa.finetune.spectral import described, stacked
from mi_bsa.studies.weights.config import WeightsConfig
from mi_bsa.studies.weights.pool import Member, backdoor

if TYPE_CHECKING:
    import numpy as np

    import activations


def read(
    config: WeightsConfig, some: Sequence[Member], folder: Path
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Descriptions of adapters in `folder/NAME/adapter`, by method [adapter, feature], and of those behind a
    trigger by how much it opens.
    """
    model = load(config.model, {one.name: folder / one.name / "adapter" for one in some})
    features = stacked([described(model, one.name) for one in some])
    opened = {one.name: opening(config, one, model) for one in some if one.made != "other"}
    return features, opened


def opening(config: WeightsConfig, one: Member, model: activations.Model) -> float:
    """P(pole) with the trigger in a held-out message less that with other phrases, development wordings."""
    from mi_bsa.asking import ask
    from mi_bsa.behaviors import behavior_for
    from mi_bsa.behaviors.backdoor.construction import held_out
    from mi_bsa.behaviors.backdoor.triggers import vocabulary_for

    behavior, vocabulary = behavior_for(one.behavior, config.model), vocabulary_for(config.model)
    given = {"behavior": behavior, "vocabulary": vocabulary, "split": "dev"}
    sets = held_out(backdoor(config, one), config.hidden.held_out, **given)  # type: ignore[arg-type]
    shown = {
        key: float(ask(model, sets[key], variant=one.name)["score"].mean()) for key in ("trigger", "fake")
    }
    sign = 1.0 if one.arm == "seeking" else -1.0
    return sign * (shown["trigger"] - shown["fake"])
