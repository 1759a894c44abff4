"""Flags from configs: every field can be said on the command line, and means what the file means."""

from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner

from mi_bsa.cli.command import cli
from mi_bsa.cli.flags import parts_of
from mi_bsa.cli.options import LOADED, config_options
from mi_bsa.core.config import Config
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.model_config import ModelConfig


class Part(Config):
    """A part of a config."""

    steps: int = 3
    """Steps."""


class Whole(Config):
    """A field of every kind."""

    name: str
    """A word."""
    count: int = 4
    """A whole number."""
    share: float = 0.5
    """A number."""
    place: Path | None = None
    """A path."""
    pick: Literal["a", "b"] = "a"
    """One of two."""
    active: bool = True
    """Whether."""
    maybe: bool | None = None
    """Whether, if known."""
    mixed: bool | str = False
    """True, or a word."""
    numbers: tuple[int, ...] = (1, 2)
    """Numbers."""
    words: list[str] | None = None
    """Words."""
    lines: tuple[str, ...] = ()
    """Words with commas."""
    paths: tuple[Path, ...] = ()
    """Paths."""
    named: dict[str, Path] = {}
    """Names and paths."""
    many: dict[str, tuple[str, ...]] = {}
    """Names and words."""
    part: Part = Part()
    """A part."""


def read(tmp_path: Path, *words: str, file: str | None = None) -> Whole:
    """The config that a command line gives."""
    found: list[Whole] = []

    @click.command()
    @config_options(
        Whole, names={"lines": "--line"}, parts=("part.steps",), bare={"named": "one"}, whole=("lines",)
    )
    def command(settings: Whole) -> None:
        found.append(settings)

    given = list(words)
    if file is not None:
        (tmp_path / "c.yaml").write_text(file)
        given = [str(tmp_path / "c.yaml"), *given]
    done = CliRunner().invoke(command, given, standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return found[0]


SAID: dict[str, tuple[list[str], dict[str, Any]]] = {
    "word": (["--name", "0.10"], {"name": "0.10"}),
    "numbers": (["--count", "7", "--share", "1e-3"], {"count": 7, "share": 1e-3}),
    "path and choice": (["--place", "a,b", "--pick", "b"], {"place": "a,b", "pick": "b"}),
    "switches": (["--no-active", "--maybe", "no"], {"active": False, "maybe": False}),
    "mixed": (["--mixed", "true"], {"mixed": True}),
    "mixed word": (["--mixed", "local"], {"mixed": "local"}),
    "lists": (["--numbers", "-3,4", "--numbers", "5"], {"numbers": [-3, 4, 5]}),
    "words": (["--words", "x, y"], {"words": ["x", "y"]}),
    "whole": (["--line", "a, b", "--lines", "c"], {"lines": ["a, b", "c"]}),
    "paths": (["--paths", "a,b", "--paths", "c"], {"paths": ["a,b", "c"]}),
    "names": (["--named", "x", "--named", "k=y"], {"named": {"one": "x", "k": "y"}}),
    "many": (["--many", "k=a", "--many", "k=b=c"], {"many": {"k": ["a", "b=c"]}}),
    "part": (["--steps", "9"], {"part": {"steps": 9}}),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(SAID))
def test_a_flag_says_what_a_file_says(kind: str, tmp_path: Path):
    """Each kind of field, over a file that says something else; `--set` wins over both."""
    words, said = SAID[kind]
    assert read(tmp_path, *words, file="{name: n, count: 5}") == Whole.model_validate(
        {"name": "n", "count": 5} | said
    )
    assert read(tmp_path, *words, "--set", "count=6", file="{name: n}").count == 6


def test_what_is_not_given_stands(tmp_path: Path):
    """A flag that is left out neither sets its default nor hides the file's value."""
    assert read(tmp_path, file="{name: n, active: false, numbers: [9]}") == Whole(
        name="n", active=False, numbers=(9,)
    )


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ([], "name it by --name"),
        (["--count", "x"], "not a whole number"),
        (["--numbers", "1,x"], "write them as"),
        (["--many", "x"], "NAME=VALUE"),
        (["--pick", "c"], "'a', 'b'"),
    ],
)
def test_a_mistake_says_how_to_write_it(words: list[str], remedy: str, tmp_path: Path):
    """The flag or the form stands in the message."""
    given = words if not words else ["--name", "n", *words]
    with pytest.raises((ConfigError, click.UsageError)) as caught:
        read(tmp_path, *given)
    assert remedy in str(caught.value)


def configured(command: click.Command, name: str) -> list[tuple[str, click.Command]]:
    """Every command that is made from a config, by what is typed."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        inner = [(one, command.get_command(context, one)) for one in command.list_commands(context)]
        return [found for one, sub in inner if sub for found in configured(sub, f"{name} {one}".strip())]
    return [(name, command)] if hasattr(command.callback, "config") else []


def test_every_field_of_every_command_has_a_flag():
    """With the field's own name and docstring, but for parts, the model's own, and which study it is."""
    found = configured(cli, "")
    assert len(found) >= 16
    for typed, command in found:
        kind = command.callback.config  # type: ignore[union-attr]
        options = {option.name: option for option in command.params}
        modeled = any(field.annotation is ModelConfig for field in kind.model_fields.values())
        for name, field in kind.model_fields.items():
            if name in parts_of(kind) or name == "study" or (modeled and name in (*LOADED, "dtype")):
                continue
            option = options[name]
            if isinstance(option, click.Option) and field.annotation is not ModelConfig:
                assert "--" + name.replace("_", "-") in option.opts, (typed, name)
                assert (option.help or "").startswith(" ".join((field.description or "").split())), (
                    typed,
                    name,
                )
