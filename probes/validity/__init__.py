"""Do the intervals cover and do the tests keep their rate? Simulations with known truth, one command, one
table.

    python -m probes.validity --out docs/validity.md

Every line is a law with its own fixed simulation seed: coverage of 95 % intervals must lie in .93 to .98,
tests at .05 may reject a true null in at most 6.5 % of simulations. Lines marked "shown" are methods that
this toolkit does not use and the reason why. Power at a stated effect stands beside each rate.
"""

from probes.validity.laws import LAWS
from probes.validity.page import leak_refused, main, measure, planted, render

__all__ = ["LAWS", "leak_refused", "main", "measure", "planted", "render"]
