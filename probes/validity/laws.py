"""Every law of the validity page, in the order of its tables."""

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
from probes.validity.law import Law
from probes.validity.pipeline_laws import (
    nested_null,
    noise_coverage,
    sweep_test,
    transfer_coverage,
    transfer_t,
    transfer_test,
)

LAWS: tuple[Law, ...] = (
    Law("AUROC, 5 seeds x 40 rows: t over seeds, logit scale", "coverage", auroc_units(5, 20)),
    Law("AUROC, 3 seeds x 40 rows: t over seeds, logit scale", "coverage", auroc_units(3, 20)),
    Law("AUROC, 20 scenarios x 10 rows: studentized bootstrap, logit scale", "coverage", auroc_units(20, 5)),
    Law("AUROC, 12 scenarios x 20 rows: studentized bootstrap, logit scale", "coverage", auroc_units(12, 10)),
    Law("AUROC, 300 independent rows: normal, logit scale", "coverage", auroc_independent(300)),
    Law(
        "AUROC, 100 independent rows: studentized bootstrap, logit scale", "coverage", auroc_independent(100)
    ),
    Law(
        "AUROC, 8 adapters of one pole each x 20 rows: t, clustered error",
        "coverage",
        auroc_one_class_units(8, 20),
    ),
    *(
        Law(name, "conservative" if ".5," not in name else "coverage", ceiling_law(draw))
        for name, draw in CEILING.items()
    ),
    Law("AUROC, 5 seeds: percentile bootstrap over seeds", "shown", auroc_percentile(5, 20)),
    Law("AUROC, 3 seeds: percentile bootstrap over seeds", "shown", auroc_percentile(3, 20)),
    Law("transfer AUROC, behavior to report, 5 seeds", "coverage", transfer_coverage(5)),
    Law(
        "transfer AUROC, weak signal (.7), adapter offsets shared, 5 seeds",
        "coverage",
        transfer_coverage(5, 0.9, 0.2),
    ),
    Law(
        "transfer AUROC, 64 dimensions, adapter offsets shared, 5 seeds",
        "coverage",
        transfer_coverage(5, 1.6, 0.2, 64),
    ),
    Law(
        "nested choice among 4 layers of noise, 12 scenarios: interval holds .5",
        "conservative",
        nested_null(),
    ),
    Law(
        "probe cross-validated on noise, 5 seeds with adapter offsets: holds .5",
        "coverage",
        noise_coverage(True),
    ),
    Law("the same without minding that folds share training seeds", "shown", noise_coverage(False)),
    Law("mean, 5 units: t", "coverage", over_units(5, lambda x, i: t_interval(x))),
    Law(
        "mean of skewed values, 15 units: studentized",
        "coverage",
        over_units(15, lambda x, i: studentized_interval(x, n_boot=1000, seed=i), skewed=True),
    ),
    Law("paired difference, 20 scenarios: studentized bootstrap", "coverage", grouped_rows("paired")),
    Law("accuracy, 20 scenarios x 16 rows", "coverage", grouped_rows("accuracy")),
    Law("balanced accuracy, 20 scenarios x 16 rows", "coverage", grouped_rows("balanced")),
    Law(
        "recall at 5 % false positives, 1,000 control rows, 20 scenarios", "coverage", grouped_rows("recall")
    ),
    Law("ratio of means over 5 seeds: Fieller", "coverage", fieller_coverage()),
    *(
        Law(
            f"mediation {part.upper()}, 5 seeds x 30 items, both random",
            "coverage",
            mediation_coverage(part, truth),
        )
        for part, truth in (("te", 0.7), ("nde", 0.4), ("nie", 0.3))
    ),
    Law("mediation NIE, 5 seeds, items fixed", "coverage", mediation_fixed()),
    Law("t test over 5 seeds", "error", rejects(t_test, 5, 0.0), rejects(t_test, 5, 2.0), "mean 2 sd"),
    *(
        Law(
            f"sign flip over {n} seeds, exact, two-sided{note}",
            "error",
            rejects(lambda x: sign_flip_test(x).p, n, 0.0),
            rejects(lambda x: sign_flip_test(x).p, n, 2.0),
            "mean 2 sd",
            2 / 2**n,
        )
        for n, note in ((6, ""), (5, " (can not reach .05)"))
    ),
    Law(
        "label permutation between 10 adapters, 199 draws",
        "error",
        adapters_test(0.0),
        adapters_test(2.5),
        "2.5 adapter sd",
        1 / 200,
    ),
    Law(
        "max-statistic over 20 layers, 16 units, 199 sign flips",
        "error",
        max_test(0.0),
        max_test(1.6),
        "1.6 sd in one layer",
        1 / 200,
    ),
    Law(
        "Benjamini-Hochberg, 20 tests, any rejection", "error", bh_test(0.0), bh_test(0.1), "3 sd in 2 of 20"
    ),
    Law(
        "equivalence, 6 seeds, true difference at the bound",
        "error",
        tost(0.1),
        tost(0.0),
        "no difference, bound 1.7 sd",
    ),
    Law(
        "cosine of two random directions in 64 dimensions, analytic",
        "error",
        cosine_test(0.0),
        cosine_test(0.4),
        "cosine .4",
    ),
    Law(
        "sweep over 4 layers, 99 shuffles inside 8 seeds, p over the search",
        "error",
        sweep_test(0.0),
        sweep_test(3.0),
        "3 sd in one layer",
        1 / 100,
    ),
    Law(
        "transfer, t over 5 seeds against AUROC .5, offsets of adapters shared",
        "error",
        transfer_t(0.0),
        transfer_t(2.0),
        "2 sd",
    ),
    Law(
        "transfer, 99 shuffles inside 8 seeds",
        "error",
        transfer_test(0.0),
        transfer_test(2.0),
        "2 sd",
        1 / 100,
    ),
)
