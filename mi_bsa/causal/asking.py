"""What every variant chooses, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.behaviors import SETS
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.items import items_of
from mi_bsa.causal.judging import judged_answers
from mi_bsa.causal.readable import DESCRIBED
from mi_bsa.core import model_config
from mi_bsa.core.variants import BASE, Variant
from mi_bsa.study.steps import Cell, Step

if TYPE_CHECKING:
    import pandas as pd

    from activations import Model

ASKED = tuple(s for s in SETS if not s.startswith(("neutral", "described")) and s != "neighbor_choice-dev")


def load(cell: Cell[BridgeConfig], *variants: str) -> Model:
    """The study's model with the named adapters; `base` is always there."""
    return load_from(cell, {v: cell.folder / "adapters" / v / "adapter" for v in variants if v != "base"})


def load_from(cell: Cell[BridgeConfig], adapters: Mapping[str, Path]) -> Model:
    """The study's model, in its dtype and on its device, with adapters by name."""
    how = cell.config.finetune
    return model_config.load(cell.config.model, adapters, dtype=how.dtype, device=how.device)


def loads(step: Step) -> Step:
    """A step, which may read how a model is loaded (`finetune.dtype` and `.device`) if it reads which."""
    how = ("finetune.dtype", "finetune.device")
    return replace(step, fields=(*step.fields, *how)) if "model" in step.fields else step


def table_path(folder: Path, variant: str) -> Path:
    """Where a variant's answers lie."""
    return folder / "asked" / f"{variant}.csv"


def ask_variant(cell: Cell[BridgeConfig], *, variant: str) -> dict[str, Any]:
    """Ask one variant every set of items, the base also where its system line states a pole; one row an item,
    with the column `set`.
    """
    import pandas as pd

    from mi_bsa.asking import ask

    model = load(cell, variant)
    sets = (*ASKED, DESCRIBED) if variant == BASE else ASKED
    frames = [ask(model, items_of(cell.folder, name), variant=variant).assign(set=name) for name in sets]
    frames += judged_answers(cell, model, variant=variant)
    table = pd.concat(frames, ignore_index=True).assign(variant=variant)
    path = table_path(cell.folder, variant)
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, index=False)
    return {"mass": float(table["mass"].mean())}


def answers(
    folder: Path, variants: tuple[str, ...], *, path: Callable[[Path, str], Path] = table_path
) -> pd.DataFrame:
    """All variants' answers (at `path`), with columns `arm` and `seed` (seed -1 for the base)."""
    import pandas as pd

    table = pd.concat([pd.read_csv(path(folder, v)) for v in variants], ignore_index=True)
    who = {name: Variant.parse(name) for name in variants}
    table["arm"] = [who[name].arm for name in table["variant"]]
    table["seed"] = [who[name].seed for name in table["variant"]]
    return table
