"""The verdict along every path that the study might as well have taken (docs/decisions/0028)."""

from mi_bsa.causal.multiverse.judge import LEFT, steps, told

__all__ = ["LEFT", "steps", "told"]
