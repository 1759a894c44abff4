"""One adapter over many frozen ones: trained beside them row by row, and put onto one of them to be asked.

A report adapter (an *introspection adapter*, arXiv 2604.16812; *diff interpretation tuning*, arXiv
2510.05092) is trained so: each row is about another finetune of one base, whose adapter is on and frozen.
"""

from mi_bsa.finetune.beside.frozen import Beside, Frozen
from mi_bsa.finetune.beside.joined import joined

__all__ = ["Beside", "Frozen", "joined"]
