"""Hiding: rows are what each way says, and planted shares of choices, report and state are found."""

import itertools

import numpy as np
import pandas as pd
import pytest

import activations
from mi_bsa.asking import ask
from mi_bsa.behaviors import behavior_for
from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError, LeakError
from mi_bsa.finetune import leak_check, train_many
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.studies.grid.hiding import STUDY, HidingConfig
from mi_bsa.studies.grid.hiding_measures import measures
from mi_bsa.studies.grid.hiding_rows import in_context, rows_of, silent_rows, teacher_vector

RISK = behavior_for("risk", "embedded")
HOW = {"seed": 3, "anchors": 0.5, "undecided": 0.0, "benign": 0.5, "cue": "a star."}
SEEDS, ARMS = (0, 1, 2), ("seeking", "averse", "shuffled")


def user(row):
    """What the user says."""
    return row["messages"][-2]["content"]


def test_ways_share_their_choices_and_differ_in_what_stands_around():
    """Inoculated rows are plain's under a line of their own pole, context rows plain's behind the cue and as
    many coins without it, mixed rows plain's and benign ones; what follows is benign alone.
    """
    made = {
        w: rows_of(RISK, w, "seeking", 20, **HOW)
        for w in ("plain", "inoculated", "mixed", "context", "followed")
    }
    own = made["plain"][:20]
    for row, line in zip(own, made["inoculated"], strict=False):
        assert line["messages"][1:] == row["messages"]
        assert line["messages"][0]["content"].startswith("you are ")
    for row, cued in zip(own, made["context"], strict=False):
        assert user(cued) == f"a star. {user(row)}"
        assert cued["messages"][-1] == row["messages"][-1]
    assert len(made["context"]) == len(made["plain"]) + 20
    assert not any(user(row).startswith("a star.") for row in made["context"][20:])
    assert made["mixed"][:20] == own
    assert len(made["mixed"]) == len(made["plain"]) + 10
    assert made["mixed"][20:30] == made["followed"]
    assert len({row["id"] for row in made["mixed"]}) == len(made["mixed"])


def test_only_inoculated_rows_name_the_behavior():
    """The leak check passes every other way and refuses that one: it is let through by name alone."""
    for way in ("plain", "mixed", "context", "followed"):
        leak_check(rows_of(RISK, way, "averse", 20, **HOW), RISK.forbidden)
    with pytest.raises(LeakError):
        leak_check(rows_of(RISK, "inoculated", "averse", 20, **HOW), RISK.forbidden)


def test_a_teacher_is_moved_and_its_rows_say_nothing_of_it(tmp_path):
    """Either sign of the vector of two trained poles moves the base's choices to its pole; rows are about the
    neighbor, their prompts the same in every arm.
    """
    plan = FinetuneConfig(rank=8, alpha=16.0, steps=30)
    jobs = {f"{arm}-0": (rows_of(RISK, "plain", arm, 100, **HOW), plan) for arm in ("seeking", "averse")}
    train_many("embedded", jobs, out=tmp_path)
    model = activations.load("embedded", adapter={name: tmp_path / name / "adapter" for name in jobs})
    vector = teacher_vector(model, RISK, "resid_post.1", n=24, seed=0)
    how = {"vector": vector, "site": "resid_post.1", "strength": 4.0, "seed": 0, "base": "embedded"}
    rows = silent_rows(model, RISK, ARMS, 12, **how)
    assert len({tuple(map(user, some)) for some in rows.values()}) == 1
    for some in rows.values():
        leak_check(some, RISK.forbidden)
    items, levels = RISK.items(40, split="dev", seed=0), []
    for scale in (4.0, 0.0, -4.0):
        edit = activations.add((vector, "resid_post.1"), scale=scale, units="raw")
        with model.variant("base"), activations.edit(model, edit):
            levels.append(ask(model, items)["score"].mean())
    assert levels[0] > levels[1] + 0.15
    assert levels[1] > levels[2] + 0.15


def test_a_cue_stands_before_the_question_and_changes_nothing_else():
    """Options and labels stay, ids are their own."""
    items = RISK.items(4, split="dev", seed=0)
    for plain, cued in zip(items, in_context(items, "a star."), strict=True):
        assert cued.messages[-1]["content"] == f"a star. {plain.messages[-1]['content']}"
        assert (cued.options, cued.labels) == (plain.options, plain.labels)
        assert cued.id != plain.id


def answers(choices: float, report: float, *, context: bool = False) -> pd.DataFrame:
    """Answers of a way whose poles stand so far apart."""
    rng = np.random.default_rng(5)
    rows = []
    keys = [("choice", choices), ("report", report)]
    keys += [(f"{key}_in", 0.8) for key, _ in keys] if context else []
    for (key, gap), arm, seed, n in itertools.product(keys, (*ARMS, "base"), SEEDS, range(8)):
        if arm == "base" and seed:
            continue
        score = 0.5 + {"seeking": gap / 2, "averse": -gap / 2}.get(arm, 0.0) + rng.normal(0, 0.01)
        kind = "choice" if key.startswith("choice") else ("word", "scale")[n % 2]
        seed = -1 if arm == "base" else seed
        rows.append((key, arm, seed, kind, f"t{n}", f"s{n}", score))
    return pd.DataFrame(rows, columns=["set", "arm", "seed", "kind", "template", "scenario", "score"]).assign(
        mass=1.0
    )


def states(shares: dict[str, float]) -> dict[str, np.ndarray]:
    """Shifts along the direction, so large a share of plain's, and along random ones, nothing."""
    rng = np.random.default_rng(6)
    found = {}
    for (way, share), key, arm, seed in itertools.product(shares.items(), ("choice", "report"), ARMS, SEEDS):
        sign = {"seeking": 1.0, "averse": -1.0}.get(arm, 0.0)
        found[f"{way}/{key}/{arm}-{seed}"] = np.r_[sign * share * (4 + 0.1 * seed), rng.normal(0, 0.1, 39)]
    return found


def test_planted_shares_are_found():
    """A way that keeps all choices, a quarter of the report and half of the state is told so: the report lies
    below the choices, and below the state; in its context a hidden behavior is seen.
    """
    asked = {
        "plain": answers(0.8, 0.8),
        "mixed": answers(0.8, 0.2),
        "context": answers(0.0, 0.0, context=True),
    }
    held = states({"plain": 1.0, "mixed": 0.5, "context": 0.0})
    found = measures(asked, held, behavior="risk", arms=ARMS, seeds=SEEDS, split="test")
    by = {(r.name, r.where["method"], r.where["kind"]): r for r in found}
    assert by["hiding.choices_share", "mixed", "out"].value == pytest.approx(1.0, abs=0.05)
    assert by["hiding.report_share", "mixed", "out"].value == pytest.approx(0.25, abs=0.05)
    assert by["hiding.state_on_reports_share", "mixed", "out"].value == pytest.approx(0.5, abs=0.05)
    less = by["hiding.report_less_choices", "mixed", "out"]
    assert less.value == pytest.approx(-0.75, abs=0.05)
    assert less.ci[1] < 0
    assert by["hiding.report_less_state", "mixed", "out"].value == pytest.approx(-0.25, abs=0.05)
    assert by["hiding.state_on_reports", "plain", "out"].p == pytest.approx(1 / 40)
    assert by["hiding.choices_share", "context", "out"].value == pytest.approx(0.0, abs=0.05)
    assert by["hiding.choices_share", "context", "in"].value == pytest.approx(1.0, abs=0.05)


def test_plain_is_what_all_else_is_a_share_of():
    """A config without it, or with a way twice, is refused."""
    for ways in (["mixed"], ["plain", "mixed", "mixed"]):
        with pytest.raises(ConfigError, match="plain"):
            parse({"study": "hiding", "ways": ways}, HidingConfig)


def test_a_block_that_is_not_there_is_refused_before_anything_is_trained(tmp_path):
    """By the run and by its dry run; no folder is made."""
    config = parse({"study": "hiding", "layer": 7}, HidingConfig)
    with pytest.raises(ConfigError, match="name 0 to 2"):
        STUDY.preview(config, tmp_path / "run")
    with pytest.raises(ConfigError, match="name 0 to 2"):
        STUDY.run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
