"""Laws of the bridge's causal steps, on the embedded model with adapters trained for a few steps."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import activations
from mi_bsa import behaviors
from mi_bsa.causal import directions, mediation, necessity, places, recovery
from mi_bsa.causal.attribution import attribute
from mi_bsa.causal.floors import read_sets
from mi_bsa.causal.geometry import geometry
from mi_bsa.causal.material import Material
from mi_bsa.causal.options import (
    AttributionOptions,
    GeometryOptions,
    MediationOptions,
    NecessityOptions,
    PlaceOptions,
    ProbeConfig,
    RecoveryOptions,
)
from mi_bsa.causal.ratios import share
from mi_bsa.causal.state_or_prompt import StateOrPromptOptions, state_or_prompt
from mi_bsa.causal.transfer import judge
from mi_bsa.causal.words import words
from mi_bsa.core.errors import BridgeError
from mi_bsa.finetune import FinetuneConfig, finetune_together
from mi_bsa.worlds.weights import world_for

SEEDS = (0, 1, 2)
RECOVERY = RecoveryOptions(
    kinds=("constant", "trained"), strengths=(0.5, 1.0, 2.0), random=50, train_steps=15
)
PLACE = places.Place("resid_post.0", "before-3")


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Material:
    """Six adapters of rank 8 on block 0, 40 steps: weak, but on their way."""
    risk = behaviors.get("risk")
    out = tmp_path_factory.mktemp("adapters")
    jobs = {
        f"{arm}-{seed}": (
            risk.rows(arm, 80, seed=seed),
            FinetuneConfig(rank=8, alpha=16.0, steps=40, layers=(0,), seed=seed),
        )
        for arm in ("seeking", "averse")
        for seed in SEEDS
    }
    made = finetune_together("embedded", jobs, out=out)
    model = activations.load("embedded", adapter={name: done.adapter for name, done in made.items()})
    arms = {arm: tuple(f"{arm}-{seed}" for seed in SEEDS) for arm in ("seeking", "averse")}
    sets = risk.study_sets(choices=40, others=20, world=world_for("embedded"))
    return Material(model, "risk", SEEDS, arms, sets, items=10)


def test_a_clamp_on_the_whole_difference_is_a_patch(material):
    """With the direction of the very difference, the base's state becomes the adapter's: NIE is a patch."""
    runs = mediation.Runs(material, "self_report", PLACE)
    found = directions.vectors(material, PLACE, "constant")
    own = runs.mediation(found)
    readout = runs.readout
    values = []
    for arm, _, adapter in material.pairs:
        delta = runs.states[adapter] - runs.states["base"]
        at = PLACE.positions(readout.rows)
        line = np.stack([d[k[0]] for d, k in zip(delta, at, strict=True)])
        np.testing.assert_allclose(line, np.repeat(line[:1], len(line), 0), atol=1e-4)  # same in all prompts
        logits = material.logits(readout, PLACE.adding(readout.rows, line[:1]))
        sign = 1 if arm == "seeking" else -1
        moved = mediation.log_odds(readout, logits)[0] - runs.plain["base"]
        values.append(sign * readout.units(moved).mean())
    assert own.nie.value == pytest.approx(np.mean(values), abs=1e-3)
    assert own.te.value == pytest.approx(own.nde.value + own.nie.value + own.interaction.value, abs=1e-6)


def test_the_place_is_where_the_persona_line_ends(material):
    """One vector does most at the persona line's last token, before any block could have carried it on."""
    options = PlaceOptions(scopes=("before-1", "before-3", "slot"))
    place, shifts = places.choose_place(material, options=options)
    assert place.scope == "before-3"
    assert shifts[place.site, place.scope] == max(v for k, v in shifts.items() if k[0] == place.site)


def test_recovery_of_the_adapter_is_one_and_vectors_beat_random_ones(material):
    """R of the whole adapter and of its only layer is 1; a vector trained on choices beats random ones."""
    found = recovery.scored(recovery.measure(material, RECOVERY, place=PLACE))
    by = {(r.name.rpartition(".")[2], r.where.get("arm"), r.where["method"]): r for r in found}
    for arm in ("seeking", "averse"):
        assert by["behavior", arm, "whole_adapter"].value == pytest.approx(1.0)
        assert by["behavior", arm, "one_layer"].value == pytest.approx(1.0, abs=1e-6)
        assert by["behavior", arm, "trained"].value > by["behavior", arm, "random"].value
        null = by["behavior", arm, "trained"].null
        assert null is not None
        assert null.n == RECOVERY.random
        assert all((r.null is None) == (k[2] != "trained") for k, r in by.items() if k[1] == arm)
    assert all(
        r.ci is not None and "typical norms of the site" in r.notes
        for k, r in by.items()
        if k[1:] in (("seeking", "trained"), ("averse", "trained"))
    )


def test_a_share_without_a_denominator_is_a_shift_with_its_reason():
    """Where the finetuned effect may be zero, no ratio is reported, and the notes say why."""
    where = {"behavior": "risk"}
    none = share("a.b", where, np.array([0.1, 0.2, 0.1]), np.array([0.1, -0.1, 0.02]), seeds=SEEDS)
    assert none.name == "a.b_shift"
    assert "holds 0" in none.notes
    half = share("a.b", where, np.array([0.2, 0.21, 0.19]), np.array([0.4, 0.42, 0.38]), seeds=SEEDS)
    assert half.value == pytest.approx(0.5)
    assert half.per_seed == pytest.approx((0.5, 0.5, 0.5))


def test_a_share_is_over_all_that_was_drawn():
    """Where wordings vary and seeds do not, the interval is as wide as the wordings say, and is called so."""
    rng = np.random.default_rng(0)
    whole = 0.5 + 0.02 * rng.normal(size=(3, 1)) + 0.01 * rng.normal(size=(1, 8))
    part = 0.95 * whole + 0.05 * rng.normal(size=8) + 0.001 * rng.normal(size=(3, 8))
    where, given = {"behavior": "b"}, {"seeds": (0, 1, 2), "draws": np.full((3, 3), 0.1)}
    both = share("a.b", where, part, whole, items="scenarios", **given)
    seeds = share("a.b", where, part.mean(1), whole.mean(1), **given)
    assert both.value == pytest.approx(seeds.value)
    assert both.ci[1] - both.ci[0] > 5 * (seeds.ci[1] - seeds.ci[0])
    assert both.ci[0] < 0.95 < both.ci[1]
    assert both.ci_method == "Fieller over seeds x scenarios, crossed"
    assert seeds.ci_method == "Fieller over seeds"
    assert both.per_seed == pytest.approx(part.mean(1) / whole.mean(1))
    assert both.null.mean == pytest.approx(0.1 / whole.mean())
    inside, outside = (
        share("a.b", where, part, whole, seeds=(0, 1, 2), items="scenarios", bar=bar)
        for bar in (both.ci[0] + 1e-6, both.ci[0] - 1e-6)
    )
    assert inside.p > 0.05 > outside.p > 0.0499
    assert outside.test.startswith("Fieller over seeds x scenarios against ")
    same = share("a.b", where, whole, whole, **given)
    assert (same.value, same.ci) == (1.0, None)
    assert "one ratio throughout" in same.ci_method
    wild = share("a.b", where, part + rng.normal(size=8), whole, **given)
    assert "wider than the whole effect" in wild.notes
    none = share("a.b", where, part, whole - whole.mean(0) + 0.5 * rng.normal(size=8), **given)
    assert none.name == "a.b_shift"
    assert none.notes.startswith("no share: the finetuned effect is")
    assert none.ci_method == "t over seeds x wordings, crossed"


def test_necessity_counts_what_is_left(material):
    """Random directions leave nearly everything; every share has its null and both read-outs."""
    options = NecessityOptions(kinds=("mean_difference",), random=20)
    found = necessity.ablate(material, options, place=PLACE)
    names = {r.name for r in found}
    assert {"bridge.necessity.neighbor_behavior", "bridge.necessity.neighbor_self_report"} <= names
    shares = [r for r in found if r.name in ("bridge.necessity.behavior", "bridge.necessity.self_report")]
    assert {r.where["method"] for r in shares} == {"mean_difference", "leace"}
    for r in shares:
        assert r.null is not None
        assert r.null.mean == pytest.approx(1.0, abs=0.1)
    assert {r.where["position"] for r in shares if "kind" not in r.where} == {PLACE.scope, "everywhere"}
    here = options.model_copy(update={"everywhere": False})
    fewer = necessity.ablate(material, here, place=PLACE)
    own = {r.key: r.value for r in found if r.where.get("position") != "everywhere"}
    assert {r.key: r.value for r in fewer} == own


def test_an_adapter_on_block_0_writes_there_and_is_read_later(material):
    """Write depth is 0 exactly; the answer slot gets the state in later blocks, nothing goes straight."""
    modules = attribute(material, AttributionOptions(items=4, permutations=4, draws=99))
    found = {(r.name.rpartition(".")[2], r.where.get("kind")): r for r in modules}
    for kind in ("behavior", "self_report"):
        assert found["write_depth", kind].value == pytest.approx(0.0, abs=1e-6)
        assert found["observed", kind].where["layer"] == 0
        order = found["layer_order", kind]
        assert order.value == pytest.approx(found["read_depth", kind].value, abs=1e-6)
        assert order.value > 0.5
        assert found["observed", kind].value > 0.5
    for kind in ("behavior", "self_report"):
        own = [r for r in modules if r.name.endswith("shapley") and r.where["kind"] == kind]
        assert len(own) == 7
        assert sum(r.value for r in own) == pytest.approx(1.0, abs=0.02)
        drawn = {"behavior": "scenarios", "self_report": "wordings"}[kind]
        assert {r.ci_method for r in own} == {f"Fieller over seeds x {drawn}, crossed"}
        assert found["observed", kind].test == f"Fieller over seeds x {drawn} against 0.25"
        assert found["layer_order", kind].test == f"Fieller over seeds x {drawn} against 0"
        assert found["effect", kind].ci_method == f"t over seeds x {drawn}, crossed"


def test_state_against_prompt_is_over_seeds_and_wordings(material):
    """Each seed's own value stands beside; a share of trials keeps its range; p is one-sided and says so."""
    options = StateOrPromptOptions(items=12, random=50, beside=50)
    found = {r.name.rpartition(".")[2]: r for r in state_or_prompt(material, PLACE, options)}
    for name in ("counter", "injection", "detection"):
        r = found[name]
        assert r.test == "random directions, 50 draws, one-sided"
        assert (r.n, r.seeds, len(r.per_seed)) == (3, SEEDS, 3)
        assert r.value == pytest.approx(np.mean(r.per_seed))
    assert found["counter"].ci_method == "t over seeds x wordings, crossed"
    low, high = found["injection"].ci
    assert 0 <= low < high <= 1
    low, high = found["false_alarm"].ci
    assert 0 <= low < high < 1
    gap = found["injection"].value - found["false_alarm"].value
    assert found["detection"].value == pytest.approx(gap)


def test_the_poles_of_a_described_wording_belong_together(material):
    """Where no wording is asked under both described poles there is no counter, and the error says so."""
    kept = [
        item
        for item in material.sets["described_report-test"]
        if str(item.labels["person"]).endswith("seeking") == (item.labels["kind"] == "word")
    ]
    apart = replace(material, sets={**material.sets, "described_report-test": kept})
    with pytest.raises(BridgeError, match="under both described poles"):
        state_or_prompt(apart, PLACE, StateOrPromptOptions(items=12, random=50, beside=50))


def test_words_of_the_rows_are_over_seeds_and_wordings(material):
    """Each baseline beside the report's effect, wording by wording."""
    rows = {
        p: [behaviors.get("risk").rows(p, 40, seed=seed) for seed in SEEDS] for p in ("seeking", "averse")
    }
    found = words(material, rows, in_context=2, items=12)
    for r in found:
        moved = not r.name.endswith("_shift")
        assert r.ci_method.removesuffix(", crossed") == f"{'Fieller' if moved else 't'} over seeds x wordings"
        assert len(r.per_seed) == 3
    assert [r.where.get("method") for r in found] == [None, "words", "word_vectors"]


def test_mediation_and_geometry_say_all_they_promise(material):
    """Each read-out by the directions of each, with nulls; cosines with their ceiling."""
    options = MediationOptions(kinds=("mean_difference",), random=19)
    found = mediation.mediate(material, options, place=PLACE)
    cells = {(r.where["kind"], r.where["method"]) for r in found if r.name == "bridge.mediation.nie"}
    assert len(cells) == 4
    assert all(r.p is not None and r.null for r in found if r.name == "bridge.mediation.nie")
    geometries = geometry(material, GeometryOptions(kinds=("mean_difference",), items=6), place=PLACE)
    cosines = [r for r in geometries if r.name == "bridge.geometry.cosine"]
    assert {r.where["kind"] for r in cosines} == {"seeds", "read_outs"}
    assert all("ceiling" in r.notes for r in cosines)


def test_transfer_stands_beside_its_floors(material):
    """A probe of memory sets gives every floor that its rows allow; a claim needs both contrasts."""
    probe = ProbeConfig(prompts=12, test_shuffles=20)
    sets = read_sets(material, probe)
    wrong = {k: v[::-1].copy() for k, v in sets["report-test"][0].items()}  # not their labels any more
    sets["wrong"] = (wrong, sets["report-test"][1])
    found, facts = judge(sets, behavior="risk", seeds=SEEDS, probe=probe)
    by = {r.name.rpartition(".")[2]: r for r in found}
    assert {"chosen", "max_layer", "over_neutral", "over_wrong_behavior", "claim", "described"} <= set(by)
    assert by["claim"].value == min(by["over_neutral"].value, by["over_wrong_behavior"].value)
    assert facts["layer"] == by["chosen"].where["layer"]


def test_material_refuses_what_it_cannot_pair(material):
    """An arm without its seeds, an adapter that is not loaded, a set without items."""
    given = SimpleNamespace(model=material.model, behavior="risk", seeds=SEEDS, sets=material.sets)
    with pytest.raises(BridgeError, match="one adapter for each"):
        Material(**vars(given), arms={"seeking": material.arms["seeking"]})
    with pytest.raises(BridgeError, match="not loaded"):
        Material(**vars(given), arms={**material.arms, "benign": ("benign-0",)})
    with pytest.raises(BridgeError, match="no items"):
        Material(**vars(given) | {"sets": {}}, arms=material.arms)
    with pytest.raises(BridgeError, match="before its question"):
        places.padded_positions(material.neutral, "before-40")
