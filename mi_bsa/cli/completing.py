"""What a shell may put in for the name of a model or of a behavior; a path may stand there too."""

import click
from click.shell_completion import CompletionItem

MODELS = ("embedded", "embedded/0", "embedded/1", "embedded/2", "smollm2")
"""Models that go by a name of their own; `mi-bsa model list` says which of them are here."""


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of models that begin so; else folders, where none does."""
    return _offered(MODELS, incomplete, kind="dir")


def behaviors(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of behaviors that begin so, of any vocabulary; else files, where none does."""
    from mi_bsa.behaviors import BEHAVIORS

    return _offered(sorted({name for known in BEHAVIORS.values() for name in known}), incomplete, kind="file")


def _offered(names: list[str] | tuple[str, ...], incomplete: str, *, kind: str) -> list[CompletionItem]:
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type=kind)]
