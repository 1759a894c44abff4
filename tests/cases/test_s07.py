"""S7: an edit of what is generated, where nothing is generated, is an error and no silent identity."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import activations
from activations import testing
from activations.errors import EditError
from mi_bsa.asking.likelihood import option_log_probs
from mi_bsa.asking.sampling import sample
from mi_bsa.core.items import Item

PROMPTS = [[{"role": "user", "content": text}] for text in ("take the box .", "which option do you choose ?")]
ONE = Item("one", tuple(PROMPTS[0]), (("A", 1.0), ("B", 0.0)), {})
LONG = Item("long", tuple(PROMPTS[0]), (("bold and so", 1.0), ("careful", 0.0)), {})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> activations.Model:
    """A tiny Llama."""
    return activations.load(testing.build(tmp_path_factory.mktemp("s07") / "base"))


def generated(model: activations.Model) -> activations.Edit:
    """Add a vector to what is generated."""
    vector = np.random.default_rng(0).normal(size=model.d_model).astype(np.float32)
    return activations.add((vector, "resid_post.1"), units="raw", scale=3.0, positions="generated")


@pytest.mark.parametrize("way", ["logits", "one token", "options", "sample", "capture", "forward"])
def test_where_nothing_is_generated_it_is_said(model: activations.Model, tmp_path: Path, way: str) -> None:
    """Whatever ran inside; the message says what to do."""
    ways: dict[str, Callable[[], Any]] = {
        "logits": lambda: model.logits(PROMPTS),
        "one token": lambda: model.generate(PROMPTS, max_new_tokens=1),
        "options": lambda: option_log_probs(model, [ONE]),
        "sample": lambda: sample(model, [ONE], 2, seed=0, max_new_tokens=1),
        "capture": lambda: activations.capture(model, PROMPTS, sites="resid_post", out=tmp_path / "a.h5"),
        "forward": lambda: model.inner(torch.tensor([[5, 6, 7]])),
    }
    with (
        pytest.raises(EditError, match="generate two tokens or more") as error,
        activations.edit(model, generated(model)),
    ):
        ways[way]()
    assert "\n" not in str(error.value)


def test_where_something_is_generated_it_moves_that(model: activations.Model) -> None:
    """New tokens, options of several tokens, and the answer of a closed conversation: selected, and moved."""
    plain = model.answer_ids(PROMPTS, max_new_tokens=4)
    with activations.edit(model, generated(model)):
        found = model.answer_ids(PROMPTS, max_new_tokens=4)
    assert [ids[0] for ids in found] == [ids[0] for ids in plain]
    assert found != plain
    before = option_log_probs(model, [LONG])[0]
    with activations.edit(model, generated(model)):
        assert np.abs(option_log_probs(model, [LONG])[0] - before).max() > 1e-3
    closed = [[*PROMPTS[0], {"role": "assistant", "content": "bold"}]]
    logits = model.logits(closed)
    with activations.edit(model, generated(model)):
        assert (model.logits(closed) - logits).abs().max() > 1e-3


def test_a_run_counts_as_a_whole(model: activations.Model) -> None:
    """A pass that has nothing to steer is no error where another one in the same block has."""
    with activations.edit(model, generated(model)):
        model.logits(PROMPTS)
        model.generate(PROMPTS, max_new_tokens=3)
