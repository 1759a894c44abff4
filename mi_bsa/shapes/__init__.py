"""Shapes of models: what a run would need, told without weights and without a network. Light to import."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mi_bsa.shapes.memory import Memory as Memory
    from mi_bsa.shapes.memory import memory_of as memory_of
    from mi_bsa.shapes.shape import Shape as Shape
    from mi_bsa.shapes.shape import shape_of as shape_of
    from mi_bsa.shapes.shape import shipped as shipped
    from mi_bsa.shapes.study import describe_model as describe_model
    from mi_bsa.shapes.study import describe_study as describe_study
    from mi_bsa.shapes.study import sized as sized
    from mi_bsa.shapes.study import untimed as untimed

_HOMES = {
    "Memory": "memory",
    "Shape": "shape",
    "describe_model": "study",
    "describe_study": "study",
    "memory_of": "memory",
    "shape_of": "shape",
    "shipped": "shape",
    "sized": "study",
    "untimed": "study",
}

__all__ = [
    "Memory",
    "Shape",
    "describe_model",
    "describe_study",
    "memory_of",
    "shape_of",
    "shipped",
    "sized",
    "untimed",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
