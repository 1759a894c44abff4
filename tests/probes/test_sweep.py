"""A sweep finds what was planted, where it was planted, and nothing where nothing was."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import probes
from probes.controls import CONTROLS


@pytest.fixture(scope="module")
def found(planted):
    """One sweep over the planted world."""
    return probes.sweep(
        planted.arrays,
        planted.table,
        label="pole",
        groups=planted.groups,
        methods=("logistic", "mean_difference"),
    )


def test_planted_layer_is_found(found, planted):
    """Early layers stay inside the null, late ones leave it, and the chosen direction is the planted one."""
    table = found.table[found.table["method"] == "mean_difference"].set_index("layer")
    assert (table.loc[[0, 1], "low"] < 0.5).all()
    assert (table.loc[[2, 3], "low"] > 0.7).all()
    assert found.best.cell in ("resid_post.2", "resid_post.3")
    assert found.best.auroc.value > 0.8
    assert found.best.auroc.low > 0.5  # of one world; eight are asked for .7 in the mean, below (slow)
    assert found.best.direction.vector @ planted.unit > 0.7
    assert found.best.direction.sign == "towards 1"
    assert found.best.direction.scale == pytest.approx(
        np.median(np.linalg.norm(planted.arrays[found.best.cell], axis=1)), rel=1e-4
    )


@pytest.mark.slow  # eight sweeps
def test_the_choice_of_a_layer_costs_little(make_planted):
    """Over eight worlds the nested AUROC keeps the lower end that a planted layer has: .7 in the mean."""
    ends, cells = [], set()
    for seed in range(8):
        world = make_planted(seed)
        how = {"label": "pole", "groups": world.groups, "methods": ("mean_difference",)}
        best = probes.sweep(world.arrays, world.table, controls=False, **how).best
        ends.append(best.auroc.low)
        cells.add(best.cell)
    assert np.mean(ends) > 0.7
    assert cells <= {"resid_post.2", "resid_post.3"}


def test_every_line_carries_n_interval_and_null(found, planted):
    """No number stands alone; all rows are tested once; the smallest possible p is printed."""
    needed = ["auroc", "low", "high", "n", "units", "null_mean", "null_low", "null_high", "p_max", "p_floor"]
    assert found.table[needed].notna().all().all()
    assert (found.table["n"] == len(planted.table)).all()
    assert (found.table["p_floor"] >= 1 / 21).all()
    assert (found.table["p_max"] >= found.table["p"] - 1e-12).all()
    assert set(found.controls["control"]) == set(CONTROLS)


def test_controls_say_what_they_must(found):
    """Prompts shared by both poles carry nothing, and a control that can not run says why."""
    lines = found.controls.set_index("control")
    assert lines.loc["bag_of_words", "low"] <= 0.5 <= lines.loc["bag_of_words", "high"]
    assert lines.loc["embedding", "note"].startswith("not run:")
    assert "no base model's activations" in lines.loc["base_model", "note"]
    assert lines.loc["unstandardized", "value"] > 0.8


def test_surface_controls_catch_a_surface_label(planted):
    """Where the words give the label away, the bag of words and the prompt length say so."""
    table = planted.table.copy()
    table["prompt"] = np.where(table["pole"] == 1, "take the bold gamble now and then", "play it safe")
    found = probes.sweep(
        {"resid_post.3": planted.arrays["resid_post.3"], "embed": planted.arrays["resid_post.0"]},
        table, label="pole", groups=planted.groups, penalties=(0.1,), sites="resid_post", n_shuffles=0,
        base=planted.arrays["resid_post.0"],
    )  # fmt: skip
    lines = found.controls.set_index("control")
    assert lines.loc[["bag_of_words", "prompt_length"], "value"].tolist() == [1, 1]
    for name in ("embedding", "base_model"):
        assert lines.loc[name, "low"] < 0.5 < lines.loc[name, "high"]


def test_controls_are_switched_off_by_name_only(planted):
    """`without` needs a control's name."""
    arguments = {"label": "pole", "groups": planted.groups, "penalties": (0.1,), "n_shuffles": 0}
    one = {"resid_post.3": planted.arrays["resid_post.3"]}
    off = probes.sweep(one, planted.table, without=["control_task"], **arguments)
    assert off.controls.iloc[0]["note"] == "switched off by name"
    with pytest.raises(probes.SourceError, match="nearest: control_task"):
        probes.sweep(one, planted.table, without=["control_tasks"], **arguments)


def test_one_pass_equals_separate_sweeps(planted):
    """Adding layers to a sweep changes no other layer's line."""
    one = probes.sweep(
        {"resid_post.2": planted.arrays["resid_post.2"]}, planted.table, label="pole", groups=planted.groups,
        penalties=(0.1,), n_shuffles=3, controls=False,
    )  # fmt: skip
    both = probes.sweep(
        planted.arrays, planted.table, label="pole", groups=planted.groups, penalties=(0.1,), n_shuffles=3,
        controls=False,
    )  # fmt: skip
    shared = both.table[both.table["layer"] == 2].drop(columns=["p_max"]).reset_index(drop=True)
    assert one.table.drop(columns=["p_max"]).equals(shared)


def test_penalties_are_swept_strongest_first_in_whatever_order_they_come(planted):
    """The order in which C are named changes nothing, not even which of two equals wins."""
    one, other = (
        probes.sweep(
            {"resid_post.3": planted.arrays["resid_post.3"]}, planted.table, label="pole",
            groups=planted.groups, penalties=penalties, n_shuffles=0, controls=False,
        )
        for penalties in ((0.01, 1.0), (1.0, 0.01))
    )  # fmt: skip
    assert one.table["penalty"].tolist() == [0.01, 1.0]
    assert one.table.equals(other.table)


def test_positions_are_swept_one_by_one(planted):
    """Rows of several positions are swept apart, and the choice names its position."""
    table = planted.table.assign(position=0)
    both = probes.sweep(
        {"resid_post.0": np.concatenate([planted.arrays["resid_post.0"], planted.arrays["resid_post.3"]])},
        pd.concat([table, table.assign(position=5)]), label="pole", groups=planted.groups,
        by_position="position", penalties=(0.1,), n_shuffles=2, controls=False,
    )  # fmt: skip
    assert both.table["position"].tolist() == [0, 5]
    assert both.best.position == 5


def test_saved_folder(found, tmp_path):
    """Table, figure, probe and direction are on disk, load again, and hold no pickle."""
    found.save(tmp_path / "out")
    names = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert names == [
        "chosen.csv", "controls.csv", "directions/best.json", "directions/best.safetensors", "figure.png",
        "figure.svg", "probes/best.json", "probes/best.safetensors", "table.csv",
    ]  # fmt: skip
    again = probes.Probe.load(tmp_path / "out" / "probes" / "best")
    np.testing.assert_allclose(again.coef, found.best.probe.coef)
    assert again.direction.cosine(found.best.direction) == pytest.approx(1)
    with pytest.raises(probes.ProbesError, match="choose another folder"):
        found.save(tmp_path / "out")


def test_bad_input(planted):
    """Missing label, NaN rows, one class and single-row groups are refused with the remedy."""
    arrays, table = planted.arrays, planted.table
    with pytest.raises(probes.LabelError, match="nearest: pole"):
        probes.sweep(arrays, table, label="poll", groups=planted.groups)
    with pytest.raises(probes.LabelError, match="constant"):
        probes.sweep(arrays, table.assign(pole=1), label="pole", groups=planted.groups)
    with pytest.raises(probes.GroupError, match="--groups none"):
        probes.sweep(arrays, table.assign(row=np.arange(len(table))), label="pole", groups=["row"])
    broken = {"resid_post.0": arrays["resid_post.0"].copy()}
    broken["resid_post.0"][[3, 9], 1] = np.nan
    with pytest.raises(probes.ActivationError, match=r"2 of 100 rows .*\(rows \[3, 9\]\)"):
        probes.sweep(broken, table, label="pole", groups=planted.groups)
    with pytest.raises(probes.SourceError, match="nearest: resid_post"):
        probes.sweep(arrays, table, label="pole", groups=planted.groups, sites="resid_pst")


def test_public_names_are_never_shadowed_by_modules():
    """Whatever part of the package was imported first, a public name is the function or class, not a
    module."""
    code = (
        "import pkgutil, importlib, probes, types\n"
        "for m in pkgutil.walk_packages(probes.__path__, 'probes.'): importlib.import_module(m.name)\n"
        "print([n for n in probes.__all__ if isinstance(getattr(probes, n), types.ModuleType)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
