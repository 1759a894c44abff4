"""Qwen 2 and 2.5: Llama with biases of queries, keys and values, and a window in the blocks that name one.

arXiv 2407.10671.
"""

from activations.families.family import Family, windows_by_kind

FAMILY = Family(
    model_types=("qwen2",), biases=("q_proj", "k_proj", "v_proj"), windows=windows_by_kind, gguf="qwen2"
)
