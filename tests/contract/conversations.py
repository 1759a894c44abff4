"""What is asked here: every question bank and every behavior's items, by name."""

from mi_bsa import behaviors
from mi_bsa.asking.bank import BANKS, bank_items, load_bank
from mi_bsa.core.config import read_yaml
from mi_bsa.core.items import Item


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
