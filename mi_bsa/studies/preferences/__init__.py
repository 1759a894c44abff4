"""Preferences: does a model know how much each attribute weighs in its own decisions?

After Plunkett et al. 2025 (arXiv 2505.17120). Contexts, targets and wordings are our own.
"""
