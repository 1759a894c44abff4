"""The study, cut to a planted instance: the bridge's own functions from answers to verdicts, in memory.

Nothing here computes evidence of its own; what differs from a study is only that adapters are built and not
trained, and that arrays stay in memory. Null distributions are as large as the rules ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mi_bsa.asking import ask
from mi_bsa.causal import attribution, mediation, necessity, places, recovery, rivals
from mi_bsa.causal.effects import effect
from mi_bsa.causal.handle import handle_lines, report_poles
from mi_bsa.causal.lines import Lookup
from mi_bsa.causal.options import (
    AttributionOptions,
    MediationOptions,
    NecessityOptions,
    PlaceOptions,
    ProbeConfig,
    RecoveryOptions,
    RivalOptions,
)
from mi_bsa.causal.readable import validity_of, validity_results
from mi_bsa.causal.transfer import transfer_results
from mi_bsa.causal.verdict import Verdict, verdicts
from mi_bsa.core.results import Result
from mi_bsa.studies.planted.prompts import REPORTS

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.causal.material import Material

GATE = 3
"""Lines of the gate, which stand before those of a conjecture."""
ASKED = ("choice-test", "report-test", "neighbor_report-test", "named_report-test")
SEES = Result(
    name="self_report.kinds_read",
    where={"behavior": "planted", "split": "test"},
    value=len(REPORTS),
    ci=None,
    ci_method="none: a count",
    n=len(REPORTS),
    unit="kinds of question",
    notes="by construction: a planted base reads no descriptions, its readers write answers to every form",
)
"""That questions see is known of a planted model, and measured of no other."""
PROBE = ProbeConfig(method="mean_difference", shuffles=20, test_shuffles=20, prompts=24)
PLACES = PlaceOptions(scopes=("slot",))
RECOVERY, ALONE = RecoveryOptions(), RecoveryOptions(kinds=("trained",))
NECESSITY, MEDIATION = NecessityOptions(kinds=("trained",)), MediationOptions(kinds=("trained",))
ATTRIBUTION = AttributionOptions(items=8, seeds=5)


def judge(material: Material, *, layers: bool) -> tuple[list[Verdict], list[Result]]:
    """Verdicts of an instance and the results behind them.

    A step that can no longer change the answer is left out: all behind a gate that does not hold; all behind
    a handle that is none, or whose report is open (undecided, whatever follows); behind a handle that does
    not move the report all but necessity; and from there on all behind a line that does not hold. The
    conjecture about layers, which is not judged here, has a part in the answer where p decides it: Holm's
    adjustment is over both, as in a study. `layers`: measure what the conjecture about layers reads, and not
    what the one about a shared state does.
    """
    found = effects(material)
    if any(line.state != "holds" for line in verdicts(found)[0].lines[:GATE]):
        return verdicts(found), found
    if layers:
        found += attribution.layer_order(material, ATTRIBUTION)
        return verdicts(found), found
    place, _ = places.choose_place(material, options=PLACES)
    first = recovery.scored(recovery.measure(material, ALONE, place=place, beside=False, drawn=False))
    lines = handle_lines(Lookup.of([*found, *first]))
    moves = report_poles(Lookup.of(first)).state
    if lines.one.state != "holds" or moves != "holds":
        found += first
        if lines.one.state == "holds" and moves == "fails" and lines.back.state != "holds":
            found += _kept(material, place, found)
        return verdicts(found), found
    found += recovery.scored(recovery.measure(material, RECOVERY, place=place, beside=False))
    steps: list[Callable[[], list[Result]]] = [
        lambda: [
            result
            for rival in rivals.measure(material, RECOVERY, RivalOptions(), place=place)
            for result in rivals.scored(rival)
        ],
        lambda: transfer_results(material, PROBE),
        lambda: necessity.ablate(material, NECESSITY, place=place, beside=False),
        lambda: mediation.mediate(material, MEDIATION, place=place, beside=False),
    ]
    for step in steps:
        if not set(_states(found).values()) <= {"holds", "missing"}:
            break
        found += step()
    else:
        if verdicts(found)[0].answer == "undecided" and set(_states(found).values()) == {"holds"}:
            found += attribution.layer_order(material, ATTRIBUTION)
    return verdicts(found), found


def _kept(material: Material, place: places.Place, found: list[Result]) -> list[Result]:
    """Necessity, with random directions only where its interval does not decide."""
    plain = necessity.ablate(material, NECESSITY, place=place, beside=False, drawn=False)
    if handle_lines(Lookup.of([*found, *plain])).shrinks.state == "fails":
        return plain
    return necessity.ablate(material, NECESSITY, place=place, beside=False)


def _states(found: list[Result]) -> dict[str, str]:
    return {line.name: line.state for line in verdicts(found)[0].lines}


def effects(material: Material) -> list[Result]:
    """What the adapters do and say, and whether the report may be read."""
    table = answers(material)
    seeds, arms = material.seeds, ("seeking", "averse")
    both = [
        effect(table, "choice-test", "behavior", None, behavior="planted", arms=arms, seeds=seeds),
        effect(table, "report-test", "self_report", "all", behavior="planted", arms=arms, seeds=seeds),
    ]
    return [*both, SEES, *validity_results(validity_of(table), behavior="planted")]


def answers(material: Material) -> pd.DataFrame:
    """One row an item and variant, as a study's `asked` step leaves them."""
    import pandas as pd

    items = [i for name in ASKED for i in material.sets[name]]
    sets = [name for name in ASKED for _ in material.sets[name]]
    frames = []
    for arm, names in {"base": ("base",), **{a: material.arms[a] for a in ("seeking", "averse")}}.items():
        for n, variant in enumerate(names):
            table = ask(material.model, items, variant=variant, max_tokens=8192)
            frames.append(table.assign(set=sets, arm=arm, seed=-1 if arm == "base" else n, variant=variant))
    return pd.concat(frames, ignore_index=True)
