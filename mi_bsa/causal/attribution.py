"""Step "attribute": which modules of an adapter carry behavior and report?

Law: Shapley values of the adapter's gates on the log-odds of both read-outs, test items, the same
permutations for both; a share is of the read-out's own whole effect, so that two read-outs compare, over
seeds x wordings (of choices, scenarios), both drawn. Rank correlation over modules, one a seed, stands beside
that of permuted modules; p is two-sided, since other modules than those of choices are a finding too. Where
the adapters do not move a read-out there is no share: `bridge.attribution.effect` says so.

Results: `bridge.attribution.effect` (kind = read-out), `.shapley` (site `lora_out.<module>`, layer, kind =
read-out, unit "share of the effect"), `.rank_correlation`, `.dissociation` (share of modules known to move
one read-out and not the other, `activations.adapter_comparison`), and those of `layer_order`. `variant`
names the adapters where they are not the study's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.causal.layer_order import layer_order
from mi_bsa.causal.material import POLES, READ_OUTS, SIGNS, UNITS
from mi_bsa.causal.options import AttributionOptions
from mi_bsa.causal.ratios import share
from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Result
from mi_bsa.core.tested import among
from probes import statistics

if TYPE_CHECKING:
    from activations.adapter_gates import Profile
    from mi_bsa.causal.material import Material


def attribute(
    material: Material,
    options: AttributionOptions | None = None,
    *,
    arms: tuple[str, str] = POLES,
    seed: int = 0,
) -> list[Result]:
    """Module shares of both read-outs, their rank correlation and dissociation, and the layer order.

    Args:
        material: model, adapters and items.
        options: permutations, items, seeds.
        arms: names of the arms of the two poles (`all_seeking`, `all_averse` for adapters on every layer).
        seed: of the permutations.
    """
    options = options or AttributionOptions()
    seeds = material.seeds[: min(options.seeds, *(len(material.arms[arm]) for arm in arms))]
    profiles = {
        (name, arm, n): _profile(material, name, material.arms[arm][n], options, seed)
        for name in READ_OUTS
        for arm in arms
        for n in range(len(seeds))
    }
    where: dict[str, Any] = {"behavior": material.behavior, "split": "test"}
    if arms != POLES:
        where["variant"] = arms[0].removesuffix("_seeking")
    results, shares = [], {}
    for name in READ_OUTS:
        own = [[profiles[name, arm, n] for arm in arms] for n in range(len(seeds))]
        if any(one is None for pair in own for one in pair):
            continue
        shares[name] = np.array([np.mean([_share(one) for one in pair if one], axis=0) for pair in own])
        results += _shapley(material, name, own, arms, where, seeds, options)
    if len(shares) == len(READ_OUTS):
        results.append(_rank_correlation(shares, where, seeds, options, seed))
        results.append(_dissociation(profiles, arms, where, seeds, seed))
    return results + layer_order(material, options, arms=arms)


def _profile(
    material: Material, read_out: str, adapter: str, options: AttributionOptions, seed: int
) -> Profile | None:
    """The profile of one adapter; None where it does not move the read-out."""
    import activations
    from activations.errors import PatchError

    readout = material.of(read_out, "test", items=options.items)
    try:
        return activations.adapter_profile(
            material.model,
            readout.prompts,
            metric=readout.metric(),
            read_out=read_out,
            adapter=adapter,
            n_permutations=options.permutations,
            methods=("shapley",),
            seed=seed,
            batch_tokens=material.batch_tokens,
        )
    except PatchError:
        return None


def _shapley(
    material: Material,
    read_out: str,
    own: list[list[Profile | None]],
    arms: tuple[str, str],
    where: dict[str, Any],
    seeds: tuple[int, ...],
    options: AttributionOptions,
) -> list[Result]:
    """The share of every module, both poles together; none where their effect is not told from 0."""
    readout = material.of(read_out, "test", items=options.items)

    def towards_pole(values: str) -> np.ndarray:
        """Mean of poles, (seed, ..., unit)."""
        signed = [
            [towards(arm) * getattr(p, values) for arm, p in zip(arms, pair, strict=True)] for pair in own
        ]
        return readout.units(np.mean(signed, axis=1))

    parts, whole = towards_pole("shapley"), towards_pole("effect")
    span = statistics.crossed_mean(whole).interval()
    if not (span.low > 0 or span.high < 0):
        return []
    modules = next(one.modules for one in own[0] if one)
    return [
        share(
            "bridge.attribution.shapley",
            {**where, "site": f"lora_out.{module}", "layer": layer, "kind": read_out},
            parts[:, k],
            whole,
            seeds=seeds,
            items=UNITS[read_out],
            unit="share of the effect",
            notes=f"Shapley over {options.permutations} orders, {options.items} items, mean of poles",
        )
        for k, (layer, module) in enumerate(modules)
    ]


def _share(profile: Profile) -> Float[np.ndarray, " module"]:
    share: np.ndarray = profile.shapley.mean(1) / profile.effect.mean()
    return share


def _rank_correlation(
    shares: dict[str, np.ndarray],
    where: dict[str, Any],
    seeds: tuple[int, ...],
    options: AttributionOptions,
    seed: int,
) -> Result:
    """Mean over seeds of Spearman's correlation over modules, against modules permuted alike in all seeds."""
    from scipy.stats import rankdata

    first, second = (
        (ranks - ranks.mean(1, keepdims=True)) / ranks.std(1, keepdims=True)
        for ranks in (rankdata(shares[name], axis=1) for name in READ_OUTS)
    )
    each = (first * second).mean(1)
    rng = np.random.default_rng(seed)
    count = first.shape[1]
    drawn = np.array([(first * second[:, rng.permutation(count)]).mean() for _ in range(options.draws)])
    return over_seeds(
        "bridge.attribution.rank_correlation",
        where,
        each,
        seeds,
        unit="Spearman correlation",
        within=(-1.0, 1.0),
        tested=among(float(each.mean()), drawn, "permuted modules", alternative="two-sided"),
        notes=f"over {count} modules, behavior against self-report",
    )


def _dissociation(
    profiles: dict[tuple[str, str, int], Profile | None],
    arms: tuple[str, str],
    where: dict[str, Any],
    seeds: tuple[int, ...],
    seed: int,
) -> Result:
    from activations.adapter_comparison import compare

    values, counts = [], dict.fromkeys((*READ_OUTS, "both", "neither", "undecided"), 0)
    for n in range(len(seeds)):
        only = []
        for arm in arms:
            pair = [profiles[name, arm, n] for name in READ_OUTS]
            assert pair[0] is not None
            assert pair[1] is not None
            moves = compare(pair[0], pair[1], seed=seed).table["moves"]
            only.append(float(moves.isin(list(READ_OUTS)).mean()))
            for word in moves:
                counts[word] += 1
        values.append(np.mean(only))
    words = ", ".join(f"{count} {word}" for word, count in counts.items())
    return over_seeds(
        "bridge.attribution.dissociation",
        where,
        np.array(values),
        seeds,
        unit="share of modules",
        within=(0.0, 1.0),
        notes=f"modules that move one read-out and not the other; over adapters: {words}",
    )


def towards(arm: str) -> float:
    """The sign of an arm's pole, also of `all_seeking` and the like."""
    return SIGNS[arm.rpartition("_")[2]]
