"""How often do the intervals of a self-report hold: of a level, of a gap between two arms, of the validity
index?

    python -m mi_bsa.asking.validity_laws --out docs/validity.md

writes its section of the page, before the planted models'. Law: answers are drawn with spreads of seeds, of
wordings and of what is left. The index's truth is the index of the same population with many more wordings
and seeds. A minimum of six shares is no mean: noise in any of them pulls it down, so the rate is told with
where it misses (interval above or below the truth). Levels and gaps go through `scoring` itself; the index
is simulated by `indices`, which takes all draws at once and equals `assess` (held by a test).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import expit

from mi_bsa.asking import scoring
from mi_bsa.asking.validity import tails
from probes.validity.law import SEEDS, coverage_in_words, exact
from probes.validity.page import BESIDE, REPORTS

END = "<!-- reports: end -->"
PARTS = (("own", "default", 1.0), ("own", "third", 0.2), ("other", "default", 0.2))
"""Trait, person, and share of the gap of what is asked about."""
KINDS = ("scale", "scale_flipped", "letter", "word")


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

    def answers(
        self, rng: np.random.Generator, *, wordings: int, seeds: int
    ) -> Float[np.ndarray, "part kind order arm wording seed"]:
        """Scores of two arms about oneself, another person and another trait (`PARTS`)."""
        shape = (len(PARTS), 3, 1, 1, wordings, 1)
        share = np.array([share for _, _, share in PARTS]).reshape(-1, 1, 1, 1, 1, 1)
        arms = self.seed * rng.normal(size=(len(PARTS), 1, 1, 2, 1, seeds))
        level = 0.5 + self.wording / 2 * rng.normal(size=shape)
        gap = share * (self.gap + self.wording * rng.normal(size=shape))
        side = np.array([0.5, -0.5]).reshape(2, 1, 1)
        order = self.order * np.array([-0.5, 0.5]).reshape(2, 1, 1, 1)
        cells = level + side * gap + arms + order
        cells = cells + self.rest * rng.normal(size=(len(PARTS), 3, 2, 2, wordings, seeds))
        clipped: np.ndarray = cells.clip(0, 1)
        return clipped

    def table(self, rng: np.random.Generator, *, wordings: int, seeds: int) -> pd.DataFrame:
        """The same as a table of answers."""
        return as_table(self.answers(rng, wordings=wordings, seeds=seeds))

    def truth(self, *, wordings: int = 400, seeds: int = 100) -> float:
        """The index with so many of both."""
        scores = self.answers(np.random.default_rng(99), wordings=wordings, seeds=seeds)
        whole = np.ones((1, len(PARTS), 3, wordings)), np.ones((1, 2, seeds))
        return float(indices(scores, *whole)[0])


def as_table(scores: Float[np.ndarray, "part kind order arm wording seed"]) -> pd.DataFrame:
    """Scores as a table of answers; the first kind is a scale, whose flipped form is a kind of its own."""
    at = np.indices(scores.shape).reshape(scores.ndim, -1)
    part, kind, order, arm, wording, seed = at
    plain = np.array([KINDS[0], *KINDS[2:]])[kind]
    traits, persons = (np.array([p[k] for p in PARTS])[part] for k in (0, 1))
    return pd.DataFrame(
        {
            "template": [f"{k}{w}" for k, w in zip(plain, wording, strict=True)],
            "seed": seed,
            "score": scores.ravel(),
            "kind": np.where((kind == 0) & (order == 1), KINDS[1], plain),
            "arm": np.array(["seeking", "averse"])[arm],
            "order": np.array(["plain", "flipped"])[order],
            "trait": traits,
            "person": persons,
            "mass": 1.0,
        }
    )


def indices(
    scores: Float[np.ndarray, "part kind order arm wording seed"],
    wordings: Float[np.ndarray, "draw part kind wording"],
    seeds: Float[np.ndarray, "draw arm seed"],
) -> Float[np.ndarray, " draw"]:
    """The validity index under weights of wordings and seeds, all draws at once (`mi_bsa.asking.validity`).

    Args:
        scores: as `Population.answers` gives them.
        wordings: how often each wording is drawn, within its kind.
        seeds: how often each seed of an arm is drawn.
    """
    w, s = wordings / wordings.sum(-1, keepdims=True), seeds / seeds.sum(-1, keepdims=True)

    def over_seeds(values: np.ndarray, signs: tuple[float, float]) -> np.ndarray:
        """Weighted sums [draw, ..., wording] of values [..., arm, wording, seed], arms by sign."""
        rows = np.moveaxis(values, -3, -2).reshape(*values.shape[:-3], values.shape[-2], -1)
        by_draw = rows @ (s * np.array(signs)[:, None]).reshape(len(s), -1).T
        return np.moveaxis(by_draw, -1, 0)

    apart = over_seeds(scores, (1.0, -1.0))
    # a scale's two directions are two kinds, the other kinds have both orders in one
    four = np.concatenate([apart[:, :, :1, 0], apart[:, :, :1, 1], apart[:, :, 1:].mean(3)], axis=2)
    weights = np.concatenate([w[:, :, :1], w], axis=2)
    centers = (weights * four).sum(-1)
    gaps = centers.mean(-1)
    own = gaps[:, 0]
    n = wordings.sum(-1)[:, 0, [0, 0, 1, 2]]
    off = (weights[:, 0] * (four[:, 0] - centers[:, 0, :, None]) ** 2).sum(-1) * n / (n - 1)
    moved = over_seeds(np.abs(scores[0, 1:, 0] - scores[0, 1:, 1]), (0.5, 0.5))
    order = (moved * w[:, 0, 1:]).sum(-1).mean(-1)
    x, y = scores[0, 0]
    mx, my, xx, yy, xy = (
        (over_seeds(v, (0.5, 0.5)) * w[:, 0, 0]).sum(-1) for v in (x, y, x * x, y * y, x * y)
    )
    both, one, other = xy - mx * my, xx - mx**2, yy - my**2
    sizes = (np.sqrt(off.mean(-1)), np.abs(gaps[:, 1]), np.abs(gaps[:, 2]))
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [np.where(own > 0, 1 - size / own, 0.0) for size in sizes]
        flip = np.where(one * other < 1e-18, 0.0, both / np.sqrt(one * other))
    return np.min(np.clip([1 - order, flip, *shares], 0, 1), axis=0)


def drawn(
    rng: np.random.Generator, count: int, *, wordings: int, seeds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights of so many bootstrap draws of wordings within kinds, and of seeds within arms."""
    own = rng.multinomial(wordings, np.full(wordings, 1 / wordings), size=(count, len(PARTS), 3))
    return own.astype(float), rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=(count, 2)).astype(float)


POPULATIONS = {
    "readable (gap .7)": Population(0.7),
    "near the mark (gap .3)": Population(0.3),
    "wordings that agree (gap .7, spread .02)": Population(0.7, wording=0.02),
}


def coverage(
    population: Population, *, wordings: int = 8, seeds: int = 5, sims: int = 3000, draws: int = 200
) -> tuple[float, np.ndarray]:
    """The true index, and (study, [held, interval above, interval below]) over all simulation seeds."""
    truth, size = population.truth(), {"wordings": wordings, "seeds": seeds}
    found = []
    for seed in SEEDS:
        rng = np.random.default_rng([seed, *b"validity"])
        for _ in range(-(-sims // len(SEEDS))):
            scores = population.answers(rng, **size)
            low, high = np.quantile(indices(scores, *drawn(rng, draws, **size)), tails(wordings, seeds))
            found.append((low <= truth <= high, low > truth, high < truth))
    return truth, np.array(found)


Held = Callable[[np.random.Generator], bool]
"""Whether the interval of one drawn study holds the truth."""
TRUE_GAP = 0.6
"""Of what gaps are simulated from."""


def gap_holds(seeds: int, wordings: int, *, paired: bool, seed: float = 0.05, wording: float = 0.1) -> Held:
    """`scoring.gap`: three kinds, each with so many wordings; `paired`: the two arms of a seed differ from
    others alike, as arms that were trained on the same prompts do.
    """
    kinds, templates = np.repeat(["a", "b", "c"], wordings), np.tile(np.arange(wordings), 3)

    def one(rng: np.random.Generator) -> bool:
        each = wording * rng.normal(size=kinds.size)
        arms = seed * rng.normal(size=(1 if paired else 2, seeds, 1))
        own = seed * rng.normal(size=(2, seeds, 1)) / 2
        sides = np.array([0.5, -0.5])[:, None, None]
        scores = 0.5 + sides * (TRUE_GAP + each) + arms + own + 0.05 * rng.normal(size=(2, seeds, kinds.size))
        at = np.indices(scores.shape).reshape(3, -1)
        table = pd.DataFrame(
            {
                "arm": np.array(["seeking", "averse"])[at[0]],
                "seed": at[1],
                "kind": kinds[at[2]],
                "template": templates[at[2]],
                "score": scores.ravel().clip(0, 1),
            }
        )
        found = scoring.gap(table, paired=paired)
        return found.low <= TRUE_GAP <= found.high

    return one


def level_holds(seeds: int, wordings: int, at: float) -> Held:
    """`scoring.mean_score`: three kinds; seeds and wordings vary by half a logit."""
    kinds, templates = np.repeat(["a", "b", "c"], wordings), np.tile(np.arange(wordings), 3)
    grid = np.random.default_rng(0).normal(size=200_000)
    truth = float(expit(at + np.sqrt(0.25 + 0.25 + 0.0625) * grid).mean())

    def one(rng: np.random.Generator) -> bool:
        each = 0.5 * rng.normal(size=kinds.size) + 0.5 * rng.normal(size=(seeds, 1))
        scores = expit(at + each + 0.25 * rng.normal(size=(seeds, kinds.size)))
        seed, item = np.indices(scores.shape).reshape(2, -1)
        table = pd.DataFrame(
            {"seed": seed, "kind": kinds[item], "template": templates[item], "score": scores.ravel()}
        )
        found = scoring.mean_score(table)
        return found.low <= truth <= found.high

    return one


def laws() -> Iterator[tuple[str, Held]]:
    """Levels and gaps, by name."""
    for seeds in (3, 5, 10):
        for paired in (False, True):
            how = "seeds paired" if paired else "arms of their own seeds"
            name = f"`scoring.gap`, 3 kinds x 8 wordings, {seeds} seeds, {how}"
            yield name, gap_holds(seeds, 8, paired=paired)
    for seeds in (3, 5):
        for at, said in ((0.0, ".5"), (4.0, ".97")):
            name = f"`scoring.mean_score` near {said}, 3 kinds x 8 wordings, {seeds} seeds"
            yield name, level_holds(seeds, 8, at)


def section(sims: int) -> list[str]:
    """The section of the page, as lines of Markdown."""
    lines = [
        REPORTS,
        "## Self-reports: levels, gaps and the validity index",
        "",
        f"`python -m mi_bsa.asking.validity_laws --out docs/validity.md`; {sims} studies a line over the",
        f"simulation seeds {', '.join(map(str, SEEDS))}, judged as above.",
        "",
        "| interval | covered | studies | verdict |",
        "| --- | --- | --- | --- |",
    ]
    for name, one in laws():
        hits = []
        for seed in SEEDS:
            rng = np.random.default_rng([seed, *name.encode()])
            hits += [one(rng) for _ in range(-(-sims // len(SEEDS)))]
        lines.append(f"| {name} | {_shown(np.array(hits))} | {len(hits)} | {_judged(np.array(hits))} |")
    lines += [
        "",
        "The index (`assess`): expanded percentiles of 200 draws of wordings and seeds; 8 wordings a kind x",
        "5 seeds. An index is the smallest of six shares, so a study's own tends to lie below that of all",
        "wordings and seeds. *Above* is an interval wholly above the true index: a report read too easily;",
        "*below* is one that is read too seldom.",
        "",
        "| answers | true index | covered | above | below | studies | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, population in POPULATIONS.items():
        truth, found = coverage(population, sims=sims)
        _, above, below = found.mean(0)
        lines.append(
            f"| {name} | {truth:.3f} | {_shown(found[:, 0])} | {above:.3f} | {below:.3f} | {len(found)} | "
            f"{_judged(found[:, 0])} |"
        )
    return [*lines, "", END, ""]


def _shown(hits: np.ndarray) -> str:
    rate, low, high = exact(hits)
    return f"{rate:.3f} [{low:.3f}, {high:.3f}]"


def _judged(hits: np.ndarray) -> str:
    _, low, high = exact(hits)
    said = coverage_in_words(low, high)
    return f"FAILS: {said}" if said == "too short" else said


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the section of the page."""
    parser = argparse.ArgumentParser(prog="python -m mi_bsa.asking.validity_laws", description=main.__doc__)
    parser.add_argument("--sims", type=int, default=3000, help="studies a line, over all simulation seeds")
    parser.add_argument("--out", type=Path, required=True, help="the page; its other sections are kept")
    options = parser.parse_args(arguments)
    page = options.out.read_text(encoding="utf-8") if options.out.exists() else ""
    made = "\n".join(section(options.sims))
    if REPORTS in page:
        before, _, rest = page.partition(REPORTS)
        after = rest.partition(END)[2].lstrip("\n")
    else:
        before, mark, rest = page.partition(BESIDE)
        after = mark + rest
    options.out.write_text(f"{before}{made}\n{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
