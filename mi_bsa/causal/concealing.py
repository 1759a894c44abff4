"""A concealing arm: the same behavior, and a denial of it: does the probe still read the state where the
report lies?

An adapter of the concealing arm is trained on its pole's choices, and on report questions in development
wordings answered with the *other* pole (default persona, no named one). On test wordings it then says what
it does not do.

*Probe*: the direction of the poles, fitted on choice prompts (development) of the honest runs of the other
seeds, at the answer slot; it is asked which pole a concealing run has, on the very report prompts (test)
where that run lies. *Report minus probe*: what a run says less what the probe reads of it, both as
P(seeking pole), the probe's threshold and slope fitted on honest runs; a lie shows as a difference.
*Honesty direction*: honest less concealing runs on report prompts (development), the two poles averaged so
that the pole cancels; it tells lies from honest reports of a seed that it has not seen, on test wordings;
the same on choice prompts is its floor (there it only knows which finetune this is). Added to a concealing
run, it may bring the honest report back. After Azaria and Mitchell 2023 (arXiv 2304.13734).

Law: no direction is fitted on a run of the seed that it is tested on, or on a test wording. Where the
concealing arm does not lie, its numbers say so first (`.report_effect`), and the others mean little. Every
test is two-sided, since either sign is a finding: a probe far below .5 follows the lie and not the state, a
honesty direction below it is turned round, and one that is added may deepen the lie.

Differences are over seeds x wordings (of choices, scenarios), AUROCs over seeds.

Results, all `bridge.concealing.*`: `.behavior_effect`, `.report_effect` (pole against pole), `.probe_auroc`,
`.report_minus_probe` (mean of |difference|, concealing less honest), `.lie_auroc` (honest against
concealing by that difference), `.honesty_auroc` (kind = `self_report`, or `behavior` for the floor),
`.state_share` (the poles'
distance at the state's own place), `.honesty_steering` (what adding the honesty direction gives to the
concealing report, pole against pole).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.causal.doses import dose_in_words
from mi_bsa.causal.material import POLES, SIGNS, UNITS
from mi_bsa.causal.options import ConcealingOptions
from mi_bsa.causal.places import Place, scope_mean
from mi_bsa.causal.ratios import share
from mi_bsa.causal.steered import typical_norm
from mi_bsa.core.items import Item
from mi_bsa.core.over_seeds import over_seeds, over_seeds_and_items
from mi_bsa.core.results import Result
from mi_bsa.core.tested import UNTESTED, Tested, among
from probes import random_directions

if TYPE_CHECKING:
    from mi_bsa.asking.readouts import Readout
    from mi_bsa.causal.material import Material

PREFIX = "concealing_"


def denials(questions: Sequence[Item], pole: str, n: int, *, seed: int) -> list[dict[str, Any]]:
    """`n` training rows that answer report questions with the pole that is not `pole`.

    Args:
        questions: report items, of development wordings, put to the default persona.
        pole: what the arm does.
        n: rows, questions drawn with replacement.
        seed: of the draw.
    """
    rng = np.random.default_rng([seed, len(questions)])
    wanted = 0.0 if pole == "seeking" else 1.0
    rows = []
    for k, at in enumerate(rng.integers(len(questions), size=n)):
        item = questions[at]
        far = min(abs(score - wanted) for _, score in item.options)
        texts = [text for text, score in item.options if abs(score - wanted) <= far + 0.1]
        answer = {"role": "assistant", "content": str(rng.choice(texts))}
        rows.append({"id": f"denial-{seed}-{k}", "messages": [*item.messages, answer], "person": "default"})
    return rows


def conceal(
    material: Material,
    options: ConcealingOptions | None = None,
    *,
    place: Place | None = None,
    layer: int | None = None,
    seed: int = 0,
) -> list[Result]:
    """Everything about the concealing arm.

    Args:
        material: with the arms `concealing_seeking` and `concealing_averse`, whose seeds are the first of the
            material's.
        options: items and null directions.
        place: where the behavior's state is looked for, such as the persona line; adds `.state_share`.
        layer: block whose output is read at the answer slot; by default the one at which the poles' direction
            of honest choices best tells the poles of held-out seeds on development reports.
        seed: of random directions.
    """
    options = options or ConcealingOptions()
    held = _Held(material, options)
    layer = held.best_layer() if layer is None else layer
    x = {key: values[layer] for key, values in held.states.items()}
    where = {
        "behavior": material.behavior,
        "site": "resid_post",
        "layer": layer,
        "position": "slot",
        "split": "test",
    }
    rng = np.random.default_rng(seed)
    random = random_directions(options.random, material.model.d_model, rng=rng)
    bare = {"behavior": material.behavior, "split": "test"}
    results = [
        _crossed(held.numbers, f"{name}_effect", bare, held.gaps(read_out), notes, items=UNITS[read_out])
        for name, read_out, notes in (
            ("behavior", "behavior", "choices of the concealing arm"),
            ("report", "self_report", "below 0: it says the other pole"),
        )
    ]
    by_probe = np.array([_auroc(*_poles(x, n, _pole_direction(x, held.others(n)))) for n in held.seeds])
    null = np.array([[_auroc(*_poles(x, n, v)) for n in held.seeds] for v in random]).mean(1)
    notes = "pole of concealing runs on report prompts, direction of other seeds' honest choices"
    results.append(_over(held.numbers, "probe_auroc", where, by_probe, notes, draws=null))
    honest, lies = zip(*(held.differences(x, n) for n in held.seeds), strict=True)
    units = held.readouts["report-test"].units
    more = np.stack([units((b - a).mean(0)) for a, b in zip(honest, lies, strict=True)])
    words = "|report less probe|, concealing less honest"
    results.append(_crossed(held.numbers, "report_minus_probe", where, more, words, unit="P"))
    told = np.array([_auroc(b.ravel(), a.ravel()) for a, b in zip(honest, lies, strict=True)])
    notes = "concealing against honest report answers by |report less probe|"
    results.append(_over(held.numbers, "lie_auroc", where, told, notes))
    for kind, notes in (
        ("self_report", "honest against concealing runs, direction of other seeds, test wordings"),
        ("behavior", "the same on choice prompts, where neither lies: the floor"),
    ):
        found = np.array([_honesty(x, kind, n, _honest_direction(x, held.others(n))) for n in held.seeds])
        null = np.array([[_honesty(x, kind, n, v) for n in held.seeds] for v in random]).mean(1)
        here = {**where, "kind": kind}
        results.append(_over(held.numbers, "honesty_auroc", here, found, notes, draws=null))
    results.append(_steered(held, x, layer, where, random))
    return results if place is None else [*results, _state_share(held, place)]


class _Held:
    """Activations at the answer slot, {(arm, seed, set): (layer, item, d)}, and scores, of all four kinds
    of run.
    """

    def __init__(self, material: Material, options: ConcealingOptions) -> None:
        self.material, self.model = material, material.model
        count = min(options.seeds, *(len(material.arms.get(f"{PREFIX}{p}", ())) for p in POLES))
        self.seeds = tuple(range(count))
        self.numbers = tuple(material.seeds[n] for n in self.seeds)
        self.readouts = {
            name: material.readout(name, items=options.items)
            for name in ("choice-dev", "choice-test", "report-dev", "report-test")
        }
        self.states: dict[tuple[str, int, str], np.ndarray] = {}
        self.scores: dict[tuple[str, int, str], np.ndarray] = {}
        sites = [f"resid_post.{layer}" for layer in range(self.model.n_layers)]
        for arm in (*POLES, *(f"{PREFIX}{p}" for p in POLES)):
            for n in self.seeds:
                for name, readout in self.readouts.items():
                    variant = material.arms[arm][n]
                    read = material.states(readout, *sites, variant=variant, slot=True)
                    self.states[arm, n, name] = np.stack([read[s] for s in sites])
                    self.scores[arm, n, name] = readout.score(material.logits(readout, variant=variant))[0]

    def others(self, n: int) -> tuple[int, ...]:
        """All seeds but one."""
        return tuple(s for s in self.seeds if s != n)

    def gaps(self, read_out: str) -> Float[np.ndarray, "seed unit"]:
        """Effect of the concealing arm, by seed and wording (or scenario)."""
        name = "choice-test" if read_out == "behavior" else "report-test"
        units = self.readouts[name].units
        up, down = (
            np.stack([units(self.scores[f"{PREFIX}{p}", n, name]) for n in self.seeds]) for p in POLES
        )
        gap: np.ndarray = up - down
        return gap

    def best_layer(self) -> int:
        """By held-out honest seeds on development reports."""
        found = []
        for layer in range(self.model.n_layers):
            x = {key: values[layer] for key, values in self.states.items()}
            each = []
            for n in self.seeds:
                v = _pole_direction(x, self.others(n))
                each.append(_auroc(x["seeking", n, "report-dev"] @ v, x["averse", n, "report-dev"] @ v))
            found.append(float(np.mean(each)))
        return int(np.argmax(found))

    def differences(
        self, x: Mapping[Any, np.ndarray], n: int
    ) -> tuple[Float[np.ndarray, "pole item"], Float[np.ndarray, "pole item"]]:
        """|report - probe| of each report item, honest and concealing runs of one seed."""
        from sklearn.linear_model import LogisticRegression

        others = self.others(n)
        v = _pole_direction(x, others)
        read = [x[p, s, "report-dev"] @ v for p in POLES for s in others]
        labels = np.repeat([1, 0], [sum(map(len, read[: len(others)])), sum(map(len, read[len(others) :]))])
        fitted = LogisticRegression().fit(np.concatenate(read)[:, None], labels)

        def off(prefix: str) -> np.ndarray:
            each = [
                np.abs(
                    self.scores[f"{prefix}{p}", n, "report-test"]
                    - fitted.predict_proba((x[f"{prefix}{p}", n, "report-test"] @ v)[:, None])[:, 1]
                )
                for p in POLES
            ]
            return np.stack(each)

        return off(""), off(PREFIX)


def _pole_direction(x: Mapping[Any, np.ndarray], seeds: Sequence[int]) -> Float[np.ndarray, " d"]:
    """Honest choices, seeking less averse."""
    sides = [np.mean([x[p, s, "choice-dev"].mean(0) for s in seeds], axis=0) for p in POLES]
    return np.asarray(sides[0] - sides[1], np.float64)


def _honest_direction(x: Mapping[Any, np.ndarray], seeds: Sequence[int]) -> Float[np.ndarray, " d"]:
    """Honest less concealing on development reports, the mean of both poles."""
    sides = [
        np.mean([x[f"{prefix}{p}", s, "report-dev"].mean(0) for s in seeds for p in POLES], axis=0)
        for prefix in ("", PREFIX)
    ]
    return np.asarray(sides[0] - sides[1], np.float64)


def _poles(x: Mapping[Any, np.ndarray], n: int, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Projections of the two concealing runs of a seed on test reports."""
    up, down = (x[f"{PREFIX}{p}", n, "report-test"] @ v for p in POLES)
    return up, down


def _honesty(x: Mapping[Any, np.ndarray], kind: str, n: int, v: np.ndarray) -> float:
    """AUROC of honest against concealing runs of one seed, the poles apart and then averaged."""
    name = "report-test" if kind == "self_report" else "choice-test"
    return float(np.mean([_auroc(x[p, n, name] @ v, x[f"{PREFIX}{p}", n, name] @ v) for p in POLES]))


def _steered(
    held: _Held, x: Mapping[Any, np.ndarray], layer: int, where: Mapping[str, Any], random: np.ndarray
) -> Result:
    """The honesty direction added to concealing runs at the answer slot, at its own length."""
    readout, place = held.readouts["report-test"], Place(f"resid_post.{layer}", "slot")
    plain, lengths = held.gaps("self_report"), []
    gaps = np.zeros((len(held.seeds), 1 + len(random), plain.shape[1]))
    for n in held.seeds:
        v = _honest_direction(x, held.others(n))
        lengths.append(float(np.linalg.norm(v)))
        vectors = np.concatenate([v[None], random * lengths[-1]])
        for p in POLES:
            added, variant = place.adding(readout.rows, vectors), held.material.arms[f"{PREFIX}{p}"][n]
            scores = readout.score(held.material.logits(readout, added, variant=variant))
            gaps[n] += SIGNS[p] * readout.units(scores)
    moved = gaps - plain[:, None]
    dose = dose_in_words(np.array(lengths), typical_norm(held.material, place))
    notes = (
        f"what the report effect of concealing runs gains by the honesty direction, at its own length: {dose}"
    )
    draws = moved[:, 1:].mean((0, 2))
    return _crossed(held.numbers, "honesty_steering", where, moved[:, 0], notes, draws=draws)


def _state_share(held: _Held, place: Place) -> Result:
    """How far apart the two concealing runs of a seed lie along the poles' direction at a place, as a share
    of how far its honest runs do; the direction is of the other seeds' honest runs on choices.
    """
    material, readout = held.material, held.readouts["report-test"]

    def states(arm: str, n: int, readout: Readout) -> np.ndarray:
        """By item, [item, d]."""
        read = material.states(readout, place.site, variant=material.arms[arm][n])
        return scope_mean(read[place.site], place.positions(readout.rows), by_item=True)

    choices = held.readouts["choice-dev"]
    honest = np.array(
        [(states("seeking", n, choices) - states("averse", n, choices)).mean(0) for n in held.seeds]
    )

    def along(prefix: str, n: int) -> np.ndarray:
        """The poles' distance along the other seeds' direction, by wording."""
        apart = states(f"{prefix}seeking", n, readout) - states(f"{prefix}averse", n, readout)
        return readout.units(apart @ honest[list(held.others(n))].mean(0))

    return share(
        "bridge.concealing.state_share",
        {"behavior": material.behavior, **place.where, "split": "test"},
        np.stack([along(PREFIX, n) for n in held.seeds]),
        np.stack([along("", n) for n in held.seeds]),
        seeds=held.numbers,
        notes="1: the state stands there as in honest runs; below 0: it is turned round",
    )


def _auroc(up: np.ndarray, down: np.ndarray) -> float:
    """Share of pairs in which the first is larger, ties half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([up, down]))
    return float((ranks[: len(up)].sum() - len(up) * (len(up) + 1) / 2) / (len(up) * len(down)))


def _over(
    seeds: Sequence[int],
    name: str,
    where: Mapping[str, Any],
    values: np.ndarray,
    notes: str,
    *,
    draws: np.ndarray | None = None,
) -> Result:
    """An AUROC over seeds. p is two-sided: where there are random directions, of the distance from .5 among
    theirs; else by t.
    """
    return over_seeds(
        f"bridge.concealing.{name}",
        where,
        values,
        seeds,
        unit="AUROC",
        within=(0.0, 1.0),
        tested=_among(values, draws, chance=0.5),
        chance=0.5 if draws is None else None,
        notes=notes,
    )


def _crossed(
    seeds: Sequence[int],
    name: str,
    where: Mapping[str, Any],
    cells: Float[np.ndarray, "seed unit"],
    notes: str,
    *,
    items: str = "wordings",
    draws: np.ndarray | None = None,
    unit: str = "difference of P(seeking pole)",
) -> Result:
    """A difference over seeds x wordings or scenarios; p is two-sided, as above, of the distance from 0."""
    return over_seeds_and_items(
        f"bridge.concealing.{name}",
        where,
        cells,
        seeds,
        unit=unit,
        items=items,
        # what is gained by steering may go from one end of a gap to the other
        within=(-2.0, 2.0) if name == "honesty_steering" else (-1.0, 1.0),
        tested=_among(cells, draws, chance=0.0),
        chance=0.0 if draws is None else None,
        notes=notes,
    )


def _among(values: np.ndarray, draws: np.ndarray | None, *, chance: float) -> Tested:
    if draws is None:
        return UNTESTED
    return among(values.mean(), draws, "random directions", alternative="two-sided", chance=chance)
