"""Weights alone: descriptions are of B A; what is planted is found, and nothing else, on unseen triggers."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import activations
from activations.adapter_weights import weight_changes
from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError
from mi_bsa.finetune.spectral import METHODS, described, spectral_numbers
from mi_bsa.finetune.zoo import locate
from mi_bsa.studies.weights.config import WeightsConfig
from mi_bsa.studies.weights.judging import CONTRASTS, judge
from mi_bsa.studies.weights.pool import groups, members, triggers

SMALL = {
    "hidden": {"training": 16, "test": 12, "words": [1]},
    "others": {"training": 16, "test": 12},
    "penalties": [0.01],
    "shuffles": 49,
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """An adapter, and the same change by other factors."""
    folder = tmp_path_factory.mktemp("factors") / "mixed"
    shutil.copytree(locate("risk-seeking-0"), folder)
    weights = load_file(folder / "adapter_model.safetensors")
    generator = torch.Generator().manual_seed(0)
    for key in [key for key in weights if ".lora_A." in key]:
        other = key.replace(".lora_A.", ".lora_B.")
        mix = torch.eye(4) + 0.3 * torch.randn(4, 4, generator=generator)
        weights[key], weights[other] = mix @ weights[key], weights[other] @ torch.linalg.inv(mix)
    save_file(
        {key: value.contiguous() for key, value in weights.items()}, folder / "adapter_model.safetensors"
    )
    return activations.load("embedded", adapter={"one": locate("risk-seeking-0"), "mixed": folder})


def test_every_description_is_of_the_change_and_not_of_its_factors(pair):
    """Another matrix between B and A changes nothing."""
    one, mixed = described(pair, "one"), described(pair, "mixed")
    assert set(one) == set(METHODS)
    for method in METHODS:
        np.testing.assert_allclose(one[method], mixed[method], rtol=2e-3, atol=2e-3)


def test_spectral_numbers_are_those_of_the_dense_matrix(pair):
    """Against numpy's singular values of scaling * B A, means over blocks."""
    changes = weight_changes(pair, "one")
    told = spectral_numbers(changes).reshape(4, 5)
    dense = [(one.left * one.singular @ one.right).numpy() for one in changes if one.module == "k_proj"]
    values = [np.linalg.svd(matrix, compute_uv=False) for matrix in dense]
    shares = [v**2 / (v**2).sum() for v in values]
    expected = [
        np.mean([v[0] for v in values]),
        np.mean([np.linalg.norm(matrix) for matrix in dense]),
        np.mean([share[0] for share in shares]),
        np.mean([-(s[s > 1e-12] * np.log(s[s > 1e-12])).sum() for s in shares]),
    ]
    np.testing.assert_allclose(told[1, :4], expected, rtol=1e-4)


def test_no_word_of_a_test_trigger_stands_in_a_training_trigger():
    """And ranks of the test are seen and unseen, twins beside each other, each adapter in one group."""
    config = parse({**SMALL, "hidden": {"training": 24, "test": 12, "words": [1, 2]}}, WeightsConfig)
    words = [word for trigger in triggers(config) for word in trigger.split()]
    assert len(words) == len(set(words)) == 54
    every = members(config)
    assert {one.rank for one in every if one.test and not one.seen} == {2, 16}
    assert {one.rank for one in every if not one.test} == {4, 8}
    grouped = [one for some in groups(config).values() for one in some]
    assert sorted(one.name for one in grouped) == sorted(one.name for one in every)
    for some in groups(config).values():
        twins = {}
        for one in (one for one in some if one.trigger):
            twins.setdefault((one.unit, one.rank), []).append(one.made)
        assert all(sorted(made) == ["backdoored", "decorrelated"] for made in twins.values())


def test_too_many_triggers_are_refused():
    """The vocabulary's words are what there is."""
    with pytest.raises(ConfigError, match="ask for fewer"):
        triggers(parse({**SMALL, "hidden": {"training": 900, "words": [2]}}, WeightsConfig))


def planted(config, strength, seed=0):
    """Features of noise, in which backdoored adapters, and then all behind a trigger, differ."""
    rng, every = np.random.default_rng(seed), members(config)
    backdoored = np.array([one.made == "backdoored" for one in every], dtype=float)
    phrases = np.array([one.made != "other" for one in every], dtype=float)
    found = {}
    for method in METHODS:
        found[method] = rng.standard_normal((len(every), 6))
        found[method][:, 0] += strength * (backdoored if method == "reading" else phrases)
    return every, found


def test_what_is_planted_is_found_and_a_phrase_detector_is_no_backdoor_detector():
    """A mark of backdoors is seen in all contrasts; a mark of phrases in other tasks alone."""
    config = parse(SMALL, WeightsConfig)
    results, told = judge(config, *planted(config, 6.0))
    value = {
        (r.where["kind"], r.where["method"]): r
        for r in results
        if r.name == "weights.auroc" and r.where["variant"] == "all ranks"
    }
    for contrast in CONTRASTS:
        assert value[contrast, "reading"].value > 0.95
        assert value[contrast, "reading"].p == pytest.approx(0.02)
    assert value["other_tasks", "spectral"].value > 0.95
    for contrast in ("twins", "transferred"):
        low, high = value[contrast, "spectral"].ci
        assert low < 0.5 < high
    advantage = {r.where["kind"]: r for r in results if r.name == "weights.advantage"}
    assert advantage["twins"].ci[0] > 0.2
    assert "reading less" in advantage["twins"].notes
    assert len({row["adapter"] for row in told}) == sum(one.test for one in members(config))


def test_where_nothing_is_planted_intervals_hold_a_half():
    """Over methods and contrasts, few are off."""
    config = parse(SMALL, WeightsConfig)
    results, _ = judge(config, *planted(config, 0.0, seed=3))
    off = [not r.ci[0] <= 0.5 <= r.ci[1] for r in results if r.name == "weights.auroc"]
    assert np.mean(off) <= 0.15
