"""Configs: frozen pydantic models that live beside the code they configure.

The law they keep: a config says all that a run depends on. Unknown keys are refused with the nearest known
name, every field carries its docstring, and the resolved config, defaults included, is what a run records.
"""

import difflib
import importlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from mi_bsa.core import builtin
from mi_bsa.core.errors import ConfigError, MissingError, RenamedKeyWarning
from mi_bsa.core.plain_files import parse_yaml, read_yaml_value

SHOWN = 120
"""Characters of a wrong value that a message shows."""


class Config(BaseModel):
    """Base of every config: frozen, unknown keys refused, a docstring under a field is its description."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,  # no field means anything at infinity, and no record can keep it
        protected_namespaces=(),
    )

    same: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("model.dtype", "finetune.dtype"),
        ("model.device", "finetune.device"),
    )
    """Dotted keys that say the same: what `--set` says of one wins over what a file says of the others."""

    renamed: ClassVar[Mapping[str, str]] = {}
    """Keys of before -> what they are called now. An old one is read for one release, and said."""

    completes: ClassVar[bool] = False
    """Whether a part of this kind may leave out what it must have where the field has a default: which model,
    where only its dtype is set. Elsewhere a default of one field is no default of another.
    """

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            data = _renamed(data, cls.renamed)
            for key in data:
                if key not in cls.model_fields:
                    raise PydanticCustomError(
                        "unknown_key", "{hint}", {"hint": _hint(key, list(cls.model_fields))}
                    )
            return {key: _completed(value, cls.model_fields[key].default) for key, value in data.items()}
        return data

    def dump(self) -> dict[str, Any]:
        """The resolved config, defaults included, as plain JSON-like values."""
        return self.model_dump(mode="json")

    def keyed(self) -> dict[str, Any]:
        """The same as it counts in keys and identities, which stay what they were when a config's fields
        change their shape: a run folder of an older version is continued, not made again.
        """
        return self.model_dump(mode="json", context={"keys": True})

    def to_yaml(self) -> str:
        """The resolved config as YAML, fields in the order of their definition."""
        return yaml.safe_dump(self.dump(), sort_keys=False, allow_unicode=True)


ConfigT = TypeVar("ConfigT", bound=Config)


def schema(*kinds: type[Config]) -> dict[str, Any]:
    """The JSON schema (2020-12) of a config, or of any of several: names as they are now, with docstrings."""
    from pydantic.json_schema import models_json_schema

    if len(kinds) == 1:
        found = kinds[0].model_json_schema()
    else:
        refs, found = models_json_schema([(kind, "validation") for kind in kinds])
        found["anyOf"] = [refs[kind, "validation"] for kind in kinds]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _renamed(data: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    for old in sorted(names.keys() & data.keys()):
        new = names[old]
        if new in data:
            raise PydanticCustomError(
                "renamed_key", "{hint}", {"hint": f"{old} is called {new} now; both are given: keep {new}"}
            )
        said = f"config key {old!r} is called {new!r} now; the old name is read until the next release"
        warnings.warn(said, RenamedKeyWarning, stacklevel=2)
        data = {new if key == old else key: value for key, value in data.items()}
    return data


def load(path: str | Path, kind: type[ConfigT], *, overrides: Sequence[str] = ()) -> ConfigT:
    """Read a YAML config, apply `--set` overrides and validate.

    Args:
        path: the YAML file, or the name of a built-in config.
        kind: the config model.
        overrides: `key.path=value` strings; the value is read as YAML.

    Raises:
        MissingError: no such file.
        ConfigError: not YAML, not a mapping, an unknown key or a value that breaks a rule.
    """
    return parse(read_config(path), kind, overrides=overrides, source=str(path))


def imported(reference: str) -> Any:
    """What `module:name` refers to; the module is imported now."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def deferred(reference: str) -> Callable[..., Any]:
    """A function `module:name` that is imported when it is called, for what needs a framework."""
    return lambda *given, **named: imported(reference)(*given, **named)


def parse(
    data: Mapping[str, Any], kind: type[ConfigT], *, overrides: Sequence[str] = (), source: str = "config"
) -> ConfigT:
    """Validate plain data as a config; `source` begins the message of an error."""
    given = override(data, overrides, same=kind.same)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        if (other := _another_study(given, kind)) is not None:
            raise ConfigError(
                f"{source}: the config of a study of kind {other!r}, which this command does not read; run "
                "`mi-bsa study` with it, or give a config of this command"
            ) from error
        raise ConfigError(f"{source}: {explain(error)}") from error


def _another_study(data: Mapping[str, Any], kind: type[Config]) -> str | None:
    """The kind of study that data say they are of, where a config of `kind` is of none, or of another."""
    said, field = data.get("study"), kind.model_fields.get("study")
    if not isinstance(said, str) or (field is not None and said in get_args(field.annotation)):
        return None
    return said if field is None or get_args(field.annotation) else None


def read_config(path: str | Path) -> dict[str, Any]:
    """What a config file says, or a built-in config by its name. Raises as `load`."""
    found = builtin.located(path)
    said: dict[str, Any] = builtin.anchored(read_yaml(found), found)
    return said


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML mapping from a file; duplicate keys are refused, and `3e-3` is a number."""
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"{path}: no such file; check the path")
    data = read_yaml_value(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a config is a mapping of keys to values, not {type(data).__name__}")
    return data


def override(
    data: Mapping[str, Any], overrides: Sequence[str], *, same: Sequence[Sequence[str]] = ()
) -> dict[str, Any]:
    """A copy of `data` with each `key.path=value` set; list items are reached by their index. `same`: groups
    of dotted keys that say the same, of which only the one that is set stays.
    """
    result: dict[str, Any] = _copied(data)
    for text in overrides:
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise ConfigError(
                f"--set {text!r}: write it as key.path=value, for example --set finetune.rank=4"
            )
        try:
            parsed = parse_yaml(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {text!r}: the value is not valid YAML; quote it") from error
        for other in (key for group in same if path.strip() in group for key in group):
            _drop(result, other.split("."))
        _assign(result, path.strip().split("."), parsed, text)
    return result


def explain(error: ValidationError) -> str:
    """A pydantic error as one line: the first problem by its dotted key, and how many more there are."""
    problems = error.errors(include_url=False, include_context=False)
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "path_type":
        message = "Input is no path of a file or folder"
    if first["type"] not in ("unknown_key", "missing") and not isinstance(first["input"], Mapping):
        message = f"{message} (given: {shortened(first['input'])})"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{where}: {message}{more}" if where else f"{message}{more}"


def shortened(value: object) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _assign(data: dict[str, Any], parts: list[str], value: Any, text: str) -> None:
    target: Any = data
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        if isinstance(target, list):
            if parts[:depth] == ["model"] and not part.isdigit():  # bases: what is said of all of them
                for k in range(len(target)):
                    _assign(data, ["model", str(k), *parts[depth:]], value, text)
                return
            if not part.isdigit() or int(part) >= len(target):
                raise ConfigError(f"--set {text!r}: {part!r} is not an index of a list of {len(target)}")
            key: Any = int(part)
        elif isinstance(target, dict):
            key = part
        else:
            raise ConfigError(
                f"--set {text!r}: {'.'.join(parts[:depth])} is a value and has no field {part!r}"
            )
        if last:
            target[key] = value
        else:
            if isinstance(target, dict):
                target.setdefault(key, {})
            if isinstance(target[key], str) and {"model", "models"} & set(parts[: depth + 1]):
                target[key] = {"name": target[key]}  # a model that is given by its bare name
            target = target[key]


def _drop(data: Any, parts: list[str]) -> None:
    for part in parts[:-1]:
        data = data.get(part) if isinstance(data, dict) else None
    if isinstance(data, dict):
        data.pop(parts[-1], None)


def _completed(value: Any, default: Any) -> Any:
    """A part that `completes` and lacks what it must have, with that taken from the default."""
    if not isinstance(value, Mapping) or not isinstance(default, Config) or not default.completes:
        return value
    must = [key for key, field in type(default).model_fields.items() if field.is_required()]
    return {key: getattr(default, key) for key in must if key not in value} | dict(value)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _hint(key: object, known: list[str]) -> str:
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
    if near:
        return f"unknown key {key!r}; did you mean {near[0]!r}?"
    return f"unknown key {key!r}; known keys: {', '.join(known)}"
