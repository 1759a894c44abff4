"""Requests: a capture, resolved before anything runs: its rows, sites and batches, and the file that it will
make.

The law: whatever is wrong with a capture is found here, before the first forward pass and before any file is
made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from activations import backends, sharding
from activations.batches import Plan, plan
from activations.errors import SiteError, StoreError
from activations.index import Index
from activations.positions import Positions
from activations.prompts import Prompts
from activations.selection import Selection
from activations.sites import ADAPTER, LAYER_CONVENTION, Site
from activations.store import SCHEMA_VERSION
from activations.writer import NUMBERS, Layout

if TYPE_CHECKING:
    from activations.models import Model

SiteLike = str | Site | Sequence[str | Site]


@dataclass(frozen=True)
class Request:
    """A capture, resolved: the prompts, the sites, the batches, and which part of them is ours."""

    index: Index
    selection: Selection
    sites: tuple[Site, ...]
    dtype: str
    batch_tokens: int
    backend: str
    reader: backends.Backend
    shard: tuple[int, int]
    several: bool

    @classmethod
    def make(
        cls,
        model: "Model",
        prompts: Prompts,
        *,
        sites: SiteLike,
        positions: str | Positions,
        dtype: str | None,
        batch_tokens: int,
        shard: tuple[int, int] | None,
        backend: str = "hooks",
        remote: bool | str = False,
        variants: Sequence[str] | None = None,
        head: int = 3,
    ) -> "Request":
        """Resolve everything that can fail before the first forward pass.

        Raises:
            ActivationsError: whatever is wrong with the request.
        """
        stored = dtype or (model.dtype if model.dtype in NUMBERS else "float32")
        if stored not in NUMBERS or (stored == "bfloat16" and model.dtype != "bfloat16"):
            raise StoreError(
                f"dtype {stored!r} for a {model.dtype} model: stores keep {', '.join(NUMBERS)}, and "
                "bfloat16 only of a bfloat16 model (it would round); use 'float32'"
            )
        reader = backends.get(backend, remote=remote)
        index, selection = Index.of(model, prompts, positions, head=head)
        return cls(
            index,
            selection,
            model.sites(sites, variants=variants),
            stored,
            batch_tokens,
            backend,
            reader,
            sharding.mine(shard),
            variants is not None,
        )

    def layout(self, model: "Model", extra: dict[str, Any]) -> Layout:
        """The file of the active variant."""
        adapter, alpha = model.active
        sites = self.sites
        if self.several:  # each variant keeps the adapter sites that it has
            own = () if adapter == "base" else model.anatomy.adapted(adapter)
            sites = tuple(s for s in sites if s.kind not in ADAPTER or (s.layer, s.module) in own)
        if not sites:
            raise SiteError(
                f"sites {', '.join(map(str, self.sites[:3]))} are an adapter's and variant {adapter!r} has "
                "none of them; leave this variant out, or add another site"
            )
        for site in sites:
            model.anatomy.tap(site, adapter=model.active_adapter)
        longest = self.index.longest
        shapes = {
            site: model.anatomy.shape(site, adapter=model.active_adapter, longest=longest) for site in sites
        }
        selection, first, last = (self.selection, *sharding.bounds(self.index.lengths, *self.shard))
        starts = selection.starts[first : last + 1]
        rows = {name: column[starts[0] : starts[-1]] for name, column in selection.rows.items()}
        rows["example"] = rows["example"] - first
        batches = plan(self.index.lengths[first:last], batch_tokens=self.batch_tokens, tight=True)
        attributes = {
            "schema_version": SCHEMA_VERSION,
            "base_model": model.name,
            "base_revision": model.revision or "",
            "base_fingerprint": model.fingerprint,
            "adapter_fingerprint": model.adapter_fingerprint(adapter),
            "adapter_scale": float(alpha),
            "variant": adapter,
            "index_hash": selection.index_hash,
            "tokenizer_fingerprint": model.tokenizer_fingerprint,
            "template_hash": model.template.hash,
            "dtype": self.dtype,
            "model_dtype": model.dtype,
            "attention": model.attention,
            "layer_convention": LAYER_CONVENTION,
            "positions": selection.rule.text,
            "backend": self.backend,
            "batch_tokens": self.batch_tokens,
            "shard": f"{self.shard[0]}/{self.shard[1]}",
            "first_example": first,
            "toolkit_version": version("mi-bsa"),
            **extra,
        }
        examples = {name: column[first:last] for name, column in selection.examples.items()}
        return Layout(
            attributes,
            shapes,
            self.dtype,
            starts - starts[0],
            rows,
            examples,
            Plan(batches.order, batches.starts),
        )
