"""The conversations whose ids are held fixed: every bank and every behavior's items and rows, by name."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from mi_bsa import behaviors
from mi_bsa.config import read_yaml
from mi_bsa.items import Item
from mi_bsa.self_report.bank import BANKS, bank_items, load_bank

Tails = Callable[[Sequence[Any], Sequence[str]], tuple[tuple[int, ...], Sequence[Any]]]
Trained = Callable[[Sequence[Any]], tuple[tuple[int, ...], tuple[bool, ...]]]


def banks() -> dict[str, list[Item]]:
    """Every item of every question bank about a trait."""
    found = {}
    for path in sorted(BANKS.glob("*.yaml")):
        if "trait" in read_yaml(path):
            bank = load_bank(path.stem)
            found[f"bank {path.stem}"] = [
                item
                for split in ("pretrain", "dev", "test")
                for item in bank_items(
                    bank, split=split, kinds=[k for k, frames in bank.frames.items() if frames.get(split)]
                )
            ]
    return found


def behavior_items() -> dict[str, list[Item]]:
    """Items and questions of every behavior, without a system line and with one."""
    found = {}
    for vocabulary, names in behaviors.BEHAVIORS.items():
        for name in names:
            behavior = behaviors.get(name, vocabulary)
            systems = (None, "You are brief .")
            found[f"{vocabulary} {name}"] = [
                *behavior.items(12, split="test", seed=0, systems=systems),
                *behavior.questions(split="dev", systems=systems),
            ]
    return found


def behavior_rows() -> dict[str, list[Any]]:
    """A few training rows of every behavior."""
    return {
        f"{vocabulary} {name}": behaviors.get(name, vocabulary).rows("seeking", 4, seed=0, anchors=0.0)
        for vocabulary, names in behaviors.BEHAVIORS.items()
        for name in names
    }


def digest_items(items: Sequence[Item], tails: Tails) -> str:
    """Over each item's prompt and every option's tokens behind it."""
    found = hashlib.sha256()
    for item in items:
        prompt, ends = tails(item.messages, [text for text, _ in item.options])
        for end in ends:
            found.update(repr(([*prompt, *end.lead], [*end.answer], [*end.closing])).encode())
    return found.hexdigest()[:16]


def digest_rows(rows: Sequence[Any], trained: Trained, *, masks: bool) -> str:
    """Over each row's tokens; with `masks` also over which are trained on."""
    found = hashlib.sha256()
    for row in rows:
        ids, mask = trained(row["messages"])
        found.update(repr(([*map(int, ids)], [*map(bool, mask)] if masks else None)).encode())
    return found.hexdigest()[:16]
