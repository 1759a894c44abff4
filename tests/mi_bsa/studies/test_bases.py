"""Laws of several bases: what is over bases, and that a base knows nothing of the others."""

import json

import numpy as np
import pytest
from smallest import BEHAVIOR

from mi_bsa.core import results
from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.report.headline import sentences, tiles
from mi_bsa.report.page import read_verdicts
from mi_bsa.studies.behavior.bases import check, in_words, paths_in_words
from mi_bsa.studies.behavior.study import STUDY, BehaviorConfig, steps
from mi_bsa.study.steps import plan
from mi_bsa.study.testing import StudyLaws

THREE = ["embedded/0", "embedded/1", "embedded/2"]


def config(models=("embedded/0", "embedded/1"), **more):
    return parse(
        {**BEHAVIOR, "model": models if isinstance(models, str) else list(models), **more}, BehaviorConfig
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return STUDY.run(config(), tmp_path_factory.mktemp("bases") / "run").parent


def test_a_list_is_read_and_written_as_a_list():
    both = config(THREE)
    assert [str(model) for model in both.bases] == both.keyed()["model"] == THREE
    assert both.model == both.bases[0]
    assert parse(json.loads(json.dumps(both.dump())), BehaviorConfig) == both
    assert "bases" not in both.dump()
    assert "bases" not in config("embedded/1").dump()
    assert both.part("base-1") == config("embedded/1")


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ([], "list of 0"),
        (["embedded/0"], "list of 1"),
        (["embedded/0", "embedded/0"], "embedded/0 twice"),
        (["embedded/0", "some/llama"], "same questions"),
        (["embedded/0", 3], r"model\.1"),
        ([{"name": "embedded/0", "dtype": "bfloat16"}, {"name": "embedded/1", "dtype": "float32"}], "dtype"),
    ],
)
def test_a_wrong_list_is_one_line(models, says):
    with pytest.raises(ConfigError, match=says) as caught:
        config(models)
    assert "\n" not in str(caught.value)


def test_bases_stand_in_the_model_alone():
    with pytest.raises(ConfigError, match="list in `model`"):
        parse({**BEHAVIOR, "bases": THREE}, BehaviorConfig)


def test_one_base_under_two_names_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="one base by their weights"):
        check(config(["embedded", "embedded/0"]))
    with pytest.raises(ConfigError, match="one base by their weights"):
        STUDY.run(config(["embedded", "embedded/0"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_options_of_the_model_hold_for_every_base():
    both = parse({**BEHAVIOR, "model": THREE}, BehaviorConfig, overrides=["model.device=cpu"])
    assert [model.device for model in both.bases] == ["cpu"] * 3
    assert both.part("base-2").finetune.device == "cpu"


def test_a_base_has_the_keys_of_the_study_of_it_alone(tmp_path):
    """So its steps are the very same, whatever stands beside."""
    two, alone = config(), config("embedded/1")
    keys = {item.step.own(item.step.name): item.key for item in plan(steps(two), config=two, folder=tmp_path)}
    for item in plan(steps(alone), config=alone, folder=tmp_path):
        if item.step.name != "results":
            assert keys[item.step.name] == item.key


def test_the_plan_and_the_design_speak_of_bases(tmp_path):
    said = "\n".join(STUDY.planned(config(THREE)))
    assert "3 bases: embedded/0, embedded/1, embedded/2" in said
    assert "times the spread between bases" in said
    design = STUDY.design(config(THREE))
    assert set(design.models) == set(THREE)
    assert design.hash != STUDY.design(config(THREE[::-1])).hash
    assert "base-1 is embedded/1" in STUDY.preview(config(), tmp_path / "run")


@pytest.mark.slow
def test_a_base_has_the_numbers_of_the_study_of_it_alone(two, tmp_path):
    alone = STUDY.run(config("embedded/1"), tmp_path / "run").parent
    assert (alone / "results.json").read_bytes() == (two / "base-1" / "results.json").read_bytes()


@pytest.mark.slow
def test_results_over_bases(two):
    found = results.read(two)
    over = [one for one in found if "base" not in one.where]
    each = [one for one in found if "base" in one.where]
    assert {one.where["base"] for one in each} == {"embedded/0", "embedded/1"}
    effect = next(one for one in over if one.name == "behavior.effect")
    own = [one.value for one in each if one.name == "behavior.effect"]
    assert (effect.n, len(own)) == (2, 2)
    assert effect.value == pytest.approx(np.mean(own))
    assert "over bases" in effect.ci_method
    alone = {one.key for one in results.read(two / "base-0")}
    assert all(
        (one.name, tuple(p for p in one.where.items() if p[0] != "base")) in alone
        for one in each
        if one.where["base"] == "embedded/0"
    )
    for one in read_verdicts(two):
        assert one["bases"].startswith("of 2 bases: ")
        assert one["registration"].startswith("exploratory")
    said = sentences(found)
    assert len(said) == 1
    assert said[0].startswith("2 bases were each finetuned")
    assert all("bases = 2" in tile.note for tile in tiles(found))
    assert "over bases" in (two / "report.html").read_text()


@pytest.mark.slow
def test_a_base_that_is_added_runs_alone(two):
    """What is finished stays; of a longer list only the new base runs, and the step over bases."""
    three = config(THREE)
    todo = {item.step.name for item in plan(steps(three), config=three, folder=two) if item.reason}
    assert {name.partition("/")[0] for name in todo} == {"base-2", "results"}


def test_answers_in_words():
    given = ["supported", "undecided", "supported"]
    assert in_words(given, "undecided") == "of 3 bases: supported in 2, undecided in 1; over bases undecided"


def test_paths_are_those_of_each_base():
    """A base that walked some says how many agree; where none did, nothing is said."""
    one = results.Result(
        "bridge.multiverse.shared_state",
        {"behavior": "risk"},
        0.5,
        None,
        "none: choices",
        1620,
        "share of paths",
    )
    said = paths_in_words({"embedded/0": [one], "embedded/1": []}, "shared_state")
    assert said == "with the verdict of each base alone: embedded/0 0.50 of 1,620 paths agree"
    assert paths_in_words({"embedded/0": []}, "shared_state") == ""


def test_a_model_by_itself_is_no_list():
    assert config("embedded/1").bases == ()
    assert config("embedded/1").model == ModelConfig(name="embedded/1")


@pytest.mark.slow
class TestAStudyOfBases(StudyLaws):
    """The laws of every study, of a list of two."""

    @pytest.fixture
    def reference(self):
        return "mi_bsa.studies.behavior.study:STUDY"

    @pytest.fixture
    def given(self):
        return BEHAVIOR | {"model": THREE[:2]}

    @pytest.fixture
    def finished(self, two):
        return two
