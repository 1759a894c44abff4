"""Several LoRAs of one base as one: what each adds to a module is added up.

The law: the joined adapter gives what its parts give together, to rounding, and is a LoRA like any other (its
rank is the sum of theirs), so whatever reads adapters reads a report adapter on an organism.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mi_bsa.core.errors import ConfigError
from mi_bsa.core.files import write_atomic
from mi_bsa.core.finetuned import WEIGHTS, check_adapters
from mi_bsa.finetune.adapters import CONFIG
from mi_bsa.finetune.beside.frozen import PREFIX, config_of, factors_of


def joined(folders: Sequence[Path], out: Path) -> Path:
    """Write the sum of adapters as one adapter folder; returns it.

    Raises:
        ConfigError: no folder, or adapters of different bases or more than LoRAs of linear modules.
        BrokenFileError: an adapter of ours that has changed since it was trained.
    """
    import torch
    from safetensors.torch import save_file

    if not folders:
        raise ConfigError("no adapters to join; give at least one folder")
    check_adapters(folders)
    configs = [config_of(folder) for folder in folders]
    bases = list(dict.fromkeys(str(config.get("base_model_name_or_path")) for config in configs))
    if len(bases) > 1:
        raise ConfigError(f"adapters of {bases[0]} and of {bases[1]}: only those of one base add up")
    given = [factors_of(folder) for folder in folders]
    ranks = [int(config["r"]) for config in configs]
    weights = {}
    for path in sorted({path for one in given for path in one}):
        a0, b0 = next(one[path] for one in given if path in one)
        parts = [
            one.get(path, (torch.zeros(rank, a0.shape[1]), torch.zeros(b0.shape[0], rank)))
            for one, rank in zip(given, ranks, strict=True)
        ]
        weights[f"{PREFIX}{path}.lora_A.weight"] = torch.cat([a for a, _ in parts], dim=0).contiguous()
        weights[f"{PREFIX}{path}.lora_B.weight"] = torch.cat([b for _, b in parts], dim=1).contiguous()
    rank = sum(ranks)
    modules = sorted({key.removeprefix(PREFIX).rpartition(".lora_")[0] for key in weights})
    config = {
        **configs[0],
        # whole paths, since parts may differ in their blocks
        "target_modules": modules,
        "layers_to_transform": None,
        "layers_pattern": None,
        "r": rank,
        "lora_alpha": rank,
        "use_rslora": False,
        "lora_dropout": 0.0,
    }
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / WEIGHTS, metadata={"format": "pt"})
    write_atomic(out / CONFIG, json.dumps(config, indent=1) + "\n")
    return out
