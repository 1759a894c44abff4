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
from collections import Counter
from pathlib import Path

import pytest

TINY = """
study: behavior
behavior: {folder}/few.py:FEW
seeds: [0, 1, 2]
arms: [seeking, averse]
data: {{rows: 40, choices: 20, others: 20}}
finetune:
  {{rank: 2, alpha: 4, layers: [0], modules: [o_proj, gate_proj, down_proj], steps: 3, batch_size: 4,
  learning_rate: 3.0e-3}}
probe: {{prompts: 12, shuffles: 20, test_shuffles: 20, method: lda}}
beside: {{seeds: 2, ranks: [], benign: false, all_layers: false}}
place: {{items: 6, scopes: [slot]}}
recovery: {{kinds: [mean_difference, trained], strengths: [1.0], train_steps: 2, train_batch: 2}}
necessity: {{kinds: [mean_difference], random: 20}}
mediation: {{kinds: [mean_difference], random: 19}}
attribution: {{items: 4, permutations: 4, draws: 99}}
geometry: {{kinds: [mean_difference], items: 6}}
state_or_prompt: {{items: 6, in_context: 2}}
concealing: {{denials: 8, items: 6}}
emergence: {{checkpoints: 1, items: 6}}
steer: {{scales: [-0.05, 0.0, 0.05], items: 10, max_kl: 5.0}}
patch: {{items: 4}}
workers: 1
"""
KILLS = int(os.environ.get("STUDY_KILLS", "50"))
PART = 6
"""A run is killed within this part of a study's length, so that each study is killed about so often."""


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


def wait_for(path):
    """Until a path is there."""
    while not path.exists():
        time.sleep(0.02)


def running(out):
    """Which step a kill hit: the one that was started and has not finished."""
    markers = [json.loads(path.read_text()) for path in (out / "steps").rglob("*.json")]
    hit = [marker["name"].partition("/")[0] for marker in markers if marker["state"] == "started"]
    return hit[0] if hit else "report" if (out / "results.json").exists() else "between steps"


def values(folder):
    """Every number of a study, and what it says of them."""
    return [json.loads((folder / name).read_text()) for name in ("results.json", "verdicts.json")]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_a_killed_study_resumes_to_the_same_values(tmp_path):
    """SIGKILL at moments drawn over the whole length; every value equals the uninterrupted run's."""
    config, whole = tmp_path / "tiny.yaml", tmp_path / "whole"
    config.write_text(TINY.format(folder=Path(__file__).parent))
    began = time.monotonic()
    process = start(config, whole, resume=False)
    wait_for(whole / "steps")
    imports = time.monotonic() - began
    assert process.wait() == 0
    length = time.monotonic() - began - imports
    rng = random.Random(0)
    out, at, ended = tmp_path / "killed", Counter(), 0
    while at.total() < KILLS:
        process = start(config, out, resume=out.exists())
        try:
            assert process.wait(timeout=imports + rng.uniform(-0.1, 1.0) * length * 2 / PART) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            at[running(out)] += 1
            continue
        assert values(out) == values(whole)
        ended += 1
        out = tmp_path / f"killed-{ended}"
    assert start(config, out, resume=out.exists()).wait() == 0
    assert values(out) == values(whole)
    print(f"{length:.1f} s after {imports:.1f} s of imports; {ended + 1} studies; killed in {dict(at)}")
    assert len(at) > min(KILLS, 50) // 5
