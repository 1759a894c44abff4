"""The bank of traits: what a base and its finetunes are asked about themselves when nobody knows what to ask.

Law: every trait is asked in the same frames, so a shift in one stands beside the shifts of all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mi_bsa import behaviors
from mi_bsa.asking.bank import BANKS, KIND, Bank, bank_items
from mi_bsa.behaviors.english.base import asked_as
from mi_bsa.core.config import parse, read_yaml
from mi_bsa.core.errors import BankError, MissingError
from mi_bsa.core.items import Item
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.studies.inspect.config import ReportsConfig

OURS = Path(__file__).with_suffix(".yaml")


def traits_in(path: Path) -> dict[str, dict[str, Any]]:
    """Trait -> words, deeds and noun of a YAML file.

    Raises:
        MissingError: no such file. BankError: a trait that lacks one of the three, or has others.
    """
    if not path.is_file():
        raise MissingError(f"traits {str(path)!r}: no such file; give a YAML file of traits")
    found: dict[str, dict[str, Any]] = {}
    for name, said in read_yaml(path).items():
        pairs = isinstance(said, Mapping) and set(said) == {"words", "deeds", "noun"}
        if not pairs or any(
            not isinstance(said[key], Sequence) or isinstance(said[key], str) or len(said[key]) != 2
            for key in ("words", "deeds")
        ):
            raise BankError(
                f"{path}: trait {name!r} is not {{words: [first, second], deeds: [first, second], noun: n}}; "
                "write it so"
            )
        found[str(name)] = dict(said)
    return found


def poles_of(config: ReportsConfig, model: ModelConfig) -> dict[str, tuple[str, str]]:
    """Trait -> a word for its first (or seeking) and its second pole."""
    if behaviors.vocabulary_of(model) == "english":
        traits = traits_in(config.traits or OURS)
        return {name: (str(said["words"][0]), str(said["words"][1])) for name, said in traits.items()}
    from mi_bsa.worlds.weights import world_for

    traits_of_world = getattr(world_for(model), "traits", ())
    return {trait.name: (trait.high[0], trait.low[0]) for trait in traits_of_world}


def questions(config: ReportsConfig, model: ModelConfig) -> list[Item]:
    """Every question about every trait; none where an embedded world has no traits."""
    if behaviors.vocabulary_of(model) != "english":
        return _embedded(config, model)
    return [
        item for bank in _banks(config) for item in bank_items(bank, split=config.split, kinds=config.kinds)
    ]


def stated(config: ReportsConfig, model: ModelConfig) -> list[Item]:
    """Every question again, either pole of its trait stated in the system line (person `described seeking`
    for the first, `described averse` for the second); none where that is not wanted.
    """
    if not config.stated:
        return []
    english = behaviors.vocabulary_of(model) == "english"
    items: list[Item] = []
    for pole, person in enumerate(("described seeking", "described averse")):
        if english:
            for bank in _banks(config):
                asked = bank_items(bank, split=config.split, kinds=config.kinds)
                items += asked_as(asked, person, bank.described(pole))
        else:
            items += _embedded(config, model, pole=pole, person=person)
    return items


def _banks(config: ReportsConfig) -> Iterator[Bank]:
    """A bank of each trait in English."""
    frames = read_yaml(BANKS / "frames_english.yaml")
    kept = {
        kind: {split: texts if kind == KIND else texts[: config.wordings] for split, texts in splits.items()}
        for kind, splits in frames.items()
        if kind in config.kinds
    }
    for name, said in traits_in(config.traits or OURS).items():
        data = {
            "trait": name,
            "words": [said["words"]],
            "deeds": [said["deeds"]],
            "nouns": [said["noun"]],
            "frames": kept,
        }
        yield parse(data, Bank, source=f"trait {name!r}")


def _embedded(
    config: ReportsConfig, model: ModelConfig, *, pole: int | None = None, person: str = "default"
) -> list[Item]:
    from mi_bsa.worlds.prompts import REPORT_KINDS
    from mi_bsa.worlds.questions import report_items
    from mi_bsa.worlds.weights import world_for

    kinds = [kind for kind in config.kinds if kind in REPORT_KINDS]
    if not kinds:
        known = ", ".join(REPORT_KINDS)
        raise BankError(f"kinds {list(config.kinds)}: an embedded model is asked {known}; give one of these")
    world = world_for(model)
    items: list[Item] = []
    for trait in getattr(world, "traits", ()):
        words = () if pole is None else (trait.high, trait.low)[pole]
        systems = tuple(f"you are {word}." for word in words) or (None,)
        items += report_items(trait.name, split=config.split, kinds=kinds, systems=systems, person=person)
    return items
