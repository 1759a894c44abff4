"""Adapter gates: which LoRA modules carry an effect; every module has a gate between 0 (closed) and 1.

The law: Shapley values of the modules add up to the full effect of the adapter, in every permutation and so
in their mean; a module that changes nothing has value 0. Leaving one out and keeping one in are the two ends
of what the Shapley value averages; they differ where modules need one another. Gate settings run as rows of
one batch. Shapley sampling: Castro et al. 2009 (doi 10.1016/j.cor.2008.04.004); permutations come in pairs
with their reverse (Mitchell et al. 2022, arXiv 2104.12199).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from activations import edits, gate_tree, hooks, kept, lora
from activations.alignment import slots
from activations.batches import Batch
from activations.errors import AdapterError, PatchError
from activations.metrics import Function, Metric, Reader, as_metric, check_tokens
from activations.sites import Site

if TYPE_CHECKING:
    import pandas as pd

    from activations.models import Model

Module = tuple[int, str]
METHODS = ("shapley", "leave_out", "keep_in", "linear")


@dataclass(frozen=True)
class Profile:
    """What each module of an adapter contributes to one read-out.

    Attributes:
        read_out: its name.
        adapter: the adapter.
        modules: (layer, projection) of each module.
        off: metric of the base, (example,).
        on: metric with the whole adapter, (example,).
        leave_out: what is lost without a module, (module, example); NaN where it was not computed.
        keep_in: what a module does alone, (module, example); NaN where it was not computed.
        shapley: Shapley value, (module, example); NaN where it was not sampled.
        sampling_error: standard error of the mean Shapley value over permutation pairs, (module,).
        linear: integrated gradient of the metric along the joint opening of all gates, (module, example).
        n_permutations: how many were drawn.
    """

    read_out: str
    adapter: str
    modules: tuple[Module, ...]
    off: Float[np.ndarray, " example"] = field(repr=False)
    on: Float[np.ndarray, " example"] = field(repr=False)
    leave_out: Float[np.ndarray, "module example"] = field(repr=False)
    keep_in: Float[np.ndarray, "module example"] = field(repr=False)
    shapley: Float[np.ndarray, "module example"] = field(repr=False)
    sampling_error: Float[np.ndarray, " module"] = field(repr=False)
    linear: Float[np.ndarray, "module example"] = field(repr=False)
    n_permutations: int = 0

    @property
    def effect(self) -> Float[np.ndarray, " example"]:
        """What the whole adapter moves."""
        return self.on - self.off

    def to_dataframe(self, *, level: float = 0.95) -> "pd.DataFrame":
        """One row a module and method: mean over examples with a t interval, the share of the full effect,
        and the sampling error."""
        import pandas as pd
        from scipy.stats import t

        rows: list[dict[str, Any]] = []
        n = len(self.off)
        reach = float(t.ppf(0.5 + level / 2, n - 1)) if n > 1 else float("nan")
        for method in METHODS:
            values = getattr(self, method)
            for (layer, name), own, error in zip(self.modules, values, self.sampling_error, strict=True):
                if np.isnan(own).any():
                    continue
                se = float(own.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
                wide = float(np.hypot(se, error)) if method == "shapley" else se
                mean = float(own.mean())
                rows.append(
                    {
                        "read_out": self.read_out,
                        "layer": layer,
                        "module": name,
                        "method": method,
                        "value": mean,
                        "low": mean - reach * wide,
                        "high": mean + reach * wide,
                        "n": n,
                        "share": mean / float(self.effect.mean()) if self.effect.mean() else float("nan"),
                        "sampling_error": float(error) if method == "shapley" else 0.0,
                        "ci_method": "t over examples" + (" and permutations" if method == "shapley" else ""),
                    }
                )
        return pd.DataFrame(rows)


class Gated:
    """A read-out under any setting of an adapter's gates: `run(gates)` maps (setting, module) to (setting,
    example)."""

    def __init__(
        self,
        model: "Model",
        prompts: Any,
        metric: Metric | Function,
        *,
        adapter: str | None = None,
        keep_embeddings: bool = False,
        batch_tokens: int = 8192,
    ) -> None:
        model.check()
        self.model, self.batch_tokens = model, batch_tokens
        self.adapter = _adapter(model, adapter)
        if not keep_embeddings:
            lora.check_gates(model.inner, self.adapter)
        self.modules = model.anatomy.adapted(self.adapter)
        if not self.modules:
            raise AdapterError(
                f"adapter {self.adapter!r} has no LoRA in a block, so there is no gate; take one that has"
            )
        self.rows = model.rows(prompts)
        self.metric = as_metric(metric)
        check_tokens(self.metric, len(self.rows), model.anatomy.config.vocab_size)
        self.ends = torch.from_numpy(slots(self.rows)).to(model.device)
        # what a module adds is linear in its inner values, of which there are a hundred times fewer
        self._inside = "lora_out" if lora.has_bias(model.inner, self.adapter) else "lora_a"
        self._known: dict[bytes, np.ndarray] = {}
        self._reference: dict[bytes, Tensor] = {}

    def run(
        self, gates: Float[np.ndarray, "setting module"] | Bool[np.ndarray, "setting module"]
    ) -> np.ndarray:
        """The metric under each gate setting; a setting that was run before is not run again."""
        wanted = np.ascontiguousarray(gates, np.float32)
        keys = [one.tobytes() for one in wanted]
        fresh = {key: n for n, key in enumerate(keys) if key not in self._known}
        if fresh:
            found = self._run(wanted[list(fresh.values())])
            self._known.update(zip(fresh, found, strict=True))
        return np.stack([self._known[key] for key in keys])

    def _run(self, gates: np.ndarray) -> np.ndarray:
        found = np.empty((len(gates), len(self.rows)))
        with self.model.variant(self.adapter), torch.no_grad():
            still = min(layer for layer, _ in self.modules)
            for batch in self.model.batches(self.rows, batch_tokens=max(self.batch_tokens // 8, 1)):
                some = max(1, self.batch_tokens // batch.ids.numel())
                entering, site = None, Site("resid_pre", still)
                if still:  # what enters the lowest module's block is the same under every setting
                    entering = hooks.read(self.model, batch, [site], hooks.whole)[site]
                self._full(batch)
                for low in range(0, len(gates), some):
                    part = torch.from_numpy(gates[low : low + some])
                    each = None if entering is None else entering.repeat(len(part), 1, 1)
                    with kept.standing_still(self.model, still, each):
                        found[low : low + some, batch.examples] = self._shared(batch, part).cpu().numpy()
        return found

    def _shared(
        self, batch: Batch, gates: Float[Tensor, "setting module"]
    ) -> Float[Tensor, "setting example"]:
        """As `value`, without gradients: settings that are alike up to a block share what it gives."""
        times, count = len(gates), len(batch.examples)
        full = self._full(batch)
        reference = None if full is None else full.repeat(times, 1)
        tree = gate_tree.shared(self.model, gates, self.modules, inside=self._inside, examples=count)
        with tree:
            final, index, line = self._slots(batch.repeated(times))
        rows = Reader(self.model, self.metric, index, reference).of_final(final, line)
        return rows.reshape(times, count)

    def value(self, batch: Batch, gates: Float[Tensor, "setting module"]) -> Float[Tensor, "setting example"]:
        """The metric of a batch under each setting; gradients flow to `gates` where they are enabled."""
        times, count = len(gates), len(batch.examples)
        full = self._full(batch)
        reference = None if full is None else full.repeat(times, 1)
        rows = self._each(batch.repeated(times), gates.repeat_interleave(count, 0), reference)
        return rows.reshape(times, count)

    def each(self, batch: Batch, gates: Float[Tensor, "example module"]) -> Float[Tensor, " example"]:
        """The metric of each example under its own gate setting; gradients likewise."""
        return self._each(batch, gates, self._full(batch))

    def _each(self, batch: Batch, gates: Tensor, reference: Tensor | None) -> Tensor:
        gated = [
            edits.gate(Site(self._inside, layer, name), gates[:, n])
            for n, (layer, name) in enumerate(self.modules)
        ]
        with edits.edit(self.model, *gated):
            final, index, line = self._slots(batch)
        return Reader(self.model, self.metric, index, reference).of_final(final, line)

    def _slots(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden states at the answer slots after the final norm, which example each row is, and its line."""
        hidden = self.model.forward(batch)
        index = torch.from_numpy(np.asarray(batch.examples)).to(hidden.device)
        line = torch.arange(len(index), device=hidden.device)
        return hidden[line, self.ends[index]], index, line

    def _full(self, batch: Batch) -> Tensor | None:
        """The logits with all gates open, where the metric compares with them."""
        key = batch.examples.tobytes()
        if self.metric.reference and key not in self._reference:
            with torch.no_grad():
                final, index, line = self._slots(batch)
                self._reference[key] = Reader(self.model, self.metric, index).logits(final, line)
        return self._reference.get(key)


def adapter_profile(
    model: "Model",
    prompts: Any,
    *,
    metric: Metric | Function,
    read_out: str = "read-out",
    adapter: str | None = None,
    keep_embeddings: bool = False,
    n_permutations: int = 32,
    methods: Sequence[str] = METHODS,
    top: int | None = None,
    steps: int = 8,
    seed: int,
    batch_tokens: int = 8192,
) -> Profile:
    """Attribute an adapter's effect on a metric to its LoRA modules.

    Args:
        model: a model with adapters.
        prompts: prompts that end where the answer is due.
        metric: what is read at the answer slot.
        read_out: its name in tables.
        adapter: which adapter; the active one by default.
        keep_embeddings: of an adapter with a LoRA at the embeddings or the output layer, which has no gate:
            leave it on throughout, so that the profile is of the block modules given it. Refused otherwise.
        n_permutations: orders in which gates are opened, drawn in pairs with their reverse; even, at least 4.
        methods: of `shapley`, `leave_out`, `keep_in`, `linear`.
        top: compute `leave_out` and `keep_in` only for this many modules of largest `linear` value: the
            exact check of the estimate.
        steps: points of the integration rule of `linear`.
        seed: of the permutations.
        batch_tokens: token positions that run at once.

    Raises:
        AdapterError: no such adapter; one without modules in blocks; or one with a LoRA at the embeddings
            that is not to be kept.
        PatchError: a metric that the adapter does not move; methods or counts that cannot be.
    """
    unknown = set(methods) - set(METHODS)
    odd_top = top is not None and (top < 1 or "linear" not in methods)
    if unknown or n_permutations < 4 or n_permutations % 2 or odd_top:
        raise PatchError(
            f"methods={list(methods)}, n_permutations={n_permutations}, top={top}: use shapley, leave_out, "
            "keep_in, linear; "
            "an even number of permutations, at least 4; and 'linear' where top (at least 1) is given"
        )
    game = Gated(
        model, prompts, metric, adapter=adapter, keep_embeddings=keep_embeddings, batch_tokens=batch_tokens
    )
    count, examples = len(game.modules), len(game.rows)
    ends = game.run(np.stack([np.zeros(count), np.ones(count)]))
    off, on = ends
    if not np.isfinite(ends).all() or np.abs(on - off).max() <= 1e-7 * max(1.0, np.abs(on).max()):
        raise PatchError(
            f"adapter {game.adapter!r} does not move the metric {game.metric.name!r}, or it is not finite; "
            "choose another"
        )
    blank = np.full((count, examples), np.nan)
    linear = _linear(game, steps) if "linear" in methods else blank
    chosen = (
        np.arange(count) if top is None else np.sort(np.argsort(-np.abs(linear.mean(1)), kind="stable")[:top])
    )
    leave, keep = blank.copy(), blank.copy()
    if "leave_out" in methods:
        leave[chosen] = on - game.run(1 - np.eye(count)[chosen])
    if "keep_in" in methods:
        keep[chosen] = game.run(np.eye(count)[chosen]) - off
    values, error = (
        _shapley(game, n_permutations, seed) if "shapley" in methods else (blank, np.full(count, np.nan))
    )
    drawn = n_permutations if "shapley" in methods else 0
    return Profile(read_out, game.adapter, game.modules, off, on, leave, keep, values, error, linear, drawn)


def _shapley(game: Gated, n_permutations: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean marginal contribution over permutations, and the standard error of its example mean over
    permutation pairs."""
    rng = np.random.default_rng(seed)
    count = len(game.modules)
    pairs = []
    for _ in range(n_permutations // 2):
        order = rng.permutation(count)
        both = []
        for one in (order, order[::-1]):
            gates = np.zeros((count + 1, count))
            for n, module in enumerate(one):
                gates[n + 1 :, module] = 1
            steps = np.diff(game.run(gates), axis=0)
            gains = np.empty_like(steps)
            gains[one] = steps
            both.append(gains)
        pairs.append((both[0] + both[1]) / 2)
    stacked = np.stack(pairs)
    means = stacked.mean(-1)
    error = means.std(0, ddof=1) / np.sqrt(len(means)) if len(means) > 1 else np.full(count, np.nan)
    return stacked.mean(0), error


def _linear(game: Gated, steps: int) -> np.ndarray:
    """Integrated gradients along all gates opened together; complete up to the rule's error."""
    points, weights = np.polynomial.legendre.leggauss(steps)
    found = np.zeros((len(game.modules), len(game.rows)))
    with game.model.variant(game.adapter):
        for batch in game.model.batches(game.rows, batch_tokens=max(game.batch_tokens // 8, 1)):
            for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
                gates = torch.full((len(batch.examples), len(game.modules)), float(point), requires_grad=True)
                with torch.enable_grad():
                    total = game.each(batch, gates).sum()
                (gradient,) = torch.autograd.grad(total, [gates])
                found[:, batch.examples] += weight * gradient.T.cpu().numpy()
    return found


def _adapter(model: "Model", adapter: str | None) -> str:
    name = adapter or model.active_adapter
    if name is None or name == "base" or name not in model.variants:
        raise AdapterError(
            f"adapter {name!r}: this model has {', '.join(model.variants)}; name one of its adapters"
        )
    return name


def profiles(
    model: "Model",
    read_outs: Mapping[str, tuple[Sequence[Any], Metric | Function]],
    *,
    adapter: str | None = None,
    seed: int,
    n_permutations: int = 32,
    batch_tokens: int = 8192,
) -> dict[str, Profile]:
    """A profile of each read-out, {name: (prompts, metric)}, over the same permutations of the adapter's
    gates."""
    return {
        name: adapter_profile(
            model,
            prompts,
            metric=metric,
            read_out=name,
            adapter=adapter,
            seed=seed,
            n_permutations=n_permutations,
            batch_tokens=batch_tokens,
        )
        for name, (prompts, metric) in read_outs.items()
    }
