"""How much the bridge's results vary, as a named run measured it: what power is worked out of.

The law: a spread is a standard deviation that was measured somewhere and says where; none is guessed, and a
result whose spread was measured nowhere has no power, only the floor of its p. The table ships as
`spreads.yaml`; `python -m mi_bsa.causal.spreads RUN --out FILE` writes one of a finished behavior study, and
whatever simulates models of known truth may write one by `Spreads.write`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import stdtrit

from mi_bsa.asking.statements import against_base
from mi_bsa.causal.handle import ON_REPORT
from mi_bsa.causal.options import DirectionKind
from mi_bsa.core.errors import BrokenFileError
from mi_bsa.core.files import write_atomic
from mi_bsa.core.plain_files import read_yaml_value
from mi_bsa.core.results import Result
from mi_bsa.core.variants import BASE
from mi_bsa.study import power
from mi_bsa.study.registration import SHOWN
from probes.statistics.spread import ROUNDING

if TYPE_CHECKING:
    import pandas as pd

SHIPPED = Path(__file__).with_name("spreads.yaml")
FORMAT = 1
HEAD = """# Standard deviations of the bridge's results: `mi-bsa study CONFIG --plan` works out power of them.
# seed: between seeds; item: between items or wordings; rest: what is left; null_*: of random directions;
# at: the value of the result there.
# Written by `python -m mi_bsa.causal.spreads RUN --out FILE`.
"""
METHOD: DirectionKind = "trained"
"""Kind of vector whose results stand for a handle: the one that is fitted to choices."""
OF_HANDLE = ("bridge.recovery.behavior", "bridge.recovery.self_report", "bridge.necessity.self_report")
APART = "bridge.recovery.apart"
"""What both poles' handles move apart: the p of the handle's report line."""
OVER_SEEDS = (
    "behavior.effect",
    "bridge.transfer.over_neutral",
    "bridge.transfer.over_wrong_behavior",
    *OF_HANDLE,
    "bridge.rival.self_report",
    "bridge.attribution.observed",
    "bridge.words.in_context",
    "bridge.words.bag",
    "bridge.state_or_prompt.counter",
)
"""Results with one value a seed, many of them over wordings or scenarios too (`mi_bsa.causal.wordings`): an
effect, or a share that is linear where its effect varies little.
"""
CROSSED = "self_report.effect"
MEDIATED = "bridge.mediation.nie"
OWN = f"bridge.recovery.behavior of {ON_REPORT}"
"""What the report's own vector gives of the choices: another vector than the handle, another spread."""


@dataclass(frozen=True)
class Spread:
    """How much one result varies, in its own unit.

    Attributes:
        seed: between seeds; of a difference of arms that is crossed with wordings, of one arm.
        item: between items, or wordings of one kind; of a difference of arms, of that difference.
        rest: of what is left in a cell; of a difference of arms, of one arm.
        null_mean, null_spread: of its null directions, None where it is not held against draws.
        at: the result's value there; near 0 and 1 an effect varies less than elsewhere.
    """

    seed: float
    item: float = 0.0
    rest: float = 0.0
    null_mean: float | None = None
    null_spread: float | None = None
    at: float | None = None


@dataclass(frozen=True)
class Spreads:
    """A table of spreads, and where it was measured.

    Attributes:
        source: the run, in words.
        seeds: behind each spread; from few seeds it is known within a factor of two at best.
        of: by name of the result.
    """

    source: str
    seeds: int
    of: Mapping[str, Spread]

    def write(self, path: Path) -> None:
        """Write the table, replacing one that is there."""
        shown = {
            name: {
                k: round(v, 4) for k, v in asdict(one).items() if v is not None and (v or k in ("seed", "at"))
            }
            for name, one in self.of.items()
        }
        said = {"format": FORMAT, "source": self.source, "seeds": self.seeds, "spreads": shown}
        write_atomic(path, HEAD + yaml.safe_dump(said, sort_keys=False, width=110))

    @classmethod
    def read(cls, path: Path = SHIPPED) -> Spreads:
        """Read a table. Raises `BrokenFileError` for a file that is none."""
        said = read_yaml_value(path, error=BrokenFileError)
        try:
            if said["format"] != FORMAT:
                raise BrokenFileError(f"{path}: a table of format {said['format']!r}; write it again")
            return cls(said["source"], said["seeds"], {k: Spread(**v) for k, v in said["spreads"].items()})
        except (KeyError, TypeError, AttributeError) as reason:
            raise BrokenFileError(f"{path}: no table of spreads ({reason}); write it again") from None


def measured(
    results: Sequence[Result],
    table: pd.DataFrame | None,
    *,
    source: str,
    items: Mapping[str, int] | None = None,
) -> Spreads:
    """The spreads of a study.

    Args:
        results: of the study, test split.
        table: its answers (`mi_bsa.causal.asking.answers`), for the reports; without it they are left out.
        source: what the table says of where it is from.
        items: of how many wordings or scenarios each result is that was over them too; of one that is not
            here only the spread between seeds is known.
    """
    many = items or {}
    found: dict[str, Spread] = {}
    seeds: list[int] = []
    for name in OVER_SEEDS:
        own = [r for r in results if r.name == name and len(r.per_seed) > 1]
        own = [r for r in own if name not in OF_HANDLE or r.where.get("method") == METHOD]
        own = [r for r in own if r.where.get("kind", "self_report") == "self_report"]
        own = [r for r in own if r.where.get("position") != "everywhere"]
        if own:
            found[name] = max((_spread(r, many.get(name, 0)) for r in own), key=_wide)
            seeds.append(min(len(r.seeds) for r in own))
    tested = [r for r in results if r.name == APART and r.where.get("kind") == "self_report"]
    if tested and OF_HANDLE[1] in found:  # its p is of both poles
        null = _spread(tested[0])
        found[OF_HANDLE[1]] = replace(
            found[OF_HANDLE[1]], null_mean=null.null_mean, null_spread=null.null_spread
        )
    own = [r for r in results if r.name == OF_HANDLE[0] and r.where.get("method") == ON_REPORT and r.per_seed]
    if own:
        found[OWN] = max((_spread(r, many.get(OF_HANDLE[0], 0)) for r in own), key=_wide)
    if table is not None:
        found[CROSSED] = crossed(table)
        seeds.append(int(table["seed"].nunique()))
    return Spreads(source, min(seeds, default=0), found)


def crossed(table: pd.DataFrame, *, arms: tuple[str, str] = ("seeking", "averse")) -> Spread:
    """Components of variance of a report's gap, by mean squares; one below zero is zero.

    `table`: columns `arm`, `kind`, `template`, `seed`, `score`.
    """
    cells = [
        table[table["arm"] == arm].groupby(["kind", "template", "seed"])["score"].mean().unstack()
        for arm in arms
    ]
    shared = cells[0].index.intersection(cells[1].index)
    cells = [one.loc[shared] for one in cells]
    of_seed, of_rest = [], []
    wordings, seeds = cells[0].shape
    for one in cells:
        values = one.to_numpy()
        rest = values - values.mean(1, keepdims=True) - values.mean(0, keepdims=True) + values.mean()
        left = float((rest**2).sum() / max((wordings - 1) * (seeds - 1), 1))
        of_rest.append(left)
        of_seed.append(float(values.mean(0).var(ddof=1)) - left / wordings)
    gaps = cells[0].mean(axis=1) - cells[1].mean(axis=1)
    within = gaps.groupby(level="kind").var().dropna()
    of_wording = float(within.mean()) - sum(of_rest) / seeds if len(within) else 0.0
    seed, wording, left = (
        float(np.sqrt(max(0.0, v))) for v in (np.mean(of_seed), of_wording, np.mean(of_rest))
    )
    return Spread(seed, wording, left, at=float(gaps.groupby(level="kind").mean().mean()))


def two_way(values: Float[np.ndarray, "seed item"]) -> Spread:
    """Components of variance of seeds x items, by mean squares; one below zero is zero."""
    seeds, items = values.shape
    rest = values - values.mean(1, keepdims=True) - values.mean(0, keepdims=True) + values.mean()
    left = float((rest**2).sum() / max((seeds - 1) * (items - 1), 1))
    of_seed = float(values.mean(1).var(ddof=1)) - left / items
    of_item = float(values.mean(0).var(ddof=1)) - left / seeds
    seed, item, rest_of = (float(np.sqrt(max(0.0, v))) for v in (of_seed, of_item, left))
    return Spread(seed, item, rest_of, at=float(values.mean()))


def mediated(folder: Path, results: Sequence[Result]) -> Spread:
    """The spread of what is mediated, for which a finished study's model is asked again: its results keep no
    value a seed.
    """
    from mi_bsa.causal import directions
    from mi_bsa.causal.bridge_config import BridgeConfig
    from mi_bsa.causal.causal_steps import ready
    from mi_bsa.causal.mediation import Runs
    from mi_bsa.core.config import load
    from mi_bsa.study.steps import Cell

    material, place = ready(Cell(folder, load(folder / "config.yaml", BridgeConfig), "spreads", ()))
    made = directions.vectors(material, place, METHOD, read_out="behavior", seed=0)
    off, _, _, on = Runs(material, "self_report", place).by_unit(made)
    found = two_way(on - off)
    told = next(
        r
        for r in results
        if r.name == MEDIATED
        and r.where["kind"] == "self_report"
        and r.where["method"] == f"behavior:{METHOD}"
    )
    assert abs(told.value - (found.at or 0.0)) < 1e-3, "not the study that left these results"
    null = _spread(told)
    return replace(found, null_mean=null.null_mean, null_spread=null.null_spread)


def _wide(found: Spread) -> tuple[float, float]:
    return found.seed + found.item, found.seed


def _spread(result: Result, items: int = 0) -> Spread:
    """What a result says of its spread: between seeds by its values, between items by its interval."""
    seed = float(np.std(result.per_seed, ddof=1)) if result.per_seed else 0.0
    found = Spread(seed, between_items(result, seed, items), at=float(result.value))
    if result.null is None or "random directions" not in result.null.kind:
        return found
    width = (result.null.high - result.null.low) / (2 * 1.96)
    return replace(found, null_mean=result.null.mean, null_spread=width)


def between_items(result: Result, seed: float, items: int) -> float:
    """The spread between items with which seeds x items have the result's interval (its wider side), given
    the spread of its values between seeds, which holds what is left in a cell; 0 where the interval is over
    seeds alone or no wider than seeds make it.
    """
    crossed_by = any(word in result.ci_method for word in ("wordings", "scenarios"))
    if items < 2 or not crossed_by or result.ci is None or len(result.per_seed) < 2:
        return 0.0
    wider = max(result.value - result.ci[0], result.ci[1] - result.value)

    def beyond(item: float) -> float:
        made = power.two_way(seed=seed, item=item, rest=0.0, seeds=len(result.per_seed), items=items)
        return float(stdtrit(made.df, 0.975) * made.seen - wider)

    if wider <= 0 or beyond(ROUNDING) >= 0:
        return 0.0
    return float(brentq(beyond, ROUNDING, wider * np.sqrt(items)))


def main() -> int:
    """Write the spreads that a finished behavior study shows."""
    from mi_bsa.causal.asking import answers
    from mi_bsa.causal.bridge_config import BridgeConfig
    from mi_bsa.causal.wordings import ASKED, items_of, wordings_of
    from mi_bsa.core import results
    from mi_bsa.core.config import load
    from mi_bsa.core.record import RunFolder

    parser = argparse.ArgumentParser(prog="python -m mi_bsa.causal.spreads", description=main.__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished behavior study")
    parser.add_argument("--out", type=Path, required=True, help="the table to write")
    parser.add_argument("--name", help="what the study is called, instead of the folder's name")
    options = parser.parse_args()
    record = RunFolder.at(options.run).record()
    names = tuple(f"{arm}-{seed}" for arm in ("seeking", "averse") for seed in record["seeds"])
    table = against_base(answers(options.run, (BASE, *names)))
    table = table[table["variant"] != BASE]
    registered = record.get("registration", {})
    source = f"{options.name or options.run.resolve().name}, {registered.get('said', 'exploratory')}"
    if lock := registered.get("lock"):
        source += f", rules {str(lock['design']['rules'])[:SHOWN]}"
    reports = table[table["set"] == "report-test"]
    found = results.read(options.run)
    config = load(options.run / "config.yaml", BridgeConfig)
    asked = wordings_of(config)
    counts = {name: of[0] for name in ASKED if (of := items_of(name, config, asked)) is not None}
    spreads = measured(found, reports, source=source, items=counts)
    replace(spreads, of={**spreads.of, MEDIATED: mediated(options.run, found)}).write(options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
