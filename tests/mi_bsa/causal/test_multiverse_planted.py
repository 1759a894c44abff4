"""Paths through planted models: what the gate is without a wording, and which handle mixes two states."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mi_bsa.causal import mediation, necessity, recovery, rivals
from mi_bsa.causal.multiverse.gates import gates
from mi_bsa.causal.multiverse.judge import agreeing, walks
from mi_bsa.causal.multiverse.measured import dosed, handles
from mi_bsa.causal.multiverse.paths import Multiverse
from mi_bsa.causal.options import (
    MediationOptions,
    MultiverseOptions,
    NecessityOptions,
    RecoveryOptions,
    RivalOptions,
)
from mi_bsa.causal.places import Place
from mi_bsa.causal.transfer import transfer_results
from mi_bsa.causal.verdict import verdicts
from mi_bsa.studies.planted import cut, draw
from mi_bsa.studies.planted.llama import build

PLACE = Place("resid_post.1", "slot")
KINDS = ("mean_difference", "trained")
OPTIONS = RecoveryOptions(kinds=KINDS, train_steps=30, learning_rate=0.1, train_batch=8)


@pytest.fixture(scope="module")
def separate():
    """A planted model with two states, of which adapters write both on all prompts."""
    return build(replace(draw("separate", 10_001), report_on_choices=1.0))


def paths(material):
    """The results of a planted study, and every path through it."""
    measured = recovery.measure(material, OPTIONS, place=PLACE, beside=False)
    beside = rivals.measure(material, OPTIONS, RivalOptions(shuffles=2), place=PLACE)
    found = [*cut.effects(material), *recovery.scored(measured)]
    found += [result for one in beside for result in rivals.scored(one)]
    found += necessity.ablate(material, NecessityOptions(kinds=KINDS), place=PLACE, beside=False)
    found += mediation.mediate(material, MediationOptions(kinds=KINDS), place=PLACE, beside=False)
    found += transfer_results(material, cut.PROBE)
    methods = handles(measured, found)
    assert methods == ["trained", "mean_difference"]
    universe = Multiverse(
        places=[dosed(material, measured, methods, MultiverseOptions(), OPTIONS)],
        rivals=beside,
        results=found,
        gates=gates(cut.answers(material), found),
        handles=methods,
        doses=["1", "0.75", "largest"],
        bars=[0.25, 0.15, 0.35],
    )
    return found, walks(universe)


@pytest.fixture(scope="module")
def asked(separate):
    """Its answers, its effects, and the gates without each wording."""
    table, found = cut.answers(separate), cut.effects(separate)
    return table, found, gates(table, found)


def test_the_gate_without_a_wording_is_that_of_the_others(asked):
    """The effect without a wording is the gap of the other wordings' answers; of none, the study's own."""
    table, found, without = asked
    whole = next(r for r in found if r.name == "self_report.effect")
    reports = table[table["set"] == "report-test"]
    assert list(without) == sorted(set(reports["scenario"]))
    name = next(iter(without))
    effect, validity = without[name]
    others = reports[reports["scenario"] != name]
    by = others.groupby(["arm", "kind", "template"])["score"].mean().groupby(["arm", "kind"]).mean()
    assert effect.value == pytest.approx(by["seeking"].mean() - by["averse"].mean())
    assert effect.key == whole.key
    assert effect.ci[0] < effect.value < effect.ci[1]
    assert validity.ci[0] <= validity.value <= validity.ci[1]


def test_the_gate_without_a_wording_is_of_samples_where_a_kind_was_sampled(asked):
    """Answers whose options hold next to nothing have no say beside samples of the same questions."""
    table, found, wanted = asked
    table = table.copy()
    report = table["set"].isin(["report-test", "neighbor_report-test", "named_report-test"])
    sampled = table[report].assign(asked="sampling", samples=2, parsed=2)
    table.loc[report, ["score", "mass"]] = [0.5, 0.01]
    told = gates(pd.concat([table, sampled], ignore_index=True), found)
    assert list(told) == list(wanted)
    for name, results in told.items():
        assert [(r.value, r.ci) for r in results] == [(r.value, r.ci) for r in wanted[name]]


def test_without_the_handle_there_is_nothing_to_dose(separate):
    """A study that trained no vector on choices has its other levels, and no null."""
    options = OPTIONS.model_copy(update={"kinds": ("mean_difference",)})
    found = recovery.measure(separate, options, place=PLACE, beside=False)
    assert handles(found, []) == ["trained"]
    same = dosed(separate, found, handles(found, []), MultiverseOptions(), options)
    assert same.null == {}
    assert same.ways.keys() == found.ways.keys()
    assert same.ways["seeking"].keys() == {"whole_adapter", "mean_difference", "trained_on_report"}


@pytest.mark.slow
def test_two_states_are_told_by_the_handle_that_would_have_mixed_them(separate):
    """Of a separate state the verdict is no; along the mean difference the lines of the handle alone would
    have said yes, and the table says so."""
    found, walked = paths(separate)
    answers = {one.path.handle: set() for one in walked}
    for one in walked:
        answers[one.path.handle].add(one.answers["shared_state"])
    assert answers == {"trained": {"not supported"}, "mean_difference": {"undecided"}}
    mixed = [one for one in walked if one.path.handle == "mean_difference"]
    assert np.mean([one.alone == "supported" for one in mixed]) > 0.6
    assert min(one.effect.value for one in mixed) > 0.5
    whole = next(agreeing(verdicts(found)[0], walked))
    assert whole.value == 0.5
    assert "the lines of the handle alone would have said supported in" in whole.notes
    assert "of mean_difference" in whole.notes


@pytest.mark.slow
def test_paths_agree_about_a_shared_state():
    """With either handle, at every dose and bar, without any wording: most paths say supported."""
    found, walked = paths(build(draw("shared", 10_001)))
    verdict = verdicts(found)[0]
    assert verdict.answer == "supported"
    whole = next(agreeing(verdict, walked))
    assert whole.n == 2 * 3 * 3 * (1 + len({one.path.without for one in walked} - {"none"}))
    assert whole.value > 0.8
