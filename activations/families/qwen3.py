"""Qwen 3: Qwen 2 without biases, each head's queries and keys behind a norm (arXiv 2505.09388)."""

from activations.families.family import Family, windows_by_kind

FAMILY = Family(
    model_types=("qwen3",),
    head_norms="each",
    windows=windows_by_kind,
    gguf="qwen3",
    tiny=lambda width, blocks: {"head_dim": width // 2},
)
