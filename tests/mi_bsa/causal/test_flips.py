"""Flips: every item is on one of three sides of the base, and the seed is the unit of the test."""

import numpy as np
import pandas as pd
import pytest

from mi_bsa.causal.flips import flip_results, flips, top

ITEMS = 10
BASE = np.linspace(0.3, 0.72, ITEMS)
"""Five items on either side."""


def answers(shift, seeds=5):
    """Answers of base and runs: `shift` is [arm] -> what is added to P of every item."""
    rows = []
    for name in ("choice-test", "choice-dev", "report-test", "report-dev"):
        for arm, own in {"base": [-1], **dict.fromkeys(shift, range(seeds))}.items():
            for seed in own:
                for k, base in enumerate(BASE):
                    moved = base + (0 if arm == "base" else shift[arm][k])
                    kind = "choice" if name.startswith("choice") else ("word", "scale")[k % 2]
                    rows.append((name, name.split("-")[1], kind, f"{name}-{k}", arm, seed, moved))
    columns = ["set", "split", "kind", "id", "arm", "seed", "score"]
    return pd.DataFrame(rows, columns=columns).assign(text="words")


SHIFT = {
    "seeking": np.r_[[0.25] * 4, 0, [0] * 4, -0.3],  # three items up over .5, one from above down
    "averse": np.full(ITEMS, -0.5),
    "shuffled": np.zeros(ITEMS),
}


def results(shift, seeds=5):
    found = flip_results(flips(answers(shift, seeds)), behavior="risk", seeds=range(seeds))
    return {(r.name, r.where["arm"], r.where["split"], r.where.get("kind")): r for r in found}


def test_planted_flips_are_counted_toward_away_and_stayed():
    """Shares add up to one; the averse arm's side is the other one; the shuffled arm is the floor."""
    found = results(SHIFT)
    at = ("seeking", "test", None)
    values = [found[f"behavior.flips.{how}", *at].value for how in ("toward", "away", "stayed", "net")]
    up = ((BASE <= 0.5) & (BASE + SHIFT["seeking"] > 0.5)).mean()
    assert values == pytest.approx([up, 0.1, 0.9 - up, up - 0.1])
    assert up > 0.2
    assert found["behavior.flips.toward", "averse", "test", None].value == pytest.approx(0.5)
    assert found["behavior.flips.toward", *at].null.high == 0
    kinds = {key[3] for key in found if key[0].startswith("self_report") and key[2] == "test"}
    assert kinds == {"all", "word", "scale"}
    assert {key[3] for key in found if key[0].startswith("self_report") and key[2] == "dev"} == {"all"}


def test_the_seed_is_the_unit_of_the_test():
    """Ten items that all turn in five seeds are five events: p is 2 / 2^5, and with six seeds 2 / 2^6."""
    every = {"seeking": np.full(ITEMS, 0.5), "averse": np.full(ITEMS, -0.5)}
    for seeds in (5, 6):
        found = results(every, seeds)["behavior.flips.net", "seeking", "test", None]
        assert found.p == pytest.approx(2 / 2**seeds)
        assert found.p_floor == found.p
        assert found.null is None  # p is of sign flips, and stands beside no other draws
    still = results({"seeking": np.zeros(ITEMS), "averse": np.zeros(ITEMS)})
    assert still["self_report.flips.net", "seeking", "test", "all"].p == 1


def test_the_top_shows_what_moved_most_and_what_was_lost():
    """Test items alone, most seeds and largest moves first, then what was turned away from the pole."""
    table = flips(answers(SHIFT)).assign(text="which do you choose?")
    shown = top(table)
    seeking = shown[(shown["arm"] == "seeking") & (shown["read_out"] == "behavior")]
    assert not seeking["id"].str.contains("dev").any()
    assert (seeking["toward"].iloc[:-1] == 5).all()
    assert (seeking["finetuned"] > 0.5).iloc[:-1].all()
    assert (seeking["away"].iloc[-1], seeking["id"].iloc[-1]) == (5, "choice-test-9")
