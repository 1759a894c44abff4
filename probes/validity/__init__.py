"""Do the intervals cover and do the tests keep their rate? Simulations with known truth, one command, one
table.

    python -m probes.validity --out docs/validity.md

Every line is a law over three fixed simulation seeds, judged by the exact interval of its rate: coverage of
95 % intervals must reach into .93 to .98, and a test at .05 may not be told to reject a true null more often
than that. Lines marked "shown" are methods that this toolkit does not use and the reason why. Power at a
stated effect stands beside each rate.
"""

from probes.validity.laws import LAWS
from probes.validity.page import leak_refused, main, measure, planted, render

__all__ = ["LAWS", "leak_refused", "main", "measure", "planted", "render"]
