"""`mi-bsa patch` and `mi-bsa steer`: both run on items of one's own with any model, and mistakes are one line
with exit code 2.
"""

import json

import pytest
import yaml
from tiny_items import WORDS, items, message, neutral

from activations import testing
from mi_bsa.cli.command import main
from mi_bsa.core import results
from mi_bsa.core.config import load
from mi_bsa.core.items import write_items


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("causal")
    testing.build(path / "base", n_layers=2)
    testing.build_adapter(path / "k", path / "base", modules=("v_proj", "o_proj", "down_proj"))
    testing.build_adapter(path / "m", path / "base", seed=1, modules=("v_proj", "o_proj", "down_proj"))
    for name in ("behavior", "self_report", "behavior_dev", "self_report_dev"):
        write_items(items(name, 8), path / f"{name}.jsonl")
    rows = [{"id": f"n{n}", "messages": said} for n, said in enumerate(neutral(3))]
    (path / "neutral.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = [
        {
            "id": f"p{n}",
            "source": message(["take", "one", WORDS[n], "now"]),
            "target": message(["take", "you", WORDS[n], "now"]),
            "answer": "A",
            "other": "B",
        }
        for n in range(4)
    ]
    (path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    return path


def config(folder, name, data):
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


def files(folder, suffix=""):
    return {name: str(folder / f"{name}{suffix}.jsonl") for name in ("behavior", "self_report")}


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main([str(a) for a in arguments])
    return left.value.code


def model(folder, *names):
    return {"name": str(folder / "base"), "adapters": {name: str(folder / name) for name in names}}


def test_patch_makes_a_map_a_table_and_figures(folder, tmp_path, capsys):
    """The finetune patched into the base: results with intervals, a table with tokens, a figure, and the
    modules' gates.
    """
    data = {
        "model": model(folder, "k"),
        "items": {"files": files(folder), "n": 6},
        "gates": {"permutations": 4},
    }
    assert run("patch", config(folder, "patch", data), "--out", tmp_path / "out") == 0
    found = results.read(tmp_path / "out")
    names = {one.name for one in found}
    assert {
        "patch.recovery",
        "patch.attribution_agreement",
        "attribution.module",
        "bridge.attribution.rank_correlation",
    } <= names
    last = [
        one
        for one in found
        if one.name == "patch.recovery"
        and one.where["layer"] == 1
        and one.where["position"].endswith("assistant|>")
    ]
    assert last[0].value == pytest.approx(1, abs=1e-3)
    assert (tmp_path / "out" / "figures" / "patch_map.svg").is_file()
    assert "role" in (tmp_path / "out" / "patch_behavior.csv").read_text().splitlines()[0]
    assert "cells" in capsys.readouterr().out
    assert run("patch", config(folder, "patch", data), "--out", tmp_path / "out") == 2


def test_patch_takes_clean_and_corrupt_pairs_and_heads(folder, tmp_path):
    """Pairs with their answers, layer x head, noising, on a model without adapters."""
    data = {
        "model": model(folder),
        "pairs": str(folder / "pairs.jsonl"),
        "site": "head_z",
        "by_head": True,
        "positions": "together",
        "mode": "noising",
        "metric": "probability",
    }
    assert run("patch", config(folder, "pairs", data), "--out", tmp_path / "out") == 0
    assert len([one for one in results.read(tmp_path / "out") if one.name == "patch.recovery"]) == 8


def test_steer_draws_curves_with_bands(folder, tmp_path, capsys):
    """A contrast of two variants, chosen on development items, with its nulls, curve and figure."""
    items = {
        "files": files(folder),
        "development": files(folder, "_dev"),
        "neutral": str(folder / "neutral.jsonl"),
        "n": 6,
    }
    data = {
        "model": model(folder, "k", "m"),
        "items": items,
        "contrast": ["k", "m"],
        "strengths": [-0.5, 0.5],
        "max_kl": 20.0,
    }
    assert run("steer", config(folder, "steer", data), "--out", tmp_path / "out") == 0
    found = results.read(tmp_path / "out")
    assert sum(one.name == "steer.level" for one in found) == 6
    effect = [one for one in found if one.name == "steer.effect"]
    assert all(one.p is not None and one.null.n == 999 for one in effect)
    assert (tmp_path / "out" / "figures" / "doses.png").is_file()
    assert len(list((tmp_path / "out" / "directions").glob("*.safetensors"))) == 2
    assert "p =" in capsys.readouterr().out
    saved = sorted(str(path) for path in (tmp_path / "out" / "directions").glob("*.safetensors"))
    again = {**{k: v for k, v in data.items() if k != "contrast"}, "directions": saved}
    assert run("steer", config(folder, "again", again), "--out", tmp_path / "again") == 0
    assert {
        one.key: one.value for one in results.read(tmp_path / "again") if one.name == "steer.effect"
    }.keys()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"site": "resid_post.9"}, "layers 0 to 1"),
        ({"align": "position"}, "align='roles'"),
        ({"source": "nobody"}, "write one of these"),
        ({"source": "base"}, "nothing differs"),
        ({"model": {"name": "base-of-nowhere"}}, "check its spelling"),
        ({"layers": 3}, "layers"),
    ],
)
def test_bad_patch_input_is_one_line(folder, tmp_path, capsys, changes, said):
    """A missing site, unaligned prompts, unknown variants and keys end with exit code 2 and no traceback."""
    rows = [json.loads(line) for line in (folder / "behavior.jsonl").read_text().splitlines()]
    rows[0]["messages"][0]["content"] += " coins"
    (tmp_path / "ragged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {
        "model": model(folder, "k"),
        "items": {"files": {"behavior": str(tmp_path / "ragged.jsonl")}},
        **changes,
    }
    assert run("patch", config(tmp_path, "bad", data), "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strengths": [".nan"]}, "finite"),
        ({"contrast": None}, "directions"),
        ({"max_kl": 1e-9}, "coherence gate"),
        ({"n_test": 99}, "999"),
    ],
)
def test_bad_steer_input_is_one_line(folder, tmp_path, capsys, changes, said):
    """Strengths that are not finite, no direction, a gate that nothing passes, too few null directions."""
    items = {
        "files": files(folder),
        "development": files(folder, "_dev"),
        "neutral": str(folder / "neutral.jsonl"),
        "n": 4,
    }
    data = {
        "model": model(folder, "k"),
        "items": items,
        "contrast": ["k", "base"],
        "strengths": [0.5],
        **changes,
    }
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(data).replace("'.nan'", ".nan"))
    assert run("steer", path, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_the_shipped_configs_are_valid():
    """The example configs load, and --dry-run prints them."""
    from pathlib import Path

    from mi_bsa.causal.config import PatchRun, SteerRun

    root = Path(__file__).parents[3] / "configs" / "embedded"
    assert load(root / "risk_patch.yaml", PatchRun).source == "seeking-0"
    assert load(root / "risk_steer.yaml", SteerRun).contrast == ("seeking-0", "averse-0")
    assert run("patch", root / "risk_patch.yaml", "--out", "never", "--dry-run") == 0
