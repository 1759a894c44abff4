"""mi-bsa: mechanistic interpretability of behavioral self-awareness.

`mi_bsa.read("runs/risk")` is a finished run: its results, verdicts, figures, adapters.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mi_bsa.report.reading import ReadRun as ReadRun
    from mi_bsa.report.reading import read as read

_HOMES = {"ReadRun": "mi_bsa.report.reading", "read": "mi_bsa.report.reading"}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mi_bsa' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
