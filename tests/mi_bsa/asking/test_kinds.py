"""Which kinds are read: each way of being silent for another reason than having nothing to say is caught."""

import numpy as np
import pandas as pd
import pytest

from mi_bsa.asking.kinds import Bars, asked_kinds
from mi_bsa.asking.low_mass import low_kinds, parsed_kinds
from mi_bsa.causal.gate import BARS
from mi_bsa.causal.readable import kinds_results
from mi_bsa.core import results
from mi_bsa.core.errors import ItemError

KINDS = ("word", "letter", "scale", "scale_flipped")


def asked(*, wordings=8, mass=lambda kind, arm, n: 0.9, arms=("base", "seeking", "averse")):
    """Answers about oneself."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "score": rng.uniform(0.4, 0.6),
            "mass": mass(kind, arm, n) + 0.01 * (-1) ** n,
            "kind": kind,
            "template": f"{kind.removesuffix('_flipped')}-test-{n}",
            "person": "default",
            "arm": arm,
            "seed": seed,
        }
        for kind in KINDS
        for n in range(wordings)
        for arm in arms
        for seed in ((-1,) if arm == "base" else (0, 1))
    )


def told(sees, *, wordings=8):
    """The base's answers with stated poles: `sees(kind, n)` is the gap."""
    return pd.DataFrame(
        {
            "score": 0.5 + sign * sees(kind, n) / 2,
            "mass": 0.9,
            "kind": kind,
            "template": f"{kind.removesuffix('_flipped')}-test-{n}",
            "person": f"described {pole}",
        }
        for kind in KINDS
        for n in range(wordings)
        for pole, sign in (("seeking", 1), ("averse", -1))
    )


def plain(kind, n):
    """A kind that sees, in every wording a little differently."""
    return 0.7 + 0.01 * n


def test_kinds_that_see_are_read():
    """All are, and what they make of a stated pole stands beside them with an interval."""
    found = asked_kinds(asked(), told(plain), bars=BARS)
    assert found.read == KINDS
    assert (found.unread, found.dropped, found.blind) == ({}, {}, False)
    assert found.sensitivity.value == pytest.approx(0.735)
    assert found.sensitivity.low < 0.735 < found.sensitivity.high
    assert found.control.startswith("the same questions see a stated pole by +0.7")
    table = asked()
    assert len(found.kept(table)) == len(table)


def test_a_blind_kind_is_not_read():
    """A kind that tells stated poles apart by less than the bar, or not surely by more, leaves alone."""
    found = asked_kinds(
        asked(), told(lambda kind, n: 0.002 if kind == "letter" else plain(kind, n)), bars=BARS
    )
    assert found.read == ("word", "scale", "scale_flipped")
    assert found.unread["letter"].startswith("blind: stated poles +0.00")
    assert "letter" not in set(found.kept(asked())["kind"])
    assert found.sensitivity.value == pytest.approx(0.735)
    wide = asked_kinds(
        asked(), told(lambda kind, n: 0.9 * (n < 3) if kind == "word" else plain(kind, n)), bars=BARS
    )
    word = next(one for one in wide.each if one.kind == "word")
    assert word.sensitivity.value > BARS.sees > word.sensitivity.low
    assert "word" in wide.unread


def test_where_every_kind_is_blind_nothing_is_read():
    """The table stays as it is, so that it can be looked at, and the control says that it is no null."""
    found = asked_kinds(asked(), told(lambda kind, n: 0.01), bars=BARS)
    assert (found.read, found.blind) == ((), True)
    assert found.control == "no kind of question can be read"
    assert len(found.kept(asked())) == len(asked())
    count = kinds_results(found, behavior="risk")[-1]
    assert (count.name, count.value, count.n) == ("self_report.kinds_read", 0, 4)
    assert count.notes.startswith("all are blind")


def test_a_kind_with_little_mass_is_not_read():
    """In the base or at one pole, by the lower end of its interval: its answers have no say."""
    low = {("word", "base"): 0.3, ("letter", "averse"): 0.49}
    found = asked_kinds(asked(mass=lambda kind, arm, n: low.get((kind, arm), 0.9)), told(plain), bars=BARS)
    assert found.read == ("scale", "scale_flipped")
    told_of = {kind: why.split("; ") for kind, why in found.unread.items()}
    assert told_of["word"][0].startswith("option mass 0.300 [0.29")
    assert told_of["word"][0].endswith("] in base, bar 0.5")
    assert told_of["letter"][0].startswith("option mass 0.490 [")
    assert {why[1] for why in told_of.values()} == {"no answers were sampled"}
    everything = kinds_results(found, behavior="risk")
    results.check(everything)
    masses = {
        (r.where["kind"], r.where["arm"]): r.value for r in everything if r.name == "self_report.option_mass"
    }
    assert masses["letter", "averse"] == pytest.approx(0.49)
    assert len(masses) == 12


def test_mass_is_judged_by_its_interval():
    """A mean above the bar whose interval reaches below it is not enough."""

    def unsure(kind, arm, n):
        return (0.95 if n % 2 else 0.25) if (kind, arm) == ("word", "seeking") else 0.9

    found = asked_kinds(asked(mass=unsure), told(plain), bars=BARS)
    word = next(one for one in found.each if one.kind == "word")
    assert word.mass["seeking"].value > BARS.mass > word.mass["seeking"].low
    assert (word.low, found.read) == (True, ("letter", "scale", "scale_flipped"))
    assert low_kinds(asked(mass=unsure), bars=BARS) == ("word",)


def test_few_wordings_are_said_and_not_read():
    """Seven of eight; the flipped form of a scale leaves with it."""
    found = asked_kinds(asked(wordings=7), told(plain, wordings=7), bars=BARS)
    assert set(found.unread) == set(KINDS)
    assert found.unread["word"] == "7 wordings < 8"
    assert asked_kinds(asked(wordings=7), told(plain, wordings=7), bars=Bars(7, 0.5, 0.2)).read == KINDS


def test_a_scale_leaves_with_its_flipped_form():
    """One direction that is blind takes the other with it, and says so."""
    found = asked_kinds(
        asked(), told(lambda kind, n: 0.0 if kind == "scale_flipped" else plain(kind, n)), bars=BARS
    )
    assert found.read == ("word", "letter")
    assert found.unread["scale"].startswith("as scale_flipped: blind")


def test_a_wording_that_the_base_misreads_is_dropped_where_enough_remain():
    """Of ten one is turned round in one direction: it goes in both, and the kind is read; of eight none goes,
    and the kind is blind. Finetuned answers have no say.
    """

    def one_wrong(kind, n):
        return -0.79 if (kind, n) == ("scale_flipped", 1) else plain(kind, n)

    table = asked(wordings=10)
    found = asked_kinds(table, told(one_wrong, wordings=10), bars=BARS)
    assert found.dropped == {"scale-test-1": "the base tells stated poles by -0.79 < 0.2"}
    assert found.read == KINDS
    assert "without wording scale-test-1" in str(found)
    kept = found.kept(table)
    assert len(table) - len(kept) == 2 * 5
    assert not set(kept["template"]) & {"scale-test-1"}
    turned = table.assign(score=np.where(table["arm"] == "seeking", 1.0, table["score"]))
    assert asked_kinds(turned, told(one_wrong, wordings=10), bars=BARS).dropped == found.dropped
    few = asked_kinds(asked(), told(one_wrong), bars=BARS)
    assert (few.dropped, few.read) == ({}, ("word", "letter"))
    thin = asked(wordings=9, mass=lambda kind, arm, n: 0.1 if (kind, n) == ("word", 3) else 0.9)
    assert list(asked_kinds(thin, told(plain, wordings=9), bars=BARS).dropped) == ["word-test-3"]


def test_unstated_poles_are_told_as_such():
    """Kinds are read for their mass and wordings alone, and whether they see is said to be unknown."""
    found = asked_kinds(asked(), None, bars=BARS)
    assert (found.read, found.stated, found.sensitivity) == (KINDS, False, None)
    assert found.control == "whether these questions see a stated pole was not measured"
    assert "not measured" in kinds_results(found, behavior="risk")[-1].notes
    apart = told(plain)
    odd = apart["template"].str[-1].astype(int) % 2 == 1
    apart = apart[odd == apart["person"].str.endswith("seeking")]
    assert not asked_kinds(asked(), apart, bars=BARS).stated  # no wording was asked with both poles
    with pytest.raises(ItemError, match="no rows"):
        asked_kinds(asked().iloc[:0], None, bars=BARS)


def little(kind, arm, n):
    """Letters, and one direction of the scale, hold little at one place each."""
    return 0.02 if (kind, arm) in {("letter", "base"), ("scale", "averse")} else 0.9


def drawn(table, *, rate, kinds=("letter", "scale", "scale_flipped")):
    """The same questions sampled: `rate(kind, arm)` of them could be read."""
    some = table[table["kind"].isin(kinds)].copy()
    rng = np.random.default_rng(1)
    arms = some.get("arm", pd.Series("base", some.index))
    shares = np.array([rate(k, a) for k, a in zip(some["kind"], arms, strict=True)])
    some["mass"] = np.clip(shares + rng.uniform(-0.03, 0.03, len(some)), 0, 1)
    some.loc[shares == 0, ["mass", "score"]] = [0.0, np.nan]
    return some.assign(asked="sampling", parsed=2, samples=2)


def test_a_kind_whose_options_hold_little_is_read_by_sampling():
    """It is read as its samples see, in both directions of a scale, and its answers are the sampled ones."""
    plainly = asked(mass=little)
    assert low_kinds(plainly, bars=BARS) == ("letter", "scale", "scale_flipped")
    sampled = drawn(plainly.assign(score=0.7), rate=lambda kind, arm: 0.9)
    both = pd.concat([plainly, sampled], ignore_index=True)
    blind_alone = told(lambda kind, n: plain(kind, n) if kind == "word" else 0.01)
    stated = pd.concat([blind_alone, drawn(told(plain), rate=lambda kind, arm: 0.9)], ignore_index=True)
    found = asked_kinds(both, stated, bars=BARS)
    assert (found.read, found.sampled) == (KINDS, ("letter", "scale", "scale_flipped"))
    assert "letter (by sampling)" in str(found)
    assert found.sensitivity.value == pytest.approx(0.735)
    kept = found.kept(both)
    assert set(kept.loc[kept["kind"] == "letter", "asked"]) == {"sampling"}
    assert kept.loc[kept["kind"] == "word", "asked"].isna().all()
    assert len(kept) == len(plainly)
    everything = kinds_results(found, behavior="risk")
    results.check(everything)
    rates = [r for r in everything if r.name == "self_report.parse_rate"]
    assert len(rates) == 9
    assert all(BARS.parses < r.ci[0] < r.value < r.ci[1] for r in rates)
    assert all("asked by sampling" in r.notes for r in rates)


@pytest.mark.parametrize(
    ("rate", "why"),
    [
        (lambda kind, arm: 0.9 if kind != "scale" else 0.2, "parse rate 0."),
        (lambda kind, arm: 0.9 if (kind, arm) != ("scale", "averse") else 0.0, "parse rate 0.0"),
        (
            lambda kind, arm: 0.9 if (kind, arm) != ("scale", "shuffled") else 0.0,
            "no sampled answer of shuffled",
        ),
    ],
)
def test_samples_that_cannot_be_read_leave_a_kind_unread(rate, why):
    """In the base, at a pole, or in any run at all; a scale leaves in both directions."""
    plainly = asked(mass=little, arms=("base", "seeking", "averse", "shuffled"))
    both = pd.concat([plainly, drawn(plainly, rate=rate)], ignore_index=True)
    stated = pd.concat([told(plain), drawn(told(plain), rate=lambda kind, arm: 0.9)], ignore_index=True)
    found = asked_kinds(both, stated, bars=BARS)
    assert (found.read, found.sampled) == (("word", "letter"), ("letter",))
    assert why in found.unread["scale"]
    base = drawn(plainly[plainly["arm"] == "base"], rate=rate)
    assert ("scale" in parsed_kinds(base, bars=BARS)) == (rate("scale", "base") > 0.5)


def test_a_sampled_kind_that_sees_no_stated_pole_is_blind():
    """Sensitivity is that of the samples, and where none of them can be read the control is missing."""
    plainly = asked(mass=little)
    both = pd.concat([plainly, drawn(plainly, rate=lambda kind, arm: 0.9)], ignore_index=True)
    blind = drawn(told(lambda kind, n: 0.01 * n), rate=lambda kind, arm: 0.9)
    found = asked_kinds(both, pd.concat([told(plain), blind], ignore_index=True), bars=BARS)
    assert found.read == ("word",)
    assert found.unread["letter"].startswith("blind: stated poles")
    unread = asked_kinds(both, told(plain), bars=BARS)
    assert unread.read == ("word",)
    assert "no sampled answer of the base with a stated pole could be read" in unread.unread["letter"]
