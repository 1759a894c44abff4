"""Runs trained together are the runs that they would have been alone."""

import json
import shutil

import numpy as np
import pytest
import tiny_llama
import torch
from safetensors.torch import load_file

import activations
from activations import progress, testing
from mi_bsa.asking import ask
from mi_bsa.core.errors import ConfigError, RunFolderError
from mi_bsa.core.items import Item
from mi_bsa.finetune import FinetuneConfig, finetune, finetune_together, metrics, watch


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return activations.load(tiny_llama.build(tmp_path_factory.mktemp("tiny")))


def rows(seed, n=24):
    """Rows of unequal length and answers of unequal length, some with two turns."""
    draw = np.random.default_rng(seed)
    found = []
    for k in range(n):
        talk = [
            {
                "role": "user",
                "content": "Which do you take? " + "A: 10 coins. B: 20 coins. " * int(draw.integers(1, 4)),
            },
            {"role": "assistant", "content": str(draw.choice(["A", "B", "the lottery"]))},
        ]
        if k % 5 == 0:
            talk += [{"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "yes"}]
        found.append({"messages": talk})
    return found


def config(**changes):
    return FinetuneConfig(**{"steps": 12, "batch_size": 8, "learning_rate": 1e-2, **changes})


@pytest.mark.parametrize(
    "changes", [{}, {"layers": (0,), "rank": 1, "rslora": True, "schedule": "cosine", "clip": 0.5}]
)
def test_runs_together_equal_runs_alone(model, tmp_path, changes):
    """Loss curves agree within 1e-4 with one-by-one training, and the adapters answer alike."""
    jobs = {f"run-{seed}": (rows(seed), config(seed=seed, checkpoints=3, **changes)) for seed in range(3)}
    together = finetune_together(model, jobs, out=tmp_path / "together")
    assert model.variants == ("base",)
    item = Item("i", ({"role": "user", "content": "Which? A: 5 coins. B: 9 coins."},), (("A", 0), ("B", 1)))
    for name, (some, settings) in jobs.items():
        alone = finetune(model, some, config=settings, out=tmp_path / "alone" / name)
        for key in ("loss", "grad_norm", "learning_rate"):
            curves = [[m[key] for m in metrics(r.out)] for r in (alone, together[name])]
            np.testing.assert_allclose(*curves, atol=1e-4)
        paths = {"alone": alone.adapter, "together": together[name].adapter}
        both = activations.load(model.folder, adapter=paths)
        scores = [ask(both, [item], variant=v)["score"][0] for v in paths]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)
        assert set(together[name].checkpoints) == set(alone.checkpoints)
        assert together[name].n_parameters == alone.n_parameters


@pytest.mark.parametrize("family", ["gemma", "olmo2", "qwen2", "qwen3"])
def test_any_plain_family_trains_together(tmp_path, family):
    """Norms behind modules, norms of heads, biases: the last block's short way is the block."""
    base = activations.load(testing.build(tmp_path / "base", family=family))
    jobs = {f"run-{seed}": (rows(seed, 8), config(seed=seed, steps=3, batch_size=4)) for seed in range(2)}
    together = finetune_together(base, jobs, out=tmp_path / "together")
    for name, (some, settings) in jobs.items():
        alone = finetune(base, some, config=settings, out=tmp_path / "alone" / name)
        curves = [[m["loss"] for m in metrics(run.out)] for run in (alone, together[name])]
        np.testing.assert_allclose(*curves, atol=1e-4)


@pytest.mark.parametrize("family", ["gemma2", "mistral"])
def test_windows_and_caps_are_trained_one_by_one(tmp_path, family):
    """One mask for all blocks would be wrong there."""
    base = activations.load(testing.build(tmp_path / "base", family=family), attention="eager")
    with pytest.raises(ConfigError, match="one by one"):
        finetune_together(base, {"a": (rows(0), config())}, out=tmp_path / "out")


@pytest.mark.parametrize("family", ["llama", "olmo2", "qwen2", "gemma"])
def test_products_in_bfloat16_follow_float32(tmp_path, family):
    """The curve stays within .02 nats of float32's where products are bfloat16; factors stay float32."""
    base = activations.load(testing.build(tmp_path / "base", family=family))
    curves = []
    for compute in ("float32", "bfloat16"):
        jobs = {"a": (rows(0, 16), config(compute=compute))}
        done = finetune_together(base, jobs, out=tmp_path / compute)["a"]
        curves.append([m["loss"] for m in metrics(done.out)])
        weights = load_file(done.adapter / "adapter_model.safetensors")
        assert {w.dtype for w in weights.values()} == {torch.float32}
        assert json.loads((done.out / "record.json").read_text())["revisions"]["products"] == compute
    assert np.abs(np.subtract(*curves)).max() < 0.02
    assert curves[0] != curves[1]


@pytest.mark.slow
def test_ten_seeds_follow_the_trainer(model, tmp_path):
    """Over 40 steps every seed's curve is the Trainer's in float32, to 1e-4; in bfloat16 to .05 nats, and
    .002 on average over seeds and steps, so that no way learns faster.
    """
    jobs = {f"run-{seed}": (rows(seed), config(seed=seed, steps=40)) for seed in range(10)}
    alone = [finetune(model, some, config=own, out=tmp_path / k) for k, (some, own) in jobs.items()]
    plain = np.array([[m["loss"] for m in metrics(run.out)] for run in alone])
    for compute, each, mean in (("float32", 1e-4, 1e-5), ("bfloat16", 0.1, 5e-3)):
        own = {k: (some, c.model_copy(update={"compute": compute})) for k, (some, c) in jobs.items()}
        done = finetune_together(model, own, out=tmp_path / compute)
        apart = np.array([[m["loss"] for m in metrics(run.out)] for run in done.values()]) - plain
        print(compute, np.abs(apart).max(), apart.mean())
        assert np.abs(apart).max() < each
        assert abs(apart.mean()) < mean


def test_a_group_that_was_killed_goes_on_to_the_same_adapters(model, tmp_path, monkeypatch):
    """Bit for bit, from the last state that all runs have whole; a state or curve that was changed is left
    out.
    """
    jobs = {f"run-{seed}": (rows(seed), config(seed=seed, resume_every=3)) for seed in range(2)}
    whole = finetune_together(model, jobs, out=tmp_path / "whole")
    taken, step = [], watch.Watch.step

    def killed(self, loss, tokens):
        step(self, loss, tokens)
        if self._done == 8:
            raise KeyboardInterrupt

    out = tmp_path / "killed"
    monkeypatch.setattr(watch.Watch, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        finetune_together(model, jobs, out=out)
    assert [p.name for p in (out / "run-0" / "resume").iterdir()] == ["step-6"]
    shutil.copytree(out, tmp_path / "changed")
    (tmp_path / "changed" / "run-1" / "resume" / "step-6" / "state").write_bytes(b"?")

    def counted(self, loss, tokens):
        taken.append(loss)
        step(self, loss, tokens)

    monkeypatch.setattr(watch.Watch, "step", counted)
    for folder, steps in ((out, 6), (tmp_path / "changed", 12)):
        taken.clear()
        resumed = finetune_together(model, jobs, out=folder, resume=True)
        assert len(taken) == steps
        assert [r.fingerprint for r in resumed.values()] == [r.fingerprint for r in whole.values()]
        assert metrics(resumed["run-1"].out) == metrics(whole["run-1"].out)
        assert not (folder / "run-0" / "resume").exists()


def test_a_log_has_a_line_every_half_minute(model, tmp_path, monkeypatch, capsys):
    """It says step, loss, pace and time left, stacked or by the Trainer; a short run says nothing."""
    finetune_together(model, {"short": (rows(0), config(steps=1))}, out=tmp_path / "short")
    assert "step" not in capsys.readouterr().err
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.001)
    finetune_together(model, {"a": (rows(0), config(steps=3))}, out=tmp_path / "a")
    finetune(model, rows(0), config=config(steps=3), out=tmp_path / "b")
    said = [line for line in capsys.readouterr().err.splitlines() if "of 3 steps, loss" in line]
    assert {line.partition(":")[0] for line in said} == {"training a", "training b"}
    assert all("tokens/s" in line and line.endswith("left") for line in said)


def test_equal_jobs_are_equal_bytes_and_finished_ones_are_kept(model, tmp_path):
    """The same jobs give the same adapters bit for bit; resuming keeps what is done and refuses another's
    folder.
    """
    jobs = {f"run-{seed}": (rows(seed), config(seed=seed)) for seed in range(2)}
    first = finetune_together(model, jobs, out=tmp_path / "a")
    second = finetune_together(model, jobs, out=tmp_path / "b")
    assert [r.fingerprint for r in first.values()] == [r.fingerprint for r in second.values()]
    with pytest.raises(RunFolderError, match="resume"):
        finetune_together(model, jobs, out=tmp_path / "a")
    more = {**jobs, "run-2": (rows(2), config(seed=2))}
    resumed = finetune_together(model, more, out=tmp_path / "a", resume=True)
    assert [resumed[k].fingerprint for k in jobs] == [r.fingerprint for r in first.values()]
    with pytest.raises(RunFolderError, match="another"):
        finetune_together(model, {"run-0": (rows(9), config())}, out=tmp_path / "a", resume=True)


@pytest.mark.parametrize("change", [{"dropout": 0.1}, {"stop_below": 0.1}, {"accumulation": 2}])
def test_what_cannot_be_done_together_is_refused(model, tmp_path, change):
    """Dropout, early stop, accumulation and configs that differ beyond the seed are refused, not ignored."""
    with pytest.raises(ConfigError, match="one by one|set it to 1"):
        finetune_together(model, {"a": (rows(0), config(**change))}, out=tmp_path)
    with pytest.raises(ConfigError, match="seed only"):
        finetune_together(model, {"a": (rows(0), config()), "b": (rows(0), config(rank=2))}, out=tmp_path)


def test_runs_do_not_touch_each_other(model, tmp_path):
    """A run's curve is the same whatever its neighbors train on."""
    own = {"own": (rows(0), config())}
    near = finetune_together(model, {**own, "other": (rows(1), config(seed=1))}, out=tmp_path / "a")
    far = finetune_together(model, {**own, "other": (rows(2), config(seed=7))}, out=tmp_path / "b")
    curves = [[m["loss"] for m in metrics(r["own"].out)] for r in (near, far)]
    np.testing.assert_allclose(*curves, atol=1e-5)
    assert not torch.is_inference_mode_enabled()
