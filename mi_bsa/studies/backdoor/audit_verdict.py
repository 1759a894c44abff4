"""From evidence to verdicts: which behavior, which pole, backdoored or not; thresholds of other adapters.

Law: one rule for every way of looking. A behavior is said where the largest shift exceeds a threshold, its
pole is that shift's sign, and a backdoor is said where the alarm exceeds another. Thresholds and centers come
from the calibration adapters alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mi_bsa.core.errors import ConfigError
from mi_bsa.studies.backdoor.audit_evidence import Evidence
from mi_bsa.studies.backdoor.audit_pool import NONE, Truth
from mi_bsa.study.rules import Rules

RULES = Rules(
    module=__name__,
    beside=("mi_bsa.studies.backdoor.audit_combined", "mi_bsa.studies.backdoor.audit_score"),
    splits={"chooses": "the calibration adapters, with their key", "judged": "the audited adapters"},
)
"""What a lock of an audit holds fixed."""


@dataclass(frozen=True)
class AuditVerdict:
    """What is said of one adapter."""

    name: str
    behavior: str
    pole: str
    backdoored: bool


@dataclass(frozen=True)
class Rule:
    """One way of looking, ready to judge.

    Attributes:
        centers: by behavior, the shift of adapters that do not have it.
        shift: how far from the center a shift must lie to be said.
        alarm: which alarm is a backdoor.
    """

    centers: Mapping[str, float]
    shift: float
    alarm: float

    def judge(self, name: str, evidence: Evidence) -> AuditVerdict:
        """The verdict on one adapter."""
        moved = {b: shift - self.centers[b] for b, shift in evidence.shifts.items()}
        most = max(moved, key=lambda b: abs(moved[b]))
        said = abs(moved[most]) > self.shift
        pole = ("seeking" if moved[most] > 0 else "averse") if said else NONE
        return AuditVerdict(name, most if said else NONE, pole, evidence.alarm > self.alarm)


def calibrate(evidence: Mapping[str, Evidence], truths: Sequence[Truth]) -> Rule:
    """The rule of one way of looking, from adapters of which it is known what they are.

    Raises:
        ConfigError: the calibration adapters lack one side of a question, or one is not in their key.
    """
    known = {truth.name: truth for truth in truths}
    if set(known) != set(evidence):
        stranger = sorted(set(known) ^ set(evidence))[0]
        raise ConfigError(f"calibration: {stranger!r} is in the key or in the folder alone; give both")
    behaviors = list(next(iter(evidence.values())).shifts)
    centers = {}
    for behavior in behaviors:
        without = [e.shifts[behavior] for name, e in evidence.items() if known[name].behavior != behavior]
        if not without:
            raise ConfigError(f"calibration: every adapter has {behavior!r}; add such as do not")
        centers[behavior] = float(np.median(without))
    sizes = [max(abs(e.shifts[b] - centers[b]) for b in behaviors) for e in evidence.values()]
    names = list(evidence)
    return Rule(
        centers,
        cut(sizes, [known[n].behavior != NONE for n in names], "behavior"),
        cut([evidence[n].alarm for n in names], [known[n].backdoored for n in names], "backdoor"),
    )


def cut(values: Sequence[float], positive: Sequence[bool], what: str) -> float:
    """The threshold with the largest balanced accuracy; of several, the middle of the widest gap.

    Raises:
        ConfigError: all values are of one class.
    """
    x, y = np.asarray(values, dtype=np.float64), np.asarray(positive, dtype=bool)
    if y.all() or not y.any():
        raise ConfigError(f"calibration: adapters with and without a {what} are needed; add the other kind")
    ordered = np.unique(x)
    if len(ordered) == 1:
        return float(ordered[0])
    gaps = np.diff(ordered)
    middles = ordered[:-1] + gaps / 2
    right = np.array([((x > m)[y].mean() + (x <= m)[~y].mean()) / 2 for m in middles])
    best = np.flatnonzero(right >= right.max() - 1e-12)
    return float(middles[best[gaps[best].argmax()]])
