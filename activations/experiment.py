"""A patching experiment around its cells: pairs that are read and aligned, the run that values come from, the
map that is made of it all.

The law: whether values are put in (`patching`), estimated (`attribution`) or followed along a path
(`path_patching`), pairs, variants, alignment and metric mean the same.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from activations import alignment, hooks, recompute
from activations import sites as sites_module
from activations.errors import PatchError, SiteError
from activations.maps import PatchMap
from activations.metrics import Function, Metric, Reader, as_metric, check_tokens
from activations.records import records
from activations.sites import ADAPTER, RESIDUAL, Site
from activations.tokens import Row

if TYPE_CHECKING:
    from activations.models import Model

MODES = ("denoising", "noising")
KINDS = (*RESIDUAL, "head_z", "mlp_act", *ADAPTER)
SAME = 1e-7
"""Gaps below this share of the metric are rounding in float32, and no ratio to them says anything."""


class Setup(TypedDict, total=False):
    """What is patched or estimated: the keywords of `patching.patch_map` that `attribution.attribute` shares.

    Attributes:
        sites: one kind of site at one or more layers; `resid_post` (the default) means all layers.
        source: variant whose activations are the source's (`base`, an adapter, `name@alpha`); the active one
            by default.
        target: variant of the target run; the active one by default.
        align: `position` (the default), `end` or `roles`: see `alignment.align`.
        positions: `each` token alone (the default), the tokens of a `role`, or all `together`.
        by_head: with `head_z`, every head alone.
        mode: `denoising` (the default) puts source values into the target run; `noising` puts target values
            into the source run and counts what is lost.
    """

    sites: str | Site | Sequence[str | Site]
    source: str | None
    target: str | None
    align: str
    positions: str
    by_head: bool
    mode: str


@dataclass(frozen=True)
class Experiment:
    """Pairs, what is moved between them, and how it is read.

    Attributes:
        metric: what is read at the answer slot.
        mode: `denoising` or `noising`; see `patching.patch_map`.
        names: the variants of the source and of the target.
        sites: one a layer.
        heads: head indices, or empty where whole sites are moved.
        given: rows that values come from, and rows that they are put into.
        variants: of these.
        ids: the target prompts'.
        aligned: which tokens are each other's.
    """

    metric: Metric
    mode: str
    names: tuple[str, str]
    sites: tuple[Site, ...]
    heads: tuple[int, ...]
    given: tuple[list[Row], list[Row]]
    variants: tuple[str, str]
    ids: tuple[str, ...]
    aligned: alignment.Alignment

    @classmethod
    def of(
        cls,
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
    ) -> "Experiment":
        """Read and align; see `Setup` and `patching.patch_map`."""
        recompute.check(model)
        if mode not in MODES:
            raise PatchError(f"mode {mode!r} is neither 'denoising' nor 'noising'; use one of these")
        chosen = _sites(model, sites, by_head)
        names = (source or model.active_name, target or model.active_name)
        measure, rows = read_pairs(model, pairs, metric)
        forth = mode == "denoising"
        given = rows if forth else (rows[1], rows[0])
        return cls(
            measure,
            mode,
            names,
            chosen,
            tuple(range(model.n_heads)) if by_head else (),
            given,
            names if forth else (names[1], names[0]),
            tuple(row.prompt.id for row in rows[1]),
            alignment.align(*given, by=align, positions=positions),
        )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(example, layer, column, head); head is 1 where whole sites are moved."""
        return len(self.ids), len(self.sites), len(self.aligned.columns), max(len(self.heads), 1)

    def rows(self, members: Sequence[int] | np.ndarray) -> tuple[list[Row], list[Row]]:
        """The sources and the targets of some pairs."""
        sources, targets = ([rows[n] for n in members] for rows in self.given)
        return sources, targets

    def blank(self) -> "Found":
        """Nothing found yet."""
        n = len(self.ids)
        filled = np.zeros(self.shape, bool)
        return Found(np.full(self.shape, np.nan), np.zeros(n), np.zeros(n), filled, Counter())

    def map(self, found: "Found", *, method: str = "") -> PatchMap:
        """What was found, as a map.

        Raises:
            PatchError: a metric that is constant or not finite.
        """
        check_gap(found.before, found.full, self.metric)
        name, columns = self.metric.name + method, self.aligned.columns
        numbers = {**vars(found), "counts": dict(found.counts), "unaligned": self.aligned.unaligned}
        return PatchMap(name, self.mode, *self.names, self.sites, columns, self.heads, self.ids, **numbers)


@dataclass(frozen=True, eq=False)
class Found:
    """The numbers of a map, which are filled in some pairs at a time; see `maps.PatchMap`."""

    patched: np.ndarray
    before: np.ndarray
    full: np.ndarray
    filled: np.ndarray
    counts: Counter[str]


@dataclass(frozen=True)
class Source:
    """The run of some pairs that values come from.

    Attributes:
        values: at each site.
        reader: reads the metric of these pairs, this run being what it compares with.
        full: the metric of this run.
    """

    values: dict[Site, Tensor]
    reader: Reader
    full: Float[Tensor, " pair"]

    @classmethod
    def of(
        cls,
        model: "Model",
        metric: Metric,
        sites: Sequence[Site],
        rows: list[Row],
        members: np.ndarray,
        variant: str,
    ) -> "Source":
        """One pass over the rows of these `members` of all pairs."""
        index = torch.from_numpy(members).to(model.device)
        pairs = torch.arange(len(rows), device=model.device)
        last = torch.from_numpy(alignment.slots(rows)).to(model.device)
        with model.variant(variant), torch.no_grad():  # an adapter may reach the output layer too
            values = hooks.read(model, model.collate(rows), [*sites, Site("final_norm")], hooks.whole)
            final = values.pop(Site("final_norm")).to(model.device)[pairs, last]
            logits = Reader(model, metric, index).logits(final, pairs)
        reader = Reader(model, metric, index, logits if metric.reference else None)
        return cls(values, reader, reader.measure(logits, pairs).detach())


def read_pairs(
    model: "Model", pairs: Any, metric: Metric | Function
) -> tuple[Metric, tuple[list[Row], list[Row]]]:
    """The metric, and the tokens of sources and targets; prompts alone are sources and targets both.

    Raises:
        PatchError: no pairs, or what may be one pair or two prompts; token ids that the model does not have.
    """
    measure, given = as_metric(metric), listed(pairs)
    check_tokens(measure, len(given), model.anatomy.config.vocab_size)
    if len(given) == 0:
        raise PatchError(
            "no pairs were given: a map needs at least one; pass (source, target) tuples, or prompts"
        )
    odd = [pair for pair in given if isinstance(pair, tuple) and len(pair) != 2]
    if odd:
        raise PatchError(f"a pair of {len(odd[0])} prompts: a pair is a tuple (source, target); write two")
    both = [pair if isinstance(pair, tuple) else (pair, pair) for pair in given]
    targets = model.rows([pair[1] for pair in both])
    if all(pair[0] is pair[1] for pair in both):
        return measure, (targets, targets)
    return measure, (model.rows([pair[0] for pair in both]), targets)


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


def chunks(rows: tuple[list[Row], list[Row]], batch_tokens: int) -> Iterator[list[int]]:
    """Pairs sorted by length, as many at once as fit the budget."""
    lengths = [max(len(a), len(b)) for a, b in zip(*rows, strict=True)]
    chunk: list[int] = []
    for n in sorted(range(len(lengths)), key=lambda n: -lengths[n]):
        if chunk and (len(chunk) + 1) * lengths[chunk[0]] > batch_tokens:
            yield chunk
            chunk = []
        chunk.append(n)
    yield chunk


def check_gap(before: np.ndarray, full: np.ndarray, metric: Metric) -> None:
    """Refuse a metric that is not finite or does not tell the two runs apart.

    Raises:
        PatchError: such a metric.
    """
    if not (np.isfinite(before).all() and np.isfinite(full).all()):
        raise PatchError(f"metric {metric.name!r} is not finite on the unpatched runs; mend it")
    gap = np.abs(full - before)
    if gap.max() <= SAME * max(1.0, np.abs(full).max()):
        raise PatchError(
            f"metric {metric.name!r} is constant: source and target runs give the same value in all "
            f"{len(gap)} pairs; choose a metric or runs that differ"
        )


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
