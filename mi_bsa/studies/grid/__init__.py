"""Studies over points that differ along an axis: size, variety, faithfulness, personas."""

from pathlib import Path

from mi_bsa.core.quantities import register_file

register_file(Path(__file__).with_name("quantities.yaml"))
