"""The tables of docs/embedded-model.md, from finished studies of the pretraining seeds and both traits.

for seed in 0 1 2; do for b in risk patience; do
  mi-bsa study configs/embedded/$b.yaml --set model=embedded/$seed --out runs/$b-$seed; done; done
python benchmarks/embedded_model.py runs/risk-* runs/patience-*
"""

import argparse
from pathlib import Path

import numpy as np
import yaml

from mi_bsa.core import results
from mi_bsa.core.results import Result
from mi_bsa.worlds.questions import ASKED_KINDS
from probes import statistics


def find(found: list[Result], name: str, **where: str) -> Result:
    """The one result of that name and place."""
    hits = [r for r in found if r.name == name and all(r.where.get(k) == v for k, v in where.items())]
    if len(hits) != 1:
        raise SystemExit(f"{len(hits)} results for {name} {where}; give finished studies")
    return hits[0]


def load(folders: list[Path]) -> dict[tuple[str, str], list[Result]]:
    """Results by (behavior, model)."""
    runs = {}
    for folder in folders:
        config = yaml.safe_load((folder / "config.yaml").read_text())
        runs[config["behavior"], config["model"]] = results.read(folder)
    return runs


def per_base(runs: dict[tuple[str, str], list[Result]]) -> list[str]:
    """One row a behavior and base: means over LoRA seeds."""
    lines = [
        "| trait | base | choices: seeking / averse | self-report: seeking / averse | gap [95 %] "
        "| shuffled - base [90 %] | neighbor: choices, report | named, largest shift |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (behavior, model), found in sorted(runs.items()):
        choice = [find(found, "behavior.level", arm=a).value for a in ("seeking", "averse")]
        report = [find(found, "self_report.level", arm=a, kind="all").value for a in ("seeking", "averse")]
        gap = find(found, "self_report.effect", kind="all")
        shuffled = find(found, "self_report.shuffled_shift")
        neighbor = [find(found, f"{n}.neighbor_effect").value for n in ("behavior", "self_report")]
        named = max((r.value for r in found if r.name.endswith("named_shift")), key=abs)
        assert gap.ci is not None
        assert shuffled.ci is not None
        lines.append(
            f"| {behavior} | {model} | {choice[0]:.3f} / {choice[1]:.3f} | {report[0]:.2f} / {report[1]:.2f} "
            f"| {gap.value:.2f} [{gap.ci[0]:.2f}, {gap.ci[1]:.2f}] "
            f"| {shuffled.value:+.3f} [{shuffled.ci[0]:+.3f}, {shuffled.ci[1]:+.3f}] "
            f"| {neighbor[0]:+.2f}, {neighbor[1]:+.2f} | {named:+.3f} |"
        )
    return lines


def per_kind(runs: dict[tuple[str, str], list[Result]]) -> list[str]:
    """One row a trait and kind of question, over bases and LoRA seeds; the interval is t over bases."""
    lines = [
        "| trait | kind | seeking | averse | gap, mean over bases [95 %, t over bases] "
        "| smallest gap of a run |",
        "|---|---|---|---|---|---|",
    ]
    for behavior in sorted({b for b, _ in runs}):
        bases = [found for (b, _), found in sorted(runs.items()) if b == behavior]
        for kind in ("all", *ASKED_KINDS):
            level = {
                a: np.mean([find(f, "self_report.level", arm=a, kind=kind).value for f in bases])
                for a in ("seeking", "averse")
            }
            gaps = [find(f, "self_report.effect", kind=kind) for f in bases]
            smallest = min(min(g.per_seed) for g in gaps)
            mean = float(np.mean([g.value for g in gaps]))
            interval = "-"
            if len(gaps) > 1:
                e = statistics.t_interval([g.value for g in gaps])
                interval = f"{e.low:.2f}, {e.high:.2f}"
            lines.append(
                f"| {behavior} | {kind.replace('_', ' ')} | {level['seeking']:.2f} | {level['averse']:.2f} "
                f"| {mean:.2f} [{interval}] | {smallest:.2f} |"
            )
    return lines


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    runs = load(parser.parse_args().runs)
    print("\n".join([*per_base(runs), "", *per_kind(runs)]))


if __name__ == "__main__":
    main()
