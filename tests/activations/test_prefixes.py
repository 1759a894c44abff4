"""Sequences read as one tree give what each gives alone, whatever is cut, seen or shared."""

import numpy as np
import pytest
import torch

import activations
from activations import prefixes, testing
from activations.prefixes import Lower, Prefixes

UPPER = ("layers.1.self_attn.q_proj", "layers.2.mlp.down_proj")


def sequences(*, seed: int = 0) -> list[tuple[int, ...]]:
    """Random rows that begin alike at several depths; one is the beginning of another, two are equal."""
    draw = np.random.default_rng(seed)
    heads = [tuple(draw.integers(10, 200, size=n).tolist()) for n in (0, 9, 14)]
    rows = [
        (*heads[k % 3], *heads[1][:k], *draw.integers(10, 200, size=1 + k % 7).tolist()) for k in range(12)
    ]
    return [*rows, rows[4][:-1], rows[5]]


def test_a_tree_holds_every_sequence_once() -> None:
    """Paths to the leaves are the sequences; subtrees are ranges; equal beginnings are one node."""
    rows = sequences()
    tree = Prefixes.of(rows)
    assert [tuple(tree.tokens[tree.path(leaf)].tolist()) for leaf in tree.leaves.tolist()] == rows
    assert len(tree) == len({row[:k] for row in rows for k in range(1, len(row) + 1)})
    for node in range(len(tree)):
        below = [n for n in range(len(tree)) if node in tree.path(n)]
        assert below == list(range(node, tree.ends[node]))
        assert tree.depths[node] == len(tree.path(node)) - 1


@pytest.mark.parametrize(("width", "most"), [(5, 3), (1000, 1000)])
@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_logits_are_those_of_one_pass_a_sequence(tmp_path, family: str, width: int, most: int) -> None:
    """Cut anywhere, with windows shorter than the sequences, at every node."""
    inner = activations.load(testing.build(tmp_path / family, family=family)).inner
    rows = sequences()
    tree = Prefixes.of(rows)
    found = torch.zeros(len(tree), inner.config.vocab_size)
    with torch.no_grad():
        for some, logits in prefixes.logits(inner, tree, np.arange(len(tree)), width=width, most=most):
            assert len(some) <= most
            found[some] = logits
        for row, leaf in zip(rows, tree.leaves.tolist(), strict=True):
            alone = inner(torch.tensor([row])).logits[0]
            assert torch.allclose(found[tree.path(leaf)], alone, atol=1e-4)


def test_blocks_below_the_lowest_adapted_run_once_for_all_variants(tmp_path) -> None:
    """Adapters from block 1 on: block 0 runs for the first variant, and all variants answer as alone."""
    base = testing.build(tmp_path / "base")
    folders = {
        name: testing.build_adapter(tmp_path / name, base, seed=seed, modules=UPPER)
        for seed, name in enumerate(("one", "two"))
    }
    model = activations.load(base, adapter=folders)
    tree = Prefixes.of(sequences())
    wanted = np.unique(tree.leaves)
    lower = Lower(model, ["base", "one", "two@0.5"])
    runs: list[int] = []
    handle = model.anatomy.parts[0].attention.register_forward_hook(lambda *_: runs.append(1))

    def leaves(own: Lower | None) -> torch.Tensor:
        with torch.no_grad():
            given = prefixes.logits(model.inner, tree, wanted, width=16, most=99, lower=own)
            return torch.cat([logits for _, logits in given])

    for name in ("base", "one", "two@0.5"):
        with model.variant(name):
            shared = leaves(lower)
            before = len(runs)
            assert torch.allclose(shared, leaves(None), atol=1e-6)
            pieces = len(runs) - before
    handle.remove()
    assert len(lower.blocks) == 1
    assert len(runs) == 4 * pieces
    assert not any("forward" in block.__dict__ for block in model.anatomy.layers)
    assert not Lower(model, ["one"]).blocks
