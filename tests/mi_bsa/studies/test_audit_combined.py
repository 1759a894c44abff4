"""What is fitted on calibration adapters: planted poles and backdoors are told in others, none in itself."""

import numpy as np
import pytest

from mi_bsa.studies.backdoor.audit_combined import PENALTY, Weighed, by_page, by_weights, predicted, ridge
from mi_bsa.studies.backdoor.audit_evidence import LOOKS, Evidence
from mi_bsa.studies.backdoor.audit_pool import NONE, Truth
from mi_bsa.studies.backdoor.audit_score import score
from mi_bsa.studies.backdoor.audit_verdict import AuditVerdict, calibrate

BEHAVIORS = ("risk", "patience")
KINDS = ("plain", "backdoored", "decorrelated", "clean")
MODULES = ("q_proj.0", "v_proj.0")


def truths(first, count=24):
    """Adapters of four kinds, poles and behaviors, in turn; every two share their rows."""
    found = []
    for n in range(count):
        made, behavior = KINDS[n % 4], BEHAVIORS[(n // 4) % 2]
        pole = ("seeking", "averse")[(n // 8) % 2]
        has = made in ("plain", "backdoored")
        trait = (behavior, pole) if has else (NONE, NONE)
        found.append(Truth(f"{first}{n}", *trait, made == "backdoored", f"u{first}{n // 2}", made))
    return found


def weighed(known, seed):
    """Weights in which pole and backdoor are planted, in noise."""
    rng, found = np.random.default_rng(seed), {}
    for one in known:
        change = rng.normal(0, 0.2, 200)
        if one.behavior != NONE:
            change[BEHAVIORS.index(one.behavior)] += 3.0 if one.pole == "seeking" else -3.0
        energy = rng.normal(size=8)
        energy[0] += 4.0 * one.backdoored
        found[one.name] = Weighed(change / np.linalg.norm(change), energy, MODULES)
    return found


def seen(known, weights, seed):
    """All looks: report and lens hold nothing, the search finds the backdoors."""
    rng, found = np.random.default_rng(seed), {look: {} for look in LOOKS}
    for one in known:
        for look in LOOKS:
            shifts = {b: float(rng.normal(0, 0.05)) for b in BEHAVIORS}
            found[look][one.name] = Evidence(shifts, float(rng.normal(0, 0.1)))
        if one.backdoored:
            effect = 0.4 if one.pole == "seeking" else -0.4
            notes = {"behavior": one.behavior, "effect": effect}
            found["toolkit"][one.name] = Evidence(found["toolkit"][one.name].shifts, 5.0, notes)
    return {**found, "weights": weights}


def test_the_ridge_is_the_ridge():
    """Against its primal form, with an intercept; 0 where nothing is known."""
    rng = np.random.default_rng(0)
    x, y, other = rng.normal(size=(7, 3)), rng.normal(size=7), rng.normal(size=(4, 3))
    own = x - x.mean(0)
    weights = np.linalg.solve(own.T @ own + PENALTY * np.eye(3), own.T @ (y - y.mean()))
    assert np.allclose(ridge(x, y, other), (other - x.mean(0)) @ weights + y.mean())
    assert not ridge(np.zeros((0, 3)), np.zeros(0), other).any()


def test_a_known_adapter_is_judged_by_those_of_other_rows():
    """A target that stands in the unit's own rows alone is not seen in its evidence."""
    x = np.eye(6)
    y = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    own, asked = predicted(x, y, ["a", "a", "b", "b", "c", "c"], x[:1], standard=False)
    assert own[0] == pytest.approx(0.0, abs=1e-12)
    assert asked[0] > 0.3


def test_what_is_planted_is_told_in_other_adapters():
    """Weights tell poles and backdoors, the page does too; names say nothing."""
    known, asked = truths("c"), truths("t")
    first, second = by_weights(weighed(known, 0), weighed(asked, 1), known, BEHAVIORS)
    rule = calibrate(first, known)
    said = [rule.judge(name, one) for name, one in second.items()]
    right = [v.behavior == t.behavior and v.pole == t.pole for v, t in zip(said, asked, strict=True)]
    assert np.mean(right) > 0.9
    pages = by_page(seen(known, first, 2), seen(asked, second, 3), known, BEHAVIORS)
    rule = calibrate(pages[0], known)
    said = [rule.judge(name, one) for name, one in pages[1].items()]
    assert np.mean([v.backdoored == t.backdoored for v, t in zip(said, asked, strict=True)]) > 0.9
    turned = dict(reversed(list(seen(asked, second, 3)["weights"].items())))
    again = by_page(seen(known, first, 2), {**seen(asked, second, 3), "weights": turned}, known, BEHAVIORS)
    assert {n: round(e.alarm, 9) for n, e in again[1].items()} == {
        n: round(e.alarm, 9) for n, e in pages[1].items()
    }


def test_adapters_of_other_modules_say_nothing():
    """They cannot stand beside the calibration's: no shift and no alarm."""
    known, asked = truths("c"), truths("t", 4)
    other = weighed(asked, 1)
    strange = {name: Weighed(one.change, one.energy, ("q_proj.0",)) for name, one in other.items()}
    found = by_weights(weighed(known, 0), strange, known, BEHAVIORS)[1]
    assert all(one.alarm == 0 and not any(one.shifts.values()) for one in found.values())


def test_gains_are_over_kinds_of_adapter():
    """The mean over kinds is not the mean over adapters, and its interval is t over kinds."""
    known = [t for t in truths("t") if t.made != "clean"][:16]
    right = [AuditVerdict(t.name, t.behavior, t.pole, t.backdoored) for t in known]
    never = [AuditVerdict(t.name, NONE, NONE, False) for t in known]
    evidence = {t.name: Evidence(dict.fromkeys(BEHAVIORS, 0.0), float(t.backdoored)) for t in known}
    given = {"toolkit": right, "self_report": never, "probe": never, "page": right}
    found = {
        (r.name, r.where["method"], r.where.get("kind")): r
        for r in score(given, dict.fromkeys(given, evidence), known, split="test")
    }
    over = found["backdoor.audit.accuracy_over_kinds", "self_report", "backdoored"]
    assert (over.value, over.n) == (pytest.approx(2 / 3), 3)
    assert over.ci[0] < over.value < over.ci[1] <= 1
    assert found["backdoor.audit.accuracy_over_kinds", "page", "all"].ci is None
    gain = found["backdoor.audit.gain_over_kinds", "page less self_report", "backdoored"]
    assert gain.value == pytest.approx(1 / 3)
    assert ("backdoor.audit.gain", "toolkit less page", "all") not in found
