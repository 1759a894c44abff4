"""What fine-tuning changes: does it remove a skill, or wrap it? After Jain et al. 2023 (arXiv 2311.12786)."""

from pathlib import Path

from mi_bsa.core.quantities import register_file

register_file(Path(__file__).with_name("quantities.yaml"))
