"""Patching speed: the full layer x position residual map against TransformerLens's own patching function,
same outputs.

    python benchmarks/patching.py [--quick] [--embedded FOLDER] [--model smollm2] [--cells N] [--out FILE]

Both get the same 8 pairs of 32 tokens and the same metric (difference of two logits at the last token), and
give the same map; the largest difference is printed. TransformerLens 4.3 (`get_act_patch_resid_pre` on a
TransformerBridge over the same weights) runs about one plain forward pass a cell; with `--cells` it is timed
on that many random cells and scaled, half of them before ours and half after. Beside the ratio stands the
bound that counting multiplications gives: all that TransformerLens multiplies over all that the map needs
(positions from the patched one on; blocks from the patched one on; in the first block the patched token's
query, key and value; in the last block keys and values of those positions and the rest of one; two logits).
Cells with equal values are filled in, and counted.

Also: generation with an edit against plain generation.

With `--model`, a model by name or folder is held alone; `--every 3` maps every third block of it, by both and
in the bound.

Bars: 4x on the embedded model, 3.5x on 12 layers of width 512 with 32,000 words; 0.85 of the bound or the
    reason; edits at most 1.15x. With `--model` 6x, and 0.85 of the bound.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lines
import numpy as np
import torch
from lines import Line
from llamas import random_llama

import activations
from activations import metrics
from activations.transformer_lens_backend import TransformerLensBackend

PAIRS, LENGTH = 8, 32
SHAPE: Any = {"max_position_embeddings": 256, "initializer_range": 0.05}


def prompts(model: activations.Model, count: int, *, seed: int) -> list[dict[str, str]]:
    """Plain texts of exactly LENGTH tokens."""
    rng = np.random.default_rng(seed)
    words = [w for w in model.tokenizer.get_vocab() if w.isascii() and w.strip("\u0120").isalpha()]
    words = sorted(w.replace("\u0120", "") for w in words)
    found: list[dict[str, str]] = []
    while len(found) < count:
        chosen: list[str] = []
        for word in rng.choice(words, 400):
            row = model.rows([{"id": "x", "text": " ".join([*chosen, str(word)])}])[0]
            if len(row) <= LENGTH:
                chosen.append(str(word))
            if len(row) == LENGTH:
                found.append({"id": f"{seed}-{len(found)}", "text": " ".join(chosen)})
                break
    return found


def multiplications(model: activations.Model, *, plain: bool, layers: Sequence[int]) -> float:
    """Multiplications of one pair's map of some blocks: one plain forward a cell, or those that it needs."""
    c = model.anatomy.config
    d, inner, depth, length = c.hidden_size, c.intermediate_size, model.n_layers, LENGTH
    q = c.num_attention_heads * model.anatomy.d_head
    kv = 2 * c.num_key_value_heads * model.anatomy.d_head
    rest = q * d + 3 * d * inner  # output projection and MLP
    scores = 2 * q * length  # a query against all keys, and the mix of values
    if plain:
        token = depth * (d * q + d * kv + rest + scores) + d * c.vocab_size
        return float(len(layers) * length * length * token)
    total = 0.0
    for layer in layers:
        for position in range(length):
            after = length - position
            for block in range(layer, depth):
                last, first = block == depth - 1, block == layer
                queries = 1 if first else after
                if last:
                    queries = int(position == length - 1 or not first)
                total += d * kv * (1 if first else after) + d * q * queries
                total += (rest + scores) * (1 if last else after)
            total += 2 * d
    return total


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """The result, and process seconds: other work may share the machine."""
    start = time.process_time()
    return run(), time.process_time() - start


def compare(
    name: str, model: activations.Model, *, cells: int | None, repeats: int, every: int = 1
) -> dict[str, Any]:
    """Both maps of one model, their difference and their times."""
    import pandas as pd
    from transformer_lens import patching

    sources, targets = prompts(model, PAIRS, seed=1), prompts(model, PAIRS, seed=2)
    pairs = list(zip(sources, targets, strict=True))
    answer, other = 40, 41
    metric = metrics.logit_difference(answer, other)
    layers = list(range(every // 2, model.n_layers, every))
    sites = [f"resid_pre.{layer}" for layer in layers]
    ids = [torch.from_numpy(np.stack([row.ids for row in model.rows(rows)])) for rows in (sources, targets)]
    bridge = TransformerLensBackend().bridge(model)

    def difference(logits: torch.Tensor) -> torch.Tensor:
        return (logits[:, -1, answer] - logits[:, -1, other]).mean()

    table = pd.DataFrame([(n, p) for n in layers for p in range(LENGTH)], columns=["layer", "pos"])
    if cells is not None:
        table = table.sample(cells, random_state=0).reset_index(drop=True)
    half = len(table) // 2
    names = [f"blocks.{layer}.hook_resid_pre" for layer in layers]
    with torch.no_grad():
        _, cache = bridge.run_with_cache(ids[0], names_filter=names)

    def theirs_on(some: pd.DataFrame) -> np.ndarray:
        setter = patching.layer_pos_patch_setter
        with torch.no_grad():
            return patching.generic_activation_patch(
                bridge, ids[1], cache, difference, setter, "resid_pre", index_df=some.reset_index(drop=True)
            ).numpy()

    # to warm up: one cell of theirs, the deepest block of one pair of ours
    theirs_on(table[:1])
    activations.patch_map(model, pairs[:1], metric=metric, sites=sites[-1:])
    seconds, theirs, forwards = [], [], []
    for _ in range(repeats):
        before, first = timed(lambda: theirs_on(table[:half]))
        ours, own = timed(lambda: activations.patch_map(model, pairs, metric=metric, sites=sites))
        after, second = timed(lambda: theirs_on(table[half:]))
        with torch.no_grad():
            forwards.append(timed(lambda: bridge(ids[1]))[1])
        seconds.append(own)
        theirs.append((first + second) * len(layers) * LENGTH / len(table))
    mine = ours.patched[..., 0].mean(0)
    reference = np.concatenate([before, after])
    row = [layers.index(layer) for layer in table["layer"]]
    gap = float(np.abs(mine[row, table["pos"]] - reference).max())
    ratio = statistics.median(theirs) / statistics.median(seconds)
    bound = multiplications(model, plain=True, layers=layers) / multiplications(
        model, plain=False, layers=layers
    )
    return {
        "model": name,
        "cells": ours.counts["cells"],
        "filled_equal": ours.counts["equal"],
        "run": ours.counts["run"],
        "ours_s": seconds,
        "theirs_s": theirs,
        "theirs_cells_timed": len(table),
        "plain_forward_s": statistics.median(forwards),
        "blocks_mapped": len(layers),
        "largest_difference": gap,
        "ratio": ratio,
        "bound": bound,
        "share_of_bound": ratio / bound,
    }


def generation(model: activations.Model, *, repeats: int) -> dict[str, Any]:
    """Generation with one vector added, against plain generation of the same text (the vector is too small to
    change a word: another answer would have another length).
    """
    vector = np.random.default_rng(0).normal(size=model.d_model)
    asked = [{"id": str(n), "text": row["text"]} for n, row in enumerate(prompts(model, 8, seed=3))]

    def plain() -> Any:
        return model.generate(asked, max_new_tokens=32)

    def edited() -> Any:
        with activations.edit(model, activations.add((vector, "resid_post.1"), scale=1e-6, units="raw")):
            return model.generate(asked, max_new_tokens=32)

    if plain() != edited():
        raise SystemExit("the edited text differs from the plain one; the two times say nothing")
    times: dict[str, list[float]] = {"plain": [], "edited": []}
    for _ in range(repeats):
        for label, run in (("plain", plain), ("edited", edited)):
            start = time.process_time()
            run()
            times[label].append(time.process_time() - start)
    medians = {label: statistics.median(values) for label, values in times.items()}
    ratio = medians["edited"] / medians["plain"]
    return {**{f"{label}_s": value for label, value in medians.items()}, "ratio": ratio}


def main(folder: Path) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="smaller second model, few TransformerLens cells"
    )
    parser.add_argument(
        "--embedded", help="folder or name of the embedded model; a random model of its shape by default"
    )
    parser.add_argument(
        "--cells", type=int, help="time TransformerLens on this many cells of the large model, and scale"
    )
    parser.add_argument("--model", help="this model alone, by name or folder")
    parser.add_argument("--every", type=int, default=1, help="with --model: map each N-th block")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    lines.options(parser)
    given = parser.parse_args()
    found: dict[str, Any] = {}
    how = {"cells": given.cells, "repeats": given.repeats}
    if given.model:
        model = activations.load(given.model, device="cpu")
        found["maps"] = [compare(given.model, model, every=given.every, **how)]
    else:
        found |= small_and_large(folder, given)
    lines.write(claims(found, given), given.record, clock="processor")
    if given.out:
        given.out.write_text(json.dumps(found, indent=2))


def small_and_large(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """The embedded model, or a random one of its shape, and a larger random one."""
    if given.embedded:
        label, small = "embedded", activations.load(given.embedded)
    else:
        label, small = (
            "random Llama, 3 blocks x 64",
            random_llama(
                folder / "small", blocks=3, width=64, vocabulary=400, heads=(4, 2), inner=176, **SHAPE
            ),
        )
    blocks, width, inner = (4, 256, 704) if given.quick else (12, 512, 1408)
    shape: Any = {"blocks": blocks, "width": width, "inner": inner, **SHAPE}
    large = random_llama(folder / "large", vocabulary=32_000, heads=(8, 4), **shape)
    size = f"random Llama, {blocks} blocks x {width}, 32,000 words"
    cells = 12 if given.quick else given.cells
    return {
        "maps": [
            compare(label, small, cells=None, repeats=given.repeats),
            compare(size, large, cells=cells, repeats=given.repeats),
        ],
        "generation": {"model": label, **generation(small, repeats=5 * given.repeats)},
    }


def claims(found: dict[str, Any], given: argparse.Namespace) -> list[Line]:
    """Two lines a map, and one for generation."""
    made = []
    for row in found["maps"]:
        name = row["model"]
        cells = f"{row['theirs_cells_timed']} of {row['cells']} cells timed and scaled"
        timed = "all cells timed" if row["theirs_cells_timed"] == row["cells"] else cells
        shared: dict[str, Any] = {
            "topic": "patch map",
            "model": lines.MODELS.get(name, name),
            "compared": f"largest difference {row['largest_difference']:.1e}",
            "note": f"{row['blocks_mapped']} blocks x {LENGTH} tokens x {PAIRS} pairs; TransformerLens: "
            f"{timed}; {row['filled_equal']} cells of ours equal and filled in",
        }
        what = "layer x position map of resid_pre against TransformerLens 4.3's patching function"
        bar = 6.0 if given.model else 4.0 if name == "embedded" or "3 blocks" in name else 3.5
        ours, theirs = (statistics.median(row[key]) for key in ("ours_s", "theirs_s"))
        made += [
            Line(
                claim=what, ratio=row["ratio"], ours=ours, peer=theirs, bar=bar, bound=row["bound"], **shared
            ),
            Line(
                claim="share of the bound that counting multiplications gives",
                ratio=row["share_of_bound"],
                bar=0.85,
                **shared,
            ),
        ]
    if "generation" in found:
        row = found["generation"]
        made.append(
            Line(
                topic="steered generation",
                claim="generation with a vector added against plain generation: time",
                model=lines.MODELS.get(row["model"], row["model"]),
                ratio=row["ratio"],
                compared="the same text",
                ours=row["edited_s"],
                peer=row["plain_s"],
                bar=1.15,
                at_most=True,
            )
        )
    return made


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(scratch))
