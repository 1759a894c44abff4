"""Patching a real model: where SmolLM2-135M-Instruct (dequantized from 4 bits) holds a country and its
capital, against TransformerLens's own maps, exact patching and a reference in plain torch.

    python benchmarks/real_patching.py [--model smollm2] [--site resid_pre] [--out results.json]

Ten pairs of `benchmarks/real_facts.py`. Three questions, each with its number:

1. Is our layer x position map TransformerLens's? Largest difference of the mean logit difference, any cell.
2. How far off are estimates from gradients? Over the cells that were run: correlation with exact patching
   and, on the twenty largest cells, the mean error as a share of the gap; one gradient, and integrated ones.
3. Are direct paths to the logits what plain torch says? The ten strongest heads: the head's change through
   the output projection is added to the last residual stream by hand, then final norm and unembedding.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import lines
import numpy as np
import torch
from lines import Line
from real_facts import pairs as facts

import activations
from activations import attribution, metrics, path_patching
from activations.transformer_lens_backend import TransformerLensBackend

TOP = 20
"""Cells on which an estimate is judged: those somebody would look at."""
HEADS = 10
"""Heads whose direct paths are computed again by hand."""


def given(model: activations.Model) -> tuple[list[tuple[Any, Any]], np.ndarray, np.ndarray]:
    """Pairs of prompts and the two answers' first tokens."""
    rows = facts()
    pairs = [tuple({"id": row["id"], "text": row[side]} for side in ("source", "target")) for row in rows]
    targets = [target for _, target in pairs]
    ids = [metrics.answer_tokens(model, targets, [row[key] for row in rows]) for key in ("answer", "other")]
    return pairs, *ids  # type: ignore[return-value]


def ids_of(model: activations.Model, pairs: list[tuple[Any, Any]]) -> list[torch.Tensor]:
    """Token ids of the sources and of the targets."""
    sides = ([pair[n] for pair in pairs] for n in (0, 1))
    return [torch.from_numpy(np.stack([row.ids for row in model.rows(side)])) for side in sides]


def against_transformer_lens(model: activations.Model, *, site: str = "resid_pre") -> dict[str, Any]:
    """Both maps of the same pairs: recovery by block and token, and the largest difference between them."""
    import pandas as pd
    from transformer_lens import patching

    pairs, answer, other = given(model)
    start = time.process_time()
    ours = activations.patch_map(
        model, pairs, metric=metrics.logit_difference(answer, other), sites=site, align="position"
    )
    seconds = time.process_time() - start
    sources, targets = ids_of(model, pairs)
    bridge = TransformerLensBackend().bridge(model)
    each = torch.arange(len(pairs))

    def difference(logits: torch.Tensor) -> torch.Tensor:
        return (logits[each, -1, torch.from_numpy(answer)] - logits[each, -1, torch.from_numpy(other)]).mean()

    table = pd.DataFrame(
        [(n, p) for n in range(model.n_layers) for p in range(sources.shape[1])], columns=["layer", "pos"]
    )
    start = time.process_time()
    with torch.no_grad():
        _, cache = bridge.run_with_cache(sources)
        setter = patching.layer_pos_patch_setter
        theirs = patching.generic_activation_patch(
            bridge, targets, cache, difference, setter, site, index_df=table
        ).numpy()
    theirs_seconds = time.process_time() - start
    mine = ours.patched[..., 0].mean(0)
    return {
        "map": ours,
        "largest_difference": float(np.abs(mine[table["layer"], table["pos"]] - theirs).max()),
        "largest_value": float(np.abs(theirs).max()),
        "ours_cpu_s": seconds,
        "theirs_cpu_s": theirs_seconds,
    }


def estimates(model: activations.Model, *, site: str, by_head: bool, method: str) -> dict[str, float]:
    """How well gradients estimate an exact map."""
    from scipy.stats import pearsonr

    pairs, answer, other = given(model)
    how: dict[str, Any] = {"sites": site, "by_head": by_head, "align": "position"}
    how["metric"] = metrics.logit_difference(answer, other)
    exact = activations.patch_map(model, pairs, **how)
    guess = attribution.attribute(model, pairs, method=method, **how)
    truth, said = exact.effects.mean(0).ravel(), guess.effects.mean(0).ravel()
    run = ~exact.filled.all(0).ravel() & np.isfinite(truth)
    truth, said = truth[run], said[run]
    top = np.argsort(-np.abs(truth))[:TOP]
    return {
        "cells": int(run.sum()),
        "correlation": float(pearsonr(truth, said).statistic),
        "error_on_top": float(np.abs(truth[top] - said[top]).mean() / exact.gap.mean()),
        "shared_of_top": len(set(top) & set(np.argsort(-np.abs(said))[:TOP])) / TOP,
    }


@torch.no_grad()
def direct_paths(model: activations.Model, *, layers: range | None = None) -> dict[str, Any]:
    """Direct paths of all heads (of some blocks) to the logits, and the strongest again in plain torch."""
    pairs, answer, other = given(model)
    blocks = range(model.n_layers) if layers is None else layers
    found = path_patching.path_patch(
        model,
        pairs,
        metric=metrics.logit_difference(answer, other),
        senders=[f"{layer}.{head}" for layer in blocks for head in range(model.n_heads)],
        receivers=["logits"],
    ).to_dataframe()
    found = found.reindex(found["recovery"].abs().sort_values(ascending=False).index).reset_index(drop=True)
    ids = ids_of(model, pairs)
    inner: Any = model.inner
    decoder, each = inner.model, torch.arange(len(pairs))
    z: dict[tuple[int, int], torch.Tensor] = {}
    last: list[torch.Tensor] = []
    for run in (0, 1):
        handles = [
            block.self_attn.o_proj.register_forward_pre_hook(
                lambda _, given, layer=layer, run=run: z.__setitem__((run, layer), given[0][:, -1].clone())
            )
            for layer, block in enumerate(decoder.layers)
        ]
        handles.append(decoder.norm.register_forward_pre_hook(lambda _, given: last.append(given[0][:, -1])))
        try:
            decoder(input_ids=ids[run], use_cache=False)
        finally:
            for handle in handles:
                handle.remove()

    def value(hidden: torch.Tensor) -> torch.Tensor:
        logits = inner.lm_head(decoder.norm(hidden))
        return logits[each, torch.from_numpy(answer)] - logits[each, torch.from_numpy(other)]

    width = model.anatomy.d_head
    gaps = []
    for row in found.head(HEADS).itertuples():
        layer, head = (int(part) for part in str(row.sender).split("."))
        columns = slice(head * width, (head + 1) * width)
        weight = decoder.layers[layer].self_attn.o_proj.weight[:, columns]
        change = (z[0, layer][:, columns] - z[1, layer][:, columns]) @ weight.T
        effect = (value(last[1] + change) - value(last[1])).mean()
        gaps.append(abs(float(effect) - float(row.effect)))
    return {"table": found, "heads_again": len(gaps), "largest_difference": max(gaps)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--site", default="resid_pre")
    parser.add_argument("--integrated", action="store_true", help="integrated gradients too (minutes)")
    parser.add_argument("--out", type=Path)
    lines.options(parser)
    asked = parser.parse_args()
    model = activations.load(asked.model, device="cpu")
    found: dict[str, Any] = {}
    lens = against_transformer_lens(model, site=asked.site)
    patched = lens.pop("map")
    print(patched)
    table = patched.to_dataframe()
    wide = table.pivot(index="layer", columns="position", values="recovery")
    print(wide.loc[:, wide.abs().max() > 0.05].round(2).to_string())
    print(
        f"largest difference to TransformerLens {lens['largest_difference']:.1e} logits (values up to "
        f"{lens['largest_value']:.1f}); CPU {lens['ours_cpu_s']:.1f} s against {lens['theirs_cpu_s']:.1f} s"
    )
    found["transformer_lens"] = lens
    made = [
        Line(
            topic="patch map",
            claim=f"facts of ten pairs, layer x position map of {asked.site} against TransformerLens",
            model=lines.MODELS.get(asked.model, asked.model),
            ratio=round(lens["theirs_cpu_s"] / lens["ours_cpu_s"], 2),
            compared=f"largest difference {lens['largest_difference']:.1e} logits",
            ours=round(lens["ours_cpu_s"], 2),
            peer=round(lens["theirs_cpu_s"], 2),
            note=f"values up to {lens['largest_value']:.1f}; all cells timed, once",
        )
    ]
    lines.write(made, asked.record, clock="processor")
    for site, by_head in ((asked.site, False), ("attn_out", False), ("mlp_out", False), ("head_z", True)):
        for method in ("gradient", "integrated") if asked.integrated and not by_head else ("gradient",):
            fit = estimates(model, site=site, by_head=by_head, method=method)
            found[f"{site} {method}"] = fit
            print(
                f"{site:>10} {method:>10}: {fit['cells']} cells run, correlation {fit['correlation']:.3f}; "
                f"on the {TOP} largest: error {fit['error_on_top']:.3f} of the gap, "
                f"{fit['shared_of_top']:.0%} shared"
            )
    paths = direct_paths(model)
    print(paths["table"].head(6)[["sender", "recovery", "low", "high", "n"]].round(3).to_string(index=False))
    print(
        f"direct paths of the {paths['heads_again']} strongest heads against plain torch: largest difference "
        f"{paths['largest_difference']:.1e} logits"
    )
    found["direct_paths"] = {key: value for key, value in paths.items() if key != "table"}
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
