"""Judging many planted instances: one line of JSON each, so that a killed run goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from activations import ActivationsError
from mi_bsa.core.errors import MiBsaError
from mi_bsa.core.progress import Progress
from mi_bsa.studies.planted.draw import REPORTED, WORLDS, PlantedWorld, draw
from probes import ProbesError

CONJECTURE = {
    "shared": "shared_state",
    "separate": "shared_state",
    "prompt_only": "shared_state",
    "early": "later_layers_observe",
    "reverse": "later_layers_observe",
}
"""What each world is judged for."""


def judged(world: PlantedWorld, number: int) -> dict[str, Any]:
    """The verdict of one instance, with the lines of evidence, as a JSON-like record."""
    from mi_bsa.studies.planted import cut
    from mi_bsa.studies.planted.llama import build

    wiring = draw(world, number)
    layers = CONJECTURE[world] == "later_layers_observe"
    verdicts, _ = cut.judge(build(wiring), layers=layers)
    one = next(v for v in verdicts if v.conjecture == CONJECTURE[world])
    return {
        "world": world,
        "number": number,
        "answer": one.answer,
        "reason": one.reason,
        "reverse": wiring.reverse,
        "lines": {line.name: line.state for line in one.lines},
    }


def failed(world: PlantedWorld, number: int, error: Exception) -> dict[str, Any]:
    """The record of an instance whose study stopped with an error: no verdict, and shown as such."""
    lines = {f"the study ran ({type(error).__name__})": "fails"}
    reason = f"{type(error).__name__}: {error}"
    return {
        "world": world,
        "number": number,
        "answer": "undecided",
        "reason": reason,
        "reverse": None,
        "lines": lines,
    }


def run(folder: Path, *, instances: int, share: tuple[int, int] = (0, 1), first: int = REPORTED) -> None:
    """Judge instances `first` to `first + instances - 1` of every world, those that are not there yet.

    `share`: (k, n) judges every n-th, beginning at the k-th, so that several processes work beside each
    other; each appends to a file of its own.
    """
    import torch

    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    known = {(r["world"], r["number"]) for r in records(folder)}
    todo = [(w, first + n) for n in range(instances) for w in WORLDS if n % share[1] == share[0]]
    todo = [one for one in todo if one not in known]
    path = folder / f"judged-{share[0]}-of-{share[1]}.jsonl"
    cut = path.exists() and not path.read_bytes().endswith(b"\n")
    with Progress("planted truth", len(todo)) as progress, path.open("a", encoding="utf-8") as out:
        out.write("\n" * cut)
        for world, number in todo:
            progress.start(f"{world} {number}")
            try:
                record = judged(world, number)
            except (MiBsaError, ProbesError, ActivationsError) as error:
                record = failed(world, number, error)
            out.write(json.dumps(record) + "\n")
            out.flush()
            progress.advance(1, f"{world} {number}: {record['answer']}")


def records(folder: Path) -> list[dict[str, Any]]:
    """Every instance that was judged, in order; a line that a kill cut short is left out."""
    found = list(_lines(folder))
    once = {(r["world"], r["number"]): r for r in found}
    return [once[key] for key in sorted(once, key=lambda k: (WORLDS.index(k[0]), k[1]))]


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("judged-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue
