"""Activations: what a model computed, exactly where, and how to change it. torch loads on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from activations.adapter_constancy import constancy as constancy
    from activations.adapter_gates import adapter_profile as adapter_profile
    from activations.adapter_weights import weight_changes as weight_changes
    from activations.answering import capture_answers as capture_answers
    from activations.attribution import attribute as attribute
    from activations.differences import activation_differences as activation_differences
    from activations.edits import Edit as Edit
    from activations.edits import add as add
    from activations.edits import clamp as clamp
    from activations.edits import edit as edit
    from activations.edits import gate as gate
    from activations.edits import project_out as project_out
    from activations.edits import replace as replace
    from activations.errors import ActivationsError as ActivationsError
    from activations.jacobian import mean_jacobian as mean_jacobian
    from activations.lens import logit_lens as logit_lens
    from activations.lens import read_vector as read_vector
    from activations.loading import load as load
    from activations.loading import wrap as wrap
    from activations.locating import locate as locate
    from activations.maps import PatchMap as PatchMap
    from activations.models import Model as Model
    from activations.patching import patch_map as patch_map
    from activations.patchscope import Patchscope as Patchscope
    from activations.planning import dry_run as dry_run
    from activations.positions import Positions as Positions
    from activations.sites import Site as Site
    from activations.store import Store as Store
    from activations.streaming import capture as capture
    from activations.vectors import adapter_vectors as adapter_vectors
    from activations.vectors import train_vector as train_vector

_HOMES = {
    name: module
    for module, names in {
        "adapter_constancy": ("constancy",),
        "adapter_gates": ("adapter_profile",),
        "adapter_weights": ("weight_changes",),
        "answering": ("capture_answers",),
        "attribution": ("attribute",),
        "differences": ("activation_differences",),
        "edits": ("Edit", "add", "clamp", "edit", "gate", "project_out", "replace"),
        "errors": ("ActivationsError",),
        "jacobian": ("mean_jacobian",),
        "lens": ("logit_lens", "read_vector"),
        "loading": ("load", "wrap"),
        "locating": ("locate",),
        "maps": ("PatchMap",),
        "models": ("Model",),
        "patching": ("patch_map",),
        "patchscope": ("Patchscope",),
        "planning": ("dry_run",),
        "positions": ("Positions",),
        "sites": ("Site",),
        "store": ("Store",),
        "streaming": ("capture",),
        "vectors": ("adapter_vectors", "train_vector"),
    }.items()
    for name in names
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'activations' has no attribute {name!r}")
    value = getattr(import_module(f"activations.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
