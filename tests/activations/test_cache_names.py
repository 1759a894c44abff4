"""A cache goes in under the name that a module's own forward has."""

import inspect

import pytest
from torch import nn

import activations
from activations.cache_names import NAMES, name_of


class New(nn.Module):
    """As transformers names it from 5.24 on."""

    def forward(self, hidden_states, cache=None, use_cache=None, **kwargs):
        return hidden_states


class Old(nn.Module):
    """As it was named before."""

    def forward(self, hidden_states, past_key_values=None, use_cache=None, **kwargs):
        return hidden_states


@pytest.mark.parametrize(("kind", "name"), [(New, "cache"), (Old, "past_key_values")])
def test_both_names_are_told_apart(kind, name):
    """Whatever release of transformers is installed; `use_cache` is none of them."""
    assert name_of(kind()) == name


def test_every_part_of_a_model_takes_it(tmp_path):
    """Model, decoder, block and attention of the installed release have the name that is used for them."""
    model = activations.load(activations.testing.build(tmp_path / "tiny"))
    anatomy = model.anatomy
    for part in (model.inner, anatomy.decoder, anatomy.layers[0], anatomy.parts[0].attention):
        taken = inspect.signature(type(part).forward).parameters
        assert name_of(part) in NAMES
        assert name_of(part) in taken
