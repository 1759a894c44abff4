"""Pace: how long a study takes, from what its steps put through their model and what a machine does in a
second.

The law: a step says its work in tokens, a pace says seconds a token, and neither knows the other; so one plan
holds for this machine, where a second of the real work was measured, and for one that nobody has here
(`machines.yaml`: peaks with their source, and the share of them that is assumed).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mi_bsa.core.shape import Shape

MACHINES = ("h100", "a100", "4090", "cpu")
"""The machines of `machines.yaml`."""
READ_TOKENS, SAMPLED = 2048, 32
"""Tokens of a batch that is read, and rows of a batch that is generated."""
HALF = 2
"""Edits are made at a middle block in the mean, and only what comes behind it is computed."""
EMBEDDED_READ = 50_000.0
"""Tokens that the embedded model reads in a processor second where the seconds of steps without `work` were
estimated: 54,000 measured on a core of that kind."""

EMBEDDED_TRAINED, EMBEDDED_WRITTEN, SMALL = 40_000.0, 10_000.0, 5_000_000
"""The same trained on and generated (39,000 and 10,300 measured); below so many parameters it is Python that
takes the time, on any machine."""
AROUND = 9.0
"""Seconds of the reference's processor around the steps: libraries are imported, what is named is checked,
the page is drawn."""
LIBRARIES = 5.5e8
"""Bytes of memory that a process holds whatever it does: torch, transformers, pandas, matplotlib, tables."""
PIECE, TIMES = 0.051, 3
"""Seconds that `host` takes on the reference's processor, and how often it is run: the least counts."""


@dataclass(frozen=True)
class Work:
    """What a step does: tokens through the model, and what it does beside it.

    Attributes:
        asked: tokens of questions with options.
        edited: tokens of prompts under one edit each (added, taken out, patched), counted whole.
        read: tokens of plain passes.
        trained: tokens of forward and backward passes.
        generated: tokens that are sampled one after the other.
        seconds: of the reference's processor, beside the model.
        fits: adapters that are trained, each of which takes time to set up and to write.
    """

    asked: float | int = 0
    edited: float | int = 0
    read: float | int = 0
    trained: float | int = 0
    generated: float | int = 0
    seconds: float | int = 0
    fits: float | int = 0


@dataclass(frozen=True)
class Pace:
    """What one machine does with one model in a second.

    Attributes:
        machine: its name.
        asked, edited, read, trained, generated: tokens a second, of `Work`.
        fit: seconds of setting up and writing an adapter.
        host: seconds of its processor for one of the reference's.
        around: seconds before the first step and behind the last: libraries, checks, the page.
        busy: seconds by the clock for one of the processor, as the machine is now.
        source: a line: how it was measured, or what is assumed.
        memory: bytes that the model's device has; 0 where nothing is said of it.
        needed: bytes of memory that a study takes there at most.
        needs: a line: memory and downloads.
    """

    machine: str
    asked: float
    edited: float
    read: float
    trained: float
    generated: float
    source: str
    fit: float = 1.0
    host: float = 1.0
    around: float = 0.0
    busy: float = 1.0
    memory: float = 0.0
    needed: float | int = 0
    needs: str = ""

    def seconds(self, work: Work) -> float:
        """How long some work takes."""
        kinds = ("asked", "edited", "read", "trained", "generated")
        inside = sum(getattr(work, kind) / getattr(self, kind) for kind in kinds)
        return inside + self.fit * work.fits + self.host * work.seconds

    def scaled(self, seconds: float | int) -> float:
        """What an estimate made on the embedded model means here: all of it is taken to be reading."""
        return seconds * EMBEDDED_READ / self.read


def host() -> float:
    """How long this processor takes beside a model, as a multiple of the reference's, as it is now: a fixed
    piece of what such work is made of, small steps of Python, numpy and torch.
    """
    import time

    import numpy as np
    import torch

    def piece() -> float:
        began = time.process_time()
        words = [f"w{n % 97}" for n in range(60_000)]
        counts: dict[str, int] = {}
        for word in words:
            counts[word] = counts.get(word, 0) + len(word)
        x = np.linspace(0.0, 1.0, 4096).reshape(64, 64)
        for _ in range(600):
            x = np.tanh(x @ x.T / 64)
        weight = torch.eye(64, requires_grad=True)
        given = torch.linspace(0, 1, 32 * 64).reshape(32, 64)
        for _ in range(300):
            torch.nn.functional.silu(given @ weight).sum().backward()
        return time.process_time() - began

    piece()
    return min(piece() for _ in range(TIMES)) / PIECE


@cache
def table() -> Mapping[str, Mapping[str, Any]]:
    """`machines.yaml`."""
    import yaml

    text = (Path(__file__).parent / "machines.yaml").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return found


def stated(machine: str, shape: Shape, *, dtype: str, batch: float | int) -> Pace:
    """The pace of a machine of the table, for rows of a training batch that hold `batch` tokens.

    A pass takes as long as the slowest of three: its operations (2 a parameter and token; 4 with the backward
    pass of a LoRA, whose base has no gradients), reading the weights once, and the overhead of its blocks
    (three times with the backward pass).
    """
    told = table()[machine]
    parameters = shape.parameters()
    inside = parameters - int(shape.config.vocab_size) * shape.width  # embeddings are looked up
    flops, weights = told["flops"][dtype], parameters * {"float32": 4}.get(dtype, 2)

    def passes(tokens: float | int, kind: str, operations: int, launches: int) -> float:
        computed = operations * inside * tokens / (flops * told["share"][kind])
        least = launches * shape.blocks * told["overhead"]
        return tokens / max(computed, weights / told["bandwidth"], least)

    read, trained = passes(READ_TOKENS, "read", 2, 1), passes(max(batch, 1.0), "train", 4, 3)
    generated = passes(SAMPLED, "read", 2, 1)
    if parameters < SMALL:
        most = (EMBEDDED_READ, EMBEDDED_TRAINED, EMBEDDED_WRITTEN)
        read, trained, generated = (
            min(one, limit / told["host"])
            for one, limit in zip((read, trained, generated), most, strict=True)
        )
    return Pace(
        machine,
        asked=read,
        edited=HALF * read,
        read=read,
        trained=trained,
        generated=generated,
        source=told["source"],
        host=told["host"],
        around=told["host"] * AROUND,
        memory=told["memory"],
    )
