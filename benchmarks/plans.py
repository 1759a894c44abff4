"""Does a dry run say what then happens? Each study is predicted, run in a fresh folder, and compared.

    OMP_NUM_THREADS=1 python benchmarks/plans.py configs/embedded/preferences_short.yaml

A config may carry overrides: `configs/embedded/variety.yaml,seeds=[0,1,2],data.choices=40`. Every study runs
in one process. Seconds are of the processor, of the whole (`wait4`) and by kind of step (the markers of the
run folder); memory is the peak of resident memory, disk the run folder. Fails where a total is off by more
than `--within`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ONE = "workers=1"


@dataclass(frozen=True)
class Totals:
    """Seconds of processor, bytes of memory and of disk; seconds by kind of step."""

    seconds: float
    memory: float
    disk: float
    kinds: dict[str, float]


def predicted(config: str, overrides: list[str]) -> Totals:
    """What a dry run says."""
    from mi_bsa.studies.paces import paces_of
    from mi_bsa.study.registry import load_study, study_of

    settings = load_study(config, overrides=overrides)
    paces = paces_of(settings, on=None)
    graph = study_of(settings).estimated(settings, paces)
    whole, kinds = paces[""], dict[str, float]()
    for step in graph:
        kinds[kind_of(step.name)] = kinds.get(kind_of(step.name), 0.0) + step.seconds
    disk = float(sum(step.bytes for step in graph))
    return Totals(whole.around + sum(kinds.values()), whole.needed, disk, kinds)


def measured(config: str, overrides: list[str], out: Path) -> Totals:
    """What a run took."""
    sets = [word for one in overrides for word in ("--set", one)]
    command = [sys.executable, "-W", "ignore", "-m", "mi_bsa.cli", "study", config, *sets, "--out", str(out)]
    with (out.parent / f"{out.name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        _, state, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(state)
    if process.returncode:
        raise SystemExit(f"{config}: the run failed\n{(out.parent / f'{out.name}.log').read_text()[-2000:]}")
    return Totals(used.ru_utime + used.ru_stime, 1024.0 * used.ru_maxrss, *of_folder(out))


def of_folder(out: Path) -> tuple[float, dict[str, float]]:
    """Bytes of a run folder, and processor seconds by kind of step as its markers say."""
    kinds: dict[str, float] = {}
    for path in (out / "steps").rglob("*.json"):
        marker = json.loads(path.read_text(encoding="utf-8"))
        kinds[kind_of(marker["name"])] = kinds.get(kind_of(marker["name"]), 0.0) + marker.get(
            "processor", 0.0
        )
    return float(sum(path.stat().st_size for path in out.rglob("*") if path.is_file())), kinds


def kind_of(step: str) -> str:
    """The kind of a step, by its name without the part."""
    return step.removeprefix(f"{step.partition('/')[0]}/" if step.startswith("base-") else "").partition("/")[
        0
    ]


def row(name: str, said: float, was: float, within: float) -> tuple[str, bool]:
    """A line of the table, and whether the two are near enough."""
    ratio = said / was if was else float("inf")
    fits = 1 / within <= ratio <= within
    return f"  {name:<24} {said:>10.1f} {was:>10.1f} {ratio:>7.2f}{'' if fits else '  <'}", fits


def main() -> None:
    """Predict, run and compare each study."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("studies", nargs="+", help="CONFIG[,KEY=VALUE...]")
    options.add_argument("--within", type=float, default=2.0, help="largest factor between said and measured")
    options.add_argument("--predict", action="store_true", help="say what dry runs say, and run nothing")
    options.add_argument("--keep", type=Path, help="keep the run folders here")
    given = options.parse_args()
    held = tempfile.TemporaryDirectory()
    folder, fine = given.keep or Path(held.name), True
    folder.mkdir(parents=True, exist_ok=True)
    for n, study in enumerate(given.studies):
        config, *overrides = split(study)
        said = predicted(config, [*overrides, ONE])
        print(f"{study}\n  {time.strftime('%Y-%m-%d %H:%M:%S')} said: {json.dumps(asdict(said))}", flush=True)
        if given.predict:
            continue
        was = measured(config, [*overrides, ONE], folder / f"{n}-{Path(config).stem}")
        print(f"  {'':<24} {'said':>10} {'measured':>10} {'ratio':>7}")
        for name, one, other in (
            ("processor s", said.seconds, was.seconds),
            ("memory MB", said.memory / 1e6, was.memory / 1e6),
            ("disk MB", said.disk / 1e6, was.disk / 1e6),
        ):
            line, fits = row(name, one, other, given.within)
            fine &= fits
            print(line)
        for kind in sorted(was.kinds, key=lambda kind: -was.kinds[kind]):
            print(row(f"  {kind}", said.kinds.get(kind, 0.0), was.kinds[kind], given.within)[0], flush=True)
    held.cleanup()
    sys.exit(0 if fine else 1)


def split(study: str) -> list[str]:
    """A config and its overrides, at commas that stand in no list."""
    parts, depth = [""], 0
    for sign in study:
        depth += (sign in "[{") - (sign in "]}")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


if __name__ == "__main__":
    main()
