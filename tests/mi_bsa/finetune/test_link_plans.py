"""Bases of known links are built by one plan: stage upon stage, added to their model, in place when whole."""

import pytest
import tiny_llama
import torch

import activations
from mi_bsa.core.errors import ConfigError, MissingError
from mi_bsa.core.named_models.catalog import LINKED
from mi_bsa.core.named_models.installed import damage
from mi_bsa.finetune.links import LinkPlan, ensure, plan_of, train

STAGE = {"steps": 2, "learning_rate": 1e-3}
TUNE = {"rank": 2, "alpha": 4, "layers": [1], "steps": 1, "batch_size": 4}


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    base = str(tiny_llama.build(tmp_path_factory.mktemp("tiny")))
    stages = [{**STAGE, "shares": {"named": 0.0}}, STAGE]
    return LinkPlan.model_validate({"model": base, "characters": 8, "stages": stages, "finetune": TUNE})


def test_a_base_is_its_model_with_the_last_stage_added(plan, tmp_path, monkeypatch):
    """What stands under the name gives the logits of the model with the adapter; it is found, and not made
    again.
    """
    monkeypatch.setenv("MI_BSA_HOME", str(tmp_path))
    with pytest.raises(MissingError, match="mi-bsa model get smollm2/linked-0"):
        activations.load("smollm2/linked-0")
    folder = ensure("smollm2/linked-0", plan=plan)
    assert damage(folder, deep=True) is None
    assert "one level of a trait drives" in (folder / "README.md").read_text()
    adapter = train(plan, tmp_path / "links" / "smollm2-linked-0")
    whole, parts = activations.load("smollm2/linked-0"), activations.load(plan.model.name, adapter=adapter)
    ids = torch.arange(3, 12)[None]
    with torch.no_grad():
        told = whole.inner(ids).logits, parts.inner(ids).logits
    torch.testing.assert_close(*told, atol=1e-5, rtol=1e-4)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert ensure("smollm2/linked-0") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_a_stage_goes_on_from_the_one_before(plan, tmp_path):
    """Rows of stages differ, and a finished stage is not trained again."""
    assert plan.rows(0) != plan.rows(1)
    assert len(plan.rows(1)) == STAGE["steps"] * TUNE["batch_size"]
    train(plan, tmp_path)
    first = (tmp_path / "stage-0" / "finetune.json").stat().st_mtime_ns
    assert train(plan, tmp_path) == tmp_path / "stage-1" / "adapter"
    assert (tmp_path / "stage-0" / "finetune.json").stat().st_mtime_ns == first


def test_plans_have_names():
    """The three bases differ in their link alone; another name is refused with the list."""
    plans = [plan_of(f"smollm2/{name}") for name in LINKED]
    assert [plan.link for plan in plans] == ["linked", "separate", "prompt"]
    assert len({plan.model_copy(update={"link": "linked"}).model_dump_json() for plan in plans}) == 1
    with pytest.raises(ConfigError, match="smollm2/separate-0"):
        plan_of("smollm2/other-0")
