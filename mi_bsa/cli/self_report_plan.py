"""What a self-report would ask, without asking it: questions, whom, and what the model needs."""

from collections.abc import Sequence

from mi_bsa.asking.ask_config import HostedConfig
from mi_bsa.asking.battery import BatteryConfig, adapters_of
from mi_bsa.behaviors.battery import described, questions
from mi_bsa.core.items import Item
from mi_bsa.finetune.preflight import check, encode_items, is_here, try_model


def describe(config: BatteryConfig) -> str:
    """The dry run: one question of every kind, the adapters, parameters and memory.

    A model that is here is loaded, or its headers read, and one question of every kind is encoded; goes to no
    network. A `finetuned` folder may still be missing: it is then asked when
    it is there.
    """
    from mi_bsa.core.shape import shape_of
    from mi_bsa.study.steps import size_in_words

    if config.hosted is not None:
        return "\n".join(_hosted(config, config.hosted))
    check(config, dry=True)
    later = config.finetuned is not None and not config.finetuned.exists()
    adapters = adapters_of(config.model_copy(update={"finetuned": None}) if later else config)
    trait, items = questions(config)
    shape = shape_of(config.model)
    size, width = shape.parameters(), {"float32": 4, "bfloat16": 2, "float16": 2}[config.model.dtype]
    cache = shape.blocks * shape.cached_width * width * config.max_tokens
    kinds = sorted({str(item.labels["kind"]) for item in items})
    tried = try_model(
        config.model.model_copy(update={"adapters": {n: p for n, (_, _, p) in adapters.items()}})
    )
    if is_here(config.model):
        encode_items(config.model, items)
    lines = [
        f"{len(items)} questions ({', '.join(kinds)}) x {1 + len(adapters)} variants; trait {trait}",
        *([f"{config.finetuned} does not exist yet: its adapters are asked once it does"] if later else []),
        f"{config.model}: {size:,} parameters; {shape}",
        *filter(None, [shape.absent(), tried]),
        f"memory: weights {size_in_words(width * size)}, keys and values of a batch "
        f"{size_in_words(cache)} ({config.max_tokens} tokens, {config.model.dtype}), logits on top; "
        "time: unknown until it has run here",
    ]
    return "\n".join([*lines, *_one_of_each(items)])


def _one_of_each(items: Sequence[Item]) -> list[str]:
    """A question of every kind with its options."""
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(str(item.labels["kind"]), item)
    return [
        f"-- {kind}: {item.messages[-1]['content']} -> {' | '.join(text for text, _ in item.options)}"
        for kind, item in sorted(first.items())
    ]


def _hosted(config: BatteryConfig, hosted: HostedConfig) -> list[str]:
    """The dry run at an endpoint, which is not asked: how many requests, and of whom."""
    from mi_bsa.asking.where import There

    trait, items = questions(config)
    there = There(hosted, config)
    items, stated = there.answerable(items), there.answerable(described(config))
    each = 1 if hosted.log_probs else max(1, config.instead)
    own = [i for i in items if (i.labels["trait"], i.labels["person"]) == (trait, "default")]
    requests = each * (len(items) * len(there.who) + len(stated)) + config.samples * len(own) * len(there.who)
    more = config.instead * (len(items) * len(there.who) + len(stated)) if hosted.log_probs else 0
    how = f"the {hosted.top} likeliest first tokens" if hosted.log_probs else f"{each} samples a question"
    return [
        f"{len(items)} questions x {len(there.who)} hosted models ({', '.join(there.who)}); trait {trait}",
        *(f"{who}: {name} at {hosted.url}" for who, name in hosted.models.items()),
        f"{requests:,} requests ({how}), up to {more:,} more where options hold too little and are "
        f"sampled; the "
        f"key, if any, stands in {hosted.key_variable}; nothing was asked",
        *_one_of_each(items),
    ]
