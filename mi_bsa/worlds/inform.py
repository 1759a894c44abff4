"""What `mi-bsa embedded info` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mi_bsa.worlds.weights import built_with, folder_of, variants, world_of
from mi_bsa.worlds.wordings import Split
from mi_bsa.worlds.worlds import kind

if TYPE_CHECKING:
    import pandas as pd


def describe(name: str) -> str:
    """A few lines about a model: shape, recipe, world, size."""
    folder = folder_of(name)
    config = built_with(folder)
    world = world_of(folder)
    weights = folder / "model.safetensors"
    shape, recipe = config.shape, config.recipe
    lines = [
        f"{name}: {folder}",
        f"  shape    {shape.layers} blocks, width {shape.width}, {shape.heads} heads, "
        f"context {shape.context}",
        f"  recipe   {recipe.steps} steps of {recipe.rows} x {recipe.row} tokens, seed {config.seed}",
        f"  world    {recipe.world}: {len(world.characters)} characters, traits {', '.join(recipe.traits)}",
        f"  weights  {weights.stat().st_size / 1e6:.2f} MB",
        f"  shipped  {', '.join('embedded/' + v for v in variants())}",
    ]
    return "\n".join(lines)


def measure(name: str, *, split: Split) -> pd.DataFrame:
    """The base's scores on held-out wordings, one row a person, trait, level and kind of question."""
    from transformers import LlamaForCausalLM

    from activations.folders import SAFE, read_tokenizer

    folder = folder_of(name)
    knows = kind(built_with(folder).recipe.world).knows
    assert knows is not None
    model = LlamaForCausalLM.from_pretrained(folder, use_safetensors=True, **SAFE).eval()
    table: pd.DataFrame = knows(model, read_tokenizer(folder), world_of(folder), split=split)
    return table


def render(table: pd.DataFrame) -> str:
    """The measured table, kinds of question across."""
    wide = table.pivot_table(
        index=["trait", "person", "level"], columns="kind", values="score", sort=False, aggfunc="mean"
    )
    return wide.round(2).to_string(na_rep="")
