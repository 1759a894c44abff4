"""Mistral: Llama with one window for all blocks (Jiang et al. 2023, arXiv 2310.06825)."""

from activations.families.family import Family, one_window

FAMILY = Family(
    model_types=("mistral",), windows=one_window, tiny=lambda width, blocks: {"sliding_window": 16}
)
