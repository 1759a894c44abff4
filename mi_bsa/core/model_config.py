"""Which model, and how it is loaded: the one config that every command and study shares.

The law: a model is loaded in one place, `load`, from one value. A bare string is short for its name. What
an older config says elsewhere (`finetune.dtype`, `device` at the top) means the same and is moved here; said
twice, both must agree. A step's key holds a model as it always did: by its bare name where nothing but the
type of its weights and its device is set, since a step's own fields say those.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, PlainSerializer, model_serializer, model_validator

from mi_bsa.core.config import Config
from mi_bsa.core.errors import ConfigError, MissingError

if TYPE_CHECKING:
    from activations import Model

WHERE = ("dtype", "device")
"""What a step's other fields say of a model, and older configs say outside of it."""


def _device_in_keys(value: str | None, info: Any) -> str | None:
    """In keys, where a model runs by default is what it once was: no step depends on it."""
    return "cpu" if value is None and (info.context or {}).get("keys") else value


Device = Annotated[str | None, PlainSerializer(_device_in_keys)]
"""A device by its name, or None: the accelerator where there is one."""


class ModelConfig(Config):
    """A model and how it is loaded; a bare string is its name."""

    completes: ClassVar[bool] = True

    name: str = Field(min_length=1)
    """The base: `embedded`, `embedded/1`, a local folder, or a Hub id."""
    adapters: dict[str, Path] = Field(default_factory=dict)
    """Name -> folder or Hub id of each adapter that is loaded beside it."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of the weights."""
    device: Device = None
    """Where it runs: `cpu`, `cuda`, `cuda:1`, `mps`; the accelerator where there is one, if absent."""
    device_map: str | dict[str, int | str] | None = None
    """Instead of `device`: how accelerate spreads it over several devices, such as `auto`."""
    quantization: Literal["nf4"] | None = None
    """`nf4`: the weights of linear modules in 4 bits (bitsandbytes); `dtype` is what it computes in."""
    attention: Literal["auto", "sdpa", "eager"] = "auto"
    """`sdpa`, or `eager` for attention patterns; `auto` is sdpa, and eager for models that cap their
    attention scores (Gemma 2), since sdpa leaves the cap out.
    """
    revision: str | None = None
    """Revision of a Hub id, to pin it."""

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, data: Any) -> Any:
        if isinstance(data, str):
            return json.loads(data) if data.startswith("{") else {"name": data}
        return data

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if self.device is not None and self.device_map is not None:
            raise ValueError(
                f"device {self.device!r} and device_map {self.device_map!r}: give one of them, not both"
            )
        if "base" in self.adapters:
            raise ValueError("an adapter is named 'base', which means the model without any; rename it")
        return self

    @model_serializer(mode="wrap")
    def _short(self, handler: Any, info: Any) -> Any:
        """In keys: what is not default, and a bare string where that is the name alone."""
        values = handler(self)
        if not (info.context or {}).get("keys"):
            return values
        usual = {key: field.get_default(call_default_factory=True) for key, field in FIELDS.items()}
        kept = {k: v for k, v in values.items() if k not in WHERE and v != usual[k]}
        return self.name if set(kept) == {"name"} else kept

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> Any:
        """A bare name, or its fields; the name may be left out where a config has a default model."""
        found = handler(core_schema)
        fields = handler.resolve_ref_schema(found)
        spelled = {key: value for key, value in fields.items() if key != "required"}
        fields.clear()
        fields |= {"description": spelled.pop("description", ""), "anyOf": [{"type": "string"}, spelled]}
        return found

    def __str__(self) -> str:
        return self.name

    @property
    def text(self) -> str:
        """All of it as one string, as steps' arguments hold it: the bare name where nothing else is set."""
        short: Any = self.model_dump(mode="json", context={"keys": True})
        return short if isinstance(short, str) else json.dumps(short)

    def __hash__(self) -> int:
        return hash(self.name)

    @cached_property
    def attention_used(self) -> str:
        """The attention implementation for this model, which is located first.

        Raises:
            ModelError: sdpa for a model that it would compute wrongly.
        """
        if self.attention == "eager":
            return "eager"
        import activations
        from activations.errors import ModelError

        eager = needs_eager(activations.locate(self.name, revision=self.revision))
        if eager and self.attention == "sdpa":
            raise ModelError(
                f"model {self.name!r} caps its attention scores or knows no sdpa, and attention is 'sdpa'; "
                "set model.attention to eager, or to auto"
            )
        return "eager" if eager else "sdpa"


FIELDS = ModelConfig.model_fields

ModelLike = str | Path | ModelConfig
"""A model by its name or folder, or by its config."""


def as_config(model: ModelLike) -> ModelConfig:
    """The config of a model that may be given by its name, or by `ModelConfig.text`."""
    return model if isinstance(model, ModelConfig) else ModelConfig.model_validate(str(model))


def load(
    model: ModelLike,
    adapters: Mapping[str, Path] | None = None,
    *,
    dtype: str | None = None,
    device: str | None = None,
) -> Model:
    """Load a model with the adapters that its config names, and further ones.

    Args:
        model: config, or the name of a model whose other options are default.
        adapters: name -> folder, beside the config's own.
        dtype: instead of the config's.
        device: instead of the config's; ignored where a `device_map` places it.

    Raises:
        MissingError: an adapter folder that is not there. ModelError, AdapterError: what cannot be loaded.
    """
    import activations
    from mi_bsa.core.finetuned import check_adapters

    config = as_config(model)
    given = {**config.adapters, **(adapters or {})}
    for name, path in given.items():
        check_adapter(name, path)
    given = {name: adapter_folder(path) for name, path in given.items()}
    check_adapters(given.values())
    return activations.load(
        config.name,
        # a `Path` is a folder to the loader; what is none here and passed the check above is a Hub id
        adapter={name: path if path.is_dir() else str(path) for name, path in given.items()} or None,
        revision=config.revision,
        dtype=dtype or config.dtype,
        device=None if config.device_map is not None else device or config.device,
        device_map=config.device_map,
        quantization=config.quantization,
        attention=config.attention_used,
    )


def tokenizer_of(model: ModelLike) -> Any:
    """A model's tokenizer, without its weights. Raises `ModelError`."""
    from transformers import AutoTokenizer

    import activations
    from activations.errors import ModelError

    config = as_config(model)
    folder = activations.locate(config.name, revision=config.revision)
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers's and tokenizers's errors have no common base
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"model {config.name!r}: its tokenizer cannot be loaded ({reason}); copy the model again"
        ) from None


def on_cpu(device: str | None) -> bool:
    """Whether a device is the processor: by name, or because nothing else is here."""
    from activations import devices

    return devices.parse(device).type == "cpu"


def adapter_folder(path: Path) -> Path:
    """A folder as it is; of `zoo:NAME`, where it lies. Raises `MissingError` where it is not here."""
    if ":" not in str(path) or path.exists():
        return path
    from activations.locating import locate_adapter

    return locate_adapter("adapter", str(path))


def check_adapter(name: str, path: Path) -> None:
    """Refuse an adapter folder that is not there; `owner/name` is a Hub id unless `owner` is a folder here.

    Raises:
        MissingError: no such folder, or no such adapter of a zoo.
    """
    path = adapter_folder(path)
    hub = len(path.parts) == 2 and not path.is_absolute() and path.parts[0] not in (".", "..", "~")
    if not path.is_dir() and not (hub and not path.parent.exists()):
        raise MissingError(
            f"adapter {name!r}: the folder {str(path)!r} does not exist; train it with mi-bsa finetune or "
            "study, or mend the path"
        )


def needs_eager(folder: Path) -> bool:
    """Whether a model soft-caps its attention scores, which sdpa cannot, or its code has no sdpa at all."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    from activations import families
    from activations.errors import ModelError
    from mi_bsa.core.shape import config_in

    try:
        config = config_in(folder)
        family = families.of(config)
    except ModelError:  # who loads the model says what is wrong
        return False
    if family.caps_scores(config.get_text_config()):
        return True
    kind = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    return not getattr(kind, "_supports_sdpa", True)


def facts(model: Model) -> dict[str, str]:
    """What a record says of a model that was loaded: its weights, and how it ran."""
    return {
        "base": model.fingerprint,
        "base dtype": model.dtype,
        "base device": str(model.device),
        "base attention": model.attention,
    }


def settle(config: Config, models: str = "model", *parts: str) -> None:
    """Let a model's type and device be what the config's `parts` say, and theirs what it says.

    Args:
        config: a config that is being validated.
        models: its field with a model, a list of models, or None.
        parts: its fields with a `dtype` and a `device` that mean the model's; "" is the config itself.

    Raises:
        ValueError: two that are said and differ.
    """
    given = getattr(config, models)
    several = () if given is None else (given,) if isinstance(given, ModelConfig) else tuple(given)
    if any(model.adapters for model in several):
        raise ValueError(
            f"{models}.adapters: what is trained or searched here starts from a plain base; drop them"
        )
    holders = {f"{part}.".lstrip("."): getattr(config, part) if part else config for part in parts}
    for key in WHERE:
        said = {
            f"{prefix}{key}": getattr(h, key) for prefix, h in holders.items() if key in h.model_fields_set
        }
        said |= {f"{models}.{key}": getattr(m, key) for m in several if key in m.model_fields_set}
        for m in several:
            if key in m.model_fields_set and getattr(m, key) != said[f"{models}.{key}"]:
                raise ValueError(f"{models} differ in {key}; one study runs all of them alike, say it once")
        if len(set(said.values())) > 1:
            both = " and ".join(f"{where} is {value!r}" for where, value in said.items())
            raise ValueError(f"{both}, and they mean the same; say {models}.{key} alone")
        if not said:
            continue
        value = next(iter(said.values()))
        if value == "float16" and parts:
            raise ValueError(f"{next(iter(said))} is 'float16', in which nothing is trained; use bfloat16")
        several = tuple(m.model_copy(update={key: value}) for m in several)
        holders = {
            prefix: h if h is config else h.model_copy(update={key: value}) for prefix, h in holders.items()
        }
        if any(h is config for h in holders.values()):
            _set(config, key, value)
    if given is not None:
        _set(config, models, several[0] if isinstance(given, ModelConfig) else several)
    for part in filter(None, parts):
        _set(config, part, holders[f"{part}."])


def moved(data: Any, keys: Mapping[str, str], default: str | None = None) -> Any:
    """Plain data of a config, in which what stood beside the model (old key -> its key now) stands in it.

    Raises:
        ConfigError: one that is said in both places and differs.
    """
    if not isinstance(data, Mapping) or not any(old in data for old in keys):
        return data
    rest = {key: value for key, value in data.items() if key not in keys}
    model = rest.get("model", default)
    if isinstance(model, ModelConfig):
        model = {key: getattr(model, key) for key in model.model_fields_set}
    into: dict[str, Any] = (
        dict(model) if isinstance(model, Mapping) else {} if model is None else {"name": model}
    )
    for old, new in keys.items():
        value = data.get(old)
        if value is None:
            continue
        if into.setdefault(new, value) != value:
            raise ConfigError(
                f"{old} is {value!r} and model.{new} is {into[new]!r}, and they mean the same; say "
                f"model.{new} alone"
            )
    return {**rest, "model": into}


def _set(config: Config, field: str, value: Any) -> None:
    object.__setattr__(config, field, value)  # a config is frozen for everybody but its own validators
