"""What a behavior study can find, line of evidence by line of evidence, before it is run.

The law: the rules of `mi_bsa.causal.verdict` are asked, and no others: for each line the smallest effect
whose interval passes the line's bar, and whose p suffices after Holm, in 4 of 5 studies like this one; the p
that so many draws or seeds can reach at all; and what no data could show, because an arm, a direction or
draws are missing. How much a line varies is measured elsewhere and named (`mi_bsa.causal.spreads`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.handle import HANDLE
from mi_bsa.causal.lines import ALPHA, FEWEST_DRAWS, FEWEST_FLIPPED, FEWEST_SEEDS, HALF, LARGE, NONE, QUARTER
from mi_bsa.causal.spreads import CROSSED, MEDIATED, OWN, Spread, Spreads
from mi_bsa.causal.verdict import CONJECTURES, TESTED, verdicts
from mi_bsa.causal.wordings import Wordings, items_of, wordings_of
from mi_bsa.study.power import (
    WANTED,
    Demand,
    Sampling,
    beats_draws,
    crossed,
    draws_floor,
    over_seeds,
    sign_flip_floor,
    smallest,
    spread_bounds,
    two_way,
)
from probes.shared_training import shared_factor

GATE = "gate"
"""Lines that every conjecture needs."""


@dataclass(frozen=True)
class LineDesign:
    """How a line of evidence is drawn and judged.

    Attributes:
        conjecture: that needs it, or `GATE`.
        name: of the line.
        result: that it holds against its bar.
        bar: that the interval must pass.
        least: that the value itself must pass, where it is more than the bar.
        interest: the effect of interest: about the smallest that would change what one says.
        largest: the largest that there can be.
        seeds: config -> how many it rests on.
        draws: config -> null directions behind its p; None where p is no count of draws.
        tested: p is by t against the bar.
        chosen: the layer is chosen by the other seeds, which the standard error holds
            (`probes.shared_training`).
        poles: how many results must hold at once: of both poles, or of both rivals.
        kept: the result is what is left, so that less is more.
        absent: config -> why it cannot be measured at all.
        varies: its name in the table of spreads, where that is not the result's.
    """

    conjecture: str
    name: str
    result: str
    bar: float
    interest: float
    largest: float
    seeds: Callable[[BridgeConfig], int] = lambda config: len(config.seeds)
    draws: Callable[[BridgeConfig], int] | None = None
    tested: bool = False
    chosen: bool = False
    poles: int = 1
    kept: bool = False
    absent: Callable[[BridgeConfig], str | None] = lambda config: None
    varies: str = ""
    least: float | None = None

    @property
    def alpha(self) -> float:
        """What p must be: the smaller p of conjectures that are tested together (Holm)."""
        return ALPHA / len(TESTED) if self.conjecture in TESTED else ALPHA


@dataclass(frozen=True)
class Found:
    """What a study can find on one line.

    Attributes:
        line: which.
        smallest: effect, None where none that is possible has the wanted power, or where the spread is
            unknown.
        at_interest: power at the effect of interest, None where the spread is unknown.
        never: why it cannot hold at all, or nothing.
        weak: what power the largest effect has, where that is too little, or nothing.
        how: seeds, wordings, draws and spread in words.
    """

    line: LineDesign
    smallest: float | None
    at_interest: float | None
    never: str
    weak: str
    how: str


def _no_handle(part: str, config: BridgeConfig) -> str | None:
    return None if HANDLE in getattr(config, part).kinds else f"{part}.kinds has no {HANDLE}"


_unrecovered = partial(_no_handle, "recovery")


def _no_wrong(config: BridgeConfig) -> str | None:
    return None if config.controls.wrong_behavior else "controls.wrong_behavior is off"


def _no_layers(config: BridgeConfig) -> str | None:
    one = config.finetune.layers != "all" and len(config.finetune.layers) == 1
    if not one or config.controls.all_layers:
        return None
    return "adapters sit on one block, and controls.all_layers is off"


SHARED, LATER, WORDS = CONJECTURES
LINES = (
    LineDesign(GATE, "there is a behavior", "behavior.effect", LARGE, 0.5, 1.0),
    LineDesign(GATE, "there is a report", CROSSED, 0.0, 0.3, 1.0, least=NONE),
    LineDesign(
        SHARED,
        "transfer beyond neutral prompts",
        "bridge.transfer.over_neutral",
        0.0,
        0.1,
        1.0,
        tested=True,
        chosen=True,
    ),
    LineDesign(
        SHARED,
        "transfer beyond the wrong behavior",
        "bridge.transfer.over_wrong_behavior",
        0.0,
        0.1,
        1.0,
        seeds=lambda config: config.controls.seeds,
        tested=True,
        chosen=True,
        absent=_no_wrong,
    ),
    LineDesign(
        SHARED,
        "the handle is one",
        "bridge.recovery.behavior",
        QUARTER,
        HALF,
        2.0,
        poles=2,
        absent=_unrecovered,
    ),
    LineDesign(
        SHARED,
        "the handle moves the report",
        "bridge.recovery.self_report",
        QUARTER,
        HALF,
        2.0,
        draws=lambda config: config.recovery.random,
        poles=2,
        absent=_unrecovered,
    ),
    LineDesign(
        SHARED,
        "the handle beats its rivals",
        "bridge.rival.self_report",
        0.0,
        0.1,
        1.0,
        seeds=lambda config: config.controls.seeds,
        tested=True,
        poles=2,
        absent=_no_wrong,
    ),
    LineDesign(
        SHARED,
        "the report's own vector moves the choices",
        "bridge.recovery.behavior",
        0.0,
        HALF,
        2.0,
        poles=2,
        varies=OWN,
        least=QUARTER,
    ),
    LineDesign(
        SHARED,
        "the report runs through it",
        MEDIATED,
        0.0,
        1.0,
        20.0,
        draws=lambda config: config.mediation.random,
        absent=partial(_no_handle, "mediation"),
    ),
    LineDesign(
        SHARED,
        "without it the report shrinks",
        "bridge.necessity.self_report",
        0.0,
        HALF,
        1.0,
        draws=lambda config: config.necessity.random,
        kept=True,
        absent=partial(_no_handle, "necessity"),
        least=QUARTER,
    ),
    LineDesign(
        LATER,
        "the report needs later blocks to see the adapter",
        "bridge.attribution.observed",
        QUARTER,
        HALF,
        1.0,
        seeds=lambda config: min(config.attribution.seeds, config.controls.seeds),
        tested=True,
        absent=_no_layers,
    ),
    LineDesign(WORDS, "the rows read in context do the same", "bridge.words.in_context", HALF, 0.75, 2.0),
    LineDesign(WORDS, "a bag of the rows' words does the same", "bridge.words.bag", HALF, 0.75, 2.0),
    LineDesign(
        WORDS,
        "the state moves the report against the prompt",
        "bridge.state_or_prompt.counter",
        0.0,
        0.1,
        1.0,
        draws=lambda config: config.state_or_prompt.random,
    ),
)
"""Every line of the verdicts that holds an interval against a bar."""


def find(line: LineDesign, config: BridgeConfig, spread: Spread | None, wordings: Wordings) -> Found:
    """What a line can find under a config."""
    seeds = line.seeds(config)
    how = f"{seeds} seeds"
    if line.result == CROSSED:
        how = f"{wordings.count} wordings of {wordings.kinds} kinds x {seeds} seeds"
    items = items_of(line.result, config, wordings)
    how += "" if items is None else f" x {items[0]} {items[1]}"
    if line.draws is not None:
        how += f", {line.draws(config)} draws (p at least {draws_floor(line.draws(config)):.3g})"
    never = line.absent(config) or ""
    if seeds < FEWEST_SEEDS:
        never = f"it rests on {seeds} seeds, fewer than {FEWEST_SEEDS}"
    elif line.draws is not None and line.draws(config) < FEWEST_DRAWS:
        never = f"{line.draws(config)} draws, fewer than {FEWEST_DRAWS}"
    if spread is None or never:
        return Found(line, None, 0.0 if never else None, never, "", how)
    at = partial(power, line, config=config, spread=spread, wordings=wordings)
    found = smallest(at, low=line.bar, high=line.largest)
    weak = ""
    if found is None:
        weak = f"even {_shown(line, line.largest)} is found with power {at(line.largest):.2f} only"
    what = "wordings" if items is None else items[1]
    between = f" and {spread.item:.2g} between {what}" if spread.item else ""
    how += f"; sd {spread.seed:.2g} between seeds{between}"
    how += "" if spread.at is None else f", measured at {spread.at:.3g}"
    return Found(line, found, at(line.interest), never, weak, how)


def power(
    line: LineDesign, effect: float, *, config: BridgeConfig, spread: Spread, wordings: Wordings
) -> float:
    """How often a line holds, with the p that its verdict needs, where the truth is this effect.

    Poles, and intervals and the count of draws, are taken as independent; p is one, whatever the poles.
    """
    demands = [Demand(line.bar, ALPHA)]
    if line.tested:
        demands.append(Demand(line.bar, line.alpha))
    if line.least is not None:
        demands.append(Demand(line.least, 1.0))  # the value itself, whatever its error
    drawn = sampling(line, config=config, spread=spread, wordings=wordings)
    held = drawn.power(effect, demands) ** line.poles
    if line.draws is not None and spread.null_spread is not None:
        mean = spread.null_mean or 0.0
        held *= beats_draws(
            effect,
            mean=1 - mean if line.kept else mean,
            spread=spread.null_spread,
            draws=line.draws(config),
            alpha=line.alpha,
        )
    return held


def sampling(line: LineDesign, *, config: BridgeConfig, spread: Spread, wordings: Wordings) -> Sampling:
    """How a line's result varies: over seeds, or over seeds x wordings or scenarios."""
    seeds = line.seeds(config)
    items = items_of(line.result, config, wordings)
    if items is not None and spread.item:
        count = max(2, items[0])
        return two_way(seed=spread.seed, item=spread.item, rest=spread.rest, seeds=seeds, items=count)
    if line.result != CROSSED:
        plain = over_seeds(spread.seed, seeds=seeds)
        wider = np.sqrt(shared_factor(seeds, layers=2, paired=True)) if line.chosen else 1.0
        return replace(plain, seen=float(plain.seen * wider))
    return crossed(
        seed=spread.seed,
        wording=spread.item,
        rest=spread.rest,
        seeds=seeds,
        wordings=wordings.effective,
        kinds=wordings.kinds,
    )


def planned(config: BridgeConfig, spreads: Spreads | None = None) -> list[str]:
    """What `--plan` prints."""
    spreads, wordings = spreads or Spreads.read(), wordings_of(config)
    found = [find(line, config, spreads.of.get(line.varies or line.result), wordings) for line in LINES]
    known = {line.name for line in LINES}
    asked = dict.fromkeys(line.name for verdict in verdicts([]) for line in verdict.lines)
    rest = f"Rules without a power: {', '.join(name for name in asked if name not in known)}."
    return [*_head(spreads), *_by_conjecture(found), rest, *_never(found, config)]


def _head(spreads: Spreads) -> Iterator[str]:
    yield f"Smallest effect that each line of evidence finds with power {WANTED}; power at one of interest."
    low, high = spread_bounds(spreads.seeds)
    yield (
        f"Spreads are those of {spreads.source}. From {spreads.seeds} seeds a true one may be {low:.1f} to "
        f"{high:.1f} times as large, and more on another base, for another behavior, or away from 0 and 1."
    )
    yield f"p of a tested conjecture must be at most {ALPHA / len(TESTED):.3g} (Holm over {len(TESTED)})."


def _by_conjecture(found: list[Found]) -> Iterator[str]:
    for conjecture in (GATE, *CONJECTURES):
        own = [one for one in found if one.line.conjecture == conjecture]
        yield f"{CONJECTURES.get(conjecture, 'Gate: needed by all')}"
        yield from (f"  {one.line.name} ({one.line.result}): {_told(one)}; {one.how}" for one in own)
        powers = [one.at_interest for one in own if one.at_interest is not None]
        if conjecture in TESTED and powers:
            whole = "" if len(powers) == len(own) else " that could be worked out"
            yield (
                f"  all lines{whole} at their effects of interest: power between {np.prod(powers):.2f} "
                f"(independent) and {min(powers):.2f} (the weakest)"
            )


def _told(one: Found) -> str:
    if one.never:
        return "cannot hold"
    if one.at_interest is None:
        return "its spread was measured nowhere: its power is unknown"
    line = one.line
    bar = 1 - line.bar if line.kept else line.bar
    found = one.weak if one.smallest is None else f"finds {_shown(line, one.smallest)}"
    return f"{found} (bar {bar:.3g}); power at {_shown(line, line.interest)}: {one.at_interest:.2f}"


def _shown(line: LineDesign, effect: float) -> str:
    return f"{1 - effect:.3g} left" if line.kept else f"{effect:.3g}"


def _never(found: list[Found], config: BridgeConfig) -> Iterator[str]:
    """What cannot be found at all, in words."""
    told = [f"  {one.line.name}: {one.never}" for one in found if one.never]
    for conjecture in TESTED:
        if any(one.never and one.line.conjecture in (GATE, conjecture) for one in found):
            told.append(f"  so the verdict cannot be: supported. {CONJECTURES[conjecture]}")
    if (seeds := len(config.seeds)) < FEWEST_FLIPPED:
        told.append(
            f"  by an exact sign flip over {seeds} seeds: p is at least {sign_flip_floor(seeds):.3g}, so "
            f"none reaches .05 ({FEWEST_FLIPPED} seeds do)"
        )
    yield "Cannot be found at all:" if told else "Nothing of this is out of reach."
    yield from told
