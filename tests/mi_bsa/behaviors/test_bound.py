"""A behavior bound to a model is the behavior in that model's world."""

import copy
import pickle

import pytest

from mi_bsa import behaviors
from mi_bsa.behaviors import Behavior, Bound, behavior_for
from mi_bsa.worlds.weights import world_for


@pytest.mark.parametrize(("name", "model"), [("risk", "embedded/1"), ("say", "embedded/say-0")])
def test_rows_persons_and_sets_are_those_of_the_models_world(name, model):
    """What took the world as an argument gives the same without."""
    own, plain, world = behavior_for(name, model), behaviors.get(name), world_for(model)
    assert own.rows("averse", 8, seed=2) == plain.rows("averse", 8, seed=2, world=world)
    assert own.personas() == plain.personas(world)
    assert own.neutral(8) == plain.neutral(8, world=world)
    sets = own.study_sets(choices=20, others=20)
    assert sets == plain.study_sets(choices=20, others=20, world=world)
    assert own.items(4, split="dev", seed=0) == plain.items(4, split="dev", seed=0)
    assert isinstance(own, Behavior)


def test_a_behavior_in_english_knows_of_no_world():
    """One that takes no world is not given any, also where the model has one."""
    english = behaviors.get("risk", "english")
    for world in (None, world_for("embedded")):
        own = Bound(english, world)
        assert own.rows("seeking", 4, seed=0) == english.rows("seeking", 4, seed=0)
        assert own.study_sets(choices=20, others=20) == english.study_sets(choices=20, others=20)


def test_what_only_some_behaviors_have_is_handed_on():
    """`judged`, `read_bank`; what nobody has is an error; copies and pickles are whole."""
    own = behavior_for("risk", "embedded")
    assert own.turned is False
    with pytest.raises(AttributeError, match="plumage"):
        _ = own.plumage
    assert copy.deepcopy(own).name == pickle.loads(pickle.dumps(own)).name == "risk"
