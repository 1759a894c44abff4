"""A small cache made by the writer itself, without a model: for tests of what a file says."""

from pathlib import Path

import numpy as np

from activations.batches import plan
from activations.sites import Site
from activations.writer import NUMBERS, Layout, Writer, create, exclusive

ATTRIBUTES = {
    "schema_version": 1, "base_model": "tiny", "base_revision": "", "base_fingerprint": "b" * 64,
    "adapter_fingerprint": "", "adapter_scale": 1.0, "variant": "base", "index_hash": "i" * 64,
    "tokenizer_fingerprint": "t" * 64, "template_hash": "h" * 64, "dtype": "float32",
    "model_dtype": "float32", "attention": "sdpa", "layer_convention": "block L is resid_post.L",
    "positions": "last:2", "first_example": 0, "shard": "0/1", "toolkit_version": "0",
}  # fmt: skip


def write(path: Path, *, examples: int = 6, labels=None, words=None, names=None, seed: int = 0, **attributes):
    """Two rows an example, two layers, labels `pole` and `topic` unless others are given."""
    facts = {**ATTRIBUTES, **attributes}
    rng = np.random.default_rng(seed)
    n = np.arange(examples)
    if labels is None:
        labels = {"pole": n % 2, "topic": np.array([f"topic {k % 3}" for k in n], dtype=object)}
    shapes = {Site.parse(f"resid_post.{layer}"): (4,) for layer in (0, 1)}
    layout = Layout(
        facts, shapes, facts["dtype"], 2 * np.arange(examples + 1),
        {
            "example": n.repeat(2), "position": np.tile([3, 4], examples),
            "token_id": np.tile([7, 8], examples),
        },
        {
            "id": np.array([(names or [f"q{k}" for k in n])[k] for k in n], dtype=object),
            "prompt": np.array([(words or [f"prompt {k}" for k in n])[k] for k in n], dtype=object),
            **labels,
        },
        plan(np.full(examples, 5), batch_tokens=20),
    )  # fmt: skip
    with exclusive(path):
        create(path, layout, created="2026-01-01T00:00:00Z")
        with Writer(path, layout) as writer:
            for batch in range(len(layout.plan)):
                members = layout.plan[batch]
                for site in shapes:
                    values = rng.normal(size=(2 * len(members), 4))
                    number = np.float32 if facts["dtype"] == "float32" else np.float16
                    writer.put(site, members, values.astype(number).view(NUMBERS[facts["dtype"]]))
                writer.commit(batch)
            writer.finish()
    return path
