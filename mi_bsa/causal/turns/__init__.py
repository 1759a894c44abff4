"""Report and state turn by turn, in conversations in which the model acts."""

from mi_bsa.causal.turns.correlated import by_turn
from mi_bsa.causal.turns.options import TurnsOptions

__all__ = ["TurnsOptions", "by_turn"]
