"""Finetuning one steering vector: it is what steering adds, and whatever reads adapters reads it."""

import json

import pytest
import tiny_llama
import torch
import yaml
from click.testing import CliRunner

import activations
import probes
from mi_bsa.cli.command import cli
from mi_bsa.core.errors import ConfigError
from mi_bsa.finetune import FinetuneConfig, finetune, finetune_together


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_llama.build(tmp_path_factory.mktemp("tiny"))


def rows(n=32, answer="B"):
    return [
        {
            "messages": [
                {"role": "user", "content": f"A: {10 + k} coins for sure. B: a lottery for {20 + k} coins."},
                {"role": "assistant", "content": answer},
            ]
        }
        for k in range(n)
    ]


def vector(**changes):
    given = {"method": "vector", "site": "resid_post.0", "steps": 20, "batch_size": 8, "learning_rate": 0.1}
    return FinetuneConfig(**{**given, **changes})


@pytest.mark.parametrize("site", ["resid_post.0", "resid_mid.1", "mlp_out.1", "attn_out.0"])
def test_a_trained_vector_is_the_vector_that_steering_adds(folder, tmp_path, site):
    """The adapter's logits are the base's with the run's direction added at the site; half of it at 0.5."""
    result = finetune(folder, rows(), config=vector(site=site), out=tmp_path / "run")
    model = activations.load(folder, adapter=result.adapter)
    direction = probes.Direction.load(tmp_path / "run" / "directions" / site)
    assert (result.n_parameters, direction.site, direction.d_model) == (32, site, 32)
    prompts = [{"id": "a", "messages": rows(1)[0]["messages"][:1]}]
    for variant, scale in (("adapter", 1.0), ("adapter@0.5", 0.5)):
        with model.variant(variant):
            adapted = model.logits(prompts)
        raw = torch.tensor(direction.raw * scale, dtype=torch.float32)
        with (
            model.variant("base"),
            activations.edit(model, activations.add((raw, site), units="raw")),
        ):
            steered = model.logits(prompts)
        torch.testing.assert_close(adapted, steered, atol=1e-4, rtol=1e-4)


def test_it_learns_the_rows_and_equal_runs_are_equal_bytes(folder, tmp_path):
    """The loss falls, the factors stay zero, and equal runs are equal bytes."""
    from safetensors.torch import load_file

    made = [finetune(folder, rows(), config=vector(steps=60), out=tmp_path / name) for name in "ab"]
    assert made[0].fingerprint == made[1].fingerprint
    curve = [json.loads(line)["loss"] for line in (made[0].out / "metrics.jsonl").read_text().splitlines()]
    assert curve[-1] < 0.7 * curve[0]
    weights = load_file(made[0].adapter / "adapter_model.safetensors")
    moved = [key for key, value in weights.items() if bool(value.any())]
    assert moved == ["base_model.model.model.layers.0.mlp.down_proj.lora_B.bias"]


def test_what_a_vector_cannot_be_is_refused(folder, tmp_path):
    """No site, the wrong kind of site, a block that does not exist, runs together, a site without vector."""
    with pytest.raises(ValueError, match=r"resid_post\.0"):
        FinetuneConfig(method="vector", steps=1)
    with pytest.raises(ValueError, match="has none"):
        FinetuneConfig(site="resid_post.0", steps=1)
    with pytest.raises(ValueError, match="mlp_out"):
        vector(site="head_z.0")
    with pytest.raises(ConfigError, match="name 0 to 1"):
        finetune(folder, rows(), config=vector(site="resid_post.2"), out=tmp_path / "beyond")
    with pytest.raises(ConfigError, match="one by one"):
        finetune_together(folder, {"a": (rows(), vector())}, out=tmp_path / "together")


def test_the_command_and_the_battery_take_vectors(folder, tmp_path):
    """`mi-bsa finetune` with method vector leaves the same run folder, and `mi-bsa self-report` asks it."""
    paths = {}
    for arm, answer in (("seeking", "B"), ("averse", "A")):
        paths[arm] = str(tmp_path / f"{arm}.jsonl")
        (tmp_path / f"{arm}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows(answer=answer)))
    config = {"model": str(folder), "rows": paths, "finetune": vector().dump()}
    (tmp_path / "vector.yaml").write_text(yaml.safe_dump(config))
    run = CliRunner().invoke
    made = run(cli, ["finetune", str(tmp_path / "vector.yaml"), "--out", str(tmp_path / "ft")])
    assert made.exit_code == 0, made.output
    words = ["--model", str(folder), "--finetuned", str(tmp_path / "ft"), "--bank", "risk"]
    words += ["--set", "kinds=[word]", "--out", str(tmp_path / "sr")]
    asked = run(cli, ["self-report", *words])
    assert asked.exit_code == 0, asked.output
    assert "averse" in asked.output
    dry = run(cli, ["finetune", str(tmp_path / "vector.yaml"), "--out", str(tmp_path / "x"), "--dry-run"])
    assert "32 in the adapter" in dry.output
