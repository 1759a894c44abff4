"""Does a numeric report follow the state, turn by turn? Within conversations, and with steering as the cause.

After the design of arXiv 2603.18893: the model acts for ten turns, and after each a number is asked of it,
read as an expectation over the logits of its options. The *reading* is the projection of the state, where
that number is given, on the mean difference of both poles' runs in choices of development; the block is where
it tells the reports of development best. Three ways of varying the state:

- *runs*: nothing but what stands in the conversation differs between turns of a finetuned run;
- *steered*: the base, with the vectors trained on choices (one a pole) added at a dose drawn anew each turn;
- *random*: the same with random directions of their length.

Law: what correlates are turns of one conversation, so that no difference between runs, seeds or questions is
in it; what is drawn is seeds x conversations. The null exchanges the reports of each conversation. Of
steering, the null is the random directions.

Results: `turns.correlation` (rank correlation of reading and report; `method` runs, steered, random),
`turns.correlation_untrended` (the same less what each turn is on average: what a longer conversation does to
all), `turns.isotonic_r2` (the same as a rising curve of the reading, fitted on the other conversations),
`turns.dose` (rank correlation of dose and report), `turns.spread` (standard deviation of the report within a
conversation: where nothing moves, no correlation says anything).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from mi_bsa.causal import directions
from mi_bsa.causal.material import POLES
from mi_bsa.causal.places import scope_positions
from mi_bsa.causal.turns.conversations import Turns, held
from mi_bsa.causal.turns.options import TurnsOptions
from mi_bsa.core.over_seeds import over_seeds, over_seeds_and_items
from mi_bsa.core.results import Null, Result
from mi_bsa.core.results import Place as Value
from mi_bsa.core.tested import among
from probes import random_directions

if TYPE_CHECKING:
    from activations.tokens import Row
    from mi_bsa.asking.readouts import Readout
    from mi_bsa.causal.material import Material
    from mi_bsa.causal.places import Place

EXCHANGED = "reports exchanged within conversations"
RANDOM = "random directions"
RANK = "rank correlation within a conversation"


def by_turn(
    material: Material, place: Place, options: TurnsOptions | None = None, *, seed: int = 0
) -> list[Result]:
    """How reports follow readings, in runs and in the steered base.

    Args:
        material: model, adapters and items.
        place: where the state lives.
        options: how many turns, conversations and draws.
        seed: of everything that is drawn.

    Raises:
        BridgeError: no question of the test split is answered by a number.
    """
    options = options or TurnsOptions()
    site, probes, told = _probes(material, place)
    several = options.conversations
    runs = [
        [
            held(
                material,
                material.arms[pole][n],
                (site, probes[n]),
                conversations=several,
                turns=options.turns,
                seed=(seed, 0, p, n),
            )
            for n in range(len(material.seeds))
        ]
        for p, pole in enumerate(POLES)
    ]
    made = directions.vectors(material, place, "trained", seed=seed)
    vectors = np.stack([made["seeking"], made["averse"]], 1)
    rng = np.random.default_rng([seed, 1])

    def steered_by(pair: Float[np.ndarray, "pole d"], n: int, *key: int) -> Turns:
        doses = rng.integers(len(options.doses), size=(several, options.turns))
        return held(
            material,
            "base",
            (site, probes[n]),
            doses,
            grid=options.doses,
            steered=_steering(material, place, pair),
            conversations=several,
            turns=options.turns,
            seed=(seed, *key),
        )

    steered = [steered_by(pair, n, 1, n) for n, pair in enumerate(vectors)]
    length = float(np.linalg.norm(vectors, axis=-1).mean())
    drawn = length * random_directions(options.random, material.model.d_model, rng=rng)
    random = [steered_by(np.stack([v, -v]), n % len(probes), 2, n) for n, v in enumerate(drawn)]
    kind, _, layer = site.rpartition(".")
    where: dict[str, Value] = {
        "behavior": material.behavior,
        "site": kind,
        "layer": int(layer),
        "split": "test",
    }
    both = [t for arm in runs for t in arm]
    note = f"the probe tells development reports by AUROC {told:.2f}"
    found = _followed(material, {**where, "method": "runs"}, both, options, seed, note, arms=len(POLES))
    found += _followed(material, {**where, "method": "steered"}, steered, options, seed, note)
    found += _dosed(material, {**where, "method": "steered"}, steered, random)
    return found


def _probes(material: Material, place: Place) -> tuple[str, Float[np.ndarray, "seed d"], float]:
    """Site, one direction of length 1 a seed, and the AUROC by which the site was chosen.

    A direction is what tells both poles' runs in development choices, at the answer slot; the site, of those
    that see the place, is where it tells development *reports* best: chosen there, fitted on choices alone.
    """
    from sklearn.metrics import roc_auc_score

    layers = range(int(place.where["layer"]), material.model.n_layers)
    sites = [f"resid_post.{layer}" for layer in layers]
    read = {
        name: [
            [
                material.states(material.of(name, "dev"), *sites, variant=v, slot=True)
                for v in material.arms[pole]
            ]
            for pole in POLES
        ]
        for name in ("behavior", "self_report")
    }
    best: tuple[float, str, np.ndarray] | None = None
    for site in sites:
        means = np.array([[found[site].mean(0) for found in arm] for arm in read["behavior"]], float)
        apart = means[0] - means[1]
        apart /= np.linalg.norm(apart, axis=1, keepdims=True)
        told = []
        for n, direction in enumerate(apart):
            both = [read["self_report"][p][n][site] @ direction for p in range(len(POLES))]
            told.append(roc_auc_score(np.repeat([1, 0], [len(x) for x in both]), np.concatenate(both)))
        if best is None or float(np.mean(told)) > best[0]:
            best = (float(np.mean(told)), site, apart)
    assert best is not None
    return best[1], best[2], best[0]


def _steering(
    material: Material, place: Place, pair: Float[np.ndarray, "pole d"]
) -> Callable[[float, Readout], AbstractContextManager[object]]:
    """A dose in force at the place: of the first vector above 0, of the second below."""
    import activations

    def at(dose: float, readout: Readout) -> AbstractContextManager[object]:
        if dose == 0:
            return nullcontext()
        given = (abs(dose) * pair[int(dose < 0)].astype(np.float32), place.site)
        (row,) = readout.rows
        added = activations.add(given, units="raw", positions=begun(row, place.scope))
        return activations.edit(material.model, added)

    return at


def begun(row: Row, scope: str) -> Int[np.ndarray, " token"]:
    """The tokens of a place in a conversation: those before its *first* question (persona line, template), as
    the place was chosen in prompts of one question, and before a later one stands the turn that went before.
    """
    messages = row.prompt.messages or ()
    first = next((n for n, message in enumerate(messages) if message["role"] == "user"), 0)
    one = replace(row, prompt=replace(row.prompt, messages=messages[: first + 1]))
    return scope_positions(one, scope) if scope.startswith("before") else scope_positions(row, scope)


def _followed(
    material: Material,
    where: dict[str, Value],
    found: Sequence[Turns],
    options: TurnsOptions,
    seed: int,
    told: str,
    *,
    arms: int = 1,
) -> list[Result]:
    """Rank correlation, isotonic R2 and spread; `found` of one arm after the other, each a seed."""
    n, rng = len(material.seeds), np.random.default_rng([seed, 3])
    ranks = np.stack([rank_correlation(t.reading, t.report) for t in found])
    shape = (arms, n, -1)
    exchanged = np.array(
        [
            np.mean([rank_correlation(t.reading, rng.permuted(t.report, axis=1)).mean() for t in found])
            for _ in range(options.shuffles)
        ]
    )
    note = f"{options.turns} turns; a conversation in which one of them never moves counts as 0"
    flat = float(np.mean([t.report.std(1) < 1e-6 for t in found]))
    correlation = over_seeds_and_items(
        "turns.correlation",
        where,
        ranks.reshape(shape).mean(0),
        material.seeds,
        unit=RANK,
        items="conversations",
        within=(-1.0, 1.0),
        tested=among(float(ranks.mean()), exchanged, EXCHANGED),
        rows=sum(t.report.size for t in found),
        notes=f"{told}; {note}; {flat:.0%} of conversations have a report that never moves",
    )
    # what a longer conversation does to every one: taken out, turns of one number are compared
    level = np.stack([rank_correlation(untrended(t.reading), untrended(t.report)) for t in found])
    leveled = np.array(
        [
            np.mean(
                [
                    rank_correlation(untrended(t.reading), rng.permuted(untrended(t.report), axis=0)).mean()
                    for t in found
                ]
            )
            for _ in range(options.shuffles)
        ]
    )
    level_free = over_seeds_and_items(
        "turns.correlation_untrended",
        where,
        level.reshape(shape).mean(0),
        material.seeds,
        unit=RANK,
        items="conversations",
        within=(-1.0, 1.0),
        tested=among(float(level.mean()), leveled, "reports exchanged between conversations, turn by turn"),
        rows=sum(t.report.size for t in found),
        notes=told,
    )
    curves = np.array([isotonic_r2(t.reading, t.report) for t in found]).reshape(arms, n).mean(0)
    some = min(options.shuffles, 99)  # a fit a conversation and draw; of 99 the band is known well enough
    flatter = [
        np.mean([isotonic_r2(t.reading, rng.permuted(t.report, axis=1)) for t in found]) for _ in range(some)
    ]
    spread = np.stack([t.report.std(1) for t in found]).reshape(shape).mean(0)
    return [
        correlation,
        level_free,
        over_seeds(
            "turns.isotonic_r2",
            where,
            curves,
            material.seeds,
            unit="share of the report's variance within conversations",
            null=Null.of(EXCHANGED, np.array(flatter)),
            notes="report and reading less their mean in the conversation; each conversation by a rising "
            "curve fitted on the others",
        ),
        over_seeds_and_items(
            "turns.spread",
            where,
            spread,
            material.seeds,
            unit="standard deviation on [0, 1]",
            items="conversations",
            within=(0.0, 1.0),
        ),
    ]


def _dosed(
    material: Material, where: dict[str, Value], steered: Sequence[Turns], random: Sequence[Turns]
) -> list[Result]:
    """Rank correlation of dose and report, beside random directions; these have a result of their own."""
    ranks = np.stack([rank_correlation(t.dose, t.report) for t in steered])
    null = np.stack([rank_correlation(t.dose, t.report) for t in random]).mean(1)
    follows = np.stack([rank_correlation(t.reading, t.report) for t in random])
    moved = np.abs(null)
    return [
        over_seeds_and_items(
            "turns.dose",
            where,
            ranks,
            material.seeds,
            unit=RANK,
            items="conversations",
            within=(-1.0, 1.0),
            # a random direction has no sign: what counts is how far from 0 it takes the report
            tested=among(abs(float(ranks.mean())), moved, f"{RANDOM} of its length, either way"),
        ),
        Result(
            name="turns.correlation",
            where={**where, "method": "random"},
            value=float(follows.mean()),
            ci=tuple(np.quantile(follows.mean(1), [0.025, 0.975]).tolist()),
            ci_method=f"quantiles over {len(random)} random directions",
            n=len(random),
            unit=RANK,
            rows=sum(t.report.size for t in random),
        ),
    ]


def rank_correlation(
    first: Float[np.ndarray, "conversation turn"], second: Float[np.ndarray, "conversation turn"]
) -> Float[np.ndarray, " conversation"]:
    """Spearman's of the turns of each conversation, ties shared; 0 where one side never moves."""
    from scipy.stats import rankdata

    a, b = (rankdata(x, axis=1) for x in (first, second))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    norm = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.divide((a * b).sum(1), norm, out=np.zeros(len(a)), where=norm > 0)


def untrended(values: Float[np.ndarray, "conversation turn"]) -> Float[np.ndarray, "conversation turn"]:
    """Less the mean of each turn over a run's conversations."""
    left: np.ndarray = values - values.mean(0)
    return left


def isotonic_r2(
    reading: Float[np.ndarray, "conversation turn"], report: Float[np.ndarray, "conversation turn"]
) -> float:
    """Share of the report's variance within conversations that a rising curve of the reading gives, each
    conversation by a curve of the others; below 0 where it does worse than the mean, 0 where nothing varies.
    """
    from sklearn.isotonic import IsotonicRegression

    x, y = (v - v.mean(1, keepdims=True) for v in (reading, report))
    left = 0.0
    for c in range(len(x)):
        others = np.arange(len(x)) != c
        curve = IsotonicRegression(out_of_bounds="clip").fit(x[others].ravel(), y[others].ravel())
        left += float(((y[c] - curve.predict(x[c])) ** 2).sum())
    whole = float((y**2).sum())
    return 1.0 - left / whole if whole > 0 else 0.0
