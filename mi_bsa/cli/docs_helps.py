"""`helps.txt`, which lies beside this, from the commands themselves: `make docs`.

The law it keeps: the file says what each command says of itself on a terminal of 80 columns; a test holds it
current.
"""

from collections.abc import Iterator

import click

from mi_bsa.cli.command import cli
from mi_bsa.cli.helps import COLUMNS


def written() -> str:
    """What the file is to say: each command and subcommand, and its help."""
    top = click.Context(cli, info_name="mi-bsa", **cli.context_settings)
    return "".join(f"== {name}\n{text}\n" for name, text in _below(cli, top))


def _below(group: click.Group, parent: click.Context) -> Iterator[tuple[str, str]]:
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=parent, terminal_width=COLUMNS - 2)
        yield context.command_path, command.get_help(context)
        if isinstance(command, click.Group):
            yield from _below(command, context)


if __name__ == "__main__":
    print(written(), end="")
