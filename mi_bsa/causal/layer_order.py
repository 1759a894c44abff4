"""Layer order: "later layers observe what the adapter did in earlier ones", as numbers.

Two depths of one read-out's log-odds, in blocks counted from 0:

    write depth  W = sum_k k (E_k - E_{k-1}), E_k the share of the adapter's effect that is there with its
                 gates open in blocks 0..k only;
    read depth   D = sum_k k (F_k - F_{k-1}), F_k the share that is there when the base is given, at the
    answer
                 slot alone, the finetuned run's residual stream after block k.

E ends at 1 because all gates are open, F because the last residual at the slot fixes the answer. D - W > 0:
what was written in early blocks reaches the answer slot in later ones. *Observed* is the share of the
effect that is gone where no block may see what the adapter did before it: each block with its own modules
is fed the base's run, and what it then writes at the slot is added to the base's last residual, as if
nothing behind it looked.

Law: an adapter that writes the answer itself, at the slot, has D = W and observed 0; one that writes a state
that a later block turns into the answer has D > W and observed 1. Neither is defined where the adapters do
not move the read-out: then `bridge.attribution.effect` stands alone.

On adapters that sit on one block alone, *observed* is near 1 (before the last block) or 0 (on it) by where
they sit, and no finding: there its place names the block (`layer`).

Results, over seeds x wordings (of choices, scenarios), both drawn, each a ratio of means with Fieller's set:
`bridge.attribution.effect` (no ratio: t over both), `.write_depth`, `.read_depth`, `.layer_order` (D - W; p
of 0), `.observed` (p against a quarter, the verdict's bar); kind = read-out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

import activations
from activations import alignment, engine
from mi_bsa.causal.lines import QUARTER
from mi_bsa.causal.material import POLES, READ_OUTS, SIGNS, UNITS
from mi_bsa.causal.mediation import log_odds
from mi_bsa.causal.options import AttributionOptions
from mi_bsa.causal.ratios import share
from mi_bsa.core.over_seeds import over_seeds_and_items
from mi_bsa.core.results import Result

if TYPE_CHECKING:
    from mi_bsa.causal.material import Material


def layer_order(
    material: Material, options: AttributionOptions | None = None, *, arms: tuple[str, str] = POLES
) -> list[Result]:
    """Write depth, read depth, their difference and the observed share, for both read-outs.

    Args:
        material: model, adapters and items.
        options: items and seeds.
        arms: names of the arms of the two poles.
    """
    options = options or AttributionOptions()
    count = min(options.seeds, *(len(material.arms[arm]) for arm in arms))
    seeds = material.seeds[:count]
    blocks = np.arange(material.model.n_layers)
    where: dict[str, Any] = {"behavior": material.behavior, "split": "test"}
    if arms != POLES:
        where["variant"] = arms[0].removesuffix("_seeking")
    written = {
        site.layer or 0
        for arm in arms
        for site in material.model.sites("lora_out", variants=material.arms[arm][:count])
    }
    alone = {"layer": written.pop()} if len(written) == 1 else {}
    results = []
    for read_out in READ_OUTS:
        runs = [_effects(material, read_out, arm, count) for arm in arms]
        full, direct, opened, given = (np.mean([run[k] for run in runs], axis=0) for k in range(4))
        here, drawn = {**where, "kind": read_out}, UNITS[read_out]
        names = material.of(read_out, "test").unit_names
        effect = over_seeds_and_items(
            "bridge.attribution.effect",
            here,
            full,
            seeds,
            unit="log-odds towards the pole",
            items=drawn,
            notes="whole adapter",
        )
        if effect.ci is None or effect.ci[0] <= 0 <= effect.ci[1]:
            told = "whole adapter; its interval holds 0, so there is neither depth nor share"
            results.append(replace(effect, notes=told))
            continue
        results.append(effect)
        write, read = (_weighed(part, blocks) for part in (opened, given))
        for name, top, unit, notes in (
            ("write_depth", write, "block", "where the adapter's gates matter"),
            ("read_depth", read, "block", "where the answer slot has got the state"),
            ("layer_order", read - write, "blocks", "read depth less write depth"),
        ):
            bar = 0.0 if name == "layer_order" else None
            name = f"bridge.attribution.{name}"
            found = share(name, here, top, full, seeds=seeds, items=drawn, bar=bar, unit=unit, notes=notes)
            results.append(found)
        results.append(
            share(
                "bridge.attribution.observed",
                here | alone,
                full - direct,
                full,
                seeds=seeds,
                items=drawn,
                named=names,
                bar=QUARTER,
                unit="share of the effect",
                notes="what is gone where no block sees what the adapter did before it",
            )
        )
    return results


def _weighed(
    effects: Float[np.ndarray, "seed block item"], blocks: np.ndarray
) -> Float[np.ndarray, "seed item"]:
    """The numerator of a depth: what each block adds to the effect, times its number."""
    added = np.diff(effects, axis=1, prepend=0.0)
    weighed: np.ndarray = (added * blocks[:, None]).sum(1)
    return weighed


def _effects(
    material: Material, read_out: str, arm: str, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log-odds towards the pole by wording (or scenario): whole (seed, unit), direct (seed, unit), gates open
    up to each block, and the slot given after each block (seed, block, unit).
    """
    model, readout = material.model, material.of(read_out, "test")
    sign = SIGNS[arm.rpartition("_")[2]]
    sites = [f"resid_post.{layer}" for layer in range(model.n_layers)]
    slots = alignment.slots(readout.rows)[:, None]

    def y(variant: str, edits: engine.ByEdits = engine.PLAIN) -> np.ndarray:
        return readout.units(log_odds(readout, material.logits(readout, edits, variant=variant)))[0]

    def at_slot(variant: str, closed: list[Any], wanted: list[str]) -> dict[str, np.ndarray]:
        edits = [activations.gate(closed, 0.0)] if closed else []
        with model.variant(variant), activations.edit(model, *edits):
            return material.states(readout, *wanted, variant=variant, slot=True)

    base, plain = y("base"), at_slot("base", [], sites)
    whole, direct, opened, given = [], [], [], []
    for adapter in material.arms[arm][:count]:
        modules = model.sites("lora_out", variants=[adapter])
        layers = sorted({site.layer or 0 for site in modules})
        whole.append(sign * (y(adapter) - base))
        cut = []
        for block in range(model.n_layers):
            shut = [site for site in modules if (site.layer or 0) > block]
            cut.append(sign * (y(adapter, _gates(shut)) - base))
        opened.append(cut)
        tuned = at_slot(adapter, [], sites)

        given.append([sign * (y("base", _put(site, values, slots)) - base) for site, values in tuned.items()])
        written = np.zeros_like(plain[sites[-1]])
        for layer in layers:
            others = [site for site in modules if site.layer != layer]
            site = sites[layer]
            written += at_slot(adapter, others, [site])[site] - plain[site]
        last = plain[sites[-1]] + written
        direct.append(sign * (y("base", _put(sites[-1], last, slots)) - base))
    return np.array(whole), np.array(direct), np.array(opened), np.array(given)


def _put(site: str, values: np.ndarray, slots: np.ndarray) -> engine.ByEdits:
    """Edits that put values (item, d_model) at the answer slot."""
    given = torch.from_numpy(values[:, None])
    return engine.ByEdits(
        lambda at: [activations.replace(site, given[at.examples], positions=slots[at.examples])]
    )


def _gates(shut: list[Any]) -> engine.ByEdits:
    """Edits that close modules; none where all stay open."""
    return engine.ByEdits(lambda _: [activations.gate(shut, 0.0)]) if shut else engine.PLAIN
