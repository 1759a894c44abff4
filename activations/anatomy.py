"""Anatomy: where each site lies in a Hugging Face decoder, family by family.

Llama, Mistral, Qwen 2 and Qwen 3 add attention's output as it is; Gemma 2, Gemma 3 and OLMo 2 pass it through
a norm first, and what is *added to the residual stream* is the norm's output. Nothing here runs a model: a
`Tap` says which module's input or output holds the site, and how to view it in the site's shape and back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from activations.errors import EditError, ModelError, SiteError
from activations.sites import ADAPTER, ATTENTION_MODULES, Site

PRE_NORM = ("llama", "mistral", "qwen2", "qwen3")
SANDWICH_NORM = ("gemma2", "gemma3_text", "gemma3")
POST_NORM = ("olmo2",)
FAMILIES = (*PRE_NORM, *SANDWICH_NORM, *POST_NORM)


def windows(config: Any) -> tuple[int | None, ...]:
    """Of every block, how many tokens its attention sees back, itself included; None where it sees all.

    Raises:
        ModelError: a kind of attention that is not known here.
    """
    own = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if config.model_type == "mistral":  # one window for all, whatever kinds its configuration names
        return (own,) * config.num_hidden_layers
    if kinds is None or config.model_type in ("llama", "olmo2"):  # they use none, whatever they hold
        return (None,) * config.num_hidden_layers
    odd = set(kinds) - {"full_attention", "sliding_attention"}
    if odd:
        raise ModelError(
            f"attention of kind {sorted(odd)[0]!r} is not known here: full and sliding attention are; load "
            "another model"
        )
    return tuple(own if kind == "sliding_attention" else None for kind in kinds)


def context_length(config: Any) -> int:
    """The longest row in tokens that is read as it would be alone, in any batch.

    LongRoPE turns all rows of a batch with other frequencies as soon as one is longer than the original
    context, and what a cache holds by then with the old ones; dynamic NTK does so beyond the context.
    """
    config = config.get_text_config()
    given = getattr(config, "rope_parameters", None) or {}
    kinds = given.values() if given and all(isinstance(one, dict) for one in given.values()) else [given]
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
class Anatomy:
    """The parts of one loaded causal language model (with or without LoRA layers inside).

    Raises:
        ModelError: a family whose residual stream is not known here.
    """

    inner: nn.Module
    decoder: nn.Module
    layers: nn.ModuleList
    config: Any
    family: str
    prefix: str
    windows: tuple[int | None, ...]

    @classmethod
    def of(cls, inner: nn.Module) -> "Anatomy":
        """Find the decoder inside a Hugging Face causal language model."""
        config = inner.config.get_text_config()  # type: ignore[union-attr, operator]
        family = config.model_type
        if family not in FAMILIES:
            raise ModelError(
                f"model type {family!r} is not known here: sites are defined for {', '.join(FAMILIES)}; "
                "load one of these"
            )
        decoder = inner.get_decoder()  # type: ignore[operator]
        prefix = next(name for name, module in inner.named_modules() if module is decoder)
        if getattr(config, "use_bidirectional_attention", False):
            raise ModelError("the model attends to what comes after a token; load one that is causal")
        return cls(inner, decoder, decoder.layers, config, family, prefix, windows(config))

    def tap(self, site: Site, *, adapter: str | None = None) -> Tap:
        """Where a site lies; `adapter` names the active LoRA for adapter sites.

        Raises:
            SiteError: a layer that does not exist, or an adapter site without an active adapter there.
        """
        if site.layer is None:
            name = "embed_tokens" if site.kind == "embed" else "norm"
            return Tap(f"{self.prefix}.{name}", getattr(self.decoder, name))
        if site.layer >= len(self.layers):
            raise SiteError(
                f"site {str(site)!r}: the model has layers 0 to {len(self.layers) - 1}; choose one of them"
            )
        layer, at = self.layers[site.layer], f"{self.prefix}.layers.{site.layer}"
        if site.kind in ADAPTER:
            return self._adapter_tap(site, adapter, layer, at)
        sandwich, post = self.family in SANDWICH_NORM, self.family in POST_NORM
        match site.kind:
            case "resid_pre":
                return Tap(at, layer, "in")
            case "resid_post":
                return Tap(at, layer)
            case "attn_out":
                name = "post_attention_layernorm" if sandwich or post else "self_attn"
            case "resid_mid":
                name = (
                    "pre_feedforward_layernorm" if sandwich else "mlp" if post else "post_attention_layernorm"
                )
                return Tap(f"{at}.{name}", layer.get_submodule(name), "in")
            case "mlp_out":
                name = "post_feedforward_layernorm" if sandwich or post else "mlp"
            case "head_z":
                heads = self.config.num_attention_heads
                return Tap(
                    f"{at}.self_attn.o_proj", layer.get_submodule("self_attn.o_proj"), "in", heads=heads
                )
            case "mlp_act":
                return Tap(f"{at}.mlp.down_proj", layer.get_submodule("mlp.down_proj"), "in")
            case "pattern":
                if self.attention != "eager":
                    raise SiteError(
                        f"site {str(site)!r}: {self.attention!r} attention returns no probabilities; load "
                        "with attention='eager'"
                    )
                return Tap(f"{at}.self_attn", layer.get_submodule("self_attn"), element=1)
        return Tap(f"{at}.{name}", layer.get_submodule(name))

    def projection(self, layer: int, module: str) -> tuple[nn.Module, str]:
        """A block's linear projection (a LoRA layer where one was injected) and its path."""
        path = f"{'self_attn' if module in ATTENTION_MODULES else 'mlp'}.{module}"
        return self.layers[layer].get_submodule(path), f"{self.prefix}.layers.{layer}.{path}"

    def _adapter_tap(self, site: Site, adapter: str | None, layer: nn.Module, at: str) -> Tap:
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
        from activations.sites import MODULES

        return tuple(
            (n, name)
            for n in range(len(self.layers))
            for name in MODULES
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
