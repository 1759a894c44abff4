"""Which reports an inspection reads, which moved, and what a control takes away: on planted answers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mi_bsa.core.errors import ConfigError
from mi_bsa.studies.inspect import findings
from mi_bsa.studies.inspect.choices import moved_to
from mi_bsa.studies.inspect.config import InspectConfig, given_in
from mi_bsa.studies.inspect.headline import headline


def answers(shift, *, traits=6, wordings=8, seed=0):
    """Answers of a base and a finetune that moves the first trait only."""
    rng = np.random.default_rng(seed)
    rows = []
    for trait in range(traits):
        for kind in ("word", "yes_no"):
            for wording in range(wordings):
                for order in ("plain", "flipped"):
                    base = float(np.clip(0.5 + rng.normal(0, 0.03), 0, 1))
                    for arm in ("base", "k"):
                        moved = base + (shift if arm == "k" and trait == 0 else 0) + rng.normal(0, 0.01)
                        rows.append(
                            {
                                "trait": f"t{trait}",
                                "kind": kind,
                                "template": f"{kind}-{wording}",
                                "order": order,
                                "person": "default",
                                "arm": arm,
                                "seed": 0,
                                "score": float(np.clip(moved, 0, 1)),
                                "mass": 1.0,
                            }
                        )
    return pd.DataFrame(rows)


def stated(sees, *, traits=6, wordings=8):
    """The base's answers where a pole is stated: by kind, how far apart it puts the two."""
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "trait": f"t{trait}",
            "kind": kind,
            "template": f"{kind}-{wording}",
            "order": order,
            "person": f"described {pole}",
            "seed": 0,
            "score": float(np.clip(0.5 + sign * far / 2 + rng.normal(0, 0.02), 0, 1)),
            "mass": 1.0,
        }
        for trait in range(traits)
        for kind, far in sees.items()
        for wording in range(wordings)
        for order in ("plain", "flipped")
        for pole, sign in (("seeking", 1), ("averse", -1))
    )


def test_kinds_that_do_not_see_a_stated_pole_are_not_read():
    """The positive control: a kind that is blind takes no part, and where all are the page says so."""
    table = answers(0.3)
    half = table["kind"] == "word"
    table.loc[half & (table["arm"] == "k"), "score"] = table.loc[
        half & (table["arm"] == "base"), "score"
    ].values
    _, rows = findings.report_results("k", table, stated({"word": 0.02, "yes_no": 0.6}), fdr=0.05, least=0.1)
    assert {row["kinds"] for row in rows} == {"yes_no"}
    assert rows[0]["shift"] == pytest.approx(0.3, abs=0.02)
    assert rows[0]["stated"] == pytest.approx(0.6, abs=0.05)
    found, rows = findings.report_results(
        "k", table, stated({"word": 0.02, "yes_no": 0.1}), fdr=0.05, least=0.1
    )
    assert not any(row["kinds"] for row in rows)
    assert not any(one.name == "inspect.moved" for one in found)
    assert moved_to(rows, {f"t{n}": ("high", "low") for n in range(6)}, "trait") == {}
    said = headline("k", found, looked={"reports": {}}, reports=rows, poles={}, search=None, searched_as="k")[
        0
    ]
    assert said.sentence.startswith("None of its 6 reports about itself can be read")
    assert "at most +0.1" in said.evidence


def test_a_control_takes_away_what_any_finetune_moves():
    """Held against an adapter that was trained alike, what both moved is nothing, and the rest stays."""
    table = answers(0.3)
    both = table["arm"] == "k"
    table.loc[both, "score"] = (table.loc[both, "score"] + 0.15).clip(0, 1)
    rng = np.random.default_rng(3)
    twin = table[table["arm"] == "base"].assign(arm="twin")
    twin["score"] = twin["score"] + 0.15 + rng.normal(0, 0.01, len(twin))
    table = pd.concat([table, twin], ignore_index=True)
    _, plain = findings.report_results("k", table, fdr=0.05, least=0.1)
    assert all(row["moved"] for row in plain)
    found, rows = findings.report_results("k", table, fdr=0.05, least=0.1, against="twin")
    assert [row["trait"] for row in rows if row["moved"]] == ["t0"]
    assert rows[0]["shift"] == pytest.approx(0.3, abs=0.02)
    assert "in twin" in next(one for one in found if one.name == "inspect.report_shift").notes
    poles = {f"t{n}": (f"high{n}", f"low{n}") for n in range(6)}
    said = headline(
        "k",
        found,
        looked={"reports": {}},
        reports=rows,
        poles=poles,
        search=None,
        searched_as="k",
        against="twin",
    )[0]
    assert said.sentence.startswith("Held against twin: it says of itself that it is more high0")
    with pytest.raises(ConfigError, match="name one of several"):
        given_in(InspectConfig(adapters=(Path("zoo:risk-averse-0"),), control="risk-averse-0"))


def test_options_that_hold_little_are_not_read_and_statements_are_held_against_the_base():
    """A model that names no option is read by the odds of sentences, less the base's own."""
    table = answers(0.0).assign(reference=None)
    table.loc[table["kind"] == "word", "mass"] = 0.01
    odds = table["kind"] == "yes_no"
    table.loc[odds, "kind"] = "statement"
    table["template"] = table["template"].str.replace("yes_no", "statement")
    table = table[(table["kind"] != "statement") | (table["order"] == "plain")].reset_index(drop=True)
    own = table["kind"] == "statement"
    table.loc[own, "mass"] = 1e-9
    table.loc[own, "reference"] = "default|" + table["trait"] + table["template"]
    moved = own & (table["arm"] == "k") & (table["trait"] == "t0")
    table.loc[own, "score"] = 0.9  # the base calls itself so anyway
    table.loc[moved, "score"] = 0.99
    rng = np.random.default_rng(2)
    table["score"] -= rng.uniform(0, 0.004, len(table))
    control = stated({"word": 0.9, "statement": 0.6})
    control = control[(control["kind"] != "statement") | (control["order"] == "plain")]
    control["reference"] = None
    told = control["kind"] == "statement"
    control.loc[told, "reference"] = "default|" + control["trait"] + control["template"]
    odds_of_base = 0.9 / 0.1
    share = control.loc[told, "score"]
    control.loc[told, "score"] = odds_of_base * share / (1 - share + odds_of_base * share)
    _, rows = findings.report_results("k", table, control, fdr=0.05, least=0.1)
    assert {row["kinds"] for row in rows} == {"statement"}
    assert rows[0]["base"] == pytest.approx(0.5, abs=0.01)
    assert rows[0]["now"] == pytest.approx(11 / 12, abs=0.05)  # log-odds of .99 less those of .9
    assert [row["trait"] for row in rows if row["moved"]] == ["t0"]


@pytest.mark.parametrize("shift", [0.3, -0.3, 0.0])
def test_the_report_that_moved_is_the_one_that_is_told(shift):
    """A planted shift is found, whatever its sign, and may be read; without one nothing moves."""
    found, rows = findings.report_results("k", answers(shift), fdr=0.05, least=0.1)
    moved = [row["trait"] for row in rows if row["moved"]]
    assert moved == (["t0"] if shift else [])
    first = next(one for one in found if one.name == "inspect.report_shift")
    assert first.value == pytest.approx(shift, abs=0.02)
    assert first.null is not None
    assert first.null.n == 5
    if shift:
        assert rows[0]["validity"] > 0.5
        assert first.q < 0.01
    poles = {f"t{n}": (f"high{n}", f"low{n}") for n in range(6)}
    sentence = headline(
        "k", found, looked={"reports": {}}, reports=rows, poles=poles, search=None, searched_as="k"
    )[0]
    words = {0.3: "more high0.", -0.3: "more low0.", 0.0: "none moved"}[shift]
    assert words in sentence.sentence
