"""A command's options, made from the config that it takes: `config_options`, and what commands share.

The law: a command repeats no field of its config. The config file says first, then the flags that were given,
then `--set`.
"""

import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from mi_bsa.cli import completing, flags
from mi_bsa.core import builtin
from mi_bsa.core.config import ConfigT, override, parse, read_config
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.model_config import ModelConfig

Command = TypeVar("Command", bound=Callable[..., Any])


def config_options(
    kind: type[ConfigT],
    *,
    positional: str | None = None,
    names: Mapping[str, str] | None = None,
    parts: Sequence[str] = (),
    bare: Mapping[str, str] | None = None,
    whole: Collection[str] = (),
    skip: Collection[str] = (),
    adapters: bool = False,
    file_flag: bool = False,
    tell_file: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a function of a config, so that a command line gives it: CONFIG, a flag a field, `--set`.

    Args:
        kind: the config's class; its object is the function's first argument, what other options say are
            keywords.
        positional: the field that stands without a flag; the file is then given by `--config`.
        names: field -> the name that its flag goes by as well.
        parts: fields of parts that have a flag of their own name, such as `finetune.steps`.
        bare: field of names and values -> the name of a value that is given without one.
        whole: fields of several values in which a comma separates nothing: the flag is repeated.
        skip: fields without a flag.
        adapters: whether `--adapter` says the model's adapters.
        file_flag: whether the file is given by `--config` where nothing is positional.
        tell_file: whether the function is told the file, as `config`; None where none was given.
    """
    names, bare = names or {}, bare or {}
    models = [name for name, field in kind.model_fields.items() if field.annotation is ModelConfig]
    stored = bool(models) and "dtype" in kind.model_fields and "dtype" not in skip
    beside = {"study", *models, *skip, *(LOADED if models else ())}
    options: list[click.Option] = []
    fields: list[str] = []
    for name, field in kind.model_fields.items():
        more = (names[name],) if name in names else ()
        made = flags.flag(name, field, *more, whole=name in whole, bare=bare.get(name))
        if made is not None and name not in beside:
            fields.append(name)
            if name != positional:
                options.append(made)
    for key in parts:
        part, _, name = key.partition(".")
        inner: Any = flags.plain(kind.model_fields[part].annotation)[0]
        made = flags.flag(name, inner.model_fields[name], whole=False, bare=None)
        assert made is not None
        options.append(made)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(config: Path | None, overrides: Sequence[str], **given: Any) -> Any:
            said = {
                name: flags.value_of(name, kind.model_fields[name], given.pop(name), bare=bare.get(name))
                for name in fields
            }
            said |= {name: given.pop(name) for name in MODEL_FLAGS if models and name in given}
            put = {key: given.pop(key.rpartition(".")[2]) for key in parts}
            changes = [f"{key}={_yaml(value)}" for key, value in put.items() if value is not None]
            settings = settings_of(kind, config, said, overrides, changes=changes, positional=positional)
            if tell_file:
                given["config"] = config
            return function(settings, **given)

        command.config = kind  # type: ignore[attr-defined]
        wrapped: Callable[..., Any] = set_option(command, parts=flags.parts_of(kind))
        wrapped.__dict__["__click_params__"] += reversed(options)  # as click's own decorators leave them
        if models:
            wrapped = model_options(adapters=adapters, short_dtype=not stored)(wrapped)
        if positional is None and not file_flag:
            return click.argument("config", type=ConfigFile(), required=False)(wrapped)
        wrapped = click.option(
            "--config", type=ConfigFile(), default=None, help="YAML config; flags win over it."
        )(wrapped)
        if positional is None:
            return wrapped
        field = kind.model_fields[positional]
        shown = positional.upper()
        shape: dict[str, Any] = {"required": True, "metavar": shown}
        if flags.is_list(field):
            shape = {"nargs": -1, "metavar": f"{shown.removesuffix('S')}..."}
        elif not field.is_required():
            shape = {"required": False, "metavar": f"[{shown}]"}
        return click.argument(positional, **shape)(wrapped)

    return decorate


def out_option(command: Command) -> Command:
    """`--out`, for what always writes."""
    return click.option(
        "--out", type=click.Path(path_type=Path), required=True, help="The folder to write; new."
    )(command)


def resume_option(command: Command) -> Command:
    """`--resume`, for what goes on where it ended."""
    return click.option(
        "--resume", is_flag=True, help="Continue in an existing --out; run only what is missing."
    )(command)


class ConfigFile(click.ParamType[Path]):
    """A config: a file, or a built-in one by its name; names a neighbor where it is neither."""

    name = "config"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The file that is meant."""
        return builtin.located(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Built-in names, and files."""
        known = [CompletionItem(name) for name in builtin.names() if name.startswith(incomplete)]
        return [*known, CompletionItem(incomplete, type="file")]


def config_argument(command: Command) -> Command:
    """The positional CONFIG."""
    return click.argument("config", type=ConfigFile())(command)


def run_options(command: Command) -> Command:
    """`--out`, `--resume` and `--dry-run`, for what writes a run."""
    for option in (dry_run_option, resume_option, out_option):
        command = option(command)
    return command


def study_options(command: Command) -> Command:
    """The same for what also registers one, for which it needs no `--out`."""
    for option in (dry_run_option, resume_option, study_out_option):
        command = option(command)
    return command


def dry_run_option(command: Command) -> Command:
    """`--dry-run`, for what says what it would do."""
    return click.option(
        "--dry-run", is_flag=True, help="Show what would run, how long and how large; run nothing."
    )(command)


def study_out_option(command: Command) -> Command:
    """`--out`, for what finds a folder where none is given."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        help="The folder to write; new.  [default: runs/NAME of the config, or the next free runs/NAME-2]",
    )(command)


def set_option(command: Command, *, parts: Sequence[str] = ()) -> Command:
    """`--set key.path=value`, repeatable; parameter `overrides`. `parts`: fields that no flag says."""
    also = f", also of {', '.join(f'{part}.*' for part in parts)}" if parts else ""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY.PATH=VALUE",
        help=f"Set any config field{also}; the value is read as YAML. Repeatable.",
    )(command)


MODEL_FLAGS = {
    "model": "name",
    "adapter": "adapters",
    "model_dtype": "dtype",
    "device": "device",
    "device_map": "device_map",
    "quantization": "quantization",
    "attention": "attention",
    "revision": "revision",
}
"""Parameter of a command -> what it says of the model."""
LOADED = ("device", "device_map", "quantization", "attention", "revision")
"""Fields of a config with a model that mean the model's: its flags say them."""


def model_options(*, adapters: bool = False, short_dtype: bool = True) -> Callable[[Command], Command]:
    """The flags that say which model and how it is loaded; `settings_of` reads them.

    Args:
        adapters: whether the command takes `--adapter`.
        short_dtype: whether `--dtype` means the model's; not where a command stores numbers in a type of
            its own.
    """
    fields = ModelConfig.model_fields
    named = fields["name"].description
    options = [click.Option(["--model"], help=named, shell_complete=completing.models)]
    if adapters:
        told = fields["adapters"].description
        options.append(click.Option(["--adapter"], multiple=True, metavar="PATH | NAME=PATH", help=told))
    for name, key in MODEL_FLAGS.items():
        if key not in ("name", "adapters"):
            more = ("--dtype",) if key == "dtype" and short_dtype else ()
            options += filter(None, [flags.flag(name, fields[key], *more, whole=False, bare=None)])

    def decorate(command: Command) -> Command:
        command.__dict__.setdefault("__click_params__", []).extend(reversed(options))
        return command

    return decorate


def settings_of(
    kind: type[ConfigT],
    config: Path | None,
    given: Mapping[str, Any],
    overrides: Sequence[str],
    *,
    changes: Sequence[str] = (),
    positional: str | None = None,
) -> ConfigT:
    """A command's config: the file, then the flags that were given, then `--set`.

    Args:
        kind: the config's class.
        config: the YAML file, if one was given.
        given: by parameter; those of `MODEL_FLAGS` are the model's, the others fields of the config. None and
            () were not given.
        overrides: what `--set` said.
        changes: further `key.path=value` that flags mean.
        positional: the field that is given without a flag.

    Raises:
        ConfigError: what breaks the config's rules.
    """
    data: dict[str, Any] = read_config(config) if config is not None else {}
    rest = {key: value for key, value in given.items() if value not in (None, ())}
    said = {key: rest.pop(key) for key in MODEL_FLAGS if key in rest}
    data |= rest
    data = override(data, [*model_changes(data, said), *changes], same=kind.same)
    flags.missing(kind, data, overrides, positional)
    return parse(data, kind, overrides=overrides, source=str(config or "flags"))


def model_changes(data: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """What flags of `MODEL_FLAGS` say of a config's model, as `--set` would say it.

    Args:
        data: the config. A list of models (bases) becomes the one that `--model` names.
        given: by parameter; None and () were not given.
    """
    said = {MODEL_FLAGS[key]: value for key, value in given.items() if value not in (None, ())}
    if "adapters" in said:
        said["adapters"] = adapters_by_name(said["adapters"])
    changes = [f"model.{key}={_yaml(value)}" for key, value in said.items() if key != "name"]
    if "name" in said:
        named = "model.name" if isinstance(data.get("model"), Mapping) else "model"
        changes.insert(0, f"{named}={_yaml(said['name'])}")
    return changes


def adapters_by_name(given: Sequence[str]) -> dict[str, str]:
    """`--adapter PATH` (its name is `adapter`), or `--adapter NAME=PATH` for each of several.

    Raises:
        ConfigError: several of which one has no name, or two have the same.
    """
    if len(given) == 1 and "=" not in given[0]:
        return {"adapter": given[0]}
    named = dict(item.split("=", 1) for item in given if "=" in item)
    if len(named) != len(given):
        raise ConfigError(
            f"--adapter {' '.join(given)}: several adapters need different names; write --adapter name=path "
            "for each"
        )
    return named


def _yaml(value: Any) -> str:
    return json.dumps(value)
