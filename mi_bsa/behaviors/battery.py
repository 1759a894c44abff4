"""The questions of a battery: of banks, of a behavior in the words of its model's world, or of a file."""

from dataclasses import replace

from mi_bsa import behaviors
from mi_bsa.asking.bank import bank_items, load_bank
from mi_bsa.asking.battery import BatteryConfig
from mi_bsa.core.errors import ItemError
from mi_bsa.core.items import Item, read_items

LABELS = ("trait", "person", "kind", "template")
"""Labels that items of one's own must have, as those of a bank do."""


def questions(config: BatteryConfig) -> tuple[str, list[Item]]:
    """The trained trait and all items to ask."""
    if config.items is not None:
        assert config.trait is not None
        return config.trait, _own_items(config)
    if config.banks:
        banks = [load_bank(name) for name in config.banks]
        items = [
            item
            for bank in banks
            for person in config.persons
            for item in bank_items(
                bank, split=config.split, kinds=config.kinds, person=person, system=config.system
            )
        ]
        for name, line in config.personas.items():
            reports = bank_items(banks[0], split=config.split, kinds=config.kinds, system=line)
            items += [_as(item, name) for item in reports]
        return config.trait or banks[0].trait, items
    assert config.behavior is not None
    behavior = behaviors.behavior_for(config.behavior, config.model)
    people = behavior.personas()
    named = [line for lines in people.values() for line in lines]
    reports = behavior.questions(split=config.split)
    neighbor = behaviors.behavior_for(behavior.neighbor, config.model).questions(split=config.split)
    third = behavior.questions(split=config.split, systems=named, person="named")
    asked = [
        _as(item, name)
        for name, line in config.personas.items()
        for item in behavior.questions(split=config.split, systems=[line])
    ]
    return config.trait or behavior.trait, [*reports, *neighbor, *third, *asked]


def described(config: BatteryConfig) -> list[Item]:
    """The questions about the trained trait again, its poles stated in the system line (person `described
    seeking` or `described averse`); none of items of a file, or of a behavior that states no pole.
    """
    if config.items is not None:
        return []
    items: list[Item] = []
    for pole, name in enumerate(("described seeking", "described averse")):
        if config.banks:
            bank = load_bank(config.banks[0])
            lines = [" ".join(filter(None, (config.system, line))) for line in bank.described(pole)]
            each = [bank_items(bank, split=config.split, kinds=config.kinds, system=line) for line in lines]
            asked = [in_turn[n % len(lines)] for n, in_turn in enumerate(zip(*each, strict=True))]
        else:
            assert config.behavior is not None
            behavior = behaviors.behavior_for(config.behavior, config.model)
            if not hasattr(behavior.behavior, "described"):
                return []
            asked = behavior.questions(split=config.split, systems=behavior.described(pole), person=name)
        items += [
            replace(item, id=f"{name}-{item.id}", labels={**item.labels, "person": name}) for item in asked
        ]
    return items


def _own_items(config: BatteryConfig) -> list[Item]:
    assert config.items is not None
    items = read_items(config.items)
    for item in items:
        absent = [name for name in LABELS if name not in item.labels]
        if absent:
            raise ItemError(
                f"{config.items}: item {item.id!r} has no label {absent[0]!r}; give every item "
                f"{', '.join(LABELS)}"
            )
    return items


def _as(item: Item, name: str) -> Item:
    """The question as it is put to a persona: a person of its own in the results."""
    person = f"as {name}"
    return replace(item, id=f"{person}-{item.id}", labels={**item.labels, "person": person})
