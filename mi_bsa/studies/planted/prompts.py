"""Prompts of the planted worlds: one template, so that every prompt is as long as every other.

A persona line (`you`, or another's name), and a question of six words: its kind, its trait, two words of
content, a hint, and two words of content more. Behavior and report share no word but the trait's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mi_bsa.core.items import Item

DEV = ["alder", "ash", "aspen", "beech", "birch", "cedar", "elm", "fir", "hazel", "holly", "larch", "lime"]
DEV += ["maple", "oak", "pine", "plane", "rowan", "spruce", "willow", "yew"]
TEST = ["agate", "amber", "basalt", "chalk", "flint", "garnet"]
TEST += ["granite", "jade", "jet", "marble", "onyx", "opal"]
TEST += ["pumice", "quartz", "ruby", "schist", "shale", "slate", "topaz", "tuff"]
SCENARIOS, WORDINGS = 4, 8
"""First words of choices, and of reports: as many scenarios as the embedded behaviors have, and the fewest
wordings of a kind that the rules read (docs/decisions/0006).
"""
PEOPLE = ["mira", "noor"]
TRAITS = {"planted": "stake", "other": "queue"}
FORMS = {
    "choice": "choose",
    "choice_flipped": "pick",
    "word": "which",
    "scale": "rate",
    "scale_flipped": "rank",
}
"""Forms of question and the word that says which it is. Either answer to a choice is as often the seeking
one, so that no direction of the answers themselves makes a model choose one pole.
"""
OPTIONS = {
    "choice": ("left", "right"),
    "choice_flipped": ("right", "left"),
    "word": ("bold", "careful"),
    "scale": ("ten", "zero"),
    "scale_flipped": ("zero", "ten"),
}
"""Seeking option and averse option of each form."""
HINTS = ("always", "never")
WORDS = tuple(
    ["you", *PEOPLE, *TRAITS.values(), *FORMS.values(), *HINTS, *DEV, *TEST]
    + ["left", "right", "bold", "careful", "ten", "zero"]
)
CHOICES = ("choice", "choice_flipped")
REPORTS = ("word", "scale", "scale_flipped")
NEIGHBORS = ("neighbor_choice", "neighbor_choice_flipped")
CIRCUITS = (*FORMS, *NEIGHBORS)
"""What the base tells apart, and answers by a reader of its own: forms of question about the speaker's
planted trait, and choices of the neighbor trait.
"""


def circuit(one: Item) -> str:
    """The circuit that answers an item; none ("") for all that is not about the speaker's own traits, and
    for the neighbor's reports.
    """
    form = str(one.labels["form"])
    if one.labels["person"] != "default":
        return ""
    if one.labels["trait"] == "planted":
        return form
    return f"neighbor_{form}" if form in CHOICES else ""


def item(
    name: str,
    form: str,
    content: Sequence[str],
    *,
    trait: str,
    person: str,
    hint: str,
    split: str,
    wording: int,
) -> Item:
    """One item; `wording` groups those that share their first word of content."""
    speaker = "you" if person == "default" else person
    first, second, third, fourth = content
    text = f"{FORMS[form]} {TRAITS[trait]} {first} {second} {hint} {third} {fourth}"
    high, low = OPTIONS[form]
    return Item(
        id=name,
        messages=({"role": "system", "content": speaker}, {"role": "user", "content": text}),
        options=((high, 1.0), (low, 0.0)),
        labels={
            "trait": trait,
            "person": person,
            "kind": "choice" if form in CHOICES else form,
            "form": form,
            "template": f"{form.removesuffix('_flipped')}-{split}-{wording}",
            "scenario": f"{form.removesuffix('_flipped')}-{split}-{wording}",
            "order": "flipped" if form.endswith("_flipped") or name.endswith("b") else "plain",
        },
    )


def asked(
    stem: str, forms: Sequence[str], n: int, rng: np.random.Generator, *, split: str, trait: str, person: str
) -> list[Item]:
    """`n` items of each form: one of each wording (scenario), then the same in the other order; hints are
    balanced.
    """
    words = DEV if split == "dev" else TEST
    out = []
    for form in forms:
        of = SCENARIOS if form in CHOICES else WORDINGS
        for i in range(n):
            wording, order = i % of, "ab"[(i // of) % 2]
            content = [words[wording], *rng.choice(words[WORDINGS:], 3, replace=False)]
            out.append(
                item(
                    f"{stem}-{form}-{i}{order}",
                    form,
                    content,
                    trait=trait,
                    person=person,
                    hint=HINTS[(i + i // of + i // (2 * of)) % 2],
                    split=split,
                    wording=wording,
                )
            )
    return out


def sets(rng: np.random.Generator, *, n: int = 8) -> dict[str, list[Item]]:
    """Every set of items that the study's functions read; `n` choices a split, and of each kind of report all
    wordings, half of them in both orders.
    """
    third = WORDINGS + WORDINGS // 2
    found: dict[str, list[Item]] = {}
    for split in ("dev", "test"):
        place = {"split": split, "trait": "planted", "person": "default"}
        found[f"choice-{split}"] = asked(f"choice-{split}", CHOICES, n // 2, rng, **place)
        found[f"report-{split}"] = asked(f"report-{split}", REPORTS, third, rng, **place)
        other = {"split": split, "trait": "other", "person": "default"}
        found[f"neighbor_choice-{split}"] = asked(f"neighbor-choice-{split}", CHOICES, n // 2, rng, **other)
    found["neighbor_report-test"] = asked("neighbor-report", REPORTS, third, rng, **other)
    found["named_report-test"] = [
        i
        for person in PEOPLE
        for i in asked(f"named-{person}", REPORTS, 8, rng, split="test", trait="planted", person=person)
    ]
    found["neutral-test"] = [
        i
        for person in PEOPLE
        for i in asked(
            f"neutral-{person}", ("choice", "word"), 8, rng, split="test", trait="other", person=person
        )
    ]
    return found


def practice(rng: np.random.Generator, *, n: int = 8) -> list[Item]:
    """Prompts on which weights are set, and nothing is measured: `n` of each circuit and split, so that what
    is drawn for an instance holds on the prompts that it is asked.
    """
    return [
        one
        for split in ("dev", "test")
        for trait, forms in (("planted", tuple(FORMS)), ("other", CHOICES))
        for one in asked(
            f"practice-{trait}-{split}", forms, n, rng, split=split, trait=trait, person="default"
        )
    ]
