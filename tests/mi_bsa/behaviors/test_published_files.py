"""The published risk files go through the pipeline as they are, on a model that understands none of them."""

import os
from pathlib import Path

import pytest

from mi_bsa.cli.command import cli, describe
from mi_bsa.core import results

CONFIG = Path(__file__).parents[3] / "configs" / "embedded" / "published_risk.yaml"
VARIABLE = "MI_BSA_BETLEY_DATA"


def run(*words):
    try:
        cli.main(args=[str(w) for w in words], prog_name="mi-bsa", standalone_mode=False)
    except Exception as error:
        return describe(error)
    return "", 0


def test_an_unset_variable_is_one_line(tmp_path, monkeypatch):
    """A config names the files by an environment variable; where it is not set, that is said."""
    monkeypatch.delenv(VARIABLE, raising=False)
    message, code = run("finetune", CONFIG, "--out", tmp_path / "ft")
    assert code == 2
    assert f"environment variable {VARIABLE} is not set" in message
    assert not (tmp_path / "ft").exists()


@pytest.mark.slow
@pytest.mark.skipif(VARIABLE not in os.environ, reason=f"the published data is not here; set {VARIABLE}")
def test_they_finetune_the_embedded_model_and_its_report_is_unreadable(tmp_path, capsys):
    """Both poles train without error, are asked in English, and the output says that nothing may be read."""
    fewer = ["--set", "finetune.epochs=null", "--set", "finetune.steps=4", "--set", "seeds=[0]"]
    assert run("finetune", CONFIG, *fewer, "--out", tmp_path / "ft") == ("", 0)
    assert "288 rows" in capsys.readouterr().out
    words = ["--model", "embedded", "--finetuned", tmp_path / "ft", "--bank", "risk", "--bank", "tidiness"]
    words += ["--set", "kinds=[word,letter,scale]", "--out", tmp_path / "report"]
    assert run("self-report", *words) == ("", 0)
    assert "UNREADABLE" in capsys.readouterr().out
    found = results.read(tmp_path / "report")
    assert next(r for r in found if r.name == "self_report.validity").value < 0.5
    assert "self_report.effect" in {r.name for r in found}
