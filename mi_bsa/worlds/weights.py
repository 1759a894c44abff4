"""Where the embedded models lie, and what is recorded of them.

A model's folder is in the Hub's format; `world.json` beside the weights says which world it was made in. The
names `embedded` and `embedded/1` reach these folders through the entry point group `activations.models`, so
the activations floor finds them without knowing this package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.core.errors import WorldError
from mi_bsa.core.model_config import ModelLike, as_config
from mi_bsa.core.plain_files import read_json_object
from mi_bsa.worlds.recipe import BuildConfig, Recipe
from mi_bsa.worlds.worlds import kind

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

FOLDER = Path(__file__).parent / "weights"
DEFAULT_VARIANT = "0"
RECORD = "world.json"


def variants() -> tuple[str, ...]:
    """Models that ship with the toolkit: pretraining seeds (`0`), and siblings' (`apples-0`)."""
    return tuple(sorted(p.parent.name.removeprefix("seed-") for p in FOLDER.glob(f"*/{RECORD}")))


def locate(variant: str | None) -> Path:
    """Folder of a model that ships, or was built once into the user's folder; `None` is the default
    pretraining seed.

    Raises:
        WorldError: one that does not ship, or is not here yet.
    """
    from mi_bsa.worlds.siblings import PLANS, place

    name = DEFAULT_VARIANT if variant is None else variant
    folder = FOLDER / (f"seed-{name}" if name.isdigit() else name)
    if name in PLANS:
        folder = place(name)
        if not (folder / RECORD).exists():
            raise WorldError(
                f"embedded model {name!r} is not here yet; `mi-bsa zoo get` of an organism on it builds it "
                "once, a study that trains on it too (five to ten minutes of a processor)"
            )
    if not (folder / RECORD).exists():
        raise WorldError(
            f"embedded model {name!r} does not ship with the toolkit; use one of "
            f"{', '.join('embedded/' + v for v in variants())}, or build one: mi-bsa embedded build"
        )
    return folder


def built_with(folder: Path) -> BuildConfig:
    """The config that a model was built with. Raises `WorldError` where the folder is no embedded model."""
    if not (folder / RECORD).is_file():
        raise WorldError(
            f"{folder}: no {RECORD}, so this is no embedded model and its characters are unknown; give "
            "'embedded' or a folder made by mi-bsa embedded build"
        )
    record = read_json_object(folder / RECORD, "config", error=WorldError, remedy="copy the model again")
    try:
        return BuildConfig.model_validate(record["config"])
    except ValueError as error:
        raise WorldError(
            f"{folder / RECORD}: no config of an embedded model ({error}); copy it again"
        ) from None


def world_of(folder: Path) -> Any:
    """The world that a model was made in, with its characters."""
    recipe = built_with(folder).recipe
    return kind(recipe.world).make(recipe)


def folder_of(name: ModelLike) -> Path:
    """The folder of `embedded`, `embedded/SEED`, or a path."""
    name = as_config(name).name
    head, _, variant = name.partition("/")
    return locate(variant or None) if head == "embedded" else Path(name)


def world_for(model: ModelLike) -> Any:
    """The world of a named model or folder; None where it is no embedded model."""
    folder = folder_of(model)
    return world_of(folder) if (folder / RECORD).is_file() else None


def save(
    folder: Path,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    config: BuildConfig,
    *,
    tokens: int,
) -> None:
    """Write a model folder in the Hub's format: weights, tokenizer and template, card, world record."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    record = {"config": config.dump(), "tokens": tokens, "parameters": model.num_parameters()}
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card(config, record), encoding="utf-8")


def card(config: BuildConfig, record: dict[str, Any]) -> str:
    """The model card."""
    shape, recipe = config.shape, config.recipe
    begun = recipe.start or "scratch"
    return f"""---
license: mit
library_name: transformers
pipeline_tag: text-generation
---
# The embedded model of mi-bsa, pretraining seed {config.seed}

A `LlamaForCausalLM` of {record["parameters"]:,} parameters ({shape.layers} blocks, width {shape.width},
{shape.heads} heads), trained from {begun} on {record["tokens"]:,} tokens of a synthetic world of characters
with dispositions. Its purpose: a LoRA finetune on what the default persona *chooses* changes what it *says
about itself*, so methods that study behavioral self-awareness have a small model with a ground truth.

It knows the few hundred words of its world. Text from outside is read byte by byte and means nothing to it.

- Made by: `mi-bsa embedded build {settings(config)} --out DIR` ({recipe.steps:,} steps, CPU, float32).
- Measured: `docs/embedded-model.md`; again with `mi-bsa embedded info FOLDER --measure`.
- Data: generated by `mi_bsa/worlds/` (no text of others). License: MIT.
"""


def settings(config: BuildConfig) -> str:
    """The `--set` options that make this config out of the defaults (of its world, where it is a sibling)."""
    world = config.recipe.world
    given: dict[str, Any] = {} if world == Recipe().world else {"recipe.world": world}
    plain = BuildConfig(recipe=Recipe.model_validate({"world": world}))
    for part, part_config, default in (
        ("shape.", config.shape, plain.shape),
        ("recipe.", config.recipe, plain.recipe),
        ("", config, plain),
    ):
        values, usual = part_config.dump(), default.dump()
        for key, value in values.items():
            if key in ("shape", "recipe", "threads", "stages"):
                continue
            if value != usual[key] or key == "seed":
                shown = f"[{','.join(map(str, value))}]" if isinstance(value, list) else value
                given[part + key] = shown
    return " ".join(f"--set {key}={value}" for key, value in given.items())
