"""An adapter's folder, read as data: its configuration and the names and shapes of its weights.

The law: what PEFT could do with a folder and this package cannot mean is named before anything is built.
A LoRA that leaves the base alone is taken (plain or rank-stabilized, with patterns of ranks and alphas, on
blocks, embeddings and the output layer, with a bias on B); whatever rewrites the base, adds weights that
switching the adapter off would not take away, or computes something else than scaling * B A x is refused.
Pickled weights are never opened, and sizes are those of the file's header, whatever the configuration says.
"""

import json
import math
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from activations.errors import AdapterError, AdapterWarning, first_line

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
LARGEST_CONFIG = 2**20
"""Bytes. A list of every module of a 126-block model, with a rank for each, takes 130 kB."""

PLAIN_INITS = ("true", "false", "gaussian", "eva", "orthogonal", "mica")
"""Values of `init_lora_weights` that touch no weight of the base, in lower case."""

MERGED = (
    "merge it on its base with PEFT (merge_and_unload), save that as a model and load the merged folder, "
    "or train a plain LoRA"
)
REFUSED: Mapping[str, str] = {
    "use_dora": "DoRA (use_dora), which scales the base's own weights",
    "modules_to_save": "modules_to_save, whole modules in the place of the base's",
    "trainable_token_indices": "trainable_token_indices, rows in the place of the base's embeddings",
    "target_parameters": "target_parameters, a LoRA of bare parameters, which has no module to be read at",
    "layer_replication": "layer_replication, which makes another base of the blocks",
    "alora_invocation_tokens": "aLoRA (alora_invocation_tokens), which is at work on some tokens only",
    "megatron_config": "megatron_config, made for Megatron's parallel layers",
    "use_qalora": "QALoRA (use_qalora), which pools its inputs",
    "arrow_config": "Arrow (arrow_config), which routes between adapters",
    "kasa_config": "KaSA (kasa_config)",
    "monteclora_config": "MonteCLoRA (monteclora_config), which samples",
    "velora_config": "VeLoRA (velora_config)",
    "use_bdlora": "block-diagonal LoRA (use_bdlora)",
}
"""Fields of PEFT's `LoraConfig` that, when set, are something else than a plain LoRA."""

_FACTOR = re.compile(r"(?P<path>.+)\.lora_(?P<kind>A\.weight|B\.weight|B\.bias|embedding_A|embedding_B)")
_EMBEDDINGS = re.compile(r"(?P<path>(?:.+\.)?(?:embed_tokens|lm_head))(?:\.base_layer)?\.weight")
"""Copies of the base's embeddings: PEFT's own two names (`EMBEDDING_LAYER_NAMES`), whatever the family."""


@dataclass(frozen=True)
class AdapterFile:
    """What an adapter's folder says of itself.

    Attributes:
        name: under which it is loaded.
        path: the folder.
        config: `adapter_config.json`.
        factors: the shape of each factor by (module's path, kind); kinds are `A.weight`, `B.weight`,
            `B.bias`, `embedding_A` and `embedding_B`.
        keys: the file's key of each factor.
        embeddings: copies of the base's own embeddings that PEFT puts beside the factors, path to key.
        unknown: keys of the file that are none of these.
    """

    name: str
    path: Path
    config: Mapping[str, Any] = field(repr=False)
    factors: Mapping[tuple[str, str], tuple[int, ...]] = field(repr=False)
    keys: Mapping[tuple[str, str], str] = field(repr=False)
    embeddings: Mapping[str, str] = field(repr=False)
    unknown: tuple[str, ...] = ()

    @property
    def weights(self) -> Path:
        """The file of its weights."""
        return self.path / WEIGHTS

    @property
    def base(self) -> str | None:
        """The base that its configuration names."""
        given = self.config.get("base_model_name_or_path")
        return given if isinstance(given, str) and given.strip() else None

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that its weights are for, from the causal language model."""
        return tuple(dict.fromkeys(path for path, _ in self.factors))


def read(name: str, path: str | os.PathLike[str]) -> AdapterFile:
    """Read an adapter's folder and refuse what is not a LoRA that leaves the base alone.

    Raises:
        AdapterError: no adapter there, files that cannot be read, or a kind that is not supported.
    """
    path = Path(path)
    if name == "base" or not name.replace("_", "").replace("-", "").isalnum():
        raise AdapterError(
            f"adapter name {name!r}: use letters, digits, '-' and '_', and not 'base', which is the model "
            "without adapter"
        )
    if not path.is_dir():
        raise AdapterError(
            f"adapter {name!r}: folder {str(path)!r} does not exist; give the folder that PEFT saved"
        )
    if not (path / CONFIG).is_file() or not (path / WEIGHTS).is_file():
        pickled = sorted(item.name for pattern in ("*.bin", "*.pt", "*.pth") for item in path.glob(pattern))
        if (path / CONFIG).is_file() and pickled:
            raise AdapterError(
                f"adapter {name!r}: {str(path)!r} has pickled weights only ({pickled[0]}), which can run "
                "code when they are opened; load it with PEFT where you trust it and save it again with "
                "save_pretrained, which writes safetensors"
            )
        raise AdapterError(
            f"adapter {name!r}: {str(path)!r} lacks {CONFIG} or {WEIGHTS}; save it with save_pretrained"
        )
    config = _config(name, path / CONFIG)
    check(name, config)
    factors: dict[tuple[str, str], tuple[int, ...]] = {}
    keys: dict[tuple[str, str], str] = {}
    embeddings, unknown = {}, []
    for key, shape in shapes_of(path / WEIGHTS, f"adapter {name!r}").items():
        bare = key.removeprefix("base_model.model.")
        if found := _FACTOR.fullmatch(bare):
            place = found["path"], found["kind"]
            factors[place], keys[place] = shape, key
        elif found := _EMBEDDINGS.fullmatch(bare):
            embeddings[found["path"]] = key
        else:
            unknown.append(bare)
    if any(key.endswith(".bias") for key in unknown):
        refuse_biases(name, config)
    return AdapterFile(name, path, config, factors, keys, embeddings, tuple(unknown))


def shapes_of(path: Path, what: str) -> dict[str, tuple[int, ...]]:
    """The shapes in a safetensors file by key; only its header is read.

    Raises:
        AdapterError: a file that is cut off or is none.
    """
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors raises its own untyped error for a cut-off file
        raise AdapterError(
            f"{what}: {str(path)!r} cannot be read ({first_line(error, 200)}); copy it again"
        ) from None


def check(name: str, config: Mapping[str, Any]) -> None:
    """Refuse a PEFT configuration that is something else than a LoRA which leaves the base alone.

    Raises:
        AdapterError: it says what, and what to do.
    """
    kind = str(config.get("peft_type")).rsplit(".", 1)[-1].upper()
    if kind != "LORA":
        raise AdapterError(
            f"adapter {name!r} is of PEFT's kind {kind}; LoRA is what is supported: convert it with "
            f"peft.save_as_lora where PEFT can, or {MERGED}"
        )
    for key, what in REFUSED.items():
        if config.get(key):
            raise AdapterError(f"adapter {name!r} uses {what}; that is not supported: {MERGED}")
    init = str(config.get("init_lora_weights", True)).lower()
    if init not in PLAIN_INITS:
        raise AdapterError(
            f"adapter {name!r} was made with init_lora_weights={init!r}, which rewrites the base: on the "
            "base itself it is another adapter; save it again with save_pretrained(folder, "
            "path_initial_model_for_weight_conversion=...), which makes a plain LoRA of it, or save the "
            "rewritten base and load the adapter on that with init_lora_weights true"
        )
    rank, alpha = config.get("r", 8), config.get("lora_alpha", 8)
    ranks = {"r": rank, **_pattern(name, config, "rank_pattern")}
    alphas = {"lora_alpha": alpha, **_pattern(name, config, "alpha_pattern")}
    for key, value in ranks.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise AdapterError(
                f"adapter {name!r}: rank {value!r} of {key!r} is no whole number above 0; {_MEND}"
            )
    for key, value in alphas.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise AdapterError(f"adapter {name!r}: alpha {value!r} of {key!r} is no finite number; {_MEND}")


def refuse_biases(name: str, config: Mapping[str, Any]) -> None:
    """Refuse an adapter whose configuration trains biases of the base, on a base that has some.

    Raises:
        AdapterError: `bias` is `all` or `lora_only`.
    """
    bias = config.get("bias") or "none"
    if bias != "none":
        raise AdapterError(
            f"adapter {name!r} trains the base's own biases (bias={bias!r}), which stay when it is switched "
            f"off; that is not supported: {MERGED}"
        )


_MEND = f"mend {CONFIG}, or save the adapter again"


def _pattern(name: str, config: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = config.get(key) or {}
    if not isinstance(found, Mapping):
        raise AdapterError(f"adapter {name!r}: {key} is no mapping of modules; {_MEND}")
    return dict(found)


def _config(name: str, path: Path) -> dict[str, Any]:
    """`adapter_config.json` as it is written; a field that this PEFT does not know is warned of."""
    from peft import LoraConfig

    if path.stat().st_size > LARGEST_CONFIG:
        raise AdapterError(
            f"adapter {name!r}: {CONFIG} has {path.stat().st_size:,} bytes, more than {LARGEST_CONFIG:,}; "
            "name modules by their last part or by one pattern"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise AdapterError(
            f"adapter {name!r}: {str(path)!r} is not readable JSON ({first_line(error, 200)}); copy it again"
        ) from None
    if not isinstance(config, dict) or "peft_type" not in config:
        raise AdapterError(
            f"adapter {name!r}: {str(path)!r} names no peft_type; give the folder that PEFT saved"
        )
    for key in (
        "target_modules",
        "exclude_modules",
        "modules_to_save",
        "layers_pattern",
        "target_parameters",
    ):
        value = config.get(key)
        listed = value is None or isinstance(value, str)
        if not listed and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            raise AdapterError(f"adapter {name!r}: {key} is neither a name nor a list of names; {_MEND}")
    known = set(LoraConfig.__dataclass_fields__)
    if str(config["peft_type"]).upper().endswith("LORA"):
        new = sorted(key for key, value in config.items() if value and key not in known)
        if new:
            warnings.warn(
                f"adapter {name!r}: {CONFIG} sets {', '.join(new[:5])}, which this PEFT does not know; "
                "update peft if it matters",
                AdapterWarning,
                stacklevel=2,
            )
    return config
