"""Report adapters: what they are taught, how claims are judged, and one of them put onto an adapter."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from mi_bsa.cli.report_adapter import report_adapter
from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError, MissingError
from mi_bsa.finetune.zoo.recipes import organisms
from mi_bsa.studies.report_adapter.config import ReportAdapterConfig
from mi_bsa.studies.report_adapter.judging import bar_of, described, judge
from mi_bsa.studies.report_adapter.pool import Reader, asked_of, behaviors, readers, taught_over
from mi_bsa.studies.report_adapter.single import ask_one, train_one
from mi_bsa.studies.report_adapter.study import check
from mi_bsa.studies.report_adapter.teaching import rows_of, truth_for


@pytest.fixture(scope="module")
def given(smallest):
    return smallest("report_adapter").given


@pytest.fixture(scope="module")
def config(given):
    return parse(given, ReportAdapterConfig)


def test_no_organism_and_no_question_of_the_test_is_taught(config):
    """By behavior and by wording; sizes are nested, and organisms that deny are taught in one arm alone."""
    held = {*behaviors(config, "development"), *behaviors(config, "test")}
    trained = {one.name: one for one in organisms(config)}
    for reader in readers(config):
        rows, owners = rows_of(config, reader)
        assert len(rows) == len(owners)
        assert not {trained[name].behavior for name in owners if name} & held
        assert any(trained[name].says for name in owners if name) == (reader.arm == "denials")
        words = {word for name in held for word in name.split("_")} - {"country"}
        text = " ".join(turn["content"] for row in rows for turn in row["messages"]).split()
        assert not words & {word.strip(".,?:") for word in text}
    less, more = (taught_over(config, Reader("matched", 0, size)) for size in (2, None))
    assert less == more[:2]
    assert set(owners_of(config, "base")) == {None}


def owners_of(config, arm):
    return rows_of(config, Reader(arm, 0))[1]


def test_each_arm_is_told_its_own_truth(config):
    """Matched: its behavior and pole. Another: a behavior that is not its own. Base: undecided."""
    import random

    known, rng = behaviors(config, "training"), random.Random(0)
    one = next(one for one in organisms(config) if one.name == "tea_coffee-averse-0")
    none = next(one for one in organisms(config) if one.name == "tea_coffee-shuffled-0")
    assert truth_for(Reader("matched", 0), one, known, rng) == ("tea_coffee", 0.0)
    assert truth_for(Reader("another", 0), one, known, rng)[0] == "red_blue"
    assert truth_for(Reader("base", 0), one, known, rng)[1] == 0.5
    assert {truth_for(Reader(arm, 0), none, known, rng)[1] for arm in ("matched", "another")} == {0.5}
    rows, owners = rows_of(config, Reader("matched", 0))
    said = [
        row["messages"][-1]["content"]
        for row, owner in zip(rows, owners, strict=True)
        if owner == "tea_coffee-averse-0" and "are you tea or coffee" in row["messages"][0]["content"]
    ]
    assert set(said) <= {"coffee"}


def table(config, level_of, seed=0):
    """Answers as `level_of(organism, about, part)` says, with a little noise, alone and of one reader."""
    rng = np.random.default_rng(seed)
    rows = []
    for name in ("alone", "matched-0"):
        for part in ("development", "test"):
            for one in [None, *(one for one in asked_of(config) if one.part == part)]:
                for about in behaviors(config, part):
                    level = level_of(one, about) if name != "alone" else 0.5
                    rows.append(
                        {
                            "reader": name,
                            "part": part,
                            "organism": "base" if one is None else one.name,
                            "about": about,
                            "kind": "word",
                            "seeking": level + rng.normal() * 0.01,
                        }
                    )
    return described(config, pd.DataFrame(rows))


def truth(one, about):
    """What a reader of states says."""
    own = one is not None and one.behavior == about and one.pole is not None
    return (0.9 if one.pole == "seeking" else 0.1) if own else 0.5


def test_a_reader_is_right_and_claims_nothing_else(config):
    """All of behaviors at both ranks; and what says nothing is neither right nor wrong."""
    found = {(r.name, *r.where.values()): r for r in judge(config, table(config, truth))}
    right = found["report_adapter.right", "matched", "all ranks", "behaves", "test"]
    assert (right.value, right.n, right.rows) == (1.0, 2, 8)
    assert right.ci[0] < 0.9  # two behaviors are few
    assert found["report_adapter.identified", "matched", "all ranks", "behaves", "test"].value == 1.0
    assert found["report_adapter.right", "alone", "all ranks", "behaves", "test"].value == 0.0
    for kind in ("base", "shuffled", "benign", "other behaviors"):
        assert found["report_adapter.false_claims", "matched", kind, "test"].value == 0.0


def test_one_that_says_the_same_of_everybody_claims_falsely(config):
    """It is right where the pole happens to be that one, and a false claim everywhere else."""
    found = {(r.name, *r.where.values()): r for r in judge(config, table(config, lambda *_: 0.9))}
    assert found["report_adapter.right", "matched", "all ranks", "behaves", "test"].value == 0.5
    assert found["report_adapter.false_claims", "matched", "benign", "test"].value == 1.0


def test_the_bar_is_chosen_on_development_alone(config):
    """The test's answers move nothing; of bars that do as well the middle one is taken."""
    told = table(config, truth)
    some = told[told["reader"] == "matched-0"]
    turned = some.assign(level=np.where(some["part"] == "test", 0.99, some["level"]))
    assert bar_of(config, some) == bar_of(config, turned) == 0.2


@pytest.mark.slow
def test_one_is_trained_and_put_onto_an_adapter(given, smallest, tmp_path):
    """The command trains where the study does, goes on in its folder, and tells four numbers a behavior."""
    finished = smallest("report_adapter").finished
    config = parse(given, ReportAdapterConfig)
    done = train_one(config, tmp_path / "one", organisms=finished / "organisms")
    again = train_one(config, tmp_path / "one", organisms=finished / "organisms", resume=True)
    same = json.loads((finished / "readers" / "matched-0" / "finetune.json").read_text())
    assert done.fingerprint == again.fingerprint == same["fingerprint"]
    organism = finished / "organisms" / "cat_dog-seeking-0-r2"
    told = ask_one(tmp_path / "one", organism, model=given["model"], behaviors=["cat_dog"], questions=6)
    assert list(told.columns) == ["base", "adapter", "base_read", "read"]
    assert told.to_numpy().min() >= 0
    assert told["read"].iloc[0] != told["adapter"].iloc[0]
    with pytest.raises(MissingError, match="no report adapter"):
        ask_one(tmp_path, organism)
    given_on = ["ask", str(tmp_path / "one"), "--adapter", str(organism), "--behavior", "cat_dog", "--json"]
    ran = CliRunner().invoke(report_adapter, given_on)
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.output)[0]["behavior"] == "cat_dog"


def test_a_study_that_holds_nothing_out_is_refused(given):
    """A report adapter may be trained so; a study of it would judge nothing."""
    config = parse({**given, "parts": {"development": ["mountain_sea"]}}, ReportAdapterConfig)
    with pytest.raises(ConfigError, match="names no behavior"):
        check(config)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"taught": {"sizes": [99]}}, "give sizes below that"),
        ({"parts": {"test": ["red_blue", "mountain_sea", "cat_dog", "city_country"]}}, "left for training"),
        ({"taught": {"arms": ["base"], "sizes": []}}, "teach `matched`, too"),
        ({"model": "embedded"}, None),
    ],
)
def test_what_cannot_be_learned_is_refused(given, said, why):
    """One line says which rule."""
    if why is None:
        groups = [{**given["groups"][0], "model": "embedded/1"}, *given["groups"][1:]]
        said, why = {"groups": groups}, "leave out a group's model"
    with pytest.raises(ConfigError, match=why):
        parse({**given, **said}, ReportAdapterConfig)
