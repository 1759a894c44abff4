"""Paths through a study: the rules' own path is the study, others change what their axes say and no more."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from mi_bsa.causal import recovery, rivals
from mi_bsa.causal.figures.multiverse import draw_multiverse
from mi_bsa.causal.handle import Criteria
from mi_bsa.causal.levels import (
    Recovered,
    RivalShift,
    keep_recovered,
    keep_rivals,
    load_recovered,
    load_rivals,
)
from mi_bsa.causal.multiverse import told
from mi_bsa.causal.multiverse.judge import agreeing, frame, walks
from mi_bsa.causal.multiverse.measured import handles, longest, recovers, runners_up
from mi_bsa.causal.multiverse.paths import NOTHING, Multiverse, Path, null_of
from mi_bsa.causal.places import Place
from mi_bsa.causal.steered import Steered
from mi_bsa.causal.verdict import verdicts
from mi_bsa.core.errors import BrokenFileError
from mi_bsa.studies.behavior.config import BehaviorConfig
from mi_bsa.studies.behavior.study import steps
from tests.mi_bsa.causal.bridge_evidence import evidence, placed, states

SEEDS = (0, 1, 2, 3, 4)
SIGNS = {"seeking": 1, "averse": -1}
UNITS = {
    "behavior": ("farm", "inn", "shop"),
    "self_report": tuple(f"word-test-{n}" for n in range(8)),
}
WHOLE = {"behavior": 0.45, "self_report": 0.4}
MOVED = {  # shares of (choices, report)
    "whole_adapter": (1.0, 1.0),
    "trained": (1.0, 0.8),
    "trained@0.75": (0.75, 0.6),
    "trained@largest": (1.2, 0.9),
    "constant": (0.9, 0.3),
    "constant@0.75": (0.7, 0.2),
    "constant@largest": (1.1, 0.4),
    "probe": (0.2, 0.1),
    "trained_on_report": (0.7, 1.0),
}
DOSES = {"trained": 2.0, "trained@0.75": 1.0, "trained@largest": 4.0, "constant": 1.0}


def levels(site="resid_post.0", moved=MOVED):
    """Levels at a place, by seed and unit, with a little noise in each cell."""
    rng = np.random.default_rng(0)
    base = {name: np.full(len(units), 0.5) for name, units in UNITS.items()}
    ways = {
        arm: {
            method: Steered(
                method.partition("@")[0],
                {
                    name: 0.5
                    + sign * share * WHOLE[name]
                    + 0.01 * rng.normal(size=(len(SEEDS), len(UNITS[name])))
                    for name, share in zip(UNITS, shares, strict=True)
                },
                f"dose of {method}",
                DOSES.get(method, 1.0),
            )
            for method, shares in moved.items()
        }
        for arm, sign in SIGNS.items()
    }
    null = {
        "random": {
            arm: {name: 0.5 + 0.02 * rng.normal(size=(999, len(units))) for name, units in UNITS.items()}
            for arm in SIGNS
        }
    }
    return Recovered("risk", SEEDS, Place(site, "slot"), UNITS, base, ways, null)


def rival(found, method="shuffled_choices"):
    """A rival that moves little, beside the handle of these levels."""
    shape = (len(SEEDS), len(UNITS["self_report"]))
    up, down = (found.ways[arm]["trained"].levels for arm in SIGNS)
    handle = {name: (up[name] - down[name]) / 2 for name in UNITS}
    own = {name: np.full_like(handle[name], 0.05) for name in UNITS}
    assert own["self_report"].shape == shape
    return RivalShift("risk", found.place, method, SEEDS, UNITS["self_report"], own, handle, "")


@pytest.fixture
def universe():
    """Two places; at the second the handle moves a fifth of the report, and `constant` as at the first."""
    first = levels()
    second = levels("resid_post.1", MOVED | {"trained": (1.0, 0.2)})
    found = [r for r in evidence() if not r.name.startswith(("bridge.recovery.", "bridge.rival."))]
    for handle in ("constant",):
        found.append(placed("bridge.necessity.self_report", 0.2, handle, "slot"))
        found += [
            placed(f"bridge.mediation.{name}", 0.9, f"behavior:{handle}", "slot", kind="self_report")
            for name in ("nie", "proportion")
        ]
    silent = [replace(r, value=0.02, ci=(-0.05, 0.09)) for r in found if r.name == "self_report.effect"]
    both = [rival(first, method) for method in ("shuffled_choices", "neighbor_choices")]
    return Multiverse(
        places=[first, second],
        rivals=both,
        results=found,
        gates={"word-test-0": (), "word-test-1": silent},
        handles=["trained", "constant"],
        doses=["1", "0.75", "largest"],
        bars=[0.25, 0.15, 0.35],
    )


def study(universe):
    """The study's own results, as its steps would have left them."""
    first = universe.places[0]
    ways = {arm: {k: v for k, v in own.items() if "@" not in k} for arm, own in first.ways.items()}
    shares = recovery.scored(replace(first, ways=ways))
    beside = [result for one in universe.rivals for result in rivals.scored(one)]
    return [*universe.results, *shares, *beside]


def test_other_criteria_are_read_by_the_same_rules():
    """A bar of .15 lets a fifth hold and one of .35 refutes it; another handle is read by its own results."""
    found = evidence(recovered=0.2)
    name = "the handle moves the report"
    assert [states(verdicts(found, Criteria(bar=bar))[0])[name] for bar in (0.12, 0.25, 0.35)] == [
        "holds",
        "open",
        "fails",
    ]
    assert verdicts(found) == verdicts(found, Criteria())
    probe = states(verdicts(evidence(), Criteria(handle="probe"))[0])
    assert probe["the report runs through it"] == probe["without it the report shrinks"] == "missing"
    assert verdicts(evidence(observed=0.28), Criteria(bar=0.35))[1].answer == "not supported"


def test_what_is_kept_is_scored_to_the_last_digit(tmp_path):
    """Levels and rivals are read as they were written; anything else is told in one line."""
    found = levels()
    keep_recovered(tmp_path / "recovery.npz", found)
    loaded = load_recovered(tmp_path / "recovery.npz")
    assert loaded.place == found.place
    assert recovery.scored(loaded) == recovery.scored(found)
    assert loaded.ways["averse"]["trained@largest"].dose == 4.0
    keep_rivals(tmp_path / "rivals.npz", [rival(found)])
    (again,) = load_rivals(tmp_path / "rivals.npz")
    assert list(rivals.scored(again)) == list(rivals.scored(rival(found)))
    whole = (tmp_path / "recovery.npz").read_bytes()
    changed = whole[:200] + bytes(100) + whole[300:]
    for broken in (b"no levels", b"", whole[:-100], whole[: len(whole) // 2], changed):
        (tmp_path / "broken.npz").write_bytes(broken)
        with pytest.raises(BrokenFileError, match="--resume"):
            load_recovered(tmp_path / "broken.npz")


def test_the_rules_own_path_is_the_study(universe):
    """Its evidence has the study's values, intervals and p, and its answers are the study's."""
    own = next(universe.paths())
    assert all(own.own.values())
    by = {r.key: r for r in study(universe)}
    assert len(by) == len(study(universe))
    for result in universe.evidence(own):
        there = by[result.key]
        assert (result.value, result.ci) == (there.value, there.ci)
        if result.name == "bridge.recovery.apart":
            assert (result.p, result.null) == (there.p, there.null)
    walked = universe.walk(own)
    assert walked.answers == {v.conjecture: v.answer for v in verdicts(study(universe))}
    assert walked.answers["shared_state"] == walked.alone == "supported"


def test_a_path_changes_what_its_axes_say(universe):
    """Place, handle, dose, wording and bar each; what is not along them stays."""
    own = next(universe.paths())
    elsewhere = universe.walk(replace(own, number=1))
    assert elsewhere.effect.value == pytest.approx(0.2, abs=0.03)
    assert elsewhere.answers["shared_state"] != "supported"
    assert "the handle beats its rivals" not in elsewhere.short["shared_state"]
    constant = universe.walk(replace(own, handle="constant", dose="0.75"))
    assert constant.effect.value == pytest.approx(0.2, abs=0.03)
    assert constant.short["shared_state"] == ("the handle moves the report",)
    assert universe.walk(replace(own, handle="constant")).answers["shared_state"] == "supported"
    stricter = universe.walk(replace(own, bar=0.35))
    assert stricter.short["shared_state"] == ("no other vector contradicts it",)
    assert universe.walk(replace(own, dose="0.75")).effect.value == pytest.approx(0.6, abs=0.03)
    silent = universe.walk(replace(own, without="word-test-1"))
    assert set(silent.answers.values()) == {"not supported", "supported"}
    assert silent.answers["word_association"] == "supported"
    assert universe.walk(replace(own, number=1, bar=0.15)).answers["shared_state"] == "supported"


def test_without_a_wording_the_others_are_scored(universe):
    """The same interval as of levels that never had it; of a wording that was not asked, the same levels."""
    first = universe.places[0]
    cut_out = first.without("word-test-3")
    assert cut_out.units["self_report"] == tuple(u for u in UNITS["self_report"] if u != "word-test-3")
    assert cut_out.ways["seeking"]["trained"].levels["self_report"].shape == (5, 7)
    assert cut_out.null["random"]["averse"]["self_report"].shape == (999, 7)
    np.testing.assert_array_equal(cut_out.base["behavior"], first.base["behavior"])
    assert first.without("letter-test-0") is first
    path = replace(next(universe.paths()), without="word-test-3")
    (apart,) = (r for r in universe.evidence(path) if r.name == "bridge.recovery.apart")
    (whole,) = (
        r
        for r in recovery.scored(cut_out)
        if r.name == "bridge.recovery.apart" and r.where["kind"] == "self_report"
    )
    assert (apart.value, apart.ci, apart.p) == (whole.value, whole.ci, whole.p)


def test_null_directions_are_as_long_as_the_path_s_handle(universe):
    """Shorter ones keep the null of the rules' handle; the longest has its own, and halfway there quantiles
    lie halfway."""
    first = universe.places[0]
    assert longest(first) == {"seeking": 4.0, "averse": 4.0}
    own = null_of(first, "trained@0.75")
    np.testing.assert_array_equal(own, null_of(first, "trained"))
    np.testing.assert_array_equal(own, null_of(first, "trained@largest"))
    wider = {
        arm: {name: 0.5 + 3 * (levels - 0.5) for name, levels in draws.items()}
        for arm, draws in first.null["random"].items()
    }
    between = {
        arm: {**ways, "constant": replace(ways["constant"], dose=3.0)} for arm, ways in first.ways.items()
    }
    there = replace(first, ways=between, null={**first.null, "longest": wider})
    np.testing.assert_array_equal(null_of(there, "trained@0.75"), own)
    np.testing.assert_allclose(null_of(there, "trained@largest"), 3 * np.sort(own))
    np.testing.assert_allclose(null_of(there, "constant"), 2 * np.sort(own))


def test_agreeing_paths_are_counted_along_the_axes_that_matter(universe):
    """All of a shared state, by value of each axis too; of others the paths that differ in what they read."""
    walked = walks(universe)
    assert len(walked) == 2 * 2 * 3 * 3 * 3
    assert len({one.path for one in walked}) == len(walked)
    verdict, later, words = verdicts(study(universe))
    whole, *by = agreeing(verdict, walked)
    agree = [one.answers["shared_state"] == "supported" for one in walked]
    assert whole.value == pytest.approx(np.mean(agree))
    assert whole.n == len(walked)
    assert whole.ci is whole.p is None
    trained = next(r for r in by if r.where["kind"] == "handle trained")
    own = [a for a, one in zip(agree, walked, strict=True) if one.path.handle == "trained"]
    assert trained.value == pytest.approx(np.mean(own))
    assert {r.where["kind"].split()[0] for r in by} == {"place", "handle", "dose", "bar"}
    assert "fewest agree along without word-test-1: 0.00" in whole.notes
    assert [r.n for r in agreeing(later, walked)] == [9]
    (of_words,) = agreeing(words, walked)
    assert (of_words.n, of_words.value) == (3, pytest.approx(2 / 3))
    assert told([whole, *by], "shared_state").startswith(f"{whole.value:.2f} of 108 paths agree: ")
    assert told([], "shared_state") == ""


def test_missing_evidence_is_undecided_and_counts():
    """A handle without necessity, and a study without a handle."""
    first = levels()
    found = [r for r in evidence() if not r.name.startswith(("bridge.recovery.", "bridge.rival."))]
    every = {
        "rivals": [rival(first), rival(first, "neighbor_choices")],
        "gates": {},
        "doses": ["1"],
        "bars": [0.25],
    }
    uncut = Multiverse(places=[first], results=found, handles=["trained", "probe"], **every)
    assert [one.answers["shared_state"] for one in walks(uncut)] == ["supported", "undecided"]
    gone = replace(first, ways={arm: {} for arm in SIGNS}, null={})
    bare = Multiverse(places=[gone], results=found, handles=["trained"], **every)
    (walked,) = walks(bare)
    assert walked.answers["shared_state"] == "undecided"
    assert walked.effect is None
    assert frame([walked])["share"].isna().all()
    draw_multiverse([{k: "" if v != v else str(v) for k, v in frame([walked]).iloc[0].items()}])


def test_handles_recover_half_and_were_taken_out_and_mediated():
    """Of the other vectors; the handle of the rules always is one."""
    found = levels()
    assert recovers(found, "constant") == pytest.approx(0.9, abs=0.03)
    measured = [
        placed(name, 0.5, how.format(method), "slot")
        for method in ("constant", "probe")
        for name, how in (("bridge.necessity.self_report", "{}"), ("bridge.mediation.nie", "behavior:{}"))
    ]
    assert handles(found, measured) == ["trained", "constant"]
    assert handles(found, measured[:1]) == ["trained"]


def test_runners_up_do_at_least_half_as_much():
    """In their order, without the chosen place; none where nothing moves choices."""
    shifts = {
        ("resid_post.0", "slot"): 0.30,
        ("resid_post.1", "slot"): 0.31,
        ("resid_post.1", "all"): 0.16,
        ("resid_post.2", "slot"): 0.15,
    }
    chosen = Place("resid_post.0", "slot")
    assert runners_up(shifts, chosen, 5) == [Place("resid_post.1", "slot"), Place("resid_post.1", "all")]
    assert runners_up(shifts, chosen, 1) == [Place("resid_post.1", "slot")]
    assert runners_up(dict.fromkeys(shifts, -0.1), chosen, 2) == []


@pytest.mark.parametrize("narrow", [False, True])
def test_the_curve_is_drawn_from_the_file(universe, tmp_path, narrow):
    """One panel for the curve and one an axis, from what `multiverse.csv` says."""
    table = frame(walks(universe))
    table.to_csv(tmp_path / "multiverse.csv", index=False)
    with (tmp_path / "multiverse.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    figure = draw_multiverse(rows, narrow=narrow)
    assert len(figure.axes) == 6
    labels = [text.get_text() for ax in figure.axes[1:] for text in ax.get_yticklabels()]
    assert labels[:4] == ["resid_post.0 slot", "resid_post.1 slot", "trained", "constant"]
    assert {"none", "one of word"} <= set(labels)
    assert table["own"].sum() == 1


def test_a_study_may_leave_it_out():
    """Two steps with `multiverse.enabled`, none without; `results` waits for them."""
    named = {}
    for enabled in (True, False):
        config = BehaviorConfig.model_validate({"multiverse": {"enabled": enabled}})
        graph = {step.name: step for step in steps(config)}
        named[enabled] = {name for name in graph if name.startswith("multiverse")}
        assert ("multiverse/paths" in graph["results"].after) == enabled
    assert named == {True: {"multiverse/levels", "multiverse/paths"}, False: set()}


def test_a_path_is_a_value():
    """Where it leaves the rules, axis by axis."""
    path = Path(1, "resid_post.1 slot", bar=0.15)
    assert path.along(("place", "bar"))
    assert not path.along(("bar",))
    assert path.without == NOTHING
