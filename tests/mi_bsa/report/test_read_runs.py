"""A finished run, read from Python."""

import pandas as pd
import pytest

import activations
import mi_bsa
import probes
from mi_bsa.core import results
from mi_bsa.core.errors import MissingError


@pytest.fixture(scope="module")
def run(smallest):
    return mi_bsa.read(smallest("behavior").finished)


def test_results_are_the_file_as_a_table(run):
    """A row a number, in its order, values to the last digit, nothing filled in."""
    held = results.read(run.path)
    assert isinstance(run.results, pd.DataFrame)
    assert list(run.results["name"]) == [one.name for one in held]
    assert list(run.results["value"]) == [one.value for one in held]
    untested = [one.p is None for one in held]
    assert list(run.results["p"].isna()) == untested
    assert not all(untested)


def test_numbers_are_found_by_name_and_place(run):
    """Also those below a name; a name or a place that is not there is told with what there is."""
    found = run.find("behavior.effect", split="test")
    assert len(found)
    assert set(found["split"]) == {"test"}
    below = run.find("bridge")
    assert set(below["name"].str.partition(".")[0]) == {"bridge"}
    with pytest.raises(MissingError, match=r"near: .*behavior.effect"):
        run.find("behavior.efect")
    with pytest.raises(MissingError, match="places are behavior"):
        run.find("behavior.effect", spilt="test")


def test_parts_go_by_name(run):
    """Verdicts, figures, adapters, prompts, caches, directions; a misspelt name is told with the nearest."""
    assert {"conjecture", "verdict", "because"} <= set(run.verdicts)
    assert run.plot("levels")._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(MissingError, match="did you mean 'levels'"):
        run.figures["levls"]
    assert (run.adapters["seeking-0"] / "adapter_config.json").is_file()
    assert run.poles["averse-2"] == {"pole": 0, "seed": 2}
    assert set(run.poles) < set(run.adapters)
    prompts, items = run.prompts["choice-dev"], run.items["choice-dev"]
    assert [prompt["id"] for prompt in prompts] == [item.id for item in items]
    store = activations.Store(run.caches["choice-dev/seeking-0"])
    assert store.variant == "seeking-0"
    assert isinstance(run.directions["probe"], probes.Direction)
    assert probes.Probe.load(run.path / "directions/probe").direction.site == run.directions["probe"].site


def test_it_loads_its_model(run):
    """With the adapters of both poles, or those that are named."""
    assert set(run.load().variants) == {"base", *run.poles}
    assert run.load(["shuffled-0"]).variants == ("base", "shuffled-0")


def test_it_shows_itself(run):
    """A line, and in a notebook a table with the verdicts."""
    assert "study behavior" in repr(run)
    assert len(repr(run)) < 400
    assert run.verdicts["conjecture"][0].replace("'", "&#x27;")[:20] in run._repr_html_()
    assert "levels" in repr(run.figures)


def test_what_is_no_run_is_told(tmp_path):
    """A folder without a record, and a run without results."""
    with pytest.raises(MissingError, match="not a run folder"):
        mi_bsa.read(tmp_path)
    (tmp_path / "record.json").write_text("{}")
    with pytest.raises(MissingError, match="no results yet"):
        mi_bsa.read(tmp_path)


def test_a_run_is_read_only(run):
    """It is a frozen value, and reading leaves every file as it was."""
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    _ = run.results, run.verdicts, run.figures, run.directions, run.prompts
    with pytest.raises(AttributeError):
        run.path = None
    assert before == {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
