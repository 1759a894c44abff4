"""Activation patching: values of one run put into another, over layer x position, layer x head, or both.

The law: patching a run into itself changes nothing, and patching everything gives the other run. Cells whose
two values are equal
bit for bit, and cells that the answer slot cannot see, are filled in and counted, never run. All other cells
run as rows of large
batches, from their own layer and position on (`recompute`).
Meng et al. 2022 (arXiv 2202.05262); conventions of Heimersheim and Nanda 2024 (arXiv 2404.15255). Base <->
fine-tune patching puts the
adapter's activations on the same prompt into the base, after Prakash et al. 2024 (arXiv 2402.14811).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from activations import alignment, recompute
from activations import sites as sites_module
from activations.cells import Cells
from activations.errors import PatchError, SiteError
from activations.maps import PatchMap
from activations.metrics import Function, Metric, as_metric, check_tokens
from activations.records import records
from activations.sites import Site
from activations.tokens import Row

if TYPE_CHECKING:
    from activations.models import Model

MODES = ("denoising", "noising")
KINDS = (
    "resid_pre",
    "resid_mid",
    "resid_post",
    "attn_out",
    "mlp_out",
    "head_z",
    "mlp_act",
    "lora_a",
    "lora_out",
)


def patch_map(
    model: "Model",
    pairs: Any,
    *,
    metric: Metric | Function,
    sites: str | Site | Sequence[str | Site] = "resid_post",
    source: str | None = None,
    target: str | None = None,
    align: str = "position",
    positions: str = "each",
    by_head: bool = False,
    mode: str = "denoising",
    batch_tokens: int = 4096,
    progress: Callable[[int, int], None] | None = None,
) -> PatchMap:
    """Patch a source run into a target run, cell by cell, and read a metric at the answer slot.

    Args:
        model: the model; its variants are what `source` and `target` name.
        pairs: a tuple (source prompt, target prompt) each, or one prompt that both runs read.
        metric: see `activations.metrics`; any function of (logits of shape (row, vocab), pair index of
            each row) gives (row,).
        sites: one kind of site at one or more layers; `resid_post` means all layers.
        source: variant whose activations are the source's (`base`, an adapter, `name@alpha`); the active
            one by default.
        target: variant of the target run.
        align: `position`, `end` or `roles`: see `alignment.align`.
        positions: `each` token alone, the tokens of a `role`, or all `together`.
        by_head: with `head_z`, every head alone.
        mode: `denoising` puts source values into the target run; `noising` puts target values into the
            source run and counts what is lost.
        batch_tokens: token positions that run at once.
        progress: called with (rows done, rows in all).

    Raises:
        PatchError: a metric that is constant or not finite; a mode or a site that cannot be patched; runs
            without any difference.
        PositionError: pairs that do not align.
        SiteError: a site that the model does not have.
    """
    recompute.check(model)
    if mode not in MODES:
        raise PatchError(f"mode {mode!r} is neither 'denoising' nor 'noising'; use one of these")
    chosen = _sites(model, sites, by_head)
    measure = as_metric(metric)
    active = active_variant(model)
    names = (source or active, target or active)
    pairs = listed(pairs)
    check_tokens(measure, len(pairs), model.anatomy.config.vocab_size)
    read = _rows(model, pairs)
    given = read if mode == "denoising" else (read[1], read[0])
    from_variant, into_variant = names if mode == "denoising" else (names[1], names[0])
    aligned = alignment.align(*given, by=align, positions=positions)
    heads = tuple(range(model.n_heads)) if by_head else ()
    shape = (len(pairs), len(chosen), len(aligned.columns), max(len(heads), 1))
    patched = np.full(shape, np.nan)
    filled = np.zeros(shape, bool)
    before, full = np.zeros(len(pairs)), np.zeros(len(pairs))
    counts = dict.fromkeys(("cells", "equal", "unreachable", "run", "block_tokens"), 0)
    ends = alignment.slots(given[1])
    for members in _chunks(given, batch_tokens):
        part = Cells(
            model,
            measure,
            chosen,
            by_head,
            [given[0][n] for n in members],
            [given[1][n] for n in members],
            np.asarray(members),
            ends[members],
            [aligned.at[n] for n in members],
            from_variant,
            into_variant,
        )
        part.run(patched, filled, before, full, counts, batch_tokens, progress)
    _check(before, full, measure)
    return PatchMap(
        measure.name,
        mode,
        *names,
        chosen,
        aligned.columns,
        heads,
        tuple(row.prompt.id for row in read[1]),
        patched,
        before,
        full,
        filled,
        counts,
        aligned.unaligned,
    )


def active_variant(model: "Model") -> str:
    """The active variant as `Model.variant` reads it."""
    name, alpha = model.active
    return name if alpha == 1.0 else f"{name}@{alpha:g}"


def _sites(model: "Model", sites: Any, by_head: bool) -> tuple[Site, ...]:
    chosen = sites_module.resolve(sites, n_layers=model.n_layers)
    kinds = {site.name for site in chosen}
    if len(kinds) != 1:
        raise PatchError(f"sites {sorted(kinds)}: one map has one kind of site; make one map for each")
    if chosen[0].kind not in KINDS:
        raise SiteError(f"site {str(chosen[0])!r} cannot be patched: use one of {', '.join(KINDS)}")
    if by_head and chosen[0].kind != "head_z":
        raise SiteError(f"site {chosen[0].name!r} has no heads: by_head needs sites='head_z'")
    return chosen


def listed(pairs: Any) -> list[Any]:
    """Pairs as a list; a single prompt, a file or a table is prompts that both runs read.

    Raises:
        PatchError: a tuple of two prompts, which may be one pair or two prompts.
    """
    if isinstance(pairs, tuple) and len(pairs) == 2 and not any(isinstance(one, tuple) for one in pairs):
        raise PatchError(
            "pairs are a tuple of two prompts, which may be one pair or two prompts: write "
            "[(source, target)] for the pair, or a list for the prompts"
        )
    return records(pairs).rows


def _rows(model: "Model", pairs: Sequence[Any]) -> tuple[list[Row], list[Row]]:
    if len(pairs) == 0:
        raise PatchError(
            "no pairs were given: a map needs at least one; pass (source, target) tuples, or prompts"
        )
    odd = [pair for pair in pairs if isinstance(pair, tuple) and len(pair) != 2]
    if odd:
        raise PatchError(f"a pair of {len(odd[0])} prompts: a pair is a tuple (source, target); write two")
    both = [pair if isinstance(pair, tuple) else (pair, pair) for pair in pairs]
    targets = model.rows([pair[1] for pair in both])
    if all(pair[0] is pair[1] for pair in both):
        return targets, targets
    return model.rows([pair[0] for pair in both]), targets


def _chunks(rows: tuple[list[Row], list[Row]], batch_tokens: int) -> Iterator[list[int]]:
    """Pairs sorted by length, as many at once as fit the budget."""
    lengths = [max(len(a), len(b)) for a, b in zip(*rows, strict=True)]
    chunk: list[int] = []
    for n in sorted(range(len(lengths)), key=lambda n: -lengths[n]):
        if chunk and (len(chunk) + 1) * lengths[chunk[0]] > batch_tokens:
            yield chunk
            chunk = []
        chunk.append(n)
    yield chunk


def _check(before: np.ndarray, full: np.ndarray, metric: Metric) -> None:
    if not (np.isfinite(before).all() and np.isfinite(full).all()):
        raise PatchError(f"metric {metric.name!r} is not finite on the unpatched runs; mend it")
    gap = np.abs(full - before)
    if gap.max() <= 1e-7 * max(1.0, np.abs(full).max()):
        raise PatchError(
            f"metric {metric.name!r} is constant: source and target runs give the same value in all "
            f"{len(gap)} pairs; "
            "choose a metric or runs that differ"
        )
