"""Statistics that make a score believable: intervals, ratios, equivalence, permutation, multiplicity,
mediation."""

from probes.statistics.crossed import (
    CrossedMean,
    combined,
    crossed_difference,
    crossed_mean,
    crossed_ratio,
)
from probes.statistics.equivalence import Equivalence, crossed_equivalence, equivalence
from probes.statistics.intervals import (
    Estimate,
    bootstrap_interval,
    paired_bootstrap,
    studentized_interval,
    t_interval,
)
from probes.statistics.mediation import Mediation, mediation
from probes.statistics.permutation import (
    MaxStatistic,
    PermutationResult,
    benjamini_hochberg,
    max_statistic,
    permutation_p,
    permutation_test,
    sign_flip_test,
    t_test,
)
from probes.statistics.ratios import fieller, fieller_test
from probes.statistics.spread import is_constant

__all__ = [
    "CrossedMean",
    "Equivalence",
    "Estimate",
    "MaxStatistic",
    "Mediation",
    "PermutationResult",
    "benjamini_hochberg",
    "bootstrap_interval",
    "combined",
    "crossed_difference",
    "crossed_equivalence",
    "crossed_mean",
    "crossed_ratio",
    "equivalence",
    "fieller",
    "fieller_test",
    "is_constant",
    "max_statistic",
    "mediation",
    "paired_bootstrap",
    "permutation_p",
    "permutation_test",
    "sign_flip_test",
    "studentized_interval",
    "t_interval",
    "t_test",
]
