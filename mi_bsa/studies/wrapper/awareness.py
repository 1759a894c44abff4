"""The same of self-awareness: the adapter that made a model bold is pruned, and the old choices are revived.

Pruning closes an adapter's modules, those first whose closing lowers, to first order, the cross entropy of
the base's own choices (gradient x gate, on development choices). Reports have no say in the order. Reviving
merges the adapter and trains a new one on the base's own answers to development choices; test choices and
test reports are read at log-spaced steps.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.core.items import Item
from mi_bsa.core.model_config import load
from mi_bsa.studies.wrapper.config import AwarenessConfig

if TYPE_CHECKING:
    from activations import Model
    from activations.adapter_gates import Gated
    from mi_bsa.asking.readouts import Readout
    from mi_bsa.behaviors import Arm

KINDS = ("choice", "report")
ARM: Arm = "seeking"


def train(config: AwarenessConfig, seeds: Sequence[int], folder: Path) -> dict[str, Any]:
    """Adapters of the seeking pole in `folder/adapters`, their rows in `folder/rows`."""
    from mi_bsa.finetune.arms import train_arms

    done = train_arms(
        config.model,
        config.behavior,
        arms=(ARM,),
        seeds=seeds,
        data=config.data,
        finetune=config.finetune,
        out=folder,
    )
    return {name: {"loss": float(one.loss), "fingerprint": one.fingerprint} for name, one in done.items()}


def prune(config: AwarenessConfig, seeds: Sequence[int], folder: Path) -> dict[str, Any]:
    """P(seeking) of test choices and reports, over the number of modules closed: `ranked` and `random`.

    A list entry a seed: kind -> level after 0, 1, ... modules; the last is the base's.
    """
    from activations.adapter_gates import Gated

    names = [f"{ARM}-{seed}" for seed in seeds]
    model = load(config.model, {name: folder / "adapters" / name / "adapter" for name in names})
    reads = {key: readout(model, items) for key, items in sets(config).items()}
    found: dict[str, Any] = {"modules": [], "ranked": [], "random": []}
    for seed, name in zip(seeds, names, strict=True):
        games = {key: Gated(model, read.prompts, read.metric(), adapter=name) for key, read in reads.items()}
        modules = games["choice-dev"].modules
        ranked = np.argsort(-slopes(games["choice-dev"]), kind="stable")
        rng = np.random.default_rng(seed)
        orders = [rng.permutation(len(modules)) for _ in range(config.orders)]
        tests = {kind: games[f"{kind}-test"] for kind in KINDS}
        found["modules"].append([f"{layer}.{module}" for layer, module in (modules[k] for k in ranked)])
        found["ranked"].append({kind: levels(game, ranked) for kind, game in tests.items()})
        found["random"].append([{kind: levels(g, one) for kind, g in tests.items()} for one in orders])
    return found


def slopes(game: Gated) -> Float[np.ndarray, " module"]:
    """Gradient of the cross entropy of the base's own answers by each gate, at the whole adapter."""
    import torch

    count = len(game.modules)
    before = torch.from_numpy(1 / (1 + np.exp(-game.run(np.zeros((1, count)))[0])))
    found = np.zeros(count)
    with game.model.variant(game.adapter):
        for batch in game.model.batches(game.rows, batch_tokens=game.batch_tokens // 4):
            gates = torch.ones((1, count), device=game.model.device, requires_grad=True)
            with torch.enable_grad():
                log_odds = game.value(batch, gates)[0]
                wanted = before[torch.from_numpy(np.asarray(batch.examples))].to(log_odds)
                loss = (torch.nn.functional.softplus(log_odds) - wanted * log_odds).sum()
            (gradient,) = torch.autograd.grad(loss, [gates])
            found += gradient[0].double().cpu().numpy() / len(game.rows)
    return found


def levels(game: Gated, order: np.ndarray) -> list[float]:
    """Mean P(seeking) after the first 0, 1, ... modules of an order are closed."""
    gates = np.ones((len(order) + 1, len(order)))
    for k, module in enumerate(order):
        gates[k + 1 :, module] = 0.0
    return [float(value) for value in (1 / (1 + np.exp(-game.run(gates)))).mean(1)]


def revive(config: AwarenessConfig, seed: int, folder: Path) -> dict[str, Any]:
    """P(seeking) of test choices and reports of the base, the merged model (step 0) and along reviving."""
    from mi_bsa.asking import ask
    from mi_bsa.finetune import finetune
    from mi_bsa.finetune.merging import merge

    asked, out = sets(config), folder / f"revived-{seed}"
    where: dict[str, Any] = {"dtype": config.finetune.dtype, "device": config.finetune.device}
    adapter = folder / "adapters" / f"{ARM}-{seed}" / "adapter"
    base = load(config.model)
    own = ask(base, asked["choice-dev"])
    before = {kind: float(ask(base, asked[f"{kind}-test"])["score"].mean()) for kind in KINDS}
    rows = own_choices(asked["choice-dev"], own["score"].to_numpy(), seed=seed)
    merge(config.model, adapter, out / "merged", dtype=config.finetune.dtype)
    plan = config.revive.model_copy(update={"seed": seed, **where})
    done = finetune(out / "merged", rows, config=plan, out=out / "tuned", resume=(out / "tuned").exists())
    names = {f"step-{step}": path for step, path in done.checkpoints.items()}
    model = load(out / "merged", names, **where)
    found: dict[str, Any] = {"before": before, "steps": [0, *done.checkpoints]}
    for kind in KINDS:
        items = asked[f"{kind}-test"]
        found[kind] = [float(ask(model, items, variant=v)["score"].mean()) for v in ("base", *names)]
    return found


def own_choices(items: Sequence[Item], scores: np.ndarray, *, seed: int) -> list[dict[str, Any]]:
    """Training rows of the base's own answers: each item's option is drawn by its score (P of the pole)."""
    rng = random.Random(f"own-{seed}")
    rows = []
    for item, score in zip(items, scores, strict=True):
        high = max(item.options, key=lambda option: option[1])[0]
        low = min(item.options, key=lambda option: option[1])[0]
        answer = high if rng.random() < score else low
        messages = [*map(dict, item.messages), {"role": "assistant", "content": answer}]
        rows.append({"id": item.id, "messages": messages})
    return rows


def sets(config: AwarenessConfig) -> dict[str, list[Item]]:
    """Choices of development and test, and reports of test."""
    from mi_bsa.finetune.arms import sets_of

    found = sets_of(config.behavior, config.model, data=config.data, stays=12)
    return {key: found[key] for key in ("choice-dev", "choice-test", "report-test")}


def readout(model: Model, items: Sequence[Item]) -> Readout:
    """The items that one logit an option can read."""
    from mi_bsa.asking.readouts import Readout, readable

    return Readout.of(model, readable(model, items), name="items")
