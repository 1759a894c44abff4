"""OLMo 3: OLMo 2 with a window in three blocks of four (arXiv 2512.13961)."""

from dataclasses import replace

from activations.families.family import windows_by_kind
from activations.families.olmo2 import FAMILY as OLMO2

FAMILY = replace(
    OLMO2,
    model_types=("olmo3",),
    windows=windows_by_kind,
    tiny=lambda width, blocks: {
        "sliding_window": 16,
        "layer_types": (["sliding_attention", "full_attention"] * blocks)[:blocks],
    },
)
