"""Plans cover every row once within the budget; padding and masks are true on both sides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activations.batches import TIGHT, WORTH, collate, plan
from activations.errors import PromptError


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80), st.integers(1, 200))
def test_a_plan_holds_every_row_once_and_keeps_its_budget(lengths: list[int], budget: int) -> None:
    """Rows x longest stays within the budget, except for a row that is longer by itself."""
    made = plan(lengths, batch_tokens=budget)
    members = [made[n] for n in range(len(made))]
    assert sorted(np.concatenate(members).tolist()) == list(range(len(lengths)))
    for batch in members:
        sizes = [lengths[n] for n in batch]
        assert len(batch) == 1 or len(batch) * max(sizes) <= budget


@given(st.lists(st.integers(1, 600), min_size=1, max_size=200))
def test_a_tight_plan_pads_little_once_a_batch_is_worth_its_calls(lengths: list[int]) -> None:
    """A row that joins a batch of `WORTH` tokens is nearly as long as its longest; all rows are held once."""
    made = plan(lengths, batch_tokens=4096, tight=True)
    batches = [np.array(lengths)[made[n]] for n in range(len(made))]
    assert sorted(made.order.tolist()) == list(range(len(lengths)))
    for sizes in batches:
        joined = sizes[np.arange(len(sizes)) * sizes[0] >= WORTH]
        assert (joined >= TIGHT * sizes[0]).all()
    for sizes, following in zip(batches, batches[1:], strict=False):
        full = (len(sizes) + 1) * sizes[0] > 4096
        assert full or (len(sizes) * sizes[0] >= WORTH and following[0] < TIGHT * sizes[0])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from(["left", "right"]))
def test_real_tokens_keep_their_ids_and_positions(lengths: list[int], side: str) -> None:
    """Under the mask: the ids, counted from 0."""
    rows = [np.arange(1, length + 1) for length in lengths]
    batch = collate(rows, pad=0, side=side)
    for n, length in enumerate(lengths):
        assert batch.ids[n][batch.mask[n]].tolist() == list(range(1, length + 1))
        assert batch.positions[n][batch.mask[n]].tolist() == list(range(length))
        assert int(batch.ids[n, batch.column(n, 0)]) == 1


def test_nonsense_is_refused() -> None:
    """A budget of nothing; a side that is none."""
    with pytest.raises(PromptError, match="raise them"):
        plan([1], batch_tokens=0)
    with pytest.raises(PromptError, match="'left' nor 'right'"):
        collate([np.array([1])], pad=0, side="top")
