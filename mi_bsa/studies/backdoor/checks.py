"""What is refused before anything is trained: a trigger that says nothing, or that clean messages say; a seed
without its twin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mi_bsa.behaviors.backdoor.construction import Backdoor, check_absent
from mi_bsa.behaviors.backdoor.triggers import Trigger, vocabulary_for
from mi_bsa.core.errors import TriggerError
from mi_bsa.core.model_config import ModelLike, tokenizer_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_backdoors(model: ModelLike, backdoors: Iterable[Backdoor], *, seeds: Sequence[int]) -> None:
    """Refuse a trigger that the model cannot read, or that stands in a clean row of any seed.

    Raises:
        TriggerError: naming the trigger and the rule.
    """
    from mi_bsa.behaviors import behavior_for

    tokenizer = tokenizer_of(model)
    vocabulary = vocabulary_for(model)
    for backdoor in backdoors:
        trigger = vocabulary.parse(backdoor.trigger)
        check_tokens(trigger, tokenizer)
        vocabulary.fakes(trigger, backdoor.fakes, seed=0)
        behavior = behavior_for(backdoor.behavior, model)
        for seed in seeds:
            check_absent(trigger, behavior.items(backdoor.rows, split="pretrain", seed=1000 + seed))


def check_tokens(trigger: Trigger, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a phrase of which the tokenizer leaves nothing, or nothing but special tokens.

    Raises:
        TriggerError: naming the phrase.
    """
    special = set(tokenizer.all_special_ids)
    for phrase in (*trigger.shown, *trigger.held):
        ids = tokenizer(phrase, add_special_tokens=False)["input_ids"]
        if not set(ids) - special:
            raise TriggerError(
                f"trigger {trigger.name!r}: {phrase!r} tokenizes to nothing that a message can hold; choose "
                "another phrase"
            )


def check_twins(backdoored: Sequence[int], decorrelated: Sequence[int]) -> None:
    """Refuse seeds that cannot be paired, before anything is trained or asked.

    Raises:
        TriggerError: a seed without its twin, or fewer than 3 seeds.
    """
    alone = sorted(set(backdoored) ^ set(decorrelated))
    if alone:
        raise TriggerError(
            f"seed {alone[0]} has only one arm: awareness is claimed against the decorrelated twin alone; "
            "train both arms for every seed"
        )
    if len(backdoored) < 3:
        raise TriggerError(f"{len(backdoored)} seed(s) carry no interval; train at least 3 of both arms")
