"""What fine-tuning changes: does it remove a skill, or wrap it? After Jain et al. 2023 (arXiv 2311.12786)."""
