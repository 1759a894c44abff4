"""LoRA adapters as an axis: unmerged, switched, scaled, and seen as weights.

The law: with the adapter off the model is the base exactly, and nothing is ever merged (a merge in bf16
rounds the weights, and cycles of merging drift). LoRA: Hu et al. 2021 (arXiv 2106.09685).
"""

import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from activations import adapter_files, quantizing
from activations.anatomy import Anatomy
from activations.errors import AdapterError


def inner_of(module: Any) -> Any:
    """The Hugging Face model inside a PEFT model, or the model itself."""
    from peft import PeftModel

    return module.base_model.model if isinstance(module, PeftModel) else module


def _owner(key: str) -> str | None:
    """The adapter to which a weight belongs, `k` of `...lora_A.k.weight` and of `...lora_embedding_A.k`."""
    return key.rpartition(".lora_")[2].split(".")[1] if ".lora_" in key else None


def _canonical(key: str) -> str:
    """An adapter's key as its file has it: without the adapter's name."""
    path, _, rest = key.rpartition(".lora_")
    kind, _, *leaf = rest.split(".")
    return ".".join([f"{path.removeprefix('base_model.model.')}.lora_{kind}", *leaf])


@contextmanager
def quiet() -> Iterator[None]:
    """Without PEFT's warnings of what is known here: an old name that it calls, a bias of B (which matters to
    a merge, and nothing is merged), a LoRA on one of two tied layers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*lora_bias=True.*")
        warnings.filterwarnings("ignore", message=".*a tied layer is part of the adapter.*")
        yield


def layers(inner: nn.Module) -> list[Any]:
    """Every LoRA layer inside a model. They are not looked into: each holds many modules an adapter."""
    from peft.tuners.lora import LoraLayer

    found: list[Any] = []
    seen: set[int] = set()  # a module may hang in two places, as under a bridge
    left: list[nn.Module] = [inner]
    while left:
        module = left.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        if isinstance(module, LoraLayer):
            found.append(module)
        else:
            # `children()` in its order, without its names: this runs before every pass
            left += [child for child in reversed(module._modules.values()) if child is not None]
    return found


def names(inner: nn.Module) -> tuple[str, ...]:
    """The adapters that a model carries, in the order of loading."""
    return tuple(
        dict.fromkeys(name for layer in layers(inner) for name in (*layer.lora_A, *layer.lora_embedding_A))
    )


def on_embeddings(inner: nn.Module, name: str) -> bool:
    """Whether an adapter has a LoRA at the token embeddings, which is no site of a block."""
    return any(name in layer.lora_embedding_A for layer in layers(inner))


def has_bias(inner: nn.Module, name: str) -> bool:
    """Whether what an adapter's modules add has a constant part (PEFT's `lora_bias`)."""
    return any(layer.lora_B[name].bias is not None for layer in layers(inner) if name in layer.lora_B)


def on_head(inner: nn.Module, name: str) -> bool:
    """Whether an adapter has a LoRA at the output layer, which is no site of a block either."""
    return name in getattr(inner.get_output_embeddings(), "lora_A", {})  # type: ignore[operator]


def check_gates(inner: nn.Module, name: str) -> None:
    """Refuse an adapter that has more than the modules of blocks, which alone have gates.

    Raises:
        AdapterError: a LoRA at the embeddings or at the output layer.
    """
    where = [
        words
        for words, found in (("embeddings", on_embeddings), ("output layer (lm_head)", on_head))
        if found(inner, name)
    ]
    if where:
        raise AdapterError(
            f"adapter {name!r} has a LoRA at the {where[0]}, which has no gate: with all others closed the "
            "model is not its base; take an adapter of blocks alone, or keep_embeddings where it is offered"
        )


def moved_tokens(inner: nn.Module, name: str, most: int) -> list[int]:
    """The tokens with the largest columns in an adapter's A of the embeddings, at most `most`; none without
    such a LoRA, and none whose column is zero, which it does not move."""
    sizes = [
        layer.lora_embedding_A[name].norm(dim=0) for layer in layers(inner) if name in layer.lora_embedding_A
    ]
    order = [(size, size.argsort(descending=True)[:most]) for size in sizes]
    return [int(n) for size, tokens in order for n in tokens if size[n] > 0]


def activate(inner: nn.Module, name: str | None) -> None:
    """Make one adapter the active one, or none (the base). Weights are not touched."""
    for layer in layers(inner):
        layer._disable_adapters = name is None
        if name is not None:
            layer._active_adapter = [name]


def scaling(inner: nn.Module, name: str) -> list[float | None]:
    """An adapter's scaling at every LoRA layer; None where it has none."""
    return [layer.scaling.get(name) for layer in layers(inner)]


def set_scaling(inner: nn.Module, name: str, values: list[float | None], alpha: float) -> None:
    """Set an adapter's scalings to `alpha` times the given ones."""
    for layer, value in zip(layers(inner), values, strict=True):
        if value is not None:
            layer.scaling[name] = value if alpha == 1.0 else value * alpha


def active(inner: nn.Module) -> str | None:
    """The one adapter that is switched on; None where none is.

    Raises:
        AdapterError: several at once, or not the same one everywhere.
    """
    on = {
        tuple(layer.active_adapters)
        for layer in layers(inner)
        if not layer._disable_adapters and any(name in layer.r for name in layer.active_adapters)
    }
    if len(on) > 1 or any(len(found) > 1 for found in on):
        raise AdapterError(
            f"several adapters are active ({', '.join(sorted({name for found in on for name in found}))}), "
            "which add up: a variant is one adapter; call set_adapter with one of them"
        )
    return next((str(found[0]) for found in on if found), None)


def check_supported(module: Any) -> None:
    """Refuse a model in memory whose adapters are something else than LoRAs that leave the base alone.

    Raises:
        AdapterError: another kind, or a LoRA that does more.
    """
    from dataclasses import asdict

    from peft import PeftMixedModel
    from peft.tuners.lora import LoraLayer
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    if isinstance(module, PeftMixedModel):
        raise AdapterError("a PeftMixedModel mixes kinds of adapters; give a PeftModel with LoRAs alone")
    for name, config in (getattr(module, "peft_config", None) or {}).items():
        fields = {**asdict(config), "peft_type": config.peft_type}
        adapter_files.check(str(name), fields)
        if any(key.endswith(".bias") and ".lora_" not in key for key, _ in module.named_parameters()):
            adapter_files.refuse_biases(str(name), fields)
    for path, part in module.named_modules():
        if isinstance(part, AuxiliaryTrainingWrapper) or (
            isinstance(part, BaseTunerLayer) and not isinstance(part, LoraLayer)
        ):
            raise AdapterError(
                f"{path} is a {type(part).__name__} of PEFT: LoRA is what is supported; "
                f"{adapter_files.MERGED}"
            )


def check_unmerged(inner: nn.Module) -> None:
    """Refuse a model into whose weights an adapter was merged.

    Raises:
        AdapterError: a merged adapter.
    """
    if any(layer.merged for layer in layers(inner)):
        raise AdapterError(
            "an adapter is merged into the weights: activations are read unmerged; load the model again"
        )


def factors(
    anatomy: Anatomy, adapter: str, layer: int, module: str
) -> tuple[Float[Tensor, "rank d_in"], Float[Tensor, "d_out rank"], float]:
    """(A, B, scaling) of one LoRA; what it adds to the projection is `scaling * B @ A @ x`.

    Raises:
        AdapterError: the adapter has no LoRA there.
    """
    lora: Any = anatomy.projection(layer, module)[0]
    if adapter not in getattr(lora, "lora_A", {}):
        raise AdapterError(
            f"adapter {adapter!r} has no LoRA at {module}.{layer}; choose a module that it targets"
        )
    a, b = (part[adapter].weight.detach() for part in (lora.lora_A, lora.lora_B))
    return a, b, float(lora.scaling[adapter])


def weight(
    anatomy: Anatomy, layer: int, module: str, *, adapter: str | None, alpha: float = 1.0
) -> Float[Tensor, "d_out d_in"]:
    """The weight of a projection as the model uses it: base plus `alpha` times the adapter, in float32."""
    projection: Any = anatomy.projection(layer, module)[0]
    base = quantizing.weight(getattr(projection, "base_layer", projection)).float()
    if adapter is None or adapter not in getattr(projection, "lora_A", {}):
        return base.clone()
    a, b, scaling = factors(anatomy, adapter, layer, module)
    return base + alpha * scaling * (b.float() @ a.float())


def fingerprint(inner: nn.Module, name: str | None) -> str:
    """SHA-256 over names, types and bytes of the base's weights (`name=None`) or of one adapter's, scaling
    included.

    The base's fingerprint is the same with and without adapters loaded on it.
    """
    digest = hashlib.sha256()
    state = inner.state_dict()
    for key in sorted(state, key=lambda k: k.replace(".base_layer.", ".")):
        is_adapter = ".lora_" in key
        if is_adapter != (name is not None) or (name is not None and _owner(key) != name):
            continue
        tensor = state[key].detach().contiguous().cpu()
        label = key.replace(".base_layer.", ".") if name is None else _canonical(key)
        digest.update(json.dumps([label, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    if name is not None:
        digest.update(
            json.dumps(
                [round(float(layer.scaling[name]), 12) for layer in layers(inner) if name in layer.scaling]
            ).encode()
        )
    return digest.hexdigest()
