"""`mi-bsa config`: the configs that come with the toolkit, and what a config may say, as a JSON schema."""

import difflib
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import click

from mi_bsa.cli.options import ConfigFile, set_option

MOST = 90
"""Characters of a config's first words that a list shows."""


@click.group()
def config() -> None:
    """Configs that come with the toolkit, by name, and the schema of any kind of config."""


@config.command(name="list")
@click.argument("part", default="")
def list_configs(part: str) -> None:
    """Show the built-in configs: what runs each, and its first words. PART of a name shows those alone.

    A name stands wherever a config does: `mi-bsa study embedded/risk_short`.
    """
    from mi_bsa.core import builtin

    found = [name for name in builtin.names() if part in name]
    if not found:
        near = difflib.get_close_matches(part, builtin.names(), n=1)
        remedy = f"did you mean {near[0]!r}?" if near else "give none to see all"
        raise click.UsageError(f"no built-in config's name holds {part!r}; {remedy}")
    rows = []
    for name in found:
        text = (builtin.folder() / f"{name}.yaml").read_text(encoding="utf-8")
        rows.append((name, _command_of(text, name), _first_words(text)))
    wide = [max(len(row[k]) for row in rows) for k in (0, 1)]
    for name, runs, first in rows:
        click.echo(f"{name:{wide[0]}}  {runs:{wide[1]}}  {first}".rstrip())


@config.command()
@click.argument("config", type=ConfigFile())
@click.option("--resolved", is_flag=True, help="As a study runs it: defaults and --set filled in.")
@set_option
def show(config: Path, resolved: bool, overrides: tuple[str, ...]) -> None:
    """Print a config, comments included, or a study's with all its defaults."""
    if overrides and not resolved:
        raise click.UsageError("--set changes what --resolved shows; give it too")
    if not resolved:
        click.echo(config.read_text(encoding="utf-8"), nl=False)
        return
    from mi_bsa.study.registry import load_study

    click.echo(load_study(config, overrides=overrides).to_yaml(), nl=False)


@config.command()
@click.argument("kind", nargs=-1)
def schema(kind: tuple[str, ...]) -> None:
    """Print the JSON schema of a config, for editors and other tools.

    KIND is a kind of study (behavior, backdoor, ...) or a command with a config (steer, cache build, ...);
    without it, of any study. A config names its schema in its first line:
    `# yaml-language-server: $schema=behavior.schema.json`.
    """
    from mi_bsa.core.config import schema as schema_of
    from mi_bsa.study.registry import STUDIES, named

    kinds = [_kind(" ".join(kind))] if kind else [named(name).config for name in STUDIES]
    click.echo(json.dumps(schema_of(*kinds), indent=2))


def _kind(name: str) -> Any:
    """The config's class of a kind of study, or of a command."""
    from mi_bsa.cli.command import cli
    from mi_bsa.study.registry import STUDIES, named

    if name in STUDIES:
        return named(name).config
    commands = dict(_configs(cli, ""))
    if name not in commands:
        near = difflib.get_close_matches(name, [*STUDIES, *commands], n=1)
        known = f"did you mean {near[0]!r}?" if near else f"give one of: {', '.join([*STUDIES, *commands])}"
        raise click.UsageError(f"{name!r} is no kind of study and no command with a config; {known}")
    return commands[name]


def _configs(group: click.Group, before: str) -> Any:
    """Every command below a group that is made from a config, by its words, with the config's class."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _configs(command, f"{before}{name} ")
        elif hasattr(getattr(command, "callback", None), "config"):
            yield f"{before}{name}", command.callback.config  # type: ignore[union-attr]


def _command_of(text: str, name: str) -> str:
    """What runs a config: its kind of study, or the command that its comment names."""
    kind = re.search(r"^study: (\w+)", text, re.MULTILINE)
    if kind:
        return f"study ({kind[1]})"
    told = re.search(rf"mi(?:-bsa|_bsa\.cli) ([a-z-]+(?: [a-z]+)?) configs/{name}", text)
    return told[1] if told else ""


def _first_words(text: str) -> str:
    """The first sentence of a config's comment, or what a line holds of it."""
    lines = [line.lstrip("#").strip() for line in text.splitlines() if line.startswith("#")]
    sentence = re.split(r"(?<=[.?]) ", " ".join(lines))[0]
    return textwrap.shorten(sentence, MOST, placeholder=" ...")
