"""S2, in asking and on every family: an edit selects the positions that it names."""

from pathlib import Path

import numpy as np
import pytest
import torch
from test_s02 import SITE, add, chats, model, push

import activations
from activations import hooks, testing
from activations.errors import EditError

__all__ = ["model"]  # a fixture


def test_questions_are_steered_from_the_end_of_the_prompt(model: activations.Model) -> None:
    """`ask` and sampling: -1 is the token before the answer; what differs by row has no row in questions that
    are asked once, and has one in samples."""
    from mi_bsa.asking.likelihood import option_log_probs
    from mi_bsa.asking.sampling import sample
    from mi_bsa.core.items import Item

    items = [
        Item(str(n), tuple(prompt), (("A", 1.0), ("bold and so", 0.0)), {})
        for n, prompt in enumerate(chats(model))
    ]
    single = []
    for item in items:
        end = len(model.rows([list(item.messages)])[0]) - 1
        with activations.edit(model, add(model, end)):
            single.append(option_log_probs(model, [item])[0])
    with activations.edit(model, add(model, -1)):
        together = option_log_probs(model, items)
    assert np.allclose(np.stack(together), np.stack(single), atol=1e-4)
    with pytest.raises(EditError, match="asked once"), activations.edit(model, add(model, [-1, -1, -1])):
        option_log_probs(model, items)
    with pytest.raises(EditError, match="beyond"), activations.edit(model, add(model, 200)):
        option_log_probs(model, items)
    with activations.edit(
        model, activations.add((push(model, 3), SITE), units="raw", scale=9.0, positions=-1)
    ):
        rows = sample(model, items, 2, seed=0, temperature=1e-4, max_new_tokens=3)
    for n, item in enumerate(items):
        with activations.edit(
            model, activations.add((push(model, 3)[n], SITE), units="raw", scale=9.0, positions=-1)
        ):
            alone = sample(model, [item], 2, seed=0, temperature=1e-4, max_new_tokens=3)
        assert alone["text"].tolist() == rows[rows["id"] == item.id]["text"].tolist()


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, marks=[pytest.mark.slow] * (family not in ("llama", "gemma3_text")))
        for family in testing.FAMILIES
    ],
)
def test_families_keep_the_laws_of_positions(tmp_path: Path, family: str) -> None:
    """A run patched into itself changes nothing; steered text depends neither on cache nor on neighbors."""
    model = activations.load(testing.build(tmp_path / family, family=family), attention="eager")
    prompts = chats(model)
    batch = model.collate(model.rows(prompts))
    site = activations.Site.parse(SITE)
    own = hooks.read(model, batch, [site], hooks.whole)[site]
    last = own[torch.arange(3), batch.lengths - 1]
    plain = model.logits(prompts)
    answers = model.answer_ids(prompts, max_new_tokens=4)
    for values, where in ((last, -1), (own[:, 2], 2), (last, [-1, -1, -1]), (own[:, 1:3], [[1, 2]] * 3)):
        with activations.edit(model, activations.replace(site, values, positions=where)):
            assert torch.allclose(model.logits(prompts), plain, atol=1e-4), where
            assert model.answer_ids(prompts, max_new_tokens=4) == answers, where
    for where in (-1, "from:9", "generated"):
        with activations.edit(model, add(model, where)):
            moved = model.answer_ids(prompts, max_new_tokens=5)
            assert moved == model.answer_ids(prompts, max_new_tokens=5, use_cache=False), where
            assert moved == [model.answer_ids([one], max_new_tokens=5)[0] for one in prompts], where
