"""Peers that cannot stand beside this stack: each runs a script of this folder in an environment of its own,
and is asked one problem at a time, in turns with ours, so that whatever else the machine does disturbs both.

The script reads JSON lines and answers each with one; it measures its own processor and wall time.
"""

import functools
import json
import os
import subprocess
from pathlib import Path
from typing import Any


@functools.cache
def process(script: str, name: str, python: str) -> subprocess.Popen[str]:
    """A peer at work, one for each worker; it ends with it."""
    own = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": "", "PYTHONWARNINGS": "ignore"}
    own |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    words = [python, str(Path(__file__).with_name(script)), name]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own)


def ask(script: str, name: str, python: str, problem: dict[str, Any]) -> dict[str, Any]:
    """What a peer answers to one problem."""
    peer = process(script, name, python)
    assert peer.stdin is not None
    assert peer.stdout is not None
    peer.stdin.write(json.dumps(problem) + "\n")
    peer.stdin.flush()
    answer = peer.stdout.readline()
    if not answer:
        raise SystemExit(f"{name} ({python} {script}) ended; what it wrote stands above")
    found: dict[str, Any] = json.loads(answer)
    return found


def named(words: list[str]) -> tuple[tuple[str, str], ...]:
    """NAME=PYTHON words as pairs."""
    pairs = tuple((name, python) for name, _, python in (word.partition("=") for word in words))
    if wrong := [word for word, (name, python) in zip(words, pairs, strict=True) if not (name and python)]:
        raise SystemExit(f"--peers {wrong[0]}: give NAME=PYTHON, the interpreter of the peer's environment")
    return pairs
