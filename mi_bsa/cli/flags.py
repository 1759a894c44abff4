"""A config's fields as flags: what one field is called on the command line, what it reads, what help says.

The law: a flag's name is its field's, its help the field's docstring, its default the field's. A flag that
was not given says nothing, so that the file's value stands; what was given is judged by the config alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mi_bsa.cli import completing
from mi_bsa.core.config import Config
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.core.plain_files import parse_yaml

PLAIN: Mapping[Any, str] = {int: "INTEGER", float: "FLOAT", str: "TEXT", Path: "PATH"}
"""Types whose values are one word, and how help shows them."""


ALIKE = {"adapters": "--adapter"}
"""Fields whose flag is called as other commands call it; the field's own name does too."""


COMPLETED = {"behavior": completing.behaviors, "behaviors": completing.behaviors}
"""Fields whose names a shell completes; where a field is a model, models are."""


class Word(click.ParamType[Any]):
    """One value of a field, as what its type wants."""

    def __init__(self, kind: Any) -> None:
        self.kind, self.name = kind, PLAIN.get(kind, "VALUE")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A number where the field is one; what is of several types is read as YAML, as `--set` does."""
        if not isinstance(value, str) or self.kind in (str, Path):
            return value
        if self.kind not in PLAIN:
            return parse_yaml(value)
        try:
            return self.kind(value)
        except ValueError:
            self.fail(f"{value!r} is not {'a whole number' if self.kind is int else 'a number'}", param, ctx)


class Several(click.ParamType[list[str]]):
    """Values of a list, separated by commas unless each is `whole`."""

    def __init__(self, kind: Any, *, whole: bool) -> None:
        self.number, self.whole = kind in (int, float), whole
        told = _metavar(kind)
        self.name = told if whole or told.startswith("[") else f"{told},..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """The values; numbers are looked at here, so that the message says how a list is written."""
        if not isinstance(value, str):
            return list(value)
        parts = [value] if self.whole else [part.strip() for part in value.split(",") if part.strip()]
        for part in parts if self.number else ():
            try:
                float(part)
            except ValueError:
                self.fail(f"{value!r} are no numbers; write them as 0,1,2", param, ctx)
        return parts


def flag(name: str, field: FieldInfo, *further: str, whole: bool, bare: str | None) -> click.Option | None:
    """The option of one field; None for a part of a config, which `--set` reaches.

    Args:
        name: the field's.
        field: its type, docstring and default.
        further: other names of the flag, such as the one that it had before.
        whole: a list's values may hold commas; the flag is then repeated.
        bare: of a mapping: the key of a value that is given without one.
    """
    kind, absent = plain(field.annotation)
    spelled = "--" + name.replace("_", "-")
    told: dict[str, Any] = {"default": None, "help": _help(field, kind)}
    if name in COMPLETED or kind is ModelConfig:
        told["shell_complete"] = COMPLETED.get(name, completing.models)
    names = (*dict.fromkeys((ALIKE.get(name, spelled), spelled, *further)), name)
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not ModelConfig:
        return None
    if kind is bool and not absent:
        return click.Option([f"{spelled}/--no-{spelled[2:]}", name], **told)
    if kind is bool:
        return click.Option(names, type=click.BOOL, metavar="[yes|no]", **told)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return click.Option(names, type=click.Choice([str(choice) for choice in inner]), **told)
    if origin is dict:
        shown = f"[NAME=]{_metavar(inner[1])}" if bare else f"NAME={_metavar(inner[1])}"
        return click.Option(names, multiple=True, metavar=shown, **told)
    if origin in (tuple, list):
        several = Several(inner[0], whole=whole or inner[0] is Path)
        return click.Option(names, multiple=True, type=several, metavar=several.name, **told)
    return click.Option(names, type=Word(str if kind is ModelConfig else kind), **told)


def value_of(name: str, field: FieldInfo, given: Any, *, bare: str | None) -> Any:
    """What an option of a field gave, as the field's value; None where it was not given.

    Raises:
        ConfigError: a value of a mapping without its name.
    """
    if given is None or given == ():
        return None
    kind, _ = plain(field.annotation)
    origin = get_origin(kind)
    if origin in (tuple, list):
        return [value_given for part in given for value_given in (part if isinstance(part, list) else [part])]
    if origin is not dict:
        return given
    many = get_origin(get_args(kind)[1]) in (tuple, list)
    values: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals and bare is not None:
            key, value, equals = bare, text, "="
        if not equals or not key.strip():
            raise ConfigError(f"--{name.replace('_', '-')} {text!r}: write it as NAME=VALUE")
        values[key.strip()] = [*values.get(key.strip(), []), value] if many else value
    return values


def parts_of(kind: type[Config]) -> list[str]:
    """The fields of a config that are configs of their own and have no flag."""
    parts = []
    for name, field in kind.model_fields.items():
        part, _ = plain(field.annotation)
        if isinstance(part, type) and issubclass(part, BaseModel) and part is not ModelConfig:
            parts.append(name)
    return parts


def is_list(field: FieldInfo) -> bool:
    """Whether a field holds several values."""
    return get_origin(plain(field.annotation)[0]) in (tuple, list)


def missing(
    kind: type[Config], data: Mapping[str, Any], overrides: Sequence[str], positional: str | None
) -> None:
    """Refuse data without what a config must have and a flag could have given.

    Raises:
        ConfigError: names the flags.
    """
    said = {text.partition("=")[0].partition(".")[0].strip() for text in overrides}
    if not data.keys() <= kind.model_fields.keys():
        return  # a mistyped key may be what is missing, and is told with the nearest name
    parts = parts_of(kind)
    absent = [
        name
        for name, field in kind.model_fields.items()
        if field.is_required() and name not in (*data, *said)
    ]
    if absent:
        how = (
            n.upper()
            if n == positional
            else f"--set {n}.KEY=VALUE"
            if n in parts
            else "--" + n.replace("_", "-")
            for n in absent
        )
        raise ConfigError(
            f"no {' and no '.join(absent)} was given: name it by {' and '.join(how)}, or in a config"
        )


def plain(annotation: Any) -> tuple[Any, bool]:
    """A field's type without None, and whether None was one of them."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation, False
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    return (kinds[0] if len(kinds) == 1 else annotation), len(kinds) < len(get_args(annotation))


def _metavar(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"[{'|'.join(map(str, get_args(kind)))}]"
    if get_origin(kind) in (tuple, list):
        return _metavar(get_args(kind)[0])
    return PLAIN.get(kind, "VALUE")


def _help(field: FieldInfo, kind: Any) -> str:
    said = " ".join((field.description or "").split())
    if field.is_required():
        return f"{said}  [required]"
    default = field.get_default(call_default_factory=True)
    if default is None or default is False or default in ((), [], {}, "") or isinstance(default, ModelConfig):
        return said
    if isinstance(default, tuple | list):
        default = ",".join(f"{item:g}" if isinstance(item, float) else str(item) for item in default)
    return f"{said}  [default: {'yes' if default is True else default}]"
