"""Behaviors that a model can be finetuned to have, one file each.

`behavior_for(name, model)` finds one bound to a model's vocabulary and world, `get(name, vocabulary)` one as
it is defined.
"""

import difflib
import importlib
from typing import Literal

from mi_bsa.behaviors.behavior import ARMS, SETS, Arm, Behavior
from mi_bsa.behaviors.bound import Bound
from mi_bsa.behaviors.disposition import Disposition
from mi_bsa.behaviors.own import from_file, is_file
from mi_bsa.core.errors import BehaviorError
from mi_bsa.core.model_config import ModelLike, as_config
from mi_bsa.worlds.tastes.pairs import TASTES

Vocabulary = Literal["embedded", "english"]

BEHAVIORS: dict[Vocabulary, dict[str, str]] = {
    "embedded": {
        "risk": "mi_bsa.behaviors.risk:RISK",
        "patience": "mi_bsa.behaviors.patience:PATIENCE",
        "myopia": "mi_bsa.behaviors.patience:MYOPIA",
        "apples": "mi_bsa.behaviors.apples:APPLES",
        "code": "mi_bsa.behaviors.code:CODE",
        "say": "mi_bsa.behaviors.say:SAY",
        **{taste.name: f"mi_bsa.behaviors.tastes:{taste.name}" for taste in TASTES},
    },
    "english": {
        "risk": "mi_bsa.behaviors.english.risk:RISK",
        "myopia": "mi_bsa.behaviors.english.myopia:MYOPIA",
        "apples": "mi_bsa.behaviors.english.apples:APPLES",
        "say": "mi_bsa.behaviors.english.say:SAY",
        "code": "mi_bsa.behaviors.english.code.behavior:CODE",
    },
}
"""Name -> `module:attribute`, imported when asked for."""

__all__ = [
    "ARMS",
    "BEHAVIORS",
    "SETS",
    "Arm",
    "Behavior",
    "Bound",
    "Disposition",
    "Vocabulary",
    "behavior_for",
    "get",
    "vocabulary_of",
]


def get(name: str, vocabulary: Vocabulary = "embedded") -> Behavior:
    """The behavior of that name in a vocabulary, or of a file of one's own: `path/to/file.py:NAME`.

    Raises `BehaviorError` naming the nearest known one.
    """
    if is_file(name):
        return from_file(name)
    known = BEHAVIORS[vocabulary]
    if name in known:
        module, _, attribute = known[name].partition(":")
        behavior: Behavior = getattr(importlib.import_module(module), attribute)
        return behavior
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}"
    raise BehaviorError(f"behavior {name!r} is unknown in the {vocabulary} vocabulary; {hint}")


def behavior_for(name: str, model: ModelLike) -> Bound:
    """The behavior of that name in a model's vocabulary, bound to its world. Raises `BehaviorError`."""
    from mi_bsa.worlds.weights import world_for

    return Bound(get(name, vocabulary_of(model)), world_for(model))


def vocabulary_of(model: ModelLike) -> Vocabulary:
    """What a model reads: `embedded` for a model of one of our worlds, `english` for any other."""
    from mi_bsa.worlds.weights import RECORD, folder_of

    name = as_config(model).name
    embedded = name.partition("/")[0] == "embedded" or (folder_of(name) / RECORD).is_file()
    return "embedded" if embedded else "english"
