"""A pack holds every row, each beginning once, and training on it is training on the rows."""

import numpy as np
import pytest
import torch

import activations
from activations import testing
from mi_bsa.core.rows import Encoded
from mi_bsa.finetune import attention, stacked
from mi_bsa.finetune.packed import NO_LOSS, Table, pack
from mi_bsa.finetune.stacked import Stacked


def rows(seed, n=7):
    """Rows of unequal length, many beginning alike, with one to three trained tokens, not all at the end."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        ids = (1, 5, 6, *map(int, draw.integers(7, 9, size=draw.integers(3, 12))))
        trained = np.zeros(len(ids), dtype=bool)
        trained[draw.choice(np.arange(2, len(ids)), size=draw.integers(1, 4), replace=False)] = True
        found.append(Encoded(ids, tuple(map(bool, trained))))
    return found


def test_every_row_can_be_read_from_its_nodes_and_beginnings_are_there_once():
    """Nodes are the distinct beginnings of a run's rows, up to each row's last place."""
    given = [rows(0), rows(1)]
    batch = pack([Table.of(own) for own in given], [np.arange(7)] * 2, pieces=3)
    count, width = batch.ids.shape
    for run, own in enumerate(given):
        kept = [row.ids[: max(np.flatnonzero(row.trained))] for row in own]
        beginnings = {ids[:n] for ids in kept for n in range(1, len(ids) + 1)}
        read = [
            tuple(int(t) for t in batch.ids.ravel()[nodes])
            for piece in batch.pieces
            for nodes in piece.nodes[piece.rows // 7 == run]
        ]
        for ids in kept:  # what stands beyond a row's end may be anything
            assert any(full[: len(ids)] == ids for full in read)
        used = {int(n) for piece in batch.pieces for n in piece.nodes[piece.rows // 7 == run].ravel()}
        assert used == set(range(run * width, run * width + len(beginnings)))
        assert (batch.targets[run] != NO_LOSS).sum() == sum(sum(row.trained) for row in own)
    assert count == 2


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return testing.build(tmp_path_factory.mktemp("base"))


def step(base, runs, n):
    """Losses and gradients of one step on n rows a run."""
    inner = activations.load(base).inner
    generator = torch.Generator().manual_seed(0)
    names = {
        f"model.layers.{k}.self_attn.{m}_proj": inner.get_submodule(f"model.layers.{k}.self_attn.{m}_proj")
        for k in (0, len(inner.model.layers) - 1)
        for m in ("q", "v", "o")
    }
    adapters = [
        {
            f"{name}.lora_A.weight": torch.randn(2, m.in_features, generator=generator)
            for name, m in names.items()
        }
        | {
            f"{name}.lora_B.weight": torch.randn(m.out_features, 2, generator=generator)
            for name, m in names.items()
        }
        for _ in range(runs)
    ]
    made = Stacked(inner, adapters, 0.5)
    losses = made.backward([Table.of(rows(k, n)) for k in range(runs)], [np.arange(n)] * runs)
    return [losses, *(weight.grad for weight in made.weights.values())]


@pytest.mark.parametrize(
    ("place", "name", "value"), [(stacked, "ABREAST", 2), (stacked, "PIECES", 7), (attention, "LONG", 1)]
)
def test_how_a_step_is_cut_changes_nothing(base, monkeypatch, place, name, value):
    """Several passes, more pieces, and scores that are computed again give the same losses and gradients."""
    plain = step(base, 3, 6)
    monkeypatch.setattr(place, name, value)
    for own, other in zip(plain, step(base, 3, 6), strict=True):
        assert own.abs().max() > 0
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-4)
