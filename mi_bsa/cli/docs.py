"""`docs/cli.md` from the command line itself: `python -m mi_bsa.cli.docs > docs/cli.md`.

The law it keeps: the page says what `--help` says, in the same words; a test holds it current.
"""

from collections.abc import Iterator

import click

from mi_bsa.cli.command import SUMMARIES, cli

HEAD = """# The command line

Generated from the commands by `make docs`; edit their docstrings, not this page.

| exit code | what happened |
|---|---|
| 0 | it did what was asked; `mi-bsa` alone shows help |
| 1 | a failure of the toolkit; `mi-bsa --debug ...` shows its traceback |
| 2 | a mistake in what was given: one line on stderr says what, which rule, and what to do |
| 130 | interrupted; the same command with `--resume` goes on |
| 141 | who read the output has gone, as `head` does |

A config is a YAML file or a built-in one by its name (`mi-bsa config list`); its fields are flags, and
`--set KEY.PATH=VALUE` says any of them. An existing `--out` is refused without `--resume`. A mistyped
command, flag, config or config key is told with the nearest name.

Every command that writes takes `-q` (nothing but errors), `-v` (logs of libraries, where a warning comes
from) and `--json` (results and verdicts as one object on stdout, lines for people on stderr). `--model`,
`--adapter`, `--dtype` and `--device` mean the same everywhere, but for `cache build`, where `--dtype` is the
type of what is stored and `--model-dtype` the model's.

A shell completes commands, flags, built-in configs, models, behaviors and the values of flags, once its
file has this line: `eval "$(_MI_BSA_COMPLETE=bash_source mi-bsa)"` (bash, `~/.bashrc`; zsh: `zsh_source`;
fish: `_MI_BSA_COMPLETE=fish_source mi-bsa | source`).
"""


def page() -> str:
    """The whole page, as Markdown."""
    context = click.Context(cli, info_name="mi-bsa", max_content_width=100, terminal_width=100)
    parts = [HEAD]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        parts.append(f"## {name}\n\n{SUMMARIES[name]}\n")
        parts += [f"```\n{text}\n```\n" for text in _helps(command, name, context)]
    return "\n".join(parts)


def _helps(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent, max_content_width=100, terminal_width=100)
    yield command.get_help(context).rstrip()
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            subcommand = command.get_command(context, inner)
            assert subcommand is not None
            yield from _helps(subcommand, inner, context)


if __name__ == "__main__":
    print(page(), end="")
