"""Gemma 2: norms before and behind attention and MLP, caps on scores and logits, every second block a window.

arXiv 2408.00118.
"""

from activations.families.family import Family, windows_by_kind

FAMILY = Family(
    model_types=("gemma2",),
    attention_after="post_attention_layernorm",
    mlp_norm="pre_feedforward_layernorm",
    mlp_after="post_feedforward_layernorm",
    windows=windows_by_kind,
    attention_cap="attn_logit_softcapping",
    logit_cap="final_logit_softcapping",
    gguf="gemma2",
    neutral=0.0,
    tiny=lambda width, blocks: {
        "head_dim": width // 2,
        "query_pre_attn_scalar": width // 2,
        "sliding_window": 16,
        "tie_word_embeddings": True,
    },
)
