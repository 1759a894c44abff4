"""What a run names is loaded before it makes a folder; a dry run also encodes one row of every kind.

The law: a mistake in what was named (a behavior, its file, a model, an adapter) is found before a folder is
made, by the real run and by the dry run alike. A dry run loads a model that is here and small as the run
would, of a large one it reads the headers of its weights; of one that is not here only the shape is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa import behaviors
from mi_bsa.behaviors import ARMS, Behavior, Vocabulary
from mi_bsa.core import record
from mi_bsa.core.config import Config
from mi_bsa.core.errors import ItemError
from mi_bsa.core.items import Item, Message
from mi_bsa.core.model_config import ModelConfig, check_adapter, load, tokenizer_of
from mi_bsa.core.model_files import check_whole, folder_here, weight_files
from mi_bsa.core.plain_files import read_json_object
from mi_bsa.finetune import trackers

if TYPE_CHECKING:
    from activations import Model
    from mi_bsa.core.rows import TrainingRow

LARGEST = 2_000_000_000
"""Bytes of weights above which a dry run reads headers only: loading more takes longer than a look may."""

SOME = 20
"""Items and rows drawn of each set, from which one of every kind is encoded."""

PartWithModels = tuple[Config, tuple[ModelConfig, ...]]


def check(config: Config, *, dry: bool = False) -> None:
    """Load every behavior that a config names, find every model and adapter, read sites and positions.

    Args:
        config: of any command or study.
        dry: an adapter of a run that has not begun yet may be missing.

    Raises:
        BehaviorError: a behavior that is unknown, or whose file cannot be run.
        MissingError, ModelError: a model or an adapter that is not there.
        ConfigError: a tracker that is not installed.
        JudgeError: what a behavior is judged with is not installed.
        SiteError, PositionError: a site that the model does not have, a position that is none.
    """
    for node, models in _nodes(config):
        _check_places(node, models)
        trackers.check(getattr(node, "report_to", ()))
        for name in _names(node):
            for vocabulary in _vocabularies(models):
                behavior = behaviors.get(name, vocabulary)
                behaviors.get(behavior.neighbor, vocabulary)
                getattr(behavior, "check_tools", list)()
        for model in _own(node):
            if folder_here(model) is not None:
                check_whole(weight_files(model))
                if model.attention == "sdpa":
                    _ = model.attention_used
            for name, path in (now(model) if dry else model).adapters.items():
                check_adapter(name, path)


def ready(config: Any, out: Path, *, resume: bool, adapters: Mapping[str, Path] | None = None) -> Model:
    """The model of a config, loaded once the folder is seen to be free and all that is named to be there."""
    record.check_free(out, resume=resume)
    check(config)
    return load(config.model, adapters)


def _check_places(node: Config, models: Sequence[ModelConfig]) -> None:
    """Read the site and the position that a part of a config names, on models whose blocks are known."""
    from activations.positions import Positions
    from activations.sites import resolve

    fields = type(node).model_fields
    if isinstance(site := getattr(node, "site", None), str) and "site" in fields and "steps" not in fields:
        for blocks in filter(None, map(_blocks, models)):
            resolve(site, n_layers=blocks)
    if isinstance(position := getattr(node, "position", None), str) and "position" in fields:
        Positions.parse(position)


def _blocks(model: ModelConfig) -> int | None:
    """How many blocks a model has by its config.json; None where it is not here or does not say so."""
    folder = folder_here(model)
    if folder is None or not (folder / "config.json").is_file():
        return None
    body = read_json_object(folder / "config.json", remedy="copy the model again")
    count = (body.get("text_config") or body).get("num_hidden_layers")
    return count if isinstance(count, int) else None


def now(model: ModelConfig) -> ModelConfig:
    """The model without the adapters of runs that have not begun, which a plan may name."""
    kept = {name: path for name, path in model.adapters.items() if not _comes_later(path)}
    return model.model_copy(update={"adapters": kept})


def _comes_later(adapter: Path) -> bool:
    """Whether an adapter lies in a run folder, as `RUN/adapters/NAME/adapter`, that does not exist."""
    parts = adapter.parts
    return "adapters" in parts and not Path(*parts[: parts.index("adapters")]).exists()


def rehearse(config: Config) -> list[str]:
    """Do what a run does first with what a config names, and say it: load its models, encode its behaviors.

    Raises:
        ModelError, AdapterError: what cannot be loaded. TemplateError, RowError, ItemError: what cannot be
            encoded.
    """
    check(config, dry=True)
    lines: list[str] = []
    for node, models in _nodes(config):
        lines += filter(None, (try_model(model) for model in _own(node)))
        for name in _names(node):
            for model in models if getattr(node, "behavior", None) else models[:1]:
                if is_here(model):
                    behavior = behaviors.behavior_for(name, model)
                    lines.append(_encoded(behavior, model, node))
    return lines


def is_here(model: ModelConfig) -> bool:
    """Whether a model's tokenizer lies on this machine."""
    folder = folder_here(model)
    return folder is not None and (folder / "tokenizer.json").is_file()


def try_model(model: ModelConfig) -> str:
    """Load a model as a run would, on the CPU; of a large one, or in 4 bits, its headers are read instead.

    Returns:
        What was found, as a line; empty where the model is not on this machine.

    Raises:
        ModelError, AdapterError: what a run would be refused for.
    """
    later = sorted(set(model.adapters) - set((model := now(model)).adapters))
    for name, path in model.adapters.items():
        check_adapter(name, path)
    if not weight_files(model) or not is_here(model):
        return ""
    check_headers(model)
    loaded = loaded_small(model)
    awaited = f"; not there yet: {', '.join(later)}" if later else ""
    if loaded is None:
        headers = "the headers of its weights are those of its shape"
        return f"{model}: {headers}; attention {model.attention_used}{awaited}"
    return f"{model}: loaded ({', '.join(loaded.variants)}); attention {loaded.attention}{awaited}"


def loaded_small(model: ModelConfig) -> Model | None:
    """A model as a run would load it, but on the CPU; None where it is large, in 4 bits, or not all here.

    Raises:
        ModelError, AdapterError: what a run would be refused for.
    """
    files = weight_files(model)
    size = sum(file.stat().st_size for file in files)
    if not files or not is_here(model) or size > LARGEST or model.quantization is not None:
        return None
    if now(model) != model:
        return None
    return load(model.model_copy(update={"device": "cpu", "device_map": None}))


def check_headers(model: ModelConfig) -> None:
    """Compare names and shapes in the weights' headers with those that the model's code has; nothing is
    checked of a model that is not here.

    Raises:
        ModelError: weights that are missing, unknown, or of another shape.
    """
    from safetensors import SafetensorError, safe_open

    from activations.errors import ModelError
    from mi_bsa.core.shape import shape_of

    found: dict[str, tuple[int, ...]] = {}
    files = weight_files(model)
    if not files:
        return
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                found |= {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{file}: no whole safetensors file ({error}); copy it again") from None
    shape = shape_of(model)
    if getattr(shape.config, "quantization_config", None) is not None:
        return  # stored in few bits, under names of the library that reads it
    shell = shape.on_meta()
    wanted = {key: tuple(value.shape) for key, value in shell.state_dict().items()}
    tied = set(getattr(shell, "_tied_weights_keys", None) or ())
    missing = sorted(set(wanted) - set(found) - tied)
    dropped = (*(getattr(shell, "_keys_to_ignore_on_load_unexpected", None) or ()), r"rotary_emb\.inv_freq$")
    strange = sorted(k for k in set(found) - set(wanted) if not any(re.search(one, k) for one in dropped))
    if bool(missing) != bool(strange):  # both: names of another version, which the loading itself translates
        what, names = ("lacks", missing) if missing else ("holds what its config does not know,", strange)
        raise ModelError(f"model {str(model)!r} {what} {names[0]} ({len(names)} in all); copy it again")
    odd = [key for key in wanted if key in found and found[key] != wanted[key]]
    if odd:
        raise ModelError(
            f"model {str(model)!r}: {odd[0]} is {list(found[odd[0]])} and its config says "
            f"{list(wanted[odd[0]])}; copy both again"
        )


def encode_items(model: ModelConfig, items: Iterable[Item]) -> int:
    """Encode the first item of every kind with its options; returns how many kinds there are.

    Raises:
        ItemError, TemplateError: an item that the model cannot be asked.
    """
    from activations.tokens import Template
    from mi_bsa.asking.likelihood import branches

    kinds: dict[Any, Item] = {}
    for item in items:
        kinds.setdefault((item.labels.get("kind"), tuple(m["role"] for m in item.messages)), item)
    branches(list(kinds.values()), Template(tokenizer_of(model)), limit=_context(model))
    return len(kinds)


def encode_prompts(model: ModelConfig, prompts: Iterable[Sequence[Message]]) -> None:
    """Encode prompts up to where the model would answer.

    Raises:
        ItemError, TemplateError: a prompt that the model cannot be given.
    """
    from activations.conversation import prompt_ids
    from activations.tokens import Template

    template, context = Template(tokenizer_of(model)), _context(model)
    for messages in prompts:
        length = len(prompt_ids(template, messages))
        if length + 1 > context:
            said = str(messages[-1]["content"])[:60]
            raise ItemError(f"{said!r}: {length} tokens, and {model} reads {context}; shorten it")


def encode_rows(model: ModelConfig, rows: Sequence[TrainingRow], finetune: Any) -> int:
    """Encode training rows as a finetune would; returns how many there are.

    Raises:
        RowError, TemplateError: a row that cannot be trained on.
    """
    from mi_bsa.finetune.plan import preview

    return preview(tokenizer_of(model), rows, config=finetune, context=_context(model), shown=0).n_rows


def _encoded(behavior: Behavior, model: ModelConfig, node: Config) -> str:
    """One behavior's rows and items on one model."""
    rows, kinds = 0, 0
    if hasattr(node, "finetune"):
        named = set(getattr(node, "arms", ())) & set(ARMS) or {"seeking"}
        for arm in (one for one in ARMS if one in named):
            given = behavior.rows(arm, SOME, seed=0)
            rows += encode_rows(model, given, node.finetune)
    for items in behavior.study_sets(choices=SOME, others=SOME).values():
        kinds += encode_items(model, items)
    trained = f"{rows} rows and " if rows else ""
    return f"{behavior.name} on {model}: {trained}one item of each of {kinds} kinds encoded"


def _context(model: ModelConfig) -> int:
    from activations.anatomy import context_length
    from mi_bsa.core.shape import shape_of

    return context_length(shape_of(model).config)


def _nodes(config: Config, models: tuple[ModelConfig, ...] = ()) -> Iterator[PartWithModels]:
    """Every part of a config with the models that hold there: its own, else those above it."""
    models = _own(config) or models
    yield config, models
    for name in type(config).model_fields:
        value = getattr(config, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Config) and not isinstance(part, ModelConfig):
                yield from _nodes(part, models)


def _own(node: Config) -> tuple[ModelConfig, ...]:
    """The models that a part of a config names itself; a judge at an endpoint is none that is loaded."""
    fields = type(node).model_fields
    one = getattr(node, "model", None) if "model" in fields else None
    several = tuple(m for name in ("models", "bases") if name in fields for m in getattr(node, name))
    judge = getattr(node, "judge_model", None) if not getattr(node, "judge_url", None) else None
    return tuple(dict.fromkeys(m for m in (one, *several, judge) if isinstance(m, ModelConfig)))


def _names(node: Config) -> tuple[str, ...]:
    """The behaviors that a part of a config names itself."""
    fields = type(node).model_fields
    one = getattr(node, "behavior", None) if "behavior" in fields else None
    several = tuple(getattr(node, "behaviors", ())) if "behaviors" in fields else ()
    return ((one,) if isinstance(one, str) else ()) + several


def _vocabularies(models: Sequence[ModelConfig]) -> tuple[Vocabulary, ...]:
    """What the models read; of behaviors without a model, the embedded one is built."""
    return tuple(dict.fromkeys(behaviors.vocabulary_of(model) for model in models)) or ("embedded",)
