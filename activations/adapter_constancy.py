"""Constancy: does a LoRA module add the same vector whatever it reads, or one direction with a varying
amount?

The law: signs are kept. C_mean = N |mean(d)|^2 / sum |d_i|^2 is 1 where every added vector d_i is the same
and 1/N for noise; C_rank1 = s_1^2 / |D|_F^2 is 1 where all lie on one line, with either sign: |cos| near 1
can hide C_mean near 0. What a module may be replaced by is made on some prompts and judged on others. After
the constant-vector reading of rank-1 adapters (arXiv 2507.08218; arXiv 2506.11618).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from activations import edits, engine, hooks, lora
from activations.adapter_gates import _adapter
from activations.errors import PatchError
from activations.maps import ratio_fields, ratio_of_means
from activations.metrics import Function, Metric, Reader, as_metric
from activations.positions import Positions
from activations.records import records
from activations.sites import Site

if TYPE_CHECKING:
    import pandas as pd

    from activations.models import Model

REPLACEMENTS = ("constant", "scalar_mean")


@dataclass(frozen=True)
class Constancy:
    """How constant one module's addition is on held-out prompts.

    Attributes:
        layer: block.
        module: projection.
        n: rows (tokens) of the held-out prompts.
        c_mean: share of the squared norm that the mean carries, with a correction for N in `c_mean_floor`.
        c_mean_floor: 1 / N, what independent noise would give.
        c_rank1: share that the best single line carries.
        cosine: mean signed cosine with the mean vector of the fit prompts.
        negative: share of rows whose cosine is negative.
        norm_variation: standard deviation of the norms over their mean.
    """

    layer: int
    module: str
    n: int
    c_mean: float
    c_mean_floor: float
    c_rank1: float
    cosine: float
    negative: float
    norm_variation: float


@dataclass(frozen=True)
class ConstancyReport:
    """Constancy of every module, and what is left of the adapter's effect when modules are replaced.

    Attributes:
        adapter: the adapter.
        modules: one entry a LoRA module.
        replacement: one row a module (and `all`) and replacement: share of the adapter's effect that is
            kept, with interval.
    """

    adapter: str
    modules: tuple[Constancy, ...]
    replacement: "pd.DataFrame" = field(repr=False)

    def to_dataframe(self) -> "pd.DataFrame":
        """One row a module."""
        import pandas as pd

        return pd.DataFrame([vars(one) for one in self.modules])


def measure(
    fit: Float[np.ndarray, "row d"], held_out: Float[np.ndarray, "held_row d"], *, layer: int, module: str
) -> Constancy:
    """Constancy of added vectors; the direction is that of the fit rows, everything else is of the held-out
    rows.

    Raises:
        PatchError: vectors that are all zero, or fewer than two rows.
    """
    d = held_out.astype(np.float64)
    total = float((d**2).sum())
    if len(d) < 2 or total == 0 or not np.any(fit):
        raise PatchError(
            f"{module}.{layer} adds nothing at these positions, so its constancy means nothing; choose others"
        )
    mean = d.mean(0)
    norms = np.linalg.norm(d, axis=1)
    toward = fit.astype(np.float64).mean(0)
    cosines = d @ toward / np.maximum(norms * np.linalg.norm(toward), 1e-30)
    first = float(np.linalg.norm(d, 2)) ** 2
    return Constancy(
        layer,
        module,
        len(d),
        float(len(d) * (mean**2).sum() / total),
        1 / len(d),
        first / total,
        float(cosines.mean()),
        float((cosines < 0).mean()),
        float(norms.std(ddof=1) / norms.mean()),
    )


def constancy(
    model: "Model",
    fit: Any,
    held_out: Any,
    *,
    metric: Metric | Function,
    adapter: str | None = None,
    positions: str = "all",
    batch_tokens: int = 4096,
) -> ConstancyReport:
    """Measure the constancy of an adapter's modules, and replace them by what is constant in them.

    Args:
        model: a model with adapters.
        fit: prompts that means and lines are taken from.
        held_out: prompts that everything is judged on.
        metric: read at the answer slot of the held-out prompts.
        adapter: which adapter; the active one by default.
        positions: tokens whose additions are measured and replaced alike, BOS left out of the measuring.
        batch_tokens: token positions that run at once.

    Raises:
        AdapterError: no such adapter, or one with a LoRA at the embeddings.
        PatchError: a module that adds nothing, or a metric that the adapter does not move.
    """
    import pandas as pd

    fit, held_out = records(fit).rows, records(held_out).rows  # read more than once
    name = _adapter(model, adapter)
    lora.check_gates(model.inner, name)
    sites = [Site("lora_out", layer, module) for layer, module in model.anatomy.adapted(name)]
    rule = Positions.parse(positions)
    with model.variant(name):
        early, late = (_additions(model, prompts, sites, rule, batch_tokens) for prompts in (fit, held_out))
        modules = tuple(
            measure(early[site], late[site], layer=site.layer or 0, module=site.module or "")
            for site in sites
        )
        on = _read(model, held_out, metric, [], batch_tokens)
        means = {site: early[site].mean(0).astype(np.float32) for site in sites}
        lines = {site: _line(early[site]).astype(np.float32) for site in sites}
        rows = []
        off = _read(model, held_out, metric, [edits.gate(site, 0.0) for site in sites], batch_tokens)
        gap = on - off
        if np.abs(gap).max() <= 1e-7 * max(1.0, np.abs(on).max()):
            raise PatchError(f"adapter {name!r} does not move this metric; choose another")
        for which in [*[(site,) for site in sites], tuple(sites)]:
            for how in REPLACEMENTS:
                vectors = means if how == "constant" else lines
                changes = [edits.replace(site, torch.from_numpy(vectors[site])) for site in which]
                now = _read(model, held_out, metric, changes, batch_tokens)
                kept = ratio_fields("kept", ratio_of_means((now - off)[:, None], gap), 0)
                label = str(which[0]).removeprefix("lora_out.") if len(which) == 1 else "all"
                rows.append({"module": label, "replacement": how, **kept})
    return ConstancyReport(name, modules, pd.DataFrame(rows))


def _additions(
    model: "Model", prompts: Any, sites: Sequence[Site], rule: Positions, batch_tokens: int
) -> dict[Site, np.ndarray]:
    rows = model.rows(prompts)
    found: dict[Site, list[np.ndarray]] = {site: [] for site in sites}
    for batch in model.batches(rows, batch_tokens=batch_tokens):
        values = hooks.read(model, batch, sites, hooks.whole)
        for line, example in enumerate(batch.examples):
            at = rule.resolve(rows[example])
            at = at[at >= rows[example].n_bos]
            for site in sites:
                found[site].append(values[site][line, torch.from_numpy(at)].float().cpu().numpy())
    return {site: np.concatenate(parts) for site, parts in found.items()}


def _line(d: np.ndarray) -> np.ndarray:
    """The best line through the origin, times the mean amount along it."""
    line = np.linalg.svd(d, full_matrices=False)[2][0]
    return line * float((d @ line).mean())


def _read(
    model: "Model", prompts: Any, metric: Metric | Function, changes: Sequence[edits.Edit], batch_tokens: int
) -> np.ndarray:
    """The metric of each prompt under some changes, compared with the run without them where it compares."""
    rows, measured = model.rows(prompts), as_metric(metric)
    found = np.empty(len(rows))
    plain = engine.passes(model, rows, batch_tokens=batch_tokens) if measured.reference else ()
    befores = [final for _, _, final in plain]
    changed = engine.passes(model, rows, engine.ByEdits(lambda _: changes), batch_tokens=batch_tokens)
    for n, (_, lines, final) in enumerate(changed):
        index = torch.from_numpy(lines.examples).to(model.device)
        line = torch.arange(len(index), device=model.device)
        reference = Reader(model, measured, index).logits(befores[n], line) if befores else None
        reader = Reader(model, measured, index, reference)
        found[lines.examples] = reader.of_final(final, line).cpu().numpy()
    return found
