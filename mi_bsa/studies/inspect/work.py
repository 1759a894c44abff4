"""What each step of an inspection puts through its model, for the plan's time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mi_bsa.behaviors import vocabulary_of
from mi_bsa.core.items import Item, conversation
from mi_bsa.core.shape import shape_of
from mi_bsa.finetune.work import Sample, item_tokens
from mi_bsa.finetune.zoo.published import published
from mi_bsa.studies.inspect.choices import choices
from mi_bsa.studies.inspect.lenses import texts_of
from mi_bsa.studies.inspect.traits import questions, stated
from mi_bsa.study.counts import asked, by_name, loading
from mi_bsa.study.pace import Work
from mi_bsa.study.steps import Step

WORDS = 0.4
"""Seconds in which a vector and its null vectors are ranked over the words of an English vocabulary."""
YES_NO = (("yes", 1.0), ("no", 0.0))


def inspect_steps(config: Any) -> Callable[[Step], Work]:
    """Texts through base and finetune, questions of both, and words that are ranked."""
    from mi_bsa.causal.through_base import QUESTIONS
    from mi_bsa.studies.inspect.config import asks_through_base, given_in

    texts = texts_of(config.lens, config.model)
    each, blocks = item_tokens(config.model, _items(texts)), shape_of(config.model).blocks
    ranked = WORDS if vocabulary_of(config.model) == "english" else WORDS / 20
    first, whole = config.lens.first + each / 2, 2 * each * len(texts)
    wide = shape_of(config.model).width * each * config.lens.jacobian_texts * 3 * blocks
    carried = wide if "jacobian" in config.lens.lenses else 0
    items = questions(config.reports, config.model)
    traits = len({item.labels["trait"] for item in items})
    put = 2 + 2 * config.lens.nulls if items and asks_through_base(config) else 0
    chosen = choices(config.reports, config.model)
    told = item_tokens(config.model, [*items, *chosen]) if items else 0
    known = {
        "weights": Work(seconds=loading(1) + 2 * config.vectors * ranked),
        "lenses": Work(
            read=2 * first * len(texts),
            edited=put * min(len(items), QUESTIONS * traits) * told,
            trained=carried,
            seconds=loading(1) + blocks * len(config.lens.lenses) * ranked,
        ),
        "damage": Work(read=whole, seconds=loading(1)),
        "results": Work(seconds=1.0),
    }
    if "reports" in config.parts and items:
        count = len(given_in(config))
        plain = asked(told, len(items) + len(chosen), 1 + count, adapters=count)
        control = stated(config.reports, config.model)
        each = item_tokens(config.model, control) if control else 0
        known["reports"] = replace(plain, asked=plain.asked + each * len(control))
    if config.manifest is not None:
        one = published(config.manifest).behavior
        answers = len(one.prompts) * (1 + (one.trigger is not None)) * config.free.samples
        who = 1 + len(given_in(config))
        read = len(one.words) and answers * who * each
        known["known"] = Work(generated=answers * who * config.free.tokens, read=read, seconds=loading(1))
    return by_name(known)


def inspect_sample(config: Any) -> Sample:
    """Its questions, or its texts as such; nothing is trained."""
    from mi_bsa.finetune.config import FinetuneConfig

    items = questions(config.reports, config.model) or _items(texts_of(config.lens, config.model))
    rows: list[Any] = [
        {"messages": [*item.messages, {"role": "assistant", "content": item.options[0][0]}]}
        for item in items[:8]
    ]
    return Sample(config.model, FinetuneConfig(steps=1), rows, items, adapters=1, jobs=1)


def _items(texts: list[Any]) -> list[Item]:
    """Texts as questions, whose tokens are counted."""
    found = []
    for n, text in enumerate(texts):
        if isinstance(text, str):
            said: Any = conversation(None, text)
        else:
            said = text.get("messages") or conversation(None, text["text"])
        found.append(Item(f"text-{n}", said, YES_NO))
    return found
