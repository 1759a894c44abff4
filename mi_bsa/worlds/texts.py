"""The words of a world: a YAML file beside the module that gives them their names.

The law: an order of words in the file is their order in the vocabulary, so a line that moves makes another
tokenizer (the tests hold the hash of every tokenizer that ships).
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml


def texts_of(module_file: str) -> dict[str, Any]:
    """The values of the YAML file of a module's name; lists come as tuples, since a world is not mutated.

    Ours alone, so the quick reader in C may read them (20 times faster; `plain_files` is for files of
    others).
    """
    text = Path(module_file).with_suffix(".yaml").read_text(encoding="utf-8")
    values: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return {name: _frozen(value) for name, value in values.items()}


def words_in(texts: Iterable[str], *, marks: str = ".,?:[]") -> dict[str, None]:
    """Every word of the texts as they first come; slots (`{x}`) and marks stand between words."""
    between = re.compile(r"\{\w+\}" + "".join(rf"|\{mark}" for mark in marks))
    return dict.fromkeys(word for text in texts for word in between.sub(" ", text).split())


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value
