"""A tiny random Llama and a base of a few steps go through the whole preferences study to its results."""

import json
from pathlib import Path

import pytest
import yaml
from smallest import PREFERENCES

from mi_bsa.cli.command import cli, describe
from mi_bsa.core import results
from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError
from mi_bsa.studies.preferences import study
from mi_bsa.studies.preferences.config import PreferencesConfig
from mi_bsa.study.registry import load_study

CONFIGS = Path(__file__).parents[3] / "configs" / "embedded"


def run(*words):
    """One command; a user's mistake comes back as its line and exit code."""
    try:
        cli.main(args=[str(w) for w in words], prog_name="mi-bsa", standalone_mode=False)
    except Exception as error:
        return describe(error)
    return "", 0


@pytest.fixture(scope="module")
def llama(smallest):
    """A finished study of a tiny random Llama that reads English contexts."""
    return smallest("preferences").finished.parent


@pytest.mark.slow
def test_a_tiny_llama_goes_through_the_study(llama):
    """Random weights write no JSON: every report is counted as lost, and nothing is claimed."""
    found = results.read(llama / "run")
    rates = [r for r in found if r.name == "preferences.parse_rate"]
    assert len(rates) == 2 * 7
    assert all(r.value == 0 and "not parsed: " in r.notes and "none;" not in r.notes for r in rates)
    assert not any(r.name.startswith("preferences.gain") for r in found)
    assert any(r.name == "preferences.learned.agreement" for r in found)
    assert any(r.name == "preferences.probe.r" for r in found)
    assert (llama / "run" / "report.html").stat().st_size > 0


@pytest.mark.slow
def test_a_change_of_the_report_training_leaves_choices_alone(llama):
    """And what was asked of them."""
    changed = PREFERENCES | {
        "model": str(llama / "model"),
        "report_finetune": {"rank": 2, "steps": 3, "batch_size": 3},
    }
    changed = parse(changed, PreferencesConfig)
    lines = study.STUDY.preview(changed, llama / "run").splitlines()
    assert all("finished" in line for line in lines if "train/" in line or "ask/" in line)
    assert any("runs:" in line for line in lines if "reports/0" in line)


@pytest.mark.slow
def test_too_few_contexts_of_a_file_are_one_line(llama, tmp_path):
    """A file of contexts that is too short, or has an attribute without a range, is refused."""
    attributes = [{"name": n, "unit": "points", "low": 0, "high": 9} for n in ("size", "cost")]
    own = [{"role": f"cook {k}", "choice": "pan", "attributes": attributes} for k in range(3)]
    path = tmp_path / "own.yaml"
    config = PREFERENCES | {"model": str(llama / "model"), "contexts": str(path)}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    for entries, said in (
        (own, "3 contexts"),
        ([own[0] | {"attributes": [{"name": "x", "unit": ""}]}], "no range"),
    ):
        path.write_text(json.dumps(entries))
        message, code = run("study", tmp_path / "study.yaml", "--out", tmp_path / "run")
        assert code == 2
        assert said in message
        assert "\n" not in message
        assert not (tmp_path / "run").exists()


def test_shipped_configs_are_valid():
    """The full study has 200 contexts, three seeds and both arms; the short one is the same in small."""
    full, short = (load_study(CONFIGS / f"{name}.yaml") for name in ("preferences", "preferences_short"))
    assert (full.instilled, full.native, len(full.seeds)) == (100, 100, 3)
    assert [s.name for s in study.steps(full)] == [s.name for s in study.steps(short)]


def test_embeddings_alone_have_no_first_half():
    """An arm that would train nothing else than the other is refused, and not run twice."""
    alone = PREFERENCES | {"finetune": {"steps": 2, "modules": ["embed_tokens"]}}
    with pytest.raises(ConfigError, match="name linear modules too"):
        parse(alone, PreferencesConfig)
    assert parse(alone | {"arms": ["instilled"]}, PreferencesConfig).finetune.module_names == (
        "embed_tokens",
    )


def test_the_dry_run_counts_merged_models(tmp_path):
    """Report training writes a whole model for every seed; training on choices writes adapters alone."""
    config = parse(PREFERENCES | {"model": "meta-llama/Llama-3.2-1B-Instruct"}, PreferencesConfig)
    lines = study.STUDY.preview(config, tmp_path).splitlines()
    assert sum("reports/" in line and " GB " in line for line in lines) == 3
    assert sum("train/" in line and " MB " in line for line in lines) == 2
