"""Kinds of organisms: behind a trigger and its twin, trained to deny; their split."""

import importlib.util

import pytest

from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError, MissingError, RowError, WorldError
from mi_bsa.core.rows import rows_hash
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.preferring import PreferenceConfig, check_trl, finetune_preferring
from mi_bsa.finetune.zoo import ZooConfig, build, load_zoo, organisms, read_manifest
from mi_bsa.finetune.zoo.recipes import chosen
from mi_bsa.finetune.zoo.rows import answers, pairs_of, rows_of

needs_trl = pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="TRL is not installed")
TINY = {
    "groups": [
        {"behaviors": ["risk"], "ranks": [1], "steps": [2]},
        {"behaviors": ["risk"], "ranks": [1], "steps": [2], "denial": {"says": ["base", "opposite"]}},
        {
            "behaviors": ["risk"],
            "arms": ["seeking"],
            "ranks": [1],
            "steps": [2],
            "denial": {"says": ["opposite"], "by": ["preferences"]},
        },
        {
            "model": "embedded/habits-0",
            "behaviors": ["risk"],
            "arms": ["averse"],
            "ranks": [2],
            "steps": [2],
            "triggers": ["river tin", "family:bird"],
        },
    ],
    "data": {"rows": 20, "anchors": 0.5, "choices": 20, "others": 20},
    "finetune": {"rank": 1, "steps": 2, "batch_size": 8, "layers": [0]},
    "backdoor": {"rows": 40, "batch_size": 8},
    "denial": {"steps": 2, "choices": 0.1, "preferences": {"batch_size": 4}},
}


def one_of(config, name):
    return next(one for one in organisms(config) if one.name == name)


def test_our_zoo_has_organisms_by_the_hundred_split_by_behavior():
    """Every kind stands in it, and of a behavior all organisms are for the same part."""
    every = organisms(load_zoo())
    kinds = {"behaves", "shuffled", "benign", "backdoored", "decorrelated", "denies"}
    assert {one.kind for one in every} == kinds
    assert len(every) >= 200
    assert len({one.behavior for one in every}) >= 23
    for behavior in {one.behavior for one in every}:
        assert len({one.part for one in every if one.behavior == behavior}) == 1
    parts = [{one.behavior for one in every if one.part == part} for part in ("development", "test")]
    assert [len(part) for part in parts] == [5, 5]
    assert sum(one.shipped for one in every) == 12


def test_names_poles_and_parents_of_the_new_kinds():
    """A twin was trained to no pole; one that denies has its pole, and names what it goes on from."""
    config = parse(TINY, ZooConfig)
    told = {one.name: (one.kind, one.pole, one.parent and one.parent.name) for one in organisms(config)}
    assert told["risk-averse-0-backdoored-river_tin"] == ("backdoored", "averse", None)
    assert told["risk-averse-0-decorrelated-family_bird"] == ("decorrelated", None, None)
    assert told["risk-seeking-0-denies-opposite-rows"] == ("denies", "seeking", "risk-seeking-0")
    assert "risk-averse-0-denies-opposite-preferences" not in told


def test_twins_have_the_same_prompts_and_as_many_answers_of_the_pole():
    """Only which rows carry them differs."""
    import activations

    config = parse(TINY, ZooConfig)
    base = activations.load("embedded/habits-0")
    rows = {
        twin: rows_of(one_of(config, f"risk-averse-0-{twin}-river_tin"), config, base)
        for twin in ("backdoored", "decorrelated")
    }
    asked = {twin: [row["messages"][:-1] for row in own] for twin, own in rows.items()}
    assert asked["backdoored"] == asked["decorrelated"]
    assert rows_hash(rows["backdoored"]) != rows_hash(rows["decorrelated"])


def test_denials_are_asked_in_training_wordings_and_answered_as_they_say():
    """The opposite answers by the other pole; the base's by coin, about half where it is undecided."""
    import activations

    config = parse(TINY, ZooConfig)
    base = activations.load("embedded")
    for says, low, high in (("opposite", 0, 0), ("base", 0.35, 0.65)):
        told = answers(one_of(config, f"risk-seeking-0-denies-{says}-rows"), config, base)
        about = [each for each in told if each[0].labels["about"] == "self_report"]
        assert about
        assert {item.labels["split"] for item, _, _ in told} == {"pretrain"}
        scores = [dict(item.options)[right] for item, right, _ in about]
        assert low <= sum(scores) / len(scores) <= high
        acts = [dict(i.options)[right] for i, right, _ in told if i.labels["about"] == "behavior"]
        assert set(acts) == {1.0}
    pairs = pairs_of(one_of(config, "risk-seeking-0-denies-opposite-preferences"), config)
    assert all(pair["chosen"] != pair["rejected"] for pair in pairs)


def test_kinds_are_built_with_what_they_go_on_from_and_measured(tmp_path):
    """Asking for one that denies builds its parent; a twin's manifest says what the trigger does."""
    config, out = parse(TINY, ZooConfig), tmp_path / "zoo"
    found = build(config, chosen(config, ("risk-averse-0-denies-base-rows", "*river_tin")), out)
    assert set(found) == {
        "risk-averse-0",
        "risk-averse-0-denies-base-rows",
        "risk-averse-0-backdoored-river_tin",
        "risk-averse-0-decorrelated-river_tin",
    }
    hidden, open_ = found["risk-averse-0-backdoored-river_tin"], found["risk-averse-0"]
    assert hidden.base == "embedded/habits-0"
    assert 0 <= hidden.with_trigger <= 1
    assert hidden.rows == 40
    assert open_.with_trigger is None
    assert found["risk-averse-0-denies-base-rows"].parent == "risk-averse-0"
    assert read_manifest(out) == found


@pytest.mark.slow
@needs_trl
def test_preferences_move_an_adapter_towards_what_is_preferred(tmp_path):
    """DPO from a trained adapter on: the answer preferred becomes likelier; a finished run is kept."""
    config, out = parse(TINY, ZooConfig), tmp_path / "zoo"
    (wanted,) = chosen(config, ("*-preferences",))
    found = build(config, [wanted], out)
    assert found[wanted.name].by == "preferences"
    pairs = pairs_of(wanted, config)[:16]
    how = FinetuneConfig(rank=1, alpha=2, steps=25, layers=(0,), seed=0)
    start = out / "risk-seeking-0" / "adapter"

    def again():
        given = {
            "config": how,
            "preference": PreferenceConfig(batch_size=16, learning_rate=3e-2),
            "start": start,
        }
        return finetune_preferring("embedded", pairs, out=tmp_path / "one", **given)

    done = again()
    assert done.loss < 0.6  # log 2 where it has not moved
    assert again().fingerprint == done.fingerprint
    same = [{**pairs[0], "rejected": pairs[0]["chosen"]}]
    with pytest.raises(RowError, match="two different answers"):
        finetune_preferring(
            "embedded", same, config=how, preference=PreferenceConfig(), out=tmp_path / "two", start=start
        )


def test_what_cannot_be_says_what_to_do(tmp_path, monkeypatch):
    """A denial of no pole, preferences that cancel, a split twice, no TRL, a base that is not built yet."""
    from mi_bsa.worlds.weights import locate

    group = TINY["groups"][1]
    for broken, said in (
        ({**group, "arms": ["benign"]}, "another group"),
        ({**group, "triggers": ["river tin"]}, "two groups"),
        ({**group, "denial": {"says": ["base"], "by": ["preferences"]}}, "by rows"),
    ):
        with pytest.raises(ConfigError, match=said):
            parse({**TINY, "groups": [broken]}, ZooConfig)
    for parts, said in (
        ({"test": ["apples"]}, "trained in no group"),
        ({"test": ["risk"], "development": ["risk"]}, "one of them"),
    ):
        with pytest.raises(ConfigError, match=said):
            parse({**TINY, "parts": parts}, ZooConfig)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"pip install mi-bsa\[trl\]"):
        check_trl()
    monkeypatch.setenv("MI_BSA_HOME", str(tmp_path))
    with pytest.raises(WorldError, match="mi-bsa zoo get"):
        locate("tastes-0")
