"""Attaching: the factors of an adapter's file on the modules of a model, unmerged, and nothing else.

The law: the base is the base. What is put where is decided by the file's own names and shapes, after they
were held against the configuration and the model; PEFT builds empty LoRA layers there and initializes
nothing, so that no weight of the base is written. PEFT only warns when an adapter's keys do not match; here
that is an error.
"""

import re
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

from activations import adapter_modules, lora
from activations.adapter_files import AdapterFile
from activations.errors import AdapterError, first_line

_REMEDY = "load it on the base that it was trained on"


def attach(module: Any, file: AdapterFile) -> Any:
    """Put an adapter into a Hugging Face or PEFT model; returns the PEFT model, unmerged.

    Raises:
        AdapterError: names or shapes that do not match the model's, other embeddings than the base's, or
            factors that are not finite.
    """
    from peft import LoraConfig, PeftModel, PeftModelForCausalLM

    inner: Any = lora.inner_of(module)
    places = _places(inner)
    ranks, alphas = _checked(inner, file, places)
    _same_embeddings(inner, file)
    config = file.config
    rank = Counter(ranks.values()).most_common(1)[0][0]
    alpha: Any = Counter(alphas.values()).most_common(1)[0][
        0
    ]  # PEFT's annotation says int and takes any number
    made = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=_one_pattern(list(ranks)),
        rank_pattern=_by_value(ranks, but=rank),
        alpha_pattern=_by_value(alphas, but=alpha),
        use_rslora=bool(config.get("use_rslora")),
        lora_bias=any(kind == "B.bias" for _, kind in file.factors),
        lora_dropout=float(config.get("lora_dropout") or 0.0),
        init_lora_weights=False,  # empty layers: whatever an initialization would do to the base is not done
        base_model_name_or_path=file.base,
        task_type="CAUSAL_LM",
        inference_mode=True,
    )
    with lora.quiet():
        try:
            if isinstance(module, PeftModel):
                module.add_adapter(file.name, made, low_cpu_mem_usage=True)
            else:
                module = PeftModelForCausalLM(module, made, file.name, low_cpu_mem_usage=True)
        except (ValueError, RuntimeError) as error:
            raise AdapterError(
                f"adapter {file.name!r} cannot be put on this model ({first_line(error)}); give it another "
                f"name, or {_REMEDY}"
            ) from None
    _fill(inner, file)
    return module


def _fill(inner: nn.Module, file: AdapterFile) -> None:
    """The file's numbers in the empty layers, in float32 (float64 on a base of that), where their base is."""
    from safetensors import safe_open

    with safe_open(file.weights, framework="pt") as weights:
        for (path, kind), key in file.keys.items():
            tensor: Tensor = weights.get_tensor(key)
            if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
                raise AdapterError(
                    f"adapter {file.name!r}: {key} holds values that are not finite or no numbers; check the "
                    "training run, or copy the file again"
                )
            layer: Any = inner.get_submodule(path)
            base = layer.get_base_layer().weight
            wide = torch.float64 if base.dtype == torch.float64 else torch.float32
            value = nn.Parameter(tensor.to(base.device, wide), requires_grad=False)
            part, _, leaf = kind.partition(".")
            holder = getattr(layer, f"lora_{part}")
            if leaf:
                setattr(holder[file.name], leaf, value)
            else:
                holder[file.name] = value


def _places(inner: nn.Module) -> dict[str, nn.Module]:
    """Every linear and embedding module of a model by path; those that carry LoRAs already as their base."""
    from peft.tuners.lora import LoraLayer

    found: dict[str, nn.Module] = {}

    def look(module: nn.Module, prefix: str) -> None:
        for name, child in module.named_children():
            path = f"{prefix}{name}"
            if isinstance(child, LoraLayer):
                found[path] = child.get_base_layer()
            elif isinstance(child, nn.Linear | nn.Embedding):
                found[path] = child
            else:
                look(child, f"{path}.")

    look(inner, "")
    return found


def _checked(
    inner: Any, file: AdapterFile, places: dict[str, nn.Module]
) -> tuple[dict[str, int], dict[str, int | float]]:
    """The rank and the alpha at each module of an adapter, whose names and shapes are the model's."""
    name, config = file.name, file.config
    head = inner.get_output_embeddings()
    linear = [path for path, module in places.items() if isinstance(module, nn.Linear) and module is not head]
    wanted = adapter_modules.named(config, list(places), linear=linear, name=name)
    if config.get("ensure_weight_tying"):  # PEFT names one of two tied modules, and saves the factors of both
        wanted |= {path for path in file.modules if places.get(path) is head}
    expected: set[tuple[str, str]] = set()
    for path in wanted:
        embedded = isinstance(places[path], nn.Embedding)
        kinds = ("embedding_A", "embedding_B") if embedded else ("A.weight", "B.weight")
        expected |= {(path, kind) for kind in kinds}
        if config.get("lora_bias") and not embedded:
            expected.add((path, "B.bias"))
    missing = sorted(expected - set(file.factors))
    unknown = sorted(set(file.factors) - expected)
    if missing or unknown or file.unknown:
        example = [*(".lora_".join(place) for place in (*missing, *unknown)), *file.unknown]
        raise AdapterError(
            f"adapter {name!r} does not match: {len(missing)} keys are missing, "
            f"{len(unknown) + len(file.unknown)} unknown (e.g. {example[0]}); {_REMEDY}"
        )
    if not wanted:
        raise AdapterError(f"adapter {name!r} is empty: it has no weights; train it, or load without it")
    modules = sorted(wanted)
    ranks = adapter_modules.of_each(config, "rank_pattern", config.get("r", 8), modules, name=name)
    alphas = adapter_modules.of_each(config, "alpha_pattern", config.get("lora_alpha", 8), modules, name=name)
    for (path, kind), shape in file.factors.items():
        want = _shape(places[path], kind, ranks[path])
        if shape != want:
            raise AdapterError(
                f"adapter {name!r} does not fit this model ({path}.lora_{kind} has the shape "
                f"{_axes(shape)} where rank {ranks[path]} on this module takes {_axes(want)}); {_REMEDY}"
            )
    return ranks, alphas


def _shape(base: Any, kind: str, rank: int) -> tuple[int, ...]:
    if kind.startswith("embedding"):
        return (rank, base.num_embeddings) if kind == "embedding_A" else (base.embedding_dim, rank)
    shapes = {"A.weight": (rank, base.in_features), "B.weight": (base.out_features, rank)}
    return shapes.get(kind, (base.out_features,))


def _axes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _same_embeddings(inner: nn.Module, file: AdapterFile) -> None:
    """PEFT may put the base's own embeddings beside the factors: taken where they are the base's, bit for
    bit in the narrower of the two types, since then they say nothing new."""
    from safetensors import safe_open

    if not file.embeddings:
        return
    with safe_open(file.weights, framework="pt") as weights:
        for path, key in file.embeddings.items():
            layer: Any = inner.get_submodule(path)
            base = getattr(layer, "base_layer", layer).weight
            own = weights.get_tensor(key).to(base.device)
            narrow = own.dtype if own.dtype.itemsize < base.dtype.itemsize else base.dtype
            if own.shape != base.shape or not torch.equal(own.to(narrow), base.detach().to(narrow)):
                raise AdapterError(
                    f"adapter {file.name!r} brings embeddings of its own ({path}), as after adding tokens: "
                    "they would replace the base's; merge it (merge_and_unload) and load the merged folder, "
                    "or save it with save_embedding_layers=False where the base's were not changed"
                )


def _one_pattern(paths: list[str]) -> str:
    """A pattern that matches these paths and no others; PEFT reads it once a module."""
    return "(?:" + "|".join(re.escape(path) for path in paths) + ")"


def _by_value(values: dict[str, Any], *, but: Any) -> dict[str, Any]:
    """PEFT's rank or alpha pattern: one key for each value that is not the common one."""
    groups: dict[Any, list[str]] = {}
    for path, value in values.items():
        if value != but:
            groups.setdefault(value, []).append(path)
    return {_one_pattern(paths): value for value, paths in groups.items()}
