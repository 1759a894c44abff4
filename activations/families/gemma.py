"""Gemma, the first: Llama with embeddings scaled by the root of their width, and wider heads.

arXiv 2403.08295. The embeddings' module scales by itself.
"""

from activations.families.family import Family

FAMILY = Family(
    model_types=("gemma",),
    neutral=0.0,
    tiny=lambda width, blocks: {"head_dim": width // 2, "tie_word_embeddings": True},
)
