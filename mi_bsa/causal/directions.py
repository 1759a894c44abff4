"""Directions at a place, one a seed: mean difference, probe, trained, and what the adapter adds.

Law: every vector is made from development prompts of one read-out, for one pole and one seed, and points to
that pole. What each is good for differs: a mean difference, a probe and what the adapter adds hold whatever
differs between the runs; only the trained vector is of the read-out, because it is trained to give the base
the adapter's answers on it and on nothing else (after arXiv 2511.04875).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mi_bsa.causal.material import POLES, SIGNS
from mi_bsa.causal.options import DirectionKind, RecoveryOptions
from mi_bsa.causal.places import scope_mean
from mi_bsa.core.errors import BridgeError

if TYPE_CHECKING:
    from mi_bsa.asking.readouts import Readout
    from mi_bsa.causal.material import Material
    from mi_bsa.causal.places import Place

Vectors = dict[str, Float[np.ndarray, "seed d_model"]]
"""{pole: one vector a seed}, in raw units; it takes the base to that pole."""


FIRST, SECOND = 0.9, 0.999
"""Decay rates of the two moments of Adam."""


def vectors(
    material: Material,
    place: Place,
    kind: DirectionKind,
    *,
    read_out: str = "behavior",
    options: RecoveryOptions | None = None,
    arms: tuple[str, str] = POLES,
    seed: int = 0,
) -> Vectors:
    """What takes the base to each pole, from a read-out's development prompts.

    `mean_difference` is half the difference of a seed's two runs, with the pole's sign; `probe` the normal
    of a logistic probe of these runs, at that length; `constant` the mean of what the adapter adds to the
    base's residual stream at the place, `pc1` its first principal component (not centered) at its mean
    amount; `trained` see `train`.

    Args:
        material: model, adapters and items; what was made once is kept there.
        place: site and tokens.
        kind: which vector.
        read_out: whose development prompts.
        options: of the trained vector.
        arms: names of the arms of the seeking and the averse pole, such as those of another behavior or rank.
        seed: of the order of the trained vector's items.
    """
    key = (place, kind, read_out, arms)
    known = material.known
    if key not in known:
        if kind == "trained":
            known[key] = train(material, place, read_out=read_out, options=options, arms=arms, seed=seed)
        else:
            made = _read(material, place, read_out, arms)
            known.update({(place, k, read_out, arms): v for k, v in made.items()})
    return known[key]


def direction(found: Vectors) -> Float[np.ndarray, "seed d_model"]:
    """Pole against pole, one direction a seed: half of the seeking vector less the averse one."""
    seeking, averse = found.values()
    return (seeking - averse) / 2


def train(
    material: Material,
    place: Place,
    *,
    read_out: str = "behavior",
    options: RecoveryOptions | None = None,
    arms: tuple[str, str] = POLES,
    seed: int = 0,
) -> Vectors:
    """Vectors that give the base the adapters' answers on development items, all adapters beside each
    other (`fit`).
    """
    readout = material.of(read_out, "dev")
    pairs = [(arm, adapter) for arm in arms for adapter in material.arms[arm]]
    wanted = np.stack([readout.shares(material.plain(readout, adapter)) for _, adapter in pairs])
    found = fit(material, place, readout, wanted, options=options, seed=seed)
    return {arm: found[[n for n, (own, _) in enumerate(pairs) if own == arm]] for arm in arms}


def fit(
    material: Material,
    place: Place,
    readout: Readout,
    wanted: Float[np.ndarray, "vector item option"],
    *,
    options: RecoveryOptions | None = None,
    seed: int = 0,
) -> Float[np.ndarray, "vector d_model"]:
    """Vectors that give the base wanted answers, all beside each other.

    Each minimizes the cross-entropy from its wanted shares of the options to those of base + vector; nothing
    but these shares is asked for. From zero, learning rate falling linearly, by Adam with one second moment a
    vector instead of one a coordinate (as NovoGrad has one a layer, Ginsburg et al. 2019, arXiv 1905.11286):
    a step then has the gradient's direction. Adam's own goes nearly as far along coordinates that hardly
    matter, whatever basis these are in, and what it writes there moves other things than what was asked for.

    Args:
        material: the model.
        place: where they are added.
        readout: the items.
        wanted: each vector's share of every option.
        options: steps, batch and learning rate.
        seed: of the order of items, one order a vector.
    """
    import torch

    from activations import Site, engine
    from activations.metrics import token_logits

    options = options or RecoveryOptions()
    model, rows = material.model, readout.rows
    positions = place.positions(rows)
    real, tokens = (torch.from_numpy(part).to(model.device) for part in (readout.real, readout.tokens))
    target = torch.from_numpy(wanted).float().to(model.device)
    base = material.states(readout, place.site)[place.site]
    typical = float(np.sqrt((scope_mean(base**2, positions)).mean()))
    vector = torch.zeros(len(wanted), model.d_model, device=model.device, requires_grad=True)
    mean, square = torch.zeros_like(vector), torch.zeros(len(wanted), 1, device=model.device)
    generators = [np.random.default_rng([seed, n]) for n in range(len(wanted))]
    orders: list[list[int]] = [[] for _ in wanted]
    passed = engine.Passed(model, rows, variant="base")

    def move(values: torch.Tensor, lines: engine.Lines) -> torch.Tensor:
        return values + vector[torch.from_numpy(lines.which).to(model.device)][:, None].to(values)

    added = engine.at_tokens(
        engine.AtSite(Site.parse(place.site), move, len(wanted), model.d_model), positions
    )
    for step in range(options.train_steps):
        rate = options.learning_rate * typical * (1 - step / options.train_steps)
        chosen = [
            _next(order, generator, options.train_batch, len(rows))
            for order, generator in zip(orders, generators, strict=True)
        ]
        lines = engine.Lines(
            np.repeat(np.arange(len(wanted)), options.train_batch), np.concatenate(chosen).astype(np.int64)
        )
        with torch.enable_grad():
            final = passed(added, lines)
            logits = token_logits(model, final, tokens[lines.examples]).float()
            logs = logits.masked_fill(~real[lines.examples], -1e9).log_softmax(-1)
            loss = -(target[lines.which, lines.examples] * logs).sum(-1).mean() * len(wanted)
        (slope,) = torch.autograd.grad(loss, vector)
        mean = FIRST * mean + (1 - FIRST) * slope
        square = SECOND * square + (1 - SECOND) * slope.square().mean(1, keepdim=True)
        ahead = mean / (1 - FIRST ** (step + 1))
        vector = vector.detach() - rate * ahead / ((square / (1 - SECOND ** (step + 1))).sqrt() + 1e-12)
        vector.requires_grad_()
    return vector.detach().cpu().double().numpy()


def _next(order: list[int], generator: np.random.Generator, count: int, items: int) -> np.ndarray:
    """The next items of an adapter's own endless order."""
    while len(order) < count:
        order += generator.permutation(items).tolist()
    taken = np.array(order[:count])
    del order[:count]
    return taken


def _read(material: Material, place: Place, read_out: str, arms: tuple[str, str]) -> dict[str, Vectors]:
    """The vectors that are read off the runs: mean difference, probe, constant, first component."""
    import probes

    readout = material.of(read_out, "dev")
    positions = place.positions(readout.rows)
    runs = {
        name: material.states(readout, place.site, variant=name)[place.site]
        for name in ("base", *material.arms[arms[0]], *material.arms[arms[1]])
    }
    kinds = ("mean_difference", "probe", "constant", "pc1")
    found: dict[str, dict[str, list[np.ndarray]]] = {kind: {arm: [] for arm in arms} for kind in kinds}
    for names in zip(*(material.arms[arm] for arm in arms), strict=True):
        half = (scope_mean(runs[names[0]], positions) - scope_mean(runs[names[1]], positions)) / 2
        _differ(place, {name: scope_mean(runs[name] - runs["base"], positions) for name in names}, half)
        rows = [scope_mean(runs[name], positions, by_item=True) for name in names]
        fitted = probes.LogisticProbe().fit(np.concatenate(rows), np.repeat([1, 0], len(rows[0])))
        weight = np.asarray(fitted.coef_, np.float64).ravel()
        for arm, pole, name in zip(arms, POLES, names, strict=True):
            found["mean_difference"][arm].append(SIGNS[pole] * half)
            found["probe"][arm].append(SIGNS[pole] * weight / np.linalg.norm(weight) * np.linalg.norm(half))
            added = np.concatenate(
                [
                    (on - off)[at[at >= 0]]
                    for on, off, at in zip(runs[name], runs["base"], positions, strict=True)
                ]
            ).astype(np.float64)
            mean = added.mean(0)
            line = np.linalg.svd(added, full_matrices=False)[2][0]
            found["constant"][arm].append(mean)
            found["pc1"][arm].append(line * float((added @ line).mean()))
    return {kind: {arm: np.stack(v) for arm, v in each.items()} for kind, each in found.items()}


def _differ(place: Place, added: dict[str, np.ndarray], half: np.ndarray) -> None:
    """Raise `BridgeError` where there is no direction: an adapter adds nothing, or two of them the same."""
    idle = [name for name, mean in added.items() if not mean.any()]
    if not idle and half.any():
        return
    what = f"adapter {idle[0]!r} adds nothing" if idle else f"adapters {' and '.join(added)} add the same"
    raise BridgeError(
        f"{what} at {place.site} ({place.scope}) on development prompts, so there is no direction; look "
        "whether it was trained, on which modules, and whether each pole has its own"
    )
