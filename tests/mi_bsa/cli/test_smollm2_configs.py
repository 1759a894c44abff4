"""Studies of SmolLM2 that were not run pass their dry run from its shape alone: no weights, no tokenizer."""

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from mi_bsa.cli.command import cli

FOLDER = Path(__file__).parents[3] / "configs" / "smollm2"
SHAPE = {
    "model_type": "llama",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}
SAYS = {
    "denial": "would train 63 organisms, 36 of which deny",
    "report_adapter": r"would train 43 organisms \(24 for training, 3 for development, 16 for test\) and 14 ",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAYS)
def test_a_config_passes_its_dry_run(name, monkeypatch, tmp_path):
    """It says what would be trained and for how long, by the table; its head says that it was not run."""
    (tmp_path / "SmolLM2-135M.json").write_text(json.dumps(SHAPE))
    monkeypatch.setattr("mi_bsa.core.shape.HERE", tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert "Not run, and not registered" in text
    assert not (FOLDER / f"{name}.rules.lock").exists()
    given = tmp_path / "given.yaml"
    given.write_text(
        text.replace("model: smollm2", "model: HuggingFaceTB/SmolLM2-135M-Instruct"), encoding="utf-8"
    )
    assert "smollm2" not in json.dumps(yaml.safe_load(given.read_text(encoding="utf-8")))
    done = CliRunner().invoke(cli, ["study", str(given), "--out", str(tmp_path / "out"), "--dry-run"])
    assert done.exit_code == 0, done.output
    assert re.search(SAYS[name], done.output)
    assert re.search(r"about [^,]+ in one process, .* on cpu", done.output)
    assert "neither weights nor tokenizer on this machine" in done.output
    assert not (tmp_path / "out").exists()
