"""Activations: what a model computed, exactly where, and how to change it. torch loads on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from activations.adapter_constancy import constancy as constancy
    from activations.adapter_gates import adapter_profile as adapter_profile
    from activations.attribution import attribute as attribute
    from activations.edits import Edit as Edit
    from activations.edits import add as add
    from activations.edits import clamp as clamp
    from activations.edits import edit as edit
    from activations.edits import gate as gate
    from activations.edits import project_out as project_out
    from activations.edits import replace as replace
    from activations.errors import ActivationsError as ActivationsError
    from activations.loading import load as load
    from activations.loading import wrap as wrap
    from activations.locating import locate as locate
    from activations.maps import PatchMap as PatchMap
    from activations.models import Model as Model
    from activations.patching import patch_map as patch_map
    from activations.planning import dry_run as dry_run
    from activations.positions import Positions as Positions
    from activations.sites import Site as Site
    from activations.store import Store as Store
    from activations.streaming import capture as capture
    from activations.vectors import adapter_vectors as adapter_vectors
    from activations.vectors import train_vector as train_vector

_HOMES = {
    "train_vector": "vectors",
    "constancy": "adapter_constancy",
    "attribute": "attribution",
    "adapter_vectors": "vectors",
    "adapter_profile": "adapter_gates",
    "ActivationsError": "errors",
    "Edit": "edits",
    "Model": "models",
    "PatchMap": "maps",
    "Positions": "positions",
    "Site": "sites",
    "Store": "store",
    "add": "edits",
    "capture": "streaming",
    "clamp": "edits",
    "dry_run": "planning",
    "edit": "edits",
    "gate": "edits",
    "load": "loading",
    "locate": "locating",
    "patch_map": "patching",
    "project_out": "edits",
    "replace": "edits",
    "wrap": "loading",
}

__all__ = [
    "ActivationsError",
    "Edit",
    "Model",
    "PatchMap",
    "Positions",
    "Site",
    "Store",
    "adapter_profile",
    "adapter_vectors",
    "add",
    "attribute",
    "capture",
    "clamp",
    "constancy",
    "dry_run",
    "edit",
    "gate",
    "load",
    "locate",
    "patch_map",
    "project_out",
    "replace",
    "train_vector",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'activations' has no attribute {name!r}")
    value = getattr(import_module(f"activations.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
