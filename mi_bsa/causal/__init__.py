"""What links what a model does with what it says: transfer of probes, steering, mediation, patching."""

from pathlib import Path

from mi_bsa.core.quantities import register_file

register_file(Path(__file__).with_name("quantities.yaml"))
