"""Frozen adapters beside the one that is trained: in one batch each row goes through its owner's.

The law: row i of a batch is computed as by the base with the adapter of `owners[i]` switched on (none of
them: as by the base alone), and no gradient reaches a frozen factor. Ranks may differ: factors are padded
with zeros to the largest, and each scaling is part of its B.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.core.errors import ConfigError
from mi_bsa.core.files import digest, stable_hash
from mi_bsa.core.finetuned import WEIGHTS, check_adapters
from mi_bsa.core.plain_files import read_json_object
from mi_bsa.core.rows import Encoded, collate
from mi_bsa.finetune.adapters import CONFIG

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Factors = dict[str, tuple["Tensor", "Tensor"]]
"""By module path A (rank, d_in) and B (d_out, rank), the scaling in B."""
PREFIX = "base_model.model."
"""What PEFT writes before a module's path."""


@dataclass(frozen=True)
class Beside:
    """Frozen adapters, and which of them each training row is about.

    Attributes:
        folders: name -> adapter folder in PEFT's format.
        owners: by row, in the rows' order, a name of `folders`, or None for the base itself.

    Raises:
        ConfigError: an owner that has no folder.
    """

    folders: Mapping[str, Path]
    owners: Sequence[str | None]

    def __post_init__(self) -> None:
        for owner in self.owners:
            if owner is not None and owner not in self.folders:
                raise ConfigError(f"a row is about adapter {owner!r}, which is not given; give its folder")

    @property
    def identity(self) -> str:
        """Of the weights and of who owns which row, for a run's record."""
        sums = {name: digest(Path(folder) / WEIGHTS) for name, folder in sorted(self.folders.items())}
        return stable_hash({"folders": sums, "owners": list(self.owners)})

    @property
    def numbers(self) -> list[int]:
        """By row, the place of its owner among the folders counted from 1; 0 for the base."""
        places = {name: n for n, name in enumerate(self.folders, start=1)}
        return [0 if owner is None else places[owner] for owner in self.owners]


class Frozen:
    """All frozen adapters of a training, in memory.

    Attributes:
        who: which adapter each row of the batch at hand goes through, (row,); set before each forward pass.
            It stays until the next one, since checkpointed blocks are computed again in the backward pass.
    """

    who: torch.Tensor

    def __init__(self, folders: Sequence[Path]) -> None:
        import torch

        check_adapters(folders)
        given = [factors_of(folder) for folder in folders]
        rank = max((a.shape[0] for one in given for a, _ in one.values()), default=1)
        self.stacked: dict[str, tuple[Tensor, Tensor]] = {}
        for path in sorted({path for one in given for path in one}):
            a0, b0 = next(one[path] for one in given if path in one)
            a = torch.zeros(len(given) + 1, rank, a0.shape[1])
            b = torch.zeros(len(given) + 1, b0.shape[0], rank)
            for n, one in enumerate(given, start=1):
                if path in one:
                    own_a, own_b = one[path]
                    a[n, : len(own_a)], b[n, :, : len(own_a)] = own_a, own_b
            self.stacked[path] = a, b

    @contextmanager
    def on(self, wrapped: Any) -> Iterator[Frozen]:
        """Inside, every module that a frozen adapter changes adds what the row's owner adds.

        Raises:
            ConfigError: an adapter of a module that this base does not have.
        """
        modules = {_plain(path): module for path, module in wrapped.named_modules()}
        handles = []
        try:
            for path in self.stacked:
                if path not in modules:
                    raise ConfigError(
                        f"a frozen adapter changes {path}, which the base does not have; give adapters of "
                        "this base"
                    )
                handles.append(modules[path].register_forward_hook(self._hook(path)))
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, path: str) -> Any:
        def add(module: Any, given: tuple[Any, ...], out: Any) -> Any:
            x = given[0]
            a, b = self.stacked[path]
            if a.device != x.device or a.dtype != x.dtype:
                a, b = self.stacked[path] = a.to(x.device, x.dtype), b.to(x.device, x.dtype)
            who = self.who.to(x.device)
            return out + (x @ a[who].transpose(1, 2)) @ b[who].transpose(1, 2)

        return add


def _plain(path: str) -> str:
    """A module's path as an adapter's file says it; of an adapted one that of the base's own layer."""
    return path.removeprefix(PREFIX).removesuffix(".base_layer")


def factors_of(folder: Path) -> Factors:
    """The factors of a LoRA's folder, float32.

    Raises:
        AdapterError: no plain LoRA, as everywhere: another kind, or one that was made by rewriting its base.
        ConfigError: an adapter that is more than a LoRA of linear modules (embeddings, a bias, DoRA).
    """
    from safetensors.torch import load_file

    from activations import adapter_files

    config = read_json_object(Path(folder) / CONFIG, "r", "lora_alpha", remedy="train the adapter again")
    adapter_files.check(str(folder), config)
    weights = load_file(Path(folder) / WEIGHTS)
    odd = [key for key in weights if not key.endswith((".lora_A.weight", ".lora_B.weight"))]
    patterns = [key for key in ("rank_pattern", "alpha_pattern", "use_dora") if config.get(key)]
    if odd or patterns:
        raise ConfigError(
            f"{folder}: holds {(odd or patterns)[0]}; a LoRA of linear modules alone, of one rank and alpha, "
            "can stand beside another: train it so"
        )
    rank = int(config["r"])
    scaling = float(config["lora_alpha"]) / (rank**0.5 if config.get("use_rslora") else rank)
    found: Factors = {}
    for key in weights:
        if key.endswith(".lora_A.weight"):
            path = key.removesuffix(".lora_A.weight")
            b = weights[f"{path}.lora_B.weight"].float()
            found[path.removeprefix(PREFIX)] = weights[key].float(), scaling * b
    return found


def collate_owned(rows: Sequence[tuple[Encoded, int]], *, pad: int) -> dict[str, Tensor]:
    """A batch of rows with the number of each one's adapter, `owner` (row,)."""
    import torch

    batch = collate([row for row, _ in rows], pad=pad)
    return {**batch, "owner": torch.tensor([number for _, number in rows])}


def config_of(folder: Path) -> dict[str, Any]:
    """The adapter's config as it is on disk."""
    plain: dict[str, Any] = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))
    return plain
