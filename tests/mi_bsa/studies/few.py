"""Risk with at most seventy items in every set: all kinds of question, wordings and orders are among them."""

from mi_bsa.behaviors.disposition import Disposition
from mi_bsa.behaviors.risk import RISK
from mi_bsa.core.items import thin


class Few(Disposition):
    def questions(self, **how):
        return thin(super().questions(**how), 70)

    def study_sets(self, **how):
        return {name: thin(items, 70) for name, items in super().study_sets(**how).items()}


FEW = Few(**vars(RISK))
