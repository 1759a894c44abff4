"""Items for steering and patching from their config: a behavior's own, or files; read-outs by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa import behaviors
from mi_bsa.causal.config import AskedSplit, ItemsConfig
from mi_bsa.core.errors import ItemError
from mi_bsa.core.items import Item, prompts_of, read_items, read_jsonl
from mi_bsa.core.model_config import ModelLike

if TYPE_CHECKING:
    from activations import Model


def thin(items: Sequence[Item], n: int) -> list[Item]:
    """About `n` items, spread evenly over the list, so over kinds and wordings."""
    if len(items) <= n:
        return list(items)
    return [items[round(i * (len(items) - 1) / (n - 1))] for i in range(n)]


def items_of(
    config: ItemsConfig, *, split: AskedSplit, model: ModelLike = "embedded", reader: Model | None = None
) -> dict[str, list[Item]]:
    """{read-out: items} of one split. With a `reader`, of a behavior's items those whose options it reads in
    one token each, unless the first token may stand for an option; files are taken as they are.
    """
    if config.behavior is not None:
        from mi_bsa.asking.readouts import readable

        behavior = behaviors.behavior_for(config.behavior, model)
        found = {
            "behavior": behavior.items(config.n, split=split, seed=0),
            "self_report": behavior.questions(split=split),
        }
        if reader is not None and not config.first_token:
            found = {name: readable(reader, items) for name, items in found.items()}
        return {name: thin(items, config.n) for name, items in found.items()}
    files = config.files if split == "test" else config.development
    return {name: thin(read_items(path), config.n) for name, path in files.items()}


def neutral_of(config: ItemsConfig, model: ModelLike) -> list[Any]:
    """Prompts of no concern: the config's file, or questions about others and the neighbor trait."""
    if config.neutral is not None:
        from activations.prompts import read

        return [
            {"id": p.id, "messages": list(p.messages)} if p.messages else {"id": p.id, "text": p.text}
            for p in read(config.neutral)
        ]
    assert config.behavior is not None
    behavior = behaviors.behavior_for(config.behavior, model)
    found = behavior.neutral(2 * config.n)
    return prompts_of(thin(found, config.n))


def pairs_of(path: Path) -> tuple[list[tuple[dict[str, Any], dict[str, Any]]], list[str], list[str]]:
    """(source and target prompts, answers, other answers) of a pairs file; a prompt is a list of messages, or
    a string that the model continues as plain text.

    Raises:
        ItemError: a line without id, source, target, answer and other.
    """
    pairs, answers, others = [], [], []
    for number, row in read_jsonl(path, error=ItemError):
        missing = [key for key in ("id", "source", "target", "answer", "other") if key not in row]
        if missing:
            raise ItemError(
                f"{path}, line {number}: no {missing[0]!r}; a pair has id, source, target, answer and other"
            )
        pairs.append(
            tuple(
                {"id": str(row["id"]), "text" if isinstance(row[side], str) else "messages": row[side]}
                for side in ("source", "target")
            )
        )
        answers.append(str(row["answer"]))
        others.append(str(row["other"]))
    return pairs, answers, others  # type: ignore[return-value]


def digest_of(items: dict[str, list[Item]]) -> str:
    """A hash of all items, for the record."""
    from mi_bsa.core.files import stable_hash

    return stable_hash(
        {name: [json.loads(json.dumps(item.prompt())) for item in own] for name, own in items.items()}
    )
