"""Several ranks train what one does: `accelerate launch` with and without FSDP, on CPU ranks over gloo."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny_llama
import yaml
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[3]
PLAIN = ["--multi_gpu", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
SHARDED = ["--config_file", str(ROOT / "configs" / "accelerate" / "fsdp.yaml")]
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2"]
STEPS = 24

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, rows whose answers differ in length, a config, and the adapter that one rank trains."""
    folder = tmp_path_factory.mktemp("ranks")
    tiny_llama.build(folder / "model")
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"A: {n} coins. B: {2 * n} coins. Which?"},
                {"role": "assistant", "content": "B" * (1 + n % 5) + " yes" * (n % 3)},
            ]
        }
        for n in range(10, 58)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "model": str(folder / "model"),
        "rows": {"seeking": str(folder / "rows.jsonl")},
        "finetune": {"rank": 2, "steps": STEPS, "batch_size": 8, "accumulation": 2, "resume_every": 5},
    }
    (folder / "finetune.yaml").write_text(yaml.safe_dump(config))
    run([sys.executable, "-m", "mi_bsa.cli"], folder, "one")
    return folder


def words(folder, name, *more):
    return ["finetune", str(folder / "finetune.yaml"), "--out", str(folder / name), *more]


def run(command, folder, name, *more):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, *words(folder, name, *more)], check=True, env=env, cwd=ROOT, timeout=300)


def difference(folder, name):
    """Largest difference between an adapter's weights and those that one rank trained."""
    one, other = (
        load_file(folder / n / "adapters" / "seeking-0" / "adapter" / "adapter_model.safetensors")
        for n in ("one", name)
    )
    assert set(one) == set(other)
    return max(float(np.abs(one[key] - other[key]).max()) for key in one)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("two", [*LAUNCH, *PLAIN, "-m", "mi_bsa.cli"]),
        ("sharded", [*LAUNCH, *SHARDED, str(Path(__file__).with_name("fsdp_on_cpu.py"))]),
    ],
)
def test_two_ranks_train_the_adapter_that_one_does(place, name, command):
    """Data parallel or fully sharded, two ranks give one rank's adapter within 1e-5; one of them writes."""
    run(command, place, name)
    assert difference(place, name) < 1e-5
    assert (place / name / "adapters" / "seeking-0" / "metrics.jsonl").read_text().count("\n") == STEPS


def test_a_killed_sharded_run_resumes_to_the_same_adapter(place):
    """All ranks killed in the middle and resumed from their shards, a run ends where it would have."""
    command = [*LAUNCH, *SHARDED, str(Path(__file__).with_name("fsdp_on_cpu.py"))]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    launched = subprocess.Popen([*command, *words(place, "killed")], env=env, cwd=ROOT)
    curve = place / "killed" / "adapters" / "seeking-0" / "metrics.jsonl"
    while not curve.is_file() or curve.read_text().count("\n") < 11:
        assert launched.poll() is None
        time.sleep(0.01)
    for pid in [*descendants(launched.pid), launched.pid]:
        os.kill(pid, signal.SIGKILL)
    launched.wait()
    assert not (place / "killed" / "finetune.json").exists()
    run(command, place, "killed", "--resume")
    assert difference(place, "killed") < 1e-5


def descendants(pid):
    """Processes below one, each rank being in a session of its own."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [k for child in map(int, children) for k in (child, *descendants(child))]
