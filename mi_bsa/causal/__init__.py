"""What links what a model does with what it says: transfer of probes, steering, mediation, patching."""
