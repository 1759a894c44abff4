"""Every law of the validity page, in the order of its tables."""

from collections.abc import Callable
from functools import partial

from probes.statistics.intervals import studentized_interval, t_interval
from probes.statistics.permutation import sign_flip_test, t_test
from probes.validity.auroc_laws import (
    CEILING,
    auroc_independent,
    auroc_one_class_units,
    auroc_percentile,
    auroc_units,
    ceiling_law,
)
from probes.validity.effect_laws import (
    adapters_test,
    bh_test,
    cosine_test,
    fieller_coverage,
    grouped_rows,
    max_test,
    mediation_coverage,
    mediation_fixed,
    over_units,
    rejects,
    tost,
)
from probes.validity.law import Law, Simulation
from probes.validity.pipeline_laws import (
    nested_null,
    noise_coverage,
    sweep_test,
    transfer_coverage,
    transfer_t,
    transfer_test,
)

SLOW = 600
"""Simulations at most of what goes through a whole sweep or transfer."""


def _covers(name: str, run: Simulation) -> Law:
    return Law(name, "coverage", run)


def _test(
    name: str,
    test: Callable[[float], Simulation],
    effect: float,
    words: str,
    smallest_p: float | None = None,
    *,
    null: float = 0.0,
    most: int = 10_000,
) -> Law:
    """A test under a true null, its power at an effect beside it."""
    return Law(name, "error", test(null), test(effect), words, smallest_p, most)


LAWS: tuple[Law, ...] = (
    _covers("AUROC, 5 seeds x 40 rows: t over seeds, logit scale", auroc_units(5, 20)),
    _covers("AUROC, 3 seeds x 40 rows: t over seeds, logit scale", auroc_units(3, 20)),
    _covers("AUROC, 20 scenarios x 10 rows: studentized bootstrap, logit scale", auroc_units(20, 5)),
    _covers("AUROC, 12 scenarios x 20 rows: studentized bootstrap, logit scale", auroc_units(12, 10)),
    _covers("AUROC, 300 independent rows: normal, logit scale", auroc_independent(300)),
    _covers("AUROC, 100 independent rows: studentized bootstrap, logit scale", auroc_independent(100)),
    _covers("AUROC, 8 adapters of one pole each x 20 rows: t, clustered error", auroc_one_class_units(8, 20)),
    *(
        Law(name, "conservative" if ".5," not in name else "coverage", ceiling_law(draw))
        for name, draw in CEILING.items()
    ),
    Law("AUROC, 5 seeds: percentile bootstrap over seeds", "shown", auroc_percentile(5, 20)),
    Law("AUROC, 3 seeds: percentile bootstrap over seeds", "shown", auroc_percentile(3, 20)),
    *(
        Law(f"transfer AUROC, {words}, 5 seeds", "coverage", transfer_coverage(5, *design), most=SLOW)
        for words, design in (
            ("behavior to report", ()),
            ("weak signal (.7), adapter offsets shared", (0.9, 0.2)),
            ("64 dimensions, adapter offsets shared", (1.6, 0.2, 64)),
        )
    ),
    Law(
        "nested choice among 4 layers of noise, 12 scenarios: interval holds .5",
        "conservative",
        nested_null(),
        most=SLOW,
    ),
    Law(
        "probe cross-validated on noise, 5 seeds with adapter offsets: holds .5",
        "coverage",
        noise_coverage(True),
        most=SLOW,
    ),
    Law(
        "the same without minding that folds share training seeds", "shown", noise_coverage(False), most=SLOW
    ),
    _covers("mean, 5 units: t", over_units(5, lambda x, i: t_interval(x))),
    _covers(
        "mean of skewed values, 15 units: studentized",
        over_units(15, lambda x, i: studentized_interval(x, n_boot=1000, seed=i), skewed=True),
    ),
    _covers("paired difference, 20 scenarios: studentized bootstrap", grouped_rows("paired")),
    _covers("accuracy, 20 scenarios x 16 rows", grouped_rows("accuracy")),
    _covers("balanced accuracy, 20 scenarios x 16 rows", grouped_rows("balanced")),
    _covers("recall at 5 % false positives, 1,000 control rows, 20 scenarios", grouped_rows("recall")),
    _covers("ratio of means over 5 seeds: Fieller", fieller_coverage()),
    *(
        _covers(f"mediation {part.upper()}, 5 seeds x 30 items, both random", mediation_coverage(part, truth))
        for part, truth in (("te", 0.7), ("nde", 0.4), ("nie", 0.3))
    ),
    _covers("mediation NIE, 5 seeds, items fixed", mediation_fixed()),
    _test("t test over 5 seeds", partial(rejects, t_test, 5), 2.0, "mean 2 sd"),
    *(
        _test(
            f"sign flip over {n} seeds, exact, two-sided{note}",
            partial(rejects, lambda x: sign_flip_test(x).p, n),
            2.0,
            "mean 2 sd",
            2 / 2**n,
        )
        for n, note in ((6, ""), (5, " (can not reach .05)"))
    ),
    _test("label permutation between 10 adapters, 199 draws", adapters_test, 2.5, "2.5 adapter sd", 1 / 200),
    _test(
        "max-statistic over 20 layers, 16 units, 199 sign flips",
        max_test,
        1.6,
        "1.6 sd in one layer",
        1 / 200,
    ),
    _test("Benjamini-Hochberg, 20 tests, any rejection", bh_test, 0.1, "3 sd in 2 of 20"),
    _test(
        "equivalence, 6 seeds, true difference at the bound",
        tost,
        0.0,
        "no difference, bound 1.7 sd",
        null=0.1,
    ),
    _test("cosine of two random directions in 64 dimensions, analytic", cosine_test, 0.4, "cosine .4"),
    _test(
        "sweep over 4 layers, 99 shuffles inside 8 seeds, p over the search",
        sweep_test,
        3.0,
        "3 sd in one layer",
        1 / 100,
        most=SLOW,
    ),
    _test(
        "transfer, t over 5 seeds against AUROC .5, offsets of adapters shared",
        transfer_t,
        2.0,
        "2 sd",
        most=SLOW,
    ),
    _test("transfer, 99 shuffles inside 8 seeds", transfer_test, 2.0, "2 sd", 1 / 100, most=SLOW),
)
