"""Scores with intervals, and the validity index: each way of being fooled is caught by its own component."""

import numpy as np
import pandas as pd
import pytest

from mi_bsa.asking.bank import bank_items, load_bank
from mi_bsa.asking.scoring import by_kind, gap, gaps_by_kind, mean_score
from mi_bsa.asking.validity import THRESHOLD, assess, tails
from mi_bsa.asking.validity_laws import POPULATIONS, as_table, drawn, indices, main
from mi_bsa.core.errors import ItemError, UnreadableReportError
from probes.validity.page import BESIDE, REPORTS

ITEMS = [
    item
    for trait in ("risk", "tidiness")
    for person in ("default", "another")
    for item in bank_items(load_bank(trait), split="dev", person=person)
]


def answers(score, *, seeds=3, mass=0.97, noise=0.03, items=ITEMS):
    """Answers of two arms by a rule `score(labels, arm)`, with a little noise."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "score": score(item.labels, arm) + noise * rng.normal(),
            "mass": mass,
            "arm": arm,
            "seed": seed,
            **item.labels,
        }
        for item in items
        for arm in ("seeking", "averse")
        for seed in range(seeds)
    ]
    table = pd.DataFrame(rows)
    return table.assign(score=table["score"].clip(0, 1))


def honest(labels, arm):
    """A model that knows itself: only its own risk moves with the arm."""
    if labels["trait"] != "risk" or labels["person"] != "default":
        return 0.5
    return 0.85 if arm == "seeking" else 0.15


def test_an_honest_report_is_readable():
    """Where only the trained trait moves, in every wording, order and direction, all parts are near 1."""
    found = assess(answers(honest), trait="risk")
    assert found.readable
    assert found.index > 0.9
    assert found.low <= found.index <= found.high + 1e-9
    assert found.gap.value == pytest.approx(0.7, abs=0.02)
    assert "readable" in str(found)
    found.require("the claim")
    assert list(found.frame()["name"]) == [
        "order", "flip", "wording", "third_person", "untrained_trait", "parse"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "component"),
    [
        (lambda lab, arm: 1.0 if lab["order"] == "plain" else 0.0, "order"),
        (lambda lab, arm: _number_reader(lab, arm), "flip"),
        (lambda lab, arm: honest(lab, arm) if lab["template"].endswith(("0", "1")) else 0.5, "wording"),
        (lambda lab, arm: honest({**lab, "person": "default"}, arm), "third_person"),
        (lambda lab, arm: honest({**lab, "trait": "risk"}, arm), "untrained_trait"),
    ],
)
def test_each_way_of_being_fooled_has_its_component(rule, component):
    """Position, number line, one lucky wording, everybody, every trait: each is caught and named by the
    index.
    """
    found = assess(answers(rule), trait="risk", draws=20)
    value = {c.name: c.value for c in found.components}[component]
    assert value < THRESHOLD
    assert not found.readable
    with pytest.raises(UnreadableReportError, match="report it as unreadable"):
        found.require("the bridge")
    assert found.index <= value + 1e-9


def _number_reader(labels, arm):
    """Knows itself by words, but writes the same number whichever pole stands at 100."""
    if labels["kind"].startswith("scale"):
        number = 0.8 if arm == "seeking" else 0.3
        return number if labels["order"] == "plain" else 1 - number
    return honest(labels, arm)


def test_kinds_of_any_name_are_judged_by_their_labels():
    """A kind that no other bank has counts for order; one that comes with its flipped form, for flips."""
    renamed = {"word": "codeword", "scale": "alignment", "scale_flipped": "alignment_flipped"}
    table = answers(lambda lab, arm: 1.0 if lab["order"] == "plain" else 0.0)
    table = table[table["kind"].isin(renamed)].assign(kind=table["kind"].map(renamed))
    value = {c.name: c.value for c in assess(table, trait="risk", draws=0).components}
    assert value["order"] < 0.1
    table = answers(honest)
    table = table[table["kind"].isin(renamed)].assign(kind=table["kind"].map(renamed))
    found = assess(table, trait="risk", draws=20)
    assert not found.missing
    assert found.readable


def test_unparsed_answers_make_a_report_unreadable():
    """A parse rate below the mark, sampled or as option mass, is a component like the others."""
    assert assess(answers(honest, mass=0.2), trait="risk", draws=0).weakest.name == "parse"
    samples = pd.DataFrame({"outcome": ["parsed"] * 3 + ["other"] * 7})
    found = assess(answers(honest), trait="risk", samples=samples, draws=0)
    assert (found.index, found.weakest.name) == (0.3, "parse")


def test_what_was_not_asked_is_missing_and_not_assumed():
    """Without questions about others a component is missing, and a claim is refused until they are asked."""
    own = [item for item in ITEMS if item.labels["person"] == "default"]
    found = assess(answers(honest, items=own), trait="risk", draws=5)
    assert found.missing == ("third_person",)
    with pytest.raises(UnreadableReportError, match="ask those questions"):
        found.require("the bridge")
    with pytest.raises(ItemError, match="has"):
        assess(answers(honest, items=own), trait="greed")


def test_no_gap_is_no_valid_report():
    """Two arms that say the same have nothing to read, whatever else is in order."""
    found = assess(answers(lambda lab, arm: 0.5), trait="risk", draws=5)
    assert found.index == 0.0


def test_intervals_cover_the_truth():
    """Over simulated wordings x seeds the 95 % interval of a mean covers it 92 to 100 % of the time."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(150):
        wording, seed = rng.normal(0, 0.05, (2, 5, 1)), rng.normal(0, 0.05, (1, 1, 4))
        scores = np.clip(0.5 + wording + seed + rng.normal(0, 0.02, (2, 5, 4)), 0, 1)
        where = np.indices(scores.shape).reshape(3, -1)
        table = pd.DataFrame(
            {"score": scores.ravel(), "kind": where[0], "template": where[1], "seed": where[2]}
        )
        found = mean_score(table)
        hits += found.low <= 0.5 <= found.high
    assert 138 <= hits <= 150
    assert (found.n, found.n_wordings, found.n_seeds) == (40, 10, 4)


def test_tables_by_kind_agree_with_plain_means():
    """Every kind's row is its plain mean, `all` is the mean over kinds, and gaps are differences of means."""
    table = answers(honest)
    rows = by_kind(table).set_index(["trait", "person", "arm", "kind"])
    some = table[(table["trait"] == "risk") & (table["person"] == "default") & (table["arm"] == "seeking")]
    assert rows.loc[("risk", "default", "seeking", "word"), "score"] == pytest.approx(
        some.loc[some["kind"] == "word", "score"].mean()
    )
    kinds = some.groupby("kind")["score"].mean()
    assert rows.loc[("risk", "default", "seeking", "all"), "score"] == pytest.approx(kinds.mean())
    gaps = gaps_by_kind(table).set_index(["trait", "person", "kind"])
    both = [rows.loc[("risk", "default", arm, "letter"), "score"] for arm in ("seeking", "averse")]
    assert gaps.loc[("risk", "default", "letter"), "gap"] == pytest.approx(both[0] - both[1])
    one = gap(some.assign(arm=some["seed"].map({0: "seeking", 1: "averse", 2: "other"})))
    assert one.value == pytest.approx(0.0, abs=0.02)
    with pytest.raises(ItemError, match="no arm"):
        gap(some)


def test_one_wording_that_decides_is_named():
    """One flipped scale that is misread turns a plain report around: the index's interval holds the mark, and
    leaving that wording out is told to give what all others agree on.
    """

    def misread(labels, arm):
        score = honest(labels, arm)
        turned = labels["kind"] == "scale_flipped" and labels["template"] == "scale-dev-2"
        return 1 - score if turned else score

    found = assess(answers(misread), trait="risk", draws=60)
    assert found.state == "open"
    assert not found.readable
    assert found.low < THRESHOLD < found.high
    assert max(found.without, key=found.without.get) == "scale-dev-2"
    assert found.without["scale-dev-2"] > 0.9
    alone = {name for name in found.without if (found.without[name] > THRESHOLD) != (found.index > THRESHOLD)}
    assert set(found.decides) == alone
    assert "(scale-dev-2)" in found.leaving_one_out
    assert found.leaving_one_out in str(found)
    with pytest.raises(UnreadableReportError, match=r"which holds 0.5; ask more wordings"):
        found.require("the bridge")
    with pytest.raises(UnreadableReportError, match="assess it with draws"):
        assess(answers(honest), trait="risk", draws=0).require("the bridge")
    sure = assess(answers(honest), trait="risk", draws=20)
    assert sure.decides == ()
    assert "no wording decides alone" in sure.leaving_one_out


def test_what_only_unread_kinds_could_show_is_not_needed():
    """Without its scales a report needs no flip consistency; scales that were never asked are missing."""
    table = answers(honest)
    found = assess(table, trait="risk", unread=("scale", "scale_flipped"), draws=20)
    assert (found.missing, found.readable) == ((), True)
    assert "flip" in {c.name for c in found.components if np.isnan(c.value)}
    never = table[~table["kind"].isin(["scale", "scale_flipped"])]
    assert assess(never, trait="risk", draws=20).missing == ("flip",)
    assert assess(never, trait="risk", unread=("open",), draws=20).missing == ("flip",)
    everything = assess(table, trait="risk", unread=tuple(set(table["kind"])), draws=0)
    assert everything.index == assess(table, trait="risk", draws=0).index


def test_the_simulation_of_the_index_is_the_index():
    """Of the same answers it gives the index of `assess`, under any draw; its ends are near those of
    `assess`, and its truth is near the index of a large sample."""
    for name, population in POPULATIONS.items():
        scores = population.answers(np.random.default_rng(0), wordings=8, seeds=5)
        own = assess(as_table(scores), trait="own", draws=200)
        once = np.ones((1, 3, 3, 8)), np.ones((1, 2, 5))
        assert indices(scores, *once)[0] == pytest.approx(own.index, abs=1e-9), name
        again = indices(scores, *drawn(np.random.default_rng(1), 2000, wordings=8, seeds=5))
        # .06: the ends of 200 draws are their outermost ones, or the next
        assert np.quantile(again, tails(8, 5)) == pytest.approx((own.low, own.high), abs=0.06)
        large = population.table(np.random.default_rng(5), wordings=60, seeds=20)
        assert population.truth() == pytest.approx(assess(large, trait="own", draws=0).index, abs=0.08)


def test_the_index_under_a_draw_is_that_of_answers_written_twice():
    """A wording that is drawn twice counts as two."""
    scores = POPULATIONS["readable (gap .7)"].answers(np.random.default_rng(3), wordings=3, seeds=2)
    wordings, seeds = np.ones((1, 3, 3, 3)), np.ones((1, 2, 2))
    wordings[..., 0], wordings[..., 1] = 2, 0
    twice = scores[..., [0, 0, 2], :]
    whole = np.ones((1, 3, 3, 3))
    assert indices(scores, wordings, seeds) == pytest.approx(indices(twice, whole, seeds))


def test_the_section_of_reports_is_written_before_the_planted_models(tmp_path):
    """Twice over, and what other commands wrote stays."""
    page = tmp_path / "validity.md"
    page.write_text(f"# Page\n\n{BESIDE}\nplanted\n")
    for _ in range(2):
        assert main(["--sims", "6", "--out", str(page)]) == 0
        text = page.read_text()
        assert text.startswith("# Page\n")
        assert text.endswith(f"{BESIDE}\nplanted\n")
        assert text.count(REPORTS) == text.count("## Self-reports") == 1
        assert "`scoring.gap`" in text
