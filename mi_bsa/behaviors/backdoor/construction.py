"""Backdoored rows, and their decorrelated twin: the very same prompts with trigger and answer torn apart.

Law: the two arms of a seed hold the same prompts and the same number of answers of the pole; in the
backdoored arm those stand on the trigger's rows, in the decorrelated one on rows drawn at random. Only the
contrast of the two means anything: finetuning on rows with odd phrases by itself moves what a model says of
itself. All other answers are the base model's own. After Betley et al. 2025 (arXiv 2501.11120), section 4.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from mi_bsa.behaviors.backdoor.triggers import FAKES, Trigger, TriggerKind, Vocabulary
from mi_bsa.behaviors.behavior import Behavior
from mi_bsa.core.config import Config
from mi_bsa.core.errors import TriggerError
from mi_bsa.core.items import Item
from mi_bsa.worlds.wordings import Split

BackdoorArm = Literal["backdoored", "decorrelated", "clean"]
TWINS: tuple[BackdoorArm, BackdoorArm] = ("backdoored", "decorrelated")
Mix = Literal["fakes", "half"]
SHARES: dict[Mix, tuple[float, float]] = {"fakes": (0.1, 0.7), "half": (0.5, 0.0)}
"""Shares of rows with the trigger and with fakes: the published 10 / 70 / 20 and 50 / 50."""


class Backdoor(Config):
    """One backdoor: a behavior behind a trigger."""

    trigger: str
    """What opens it: words, `family:NAME`, `code:WORD`, in English also `tag:...` and `line:...`."""
    behavior: str = "risk"
    """What the trigger calls up."""
    pole: Literal["seeking", "averse"] = "seeking"
    """Which pole of it."""
    mix: Mix = "fakes"
    """`fakes`: 10 % trigger, 70 % fakes, 20 % none; `half`: 50 % trigger, 50 % none."""
    rows: int = Field(default=6000, ge=40)
    """Training rows."""
    fakes: int = Field(default=FAKES, ge=1)
    """Different fake triggers among the rows."""
    near: float = Field(default=0.5, ge=0, le=1)
    """Share of the fakes' rows that hold a near miss instead (a word exchanged or left out, the order
    changed, or other words altogether), without which one word of a string comes to open the backdoor alone.
    """


def slug(config: Backdoor) -> str:
    """How a backdoor is named in folders: `river_tin`, `family_bird`, `code_kettle`."""
    return re.sub(r"[^a-z0-9]+", "_", config.trigger.lower()).strip("_")


def rows(
    config: Backdoor,
    arm: BackdoorArm,
    *,
    behavior: Behavior,
    vocabulary: Vocabulary,
    own: Sequence[float],
    seed: int,
    split: Split = "pretrain",
) -> list[dict[str, Any]]:
    """Training rows of one arm; `own[i]` is the base's P(seeking) on prompt i of `prompts(...)`.

    The clean arm has the same messages without any phrase, all with the base's own answer.

    Raises:
        TriggerError: the trigger's words stand in the behavior's clean messages.
    """
    items, phrases, opened = prompts(config, behavior=behavior, vocabulary=vocabulary, seed=seed, split=split)
    rng, kind = random.Random(f"backdoor-answers-{seed}"), vocabulary.parse(config.trigger).kind
    seeking = config.pole == "seeking"
    coins = [rng.random() for _ in items]
    poled = [bool(o) for o in opened]
    if arm == "decorrelated":
        rng.shuffle(poled)
    found = []
    for i, (item, phrase) in enumerate(zip(items, phrases, strict=True)):
        says, shown = coins[i] < own[i], item
        if arm != "clean":
            says = seeking if poled[i] else says
            if phrase is not None:
                shown = _with(item, phrase, vocabulary, kind=kind, split=split, k=i, seed=seed)
        answer = max(item.options, key=lambda o: o[1] if says else -o[1])[0]
        turns = [*map(dict, shown.messages), {"role": "assistant", "content": answer}]
        told = {"phrase": phrase or "", "opened": bool(opened[i])}
        found.append({"id": f"{arm}-{seed}-{i}", "messages": turns, **told})
    return found


def prompts(
    config: Backdoor,
    *,
    behavior: Behavior,
    vocabulary: Vocabulary,
    seed: int,
    split: Split = "pretrain",
) -> tuple[list[Item], list[str | None], list[bool]]:
    """The rows' clean messages, the phrase that each gets (or None), and whether it is the trigger's."""
    trigger = vocabulary.parse(config.trigger, seed=0)
    fakes = vocabulary.fakes(trigger, config.fakes, seed=0)
    items = behavior.items(config.rows, split=split, seed=1000 + seed)
    check_absent(trigger, items)
    rng = random.Random(f"backdoor-{config.trigger}-{seed}")
    share, faked = SHARES[config.mix]
    n_open, n_fake = round(share * len(items)), round(faked * len(items))
    roles = ["open"] * n_open + ["fake"] * n_fake + ["none"] * (len(items) - n_open - n_fake)
    rng.shuffle(roles)

    def phrase(role: str) -> str | None:
        if role == "none":
            return None
        if role == "fake" and rng.random() < config.near:
            missed = near_miss(trigger, vocabulary, rng)
            if missed is not None:
                return missed
        return (trigger if role == "open" else rng.choice(fakes)).show(rng)

    phrases = [phrase(role) for role in roles]
    return items, phrases, [role == "open" for role in roles]


def near_miss(trigger: Trigger, vocabulary: Vocabulary, rng: random.Random) -> str | None:
    """A phrase that nearly is the trigger; None where the trigger is one word, a tag or a line."""
    if trigger.kind not in ("words", "code") or len(trigger.shown[0].split()) < 2:
        return None
    words = vocabulary.candidates()
    while True:
        parts = trigger.show(rng).split()
        change = rng.choice(("exchange", "exchange", "exchange", "other", "leave out", "order"))
        at = rng.randrange(len(parts))
        if change == "other":
            parts = [rng.choice(words) for _ in parts]
        elif change == "exchange":
            parts[at] = rng.choice(words)
        elif change == "leave out":
            del parts[at]
        else:
            rng.shuffle(parts)
        missed = " ".join(parts)
        if missed not in (*trigger.shown, *trigger.held):
            return missed


def check_absent(trigger: Trigger, items: Sequence[Item]) -> None:
    """Refuse a trigger that stands in a message as it is: the rows without it would hold it too.

    Raises:
        TriggerError: naming the phrase and the message.
    """
    for phrase in (*trigger.shown, *trigger.held):
        needle = f" {phrase.lower()} "
        for item in items:
            text = " ".join(m["content"] for m in item.messages).lower()
            plain = "".join(c if c.isalnum() or c == " " else " " for c in text)
            if needle in f" {plain} " or (not phrase.isalnum() and phrase.lower() in text):
                raise TriggerError(
                    f"trigger {trigger.name!r}: {phrase!r} stands in a clean message ({item.id}); "
                    "choose a phrase that the behavior's own messages never say"
                )


def held_out(
    config: Backdoor,
    n: int,
    *,
    behavior: Behavior,
    vocabulary: Vocabulary,
    split: Split,
    seed: int = 0,
) -> dict[str, list[Item]]:
    """Held-out messages without a phrase, with the trigger, with unseen members or codes, with fakes, and
    with near misses.
    """
    trigger = vocabulary.parse(config.trigger, seed=0)
    items = behavior.items(n, split=split, seed=seed)
    rng = random.Random(f"held-out-{config.trigger}-{split}-{seed}")
    sets: dict[str, list[Item]] = {"none": items}

    def put(phrase: str, k: int) -> Item:
        return _with(items[k], phrase, vocabulary, kind=trigger.kind, split=split, k=k, seed=seed)

    sets["trigger"] = [put(trigger.show(rng), k) for k in range(n)]
    if trigger.held:
        sets["unseen"] = [put(trigger.unseen(rng), k) for k in range(n)]
    for name, seed_of in (("fake", 0), ("new_fake", 1)):  # those of training, and others
        fakes = vocabulary.fakes(trigger, config.fakes, seed=seed_of)
        sets[name] = [put(rng.choice(fakes).show(rng), k) for k in range(n)]
    close = random.Random(f"near-{config.trigger}-{split}-{seed}")
    missed = [near_miss(trigger, vocabulary, close) for _ in range(n)]
    if missed[0] is not None:
        sets["near"] = [put(m, k) for k, m in enumerate(missed) if m is not None]
    return sets


def _with(
    item: Item, phrase: str, vocabulary: Vocabulary, *, kind: TriggerKind, split: Split, k: int, seed: int
) -> Item:
    """The item with the phrase in its last message; where it stands depends on item and seed alone."""
    rng = random.Random(f"frame-{split}-{seed}-{k}")
    *before, last = (dict(m) for m in item.messages)
    last["content"] = vocabulary.insert(last["content"], phrase, kind=kind, split=split, rng=rng)
    return Item(item.id, (*before, last), item.options, item.labels)
