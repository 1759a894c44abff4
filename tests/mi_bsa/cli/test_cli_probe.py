"""`mi-bsa probe`: caches in, tables, figures, probes and one-line refusals out."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

from mi_bsa.cli.command import main
from mi_bsa.core import results


def write_cache(
    path, seed=0, poles=(0, 1), layers=(1, 2), width=12, bad=False, convention="block L is resid_post.L"
):
    """A small cache in the published form, the pole written along one direction."""
    rng = np.random.default_rng(seed)
    rows = [(s, k, p) for s in range(8) for k in range(5) for p in poles]
    table = pd.DataFrame(rows, columns=["scenario", "seed", "pole"])
    with h5py.File(path, "w") as file:
        attributes = {
            "schema_version": 1,
            "base_model": "tiny",
            "base_fingerprint": "b",
            "variant": "base",
            "index_hash": "i",
            "dtype": "float32",
            "layer_convention": convention,
        }
        file.attrs.update(attributes)
        for layer in layers:
            x = rng.normal(size=(len(table), width))
            x[:, 0] += 2.0 * table["pole"] if len(poles) == 2 else 2.0 * poles[0]
            if bad:
                x[4, 1] = np.nan
            file[f"activations/resid_post/{layer}"] = x.astype(np.float32)
        file["rows/example"] = np.arange(len(table))
        file["rows/position"] = np.full(len(table), 9)
        file["rows/token_id"] = np.full(len(table), 1)
        file["examples/id"] = [f"e{i}" for i in range(len(table))]
        file["examples/prompt"] = [f"scenario {s} please" for s in table["scenario"]]
        file["examples/scenario"] = table["scenario"].to_numpy()
        file["examples/seed"] = table["seed"].to_numpy()
        file["examples/pole"] = table["pole"].to_numpy()
    return path


def run(capsys, *arguments):
    """Exit code, stdout and stderr of one command."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in ("probe", *arguments)])
    shown = capsys.readouterr()
    return stop.value.code, shown.out, shown.err


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One good cache."""
    return write_cache(tmp_path_factory.mktemp("cache") / "good.h5")


def test_sweep_leaves_all_that_it_names(capsys, cache, tmp_path):
    """A table, a figure, the probe and direction, controls, and a run folder; a taken folder is refused, and
    with --resume a finished one is left as it is.
    """
    out = tmp_path / "sweep"
    arguments = ["sweep", "--cache", cache, "--label", "pole", "--groups", "scenario,seed", "--out", out]
    code, shown, error = run(capsys, *arguments, "--penalties", "0.1", "--set", "shuffles=3")
    assert code == 0, error
    assert "by nested choice" in shown
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert {"table.csv", "controls.csv", "figure.svg", "figure.png"} <= names
    assert {"config.yaml", "record.json", "results.json"} <= names
    assert {"probes/best.safetensors", "probes/best.json", "directions/best.safetensors"} <= names
    assert not any(name.endswith((".pkl", ".joblib", ".pt")) for name in names)
    table = pd.read_csv(out / "table.csv")
    assert (table["n_shuffles"] == 3).all()
    record = json.loads((out / "record.json").read_text())
    found = results.read(out)
    (best,) = (one for one in found if one.name == "probe.nested.auroc")
    assert (best.n, best.rows) == (5, 80)
    cells = [one for one in found if one.name == "probe.auroc"]
    assert len(cells) == len(table)
    assert {one.null.n for one in cells} == {3}
    assert yaml.safe_load((out / "config.yaml").read_text())["shuffles"] == 3
    assert record["environment"]["versions"]["scikit-learn"]
    assert run(capsys, *arguments)[0] == 2
    again = [*arguments, "--resume", "--penalties", "0.1", "--shuffles"]
    code, shown, error = run(capsys, *again, "3")
    assert (code, shown.strip()) == (0, f"finished before: {out}")
    code, shown, error = run(capsys, *again, "4")
    assert code == 0, error
    assert yaml.safe_load((out / "config.1.yaml").read_text())["shuffles"] == 3
    assert {one.null.n for one in results.read(out) if one.name == "probe.auroc"} == {4}


def test_a_config_says_what_flags_say(capsys, cache, tmp_path):
    """`probe train CONFIG`, the same flags, and the config that a run left write the same results."""
    config = tmp_path / "probe.yaml"
    config.write_text(
        f"caches: [{cache}]\nlabel: pole\ngroups: [scenario, seed]\npenalties: [0.1]\nshuffles: 2\n"
    )
    assert run(capsys, "train", config, "--out", tmp_path / "a")[0] == 0
    words = ["--cache", cache, "--label", "pole", "--groups", "scenario,seed", "--penalties", "0.1"]
    assert run(capsys, "train", *words, "--shuffles", "2", "--out", tmp_path / "b")[0] == 0
    assert run(capsys, "train", tmp_path / "b" / "config.yaml", "--out", tmp_path / "c")[0] == 0
    for name in ("config.yaml", "results.json"):
        assert len({(tmp_path / folder / name).read_bytes() for folder in "abc"}) == 1


def test_train_then_test_on_another_cache(capsys, cache, tmp_path):
    """A probe trained on one cache reads another of the same model, with intervals over its units."""
    out = tmp_path / "probe"
    code, _, error = run(
        capsys,
        "train",
        "--cache",
        cache,
        "--label",
        "pole",
        "--groups",
        "scenario,seed",
        "--out",
        out,
        "--penalties",
        "0.1",
    )
    assert code == 0, error
    other = write_cache(tmp_path / "other.h5", seed=1)
    code, shown, error = run(
        capsys,
        "test",
        "--probe",
        out,
        "--cache",
        other,
        "--label",
        "pole",
        "--units",
        "seed",
        "--out",
        tmp_path / "t",
    )
    assert code == 0, error
    assert "units=5" in shown.splitlines()[0]
    result = next(one for one in results.read(tmp_path / "t") if one.name == "probe.auroc")
    assert result.ci[0] > 0.8
    assert result.null.n == 999
    assert result.null.high < result.ci[0]
    for wrong, remedy in (
        (write_cache(tmp_path / "layers.h5", layers=(7,)), "capture that site"),
        (write_cache(tmp_path / "width.h5", width=5), "read the site it was fitted on"),
        (write_cache(tmp_path / "convention.h5", convention="hidden_states"), "capture the store again"),
    ):
        code, _, error = run(capsys, "test", "--probe", out, "--cache", wrong, "--label", "pole")
        assert code == 2
        assert remedy in error


def test_several_caches_with_facts(capsys, tmp_path):
    """Caches of several adapters are joined, their facts given on the command line."""
    parts = []
    for pole in (0, 1):
        for seed in range(3):
            path = write_cache(tmp_path / f"a{pole}{seed}.h5", seed=10 * pole + seed, poles=(pole,))
            parts += ["--cache", f"{path},side={pole},run={seed}"]
    code, shown, error = run(
        capsys,
        "train",
        *parts,
        "--label",
        "side",
        "--groups",
        "scenario,run",
        "--shuffle-unit",
        "adapter",
        "--penalties",
        "0.1",
        "--out",
        tmp_path / "o",
    )
    assert code == 0, error
    assert "units=3" in shown


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"--label": "poll"}, "nearest: pole"),
        ({"--groups": "id"}, "--groups none"),
        ({"--groups": "nothing"}, "no group column"),
        ({"--cache": "missing.h5"}, "mi-bsa cache build"),
        ({"--penalties": "a,b"}, "write them as"),
        ({"--set": "fold=3"}, "did you mean 'folds'"),
        ({"--sites": "resid_pst"}, "nearest: resid_post"),
        ({"--methods": "logistics"}, "nearest: logistic"),
        ({"--cache": "bad"}, "rows [4]"),
        ({"--cache": "one"}, "constant"),
    ],
)
def test_bad_input_is_one_line_and_exit_two(capsys, cache, tmp_path, change, remedy):
    """Each mistake is one clear line with the remedy, and exit code 2."""
    if change.get("--cache") == "bad":
        change = {"--cache": write_cache(tmp_path / "bad.h5", bad=True)}
    if change.get("--cache") == "one":
        change = {"--cache": write_cache(tmp_path / "one.h5", poles=(1,))}
    options = {
        "--cache": cache,
        "--label": "pole",
        "--groups": "scenario,seed",
        "--out": tmp_path / "o",
    } | change
    code, shown, error = run(capsys, "sweep", *[part for pair in options.items() for part in pair])
    assert code == 2
    assert shown == ""
    assert len(error.strip().splitlines()) == 1
    assert remedy in error


def test_independent_rows_are_stated(capsys, tmp_path):
    """`--groups none` is accepted as the statement that rows are independent, where no prompt repeats."""
    cache = write_cache(tmp_path / "cache.h5")
    with h5py.File(cache, "r+") as file:
        del file["examples/prompt"]
        file["examples/prompt"] = [f"prompt number {i}" for i in range(len(file["examples/id"]))]
    code, _, error = run(
        capsys,
        "train",
        "--cache",
        cache,
        "--label",
        "pole",
        "--groups",
        "none",
        "--penalties",
        "0.1",
        "--out",
        tmp_path / "o",
    )
    assert code == 0, error
