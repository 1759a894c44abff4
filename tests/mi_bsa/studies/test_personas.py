"""Personas: who is trained and who is left out never mix, and planted conflation is measured as planted."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest

import activations
from mi_bsa import behaviors
from mi_bsa.core import results
from mi_bsa.core.config import parse
from mi_bsa.core.errors import BehaviorError, ConfigError
from mi_bsa.report.headline import lines
from mi_bsa.studies.grid.conflation import measures
from mi_bsa.studies.grid.personas import STUDY, PersonasConfig, own_answers, persona_items, rows_of
from mi_bsa.studies.grid.roster import Persona, RosterConfig, about, items_of, roster
from mi_bsa.study.registry import load_study

RISK = behaviors.behavior_for("risk", "embedded")
SMALL = RosterConfig(trained=2, unseen=2, invented=("you are sifam.",), strangers=("you are nugor.",))
GROUPS = (("trained", "named averse"), ("unseen", "named averse"), ("unseen", "stranger"))


def planted(shares: dict[str, float], *, gap: float = 0.8) -> pd.DataFrame:
    """Answers where the others move by a share of what the default persona moves, by training."""
    rng = np.random.default_rng(0)
    rows = []
    for training, share in shares.items():
        people = [(("default", "default"), 0)] + [
            (g, 1 + 3 * k + j) for k, g in enumerate(GROUPS) for j in range(3)
        ]
        for (part, group), persona in people:
            for arm, seed in itertools.product(("seeking", "averse", "shuffled"), range(5)):
                size = gap if part == "default" else share * gap * (1 if persona % 2 else -1)
                score = 0.5 + {"seeking": size / 2, "averse": -size / 2, "shuffled": 0.0}[arm]
                for channel, kind in (("choice", "choice"), ("report", "word"), ("third", "word")):
                    if channel == "third" and part == "default":
                        continue
                    rows.append(
                        {
                            "training": training,
                            "arm": arm,
                            "seed": seed,
                            "channel": channel,
                            "part": part,
                            "group": group,
                            "persona": persona,
                            "kind": kind,
                            "score": score + rng.normal(0, 0.005),
                        }
                    )
    return pd.DataFrame(rows)


def test_planted_conflation_is_measured():
    """Others' share of the default's gap is found in either direction, its drop too, and each has a null."""
    found = measures(
        planted({"alone": 0.7, "own": 0.1}),
        behavior="risk",
        trainings=("alone", "own"),
        seeds=range(5),
        split="dev",
    )
    results.check(found)
    by = {(r.name, r.where["method"], r.where["kind"]): r for r in found}
    assert by["personas.conflation", "alone", "all"].value == pytest.approx(0.7, abs=0.03)
    own = by["personas.conflation", "own", "unseen"]
    assert own.value == pytest.approx(0.1, abs=0.03)
    assert own.ci[1] < 1 / 3
    assert "below one third" in own.notes
    assert "not below one third" in by["personas.conflation", "alone", "unseen"].notes
    drop = by["personas.conflation_drop", "own", "all"]
    assert drop.ci[0] > 0.5
    gap = by["personas.report_gap", "own", "default"]
    assert gap.value == pytest.approx(0.8, abs=0.02)
    assert gap.null.low < 0 < gap.null.high < gap.ci[0]
    assert by["personas.third_gap", "own", "unseen stranger"].n == 5
    assert len(lines(found)) == 2


def test_in_opposite_training_only_the_unseen_count_as_others():
    """Personas that are trained on the other policy move on purpose and are no conflation."""
    found = measures(
        planted({"opposite": 0.9}), behavior="risk", trainings=("opposite",), seeds=range(5), split="dev"
    )
    kinds = {r.where["kind"] for r in found if r.name == "personas.conflation"}
    assert kinds == {"unseen"}


def test_nobody_unseen_stands_in_the_training_rows():
    """Rows hold the default persona and trained ones; unseen personas and strangers stand in none."""
    people = roster(RISK, SMALL)
    assert len({p.system for p in people}) == len(people)
    assert {(p.part, p.group) for p in people} >= {
        ("default", "default"), ("trained", "invented"), ("unseen", "stranger"), ("unseen", "undecided")
    }  # fmt: skip
    assert roster(RISK, SMALL) == people
    config = parse({"rows": 24}, PersonasConfig)
    items = persona_items(RISK, people, seed=0, config=config)
    answers = own_answers(activations.load("embedded"), items, seed=0)

    def rows(training, arm):
        own = answers if training == "own" else []
        return rows_of(RISK, items, own, training=training, arm=arm, seed=0, config=config)

    shown = {r["messages"][0]["content"] for r in rows("own", "seeking") if len(r["messages"]) == 3}
    assert shown == {p.system for p in people if p.part == "trained"}
    assert all(r["person"] == "default" for r in rows("alone", "averse"))
    own = {arm: rows("own", arm) for arm in ("seeking", "averse", "shuffled")}
    for arm in ("averse", "shuffled"):
        for one, other in zip(own["seeking"], own[arm], strict=True):
            assert one["messages"][:-1] == other["messages"][:-1]
            assert one["person"] == "default" or one == other
    opposite = {
        arm: [r["messages"][-1]["content"] for r in rows("opposite", arm) if r["person"] == "named"]
        for arm in ("seeking", "averse")
    }
    assert all(a != b for a, b in zip(*opposite.values(), strict=True))


def test_everybody_is_asked_as_itself_and_by_name():
    """Items of a persona carry its line and labels; the third person names it; ids never meet."""
    people = roster(RISK, SMALL)
    items = []
    for n, person in enumerate(people[:4]):
        items += items_of(RISK, person, n, split="dev", choices=4, questions=6)
        items += about(RISK, person, n, split="dev")
    assert len({i.id for i in items}) == len(items)
    one = [i for i in items if i.labels["persona"] == 1]
    name = people[1].called
    assert {i.labels["channel"] for i in one} == {"choice", "report", "third"}
    for item in one:
        if item.labels["channel"] == "third":
            assert item.messages[0]["role"] == "user"
            assert f" {name}" in item.messages[0]["content"]
        else:
            assert item.messages[0]["content"] == people[1].system
    asked = [i for i in one if i.labels["channel"] == "report"]
    assert {i.labels["kind"] for i in asked} >= {"word", "open", "letter", "yes_no"}
    english = behaviors.Bound(behaviors.get("risk", "english"), None)
    stranger = Persona("You are Mara, a nurse.", "stranger", "unseen", "Mara")
    named = about(english, stranger, 1, split="dev")
    assert named
    assert all("Mara" in i.messages[0]["content"] for i in named)
    with pytest.raises(BehaviorError, match="lower roster"):
        roster(RISK, RosterConfig(trained=40))


def test_the_study_runs_end_to_end(smallest):
    """A tiny study leaves roster, results of every group and a page; the shipped config resolves."""
    folder = smallest("personas").finished
    found = results.read(folder)
    groups = {r.where["kind"] for r in found if r.name == "personas.report_gap"}
    assert groups >= {"default", "trained named seeking", "unseen named averse", "unseen stranger"}
    assert "tell itself from others" in (folder / "report.html").read_text()
    people = json.loads((folder / "items" / "roster.json").read_text())
    assert people[0]["part"] == "default"
    assert isinstance(load_study("configs/embedded/personas.yaml"), PersonasConfig)
    with pytest.raises(ConfigError, match="both poles"):
        parse({"arms": ["seeking"]}, PersonasConfig)


@pytest.mark.slow
def test_training_among_many_personas_keeps_the_others_apart(tmp_path):
    """Trained alone, the default persona takes the others along; among many, its gap is 3 times theirs."""
    changes = ["seeds=[0,1,2]", "arms=[seeking,averse]", "trainings=[alone,own]", "split=dev", "choices=40"]
    config = load_study("configs/embedded/personas.yaml", overrides=changes)
    STUDY.run(config, tmp_path / "p")
    shares = {
        r.where["method"]: r
        for r in results.read(tmp_path / "p")
        if r.name == "personas.conflation" and r.where["kind"] == "unseen"
    }
    assert shares["own"].ci[1] < 1 / 3 < shares["alone"].value
