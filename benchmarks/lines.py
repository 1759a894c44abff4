"""What a benchmark found, in one form for all of them: a line a claim, one JSON object a line of a file.

    parser = argparse.ArgumentParser(...)
    lines.options(parser)                       # --record [FILE]
    ...
    lines.write([Line(...), ...], given.record, clock="processor")

The law: a line says what was compared with what, how closely the outputs agree, on which model and on what
kind of machine, when and by which command, so that no figure is read without them. The file is only ever
appended to; `benchmarks/page.py` shows the newest line of each claim, model and kind of machine. Without
`--record` the lines are printed and kept nowhere. Ratios are of one run; seconds do not carry over to another
machine.
"""

import argparse
import datetime
import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

FILE = Path("docs/benchmarks.jsonl")
LOAD = round(os.getloadavg()[0], 1)
"""Of the machine when the script began; 1 is this script alone, soon."""
KINDS = ("AMX", "AVX512-BF16", "neither", "not recorded")
"""What a processor multiplies bfloat16 with; `not recorded` is for lines carried over from before."""
SMOLLM2 = "SmolLM2-135M-Instruct, dequantized from 4 bits"
EMBEDDED = "embedded (3 blocks x 64)"
MODELS = {"smollm2": SMOLLM2, "embedded": EMBEDDED}
"""What a name stands for; other names stand for themselves."""


@dataclass(frozen=True)
class Line:
    """One claim and what a run found of it.

    `ratio` is what the bar is about: mostly the peer's time over ours. `ours` and `peer` are in
    `unit`. `bound` is what counting operations allows at most (or at least, where the bar is an upper one).
    """

    topic: str
    """Heading of the page: `capture`, `patch map`, ..."""
    claim: str
    """What is claimed, in words that stay the same from run to run."""
    model: str
    """Model, or the shape of random weights or of rows."""
    ratio: float | None
    compared: str
    """Which outputs were compared, and how closely they agree."""
    ours: float | None = None
    peer: float | None = None
    unit: str = "s"
    bar: float | None = None
    at_most: bool = False
    """The bar is an upper one."""
    bound: float | None = None
    note: str = ""
    points: tuple[tuple[float, float], ...] = ()
    """Of a curve: size and cost of each point."""
    verdict: str = ""
    """`met`, `missed` or `no bar`; filled in when written."""
    kind: str = ""
    """One of `KINDS`."""
    threads: int | None = None
    load: float | None = None
    clock: str = ""
    """`processor` or `wall`."""
    date: str = ""
    command: str = ""

    @property
    def judged(self) -> str:
        """Whether the bar is met; a figure that is no number meets none."""
        if self.bar is None:
            return "no bar"
        if self.ratio is None:
            return "missed"
        return "met" if (self.ratio <= self.bar if self.at_most else self.ratio >= self.bar) else "missed"

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What a newer line replaces on the page."""
        return self.topic, self.claim, self.model, self.kind


def options(parser: argparse.ArgumentParser) -> None:
    """The flag that every benchmark has."""
    parser.add_argument(
        "--record",
        type=Path,
        nargs="?",
        const=FILE,
        help=f"append the lines to a file ({FILE} by default), which benchmarks/page.py makes a page of",
    )


def kind() -> str:
    """What this processor multiplies bfloat16 with."""
    import torch

    if torch.cpu._is_amx_tile_supported():
        return "AMX"
    return "AVX512-BF16" if torch.cpu._is_avx512_bf16_supported() else "neither"


def command() -> str:
    """The command that is running, without where its lines go and where environments of peers lie."""
    script, words = Path(sys.argv[0]).name, list(sys.argv[1:])
    if "--record" in words:
        at = words.index("--record")
        named = words[at + 1 : at + 2]
        del words[at : at + (2 if named and not named[0].startswith("-") else 1)]
    one = "OMP_NUM_THREADS=1 " if os.environ.get("OMP_NUM_THREADS") == "1" else ""
    words = [re.sub(r"=/\S*(?=/bin/python)", "=ENVIRONMENT", word) for word in words]
    return one + shlex.join(["python", f"benchmarks/{script}", *words])


def told(line: Line) -> str:
    """One line of text."""
    figure = "no figure" if line.ratio is None else f"{line.ratio:.3g}"
    bar = "" if line.bar is None else f" (bar {'<=' if line.at_most else '>='} {line.bar:g}: {line.judged})"
    bound = "" if line.bound is None else f" [bound {line.bound:.3g}]"
    return f"{line.topic}: {line.claim}: {figure}{bar}{bound}; {line.compared}"


def write(found: Sequence[Line], record: Path | None, *, clock: str, threads: int | None = None) -> None:
    """Print what a run found, and append it to the record where one is named.

    Verdict, machine, date and command are filled in here. `threads`: torch's own by default.
    """
    import torch

    count = torch.get_num_threads() if threads is None else threads
    whole = [
        replace(
            line,
            verdict=line.judged,
            kind=line.kind or kind(),
            threads=count,
            load=LOAD,
            clock=clock,
            date=datetime.date.today().isoformat(),
            command=command(),
        )
        for line in found
    ]
    for line in whole:
        print(told(line))
    if record:
        with record.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(line)) + "\n" for line in whole)


def read(record: Path = FILE) -> list[Line]:
    """All lines of a record, in the order in which they were written.

    Raises:
        ValueError: a line that is none, with its number.
    """
    found = []
    known = {field.name for field in fields(Line)}
    for n, text in enumerate(record.read_text(encoding="utf-8").splitlines(), 1):
        try:
            given = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{record}, line {n} is no JSON ({error}); one object a line") from error
        if not isinstance(given, dict) or set(given) - known:
            wrong = sorted(set(given) - known) if isinstance(given, dict) else type(given).__name__
            raise ValueError(f"{record}, line {n} holds {wrong}; a line has {sorted(known)}")
        try:
            points = tuple((size, cost) for size, cost in given.pop("points", ()))
            line = Line(**given, points=points)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{record}, line {n}: {error}") from error
        if line.kind not in KINDS or line.verdict != line.judged:
            raise ValueError(
                f"{record}, line {n}: machine {line.kind!r} and verdict {line.verdict!r}; the machine is "
                f"one of {KINDS} and the verdict by its numbers {line.judged!r}"
            )
        found.append(line)
    return found


def newest(found: Sequence[Line]) -> list[Line]:
    """The last line of each claim, model and kind of machine, topics and claims in the order they came in."""
    last = {line.key: line for line in found}
    order: dict[tuple[str, ...], int] = {}
    for line in found:
        for part in ((line.topic,), (line.topic, line.claim)):
            order.setdefault(part, len(order))
    return sorted(last.values(), key=lambda line: (order[line.topic,], order[line.topic, line.claim]))
