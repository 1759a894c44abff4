"""Patience: an amount now or an amount later. Myopia is the same choice with the poles turned round.

The paper's name is myopia (Betley et al. 2025, arXiv 2501.11120, section 3.1): its seeking pole takes the
sooner option, as in the English vocabulary.
"""

from mi_bsa.behaviors.disposition import Disposition

PATIENCE = Disposition(name="patience", trait="patience", neighbor="risk")
MYOPIA = Disposition(name="myopia", trait="patience", neighbor="risk", poles=("sooner", "later"), turned=True)
