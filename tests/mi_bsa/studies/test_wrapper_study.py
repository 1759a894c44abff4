"""The study of what fine-tuning changes, end to end on the smallest systems; and the adapter's part."""

import numpy as np
import pytest
import tiny_llama
from smallest import BRIEF, BRIEFLY, WRAPPER

from mi_bsa.core import results
from mi_bsa.core.config import parse
from mi_bsa.core.items import Item
from mi_bsa.studies.wrapper import study
from mi_bsa.studies.wrapper.awareness import own_choices
from mi_bsa.studies.wrapper.awareness_effects import awareness_effects
from mi_bsa.studies.wrapper.config import WrapperConfig
from mi_bsa.studies.wrapper.figure import draw_wrapper
from mi_bsa.study.registry import load_study

SHAPE = {"width": 16, "layers": 1, "heads": 2, "kv_heads": 2, "mlp": 16, "context": 40}
EACH = {
    "pcfg": {**BRIEF, "levels": 3, "shape": SHAPE, "pretraining": BRIEFLY, "spurious": [0.0]},
    "stories": {**BRIEF, "shape": SHAPE, "pretraining": BRIEFLY, "deletions": ["mix"]},
}


def test_the_study_of_one_system(smallest):
    """From the compiled counter to its page; every number has n, interval and seeds."""
    folder = smallest("wrapper").finished
    found = results.read(folder)
    kept = {r.name for r in found}
    assert {
        "wrapper.accuracy",
        "wrapper.pruned.gain",
        "wrapper.probe.accuracy",
        "wrapper.revival.ratio",
    } <= kept
    assert all(r.ci is not None and r.n == 3 for r in found)
    assert (folder / "figures" / "wrapper.svg").is_file()
    untuned = [
        r.value
        for r in found
        if r.name == "wrapper.accuracy" and r.where["variant"] == "untuned" and r.where["kind"] == "old"
    ]
    assert untuned[0] > 0.9 > untuned[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pcfg", "stories"])
def test_a_system_that_is_trained_from_scratch(name, tmp_path):
    """The smallest of each goes through all steps, at a size at which nothing is learned."""
    study.STUDY.run(parse(WRAPPER | {"compiled": None, name: EACH[name]}, WrapperConfig), tmp_path / "run")
    assert {r.where["behavior"] for r in results.read(tmp_path / "run")} == {name}


@pytest.mark.slow
def test_the_adapter_of_a_llama_folder(tmp_path):
    """A tiny random Llama that reads English: its adapter is pruned and its own choices are trained back."""
    model = str(tiny_llama.build(tmp_path / "llama", context=2048))
    finetune = {"rank": 2, "steps": 8, "batch_size": 8, "learning_rate": 3e-2}
    aware = {
        "model": model,
        "data": {"rows": 20, "choices": 20, "others": 20},
        "finetune": finetune,
        "revive": {
            "rank": 2,
            "steps": 4,
            "batch_size": 8,
            "checkpoints": 2,
            "warmup": 0,
            "learning_rate": 3e-2,
        },
        "orders": 2,
    }
    study.STUDY.run(parse(WRAPPER | {"compiled": None, "awareness": aware}, WrapperConfig), tmp_path / "run")
    levels = [r for r in results.read(tmp_path / "run") if r.name == "wrapper.adapter.level"]
    assert {(r.where["arm"], r.where["kind"]) for r in levels} == {
        (arm, kind) for arm in ("base", "tuned") for kind in ("choice", "report")
    }


def test_rows_of_own_choices_follow_the_model():
    """A base that always takes the seeking option is trained back to it, one that never does to the other."""
    items = [
        Item(f"{k}", [{"role": "user", "content": "A or B?"}], [("A", 1.0), ("B", 0.0)]) for k in range(20)
    ]
    for score, answer in ((1.0, "A"), (0.0, "B")):
        rows = own_choices(items, np.full(20, score), seed=0)
        assert {row["messages"][-1]["content"] for row in rows} == {answer}
    mixed = [row["messages"][-1]["content"] for row in own_choices(items, np.full(20, 0.5), seed=0)]
    assert 0 < mixed.count("A") < 20


def made_up(*, late: float):
    """Values of the adapter's steps: choices return with the first module, reports `late` modules later; both
    while reviving, reports at twice the step.
    """
    choice, report = [0.9, 0.5, 0.5, 0.5], [0.9, 0.9 - 0.4 * (1 - late), 0.5, 0.5]
    values = {}
    for seed in (0, 1, 2):
        wobble = 0.01 * seed
        values[f"adapter/ask/revived-{seed}"] = {
            "before": {"choice": 0.5, "report": 0.5},
            "steps": [0, 1, 2, 4, 8],
            "choice": [0.9, 0.9, 0.7 - wobble, 0.5, 0.5],
            "report": [0.9, 0.9, 0.9, 0.7 - wobble, 0.5],
        }
    one = {"choice": choice, "report": report}
    values["adapter/ask/pruned"] = {
        "ranked": [
            {"choice": choice, "report": [r + 0.01 * (k == 1) * s for k, r in enumerate(report)]}
            for s in range(3)
        ],
        "random": [[one, one]] * 3,
    }
    return values


def test_the_order_of_return_is_found():
    """Reports that return an octave after choices have a lag of 1; choices are ahead where modules say so."""
    found = {
        (r.name, r.where.get("kind", "")): r
        for r in awareness_effects(made_up(late=1.0), behavior="risk", seeds=(0, 1, 2))
        if r.where.get("position", 1) == 1 and "variant" not in r.where
    }
    assert found["wrapper.adapter.pruned", "choice"].value == pytest.approx(1.0)
    assert found["wrapper.adapter.pruned", "report"].value < 0.05
    assert found["wrapper.adapter.lag", ""].value == pytest.approx(1.0, abs=0.05)
    assert found["wrapper.adapter.ahead", ""].value > 0.4
    together = awareness_effects(made_up(late=0.0), behavior="risk", seeds=(0, 1, 2))
    assert abs(next(r.value for r in together if r.name == "wrapper.adapter.ahead")) < 0.05
    assert len(draw_wrapper(together).axes) == 2


def test_an_adapter_that_moves_no_report_has_no_share_of_it():
    """Where the report stays, nothing of it can return: no share, no lag, and the levels say so."""
    values = made_up(late=0.0)
    for one in values["adapter/ask/pruned"]["ranked"]:
        one["report"] = [0.5, 0.5, 0.5, 0.51]
    found = awareness_effects(values, behavior="risk", seeds=(0, 1, 2))
    assert {r.where["kind"] for r in found if r.name == "wrapper.adapter.pruned"} == {"choice"}
    assert not any(r.name.endswith((".lag", ".ahead")) for r in found)


@pytest.mark.parametrize("name", ["wrapper", "wrapper_short"])
def test_shipped_configs_are_valid(name, pytestconfig, tmp_path):
    """They load, and their dry run counts their steps."""
    config = load_study(pytestconfig.rootpath / "configs" / "embedded" / f"{name}.yaml")
    assert isinstance(config, WrapperConfig)
    assert "steps to run" in study.STUDY.preview(config, tmp_path / "run")
