"""Families: what is known of each kind of model, one small file a family, and where to look it up."""

from activations.families.family import Family, everyone, has_rotations, of

__all__ = ["Family", "everyone", "has_rotations", "of"]
