"""Options that every command shares, so that they are spelled and explained once."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from mi_bsa.core.config import ConfigT, override, parse, read_yaml
from mi_bsa.core.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])


def config_argument(command: Command) -> Command:
    """The positional CONFIG; `mi_bsa.core.config` judges whether it exists, and names a neighbor."""
    return click.argument("config", type=click.Path(path_type=Path))(command)


def run_options(command: Command) -> Command:
    """`--set` (parameter `overrides`), `--out`, `--resume` and `--dry-run`, for what writes a run."""
    for option in (
        click.option(
            "--dry-run", is_flag=True, help="Show what would run, how long and how large; run nothing."
        ),
        click.option(
            "--resume", is_flag=True, help="Continue in an existing --out; run only what is missing."
        ),
        click.option(
            "--out", type=click.Path(path_type=Path), required=True, help="The folder to write; new."
        ),
        set_option,
    ):
        command = option(command)
    return command


def set_option(command: Command) -> Command:
    """`--set key.path=value`, repeatable; parameter `overrides`."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY.PATH=VALUE",
        help="Set any config field; the value is read as YAML. Repeatable.",
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


def model_options(*, adapters: bool = False, short_dtype: bool = True) -> Callable[[Command], Command]:
    """The flags that say which model and how it is loaded; `settings_of` reads them.

    Args:
        adapters: whether the command takes `--adapter`.
        short_dtype: whether `--dtype` means the model's; not where a command stores numbers in a type of
            its own.
    """
    dtype = ("--model-dtype", "--dtype") if short_dtype else ("--model-dtype",)
    options = [
        click.option("--model", default=None, help="The base: embedded, embedded/1, a folder or a Hub id."),
        click.option("--revision", default=None, help="Revision of a Hub id, to pin it."),
        click.option(
            *dtype, "model_dtype", default=None, help="Type of the weights: float32, bfloat16, float16."
        ),
        click.option("--device", default=None, help="cpu, cuda, ...; the accelerator where there is one."),
        click.option("--device-map", default=None, help="Spread over devices instead, by accelerate: auto."),
        click.option("--quantization", default=None, help="nf4: weights in 4 bits (bitsandbytes)."),
        click.option("--attention", default=None, help="sdpa, or eager (patterns, Gemma 2); auto chooses."),
    ]
    if adapters:
        options.insert(
            1,
            click.option(
                "--adapter",
                multiple=True,
                metavar="PATH | NAME=PATH",
                help="A LoRA's folder or Hub id; repeatable with names.",
            ),
        )

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def settings_of(
    kind: type[ConfigT],
    config: Path | None,
    flags: Mapping[str, Any],
    overrides: Sequence[str],
    *,
    changes: Sequence[str] = (),
) -> ConfigT:
    """A command's config: the file, then the flags that were given, then `--set`.

    Args:
        kind: the config's class.
        config: the YAML file, if one was given.
        flags: by parameter; those of `MODEL_FLAGS` are the model's, the others fields of the config. None and
            () were not given.
        overrides: what `--set` said.
        changes: further `key.path=value` that flags mean.

    Raises:
        ConfigError: what breaks the config's rules.
    """
    data: dict[str, Any] = read_yaml(config) if config is not None else {}
    given = {key: value for key, value in flags.items() if value not in (None, ())}
    said = {MODEL_FLAGS[key]: given.pop(key) for key in MODEL_FLAGS if key in given}
    data |= given
    if "name" in said:
        model = data.get("model")
        data["model"] = {**model, "name": said["name"]} if isinstance(model, Mapping) else said["name"]
    if "adapters" in said:
        said["adapters"] = adapters_by_name(said["adapters"])
    for key, value in said.items():
        if key != "name":
            data = override(data, [f"model.{key}={_yaml(value)}"], same=kind.same)
    data = override(data, changes, same=kind.same)
    return parse(data, kind, overrides=overrides, source=str(config or "flags"))


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
    """A value as `--set` reads it."""
    return json.dumps(value)
