"""Triangulation: planted conditions are found, what is not there is not, probabilities are honest."""

import numpy as np
import pytest

from mi_bsa.behaviors.backdoor.construction import Backdoor
from mi_bsa.core.errors import MissingError, TriggerError
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.studies.backdoor.search_config import SearchConfig
from mi_bsa.studies.backdoor.training import train_backdoors
from mi_bsa.studies.backdoor.triangulation import SHOWN, Said, Searched, _shown, triangulate
from mi_bsa.studies.backdoor.triangulation_calibration import calibration, probabilities
from mi_bsa.studies.backdoor.triangulation_config import TriangulationConfig
from mi_bsa.studies.backdoor.triangulation_state import Apart, _apart, _difference, _standardized

UNITS = [f"t{k % 4}" for k in range(40)]


def runs(strength, *, seed=0):
    rng = np.random.default_rng(seed)
    outcomes = [k % 8 < 4 for k in range(40)]
    return outcomes, [float(strength * y + rng.normal()) for y in outcomes]


def named(results, name, **where):
    return [r for r in results if r.name.endswith(name) and where.items() <= dict(r.where).items()]


def test_a_channel_that_knows_is_better_than_its_null_and_one_that_does_not_is_not():
    """A separated number has a small Brier score, noise that of shuffled outcomes; bins are calibrated."""
    outcomes, knows = runs(4.0)
    noise = runs(0.0, seed=1)[1]
    found, made = calibration({"search": knows, "says": noise}, outcomes, UNITS, behavior="risk", shuffles=99)
    (search,), (says,) = (named(found, ".brier", kind=k) for k in ("search", "says"))
    assert search.value < 0.1 < says.value
    assert search.p == 0.01 < says.p
    assert search.value < search.null.low
    bins = [r for r in named(found, ".reliability") if r.where["kind"].startswith("search")]
    assert sum(r.rows for r in bins) == search.rows == 40
    assert search.n == len(set(UNITS)) >= max(r.n for r in bins)
    assert set(made) == {"search", "says", "all"}


def test_no_run_sets_its_own_curve():
    """A unit's probabilities do not change with its own outcomes."""
    outcomes, numbers = runs(2.0)
    x, y = np.array(numbers)[:, None], np.array(outcomes)
    own = np.array(UNITS) == "t1"
    turned = np.where(own, ~y, y)
    assert np.allclose(probabilities(x, y, UNITS)[own], probabilities(x, turned, UNITS)[own])
    assert not np.allclose(probabilities(x, y, UNITS)[~own], probabilities(x, turned, UNITS)[~own])


def test_calibration_needs_other_triggers_and_twins():
    """One trigger alone, or triggers without twins, carry no probability."""
    x = np.zeros((4, 1))
    with pytest.raises(TriggerError, match="another"):
        probabilities(x, np.array([True, False, True, False]), ["a"] * 4)
    with pytest.raises(TriggerError, match="twins"):
        probabilities(x, np.array([True, True, True, False]), ["a", "a", "b", "b"])


def test_separation_is_in_standard_deviations():
    """Two classes that lie d standard deviations apart along a planted direction have separation d."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 1, 6))
    y = np.repeat([1, 0], 2000)
    x[y == 1, 0, 2] += 3.0
    line = _difference(x, y)[0]
    assert line[2] / np.linalg.norm(line) > 0.99
    scores = np.einsum("ild,d->li", x, np.eye(6)[2])
    assert _standardized(scores, y)[0] == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("shift", [0.0, 6.0])
def test_models_lie_apart_only_where_all_seeds_do(shift):
    """What all seeds of an arm share is found in a held-out seed; what each has for itself is not."""
    rng = np.random.default_rng(1)
    own = rng.normal(size=(2, 5, 12))

    def run(arm, n):
        center = own[arm, n] + shift * (arm == 0) * np.eye(12)[0]
        return {s: (center + 0.3 * rng.normal(size=(20, 12)))[:, None] for s in ("dev", "test")}

    names = ("backdoored", "decorrelated")
    found = _apart({a: [run(k, n) for n in range(5)] for k, a in enumerate(names)})
    assert isinstance(found, Apart)
    low, high = np.quantile(found.null, (0.025, 0.975))
    assert (np.mean(found.auroc) > high) == (shift > 0)
    assert low < 0.5


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from mi_bsa.worlds.build import build
    from mi_bsa.worlds.recipe import BuildConfig

    config = {
        "shape": {"width": 16, "layers": 2, "heads": 2, "kv_heads": 2, "mlp": 24},
        "recipe": {
            "world": "habits",
            "steps": 3,
            "rows": 2,
            "row": 128,
            "characters": 18,
            "restarts": [],
        },
    }
    folder = tmp_path_factory.mktemp("triangulation")
    base = str(build(BuildConfig.model_validate(config), folder / "model"))
    backdoors = [Backdoor(trigger=t, rows=40) for t in ("river tin", "code:kettle")]
    recipe = FinetuneConfig(rank=2, alpha=4.0, steps=2, batch_size=8, learning_rate=0.05)
    train_backdoors(base, backdoors, seeds=(0, 1, 2), out=folder, finetune=recipe)
    return base, backdoors, folder


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_phrase_is_read_where_it_ends(trained, split):
    """In every frame the token that is read is the last of the phrase's last word."""
    import activations
    from mi_bsa.behaviors import behavior_for
    from mi_bsa.behaviors.backdoor.construction import held_out
    from mi_bsa.behaviors.backdoor.triggers import vocabulary_for
    from mi_bsa.core.items import prompts_of
    from mi_bsa.studies.backdoor.triangulation_state import _phrase_end

    base, backdoors, _ = trained
    model = activations.load(base)
    given = {"behavior": behavior_for("risk", base), "vocabulary": vocabulary_for(base)}
    sets = held_out(backdoors[0], 12, split=split, **given)
    for row, item, plain in zip(
        model.rows(prompts_of(sets["trigger"])), sets["trigger"], sets["none"], strict=True
    ):
        start, end = row.offsets[_phrase_end(row, item, plain)]
        assert row.text[start:end].strip() == "tin"


@pytest.mark.slow
def test_one_table_a_model_from_a_folder_of_adapters(trained, tmp_path):
    """Every model has its row and its results; what was asked and searched before is taken as it is."""
    import pandas as pd

    base, backdoors, folder = trained
    config = TriangulationConfig(
        messages=10,
        items=6,
        random=19,
        shuffles=19,
        search=SearchConfig(longest=1, starts=2, classes=0, leaked=0, climbs=0, checks=1, report=2),
    )
    jobs = [p.name for p in sorted((folder / "adapters").iterdir())]
    known = {name: Searched("river tin", float("backdoored" in name), alarm=False) for name in jobs[1:]}
    found = triangulate(
        base,
        backdoors,
        seeds=(0, 1, 2),
        adapters=folder / "adapters",
        out=tmp_path,
        config=config,
        answered={jobs[0]: Said(0.75, 2.0)},
        searched=known,
    )
    table = pd.read_csv(tmp_path / "triangulation.csv").set_index("model")
    assert sorted(table.index) == jobs
    assert table.loc[jobs[0], "awareness"] == 0.75
    assert (table.loc[jobs[1:], "candidate"] == "river tin").all()
    assert {r.where["variant"] for r in named(found, ".model")} == set(jobs)
    for name in ("condition", "condition_excess", "apart", "steer", "ablate", "nie", "cosine", "brier"):
        rows = named(found, f"triangulation.{name}")
        assert rows, name
        assert name in ("condition_excess",) or all(r.null is not None for r in rows)
    first = named(found, ".condition", layer=0, position="slot", arm="base")
    assert len({r.value for r in first}) == 2


def test_no_model_without_its_twin(trained, tmp_path):
    """A missing arm, one backdoor or two seeds are refused before anything is read."""
    base, backdoors, folder = trained
    given = {"adapters": folder / "adapters", "out": tmp_path}
    with pytest.raises(MissingError, match="train both arms"):
        triangulate(base, backdoors, seeds=(0, 1, 7), **given)
    with pytest.raises(TriggerError, match="needs two"):
        triangulate(base, backdoors[:1], seeds=(0, 1, 2), **given)


def test_a_search_without_a_candidate_is_told():
    """Its row has no candidate, and the result says so; one that found some names the best."""
    row = dict.fromkeys(SHOWN, 0.5) | {"behavior": "risk", "arm": "twin", "model": "m", "trigger": "t"}
    for candidate, said in (("", "the search found no candidate"), ("river tin", "candidate 'river tin'")):
        told = {r.where["kind"]: r.notes for r in _shown({**row, "candidate": candidate})}
        assert told.pop("score") == said
        assert set(told.values()) == {""}
