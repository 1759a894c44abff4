"""Figures of the bridge draw what they are given, wide and narrow, also where only some of it is there."""

import pytest
from matplotlib.collections import PathCollection

from mi_bsa.core.results import Null, Result
from mi_bsa.report import figures
from mi_bsa.report.figures.rows import Series, draw_rows
from mi_bsa.report.sections import assign, figure_of
from mi_bsa.studies.behavior.page import SECTIONS

SEEDS = (0, 1, 2)
NULL = Null("random directions", 50, 0.05, -0.1, 0.2)


def result(name: str, value: float, *, null: Null | None = None, unit: str = "share", **where) -> Result:
    """A result over three seeds."""
    return Result(
        name=name,
        where={"behavior": "risk", "split": "test", **where},
        value=value,
        ci=(value - 0.9, value + 0.2),
        ci_method="t over seeds",
        n=3,
        unit=unit,
        null=null,
        per_seed=(value,) * 3,
        seeds=SEEDS,
    )


def some() -> list[Result]:
    """One of everything that the bridge's sections draw."""
    found = []
    for arm in ("seeking", "averse"):
        for method in ("whole_adapter", "trained", "random"):
            for name in ("behavior", "self_report"):
                found.append(result(f"bridge.recovery.{name}", 0.8, null=NULL, arm=arm, method=method))
        for name in ("c_mean", "c_rank1", "cosine"):
            found.append(result(f"bridge.constancy.{name}", 0.4, arm=arm, site="lora_out.q_proj", layer=0))
    for name in ("behavior", "self_report", "neighbor_behavior"):
        for position in ("slot", "everywhere"):
            found.append(
                result(f"bridge.necessity.{name}", 0.3, null=NULL, method="leace", position=position)
            )
    for kind in ("behavior", "self_report"):
        found.append(result("bridge.mediation.te", 0.6, kind=kind))
        for name in ("nde", "nie", "proportion"):
            found.append(result(f"bridge.mediation.{name}", 0.5, kind=kind, method="behavior:trained"))
        for layer in (0, 1):
            found.append(
                result("bridge.attribution.shapley", -0.2, site="lora_out.q_proj", layer=layer, kind=kind)
            )
        found += [
            result(f"bridge.attribution.{name}", 1.0, kind=kind) for name in ("write_depth", "read_depth")
        ]
    for name in ("cosine", "functional"):
        found.append(result(f"bridge.geometry.{name}", 0.9, kind="kinds", method="trained / probe"))
    for k, kind in enumerate(("behavior", "separability", "self_report")):
        for step in (1, 8, 64):
            at = {"variant": f"step-{step:06d}", "kind": kind}
            found.append(result("bridge.emergence.curve", step / 64, null=NULL, **at))
        found.append(result("bridge.emergence.onset", 4.0 + k, kind=kind))
    for k, method in enumerate(("logistic", "logistic, platt")):
        for at in (0.1, 0.8):
            null = Null("a calibrated probe", 99, at, at - 0.1, at + 0.1)
            where = {"method": method, "kind": "self_report", "variant": f"bin-{int(10 * at):02d}"}
            found.append(result("bridge.calibration.observed", 0.4 + k / 4, null=null, **where))
    found.append(result("bridge.emergence.lag", 0.5, kind="self_report-behavior"))
    return found


@pytest.mark.parametrize("narrow", [False, True])
def test_every_section_of_the_bridge_has_its_own_figure(narrow):
    """Each section draws its results; a study that has only a part of them still gets its figure."""
    assigned = {section.slug: (section, items) for section, items in assign(some(), SECTIONS).items()}
    names = {
        "recovery",
        "necessity",
        "mediation",
        "attribution",
        "constancy",
        "geometry",
        "emergence",
        "calibration",
    }
    assert names == set(assigned)
    for section, items in assigned.values():
        assert section.draw is not figures.draw_forest
        assert figure_of(section, items, narrow=narrow) is not None
        assert figure_of(section, items[:1], narrow=narrow) is not None


def test_shares_that_could_not_be_had_are_drawn_as_shifts():
    """Where no denominator allows a share, the section shows the shifts that stand in its place."""
    section = next(section for section in SECTIONS if section.slug == "recovery")
    items = [result("bridge.recovery.behavior_shift", 0.01, arm="seeking", method="trained")]
    assert figure_of(section, items, narrow=False) is not None


def test_a_later_onset_is_drawn_later():
    """Onsets stand at their step, half as high as their curve ends; a lag leans to the side that is later."""
    section = next(section for section in SECTIONS if section.slug == "emergence")
    figure = figure_of(section, assign(some(), SECTIONS)[section], narrow=False)
    assert figure is not None
    curves, lags = figure.axes
    marks = [tuple(c.get_offsets()[0]) for c in curves.collections if isinstance(c, PathCollection)]
    assert marks == [(2.0 ** (4 + k), 0.5) for k in range(3)]
    assert lags.collections[-1].get_offsets()[0][0] == 0.5


def test_verdicts_stand_in_words_and_are_not_drawn():
    """Their numbers, 1, 0 and -1, have a table and no figure."""
    items = [result("bridge.verdict.shared_state", 1.0)]
    ((section, found),) = assign(items, SECTIONS).items()
    assert figure_of(section, found, narrow=False) is None


def test_what_leaves_the_panel_ends_in_an_arrowhead():
    """An interval beyond the limits is cut at the edge and marked; a value beyond it has no dot."""
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    far = result("bridge.recovery.behavior", 3.0, arm="seeking", method="trained")
    draw_rows(ax, ["a"], [Series("x", "#000000", {"a": far})], limits=(0.0, 1.0), narrow=False)
    assert len(ax.collections) == 2  # both ends of the interval, no dot
    assert ax.get_xlim() == (0.0, 1.0)


@pytest.mark.parametrize("narrow", [True, False])
def test_rivals_and_flips_are_said_in_words(narrow):
    """Rows name what moved and what it is held against, not quantities and arms by their inner names."""
    rivals = [
        result(f"bridge.rival.{name}", 0.1, method=method)
        for name in ("self_report", "behavior")
        for method in ("shuffled_choices", "neighbor_choices")
    ]
    net = [
        result(f"{name}.flips.net", 0.4, arm=arm, kind=kind)
        for name in ("behavior", "self_report")
        for arm in ("seeking", "averse")
        for kind in ("all", "yes_no")
    ]
    for given, wanted in (
        (rivals, "report, handle less a vector of the neighbor's choices"),
        (net, "reports, averse arm, yes or no"),
    ):
        section, found = next(iter(assign(given, SECTIONS).items()))
        drawn = figure_of(section, found, narrow=narrow)
        ax = drawn.axes[0]
        said = [text.get_text() for text in (ax.texts if narrow else ax.get_yticklabels())]
        assert len(said) == len(given)
        assert wanted in said
        assert not any("_" in text or "flips" in text or "rival" in text for text in said)
