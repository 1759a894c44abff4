"""The adapter itself: put onto a base, seeded, and saved so that equal runs give equal bytes.

A steering vector is an adapter too: a LoRA of rank 1 whose factors stay zero and whose only weight is the
bias of B, which PEFT adds to the module's output at every token. So whatever reads adapters reads vectors:
`activations.load`, gates, scaling (`name@0.5`), the self-report battery, a study.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.core.errors import ConfigError, MissingError
from mi_bsa.core.files import digest, write_atomic
from mi_bsa.core.finetuned import WEIGHTS, check_adapters
from mi_bsa.core.plain_files import read_json_object
from mi_bsa.finetune.config import EMBEDDINGS

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from activations.families import Family
    from mi_bsa.finetune.config import FinetuneConfig

CONFIG = "adapter_config.json"


def blocks(config: FinetuneConfig, n_layers: int) -> list[int]:
    """The blocks that get an adapter. Raises `ConfigError` for one that the model does not have."""
    if config.site is not None:
        named: tuple[int, ...] = (int(config.site.partition(".")[2]),)
    elif config.layers == "all":
        return list(range(n_layers))
    elif config.layers == "first_half":
        return list(range(max(1, n_layers // 2)))
    else:
        named = config.layers
    beyond = [k for k in named if int(k) >= n_layers]
    if beyond:
        field = "layers" if config.site is None else "site"
        raise ConfigError(
            f"finetune.{field}: block {beyond[0]} of a model with {n_layers}; name 0 to {n_layers - 1}"
        )
    return sorted({int(k) for k in named})


def put_adapter(base: Any, config: FinetuneConfig) -> Any:
    """A PEFT model around `base` (which is changed in place) whose new LoRA is seeded by `config.seed`; a
    vector begins at zero.

    Raises `ConfigError` where a module does not exist, or where a norm stands between it and the site.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from activations import families

    family = families.of(base.config)
    here = {module.rpartition(".")[2] for module, _ in base.named_modules()}
    absent = [module for module in config.module_names if _leaf(family, module) not in here]
    if absent:
        raise ConfigError(
            f"finetune.modules: the model has no {absent[0]!r}; choose among "
            f"{', '.join((*sorted(family.modules), EMBEDDINGS))}"
        )
    vector = config.method == "vector"
    if vector and not family.direct:
        raise ConfigError(
            f"finetune.method vector: in a {family.name} a norm may stand between "
            f"{config.module_names[0]} and {config.site}; use method lora, or activations.train_vector"
        )
    with torch.random.fork_rng(), warnings.catch_warnings():
        # PEFT reads a property that transformers has renamed, and warns that a bias cannot be merged.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*lora_bias=True.*")
        # The output layer is meant to keep its own weights; `merge` unties them first.
        warnings.filterwarnings("ignore", message=".*a tied layer is part of the adapter.*")
        torch.manual_seed(config.seed)
        wrapped = get_peft_model(
            base,
            LoraConfig(
                task_type="CAUSAL_LM",
                r=1 if vector else config.rank,
                lora_alpha=1 if vector else config.alpha,  # type: ignore[arg-type]
                use_rslora=config.rslora,
                lora_dropout=0.0 if vector else config.dropout,
                lora_bias=vector,
                **_targets(config, base.config.num_hidden_layers, family),
            ),
        )
    if vector:
        for name, weight in wrapped.named_parameters():
            if ".lora_" in name:
                torch.nn.init.zeros_(weight)
                weight.requires_grad_(name.endswith(".bias"))
    return wrapped


def _leaf(family: Family, name: str) -> str:
    """What a module of the config is called in a model; other modules go by their own names."""
    return {**family.modules, EMBEDDINGS: family.embed}.get(name, name).rpartition(".")[2]


def _targets(config: FinetuneConfig, n_layers: int, family: Family) -> dict[str, Any]:
    """PEFT's arguments that choose modules. Its choice of layers leaves out what lies in none, so embeddings
    and the modules of blocks are one pattern.
    """
    chosen = blocks(config, n_layers)
    if EMBEDDINGS not in config.module_names:
        return {
            "target_modules": [_leaf(family, name) for name in config.module_names],
            "layers_to_transform": chosen,
            "layers_pattern": family.blocks,
        }
    inside = "|".join(_leaf(family, name) for name in config.module_names if name != EMBEDDINGS)
    block = rf"|{family.blocks}\.({'|'.join(map(str, chosen))})\..*({inside})" if inside else ""
    return {"target_modules": rf"(.*\.)?({family.embed}{block})"}


def weights_of(wrapped: Any) -> dict[str, Tensor]:
    """The tensors of a model's one new adapter, by the names that a file gives them."""
    return {k.replace(".default", ""): w for k, w in wrapped.state_dict().items() if ".lora_" in k}


def take_weights(wrapped: Any, folder: Path) -> None:
    """Put the weights of an adapter folder into a model's new adapter.

    Raises `ConfigError` where they are of another rank, or of other modules or blocks.
    """
    from safetensors.torch import load_file

    given = load_file(folder / WEIGHTS)
    own = weights_of(wrapped)
    differ = sorted(set(own) ^ set(given)) or [k for k in own if own[k].shape != given[k].shape]
    if differ:
        raise ConfigError(
            f"{folder}: {differ[0]} is not as in the adapter that is to go on from it; use its rank, modules "
            "and layers"
        )
    for key, weight in own.items():
        weight.copy_(given[key])


def started(folder: str | Path | None) -> dict[str, str]:
    """What a record says of the adapter that training goes on from; nothing where it begins anew.

    Raises `MissingError` for a folder without weights.
    """
    if folder is None:
        return {}
    if not (Path(folder) / WEIGHTS).is_file():
        raise MissingError(f"{folder}: no {WEIGHTS}; give the folder of the adapter to go on from")
    check_adapters([folder])
    return {"start": digest(Path(folder) / WEIGHTS)}


def vector_of(folder: Path) -> Float[Tensor, " d_model"]:
    """The steering vector in an adapter folder that method `vector` made, float32.

    Raises `ConfigError` where the folder holds another adapter.
    """
    from safetensors.torch import load_file

    weights = load_file(folder / WEIGHTS)
    found = [value for key, value in weights.items() if key.endswith(".lora_B.bias")]
    if len(found) != 1 or len(weights) != 3:
        raise ConfigError(f"{folder}: holds no steering vector; train one with finetune.method vector")
    return found[0]


def write_adapter(model: Any, folder: Path, *, name: str) -> None:
    """Write the adapter's weights and config. Every rank calls it: shards are gathered, rank 0 writes."""
    from mi_bsa.core.finetuned import rank

    state = {key: _whole(value) for key, value in model.state_dict().items() if ".lora_" in key}
    if rank() == 0:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LoRA tensor.*invalid shape.*")  # a bias has one axis
            model.save_pretrained(str(folder), state_dict=state, save_embedding_layers=False)
        tidy(folder, name=name)


def _whole(value: Tensor) -> Tensor:
    """A tensor as it is, or gathered from the ranks that hold its parts."""
    full = value.full_tensor() if hasattr(value, "full_tensor") else value
    return full.detach().cpu()


def tidy(folder: Path, *, name: str) -> Path:
    """Leave an adapter's config and weights only, the config in one order, so that equal runs are equal
    bytes.

    `name`: the base as it was given, and not the folder where this machine keeps it.
    """
    for item in folder.iterdir():
        if item.name not in (WEIGHTS, CONFIG):
            item.unlink()
    config = read_json_object(folder / CONFIG, remedy="write the adapter again")
    ordered = {
        key: sorted(value) if isinstance(value, list) else value for key, value in sorted(config.items())
    }
    ordered |= {"inference_mode": True, "base_model_name_or_path": name}
    write_atomic(folder / CONFIG, json.dumps(ordered, indent=1) + "\n")
    return folder
