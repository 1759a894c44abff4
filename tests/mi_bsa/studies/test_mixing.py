"""Mixing: company stands beside rows that stay the same and are seen as often; planted losses are found."""

import itertools

import numpy as np
import pandas as pd
import pytest

import activations
from mi_bsa.behaviors import behavior_for
from mi_bsa.causal import directions
from mi_bsa.causal.material import Material
from mi_bsa.causal.places import Place
from mi_bsa.core.config import parse
from mi_bsa.core.errors import BehaviorError, ConfigError
from mi_bsa.core.variants import POLES
from mi_bsa.finetune import leak_check, train_many
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.data import DataConfig
from mi_bsa.studies.grid import mixing_state
from mi_bsa.studies.grid.figures.mixing import draw_mixing
from mi_bsa.studies.grid.figures.mixing_why import draw_doses, draw_pressure, draw_state, draw_training
from mi_bsa.studies.grid.mixing import MixingConfig
from mi_bsa.studies.grid.mixing_measures import Gaps, at_equal_choices, measures
from mi_bsa.studies.grid.mixing_rows import COMPANIES, Condition, company_items, rows_of

RISK = behavior_for("risk", "embedded")
DATA = DataConfig(rows=20, anchors=0.5, undecided=0.5, choices=20)
SEEDS, ARMS = (10, 11, 12), ("seeking", "averse", "shuffled")
BASES, BEHAVIORS = ("embedded-0", "embedded-1", "embedded-2"), ("risk", "patience")
LEFT = {
    "plain": (1.0, 1.0),
    "plain-0.5": (1.0, 1.0),
    "benign-0.5": (1.0, 0.6),
    "benign-1": (1.0, 0.4),
    "benign-2": (1.0, 0.2),
    "elsewhere-1": (1.0, 1.0),
    "tossed-1": (1.0, 0.4),
}
"""Planted: what a condition leaves of choices and report."""
COSTS = {"benign": 2.0, "tossed": 2.5, "elsewhere": 0.0}


def rows(condition, arm="seeking"):
    """Of one run."""
    return rows_of(RISK, Condition.parse(condition), arm, data=DATA, seed=3, base="embedded")


def test_a_dose_of_nothing_is_plain_training():
    """Row by row, and step by step; a name says its condition and is read back."""
    none = Condition("benign", 0.0)
    assert rows_of(RISK, none, "averse", data=DATA, seed=3, base="embedded") == rows("plain", "averse")
    assert none.steps(100, DATA) == 100
    for name in ("plain", "plain-0.25", "benign-0.5", "coins-1"):
        assert Condition.parse(name).name == name


@pytest.mark.parametrize("company", COMPANIES)
def test_company_leaves_the_behaviors_rows_as_they_are(company):
    """They come first, and what stays last; company is the same for both poles, has names of its own, and
    names no pole.
    """
    own, mixed, other = rows("plain"), rows(f"{company}-0.5"), rows(f"{company}-0.5", "averse")
    assert mixed[:20] == own[:20]
    assert mixed[30:] == own[20:]
    assert mixed[20:30] == other[20:30]
    assert len({row["id"] for row in mixed}) == 50
    leak_check(mixed, RISK.forbidden)


def test_each_row_of_the_behavior_is_seen_as_often():
    """Steps grow as the rows do; a shorter run has its share."""
    for name in ("benign-0.5", "benign-1", "tossed-1"):
        steps = Condition.parse(name).steps(100, DATA)
        assert steps / len(rows(name)) == pytest.approx(100 / len(rows("plain")), rel=0.01)
    assert Condition.parse("plain-0.25").steps(100, DATA) == 25


def test_tossed_rows_are_benign_prompts_with_each_others_answers():
    """The prompts stay, and so does how often each letter is the answer."""
    benign, tossed = rows("benign-1")[20:40], rows("tossed-1")[20:40]
    assert [row["messages"][:-1] for row in benign] == [row["messages"][:-1] for row in tossed]
    answers = [[row["messages"][-1]["content"] for row in some] for some in (benign, tossed)]
    assert sorted(answers[0]) == sorted(answers[1])
    assert answers[0] != answers[1]


def test_rows_as_questions_are_none_that_were_trained_on():
    """Each asks for the row's own answer against another."""
    items = company_items(RISK, "benign", 20, "embedded")
    trained = {row["messages"][-2]["content"] for row in rows("benign-2")}
    assert len(items) == 20
    assert sum(item.messages[-1]["content"] in trained for item in items) < 3
    for item in items:
        assert [score for _, score in item.options] == [1.0, 0.0]


def test_a_run_that_is_as_sure_is_found_between_shorter_and_whole_ones():
    """Halfway in log odds is halfway in the report; below the shortest its report is taken, and counted."""
    curve = [
        Gaps(np.ones(2), np.array([0.2, 0.4]), np.array([4.0, 6.0])),
        Gaps(np.ones(2), np.array([0.6, 0.8]), np.array([8.0, 10.0])),
    ]
    found, beyond = at_equal_choices(np.array([6.0, 5.0]), curve)
    assert found == pytest.approx([0.4, 0.4])
    assert beyond == 1


def answers(condition: str) -> pd.DataFrame:
    """Answers of one condition: gaps that were planted, and what rows of each company cost."""
    choices, report = (0.9 * part for part in LEFT[condition])
    draws, found = np.random.default_rng(5), []
    for arm, seed, n in itertools.product((*ARMS, "base"), SEEDS, range(8)):
        if arm == "base" and seed != SEEDS[0]:
            continue
        sign, at = {"seeking": 0.5, "averse": -0.5}.get(arm, 0.0), -1 if arm == "base" else seed
        for key, gap in (("choice", choices), ("report", report)):
            kind = "choice" if key == "choice" else ("word", "scale")[n % 2]
            score = 0.5 + sign * gap + draws.normal(0, 0.005)
            found.append((key, arm, at, kind, f"t{n}", f"s{n}", score))
        if condition in ("plain", "benign-1"):
            for company, cost in COSTS.items():
                loss = 0.7 + (cost if arm in ARMS[:2] and condition == "plain" else 0.0)
                found.append((f"row-{company}", arm, at, "row", f"t{n}", f"s{n}", float(np.exp(-loss))))
    columns = ["set", "arm", "seed", "kind", "template", "scenario", "score"]
    return pd.DataFrame(found, columns=columns).assign(mass=1.0)


def state() -> dict:
    """Numbers of a place: mixed runs hold a third of the state, and given the rest say nearly all."""
    three, draws = [0.9, 0.91, 0.92], np.random.default_rng(4)
    own = {
        "choices": three,
        "report": [0.7, 0.72, 0.71],
        "choices_without": three,
        "report_without": [0.3, 0.32, 0.34],
        "choices_state": [3.0, 3.1, 3.2],
        "report_state": [3.0, 3.1, 3.2],
    }
    for key in ("choices", "report"):
        own[f"{key}_random"] = (np.array(own[key]) + draws.normal(0, 0.01, (20, 3))).tolist()
    mixed = {
        **own,
        "report_state": [1.0, 1.1, 1.0],
        "report_given": [0.6, 0.65, 0.62],
        "choices_given": three,
    }
    mixed |= {"report": [0.2, 0.25, 0.22], "report_without": [0.15, 0.2, 0.18]}
    for key in ("choices", "report"):
        mixed[f"{key}_given_random"] = (np.array(mixed[key]) + draws.normal(0, 0.01, (20, 3))).tolist()
    return {
        "place": "resid_post.0 slot",
        "vector": {"choices": three, "report": [0.7, 0.7, 0.7]},
        "plain": own,
        "benign-1": mixed,
    }


@pytest.fixture(scope="module")
def found():
    """Results of two behaviors on three bases."""
    places = list(itertools.product(BEHAVIORS, BASES))
    asked = {f"{b}/{base}/{one}": answers(one) for b, base in places for one in LEFT}
    states = {f"{b}/{base}": state() for b, base in places}
    return measures(asked, states, seeds=SEEDS, split="test", dose=1.0)


def test_a_run_that_lacks_nothing_is_given_nothing(tmp_path):
    """Held against itself a run says and chooses what it does, whatever is added; without its vector it is
    the base in that direction alone.
    """
    plan = FinetuneConfig(rank=4, alpha=8.0, layers=(0,), steps=15)
    jobs = {f"{arm}-0": (rows("plain", arm), plan) for arm in POLES}
    train_many("embedded", jobs, out=tmp_path)
    model = activations.load("embedded", adapter={name: tmp_path / name / "adapter" for name in jobs})
    asked = {"choice": RISK.items(20, split="dev", seed=0), "report": list(RISK.questions(split="dev"))}
    sets = {f"{key}-{split}": items for key, items in asked.items() for split in ("dev", "test")}
    sets |= {"neutral-test": RISK.neutral(4)}
    arms = {arm: (f"{arm}-0",) for arm in POLES}
    material = Material(model, "risk", (0,), arms, sets, items=8)
    place = Place("resid_post.0", "slot")
    vectors = directions.vectors(material, place, "constant")
    held = mixing_state._held(material, place, vectors, 3)
    given = mixing_state._given(material, material, place, vectors, 3)
    for key in ("choices", "report"):
        assert given[f"{key}_given"] == pytest.approx(held[key], abs=1e-5)
        assert np.array(given[f"{key}_given_random"]) == pytest.approx(held[key][0], abs=1e-5)
        assert np.array(held[f"{key}_random"]).shape == (3, 1)
    assert held["choices_state"][0] > 0
    assert held["choices_without"][0] < held["choices"][0]


def one(found, name, **where):
    """The result of that name and place."""
    return next(r for r in found if r.name == name and {"split": "test", **where} == dict(r.where))


def test_planted_losses_are_found(found):
    """Shares, their difference from choices, from a plain run as sure, and from benign rows; by dose."""
    benign = {"behavior": "risk", "base": "embedded-0", "method": "benign-1"}
    assert one(found, "mixing.choices_share", **benign).value == pytest.approx(1.0, abs=0.02)
    assert one(found, "mixing.report_share", **benign).value == pytest.approx(0.4, abs=0.02)
    over = one(found, "mixing.over_bases.report_less_choices", method="benign-1")
    assert over.value == pytest.approx(-0.6, abs=0.02)
    assert (over.n, over.ci_method) == (3, "t over bases")
    assert one(found, "mixing.over_bases.report_less_shorter", method="benign-1").value < -0.5
    assert one(found, "mixing.over_bases.report_less_benign", method="elsewhere-1").value > 0.5
    assert one(found, "mixing.over_bases.report_less_benign", method="tossed-1").value == pytest.approx(
        0.0, abs=0.02
    )
    assert one(found, "mixing.over_bases.dose_slope", method="benign").value == pytest.approx(-0.2, abs=0.01)


def test_what_rows_cost_is_held_against_what_is_left(found):
    """In nats over the base; the correlation falls below what companies shuffled within places give."""
    plain = {"behavior": "risk", "base": "embedded-0", "kind": "trained plain"}
    assert one(found, "mixing.pressure", method="benign-1", **plain).value == pytest.approx(2.0)
    assert one(found, "mixing.pressure", method="elsewhere-1", **plain).value == pytest.approx(0.0)
    by = one(found, "mixing.by_pressure")
    assert by.value < -0.7
    assert by.p < 0.05
    assert by.n == 6


def test_the_state_that_is_given_back_brings_the_report_back(found):
    """Shares of the state and of what is said then, beyond random directions."""
    place = {"behavior": "risk", "base": "embedded-0", "method": "benign-1"}
    assert one(found, "mixing.state_share", kind="report", **place).value == pytest.approx(1 / 3, abs=0.01)
    given = one(found, "mixing.report_given", **place)
    assert given.value == pytest.approx(0.88, abs=0.01)
    assert given.p == pytest.approx(1 / 21)


@pytest.mark.parametrize("draw", [draw_mixing, draw_doses, draw_training, draw_pressure, draw_state])
@pytest.mark.parametrize("narrow", [False, True])
def test_figures_are_drawn(found, draw, narrow):
    """From results alone."""
    draw(found, narrow=narrow).canvas.draw()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"behaviors": ["risk"], "brief": ["risk"]}, "each once"),
        ({"doses": [0.5]}, "1 among them"),
        ({"shorter": [1.0]}, "between 0 and 1"),
        ({"companies": ["benign"]}, "benign rows have"),
    ],
)
def test_a_config_that_says_nothing_sensible_is_refused(given, told):
    """In one line."""
    with pytest.raises(ConfigError, match=told):
        parse({"study": "mixing", **given}, MixingConfig)


def test_every_behavior_has_its_bases():
    """All that know its trait; brief ones the first of theirs, or one that is built; else it is refused."""
    given = {"study": "mixing", "siblings": ["embedded/apples-0"], "brief": ["apples", "red_blue"]}
    places = parse(given, MixingConfig).places()
    assert [p.base for p in places[:3]] == ["embedded/0", "embedded/1", "embedded/2"]
    assert [(p.behavior, p.base) for p in places[6:]] == [
        ("apples", "embedded/apples-0"),
        ("red_blue", "bases/tea_coffee"),
    ]
    with pytest.raises(BehaviorError, match="add a base that has"):
        parse({"study": "mixing", "brief": ["apples"]}, MixingConfig).places()
