"""Laws of the studies of many behaviors and of sizes: a row each, with n, interval and null; they resume."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_llama
from smallest import MANY, SIZE, VARIETY

from mi_bsa.causal.effects import all_effects
from mi_bsa.core import results
from mi_bsa.core.config import parse
from mi_bsa.core.errors import BehaviorError, ConfigError
from mi_bsa.core.shape import shape_of
from mi_bsa.studies.grid import points
from mi_bsa.studies.grid import size as size_study
from mi_bsa.studies.grid import variety as variety_study
from mi_bsa.studies.grid.figures.sizes import draw_sizes
from mi_bsa.studies.grid.figures.variety import draw_variety
from mi_bsa.studies.grid.size import SizeConfig, of_size, trends
from mi_bsa.studies.grid.variety import VarietyConfig, of_behavior, over_behaviors
from mi_bsa.study.registry import load_study
from mi_bsa.worlds.weights import built_with, locate

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def varied(smallest) -> Path:
    return smallest("variety").finished


@pytest.fixture(scope="module")
def sized(smallest) -> Path:
    return smallest("size").finished


@pytest.mark.slow
def test_every_behavior_has_a_row(varied):
    """The table has a row a behavior, and each effect stands beside its null, interval, n and seeds."""
    rows = pd.read_csv(varied / "table.csv")
    assert list(rows["behavior"]) == ["risk", "patience"]
    assert {"effect", "gap", "gap low", "gap null low", "validity", "neighbor", "q"} <= set(rows.columns)
    found = results.read(varied)
    for name in ("variety.behavior.effect", "variety.self_report.effect"):
        own = [r for r in found if r.name == name and r.where.get("kind", "all") == "all"]
        assert len(own) == 2
        assert all(r.null is not None and r.ci is not None and len(r.seeds) == 3 for r in own)
    assert {r.n for r in found if r.name == "variety.mean.gap"} == {2}
    assert (varied / "table.md").read_text().count("\n") == 4
    assert (varied / "report.html").stat().st_size > 0


@pytest.mark.slow
def test_another_behavior_leaves_the_others_alone(varied):
    """Its steps are its own."""
    wider = parse(VARIETY | {"transfer": False, "behaviors": ["risk", "patience", "myopia"]}, VarietyConfig)
    text = variety_study.STUDY.preview(wider, varied)
    assert "3 of 7 steps to run" in text


@pytest.mark.slow
def test_transfer_of_each_behavior(tmp_path):
    """With transfer, every behavior's row says how well a probe of its choices reads its report."""
    variety_study.STUDY.run(parse(VARIETY, VarietyConfig), tmp_path / "run")
    rows = pd.read_csv(tmp_path / "run" / "table.csv")
    assert rows["transfer"].between(0, 1).all()


@pytest.mark.slow
def test_sizes_are_built_alike_and_measured(sized):
    """Bases differ in width and what follows from it; each size has behavior, report, validity and base."""
    configs = [built_with(sized / "bases" / f"width-{w}") for w in (16, 32)]
    assert configs[0].recipe.stages == configs[1].recipe.stages
    assert configs[0].recipe.lr == pytest.approx(2**0.5 * configs[1].recipe.lr)
    found = results.read(sized)
    for name in ("size.behavior.effect", "size.self_report.effect", "size.self_report.validity"):
        sizes = {r.where["variant"] for r in found if r.name == name}
        assert sizes == {shape_of(str(sized / "bases" / f"width-{w}")).parameters() for w in (16, 32)}
    assert any(r.name == "size.base.gap" for r in found)
    slopes = [r for r in found if r.name.endswith(".slope")]
    assert [len(r.per_seed) for r in slopes] == [3, 3]
    assert (sized / "figures" / "size.svg").stat().st_size > 0


@pytest.mark.slow
def test_a_built_base_is_not_built_again(sized):
    """Another adapter seed list leaves the bases alone; finished bases are taken as they lie."""
    config = parse(SIZE | {"seeds": [0, 1, 3]}, SizeConfig)
    text = size_study.STUDY.preview(config, sized)
    assert all("finished" in line for line in text.splitlines() if "base/" in line)


@pytest.mark.slow
def test_sizes_of_llama_folders(tmp_path):
    """Two tiny Llama folders that read English go through the same study to its results."""
    models = [str(tiny_llama.build(tmp_path / f"{w}", context=2048, width=w)) for w in (16, 32)]
    size_study.STUDY.run(parse(MANY | {"models": models, "stays": 12}, SizeConfig), tmp_path / "run")
    found = results.read(tmp_path / "run")
    assert len({r.where["variant"] for r in found if r.name == "size.self_report.effect"}) == 2


def test_models_that_exist_take_the_place_of_widths():
    """With `models` nothing is built; the graph asks them instead."""
    config = parse({"models": ["embedded", "embedded/1"]}, SizeConfig)
    assert not any(step.name.startswith("base/") for step in size_study.STUDY.steps(config))
    record = json.loads((locate(None) / "world.json").read_text())
    assert shape_of("embedded").parameters() == record["parameters"]


def test_a_size_takes_one_base(tmp_path):
    """Two models with equally many parameters are refused before anything runs."""
    with pytest.raises(ConfigError, match="equally many parameters"):
        size_study.STUDY.run(parse({"models": ["embedded", "embedded/1"]}, SizeConfig), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def made_up(gap: float, *, trait: str = "risk") -> pd.DataFrame:
    """Answers as a study asks for them: poles apart by `gap`, the shuffled arm and the base at one half."""
    rng = np.random.default_rng(round(100 * gap))
    levels = {"seeking": 0.5 + gap / 2, "averse": 0.5 - gap / 2, "shuffled": 0.5, "base": 0.5}
    rows = []
    for arm, seed in [("base", -1), *itertools.product(("seeking", "averse", "shuffled"), (0, 1, 2))]:
        for name, person, own in (
            ("choice-test", "default", True),
            ("report-test", "default", True),
            ("neighbor_choice-test", "default", False),
            ("neighbor_report-test", "default", False),
            *((f"named_{what}-test", f"named {pole}", False) for what in ("choice", "report")
              for pole in ("seeking", "averse")),
        ):  # fmt: skip
            kinds = ("choice",) if "choice" in name else ("word", "scale", "scale_flipped")
            pole = {"named seeking": 0.9, "named averse": 0.1}.get(person, 0.5)
            for kind, wording, order in itertools.product(kinds, range(4), ("plain", "flipped")):
                score = levels[arm] if own else pole
                rows.append(
                    {
                        "set": name,
                        "variant": "base" if arm == "base" else f"{arm}-{seed}",
                        "arm": arm,
                        "seed": seed,
                        "trait": "other" if "neighbor" in name else trait,
                        "person": person,
                        "kind": kind,
                        "template": f"{kind.removesuffix('_flipped')}-{wording}",
                        "scenario": f"{kind}-{wording}",
                        "order": "flipped"
                        if kind == "scale_flipped"
                        else "plain"
                        if kind == "scale"
                        else order,
                        "score": float(np.clip(score + 0.02 * rng.normal(), 0, 1)),
                        "mass": 1.0,
                    }
                )
    return pd.DataFrame(rows)


ARMS, SEEDS = ("seeking", "averse", "shuffled"), (0, 1, 2)


def test_the_table_of_behaviors_says_who_moved():
    """A behavior whose reports lie apart counts as moved, another does not; the unit is the behavior."""
    found = [
        r
        for name, gap in (("one", 0.8), ("two", 0.0))
        for r in of_behavior(all_effects(made_up(gap), behavior=name, arms=ARMS, seeds=SEEDS))
    ]
    over = {r.name: r for r in over_behaviors(found, ("one", "two"))}
    assert over["variety.share_reported"].value == 0.5
    assert over["variety.mean.gap"].n == 2
    assert over["variety.mean.gap"].value == pytest.approx(0.4, abs=0.03)
    rows = points.table(found, "variety", "behavior", ("one", "two"))
    assert list(rows["gap"]) == pytest.approx([0.8, 0.0], abs=0.05)
    assert points.to_markdown(rows, "behavior").count("\n") == 4
    assert all(r.name.startswith("variety.") for r in found)
    drawn = draw_variety(found)
    assert [t.get_text() for t in drawn.axes[0].get_yticklabels()] == ["one", "two"]


def test_size_results_hold_their_parameters_and_a_trend():
    """Every number of a size says its parameters; a gap that grows by .2 a decade has that slope."""
    found = [
        r
        for k, gap in ((4, 0.2), (5, 0.4), (6, 0.6))
        for r in of_size(made_up(gap), parameters=10**k, behavior="risk", arms=ARMS, seeds=SEEDS)
    ]
    assert {r.where["variant"] for r in found} == {10**4, 10**5, 10**6}
    slopes = trends(found)
    assert [s.value for s in slopes] == pytest.approx([0.2, 0.2], abs=0.02)
    assert all(s.ci is not None and s.ci[0] < 0.2 < s.ci[1] for s in slopes)
    base = next(r for r in found if r.name == "size.base.gap" and r.where["kind"] == "named choices")
    assert base.value == pytest.approx(0.8, abs=0.05)
    rows = points.table(found, "size", "variant", (10**4, 10**5, 10**6))
    assert points.to_markdown(rows, "parameters").count("\n") == 5
    assert len(draw_sizes(found).axes) == 4


@pytest.mark.parametrize("change", [{"seeds": [0, 1]}, {"arms": ["seeking", "averse"]}, {"behaviors": []}])
def test_what_cannot_be_a_table_is_refused(change):
    """Too few seeds, no null arm, or no behavior: refused before anything runs."""
    with pytest.raises(ConfigError):
        parse(VARIETY | change, VarietyConfig)


def test_each_behavior_finds_the_base_that_knows_it():
    """Apples go to the sibling, risk to the main model; what nobody knows is refused by name."""
    models = ["embedded", "embedded/apples-0"]
    config = parse(VARIETY | {"models": models, "behaviors": ["apples", "risk"]}, VarietyConfig)
    assert config.bases() == {"apples": models[1], "risk": models[0]}
    alone = parse(VARIETY | {"behaviors": ["apples"]}, VarietyConfig)
    with pytest.raises(BehaviorError, match="'apples'"):
        alone.bases()


def test_bases_of_the_preferences_are_built_once_each():
    """Without models, twenty preferences stand on five siblings, each with its own traits in its recipe."""
    config = load_study(ROOT / "configs/embedded/variety.yaml")
    assert isinstance(config, VarietyConfig)
    assert len(config.behaviors) >= 20
    built = [s for s in variety_study.STUDY.steps(config) if s.name.startswith("bases/")]
    assert len(built) == 5
    for step in built:
        traits = config.plan(base=step.name).recipe.traits
        assert {name for name, base in config.bases().items() if base == step.name} == set(traits)
    with pytest.raises(BehaviorError, match="no preference"):
        parse({"behaviors": ["risk"]}, VarietyConfig).bases()


@pytest.mark.parametrize("change", [{"widths": [32]}, {"widths": [32, 33]}, {"models": ["a", "a"]}])
def test_sizes_that_say_nothing_are_refused(change):
    """One size, a width that its heads cannot share, or a model twice: refused."""
    with pytest.raises(ConfigError):
        parse(change, SizeConfig)


def test_shipped_configs_are_valid():
    """configs/embedded/size.yaml says four sizes from about 50k to 3M parameters."""
    config = load_study(ROOT / "configs/embedded/size.yaml")
    assert isinstance(config, SizeConfig)
    assert len(config.names) == 4
    assert built_with(locate(None)).shape.width in config.widths
