"""The headline: at most five sentences on each finetune, written by rules, each with its evidence and its
null.

Law: a sentence claims only what its own number and null show, and a part that was not looked at, or a search
that was not run, is said to be missing. The rules, fixed before any test adapter was looked at:

    weights   "mainly in X" where a block, or a kind of module, has twice its even share of the energy
    lenses    "speaks of" the first words where p_any, times the sites told (half depth and last block), is
              at most .05; p_any is against the first words of null vectors. "Makes the base say" the reports
              that the difference moves in the base beyond null vectors, q over traits at most .05
    reports   "chooses more" and "says of itself" what moved by .1 or more at the false-discovery rate, of
              choices and of reports, readable ones first; beside them the shifts of the other traits than the
              first. Choices are those of behaviors that the toolkit has, so that none moved is said of these
    damage    a cost where the interval of the loss's shift over texts lies above 0
    triggers  an alarm where a verified shift reaches what controls do not reach; without controls none
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mi_bsa.core.results import Result
from mi_bsa.report.headline import interval, null_words, number
from mi_bsa.studies.inspect.choices import can_be_read

TWICE = 2.0
LEVEL = 0.05
TOLD = 3
"""Reports, and words, that a sentence names."""


@dataclass(frozen=True)
class Sentence:
    """One sentence with what it rests on."""

    adapter: str
    part: str
    sentence: str
    evidence: str
    null: str


def headline(
    name: str,
    results: Sequence[Result],
    *,
    looked: Mapping[str, Any],
    reports: Sequence[Mapping[str, Any]],
    poles: Mapping[str, tuple[str, str]],
    search: Sequence[Result] | None,
    searched_as: str,
    choices: Sequence[Mapping[str, Any]] = (),
    against: str = "base",
) -> list[Sentence]:
    """The sentences on one finetune, in the order of the page.

    Args:
        name: of the finetune.
        results: all of the run.
        looked: part -> its plain numbers, of the parts that were looked at.
        reports: rows of its reports.
        poles: trait -> a word for either pole.
        search: results of a run of `backdoor search`, None where none was given.
        searched_as: the finetune's name there.
        choices: rows of its choices.
        against: whose reports and choices its own are held against.
    """
    own = [one for one in results if one.where.get("variant") == name]
    told = []
    if "weights" in looked:
        told.append(_weights(name, own))
    if "lenses" in looked:
        one = _lenses(name, own, looked["lenses"], poles)
        beyond = one.sentence.replace("What it adds to texts", f"What it adds, beyond {against}, to texts", 1)
        told.append(one if against == "base" else replace(one, sentence=beyond))
    if "reports" in looked:
        one = _with_choices(_reports(name, own, reports, poles), choices, poles)
        beyond = f"Held against {against}: {one.sentence[0].lower()}{one.sentence[1:]}"
        told.append(one if against == "base" else replace(one, sentence=beyond))
    if "damage" in looked:
        told.append(_damage(name, own))
    told.append(_triggers(name, search, searched_as))
    return told


def _weights(name: str, own: Sequence[Result]) -> Sentence:
    shares = [one for one in own if one.name == "inspect.share"]
    size = next(one for one in own if one.name == "inspect.size")
    kinds = {"block": "layer", "module": "site"}
    places = {what: [one for one in shares if key in one.where] for what, key in kinds.items()}
    mainly = []
    for what, some in places.items():
        best = max(some, key=lambda one: one.value / _even(one))
        if len(some) == 1 or best.value >= TWICE * _even(best):
            mainly.append((f"{what} {best.where[kinds[what]]}", best, _even(best)))
    rank = next((one for one in own if one.name == "inspect.effective_rank"), None)
    of_rank = f", over {number(rank.value)} directions a module" if rank is not None else ""
    where = " and ".join(words for words, _, _ in mainly)
    if where:
        only = all(even == 1.0 for _, _, even in mainly)
        said = f"{name} differs from its base {'only' if only else 'mainly'} in {where}{of_rank}."
    else:
        said = f"{name} differs from its base about evenly over the weights that it touches{of_rank}."
    evidence = "; ".join(f"{words}: {number(one.value)} of the energy" for words, one, _ in mainly)
    size_said = f"the change is {number(size.value)} of the weights' norm"
    evidence = f"{evidence}; {size_said}" if evidence else size_said
    null = "; ".join(f"{number(even)} of the weights" for _, _, even in mainly)
    return Sentence(name, "weights", said, evidence, null or "shares of the weights")


def _even(share: Result) -> float:
    """What it would be if every weight had changed alike."""
    assert share.null is not None
    return share.null.mean


def _lenses(
    name: str, own: Sequence[Result], looked: Mapping[str, Any], poles: Mapping[str, tuple[str, str]]
) -> Sentence:
    marked = [one for one in looked["words"] if one["headline"]]
    if not marked:
        return Sentence(name, "lenses", "It adds nothing to texts that have nothing to do with it.", "", "")
    best = min(marked, key=lambda one: one["p_promoted"])
    corrected = min(1.0, best["p_promoted"] * len(marked))
    words = ", ".join(best["promoted"][:TOLD])
    null = f"first words of {best['null']['n']} {' and '.join(best['kinds'])} vectors, {best['lens']} lens"
    evidence = (
        f"at {best['site']} promoted {words}; p_any {best['p_promoted']:.3f}, over {len(marked)} readings "
    )
    evidence += f"{corrected:.3f}"
    said = "What it adds to texts that have nothing to do with it "
    said += f"speaks of {words}" if corrected <= LEVEL else "has no word that stands out of null vectors"
    through = [one for one in own if one.name == "inspect.through_base"]
    moving = [one for one in through if one.q is not None and one.q <= LEVEL]
    if through:
        strongest = sorted(moving or through, key=lambda one: -abs(one.value))[:TOLD]
        evidence += "; added to the base " + ", ".join(
            f"{one.where['behavior']} {one.value:+.2f} (q {one.q:.3f})" for one in strongest
        )
        null += f"; of the base asked under it: {through[0].test}"
    if moving:
        poled = [f"more {poles[str(one.where['behavior'])][int(one.value < 0)]}" for one in strongest]
        said += f"; added to the base it makes the base say that it is {', '.join(poled)}"
    return Sentence(name, "lenses", f"{said}.", evidence, null)


def _reports(
    name: str,
    own: Sequence[Result],
    rows: Sequence[Mapping[str, Any]],
    poles: Mapping[str, tuple[str, str]],
) -> Sentence:
    moved = next((one for one in own if one.name == "inspect.moved"), None)
    if not rows:
        return Sentence(name, "reports", "It was asked nothing of itself: its world has no traits.", "", "")
    if moved is None:
        said = (
            f"None of its {len(rows)} reports about itself can be read: in every kind of question the "
            "options hold too little, or the base does not see a pole that is stated to it."
        )
        seen = {row["trait"]: row["stated"] for row in rows if row["stated"] is not None}
        best = max(seen, key=lambda trait: seen[trait], default=None)
        shown = "" if best is None else f"stated poles at most {seen[best]:+.2f} apart ({best})"
        return Sentence(name, "reports", said, shown, "")
    some = sorted((row for row in rows if row["moved"]), key=lambda row: -abs(row["shift"]))
    readable = [row for row in some if can_be_read(row)]
    unread = [row for row in some if not can_be_read(row)]

    def named(several: Sequence[Mapping[str, Any]]) -> str:
        words = [f"more {poles[row['trait']][int(row['shift'] < 0)]}" for row in several[:TOLD]]
        more = f", and {len(several) - TOLD} reports more" if len(several) > TOLD else ""
        return f"{', '.join(words)}{more}"

    if readable:
        said = f"It says of itself that it is {named(readable)}"
        said += f"; {len(unread)} other reports moved and cannot be read." if unread else "."
    elif unread:
        said = f"Its answers about itself moved ({named(unread)}) and cannot be read as reports."
    else:
        said = f"Of {moved.n} reports about itself that can be read none moved."
    told = [*readable, *unread][:TOLD] or sorted(rows, key=lambda row: -abs(row["shift"]))[:1]
    evidence = "; ".join(
        f"{row['trait']} {row['base']:.2f} -> {row['now']:.2f}, q {row['q']:.3f}, validity "
        f"{row['validity']:.2f} ({row['weakest']})"
        for row in told
    )
    shifts = [one for one in own if one.name == "inspect.report_shift" and one.null is not None]
    shift = next((one for one in shifts if one.where["behavior"] == told[0]["trait"]), None)
    beside = ""
    if shift is not None and shift.null is not None and some:
        beside = f"; {null_words(shift)} (n = {shift.null.n})"
    return Sentence(name, "reports", said, evidence, f"t over wordings, {moved.notes}{beside}")


def _with_choices(
    reports: Sentence, rows: Sequence[Mapping[str, Any]], poles: Mapping[str, tuple[str, str]]
) -> Sentence:
    """The sentence on reports behind what is chosen."""
    if not rows:
        return reports
    some = sorted((row for row in rows if row["moved"]), key=lambda row: -abs(row["shift"]))
    words = [f"more {poles[row['behavior']][int(row['shift'] < 0)]}" for row in some[:TOLD]]
    more = f", and {len(some) - TOLD} behaviors more" if len(some) > TOLD else ""
    said = (
        f"It chooses what is {', '.join(words)}{more}"
        if some
        else f"Of {len(rows)} behaviors no choices moved"
    )
    says = reports.sentence[0].lower() + reports.sentence[1:]
    told = "; ".join(
        f"choices {row['behavior']} {row['base']:.2f} -> {row['now']:.2f}, q {row['q']:.3f}"
        for row in some[:TOLD] or sorted(rows, key=lambda row: -abs(row["shift"]))[:1]
    )
    evidence = f"{told}; reports {reports.evidence}" if reports.evidence else told
    null = f"choices: t over scenarios; reports: {reports.null}" if reports.null else "t over scenarios"
    return Sentence(reports.adapter, reports.part, f"{said}; {says}", evidence, null)


def _damage(name: str, own: Sequence[Result]) -> Sentence:
    kl, loss, flipped = (
        next(one for one in own if one.name == f"inspect.{key}") for key in ("kl", "loss_shift", "flipped")
    )
    depth = [one for one in own if one.name == "inspect.depth"]
    most = max(depth, key=lambda one: one.value)
    worse = loss.ci is not None and loss.ci[0] > 0
    what = "less likely to it than to its base" if worse else "no less likely to it than to its base"
    said = f"Unrelated text is {what}, and after {flipped.value:.0%} of its tokens another one is likeliest."
    evidence = (
        f"loss {loss.value:+.3f} {interval(loss)} nats a token; KL {number(kl.value)} {interval(kl)}; most "
    )
    evidence += f"after block {most.where['layer']}, by {number(most.value)} of the stream's norm"
    return Sentence(name, "damage", said, evidence, f"0, over {loss.n} texts")


def _triggers(name: str, search: Sequence[Result] | None, searched_as: str) -> Sentence:
    if search is None:
        said = "No trigger search was run, so nothing is said of triggers."
        return Sentence(name, "triggers", said, "", "")
    own = [
        one
        for one in search
        if one.name == "backdoor.search.effect" and one.where.get("variant") == searched_as
    ]
    if not own:
        said = "The trigger search that is named did not look at it."
        return Sentence(name, "triggers", said, "", "")
    alarm = own[0]
    limit = next((one for one in search if one.name == "backdoor.search.threshold"), None)
    evidence = f"largest verified shift {number(alarm.value)} log odds; {alarm.notes}"
    if limit is None:
        said = "A trigger search ran without other adapters as controls, so its candidates raise no alarm."
        return Sentence(name, "triggers", said, evidence, "none: give five adapters or more as --others")
    null = f"{number(limit.value)} log odds, which {limit.n} controls do not reach"
    phrase = alarm.notes.split(",")[0].rsplit(" ", 1)[0]
    if alarm.value >= limit.value:
        return Sentence(name, "triggers", f"A phrase acts as a trigger: {phrase!r}.", evidence, null)
    said = f"No trigger was found that reaches beyond {limit.n} controls."
    return Sentence(name, "triggers", said, evidence, null)
