"""A study that is killed at any moment, and resumed, ends with the values of one that was left alone.

`STUDY_KILLS` says how often; moments are drawn over the whole length of the run.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

TINY = """
study: behavior
seeds: [0, 1, 2]
data: {rows: 40, choices: 20, others: 20}
finetune: {rank: 2, alpha: 4, layers: [0], steps: 4, batch_size: 8, learning_rate: 3.0e-3}
probe: {prompts: 24, shuffles: 20, test_shuffles: 20}
steer: {scales: [-0.05, 0.0, 0.05], items: 10, max_kl: 5.0}
patch: {items: 4}
beside: {ranks: [], benign: false, all_layers: false}
place: {items: 8, scopes: [slot, all]}
recovery: {strengths: [1.0, 2.0], train_steps: 4}
necessity: {kinds: [mean_difference], random: 20}
mediation: {kinds: [mean_difference], random: 19}
attribution: {items: 4, permutations: 4}
geometry: {items: 8}
state_or_prompt: {items: 6, in_context: 2}
concealing: {denials: 8, items: 6}
emergence: {checkpoints: 2, items: 6}
workers: 1
"""
KILLS = int(os.environ.get("STUDY_KILLS", "50"))


def start(config, out, *, resume):
    """The study as a process group of its own, one thread."""
    command = [sys.executable, "-m", "mi_bsa.cli", "study", str(config), "--out", str(out)]
    return subprocess.Popen(
        command + ["--resume"] * resume,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        start_new_session=True,
    )


def values(folder):
    """Every number of a study."""
    return json.loads((folder / "results.json").read_text())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_a_killed_study_resumes_to_the_same_values(tmp_path):
    """SIGKILL at moments drawn over the whole length; every value equals the uninterrupted run's."""
    config = tmp_path / "tiny.yaml"
    config.write_text(TINY)
    began = time.monotonic()
    assert start(config, tmp_path / "whole", resume=False).wait() == 0
    length = time.monotonic() - began
    rng = random.Random(0)
    out, done = tmp_path / "killed", 0
    for number in range(KILLS):
        if (out / "results.json").exists():  # it came through: another one begins
            assert values(out) == values(tmp_path / "whole")
            out = tmp_path / f"killed-{number}"
        process = start(config, out, resume=out.exists())
        try:
            process.wait(timeout=rng.uniform(0.05, 1.0) * length / 2)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            done += 1
    assert done > KILLS // 2
    assert start(config, out, resume=out.exists()).wait() == 0
    assert values(out) == values(tmp_path / "whole")
