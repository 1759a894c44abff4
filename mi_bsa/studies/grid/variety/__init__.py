"""Variety: many behaviors on one base, one row each, so that no claim rests on a behavior that was chosen."""
