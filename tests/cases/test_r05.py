"""Case R5: one bad or perfect cell never stops a sweep; a line without an interval says why."""

import json

import numpy as np
import pandas as pd
import pytest

import probes


def world(bad=None):
    """30 units of 4, three layers; in layer 1 one column is shifted by 5 standard deviations."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"scenario": np.repeat(np.arange(30), 4), "pole": np.arange(120) % 2})
    xs = {f"resid_post.{k}": rng.normal(size=(120, 4)) for k in range(3)}
    xs["resid_post.1"][:, 0] += 5 * table["pole"]
    if bad == "nan":
        xs["resid_post.0"][7] = np.nan
    elif bad is not None:
        xs["resid_post.0"][:] = bad
    return xs, table


ARGUMENTS = {
    "label": "pole", "groups": ["scenario"], "methods": ["mean_difference"], "n_shuffles": 5, "n_splits": 3,
    "controls": False,
}  # fmt: skip


def test_perfect_separation_has_an_interval():
    """The case: the separated layer has an interval that ends at 1, and the others are what they were."""
    found = probes.sweep(*world(), **ARGUMENTS)
    line = found.table.set_index("layer").loc[1]
    assert line["auroc"] > 0.999
    assert 0.85 < line["low"] < line["auroc"]
    assert found.best.cell == "resid_post.1"
    assert not found.without_interval
    assert found.table[["low", "high", "p", "p_max"]].notna().all().all()


@pytest.mark.parametrize("nested", [False, True])
def test_a_bad_cell_is_named_and_the_rest_goes_on(nested, tmp_path):
    """NaN in one row of one layer: that line says so; all other lines are as without the bad layer."""
    xs, table = world(bad="nan")
    found = probes.sweep(xs, table, nested=nested, **ARGUMENTS)
    lines = found.table.set_index("layer")
    assert np.isnan(lines.loc[0, "auroc"])
    assert lines.loc[0, "ci_method"].startswith("none: 1 of 120 rows of resid_post.0 hold NaN")
    assert list(found.without_interval) == ["resid_post.0, mean_difference"]
    good = {k: v for k, v in xs.items() if k != "resid_post.0"}
    alone = probes.sweep(good, table, nested=nested, **ARGUMENTS).table
    pd.testing.assert_frame_equal(found.table.iloc[1:].reset_index(drop=True), alone, check_dtype=False)
    found.save(tmp_path / "out")  # the figure too is drawn without it
    assert "none: 1 of 120 rows" in (tmp_path / "out" / "table.csv").read_text()


def test_a_dead_layer_is_tied_not_an_error():
    """A layer of zeros scores .5 with an interval of rows, not [.5, .5]."""
    found = probes.sweep(*world(bad=0.0), **ARGUMENTS)
    line = found.table.set_index("layer").loc[0]
    assert line["auroc"] == 0.5
    assert line["low"] < 0.45 < 0.55 < line["high"]


def test_where_every_cell_is_bad_the_first_is_the_error():
    """Nothing is left to choose from: the error of the first cell is raised, with its name."""
    xs, table = world(bad="nan")
    with pytest.raises(probes.ActivationError, match=r"resid_post\.0"):
        probes.sweep({"resid_post.0": xs["resid_post.0"]}, table, **ARGUMENTS)


def test_few_units_and_ties_have_width():
    """Equal units, ties and constant scores never give an interval without width."""
    y = np.tile([0, 1, 0, 1], 8)
    for units in (4, 8, 16, 32):
        u = np.arange(32) // (32 // units)
        for s in (np.zeros(32), np.tile([0, 1, 1, 2], 8), y * 1.0):
            found = probes.auroc(y, s, units=u)
            assert found.low < found.high
            assert np.isfinite([found.low, found.high]).all()


def test_an_estimate_without_interval_prints_the_reason():
    """It prints no nan, and is strict JSON."""
    from probes.statistics.intervals import no_interval

    found = no_interval(0.75, "one unit only", n=4, units=1)
    assert str(found) == "0.750 (n=4, no interval: one unit only)"
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["low"] is None


def test_the_command_names_it(tmp_path, monkeypatch):
    """`mi-bsa probe sweep` prints one line for the cell, and its record is strict JSON."""
    from click.testing import CliRunner

    from mi_bsa.cli import probe as cli_probe

    source = probes.source.Arrays(*world(bad="nan"))
    monkeypatch.setattr(cli_probe, "_source", lambda caches, *_: (source, {"a": "x"}))
    out = tmp_path / "out"
    arguments = ["sweep", "--cache", "a.h5", "--label", "pole", "--groups", "scenario", "--out", str(out)]
    run = CliRunner().invoke(
        cli_probe.probe,
        [*arguments, "--methods", "mean_difference", "--shuffles", "5"],
        catch_exceptions=False,
    )
    assert run.exit_code == 0, run.output
    assert "no interval at resid_post.0, mean_difference: 1 of 120 rows of resid_post.0" in run.output
    json.loads((out / "results.json").read_text(), parse_constant=lambda text: pytest.fail(text))
