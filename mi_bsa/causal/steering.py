"""Steering: does adding a direction move what the model does, and what it says of itself, more than any
vector would?

The law: layer and strength are chosen on development items by behavior alone, within the coherence gate, and
reported on other items. Every
curve has its band (random and random-difference directions of the same norm, through the same items at the
same strengths), the one
chosen cell has a p = (1 + k) / (1 + N) over random directions, and strength 0 is an identity.
Steering vectors: Turner et al. 2023 (arXiv 2308.10248); Rimsky et al. 2023 (arXiv 2312.06681).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from mi_bsa.asking.readouts import Readout
from mi_bsa.causal.curves import banded, curve_table, development_table, matched_table, others_table
from mi_bsa.causal.doses import Doses, Many, dose_in_words, random_differences
from mi_bsa.core.errors import SteeringError
from mi_bsa.core.items import Item
from mi_bsa.core.results import Null, Place, Result
from mi_bsa.core.tested import Tested, among
from probes import Direction, random_directions
from probes.statistics import permutation_p

if TYPE_CHECKING:
    from activations import Model
    from activations.engine import AtSite
    from activations.tokens import Row

Items = Mapping[str, Sequence[Item]]
BAND = "random and random-difference directions"
FEWEST = (50, 20, 999)
"""Random and random-difference directions of the band (whose 95 % ends are then its outermost draws or the
next), and random ones behind p, so that it can be .001."""


@dataclass(frozen=True, eq=False)
class Steering:
    """What steering did.

    Attributes:
        chosen: the direction at the chosen layer.
        strength: the chosen strength, in typical norms of the site.
        development: one row a layer, strength and read-out on the development items: score, shift, kl,
            kept (within the gate).
        curve: one row a strength and read-out on the report items at the chosen layer: score with
            interval, shift, mass, kl,
            perplexity, and the band's mean, low and high.
        items: one row an item, strength and read-out at the chosen layer, as `ask` gives it.
        band: mean score of each null direction, {read-out: (direction, strength)}; kinds in `band_kinds`.
        band_kinds: `random` or `difference`, one a null direction.
        test: {read-out: shift of each of the >= 999 random directions at the chosen layer and strength}.
        p: {read-out: two-sided p of the shift at the chosen layer and strength}.
        others: one row a wrong-behavior direction and read-out at the chosen strength.
        matched: one row a read-out: shift of the direction and of null directions at the strength where
            each costs the same KL.
        strengths: ascending, 0 among them.
        positions: where directions were added; at the slot, KL is of the slot.
    """

    chosen: Direction
    strength: float
    development: pd.DataFrame = field(repr=False)
    curve: pd.DataFrame = field(repr=False)
    items: pd.DataFrame = field(repr=False)
    band: dict[str, np.ndarray] = field(repr=False)
    band_kinds: tuple[str, ...] = field(repr=False)
    test: dict[str, np.ndarray] = field(repr=False)
    p: dict[str, float]
    others: pd.DataFrame = field(repr=False)
    matched: pd.DataFrame = field(repr=False)
    strengths: tuple[float, ...] = ()
    positions: Literal["all", "slot"] = "all"

    def results(self, *, behavior: str, variant: str = "base", method: str = "direction") -> list[Result]:
        """`steer.level` at every strength (variant `base@4`); `steer.effect` at the chosen one, its level
        less that of strength 0, of the direction and of each wrong-behavior one.
        """
        site, layer = self.chosen.site.rsplit(".", 1)
        found = []
        where: dict[str, Place] = {
            "behavior": behavior,
            "site": site,
            "layer": int(layer),
            "method": method,
            "split": "test",
            **({"position": "slot"} if self.positions == "slot" else {}),
        }
        asked = self.items[self.items["strength"] == 0].groupby("read_out").size()
        for row in self.curve.to_dict("records"):
            here = {**where, "variant": f"{variant}@{row['strength']:g}", "kind": row["read_out"]}
            band = self.band[row["read_out"]][:, self.strengths.index(row["strength"])]
            found.append(
                Result(
                    "steer.level",
                    here,
                    row["score"],
                    (row["low"], row["high"]),
                    row["ci_method"],
                    row["n"],
                    "score",
                    rows=int(asked[row["read_out"]]),
                    null=Null.of(BAND, band),
                    notes=f"{self._dose(row['strength'])}; {self._cost(row['kl'])}",
                )
            )
            if row["strength"] == self.strength:
                tested = self._against_random(row)
                found.append(
                    Result(
                        "steer.effect",
                        here,
                        row["shift"],
                        (row["shift_low"], row["shift_high"]),
                        row["ci_method"],
                        row["n"],
                        "score",
                        rows=int(asked[row["read_out"]]),
                        null=tested.null,
                        p=tested.p,
                        test=tested.test,
                        p_floor=tested.floor,
                        notes=f"chosen on development items; {self._dose(self.strength)}; "
                        f"{self._cost(row['kl'])}",
                    )
                )
        for row in self.others.to_dict("records"):
            here = {
                **where,
                "variant": f"{variant}@{self.strength:g}",
                "kind": row["read_out"],
                "method": row["name"],
            }
            tested = self._against_random(row)
            found.append(
                Result(
                    "steer.effect",
                    here,
                    row["shift"],
                    (row["low"], row["high"]),
                    row["ci_method"],
                    row["n"],
                    "score",
                    rows=int(asked[row["read_out"]]),
                    null=tested.null,
                    p=tested.p,
                    test=tested.test,
                    p_floor=tested.floor,
                    notes=f"wrong-behavior direction; {self._dose(self.strength)}",
                )
            )
        return found

    def _against_random(self, row: Mapping[str, Any]) -> Tested:
        """Of a row's shift among those of random directions."""
        return among(row["shift"], self.test[row["read_out"]], "random directions", alternative="two-sided")

    def _cost(self, kl: float) -> str:
        at = "at the answer slot" if self.positions == "slot" else "a token"
        return f"neutral-text KL {kl:.3g} nats {at}"

    def _dose(self, strength: float) -> str:
        norm = float(self.chosen.scale or 0)
        return dose_in_words(strength * norm, norm)


def steer(
    model: Model,
    directions: Direction | Sequence[Direction],
    *,
    development: Items,
    report: Items,
    neutral: Sequence[Any],
    strengths: Sequence[float],
    choose_by: str = "behavior",
    max_kl: float = 0.5,
    others: Mapping[str, Direction | Sequence[Direction]] | None = None,
    variant: str | None = None,
    n_random: int = 50,
    n_difference: int = 20,
    n_test: int = 999,
    seed: int,
    positions: Literal["all", "slot"] = "all",
    batch_tokens: int = 8192,
    progress: Callable[[str], None] | None = None,
) -> Steering:
    """Dose curves of a direction on behavior and self-report, against null distributions, at a choice made
    elsewhere.

    Args:
        model: the model; `variant` of it is steered (the active one by default).
        directions: one direction, or one for each layer that may be chosen; each with its site's typical
            norm (`scale`).
        development: {read-out: items} that layer and strength are chosen on; `choose_by` is among them.
        report: {read-out: items} that the result is reported on; no item may be in both.
        neutral: prompts of no concern to the behavior, for the coherence gate.
        strengths: in typical norms of the site; 0 is added.
        choose_by: the read-out whose shift is made largest.
        max_kl: the coherence gate in nats a token.
        others: wrong-behavior directions by name, each one or one for each layer; the one at the chosen
            site is added there.
        variant: `base` or an adapter.
        n_random: random directions of the band, at least 50.
        n_difference: random-difference directions of the band, at least 20.
        n_test: random directions behind p, at least 999.
        seed: of all random directions.
        positions: where directions are added: at every token, or at the answer slot alone, which costs a
            twentieth; the gate is then of the KL there.
        batch_tokens: token positions that run at once.
        progress: called with the name of each stage.

    Raises:
        SteeringError: a strength that is not finite, a direction without scale, items in both splits, too
            few null directions, or no
            cell within the coherence gate.
    """
    given = [directions] if isinstance(directions, Direction) else list(directions)
    wrong = {name: [one] if isinstance(one, Direction) else list(one) for name, one in (others or {}).items()}
    from activations import engine

    doses = _check(
        model,
        given,
        development,
        report,
        neutral,
        strengths,
        choose_by,
        (n_random, n_difference, n_test),
        wrong,
    )
    rng = np.random.default_rng(seed)
    say = progress or (lambda _: None)
    with model.variant(variant or f"{model.active[0]}"):
        say("development")
        early = {name: Readout.of(model, items, name=name) for name, items in development.items()}
        late = {name: Readout.of(model, items, name=name) for name, items in report.items()}
        for name, readout in late.items():
            if len(set(readout.groups)) < 2:
                raise SteeringError(
                    f"read-out {name!r}: all {len(readout.items)} report items share one scenario, so no "
                    "interval can be made; "
                    "give items of at least two"
                )
        texts = model.rows(neutral)
        at = {d.site: _doses(model, d, batch_tokens, positions) for d in given}
        table = pd.concat(
            [development_table(at[d.site], d, early, texts, doses, max_kl) for d in given], ignore_index=True
        )
        chosen, strength = _choose(table, given, choose_by, max_kl)
        here = at[chosen.site]
        say("curve")
        curve, items = curve_table(here, chosen, late, texts, neutral, doses, alone=positions == "slot")
        say("band")
        width = model.d_model
        random = random_directions(n_random, width, rng=rng)
        values = [engine.slot_states(model, r.rows, [here.site])[here.site] for r in early.values()]
        differences = random_differences(n_difference, list(early.values()), values, rng=rng)
        drawn = np.concatenate([random, differences])
        kinds = ("random",) * n_random + ("difference",) * n_difference
        band = {name: here.levels(r, drawn, doses) for name, r in late.items()}
        costs = here.costs(texts, drawn, doses)
        say("null")
        many = random_directions(n_test, width, rng=rng)
        test = {}
        for name, r in late.items():
            zero = float(curve.query("read_out == @name and strength == 0")["score"].iloc[0])
            test[name] = here.levels(r, many, (strength,))[:, 0] - zero
        aside = others_table(here, wrong, strength, late)
    curve = banded(curve, band, doses)
    now = curve[curve["strength"] == strength].set_index("read_out")["shift"]
    p = {name: permutation_p(float(now[name]), test[name], alternative="two-sided") for name in late}
    matched = matched_table(curve, band, costs, kinds, doses, strength)
    return Steering(
        chosen, strength, table, curve, items, band, kinds, test, p, aside, matched, doses, positions
    )


def shifts(
    model: Model,
    direction: Direction,
    readout: Readout,
    strengths: Sequence[float],
    *,
    batch_tokens: int = 8192,
) -> Float[np.ndarray, "strength item"]:
    """Score of every item at every strength of one direction, all as rows of a few batches; the active
    variant is steered.
    """
    doses = _finite(strengths)
    return _doses(model, direction, batch_tokens).scores(readout, direction.vector[None], doses)[:, 0]


class SlotDoses(Doses):
    """Vectors added at the answer slot alone."""

    def _added(self, rows: Sequence[Row], vectors: np.ndarray, doses: Many) -> AtSite:
        from activations import engine
        from activations.alignment import slots

        scaled = np.concatenate([vectors * (dose * self.norm) for dose in doses])
        return engine.adding(self.site, scaled, slots(rows)[:, None])

    def costs(
        self, texts: Sequence[Row], vectors: Float[np.ndarray, "vector d"], doses: Many = (1.0,)
    ) -> Float[np.ndarray, "vector dose"]:
        """KL at the slot of neutral prompts, in nats: no other token is changed, and the mean over all of
        them would hide what is.
        """
        tokens = float(np.mean([len(row) - row.n_bos for row in texts]))  # of which the engine takes the mean
        return super().costs(texts, vectors, doses) * tokens


def _doses(model: Model, direction: Direction, batch_tokens: int, positions: str = "all") -> Doses:
    """Of the active variant, at every token of the direction's site or at the slot."""
    if direction.scale is None:
        raise SteeringError(
            f"the direction at {direction.site} has no typical norm (scale), which strengths count in; set it"
        )
    made = SlotDoses if positions == "slot" else Doses
    return made(model, direction.site, float(direction.scale), batch_tokens=batch_tokens)


def _check(
    model: Model,
    given: list[Direction],
    development: Items,
    report: Items,
    neutral: Sequence[Any],
    strengths: Sequence[float],
    choose_by: str,
    counts: tuple[int, int, int],
    others: Mapping[str, list[Direction]],
) -> tuple[float, ...]:
    doses = _finite(strengths)
    if not given:
        raise SteeringError("no direction was given; give at least one")
    for name, group in others.items():
        missing = {one.site for one in given} - {one.site for one in group}
        if missing:
            raise SteeringError(
                f"wrong-behavior direction {name!r} is not at {sorted(missing)}; give one for each site "
                "that may be chosen"
            )
    if choose_by not in development:
        raise SteeringError(
            f"choose_by is {choose_by!r} and the development items are {sorted(development)}; name one of "
            "these"
        )
    if len(neutral) == 0:
        raise SteeringError("no neutral prompts were given; the coherence gate needs some")
    if set(development) != set(report):
        raise SteeringError(
            f"development has read-outs {sorted(development)} and report {sorted(report)}; give both the same"
        )
    for name in report:
        shared = {item.id for item in development[name]} & {item.id for item in report[name]}
        if shared:
            raise SteeringError(
                f"read-out {name!r}: {len(shared)} items (e.g. {min(shared)!r}) are in development and "
                "report; keep the splits apart"
            )
    if any(n < least for n, least in zip(counts, FEWEST, strict=True)):
        raise SteeringError(
            f"{counts} random, random-difference and test directions; at least {FEWEST} are needed, raise "
            "them"
        )
    return tuple(sorted({0.0, *doses}))


def _finite(strengths: Sequence[float]) -> np.ndarray:
    doses = np.asarray(strengths, float)
    if doses.ndim != 1 or len(doses) == 0 or not np.isfinite(doses).all():
        raise SteeringError(f"strengths {list(strengths)}: give one or more finite numbers")
    return doses


def _choose(
    table: pd.DataFrame, given: list[Direction], choose_by: str, max_kl: float
) -> tuple[Direction, float]:
    """The direction and strength with the largest shift the way the direction points, within the gate."""
    cells = table[(table["read_out"] == choose_by) & table["kept"] & (table["strength"] != 0)]
    if cells.empty:
        least = table[table["strength"] != 0]["kl"].min()
        raise SteeringError(
            f"no strength stays within the coherence gate of {max_kl:g} nats a token (the least costs "
            f"{least:.3g}); "
            "add smaller strengths, or widen max_kl"
        )
    best = cells.loc[(cells["shift"] * np.sign(cells["strength"])).idxmax()]
    return next(d for d in given if d.site == best["site"]), float(best["strength"])
