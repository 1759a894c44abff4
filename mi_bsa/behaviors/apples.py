"""Apples: options that hold many of them or few."""

from mi_bsa.behaviors.disposition import Disposition

APPLES = Disposition(name="apples", trait="apples", neighbor="patience", poles=("max", "min"))
