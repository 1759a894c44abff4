"""The answer first: what a behavior study found, in numbers that stand in its results and nowhere else; the
sentences of other studies stand beside their sections (`mi_bsa.report.answers`).

The law it keeps: a sentence is written only where its number was measured, and it says "moves" only where the
interval lies beyond zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mi_bsa.core.results import Result
from mi_bsa.report.names import short

CHOSEN = "bridge.transfer.chosen"
"""Transfer at the layer chosen without the test prompts; the best of many test cells is no headline."""


NOTHING = 1e-6
"""A number so small is what arithmetic leaves, or the end of an exact interval that goes to 0."""
LEAST = 0.1
"""What a report must move by to count as one (docs/decisions/0006-verdict-rules.md, `NONE`)."""


@dataclass(frozen=True)
class Tile:
    """One number of the headline.

    Attributes:
        title: what it is.
        value: the number as shown.
        interval: its interval as shown.
        null: what it looks like where there is nothing; "beside it" where p is not of these draws.
        note: where it was measured, and n.
        name: of its result.
    """

    title: str
    value: str
    interval: str
    null: str
    note: str
    name: str


def sentences(results: Sequence[Result]) -> list[str]:
    """One sentence a behavior: whether what it says moves with what it was trained to do; of several bases,
    one over them.
    """
    said, results = [], over(results)
    for effect in _all(results, "self_report.effect"):
        if effect.where.get("kind", "all") != "all" or effect.ci is None:
            continue
        behavior = short(effect.where.get("behavior", "the behavior"))
        low, high = effect.ci
        against = "moves against them" if high < 0 else "does not measurably move"
        little = f", but by less than counts as a report ({LEAST})" if high < LEAST else ""
        moved = f"moves with them{little}" if low > 0 else against
        by = f"{number(effect.value)} {interval(effect)}"
        beside = control(results, str(effect.where.get("behavior", "the behavior"))) if low <= 0 else ""
        who = f"Finetuned on {behavior} choices alone, the model's description of itself"
        if of_bases(effect):
            who = (
                f"{effect.n} bases were each finetuned on {behavior} choices alone; over them, what they say"
            )
            who += " of themselves"
        said.append(f"{who} {moved}: {by}{beside}.")
    return said


def over(results: Sequence[Result]) -> list[Result]:
    """The numbers of the study itself: of several bases, those over bases without each one's own."""
    return [result for result in results if "base" not in result.where]


def of_bases(result: Result) -> bool:
    """Whether its interval is over bases: then a claim is about bases, and n counts them."""
    return "over bases" in result.ci_method


def control(results: Sequence[Result], behavior: str) -> str:
    """The positive control of a report without effect, to stand behind it; empty where none is known."""
    about = [r for r in results if r.where.get("behavior", "the behavior") == behavior]
    counted = _all(about, "self_report.kinds_read")
    if not counted:
        return ""
    if counted[0].value < 1:
        return "; but none of its questions can be read, so this is no null"
    seen = [r for r in _all(about, "self_report.sensitivity") if r.where.get("kind") == "all"]
    if not seen:
        return "; whether its questions see a stated pole was not measured"
    return f"; the same questions see a pole that is stated: {number(seen[0].value)} {interval(seen[0])}"


def tiles(results: Sequence[Result]) -> list[Tile]:
    """The headline's numbers: choices, report, transfer and steering of each behavior that has them."""
    results = over(results)
    behaviors = dict.fromkeys(item.where["behavior"] for item in results if "behavior" in item.where)
    shown = []
    for behavior in behaviors:
        about = [item for item in results if item.where.get("behavior") == behavior]
        reports = [item for item in about if item.where.get("kind", "all") == "all"]
        shown += [_tile("choices move", item) for item in _all(about, "behavior.effect")[:1]]
        shown += [_tile("self-report moves", item) for item in _all(reports, "self_report.effect")[:1]]
        about_itself = [item for item in about if item.where.get("kind") == "self_report"]
        shown += [_tile("questions see a stated pole", r) for r in _all(reports, "self_report.sensitivity")]
        validity = _all(about, "self_report.validity")
        shown += [_tile("report may be read", v) for v in validity if v.where.get("kind", "index") == "index"]
        shown += [
            _tile(f"report follows choices, r ({item.where['arm']})", item)
            for item in _all(reports, "faithfulness.r")
            if item.where.get("kind") == "all" and item.where.get("method") == "all runs"
        ]
        shown += [
            _tile(f"others' share of its gap ({item.where['method']})", item)
            for item in _all(reports, "personas.conflation")
        ]
        shown += [_tile("probe transfers, AUROC", item) for item in _all(about_itself, CHOSEN)[:1]]
        shown += [_tile("steering moves the report", item) for item in _all(about_itself, "steer.effect")[:1]]
        # what a vector trained on choices alone recovers of the report: the pole with less of it
        recovered = _all(about, "bridge.recovery.self_report")
        trained = [item for item in recovered if item.where.get("method") == "trained"]
        least = sorted(trained, key=lambda item: item.value)[:1]
        shown += [_tile("one vector gives of the report", item) for item in least]
    return shown


def lines(results: Sequence[Result]) -> list[str]:
    """The answer as plain lines, with the numbers that it rests on."""
    return [*sentences(results), *numbers(results)]


def numbers(results: Sequence[Result]) -> list[str]:
    """What the answer rests on, a line a number, and what may be read: what a command prints before it."""
    shown = [
        f"  {tile.title:<28}{tile.value:>6} {tile.interval:<15}{tile.note}"
        + (f"; {tile.null}" if tile.null else "")
        for tile in tiles(results)
    ]
    return [*shown, *components(results)]


def components(results: Sequence[Result]) -> list[str]:
    """Lines of a behavior: every component of its self-report's validity, what it is without one wording, and
    which kinds of question are read.
    """
    results = over(results)
    parts = [r for r in _all(results, "self_report.validity") if r.where.get("kind", "index") != "index"]
    said = []
    for behavior in dict.fromkeys(r.where.get("behavior") for r in parts):
        components_of = [r for r in parts if r.where.get("behavior") == behavior]
        values = ", ".join(f"{r.where['kind']} {number(r.value)}".replace("_", " ") for r in components_of)
        said.append(f"  validity of {short(behavior)}: {values}")
        left_out = [r for r in _all(results, "self_report.validity_without") if r.where["kind"] == "least"]
        told = [r.notes for r in left_out if r.where.get("behavior") == behavior]
        said += [f"    {note}" for note in told]
    counted = _all(results, "self_report.kinds_read")
    said += [f"  kinds of question about {short(r.where.get('behavior'))}: {r.notes}" for r in counted]
    return said


def number(value: float | int) -> str:
    """A number with two digits behind the point, three significant ones where it is small or large; what is
    next to nothing is 0.00.
    """
    value = 0.0 if abs(value) < NOTHING else value
    return f"{value:.2f}" if 0.01 <= abs(value) < 100 or value == 0 else f"{value:.3g}"


def small(p: float) -> str:
    """A p-value with its relation: `= .012`, `< .001`."""
    return "< .001" if p < 0.001 else f"= {p:.3f}".replace("0.", ".")


def tested(result: Result) -> str:
    """p with the test that gave it: `= .012 (t over seeds against 0)`; at the floor of its draws, that it is
    at most so much: `<= .001 (floor of random directions, 999 draws, one-sided)`. Empty where nothing was
    tested.
    """
    if result.p is None:
        return ""
    if result.at_floor:
        return f"{at_most(result.p)} (floor of {result.test})"
    return f"{small(result.p)} ({result.test})"


def at_most(p: float) -> str:
    """A p at the floor of its test: `<= .001`."""
    return f"<= {p:.3g}".replace("0.", ".", 1)


def interval(result: Result) -> str:
    """`[low, high]`, or a dash where there is none."""
    return "-" if result.ci is None else f"[{number(result.ci[0])}, {number(result.ci[1])}]"


def null_words(result: Result, *, named: bool = True) -> str:
    """The null's mean and band, its name in front unless that is said elsewhere; empty without a null."""
    null = result.null
    if null is None:
        return ""
    band = f"{number(null.mean)} [{number(null.low)}, {number(null.high)}]"
    if null.n == 1:  # one thing beside it, or an even share, has no band
        band = number(null.mean)
    return f"{null.kind}: {band}" if named else band


def _tile(title: str, result: Result) -> Tile:
    keys = [key for key in ("behavior", "arm", "variant", "method", "site", "layer") if key in result.where]
    place = ", ".join(f"{'layer ' * (key == 'layer')}{short(result.where[key])}" for key in keys)
    note = f"{place}; {'bases' if of_bases(result) else 'n'} = {result.counted}".replace(
        "_", " "
    ).removeprefix("; ")
    note += f"; p {tested(result)}" if result.p is not None else ""
    band = null_words(result)
    if band:
        # a p of another test than the draws of this null must not read as if it were theirs
        own = result.p is None or result.null_is_of_p
        band = f"{'null' if own else 'beside it'}: {band}"
    return Tile(title, number(result.value), interval(result), band, note, result.name)


def _all(results: Sequence[Result], name: str) -> list[Result]:
    return [result for result in results if result.name == name]
