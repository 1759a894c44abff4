"""Size: one behavior on bases that differ in how many parameters they have and in nothing else."""
