"""LoRA adapters as an axis: loaded unmerged, checked, switched, scaled, and seen as weights.

The law: with the adapter off the model is the base exactly, and nothing is ever merged (a merge in bf16
rounds the weights, and cycles of merging drift). PEFT only warns when an adapter's keys do not match; here
that is an error.
LoRA: Hu et al. 2021 (arXiv 2106.09685).
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from activations.anatomy import Anatomy
from activations.errors import AdapterError


def attach(module: Any, name: str, path: Path) -> Any:
    """Load the adapter folder `path` under `name` into a HF or PEFT model; returns the PEFT model, unmerged.

    Raises:
        AdapterError: no adapter there, not a LoRA, or keys that do not match the model's.
    """
    from peft import PeftConfig, PeftModel
    from safetensors import safe_open

    if not path.is_dir():
        raise AdapterError(
            f"adapter {name!r}: folder {str(path)!r} does not exist; give the folder that PEFT saved"
        )
    weights = path / "adapter_model.safetensors"
    if not (path / "adapter_config.json").is_file() or not weights.is_file():
        raise AdapterError(
            f"adapter {name!r}: {str(path)!r} lacks adapter_config.json or adapter_model.safetensors; save "
            "it with save_pretrained"
        )
    if name == "base" or not name.replace("_", "").replace("-", "").isalnum():
        raise AdapterError(
            f"adapter name {name!r}: use letters, digits, '-' and '_', and not 'base', which is the model "
            "without adapter"
        )
    config = PeftConfig.from_pretrained(str(path))
    if str(config.peft_type).rsplit(".", 1)[-1] != "LORA" or getattr(config, "use_dora", False):
        raise AdapterError(
            f"adapter {name!r} is {config.peft_type} (DoRA: {getattr(config, 'use_dora', False)}): plain "
            "LoRA only; convert it first"
        )
    try:
        with safe_open(weights, framework="pt") as file:
            stored = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors raises its own untyped error for a cut-off file
        raise AdapterError(
            f"adapter {name!r}: {str(weights)!r} cannot be read ({error}); copy it again"
        ) from None
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*missing adapter keys.*")  # checked below, as an error
        warnings.filterwarnings(
            "ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning
        )  # peft calls an old name
        warnings.filterwarnings("ignore", message=".*lora_bias=True.*")  # nothing is ever merged here
        warnings.filterwarnings("ignore", message=".*a tied layer is part of the adapter.*")
        try:
            if isinstance(module, PeftModel):
                module.load_adapter(str(path), adapter_name=name, is_trainable=False)
            else:
                module = PeftModel.from_pretrained(module, str(path), adapter_name=name, is_trainable=False)
        except (ValueError, RuntimeError) as error:
            first = str(error).strip().splitlines()[0]
            raise AdapterError(
                f"adapter {name!r} does not fit this model ({first}); load it on the base that it was "
                "trained on"
            ) from None
    expected = {
        _canonical(key): tuple(value.shape)
        for key, value in module.state_dict().items()
        if _owner(key) == name
    }
    given = {key.removeprefix("base_model.model."): shape for key, shape in stored.items()}
    missing, unexpected = sorted(set(expected) - set(given)), sorted(set(given) - set(expected))
    if missing or unexpected:
        raise AdapterError(
            f"adapter {name!r} does not match: {len(missing)} keys are missing, {len(unexpected)} unknown "
            f"(e.g. {(missing or unexpected)[0]}); load it on the base that it was trained on"
        )
    return module


def _owner(key: str) -> str | None:
    """The adapter to which a weight belongs, `k` of `...lora_A.k.weight` and of `...lora_embedding_A.k`."""
    return key.rpartition(".lora_")[2].split(".")[1] if ".lora_" in key else None


def _canonical(key: str) -> str:
    """An adapter's key as its file has it: without the adapter's name."""
    path, _, rest = key.rpartition(".lora_")
    kind, _, *leaf = rest.split(".")
    return ".".join([f"{path.removeprefix('base_model.model.')}.lora_{kind}", *leaf])


def layers(inner: nn.Module) -> list[Any]:
    """Every LoRA layer inside a model. They are not looked into: each holds many modules an adapter."""
    from peft.tuners.lora import LoraLayer

    found: list[Any] = []
    seen: set[int] = set()  # a module may hang in two places, as under a bridge

    def look(module: nn.Module) -> None:
        for child in module.children():
            if id(child) in seen:
                continue
            seen.add(id(child))
            if isinstance(child, LoraLayer):
                found.append(child)
            else:
                look(child)

    look(inner)
    return found


def names(inner: nn.Module) -> tuple[str, ...]:
    """The adapters that a model carries, in the order of loading."""
    return tuple(
        dict.fromkeys(name for layer in layers(inner) for name in (*layer.lora_A, *layer.lora_embedding_A))
    )


def on_embeddings(inner: nn.Module, name: str) -> bool:
    """Whether an adapter has a LoRA at the token embeddings, which is no site of a block."""
    return any(name in layer.lora_embedding_A for layer in layers(inner))


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
    such a LoRA, and none whose column is zero, which it does not move.
    """
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
    return (
        lora.lora_A[adapter].weight.detach(),
        lora.lora_B[adapter].weight.detach(),
        float(lora.scaling[adapter]),
    )


def weight(
    anatomy: Anatomy, layer: int, module: str, *, adapter: str | None, alpha: float = 1.0
) -> Float[Tensor, "d_out d_in"]:
    """The weight of a projection as the model uses it: base plus `alpha` times the adapter, in float32."""
    projection: Any = anatomy.projection(layer, module)[0]
    base = getattr(projection, "base_layer", projection).weight.detach().float()
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
