"""Llama: the plain scheme, and that of all models which were trained in its form.

Touvron et al. 2023 (arXiv 2302.13971); Llama 3: arXiv 2407.21783.
"""

from activations.families.family import Family

FAMILY = Family(model_types=("llama",), gguf="llama")
