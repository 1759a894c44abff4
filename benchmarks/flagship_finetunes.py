"""CPU seconds of a behavior study's finetunes: in groups, as the study trains them, against one by one.

    python benchmarks/flagship_finetunes.py [--config configs/embedded/risk.yaml] [--alone 1] [--groups N]

Every group is trained as its step does it; directly before, its first adapters (`--alone`) one by one,
whose cost stands for the rest. Processor time and not wall time, since other work may share the machine.
"""

import argparse
import json
import resource
import tempfile
from pathlib import Path
from typing import Any

import lines
from lines import Line


def cpu() -> float:
    """Processor seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Train, print a line a group and the ratio over all."""
    from mi_bsa.causal.training import train_group
    from mi_bsa.studies.behavior.study import steps
    from mi_bsa.study import execute
    from mi_bsa.study.registry import load_study
    from mi_bsa.study.steps import Cell

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("configs/embedded/risk.yaml"))
    parser.add_argument(
        "--alone", type=int, default=1, help="adapters of a group that are trained one by one"
    )
    parser.add_argument("--groups", type=int, default=None, help="only so many groups")
    parser.add_argument("--out", type=Path, default=None, help="JSON of the figures")
    lines.options(parser)
    given = parser.parse_args()
    config: Any = load_study(given.config)
    graph = steps(config)
    total = {"alone": 0.0, "grouped": 0.0, "adapters": 0}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        drawn = [step for step in graph if step.name.startswith("rows/") or step.name == "items"]
        execute.execute(drawn, config=config, folder=folder / "grouped", title="rows")
        (folder / "alone").mkdir()
        (folder / "alone" / "rows").symlink_to(folder / "grouped" / "rows")
        groups = [step for step in graph if step.name.startswith("train/")][: given.groups]

        def timed(where: str, jobs: list[Any], *, stack: bool) -> float:
            cell: Any = Cell(folder / where, config, "train", ())
            began = cpu()
            train_group(cell, jobs=jobs, stack=stack)
            return cpu() - began

        timed("alone", groups[0].arguments["jobs"][-1:], stack=False)  # what a process pays once: imports
        for step in groups:
            jobs, single = step.arguments["jobs"], 0.0
            for job in jobs[: given.alone]:
                single += timed("alone", [job], stack=False)
            grouped = timed("grouped", list(jobs), stack=True)
            each = single / min(given.alone, len(jobs))
            group = f"{grouped / len(jobs):.2f} s in a group of {len(jobs)}"
            print(f"{step.name}: {each:.2f} s alone, {group}", flush=True)
            total["alone"] += each * len(jobs)
            total["grouped"] += grouped
            total["adapters"] += len(jobs)
    total["ratio"] = round(total["alone"] / total["grouped"], 2)
    print(json.dumps({key: round(value, 2) for key, value in total.items()}))
    line = Line(
        topic="finetune",
        claim="sixty finetunes of risk.yaml in groups of ten against one by one, in one process",
        model=lines.EMBEDDED,
        ratio=total["ratio"],
        compared=f"{given.alone} of a group timed alone",
        ours=round(total["grouped"], 1),
        peer=round(total["alone"], 1),
        bar=2,
        note=f"{total['adapters']} adapters of {given.config.name}",
    )
    lines.write([line], given.record, clock="processor")
    if given.out:
        given.out.write_text(json.dumps(total, indent=1) + "\n")


if __name__ == "__main__":
    main()
