"""JSON and YAML out of files that anybody may have written or cut short, bounded before any work is done.

The law: whatever is wrong with such a file is one error that names it and says what to do; a small file never
stands for a large value (aliases of aliases), and nothing is nested beyond what can be read.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from activations import jsonl
from mi_bsa.core.errors import BrokenFileError, ConfigError

MOST_BYTES = 1 << 18
"""Of a YAML file: the largest that is published for this field has 13 kB, and Python's reader takes seconds
for this one; the faster reader in C ends the process where a file is nested deeply."""
LONGEST_NUMBER = 60
"""Characters of a number."""
MOST_VALUES = 200_000
"""Of a YAML file once its aliases are written out."""


def read_json(path: str | Path, *, remedy: str, error: type[Exception] = BrokenFileError) -> Any:
    """The value of a JSON file.

    Raises:
        error: no such file, not JSON, or cut short; the message names the file and ends with `remedy`.
    """
    text = jsonl.text_of(path, error=error, what="file")
    return jsonl.value_of(text, error=error, where=f"file {str(path)!r}", remedy=remedy)


def read_json_object(
    path: str | Path, *keys: str, remedy: str, error: type[Exception] = BrokenFileError
) -> dict[str, Any]:
    """The object of a JSON file, which must have these keys.

    Raises:
        error: as `read_json`, and where the value is no object or lacks a key.
    """
    value = read_json(path, remedy=remedy, error=error)
    if not isinstance(value, dict):
        raise error(f"file {str(path)!r} holds a {type(value).__name__} and not an object: {remedy}")
    missing = [key for key in keys if key not in value]
    if missing:
        raise error(f"file {str(path)!r} has no {missing[0]!r}: {remedy}")
    return value


def read_yaml_value(path: str | Path, *, error: type[Exception] = ConfigError) -> Any:
    """The value of a YAML file.

    Raises:
        error: no such file, not YAML, too large, or nested too deeply; the message begins with the path.
    """
    text = jsonl.text_of(path, error=error, what="file")
    if len(text) > MOST_BYTES:
        raise error(f"{path}: {len(text) / 1e6:.1f} MB of YAML, more than is read; write rows as JSONL")
    try:
        return parse_yaml(text)
    except yaml.YAMLError as bad:
        raise error(f"{path}: not valid YAML: {' '.join(str(bad).split())}") from None


def parse_yaml(text: str) -> Any:
    """The value of a YAML text; duplicate keys are refused, and `3e-3` is a number.

    Raises:
        yaml.YAMLError: not YAML, a value that cannot be made, a lone surrogate, aliases that grow too large.
    """
    try:
        loader = Loader(text)
    except UnicodeEncodeError:
        raise yaml.YAMLError("a lone surrogate, half of a character; write all of it") from None
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        _check_scalars(node)
        return loader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("nested too deeply to be read; flatten it") from None
    except (ValueError, OverflowError) as bad:  # a day that is none, a number of thousands of digits
        raise yaml.YAMLError(f"a value that cannot be read ({bad}); put it into quotation marks") from None
    finally:
        loader.dispose()


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Values of a node with its aliases written out; refuses too many, and a node that holds itself."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) in known:
        if known[id(node)] == 0:
            raise yaml.YAMLError("an alias holds itself; write the value out")
        return known[id(node)]
    known[id(node)] = 0
    inner = (
        [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    )
    total = 1 + sum(_count(part, known) for part in inner)
    if total > MOST_VALUES:
        raise yaml.YAMLError(f"more than {MOST_VALUES} values, with its aliases written out; make it smaller")
    known[id(node)] = total
    return total


def _check_scalars(node: yaml.Node) -> None:
    """Refuse half of a character, which no file can hold afterwards, and numbers without end."""
    waiting, seen = [node], set()
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, yaml.ScalarNode):
            if any("\ud800" <= character <= "\udfff" for character in current.value):
                raise yaml.YAMLError("a lone surrogate, half of a character; write all of it")
            if current.tag == "tag:yaml.org,2002:int" and len(current.value) > LONGEST_NUMBER:
                raise yaml.YAMLError(f"a number of {len(current.value)} digits; write a smaller one")
        elif isinstance(current, yaml.MappingNode):
            waiting += [part for pair in current.value for part in pair]
        else:
            waiting += current.value


class Loader(yaml.SafeLoader):
    """YAML as people write it: `3e-3` is a float, and a key said twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        merge = "tag:yaml.org,2002:merge"
        seen: set[Any] = set()
        for name, _ in node.value:
            if name.tag == merge:
                continue
            key = self.construct_object(name, deep=True)
            if not isinstance(key, Hashable):
                continue  # refused below, in YAML's own words
            if key in seen:
                raise yaml.YAMLError(
                    f"key {key!r} is given twice in the mapping at line {node.start_mark.line + 1}; keep one"
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)
