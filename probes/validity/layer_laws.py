"""Laws of a layer that is chosen inside the training units (`probes.layer_choice`), and of differences of
AUROC over units that were each tested by a probe of all others (`probes.shared_training`).

The planted adapters have an offset of their own at every layer, the same on training, development and test
rows, which is what a choice on the tested adapters feeds on; with an effect, all share one direction besides,
strongest in the first layer. Neutral rows have other offsets. The probe is a mean difference in closed form,
all layers and folds at once: what `probes.leave_one_out` computes fit by fit
(`tests/probes/test_layer_choice.py` holds both against each other).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import expit

from probes.scores import auroc, out_of_fold
from probes.shared_training import mean_out_of_fold
from probes.statistics.intervals import Estimate, t_interval
from probes.validity.law import SEEDS, Rng, covers, exact, reaches

FIT, DEVELOP, TEST = 16, 12, 20
"""Rows of an adapter in training, development and test."""


@dataclass(frozen=True)
class LayerDesign:
    """A planted set of adapters, two a unit (one of each class).

    Attributes:
        units: adapter seeds.
        layers: among which one is chosen.
        offset: size of each adapter's own offset, in standard deviations of the rows' noise, a dimension.
        effect: distance of the classes along the common direction in the first layer; a tenth less in each
            next.
        spread: of the effect between units.
        width: dimensions.
        wordings: how much stronger or weaker (sd, as a share) the classes lie apart in each test row's
            wording, which all units share; 0 where rows are the units' own.
    """

    units: int
    layers: int
    offset: float = 0.5
    effect: float = 0.0
    spread: float = 0.0
    width: int = 6
    wordings: float = 0.0


@dataclass(frozen=True)
class LayerRun:
    """What one set of adapters gave.

    Attributes:
        report, neutral: test scores [unit, class, row] of the two sets, by the layer that the others chose.
        truth: mean over units of the logit of the probe's own population AUROC on the report.
        seen: AUROC [unit] at the one layer that is best on the tested adapters' development rows.
    """

    report: np.ndarray
    neutral: np.ndarray
    truth: float
    seen: np.ndarray

    @property
    def over(self) -> np.ndarray:
        """Difference of AUROC of the two sets, [unit, item] (`probes.LeftOut.placed`); a half is each side's,
        whose items are not the other's."""
        return np.concatenate([2 * _placed(self.report), -2 * _placed(self.neutral)], axis=1)

    def chosen(self, layers: int) -> tuple[Estimate, float]:
        """AUROC of the report with its interval, and the p of .5."""
        units, _, rows = self.report.shape
        unit = np.repeat(np.arange(units), 2 * rows)
        y = np.tile(np.repeat((0, 1), rows), units)
        return out_of_fold(auroc(y, self.report.ravel(), units=unit, strata=unit), layers=layers)


def _auroc(scores: np.ndarray) -> np.ndarray:
    """AUROC of scores [..., class, row]."""
    return np.asarray((scores[..., 1, :, None] > scores[..., 0, None, :]).mean((-1, -2)))


def _placed(scores: np.ndarray) -> np.ndarray:
    """AUROC of scores [unit, class, row] as a layout of units and rows."""
    won = (scores[:, 1, :, None] > scores[:, 0, None, :]).astype(float)
    return np.asarray(won.mean(2) + won.mean(1) - won.mean((1, 2))[:, None])


def adapters(rng: Rng, of: LayerDesign) -> tuple[np.ndarray, np.ndarray]:
    """Mean states [layer, unit, class, width] of the adapters, and of the same adapters on neutral rows."""
    shape = (of.layers, of.units, 2, of.width)
    own, neutral = of.offset * rng.normal(size=shape), of.offset * rng.normal(size=shape)
    along = 0.9 ** np.arange(of.layers)[:, None] * (of.effect + of.spread * rng.normal(size=of.units))
    own[..., 0] += along[..., None] * np.array([-0.5, 0.5])
    return own, neutral


def rows_of(rng: Rng, means: np.ndarray, n: int) -> np.ndarray:
    """Rows [..., row, width] around mean states."""
    return np.asarray(means[..., None, :] + rng.normal(size=(*means.shape[:-1], n, means.shape[-1])))


def _asked(rng: Rng, means: np.ndarray, wordings: float) -> np.ndarray:
    """Test rows, one a wording."""
    rows = rows_of(rng, means, TEST)
    if not wordings:
        return rows
    apart = means - means.mean(2, keepdims=True)
    stronger: np.ndarray = wordings * rng.normal(size=TEST)
    return np.asarray(rows + apart[..., None, :] * stronger[:, None])


def left_out(fit: np.ndarray, develop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The layer that the others choose for each unit, [unit], and its probe's direction there, [unit, width].

    Args:
        fit, develop: rows [layer, unit, class, row, width].
    """
    units = fit.shape[1]
    each, own = np.arange(units), fit[:, :, 1].mean(2) - fit[:, :, 0].mean(2)
    without = own.sum(1, keepdims=True) - own
    pairs = without[:, :, None] - own[:, None]  # [layer, unit, other, width]: without both
    score = _auroc(np.einsum("lucrd,luod->luocr", develop, pairs))
    score[:, each, each] = 0.0
    layer = score.sum(1).argmax(0)
    return layer, without[layer, each]


def one_run(rng: Rng, of: LayerDesign) -> LayerRun:
    """Draw adapters, choose, fit and test."""
    own, neutral = adapters(rng, of)
    fit, develop = (rows_of(rng, own, n) for n in (FIT, DEVELOP))
    test, other = (_asked(rng, means, of.wordings) for means in (own, neutral))
    each = np.arange(of.units)
    layer, w = left_out(fit, develop)
    gap = ((own[layer, each, 1] - own[layer, each, 0]) * w).sum(1) / np.linalg.norm(w, axis=1)
    # what was done before: one layer for all, by the development rows of the adapters that it is tested on
    difference = fit[:, :, 1].mean(2) - fit[:, :, 0].mean(2)
    without = difference.sum(1, keepdims=True) - difference
    seen = _auroc(np.einsum("lucrd,lud->lucr", develop, without)).mean(1).argmax()
    return LayerRun(
        np.einsum("ucrd,ud->ucr", test[layer, each], w),
        np.einsum("ucrd,ud->ucr", other[layer, each], w),
        float(np.mean(stats.norm.logcdf(gap / np.sqrt(2)) - stats.norm.logsf(gap / np.sqrt(2)))),
        _auroc(np.einsum("ucrd,ud->ucr", test[seen], without[seen])),
    )


@dataclass(frozen=True)
class Rates:
    """Hits of a design over all simulation seeds.

    Attributes:
        rejects, above: the difference's p is at most .05; and its value above 0 besides.
        covers: the difference's interval holds the mean difference of all runs.
        auroc_rejects, auroc_covers: the same of the AUROC, against .5 and against its population value.
        plain: t over seeds of the difference, nothing added, rejects 0.
        seen: t over seeds against .5 at the layer chosen on the tested adapters: interval above .5.
    """

    rejects: np.ndarray
    above: np.ndarray
    covers: np.ndarray
    auroc_rejects: np.ndarray
    auroc_covers: np.ndarray
    plain: np.ndarray
    seen: np.ndarray


def rates(of: LayerDesign, sims: int, seeds: Sequence[int] = SEEDS) -> Rates:
    """Simulate a design `sims` times with each seed."""
    key = [of.units, of.layers, round(100 * of.offset), round(100 * of.effect), of.width]
    key += [round(100 * of.wordings)] if of.wordings else []
    runs = [
        one_run(rng, of)
        for seed in seeds
        for rng in [np.random.default_rng([seed, *key])]
        for _ in range(sims)
    ]
    truth = float(np.mean([run.over.mean() for run in runs]))
    typical = float(expit(np.mean([run.truth for run in runs])))
    if of.wordings:  # the population's AUROC is over wordings too
        typical = float(np.mean([_auroc(run.report).mean() for run in runs]))
    kinds = [0] * TEST + [1] * TEST
    found = [mean_out_of_fold(run.over, strata=kinds, layers=of.layers) for run in runs]
    scored = [run.chosen(of.layers) for run in runs]
    plain, seen = (
        [t_interval(values) for values in part]
        for part in zip(*((r.over.mean(1), r.seen) for r in runs), strict=True)
    )
    low = np.array([e.low for e, _ in found])
    rejects = np.array([p <= 0.05 for _, p in found])
    return Rates(
        rejects,
        rejects & (low > 0),
        np.array([covers(e, 0.0 if not of.effect else truth) for e, _ in found]),
        np.array([p <= 0.05 for _, p in scored]),
        np.array([covers(e, 0.5 if not of.effect else typical) for e, _ in scored]),
        np.array([not covers(e, 0.0) for e in plain]),
        np.array([e.low > 0.5 for e in seen]),
    )


SIMS = 300
"""Simulations a design and simulation seed of the table, at most."""
UNITS, LAYERS = (3, 5, 10), (1, 12, 32)
WORDINGS = 1.0
"""How much wordings vary where they do: of these, one in six turns the classes round."""


@dataclass(frozen=True)
class ChosenLine:
    """Rates of the null and of the effect with so many units and layers."""

    units: int
    layers: int
    wordings: float
    null: Rates
    effect: Rates

    @property
    def fails(self) -> list[str]:
        """What does not hold its rate, by the exact interval of the rate over all simulation seeds."""
        tests = {"null": self.null.rejects, "AUROC's null": self.null.auroc_rejects}
        wrong = [name for name, hits in tests.items() if exact(hits)[1] > 0.05]
        wrong += [] if reaches(*exact(self.effect.covers)[1:]) else ["coverage"]
        if self.wordings:
            return [name for name in wrong if not name.startswith("AUROC")]
        return wrong + ([] if exact(self.effect.auroc_covers)[2] >= 0.93 else ["AUROC's coverage"])

    @property
    def row(self) -> str:
        """The line of Markdown."""
        told = ", wordings vary" if self.wordings else ""
        return (
            f"| {self.units}, {self.layers}{told} | "
            f"{_shown(self.null.rejects)} | {self.null.above.mean():.3f} | "
            f"{_shown(self.null.auroc_rejects)} | {self.null.seen.mean():.3f} | "
            f"{_shown(self.effect.covers)} | {self.effect.above.mean():.2f} | "
            f"{_shown(self.effect.auroc_covers)} | "
            f"{'FAILS: ' + ', '.join(self.fails) if self.fails else 'holds'} |"
        )


def chosen_lines(sims: int) -> list[ChosenLine]:
    """Every line, measured."""
    each = min(-(-sims // len(SEEDS)), SIMS)
    return [
        ChosenLine(
            units,
            layers,
            wordings,
            rates(LayerDesign(units, layers, offset=1.5, wordings=wordings), each),
            rates(LayerDesign(units, layers, offset=0.3, effect=1.5, spread=0.4, wordings=wordings), each),
        )
        for units in UNITS
        for layers, wordings in (*((layers, 0.0) for layers in LAYERS), (LAYERS[0], WORDINGS))
    ]


def chosen_section(lines: Sequence[ChosenLine]) -> list[str]:
    """The table as lines of Markdown."""
    return [
        "## A layer chosen inside the training units",
        "",
        "Each unit (two adapters, one a class) is tested at the layer that the others chose, by their probe.",
        "Null: no common direction, offsets of each adapter 1.5 times the noise of rows, at every layer, the",
        "same in training, development and test. Effect: one direction of all, 1.5 in the first layer and a",
        "tenth less in each next (sd .4 between units), offsets .3. *Difference*: AUROC less that of rows",
        "with other offsets (`over_neutral`, `over_wrong_behavior`), over units x rows; *AUROC*: against .5",
        "(`chosen`), over units. *Wordings vary*: all units are asked the same rows, each of which puts the",
        f"classes further apart or nearer (sd {WORDINGS:g} of the effect); the AUROC is then shown and not",
        "judged.",
        "*Old*: one layer, chosen by the tested adapters' development rows, plain t: interval above .5",
        f"(nominal .025). Over {len(SEEDS)} simulation seeds, {lines[0].null.rejects.size} runs in all;",
        "by the exact 95 % interval of the rate, in brackets, a null must not reject more than",
        ".05 and an interval must cover .93 to .98. An AUROC over ten units may cover more: near the ceiling",
        "its interval is the exact one.",
        "",
        "| units, layers | difference: null rejected | above 0 | AUROC: null rejected | old "
        "| difference: effect covered | effect found | AUROC: effect covered | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(line.row for line in lines),
        "",
    ]


def _shown(hits: np.ndarray) -> str:
    rate, low, high = exact(hits)
    return f"{rate:.3f} [{low:.3f}, {high:.3f}]"
