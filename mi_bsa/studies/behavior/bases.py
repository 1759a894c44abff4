"""Several bases in one study: every base runs the whole study by itself, and then a step over all of them.

The law: a base's numbers are those of the study of that base alone, to the last digit; its steps lie in a
folder of its own (`base-0`, in the order of the list) and know nothing of the others. Results over bases have
no `base` in their place; those of each base that they were made of stand beside them, and have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mi_bsa.causal.multiverse import told
from mi_bsa.causal.over_bases import over_bases
from mi_bsa.causal.power import planned as planned_alone
from mi_bsa.causal.steer_and_patch import read, write
from mi_bsa.causal.verdict import Verdict, verdicts
from mi_bsa.core import results
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.files import write_json
from mi_bsa.core.model_files import weights_hash
from mi_bsa.core.results import Result
from mi_bsa.finetune import preflight
from mi_bsa.studies.behavior.config import BehaviorConfig
from mi_bsa.study.power import of_units
from mi_bsa.study.steps import Cell, Step

JOINED = "behind.json"
"""What a base leaves for the step over bases: its results that come with the cells they were made of."""


def over_bases_step(config: BehaviorConfig) -> Step:
    """The step that comes after every base's own results."""
    return Step(
        "results",
        join,
        {"parts": {part: str(one.model) for part, one in config.parts.items()}},
        after=tuple(f"{part}/results" for part in config.parts),
        outputs=("results.json", "results.csv", "verdicts.json"),
        seconds=2,
        judges=True,
    )


def leave(found: Sequence[Result], folder: Path) -> None:
    """Keep what the step over bases will need of one base."""
    write(folder / JOINED, [one for one in found if one.behind is not None])


def judge(found: Sequence[Result], registration: str) -> tuple[list[Verdict], list[Result]]:
    """The verdicts of results, and the verdicts as results, with their registration beside them."""
    judged = verdicts(found)
    numbers = [one.to_result() for one in judged]
    return judged, [replace(one, notes=f"{one.notes} [{registration}]") for one in numbers]


def said_of(
    judged: Sequence[Verdict], registration: str, found: Sequence[Result] = ()
) -> list[dict[str, str]]:
    """The verdicts as `verdicts.json` has them, with the paths that agree by what was `found`."""
    return [
        {"conjecture": v.claim, "verdict": v.answer, "because": v.reason, "registration": registration}
        | ({"paths": paths} if (paths := told(found, v.conjecture)) else {})
        for v in judged
    ]


def join(cell: Cell[BehaviorConfig], *, parts: dict[str, str]) -> dict[str, Any]:
    """Results and verdicts over bases, and beside them those of every base."""
    registration, each, answers = cell.registration, {}, []
    tagged: list[Result] = []
    for part, base in parts.items():
        folder = cell.folder / part
        known = {one.key: one.behind for one in read(folder / JOINED)}
        own = results.read(folder)
        each[base] = [replace(one, behind=known.get(one.key), where=dict(one.where)) for one in own]
        judged = verdicts(own)
        answers.append({v.conjecture: v.answer for v in judged})
        tagged += [
            replace(one, where={**one.where, "base": base})
            for one in own
            if one.name.startswith("bridge.verdict.")
        ]
    joined, own = over_bases(each)
    judged, numbers = judge(joined, registration)
    over = results.with_q([*joined, *numbers])
    results.write([*over, *own, *tagged], cell.folder)
    said = said_of(judged, registration)
    for verdict, one in zip(judged, said, strict=True):
        one["bases"] = in_words([base[verdict.conjecture] for base in answers], verdict.answer)
        one |= {"paths": paths} if (paths := paths_in_words(each, verdict.conjecture)) else {}
    write_json(cell.folder / "verdicts.json", said)
    return {"results": len(over) + len(own) + len(tagged)}


def in_words(answers: Sequence[str], over: str) -> str:
    """`of 3 bases: supported in 2, undecided in 1; over bases undecided`."""
    counted = ", ".join(f"{answer} in {n}" for answer, n in Counter(sorted(answers)).most_common())
    return f"of {len(answers)} bases: {counted}; over bases {over}"


def paths_in_words(each: Mapping[str, Sequence[Result]], conjecture: str) -> str:
    """The share of paths of each base that agree with its own verdict; empty where none was walked. Over
    bases no path is walked (docs/decisions/0028).
    """
    shares = {base: told(own, conjecture).partition(":")[0] for base, own in each.items()}
    said = "; ".join(f"{base} {share}" for base, share in shares.items() if share)
    return said and f"with the verdict of each base alone: {said}"


def check(config: BehaviorConfig) -> None:
    """What a study refuses before it makes a folder; and bases that are one, whatever they are called."""
    preflight.check(config)
    hashes: dict[str, str] = {}
    for model in config.bases:
        other = hashes.setdefault(weights_hash(model), str(model))
        if other != str(model):
            raise ConfigError(
                f"model lists {other} and {model}, which are one base by their weights; name it once"
            )


def planned(config: BehaviorConfig) -> list[str]:
    """What `--plan` prints: of one base, and of the verdict over bases."""
    alone = planned_alone(config)
    if not config.bases:
        return alone
    head = f"{len(config.bases)} bases: {', '.join(map(str, config.bases))}. Of each of them alone:"
    return [head, *alone, "Over bases:", *(f"  {line}" for line in of_units(len(config.bases), "bases"))]
