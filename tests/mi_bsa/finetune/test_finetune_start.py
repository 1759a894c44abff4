"""Training that goes on from an adapter: alone and side by side, and refused where it does not fit."""

import pytest
import torch
from safetensors.torch import load_file

from mi_bsa import behaviors
from mi_bsa.core.errors import ConfigError, MissingError
from mi_bsa.finetune import finetune, finetune_together
from mi_bsa.finetune.config import FinetuneConfig

ROWS = behaviors.get("risk").rows("seeking", 16, seed=0)
CONFIG = FinetuneConfig(rank=2, alpha=4, layers=(0,), steps=2, batch_size=8)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return finetune("embedded", ROWS, config=CONFIG, out=tmp_path_factory.mktemp("first") / "run").adapter


def weights(folder):
    return load_file(folder / "adapter_model.safetensors")


def test_it_goes_on_from_the_weights_it_is_given(first, tmp_path):
    """With no learning rate to speak of nothing moves; the record says from what it went on."""
    still = CONFIG.model_copy(update={"learning_rate": 1e-12, "seed": 5})
    alone = finetune("embedded", ROWS, config=still, out=tmp_path / "alone", start=first)
    beside = finetune_together("embedded", {"x": (ROWS, still)}, out=tmp_path / "beside", starts={"x": first})
    for name, value in weights(first).items():
        torch.testing.assert_close(weights(alone.adapter)[name], value, atol=1e-7, rtol=0)
        torch.testing.assert_close(weights(beside["x"].adapter)[name], value, atol=1e-7, rtol=0)
    assert '"start"' in (tmp_path / "alone" / "record.json").read_text()


def test_an_adapter_of_another_rank_is_refused(first, tmp_path):
    """One line names the weight that differs; a folder without weights is named too."""
    wider = CONFIG.model_copy(update={"rank": 3})
    with pytest.raises(ConfigError, match="use its rank"):
        finetune("embedded", ROWS, config=wider, out=tmp_path / "wide", start=first)
    with pytest.raises(MissingError, match="go on from"):
        finetune("embedded", ROWS, config=CONFIG, out=tmp_path / "none", start=tmp_path)
