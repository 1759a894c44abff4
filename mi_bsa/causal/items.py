"""Every prompt that it asks, written down before any model answers.

Law: development items choose (layer, strength), test items report; a file name says which it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mi_bsa import behaviors
from mi_bsa.behaviors import SETS
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.core.items import Item, read_items, write_items
from mi_bsa.study.steps import Cell


def path_of(folder: Path, name: str) -> Path:
    """Where the items of a set lie."""
    return folder / "items" / f"{name}.jsonl"


def items_of(folder: Path, name: str) -> list[Item]:
    """The items of a set."""
    return read_items(path_of(folder, name))


def write_all(cell: Cell[BridgeConfig]) -> dict[str, Any]:
    """Draw every set of items of the study."""
    config = cell.config
    behavior = behaviors.behavior_for(config.behavior, config.model)
    sets = behavior.study_sets(choices=config.data.choices, others=config.data.others)
    assert set(sets) == set(SETS)
    for name, items in sets.items():
        write_items(items, path_of(cell.folder, name))
    return {name: len(items) for name, items in sets.items()}
