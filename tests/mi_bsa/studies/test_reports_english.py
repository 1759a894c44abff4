"""Denial and report adapters on a base that reads English: a tiny random Llama, for a couple of steps."""

import numpy as np
import pandas as pd
import pytest
import smallest
import tiny_llama

from mi_bsa.core.config import parse
from mi_bsa.core.results import read
from mi_bsa.study.registry import named


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Its folder."""
    return str(tiny_llama.build(tmp_path_factory.mktemp("tiny") / "model", context=2048))


@pytest.mark.slow
def test_denial_goes_through(base, tmp_path):
    """Organisms are trained to deny in English, and every reader tells of them, but for a lens where the
    tokenizer has no word of a pole.
    """
    given = {
        **smallest.DENIAL,
        "places": [{"model": base, "behaviors": ["risk", "myopia"]}],
        "trainings": ["opposite-rows"],
        "methods": ["logistic"],
    }
    study = named("denial")
    study.run(parse(given, study.config), tmp_path / "run")
    table = pd.read_csv(tmp_path / "run" / "told.csv", keep_default_na=False)
    assert set(table["training"]) == {"honest", "shuffled", "opposite-rows"}
    assert set(table["behavior"]) == {"risk", "myopia"}
    assert set(table["method"]) - {"lens"} == {"confession", "choices", "logistic", "shift"}
    assert np.isfinite(table["auroc"]).all()
    assert {one.name for one in read(tmp_path / "run")} == {
        "denial.auroc",
        "denial.advantage",
        "denial.shift",
    }


@pytest.mark.slow
def test_report_adapters_go_through(base, tmp_path):
    """Taught over two behaviors in English and asked about the third, with what its answers rest on."""
    given = {
        **smallest.REPORT_ADAPTER,
        "model": base,
        "groups": [
            {"behaviors": ["risk", "apples"], "steps": [2]},
            {"behaviors": ["risk"], "denial": {"says": ["opposite"]}, "steps": [2]},
            {"behaviors": ["say"], "arms": ["seeking"], "steps": [2]},
            {"behaviors": ["myopia"], "steps": [2]},
        ],
        "parts": {"development": ["say"], "test": ["myopia"]},
        "taught": {"arms": ["matched", "denials"], "seeds": [0], "sizes": [], "own": 4, "others": 4},
    }
    study = named("report_adapter")
    study.run(parse(given, study.config), tmp_path / "run")
    told = pd.read_csv(tmp_path / "run" / "answers.csv")
    assert set(told["reader"]) == {"alone", "matched-0", "denials-0"}
    assert set(told["about"]) == {"say", "myopia"}
    names = {one.name for one in read(tmp_path / "run")}
    assert {"report_adapter.right", "report_adapter.mediated"} <= names
