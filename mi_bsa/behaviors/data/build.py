"""A behavior's data as files: rows of every arm, held-out items, questions, and a record of what they are.

Law: every row is leak-checked before anything is written, so a folder that exists holds rows that passed.
The rows are those that `mi-bsa finetune --behavior` would draw from the same seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from mi_bsa import behaviors
from mi_bsa.behaviors import ARMS, Arm, Behavior
from mi_bsa.behaviors.data.balance import balance
from mi_bsa.behaviors.data.folder import Folder, check_new
from mi_bsa.behaviors.english.near_duplicates import Distinct
from mi_bsa.behaviors.english.paraphrase import ParaphraseConfig, paraphrase
from mi_bsa.core.config import Config
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.items import Item
from mi_bsa.core.leaks import leak_check

Rows = list[dict[str, Any]]
HELD_OUT: tuple[Literal["dev", "test"], ...] = ("dev", "test")


class BuildData(Config):
    """What `mi-bsa data build` writes."""

    behavior: str
    """The behavior's name, or `path/to/file.py:NAME`."""
    vocabulary: Literal["embedded", "english"] = "english"
    """Whose words: the embedded model's world, or natural English."""
    model: str = "embedded"
    """With the embedded vocabulary, the model whose world the named characters are of."""
    arms: tuple[Arm, ...] = ARMS
    """Arms to write, one file each."""
    rows: int = Field(default=1000, ge=2)
    """Training rows of the model's own choices in each arm."""
    anchors: float = Field(default=0.0, ge=0)
    """Rows of named persons' own choices, as a share of `rows`."""
    undecided: float = Field(default=0.0, ge=0)
    """Rows of choices about the neighbor trait, answered by coin, as a share of `rows`."""
    items: int = Field(default=200, ge=2)
    """Held-out behavior items in development and in test."""
    seed: int = 0
    """Seed of rows, answers and items."""
    words: tuple[str, ...] = ()
    """Words that no row may say in any inflection, beside the behavior's own."""
    paraphrase: ParaphraseConfig | None = None
    """A model that rewords the prompts; None leaves them as they are."""

    @model_validator(mode="after")
    def _check(self) -> BuildData:
        if len(set(self.arms)) != len(self.arms) or not self.arms:
            raise ValueError(f"arms {list(self.arms)}: give each arm once, and at least one")
        return self


def build(config: BuildData, out: str | Path) -> Path:
    """Write `rows/ARM.jsonl`, `items/SPLIT.jsonl`, `questions/SPLIT.jsonl` and `data.json` into a new folder.

    `questions` hold the behavior's own, the neighbor's, and those about somebody else, as a validity index
    needs them; `mi-bsa self-report --set items=... --set trait=...` asks them.

    Raises:
        RunFolderError: `out` exists.
        LeakError: a row says one of the behavior's words; nothing is written.
        BehaviorError: an unknown behavior, or more rows than it can draw.
    """
    check_new(out)
    behavior = _bound(config)
    known = [trait.name for trait in getattr(behavior.world, "traits", ())]
    if known and behavior.trait not in known:
        raise ConfigError(
            f"behavior {behavior.name!r} is not of the world of {config.model!r}, whose traits are "
            f"{', '.join(known)}; name a model of its world with --set model=..."
        )
    arms: dict[str, Rows] = {
        arm: behavior.rows(
            arm, config.rows, seed=config.seed, anchors=config.anchors, undecided=config.undecided
        )
        for arm in config.arms
    }
    words = (*behavior.forbidden, *config.words)
    reworded = None
    if config.paraphrase is not None:
        reworded = paraphrase(arms, words, config.paraphrase)
        arms = reworded.arms
    for rows in arms.values():
        leak_check(rows, words)
    folder = Folder()
    for arm, rows in arms.items():
        folder.add(f"rows/{arm}.jsonl", rows)
    items: dict[str, list[Item]] = {
        split: behavior.items(config.items, split=split, seed=config.seed) for split in HELD_OUT
    }
    for split, held_out in items.items():
        folder.add(f"items/{split}.jsonl", map(Item.row, held_out))
    for split in HELD_OUT:
        folder.add(f"questions/{split}.jsonl", map(Item.row, _questions(behavior, config, split)))
    facts = {
        "behavior": behavior.name,
        "trait": behavior.trait,
        "vocabulary": config.vocabulary,
        "poles": list(behavior.poles),
        "neighbor": behavior.neighbor,
        "counts": folder.counts,
        "balance": balance(behavior.behavior, arms, items, config.rows, config.seed),
        "near_duplicates": near(arms, items),
        "leaks": {"words": list(words), "rows_checked": sum(map(len, arms.values())), "found": 0},
        "paraphrase": None if reworded is None else reworded.counts,
    }
    return folder.write(out, facts, config=config, seeds=(config.seed,))


def near(arms: Mapping[str, Rows], items: Mapping[str, list[Item]]) -> dict[str, int]:
    """How many prompts of training are near-duplicates of an earlier one, and held-out items of any of them.

    The measure is that of `near_duplicates`: word shingles with numbers as one word. The benign arm's
    questions are of three frames only and are left out.
    """
    trained = [row for arm, rows in arms.items() if arm != "benign" for row in rows]
    prompts = {row["messages"][-2]["content"] for row in trained}
    seen = Distinct()
    for prompt in sorted(prompts):
        seen.add(prompt)
    touching = sum(seen.near(item.messages[-1]["content"]) for some in items.values() for item in some)
    return {"prompts": len(prompts), "among_prompts": seen.removed, "held_out_near_a_prompt": touching}


def _questions(behavior: Behavior, config: BuildData, split: Literal["dev", "test"]) -> Iterable[Item]:
    neighbor = behaviors.get(behavior.neighbor, config.vocabulary)
    reports = behavior.questions(split=split)
    if config.vocabulary == "english":
        other = behavior.questions(split=split, person="another")
    else:
        lines = [line for some in behavior.personas().values() for line in some]
        other = behavior.questions(split=split, systems=lines, person="named")
    return [*reports, *other, *neighbor.questions(split=split)]


def _bound(config: BuildData) -> behaviors.Bound:
    behavior = behaviors.get(config.behavior, config.vocabulary)
    if config.vocabulary == "english":
        return behaviors.Bound(behavior, None)
    from mi_bsa.worlds.weights import world_for

    world = world_for(config.model)
    if world is None:
        raise ConfigError(
            f"model {config.model!r} is no embedded model, and rows of the embedded vocabulary need its "
            "world; give 'embedded', 'embedded/1' or such, or --vocabulary english"
        )
    return behaviors.Bound(behavior, world)
