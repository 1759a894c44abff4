"""Families: what is known of each kind of model, one small file a family, and where to look it up."""

from activations.families.family import Family, everyone, of

__all__ = ["Family", "everyone", "of"]
