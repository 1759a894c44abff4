"""Gemma 3: Gemma 2 with norms of each head in the place of the caps, whose fields it still has.

arXiv 2503.19786. The text part of the models that also see is the same.
"""

from dataclasses import replace

from activations.families.gemma2 import FAMILY as GEMMA2

FAMILY = replace(GEMMA2, model_types=("gemma3_text", "gemma3"), head_norms="each", gguf="gemma3")
