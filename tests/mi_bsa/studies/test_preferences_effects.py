"""What the preferences study says of its runs: who may claim a gain, and that all of it is drawn."""

from dataclasses import replace

import numpy as np
import pytest

from mi_bsa.report.section import MOST_ROWS
from mi_bsa.report.sections import assign
from mi_bsa.studies.preferences.effects import all_effects, gains
from mi_bsa.studies.preferences.estimate import draw_targets
from mi_bsa.studies.preferences.figure import draw_preferences
from mi_bsa.studies.preferences.gathered import Run
from mi_bsa.studies.preferences.page import SECTIONS
from mi_bsa.studies.preferences.training import REPORT_ARMS


def made_up(quality: dict[str, float]) -> dict:
    """Runs in which each arm's reports follow its learned weights as closely as it says."""
    runs: dict = {}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        targets = draw_targets(40, seed=f"t{seed}")
        learned = targets + 15 * rng.standard_normal(targets.shape)
        for part in ("instilled", "native"):
            for arm, r in quality.items():
                noise = 55 * rng.standard_normal(targets.shape)
                said = r * learned + np.sqrt(1 - r**2) * noise
                runs.setdefault((arm, part), {})[seed] = Run(
                    learned=learned,
                    reported=said,
                    reports=said[:, None],
                    targets=targets if part == "instilled" else None,
                    agreement=np.full(40, 0.9) if part == "instilled" and arm != "base" else None,
                    parsed=390,
                    asked=400,
                    outcomes={"parsed": 390, "not JSON": 10},
                )
    return runs


@pytest.mark.parametrize(
    ("control", "quality_of_it", "counted"),
    [("other_model", 0.3, True), ("other_model", 0.8, False), ("format", 0.8, False)],
)
def test_a_gain_counts_only_beyond_every_control(control, quality_of_it, counted):
    """Where another model's weights or other true reports help as much, nothing is claimed."""
    quality = dict.fromkeys(("base", "instilled", "first_half", *REPORT_ARMS), 0.3)
    found = all_effects(
        made_up(quality | {"introspection": 0.8, control: quality_of_it}), choices=50, draws=100
    )
    claim = next(r for r in found if r.name == "preferences.gain.claim" and r.where["kind"] == "instilled")
    assert claim.notes.startswith("counted") == counted
    assert (claim.ci[0] > 0) == counted
    rates = [r for r in found if r.name == "preferences.parse_rate"]
    assert len(rates) == 2 * len(quality)
    assert all("10 not JSON" in r.notes or "30 not JSON" in r.notes for r in rates)
    named = [r for r in found if r.name == "preferences.report.r"]
    assert all(r.null is not None and r.ci is not None for r in named)
    after = [r.where["kind"] for r in found if r.name == "preferences.choices_after.r"]
    assert (after.count("instilled"), after.count("native")) == (4, 6)


def test_reading_more_reports_is_no_gain():
    """Where only more of equally good reports are read, nothing is gained on pairs that both report."""
    quality = dict.fromkeys(("base", "instilled", "first_half", *REPORT_ARMS), 0.3)
    runs = made_up(quality)
    rng = np.random.default_rng(5)
    for arm, part in runs:
        for seed, run in runs[arm, part].items():
            kept = 10 if arm == "introspection" else 1
            each = run.learned[:, None] + 150 * rng.standard_normal((40, 10, 5))
            each[:, kept:] = np.nan
            runs[arm, part][seed] = replace(run, reports=each, reported=np.nanmean(each, axis=1))
    gained = {r.name: r for r in gains(runs, "instilled", draws=200)}
    assert all(gained[f"preferences.gain.{n}"].ci[0] > 0 for n in ("over_instilled", "over_shuffled"))
    assert gained["preferences.gain.over_instilled_same_pairs"].ci[0] < 0
    assert gained["preferences.gain.claim"].notes.startswith("not counted")


def test_every_arm_and_every_gain_is_drawn():
    """Both kinds of contexts have a panel with a row an arm; no number of the study is left for the last
    section, whose figure is cut off.
    """
    quality = dict.fromkeys(("base", "instilled", "first_half", *REPORT_ARMS), 0.3)
    found = all_effects(made_up(quality), choices=20, draws=100)
    assigned = {section.slug: own for section, own in assign(found, SECTIONS).items()}
    assert set(assigned) == {"preferences", "preferences_gain", "preferences_shares"}
    assert sum(r.name.startswith("preferences.gain.") for r in assigned["preferences_gain"]) == 11
    assert all(len(own) <= MOST_ROWS for slug, own in assigned.items() if slug != "preferences")
    for narrow in (False, True):
        axes = draw_preferences(assigned["preferences"], narrow=narrow).axes
        assert [ax.get_title("left") for ax in axes] == ["instilled contexts", "native contexts"]
    wide = draw_preferences(assigned["preferences"]).axes[0]
    assert [label.get_text() for label in wide.get_yticklabels()] == [
        arm.replace("_", " ") for arm in quality
    ]
