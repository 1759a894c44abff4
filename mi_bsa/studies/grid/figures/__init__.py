"""Figures of the grids: each a pure function from results to a matplotlib Figure."""
