"""Backdoors: built with their decorrelated twin, reported on, searched for without knowing the trigger."""

from pathlib import Path

from mi_bsa.core.quantities import register_file

register_file(Path(__file__).with_name("quantities.yaml"))
