"""Figures of what links behavior and report: each a pure function from results to a matplotlib Figure."""
