"""The command line `mi-bsa`: one file a command, imported when it is called."""

from mi_bsa.cli.command import SUMMARIES, cli, describe, main

__all__ = ["SUMMARIES", "cli", "describe", "main"]
