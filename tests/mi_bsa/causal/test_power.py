"""What a plan says can be found is found as often in simulated studies, by the rules' own lines."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from smallest import BEHAVIOR

from mi_bsa.asking import scoring
from mi_bsa.causal import power
from mi_bsa.causal.lines import LARGE, NONE, QUARTER, interval_line
from mi_bsa.causal.power import LINES, find
from mi_bsa.causal.ratios import share
from mi_bsa.causal.spreads import (
    CROSSED,
    MEDIATED,
    Spread,
    Spreads,
    between_items,
    crossed,
    measured,
    two_way,
)
from mi_bsa.causal.verdict import verdicts
from mi_bsa.causal.wordings import ASKED, Wordings
from mi_bsa.core.config import load, parse
from mi_bsa.core.errors import BrokenFileError
from mi_bsa.core.over_seeds import over_seeds, over_seeds_and_items
from mi_bsa.core.results import Result
from mi_bsa.studies.behavior.config import BehaviorConfig
from mi_bsa.study.power import Sampling, of_seeds, spread_bounds
from probes import statistics
from probes.shared_training import mean_out_of_fold

WORDINGS = Wordings(12, 3, 12.0, 30)
BY_RESULT = {line.result: line for line in LINES}


def config(**changes):
    """The smallest behavior study with as many draws as verdicts need, and other fields."""
    drawn = {part: {**BEHAVIOR[part], "random": 999} for part in ("recovery", "necessity", "mediation")}
    return parse({**BEHAVIOR, **drawn, **changes}, BehaviorConfig)


def rate(hits):
    """Share of simulated studies in which a line held."""
    return float(np.mean(list(hits)))


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_smallest_effect_over_seeds_is_found_in_four_of_five(seeds):
    """A behavior's effect of the printed size, drawn over seeds, passes the gate's line in .8 of studies."""
    spread, rng = Spread(0.05), np.random.default_rng(seeds)
    found = find(BY_RESULT["behavior.effect"], config(seeds=list(range(seeds))), spread, WORDINGS)
    assert LARGE < found.smallest < 1

    def holds():
        values = rng.normal(found.smallest, spread.seed, seeds)
        result = over_seeds("behavior.effect", {"behavior": "b"}, values, range(seeds), unit="difference")
        return interval_line("x", result, above=LARGE, below=LARGE).state == "holds"

    assert rate(holds() for _ in range(800)) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    ("seeds", "spread"),
    [
        (3, Spread(0.03, 0.15, 0.1)),
        (5, Spread(0.08, 0.05, 0.05)),
        (5, Spread(0.04, 0.25, 0.15)),
    ],
)
def test_the_smallest_report_over_wordings_and_seeds_is_found_in_four_of_five(seeds, spread):
    """A report's gap of the printed size, drawn over wordings x seeds of either arm, is found in .8."""
    rng = np.random.default_rng(seeds)
    found = find(BY_RESULT[CROSSED], config(seeds=list(range(seeds))), spread, WORDINGS)
    assert found.smallest < 0.7
    rows = [(f"k{w % 3}", f"t{w}", s, a) for a in (1, -1) for w in range(12) for s in range(seeds)]
    table = pd.DataFrame(rows, columns=["kind", "template", "seed", "pole"])
    table["arm"] = np.where(table["pole"] > 0, "seeking", "averse")

    def holds():
        gap = found.smallest + rng.normal(0, spread.item, 12)
        own = rng.normal(0, spread.seed, (2, seeds))
        rest = rng.normal(0, spread.rest, (2, 12, seeds))
        cells = np.array([1, -1])[:, None, None] * gap[:, None] / 2 + own[:, None] + rest
        scores = np.clip(0.5 + cells.ravel(), 0, 1)
        estimate = scoring.gap(table.assign(score=scores))
        result = Result(
            CROSSED,
            {"behavior": "b"},
            estimate.value,
            (estimate.low, estimate.high),
            estimate.ci_method,
            12,
            "difference",
        )
        return interval_line("x", result, above=0.0, least=NONE, none=NONE).state == "holds"

    assert rate(holds() for _ in range(400)) == pytest.approx(0.8, abs=0.05)


def test_the_smallest_share_is_found_in_four_of_five():
    """A share of the printed size at both poles, with Fieller's interval at each and one p by draws, holds in
    .8."""
    seeds, effect = 5, 0.4
    spread, rng = Spread(0.1, null_mean=0.05, null_spread=0.08), np.random.default_rng(0)
    line, given = BY_RESULT["bridge.recovery.self_report"], config(seeds=list(range(seeds)))
    found = find(line, given, spread, WORDINGS)
    assert QUARTER < found.smallest < 1

    def holds():
        whole = rng.normal(effect, 0.02, (2, seeds))
        top = found.smallest * whole + effect * rng.normal(0, spread.seed, (2, seeds))
        draws = 2 * effect * rng.normal(spread.null_mean, spread.null_spread, (given.recovery.random, 1))
        where, told = {"behavior": "b"}, {"seeds": range(seeds)}
        poles = [share("r.r", where, a, b, **told) for a, b in zip(top, whole, strict=True)]
        apart = share("r.r", where, top.sum(0), whole.sum(0), draws=draws.repeat(seeds, 1), **told)
        states = [interval_line("x", pole, above=QUARTER, below=QUARTER).state for pole in poles]
        return states == ["holds", "holds"] and apart.p <= line.alpha

    assert rate(holds() for _ in range(500)) == pytest.approx(0.8, abs=0.05)


def test_the_smallest_mediated_effect_is_found_in_four_of_five():
    """What runs through a direction, drawn over seeds x wordings and held against draws, holds in .8."""
    seeds, spread = 5, Spread(0.3, 0.4, 0.2, null_mean=0.0, null_spread=0.02)
    given, rng = config(seeds=list(range(seeds)), mediation={"random": 999}), np.random.default_rng(0)
    found = find(BY_RESULT[MEDIATED], given, spread, WORDINGS)
    items = min(WORDINGS.count, given.place.items)

    def holds():
        values = found.smallest + rng.normal(0, spread.seed, (seeds, 1)) + rng.normal(0, spread.item, items)
        nie = statistics.crossed_mean(values + rng.normal(0, spread.rest, (seeds, items))).interval()
        draws = rng.normal(spread.null_mean, spread.null_spread, given.mediation.random)
        return nie.low > 0 and statistics.permutation_p(nie.value, draws) <= 0.025

    assert rate(holds() for _ in range(1500)) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(("seed", "item"), [(0.05, 0.3), (0.2, 0.1), (0.1, 0.0)])
def test_the_spread_of_items_is_read_from_an_interval(seed, item):
    """Results over seeds x wordings have, on average, intervals of the spreads that they were drawn with; a
    result over seeds alone shows none between items.
    """
    rng, found = np.random.default_rng(3), []
    for _ in range(200):
        cells = 0.5 + rng.normal(0, seed, (5, 1)) + rng.normal(0, item, 12) + rng.normal(0, 0.02, (5, 12))
        one = over_seeds_and_items("r.r", {"behavior": "b"}, cells, range(5), unit="share")
        found.append(between_items(one, float(np.std(one.per_seed, ddof=1)), 12))
        assert between_items(replace(one, ci_method="t over seeds"), seed, 12) == 0
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(item, abs=0.1)


@pytest.mark.slow
def test_a_share_over_wordings_too_is_found_in_four_of_five():
    """Where wordings vary more than seeds, the printed size is what a crossed interval finds in .8, and more
    than seeds alone would say.
    """
    seeds, spread = 5, Spread(0.03, 0.3)
    line, given = BY_RESULT["bridge.recovery.self_report"], config(seeds=list(range(seeds)))
    found = find(line, given, spread, WORDINGS)
    alone = find(line, given, replace(spread, item=0.0), WORDINGS)
    assert found.smallest > alone.smallest + 0.1
    items = min(WORDINGS.count, given.place.items)
    assert f"x {items} wordings" in found.how
    rng = np.random.default_rng(1)

    def holds():
        of_seed, of_item = (
            rng.normal(0, sd, (2, *n)) for sd, n in ((spread.seed, (seeds, 1)), (spread.item, (1, items)))
        )
        poles = [
            share("r.r", {"behavior": "b"}, one, np.ones_like(one), seeds=range(seeds))
            for one in found.smallest + of_seed + of_item
        ]
        return all(interval_line("x", pole, above=QUARTER, below=QUARTER).state == "holds" for pole in poles)

    assert rate(holds() for _ in range(600)) == pytest.approx(0.8, abs=0.05)


def test_every_line_is_planned_over_what_its_number_is_over():
    """Each result that is over wordings or scenarios has its count; transfer alone is over seeds."""
    results_of = {line.result for line in LINES}
    assert set(ASKED) <= results_of
    assert {name.rpartition(".")[0] for name in results_of - set(ASKED) - {CROSSED}} == {"bridge.transfer"}


def test_components_of_seeds_and_items_come_back():
    """Seeds x items that were drawn with three spreads show them."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(0, 0.3, (60, 1)) + rng.normal(0, 0.4, 60) + rng.normal(1, 0.2, (60, 60))
    found = two_way(drawn)
    assert (found.seed, found.item, found.rest) == pytest.approx((0.3, 0.4, 0.2), rel=0.2)
    assert found.at == pytest.approx(1, abs=0.2)


def test_p_by_t_is_asked_after_holm():
    """What a line of a tested conjecture must exceed is the p that Holm leaves, not .05."""
    line, spread = BY_RESULT["bridge.transfer.over_neutral"], Spread(0.05)
    rng, seeds = np.random.default_rng(1), 5
    given = config(seeds=list(range(seeds)))
    found = find(line, given, spread, WORDINGS)
    values = rng.normal(found.smallest, spread.seed, (1500, seeds))
    tested = [mean_out_of_fold(v, layers=4)[1] for v in values]  # with what shared probes add
    assert rate(p <= 0.025 for p in tested) == pytest.approx(0.8, abs=0.05)
    assert rate(p <= 0.05 for p in tested) > 0.85


def test_every_line_of_the_verdicts_is_planned():
    """Rules and plan name the same lines, but for the mark on a point and what other methods say."""
    asked = {line.name for verdict in verdicts([]) for line in verdict.lines}
    assert {line.name for line in LINES} == asked - {
        "the report is readable",
        "no other vector contradicts it",
    }


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"controls": {"wrong_behavior": False, "all_layers": True}}, "controls.wrong_behavior is off"),
        ({"controls": {"seeds": 2, "all_layers": True}}, "it rests on 2 seeds, fewer than 3"),
        ({"controls": {"seeds": 3, "all_layers": False}}, "controls.all_layers is off"),
        ({"recovery": {"kinds": ["constant"]}}, "recovery.kinds has no trained"),
        ({"mediation": {"random": 998}}, "the report runs through it: 998 draws, fewer than 999"),
        ({}, "by an exact sign flip over 3 seeds: p is at least 0.25, so none reaches .05"),
    ],
)
def test_what_cannot_be_found_is_said(changes, says):
    """A missing arm, too few seeds or draws: the line, the reason, and the verdict that cannot be."""
    spreads = Spreads("made up", 5, {line.result: Spread(0.01) for line in LINES})
    told = power.planned(config(**changes), spreads)
    assert any(says in line for line in told)
    begun = told.index("Cannot be found at all:")
    if changes:
        assert any("the verdict cannot be: supported" in line for line in told[begun:])


def test_a_spread_that_allows_nothing_is_said():
    """Where even the largest effect is found too rarely, the line cannot hold, and its power is told."""
    found = find(BY_RESULT["behavior.effect"], config(), Spread(2.0), WORDINGS)
    assert found.smallest is None
    assert "even 1 is found with power 0" in found.weak


def test_a_spread_that_nobody_measured_is_no_power():
    """Without a spread there is a bound of p and nothing else."""
    found = find(BY_RESULT["bridge.mediation.nie"], config(mediation={"random": 999}), None, WORDINGS)
    assert (found.smallest, found.at_interest, found.never) == (None, None, "")
    assert "p at least 0.001" in found.how


def test_the_shipped_spreads_plan_every_config_of_the_embedded_model():
    """The table that ships names a registered run and knows results that lines read."""
    spreads = Spreads.read()
    assert "registered" in spreads.source
    assert set(spreads.of) <= {line.varies or line.result for line in LINES}
    told = power.planned(load("configs/embedded/risk.yaml", BehaviorConfig))
    assert sum("; power at " in line for line in told) >= 11


def test_spreads_are_measured_as_they_were_drawn(tmp_path):
    """Components of a made report come back, and a table reads as it was written."""
    rng, seeds, wordings = np.random.default_rng(0), 60, 60
    true = Spread(0.05, 0.12, 0.08)
    gap = rng.normal(0.3, true.item, wordings)
    rows = []
    for arm, sign in (("seeking", 1), ("averse", -1)):
        own = rng.normal(0, true.seed, seeds)
        cell = 0.5 + sign * gap[:, None] / 2 + own + rng.normal(0, true.rest, (wordings, seeds))
        rows += [(arm, f"k{w % 2}", f"t{w}", s, cell[w, s]) for w in range(wordings) for s in range(seeds)]
    table = pd.DataFrame(rows, columns=["arm", "kind", "template", "seed", "score"])
    found = crossed(table)
    for name in ("seed", "item", "rest"):
        assert getattr(found, name) == pytest.approx(getattr(true, name), rel=0.2)
    result = over_seeds("behavior.effect", {"behavior": "b"}, rng.normal(0, 0.1, 500), range(500), unit="x")
    spreads = measured([result], table, source="made")
    assert spreads.of["behavior.effect"].seed == pytest.approx(0.1, rel=0.1)
    spreads.write(tmp_path / "s.yaml")
    back = Spreads.read(tmp_path / "s.yaml")
    assert back.of[CROSSED].item == pytest.approx(found.item, abs=1e-4)
    assert (back.source, back.seeds, set(back.of)) == ("made", 60, set(spreads.of))
    (tmp_path / "s.yaml").write_text("format: 9\n")
    with pytest.raises(BrokenFileError, match="format 9"):
        Spreads.read(tmp_path / "s.yaml")


def test_a_kind_without_lines_is_told_in_units_of_its_spread():
    """Three seeds find 3.3 times their spread by t, and nothing by a sign flip."""
    told = of_seeds(3)
    factor = float(told[0].partition("effect of ")[2].split()[0])
    drawn = np.random.default_rng(0).normal(factor, 1, (1500, 3))
    assert rate(statistics.t_test(v) <= 0.05 for v in drawn) == pytest.approx(0.8, abs=0.05)
    assert "cannot be found at all" in told[2]
    assert not any("cannot be found at all" in line for line in of_seeds(6))
    assert [len(of_seeds(n)) for n in (0, 1)] == [1, 1]


def test_a_spread_of_few_seeds_is_hardly_known():
    """True spreads of which one was measured lie within its bounds in .95."""
    low, high = spread_bounds(3)
    drawn = np.random.default_rng(0).normal(0, 1, (4000, 3)).std(1, ddof=1)
    assert np.mean((low * drawn < 1) & (high * drawn > 1)) == pytest.approx(0.95, abs=0.015)


def test_no_spread_is_certainty():
    """Without any spread an effect above the bar is found, and one below is not."""
    exact = Sampling(0.0, 0.0, 2)
    assert exact.power(0.3, [power.Demand(0.2)]) == 1
    assert exact.power(0.1, [power.Demand(0.2)]) == 0
    assert replace(exact, df=0).power(0.3, [power.Demand(0.2)]) == 0
