"""A pack holds every row, each beginning once, and training on it is training on the rows."""

import numpy as np
import pytest
import torch

import activations
from activations import testing
from mi_bsa.core.rows import Encoded
from mi_bsa.finetune import attention, layers, lower, stacked
from mi_bsa.finetune.lower import Lower
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
    ("place", "name", "value"),
    [
        (stacked, "ABREAST", 2),
        (stacked, "NARROW", 1),
        (stacked, "PIECES", 7),
        (stacked, "SAVED", 30_000),
        (attention, "LONG", 1),
    ],
)
def test_how_a_step_is_cut_changes_nothing(base, monkeypatch, place, name, value):
    """Several passes of runs or of rows, more pieces, and scores that are computed again give the same losses
    and gradients.
    """
    plain = step(base, 3, 6)
    monkeypatch.setattr(place, name, value)
    for own, other in zip(plain, step(base, 3, 6), strict=True):
        assert own.abs().max() > 0
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-4)


def test_blocks_below_the_lowest_adapted_one_run_once(base, tmp_path):
    """What is kept of them is what they give in every step, for rows of several runs, some of them alike."""
    inner = activations.load(base).inner
    top = len(inner.model.layers) - 1
    module = f"model.layers.{top}.self_attn.v_proj"
    weight = inner.get_submodule(module).weight
    adapters = [
        {
            f"{module}.lora_A.weight": torch.randn(2, weight.shape[1]),
            f"{module}.lora_B.weight": torch.randn(weight.shape[0], 2),
        }
        for _ in range(3)
    ]
    made = Stacked(inner, adapters, 0.5)
    assert made.first == top
    tables = [Table.of(rows(seed)) for seed in (0, 1, 0)]
    chosen = [np.array([5, 0, 3]), np.array([1, 2, 6]), np.array([0, 4, 3])]
    plain = [made.backward(tables, chosen), *(w.grad.clone() for w in made.weights.values())]
    for weight in made.weights.values():
        weight.grad.zero_()
    made.keep(tables, chosen, tmp_path)
    assert made.lower is not None
    calls = []
    inner.model.layers[0].mlp.register_forward_hook(lambda *_: calls.append(1))
    kept = [made.backward(tables, chosen), *(w.grad for w in made.weights.values())]
    for own, other in zip(plain, kept, strict=True):
        torch.testing.assert_close(own, other, atol=1e-6, rtol=1e-5)
    assert not calls
    assert not list(tmp_path.iterdir())


def test_what_would_not_fit_is_not_kept(base, tmp_path, monkeypatch):
    """Beyond the bound the blocks run in every step, as before."""
    monkeypatch.setattr(lower, "MOST", 100)
    below = pytest.fail
    table = Table.of(rows(0))
    assert Lower.of([table], [np.arange(7)], width=8, folder=tmp_path, below=below) is None


def test_a_small_update_is_not_lost_in_bfloat16():
    """W + BA in bfloat16 moves as in float32 on average, where adding to a rounded product stands still."""
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(512, 512, generator=generator).bfloat16() for _ in range(2))
    small = torch.full((1, 512, 512), 0.01).bfloat16()  # products are of size 20, their grid .125
    moved = layers._plus(small.clone(), x[None], weight).float() - (x @ weight).float()
    assert moved.mean() == pytest.approx(0.01, rel=0.1)
    assert ((x @ weight) + small - x @ weight).float().mean().abs() < 0.005
