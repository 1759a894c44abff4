"""The embedded world's questions as items: choices to act on, and reports on oneself, each with its score.

Law: an item's labels say all that a split or a group could leak by (scenario, template, order, wording,
kind). Report questions are a full factorial (template x order x words), so nothing of a kind rests on a
draw.
"""

import random
from collections.abc import Callable, Sequence

from mi_bsa.asking.bank import scale_options
from mi_bsa.core.items import Item, Systems, Turns, conversation, item_labels
from mi_bsa.worlds.prompts import REPORT_KINDS, Choice, Report, draw_choice, make_report
from mi_bsa.worlds.traits import TRAITS
from mi_bsa.worlds.wordings import Split

ASKED_KINDS = ("word", "open", "scale", "scale_flipped", "letter", "yes_no")


def choice_item(choice: Choice, name: str, *, split: Split, system: str | None, person: str) -> Item:
    """A choice as an item: score 1 for the seeking option."""
    labels = item_labels(
        "behavior",
        choice.trait,
        person=person,
        split=split,
        kind="choice",
        template=f"choice-{split}-{choice.template}",
        scenario=choice.place or "none",
        order="none" if choice.spelled else "high_first" if choice.high_first else "low_first",
    )
    labels |= {"first_token_decides": True} if choice.spelled else {}
    options = ((choice.answer(True), 1.0), (choice.answer(False), 0.0))
    return Item(name, conversation(system, choice.text), options, labels)


def choice_items(
    trait: str, n: int, *, split: Split, seed: int, systems: Systems = (None,), person: str = "default"
) -> list[Item]:
    """`n` choices about a trait, personas in turn; the two orders are balanced by drawing."""
    rng = random.Random(f"{seed}-{trait}-{split}-{person}")
    return [
        choice_item(
            draw_choice(rng, TRAITS[trait], split=split),
            f"{trait}-choice-{person}-{split}-{seed}-{i}",
            split=split,
            system=systems[i % len(systems)],
            person=person,
        )
        for i in range(n)
    ]


def report_options(report: Report) -> tuple[tuple[str, float], ...]:
    """Options and scores of a report question; a flipped scale is turned back: 1 is the seeking pole."""
    if report.kind == "scale":
        return scale_options(flipped=report.flipped)
    return tuple((w, 1.0) for w in report.seeking) + tuple((w, 0.0) for w in report.averse)


def reports(trait: str, kind: str, *, split: Split) -> list[Report]:
    """Every question of a kind in a split: templates x order x words that the kind shows."""
    t = TRAITS[trait]
    out = []
    for template in range(len(t.frames[kind][split])):
        for flipped in (False, True):
            if kind in ("word", "letter"):
                parts = [(h, lo, t.nouns[0]) for h in t.high for lo in t.low]
            elif kind == "open":
                parts = [] if flipped else [(t.high[0], t.low[0], noun) for noun in t.nouns]
            else:
                parts = [(h, lo, t.nouns[0]) for h, lo in zip(t.high, t.low, strict=True)]
            out += [
                make_report(t, kind, template, split=split, flipped=flipped, high=h, low=lo, noun=noun)
                for h, lo, noun in parts
            ]
    return out


def report_items(
    trait: str,
    *,
    split: Split,
    kinds: Sequence[str] = REPORT_KINDS,
    systems: Systems = (None,),
    person: str = "default",
    before: Callable[[random.Random], Turns] | None = None,
    seed: int = 0,
) -> list[Item]:
    """All report questions about a trait in a split, personas in turn, as items.

    The label `kind` separates scales by direction (`scale`, `scale_flipped`). `before` draws turns that stand
    before the question (choices shown in context).
    """
    rng = random.Random(f"{seed}-{trait}-{split}-{person}-reports")
    items: list[Item] = []
    for kind in kinds:
        for i, report in enumerate(reports(trait, kind, split=split)):
            asked = f"{kind}_flipped" if kind == "scale" and report.flipped else kind
            system, shown = systems[len(items) % len(systems)], before(rng) if before else ()
            name = f"{trait}-{person}-{kind}-{split}-{i}"
            items.append(
                report_item(report, name, asked, split=split, person=person, system=system, before=shown)
            )
    return items


def report_item(
    report: Report,
    name: str,
    kind: str,
    *,
    split: Split,
    person: str,
    system: str | None = None,
    before: Turns = (),
    about: str = "",
) -> Item:
    """A report question as an item; `about`: what its wording's name begins with, such as `third-`."""
    labels = item_labels(
        "self_report",
        report.trait,
        person=person,
        split=split,
        kind=kind,
        template=f"{about}{report.kind}-{split}-{report.template}",
        order="flipped" if report.flipped else "plain",
    )
    return Item(name, conversation(system, report.text, before=before), report_options(report), labels)
