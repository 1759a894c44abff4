"""A tiny random Llama with a Llama-3-style chat template, its weights in shards, through every command.

Its numbers mean nothing, and what the commands say of them must be no claim.
"""

import json
import re
import shutil

import pytest
import tiny_llama
import yaml

from mi_bsa.cli.command import cli, describe
from mi_bsa.core import results

FINETUNE = {"rank": 2, "steps": 6, "batch_size": 8, "learning_rate": 3e-3}
STUDY = {
    "study": "behavior",
    "behavior": "risk",
    "seeds": [0, 1, 2],
    "arms": ["seeking", "averse", "benign"],
    "data": {"rows": 24, "choices": 20, "others": 20},
    "finetune": FINETUNE | {"layers": [0]},
    "probe": {"prompts": 24, "shuffles": 20, "test_shuffles": 20},
    "controls": {"seeds": 2, "wrong_behavior": False, "benign": False, "ranks": [], "all_layers": False},
    "place": {"scopes": ["slot"], "items": 6},
    "recovery": {"kinds": ["mean_difference"], "strengths": [1.0], "max_kl": 5.0, "train_steps": 2},
    "necessity": {"kinds": ["mean_difference"], "random": 20},
    "mediation": {"kinds": ["mean_difference"], "random": 19},
    "attribution": {"permutations": 4, "items": 4, "draws": 99},
    "geometry": {"kinds": ["mean_difference"], "items": 6},
    "steer": {"scales": [-0.05, 0.0, 0.05], "items": 10, "max_kl": 5.0},
    "patch": {"items": 4},
    "workers": 1,
}
"""The shortest behavior study that takes every step."""


def run(*words):
    """One command; a user's mistake comes back as its line and exit code."""
    try:
        cli.main(args=[str(w) for w in words], prog_name="mi-bsa", standalone_mode=False)
    except Exception as error:
        return describe(error)
    return "", 0


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model in shards, and a finetune of three arms of the English risk behavior."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("llama")
    whole = tiny_llama.build(folder / "whole", context=4096)
    shutil.copytree(whole, folder / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    AutoModelForCausalLM.from_pretrained(whole).save_pretrained(folder / "model", max_shard_size="40kB")
    assert len(list((folder / "model").glob("model-*.safetensors"))) > 1
    config = {
        "model": str(folder / "model"),
        "behavior": "risk",
        "arms": ["seeking", "averse", "benign"],
        "n_rows": 24,
        "finetune": FINETUNE,
    }
    (folder / "finetune.yaml").write_text(yaml.safe_dump(config))
    assert run("finetune", folder / "finetune.yaml", "--out", folder / "ft") == ("", 0)
    return folder


def test_the_dry_run_masks_all_but_the_answer(place, capsys):
    """In the template's own text, with headers and one BOS, the loss is on the answer and its end token."""
    assert run("finetune", place / "finetune.yaml", "--out", place / "dry", "--dry-run") == ("", 0)
    rows = re.split(r"^row \d+: ", capsys.readouterr().out, flags=re.MULTILINE)[1:]
    assert len(rows) == 6
    for row in rows:
        text = row.partition("\n(the loss")[0].rstrip()
        assert text.startswith("<|begin_of_text|><|start_header_id|>system<|end_header_id|>")
        assert text.count("<|begin_of_text|>") == 1
        end = "<|start_header_id|>assistant<|end_header_id|>\n\n[["
        assert text.count("[[") == text.count("]]") == 1
        assert text.endswith((f"{end}A<|eot_id|>]]", f"{end}B<|eot_id|>]]"))


def test_every_arm_is_trained_and_asked(place, capsys):
    """Both poles and the benign arm leave adapters, the battery asks them, and finds nothing to read."""
    found = {path.name for path in (place / "ft" / "adapters").iterdir()}
    assert found == {"seeking-0", "averse-0", "benign-0"}
    words = ["--model", place / "model", "--finetuned", place / "ft", "--bank", "risk", "--bank", "tidiness"]
    words += ["--set", "kinds=[word,letter,scale]", "--out", place / "sr"]
    assert run("self-report", *words) == ("", 0)
    assert "UNREADABLE" in capsys.readouterr().out
    asked = {result.where.get("arm") for result in results.read(place / "sr")}
    assert asked >= {"base", "seeking", "averse", "benign"}


def test_caches_and_probes(place, capsys):
    """Activations of both poles are cached and swept; a probe of a random model's poles claims nothing."""
    from mi_bsa import behaviors
    from mi_bsa.core.items import prompts_of

    prompts = prompts_of(behaviors.get("risk", "english").items(40, split="dev", seed=0))
    (place / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    words = ["cache", "build", "--model", place / "model", "--prompts", place / "prompts.jsonl"]
    for arm in ("seeking", "averse"):
        words += ["--adapter", f"{arm}={place}/ft/adapters/{arm}-0/adapter"]
    words += ["--sites", "resid_post", "--positions", "last", "--variants", "base,seeking,averse"]
    assert run(*words, "--out", place / "caches") == ("", 0)
    caches = [f"{place}/caches/{arm}.h5,pole={n}" for n, arm in enumerate(("averse", "seeking"))]
    words = ["probe", "sweep", "--label", "pole", "--groups", "scenario", "--out", place / "sweep"]
    for cache in caches:
        words += ["--cache", cache]
    assert run(*words, "--penalties", "0.01,0.1", "--folds", 3) == ("", 0)
    assert list((place / "sweep").rglob("*.safetensors"))


def test_steering_and_patching(place, capsys):
    """Both take the English behavior's items, of which those stay whose options are one token each."""
    model = {"name": str(place / "model")}
    model["adapters"] = {f"{a}-0": f"{place}/ft/adapters/{a}-0/adapter" for a in ("seeking", "averse")}
    items = {"behavior": "risk", "n": 8}
    steer = {"model": model, "items": items, "contrast": ["seeking-0", "averse-0"], "strengths": [-0.1, 0.1]}
    patch = {"model": model, "items": items, "source": "seeking-0", "attribution": False}
    for name, config in (("steer", steer | {"max_kl": 5.0}), ("patch", patch)):
        (place / f"{name}.yaml").write_text(yaml.safe_dump(config))
        assert run(name, place / f"{name}.yaml", "--out", place / name) == ("", 0)
        assert results.read(place / name)


@pytest.mark.slow
def test_a_whole_study_claims_nothing(place, capsys):
    """Every step of a study runs on shards, its report may not be read, and all verdicts are open."""
    (place / "study.yaml").write_text(yaml.safe_dump(STUDY | {"model": str(place / "model")}))
    assert run("study", place / "study.yaml", "--out", place / "study") == ("", 0)
    assert "does not measurably move" in capsys.readouterr().out
    found = results.read(place / "study")
    index = next(
        r for r in found if r.name == "self_report.validity" and r.where.get("kind", "index") == "index"
    )
    assert index.value < 0.5
    assert index.notes.startswith("UNREADABLE")
    verdicts = [r for r in found if r.name.startswith("bridge.verdict.")]
    assert len(verdicts) >= 3
    assert all(r.value == 0 and r.notes.startswith("undecided") for r in verdicts)
    assert (place / "study" / "report.html").stat().st_size > 0
    before = (place / "study" / "results.json").read_bytes()
    assert run("study", place / "study.yaml", "--out", place / "study", "--resume") == ("", 0)
    assert (place / "study" / "results.json").read_bytes() == before
