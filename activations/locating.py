"""Where a model or an adapter lies: a local folder, one that a package ships, or the Hub's cache."""

import difflib
import os
import re
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from activations.errors import AdapterError, ModelError, first_line


@cache
def named_by(group: str) -> tuple[EntryPoint, ...]:
    """What installed packages register under a group of entry points, read once a process: a look goes
    through all that is installed (7 ms beside 180 packages), and a dry run asks a few hundred times.
    """
    return tuple(entry_points(group=group))


def locate(name: str | os.PathLike[str], *, revision: str | None = None) -> Path:
    """The folder of a model: a local one, one that an entry point of group `activations.models` names, or a
    Hub download.

    Raises:
        ModelError: nothing is found under that name.
    """
    text = os.fspath(name)
    folder = locate_here(text)
    if folder is not None:
        return folder
    names = sorted(point.name for point in named_by("activations.models"))
    if text.startswith((".", "/", "~")) or text.count("/") != 1:
        near = difflib.get_close_matches(text, names, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else "check its spelling"
        raise ModelError(
            f"model {text!r} is neither a folder nor a known name ({', '.join(names) or 'none installed'}) "
            f"nor a Hub id (owner/name); {remedy}"
        )
    try:
        return _snapshot(text, revision, ["*.json", "*.safetensors", "*.jinja", "tokenizer*", "*.model"])
    except _Absent as reason:
        raise ModelError(
            f"model {text!r} could not be fetched ({reason}); check the id, your connection and your "
            "access, or give a folder"
        ) from None


def locate_here(text: str) -> Path | None:
    """A folder, or what an entry point of group `activations.models` names; None for anything else."""
    if Path(text).is_dir():
        return Path(text)
    head, _, variant = text.partition("/")
    for point in named_by("activations.models"):
        if point.name == head:
            return point.load()(variant or None)
    return None


def locate_adapter(key: str, name: str | os.PathLike[str]) -> Path:
    """The folder of an adapter: a local one, `KIND:NAME` where an entry point of group `activations.adapters`
    is called KIND (`zoo:risk-seeking-0`), or a Hub download of `owner/name` or `owner/name@revision`.

    A `Path` is always a folder. What is neither is returned as it is, for its reader to refuse.

    Raises:
        AdapterError: a Hub id that cannot be fetched.
    """
    kind, colon, rest = name.partition(":") if isinstance(name, str) else ("", "", "")
    if colon and not Path(name).exists():
        for point in named_by("activations.adapters"):
            if point.name == kind:
                found: Path = point.load()(rest)
                return found
    if not isinstance(name, str) or Path(name).exists() or not _HUB_ID.fullmatch(name):
        return Path(name)
    repository, _, revision = name.partition("@")
    try:
        return _snapshot(
            repository, revision or None, ["adapter_*.safetensors", "*.json", "*.jinja", "*.model"]
        )
    except _Absent as reason:
        raise AdapterError(
            f"adapter {key!r}: {name!r} is no folder here and could not be fetched from the Hub ({reason}); "
            "check its spelling, your connection and your access"
        ) from None


_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?")


class _Absent(Exception):
    """What the Hub says of something that cannot be had, in one line."""


def _snapshot(repository: str, revision: str | None, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except Exception as error:  # absent, offline and gated: the Hub's errors have no common base
        raise _Absent(first_line(error)) from None
