"""The layer of transfer is chosen by the seeds that are not tested, and the results say which."""

import numpy as np
import pandas as pd
import pytest

from mi_bsa.causal.options import ProbeConfig
from mi_bsa.causal.transfer import Set, judge
from probes.shared_training import mean_out_of_fold
from probes.validity import layer_laws

SEEDS, LAYERS = (3, 5, 8, 9), 3
PROBE = ProbeConfig(method="mean_difference", prompts=8, test_shuffles=20)


def cached(means: np.ndarray, rng: np.random.Generator, name: str, n: int = 12) -> Set:
    """Rows of adapters [layer, seed, pole, width], one a prompt, as caches give them."""
    block = layer_laws.rows_of(rng, means, n)
    table = pd.DataFrame(
        [(SEEDS[k], pole, f"{name}-{i}") for k in range(len(SEEDS)) for pole in (0, 1) for i in range(n)],
        columns=["seed", "pole", "scenario"],
    )
    table["adapter"] = table["pole"].map({0: "averse-", 1: "seeking-"}) + table["seed"].astype(str)
    return {layer: block[layer].reshape(-1, means.shape[-1]) for layer in range(LAYERS)}, table


def planted(*, effect: float, seed: int = 0) -> dict[str, Set]:
    """Sets of adapters that share a direction in layer 1 alone, and of others that share none."""
    rng = np.random.default_rng(seed)
    design = layer_laws.LayerDesign(len(SEEDS), LAYERS, offset=0.6)
    own, neutral = layer_laws.adapters(rng, design)
    wrong, _ = layer_laws.adapters(rng, design)
    own[1, :, 1, 0] += effect
    names = {"choice-dev": own, "report-dev": own, "choice-test": own, "report-test": own}
    names |= {"neutral-test": neutral, "wrong": wrong}
    return {name: cached(means, rng, name) for name, means in names.items()}


def judged(sets: dict[str, Set]):
    """Results of transfer by name (of the claims alone), and the facts."""
    found, facts = judge(sets, behavior="risk", seeds=SEEDS, probe=PROBE)
    kept = {r.name.rpartition(".")[2]: r for r in found if not r.name.endswith(".auroc")}
    return kept, facts


def test_a_planted_layer_is_found_by_the_other_seeds():
    """All four seeds are tested at layer 1, where the state is, and both excesses hold."""
    by, facts = judged(planted(effect=6.0))
    assert facts["layers"] == dict.fromkeys(SEEDS, 1)
    assert by["chosen"].where["layer"] == 1
    assert "1 in 4 of 4" in by["chosen"].notes
    assert by["chosen"].value > 0.9
    for name in ("over_neutral", "over_wrong_behavior"):
        assert by[name].where["layer"] == 1
        assert by[name].seeds == SEEDS
        assert by[name].value == pytest.approx(np.mean(by[name].per_seed))
        behind = by[name].behind
        assert behind.top.mean() == pytest.approx(by[name].value)
        estimate, p = mean_out_of_fold(behind.top, strata=behind.kinds or None, layers=LAYERS)
        assert by[name].ci == (estimate.low, estimate.high)
        assert by[name].ci_method.startswith("t over seeds x wordings, crossed")
        assert by[name].p == p
    assert by["claim"].value == min(by["over_neutral"].value, by["over_wrong_behavior"].value)


@pytest.mark.slow
def test_adapters_that_share_nothing_are_at_chance():
    """Over 12 draws of adapters, the chosen AUROC is on average near .5; the tested seeds chose nothing."""
    values = [judged(planted(effect=0.0, seed=seed))[0]["chosen"].per_seed for seed in range(12)]
    assert np.mean(values) == pytest.approx(0.5, abs=0.1)


def test_a_difference_has_one_layer_on_both_sides():
    """Rows of a seed's other layers are not read: noise there leaves its differences as they were."""
    sets = planted(effect=6.0)
    before, _ = judged(sets)
    for name in ("report-test", "neutral-test", "wrong"):
        for layer in (0, 2):
            sets[name][0][layer][:] = np.random.default_rng(7).normal(size=sets[name][0][layer].shape)
    after, _ = judged(sets)
    for name in ("over_neutral", "over_wrong_behavior", "claim"):
        assert after[name].per_seed == before[name].per_seed
