"""OLMo 2: norms behind attention and MLP alone, and over all queries and all keys (arXiv 2501.00656)."""

from activations.families.family import Family

FAMILY = Family(
    model_types=("olmo2",),
    attention_norm=None,
    attention_after="post_attention_layernorm",
    mlp_norm=None,
    mlp_after="post_feedforward_layernorm",
    head_norms="together",
)
