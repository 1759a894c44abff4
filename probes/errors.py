"""The error tree of the probes floor. Every message says what was given, which rule it breaks and what to
do next.

ProbesError                     everything that a caller can get wrong here
|-- LabelError (ValueError)     a label column that is missing, constant, or not of the kind a method needs
|-- ActivationError (ValueError)  NaN, infinite, or wrongly shaped activations
|-- GroupError (ValueError)     groups that are missing, too few, or single rows throughout
|   `-- LeakageError            the same group on both sides of a split
|-- DirectionError (ValueError) a zero or non-finite vector, two sites mixed, a file that holds no direction
|-- SourceError (ValueError)    a store from another site, layer convention or width
`-- StatisticsError (ValueError)  an interval or test that the data cannot support
"""

import difflib
from collections.abc import Iterable


class ProbesError(Exception):
    """Base of everything that a caller can get wrong on this floor."""


class LabelError(ProbesError, ValueError):
    """A label column that is missing, constant, or of the wrong kind."""


class ActivationError(ProbesError, ValueError):
    """Activations that are NaN, infinite or wrongly shaped."""


class GroupError(ProbesError, ValueError):
    """Groups that are missing, too few, or single rows throughout."""


class LeakageError(GroupError):
    """A group that stands on both sides of a split."""


class DirectionError(ProbesError, ValueError):
    """A vector that is no direction, or two directions that do not belong together."""


class SourceError(ProbesError, ValueError):
    """A store that does not fit the probe: another site, layer convention or width."""


class StatisticsError(ProbesError, ValueError):
    """An interval or a test that the given data cannot support."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A half-sentence with the known names nearest to `name`, for messages."""
    known = [str(k) for k in known]
    close = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
    shown = close or known[:12]
    return ("nearest: " if close else "there are: ") + (", ".join(shown) if shown else "no columns at all")
