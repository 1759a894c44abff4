"""How often does the interval of the validity index hold the index of all wordings and seeds?

    python -m mi_bsa.asking.validity_laws

Law: answers are drawn with spreads of seeds, of wordings and of what is left; the truth is the index of the
same population with ten times the wordings and seeds. A minimum of six shares is no mean: noise in any of
them pulls it down, so the rate is told with where it misses (interval above or below the truth).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from mi_bsa.asking.validity import assess

KINDS = ("scale", "scale_flipped", "letter", "word")
SEEDS = (0, 1, 2)
"""Simulation seeds."""


@dataclass(frozen=True)
class Population:
    """What answers are drawn from.

    Attributes:
        gap: of the two arms about oneself; about others and the untrained trait it is a fifth of that.
        seed: standard deviation between seeds of an arm.
        wording: standard deviation of a wording's gap, and half of that of its level.
        rest: what is left in a cell.
        order: by how much the flipped order moves a score.
    """

    gap: float
    seed: float = 0.04
    wording: float = 0.12
    rest: float = 0.03
    order: float = 0.1

    def table(self, rng: np.random.Generator, *, wordings: int, seeds: int) -> pd.DataFrame:
        """Answers of two arms about oneself, another person and another trait."""
        parts = []
        for trait, person, share in (
            ("own", "default", 1.0),
            ("own", "third", 0.2),
            ("other", "default", 0.2),
        ):
            arms = self.seed * rng.normal(size=(2, seeds))
            for kind in KINDS[:1] + KINDS[2:]:
                level = 0.5 + self.wording / 2 * rng.normal(size=wordings)
                gap = share * self.gap + self.wording * share * rng.normal(size=wordings)
                for flipped in (False, True):
                    named = f"{kind}_flipped" if kind == "scale" and flipped else kind
                    for side, arm in enumerate(("seeking", "averse")):
                        cells = level[:, None] + (0.5 - side) * gap[:, None] + arms[side]
                        cells = (
                            cells + self.rest * rng.normal(size=cells.shape) + self.order * (flipped - 0.5)
                        )
                        at = np.indices(cells.shape).reshape(2, -1)
                        own = pd.DataFrame(
                            {"template": at[0], "seed": at[1], "score": cells.clip(0, 1).ravel()}
                        )
                        order = "flipped" if flipped else "plain"
                        own = own.assign(
                            kind=named, arm=arm, order=order, trait=trait, person=person, mass=1.0
                        )
                        parts.append(own)
        table = pd.concat(parts, ignore_index=True)
        return table.assign(
            template=table["kind"].str.removesuffix("_flipped") + table["template"].astype(str)
        )

    def truth(self, *, wordings: int = 100, seeds: int = 40) -> float:
        """The index with so many of both."""
        table = self.table(np.random.default_rng(99), wordings=wordings, seeds=seeds)
        return assess(table, trait="own", draws=0).index


POPULATIONS = {
    "readable (gap .7)": Population(0.7),
    "near the mark (gap .3)": Population(0.3),
    "wordings that agree (gap .7, spread .02)": Population(0.7, wording=0.02),
}


def coverage(
    population: Population, *, wordings: int = 8, seeds: int = 5, sims: int = 50, draws: int = 200
) -> tuple[float, np.ndarray]:
    """The true index, and (study, [held, interval above, interval below]) over all simulation seeds."""
    truth = population.truth()
    found = []
    for seed in SEEDS:
        rng = np.random.default_rng([seed, *b"validity"])
        for _ in range(sims):
            one = assess(population.table(rng, wordings=wordings, seeds=seeds), trait="own", draws=draws)
            found.append((one.low <= truth <= one.high, one.low > truth, one.high < truth))
    return truth, np.array(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line of the rates for each population."""
    parser = argparse.ArgumentParser(prog="python -m mi_bsa.asking.validity_laws", description=main.__doc__)
    parser.add_argument("--sims", type=int, default=50, help="studies for each simulation seed")
    options = parser.parse_args(arguments)
    print("| answers, 8 wordings a kind x 5 seeds | true index | covered | above | below | studies |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, population in POPULATIONS.items():
        truth, found = coverage(population, sims=options.sims)
        ends = stats.binomtest(int(found[:, 0].sum()), len(found)).proportion_ci(0.95)
        held, above, below = found.mean(0)
        span = f"{held:.3f} [{ends.low:.3f}, {ends.high:.3f}]"
        print(f"| {name} | {truth:.3f} | {span} | {above:.3f} | {below:.3f} | {len(found)} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
