"""What a self-report would ask, without asking it: questions, whom, and what the model needs."""

from mi_bsa.asking.battery import BatteryConfig, adapters_of
from mi_bsa.behaviors.battery import questions
from mi_bsa.finetune.preflight import check, encode_items, is_here, try_model


def describe(config: BatteryConfig) -> str:
    """The dry run: one question of every kind, the adapters, parameters and memory.

    A model that is here is loaded, or its headers read, and one question of every kind is encoded; goes to no
    network. A `finetuned` folder may still be missing: it is then asked when
    it is there.
    """
    from mi_bsa.core.shape import shape_of
    from mi_bsa.study.steps import size_in_words

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
    for kind in kinds:
        first = next(item for item in items if item.labels["kind"] == kind)
        options = " | ".join(text for text, _ in first.options)
        lines.append(f"-- {kind}: {first.messages[-1]['content']} -> {options}")
    return "\n".join(lines)
