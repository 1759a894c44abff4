"""Anatomy: where each site lies in one loaded Hugging Face decoder, as its family's record says.

Llama adds attention's output as it is; Gemma 2 passes it through a norm first, and what is *added to the
residual stream* is the norm's output. Nothing here runs a model: a `Tap` says which module's input or output
holds the site, and how to view it in the site's shape and back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from activations import families
from activations.errors import EditError, ModelError, SiteError
from activations.families import Family
from activations.sites import ADAPTER, Site


def context_length(config: Any) -> int:
    """The longest row in tokens that is read as it would be alone, in any batch.

    LongRoPE turns all rows of a batch with other frequencies as soon as one is longer than the original
    context, and what a cache holds by then with the old ones; dynamic NTK does so beyond the context.
    """
    config = config.get_text_config()
    given = getattr(config, "rope_parameters", None) or {}
    kinds = given.values() if families.has_rotations(config) else [given]
    longest = int(config.max_position_embeddings)
    for one in kinds:
        if one.get("rope_type") == "longrope":
            longest = min(longest, int(one.get("original_max_position_embeddings") or longest))
    return longest


@dataclass(frozen=True)
class Tap:
    """A module's input (`side="in"`) or output (`side="out"`) that holds a site.

    Attributes:
        path: the module's path from the causal language model.
        module: the module.
        side: "in" or "out".
        element: which element of a tuple output.
        heads: number of heads that the last axis is split into, or None.
        scale: what the tensor is multiplied by to be the site's value (the adapter's scaling), or None.
    """

    path: str
    module: nn.Module
    side: str = "out"
    element: int = 0
    heads: int | None = None
    scale: Callable[[], float] | None = None

    def view(self, tensor: Tensor) -> Tensor:
        """The site's value, (example, pos, *site), as a view where possible."""
        if self.element == 1:
            return rearrange(tensor, "example head pos key -> example pos head key")
        if self.heads is not None:
            return rearrange(tensor, "example pos (head d_head) -> example pos head d_head", head=self.heads)
        return tensor if self.scale is None or self.scale() == 1.0 else tensor * self.scale()

    def unview(self, value: Tensor) -> Tensor:
        """The module's tensor from the site's value; undoes `view`."""
        if self.heads is not None:
            return rearrange(value, "example pos head d_head -> example pos (head d_head)")
        if self.scale is None or self.scale() == 1.0:
            return value
        if self.scale() == 0:
            raise EditError(
                f"{self.path}: the adapter is scaled by 0, so nothing that is put there is added; edit it at "
                "another scale"
            )
        return value / self.scale()


@dataclass(frozen=True)
class Parts:
    """A block's modules by what they do, found once a model and not once a call; None for a norm that the
    family does not have. Adapters replace linear modules inside these, so of those it is the parent that is
    held."""

    attention: nn.Module
    attention_norm: nn.Module | None
    attention_after: nn.Module | None
    mlp: nn.Module
    mlp_norm: nn.Module | None
    mlp_after: nn.Module | None
    linears: Mapping[str, tuple[nn.Module, str]]
    head_norms: str | None

    @classmethod
    def of(cls, block: nn.Module, family: Family) -> "Parts":
        """The parts of a block."""

        def at(path: str | None) -> Any:
            return None if path is None else block.get_submodule(path)

        split = {name: path.rpartition(".") for name, path in family.modules.items()}
        names = ("attention", "attention_norm", "attention_after", "mlp", "mlp_norm", "mlp_after")
        modules = {name: at(getattr(family, name)) for name in names}
        linears = {name: (at(parent), leaf) for name, (parent, _, leaf) in split.items()}
        return cls(**modules, linears=linears, head_norms=family.head_norms)

    def linear(self, name: str) -> Any:
        """A linear module, a LoRA layer where one was put."""
        parent, leaf = self.linears[name]
        return getattr(parent, leaf)

    @property
    def scaling(self) -> float:
        """What scores are multiplied by; Gemma 2's is not that of its heads' width."""
        return float(self.attention.scaling)  # type: ignore[arg-type]

    def attention_reads(self, entering: Tensor) -> Tensor:
        """What queries, keys and values are made of."""
        return entering if self.attention_norm is None else self.attention_norm(entering)

    def heads(self, name: str, normed: Tensor) -> Tensor:
        """Queries (`q`), keys (`k`) or values (`v`), (row, head, pos, d_head), before they turn."""
        value = self.linear(f"{name}_proj")(normed)
        norm = None if name == "v" or self.head_norms is None else getattr(self.attention, f"{name}_norm")
        if self.head_norms == "together" and norm is not None:
            value = norm(value)
        value = rearrange(
            value, "row pos (head d_head) -> row head pos d_head", d_head=self.attention.head_dim
        )
        return norm(value) if self.head_norms == "each" and norm is not None else value

    def attention_adds(self, mixed: Tensor) -> Tensor:
        """What attention adds to the stream, from the mixed values of all heads."""
        out = self.linear("o_proj")(mixed)
        return out if self.attention_after is None else self.attention_after(out)

    def mlp_adds(self, middle: Tensor) -> Tensor:
        """What the MLP adds to the stream."""
        out = self.mlp(middle if self.mlp_norm is None else self.mlp_norm(middle))
        return out if self.mlp_after is None else self.mlp_after(out)


@dataclass(frozen=True)
class Anatomy:
    """The parts of one loaded causal language model (with or without LoRA layers inside).

    Raises:
        ModelError: a family whose residual stream is not known here.
    """

    inner: nn.Module
    decoder: nn.Module
    layers: nn.ModuleList
    config: Any
    family: Family
    prefix: str
    windows: tuple[int | None, ...]
    parts: tuple[Parts, ...]

    @classmethod
    def of(cls, inner: nn.Module) -> "Anatomy":
        """Find the decoder inside a Hugging Face causal language model."""
        config: Any = inner.config.get_text_config()  # type: ignore[union-attr, operator]
        family = families.of(config)
        decoder = inner.get_decoder()  # type: ignore[operator]
        # hooks name modules from the causal model, and where its decoder hangs differs (text parts of others)
        prefix = next(name for name, module in inner.named_modules() if module is decoder)
        if getattr(config, "use_bidirectional_attention", False):
            raise ModelError("the model attends to what comes after a token; load one that is causal")
        layers = getattr(decoder, family.blocks)
        parts = tuple(Parts.of(layer, family) for layer in layers)  # once a model, not once a call
        return cls(inner, decoder, layers, config, family, prefix, family.windows(config), parts)

    def tap(self, site: Site, *, adapter: str | None = None) -> Tap:
        """Where a site lies; `adapter` names the active LoRA for adapter sites.

        Raises:
            SiteError: a layer that does not exist, or an adapter site without an active adapter there.
        """
        if site.layer is None:
            name = self.family.embed if site.kind == "embed" else self.family.norm
            return Tap(f"{self.prefix}.{name}", getattr(self.decoder, name))
        if site.layer >= len(self.layers):
            raise SiteError(
                f"site {str(site)!r}: the model has layers 0 to {len(self.layers) - 1}; choose one of them"
            )
        if site.kind in ADAPTER:
            return self._adapter_tap(site, adapter)
        if site.kind == "pattern" and self.attention != "eager":
            raise SiteError(
                f"site {str(site)!r}: {self.attention!r} attention returns no probabilities; load with "
                "attention='eager'"
            )
        name, side = self.family.place(site.kind)
        module, path = self._within(site.layer, name)
        heads = self.config.num_attention_heads if site.kind == "head_z" else None
        return Tap(path, module, side, element=int(site.kind == "pattern"), heads=heads)

    def _within(self, layer: int, name: str) -> tuple[nn.Module, str]:
        """A module of a block, "" for the block itself, and its path."""
        path = f"{self.prefix}.{self.family.blocks}.{layer}"
        return self.layers[layer].get_submodule(name), f"{path}.{name}" if name else path

    def projection(self, layer: int, module: str) -> tuple[nn.Module, str]:
        """A block's linear projection (a LoRA layer where one was injected) and its path.

        Raises:
            SiteError: a module that the family does not have.
        """
        if module not in self.family.modules:
            raise SiteError(
                f"a {self.family.name} has no {module}: choose one of {', '.join(self.family.modules)}"
            )
        return self._within(layer, self.family.modules[module])

    @property
    def embed(self) -> nn.Module:
        """The token embeddings."""
        return getattr(self.decoder, self.family.embed)

    @property
    def norm(self) -> nn.Module:
        """The last norm."""
        return getattr(self.decoder, self.family.norm)

    @property
    def head(self) -> nn.Module:
        """The output layer."""
        return self.inner.get_output_embeddings()  # type: ignore[operator]

    @property
    def caps_attention(self) -> bool:
        """Whether attention scores are soft-capped, which no fused kernel here does."""
        return self.family.caps_scores(self.config)

    def capped(self, logits: Tensor) -> Tensor:
        """Logits, soft-capped where the model does that."""
        cap = None if self.family.logit_cap is None else getattr(self.config, self.family.logit_cap)
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def _adapter_tap(self, site: Site, adapter: str | None) -> Tap:
        assert site.layer is not None
        assert site.module is not None
        if adapter is None:
            raise SiteError(
                f"site {str(site)!r}: no adapter is active in variant 'base'; choose an adapter's variant"
            )
        lora: Any
        lora, path = self.projection(site.layer, site.module)
        if adapter not in getattr(lora, "lora_A", {}):
            raise SiteError(
                f"site {str(site)!r}: adapter {adapter!r} has no LoRA at {path}; choose a module that it "
                "targets"
            )
        if site.kind == "lora_a":
            return Tap(f"{path}.lora_A.{adapter}", lora.lora_A[adapter])
        return Tap(
            f"{path}.lora_B.{adapter}", lora.lora_B[adapter], scale=lambda: float(lora.scaling[adapter])
        )

    def adapted(self, adapter: str) -> tuple[tuple[int, str], ...]:
        """Every (layer, module) at which an adapter has a LoRA."""
        return tuple(
            (n, name)
            for n in range(len(self.layers))
            for name in self.family.modules
            if adapter in getattr(self.projection(n, name)[0], "lora_A", {})
        )

    @property
    def attention(self) -> str:
        """The attention implementation in use."""
        return str(self.config._attn_implementation)

    @property
    def d_head(self) -> int:
        """The width of one head."""
        return int(
            getattr(self.config, "head_dim", None)
            or self.config.hidden_size // self.config.num_attention_heads
        )

    def shape(self, site: Site, *, adapter: str | None = None, longest: int = 0) -> tuple[int, ...]:
        """The shape of one stored row of a site; `longest` is the number of keys of a pattern."""
        if site.kind == "head_z":
            return self.config.num_attention_heads, self.d_head
        if site.kind == "pattern":
            return self.config.num_attention_heads, longest
        if site.kind == "mlp_act":
            return (int(self.config.intermediate_size),)
        if site.kind in ADAPTER:
            weight: torch.Tensor = self.tap(site, adapter=adapter).module.weight  # type: ignore[assignment]
            return (int(weight.shape[0]),)
        return (int(self.config.hidden_size),)
