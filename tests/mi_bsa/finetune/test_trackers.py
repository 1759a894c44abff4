"""Trackers are sent the curve of each adapter, a run each; nothing else depends on them."""

import json
import struct

import pytest
import tiny_llama

import activations
from mi_bsa.core.errors import ConfigError
from mi_bsa.finetune import FinetuneConfig, finetune, finetune_together, metrics, trackers
from mi_bsa.study import registration

BLOCK = 32768
ROWS = [
    {"messages": [{"role": "user", "content": "A or B?"}, {"role": "assistant", "content": "A"}]}
    for _ in range(4)
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return activations.load(tiny_llama.build(tmp_path_factory.mktemp("tiny")))


def config(*names, **changes):
    return FinetuneConfig(steps=4, batch_size=2, learning_rate=1e-2, report_to=names, device="cpu", **changes)


def kept_by_wandb(file):
    """The records of a file of W&B's offline mode: LevelDB's log behind a header of seven bytes."""
    data, at, record = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:  # the rest of a block that no header fits in
            at += BLOCK - at % BLOCK
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield record
            record = b""


def losses_of_wandb(folder):
    """Run name -> losses by step."""
    from wandb.proto import wandb_internal_pb2

    found = {}
    for file in folder.glob("offline-run-*/*.wandb"):
        name, losses = "", {}
        for kept in kept_by_wandb(file):
            record = wandb_internal_pb2.Record.FromString(kept)
            name = record.run.display_name or name
            row = {
                ".".join(item.nested_key) or item.key: json.loads(item.value_json)
                for item in record.history.item
            }
            if "train/loss" in row:
                losses[row["train/global_step"]] = row["train/loss"]
        found[name] = losses
    return found


@pytest.mark.filterwarnings("ignore")  # W&B's own
def test_wandb_gets_a_run_an_adapter(model, tmp_path, monkeypatch):
    """Alone and side by side: its curve is the one that is written, under the adapter's own name."""
    wandb = pytest.importorskip("wandb")
    wandb.teardown()  # it reads its variables once
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    jobs = {f"seeking-{seed}": (ROWS, config("wandb", seed=seed)) for seed in range(2)}
    done = finetune_together(model, jobs, out=tmp_path / "risk/adapters")
    done["alone"] = finetune(
        model, ROWS, config=config("wandb", seed=2), out=tmp_path / "risk/adapters/alone"
    )
    told = losses_of_wandb(tmp_path / "wandb")
    assert told.keys() == {f"risk-{name}" for name in done}
    for name, run in done.items():
        kept = {row["step"]: pytest.approx(row["loss"], abs=1e-6) for row in metrics(run.out)}
        assert told[f"risk-{name}"] == kept


@pytest.mark.filterwarnings("ignore")  # of its dependencies
@pytest.mark.parametrize("named", [False, True])
def test_tensorboard_writes_beside_the_adapter(model, tmp_path, monkeypatch, named):
    """Or into a folder of the run's own where one for all was named."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if named:
        monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "boards"))
    out = tmp_path / "risk" / "adapters"
    done = finetune_together(model, {"seeking-0": (ROWS, config("tensorboard"))}, out=out)
    done["alone"] = finetune(model, ROWS, config=config("tensorboard", dropout=0.1), out=out / "alone")
    for name, run in done.items():
        board = tmp_path / "boards" / f"risk-{name}" if named else run.out / "tensorboard"
        events = EventAccumulator(str(board)).Reload()
        told = {event.step: pytest.approx(event.value, abs=1e-6) for event in events.Scalars("train/loss")}
        assert {row["step"]: row["loss"] for row in metrics(run.out)} == told


def test_no_key_and_no_lock_depends_on_it():
    """A run goes on whatever it is sent to, and what was registered stays so."""
    with_it, without = config("wandb"), config()
    assert with_it.dump() != without.dump()
    assert with_it.keyed() == without.keyed()
    assert "report_to" not in with_it.keyed()
    said = [registration.design_config({"finetune": one.dump()}) for one in (with_it, without)]
    assert said[0] == said[1]


def test_what_is_not_installed_is_said_before_training(model, tmp_path, monkeypatch):
    """Nothing is trained and no folder made; an unknown tracker is refused when the config is read."""
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install mlflow, or leave it out"):
        finetune_together(model, {"a": (ROWS, config("mlflow"))}, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="'wandb', 'tensorboard' or 'mlflow'"):
        config("comet")


def test_a_tracker_that_fails_loses_no_adapter(model, tmp_path, monkeypatch):
    """Its error is a warning, and the adapter is written."""
    wandb = pytest.importorskip("wandb")
    wandb.teardown()  # it reads its variables once
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)  # no key: an error of its own, at once
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    with pytest.warns(UserWarning, match=r"was not sent .*metrics.jsonl holds it"):
        done = finetune_together(model, {"a": (ROWS, config("wandb"))}, out=tmp_path)
    assert done["a"].adapter.is_dir()
    assert len(metrics(done["a"].out)) == 4
