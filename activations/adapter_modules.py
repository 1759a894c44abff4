"""Which modules an adapter's configuration names, and with which rank and alpha.

The law: PEFT's rules, in bounded time. Names and layers are looked up; patterns that could backtrack without
end run in a process of their own, which is stopped.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from activations.errors import AdapterError

SECONDS = 10.0
"""For all patterns together. A published pattern over the 1,100 modules of a 70B model takes .02 s."""

_UNBOUNDED = re.compile(r"[*+{]")
_GROUP_REPEATED = re.compile(r"\)[*+{]")
_MATCHER = """
import json, re, sys
patterns, keys, full = json.load(sys.stdin)
tests = [re.compile(p).fullmatch if full else re.compile(p).match for p in patterns]
hits = [{n: m.groupdict().get("idx") for n, key in enumerate(keys) if (m := test(key))} for test in tests]
print(json.dumps(hits))
"""


def named(config: Mapping[str, Any], modules: Sequence[str], *, linear: Sequence[str], name: str) -> set[str]:
    """The modules at which a configuration puts a LoRA.

    Args:
        config: the adapter's configuration.
        modules: paths of all modules that can have one.
        linear: those which `all-linear` means.
        name: the adapter's, for messages.

    Raises:
        AdapterError: patterns that do not parse, or that take too long.
    """
    targets = config.get("target_modules")
    if isinstance(targets, str):
        if targets.lower() == "all-linear":
            found = set(linear)
        else:
            found = set(matching([targets], modules, name=name, full=True)[0])
    elif isinstance(targets, list) and all(isinstance(target, str) for target in targets):
        wanted = set(targets)
        found = {key for key in modules if any(part in wanted for part in _endings(key))}
        found = _in_layers(config, found, name)
    else:
        raise AdapterError(
            f"adapter {name!r}: target_modules is {str(targets)[:80]!r}; it is a list of modules or one "
            "pattern: save the adapter again with PEFT"
        )
    without = config.get("exclude_modules")
    if isinstance(without, str):
        found -= set(matching([without], sorted(found), name=name, full=True)[0])
    elif without:
        barred = set(without)
        found = {key for key in found if not any(part in barred for part in _endings(key))}
    return found


def of_each(
    config: Mapping[str, Any], pattern: str, default: Any, modules: Sequence[str], *, name: str
) -> dict[str, Any]:
    """The value of `rank_pattern` or `alpha_pattern` at each module: that of the first pattern which fits."""
    rules: dict[str, Any] = dict(config.get(pattern) or {})
    found = dict.fromkeys(modules, default)
    fits = matching([rf"(?:.*\.)?({key})$" for key in rules], modules, name=name)
    for hit, value in reversed(list(zip(fits, rules.values(), strict=True))):
        found.update(dict.fromkeys(hit, value))
    return found


def matching(
    patterns: Sequence[str], keys: Sequence[str], *, name: str, full: bool = False
) -> list[dict[str, str | None]]:
    """For each pattern the keys that it matches from their beginning (`full`: to their end), with its group
    `idx`.

    Raises:
        AdapterError: a pattern that does not parse, or that takes too long.
    """
    try:
        # three unbounded repetitions and none of a group: a cube of a path's length at worst, which is short
        simple = len(patterns) * len(keys) <= 10**6 and all(
            len(_UNBOUNDED.findall(pattern)) <= 3 and not _GROUP_REPEATED.search(pattern)
            for pattern in patterns
        )
        if simple:
            tests = [re.compile(p).fullmatch if full else re.compile(p).match for p in patterns]
            return [
                {key: hit.groupdict().get("idx") for key in keys if (hit := test(key)) is not None}
                for test in tests
            ]
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _MATCHER],
            input=json.dumps([list(patterns), list(keys), full]),
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        if done.returncode:
            raise ValueError((done.stderr.strip().splitlines() or ["no reason given"])[-1])
    except subprocess.TimeoutExpired:
        raise AdapterError(
            f"adapter {name!r}: the patterns in its configuration take more than {SECONDS:g} s to match; "
            "name its modules in a list"
        ) from None
    except (re.error, ValueError, RecursionError, OverflowError) as error:
        raise AdapterError(
            f"adapter {name!r}: a pattern in its configuration cannot be read ({str(error)[:200]}); name its "
            "modules in a list"
        ) from None
    return [{keys[int(n)]: group for n, group in hits.items()} for hits in json.loads(done.stdout)]


def _endings(key: str) -> list[str]:
    """A path and what stands behind each of its dots."""
    parts = key.split(".")
    return [".".join(parts[n:]) for n in range(len(parts))]


def _in_layers(config: Mapping[str, Any], found: set[str], name: str) -> set[str]:
    """Those in `layers_to_transform`, where it is given; what lies in no layer is left out, as PEFT does."""
    layers = config.get("layers_to_transform")
    if layers is None or layers == []:
        return found
    wanted = {layers} if isinstance(layers, int) else set(layers)
    given = config.get("layers_pattern") or []
    patterns = [given] if isinstance(given, str) else list(given)
    heads = [rf"(?:^|.*?\.){p}\.(?P<idx>\d+)\." for p in patterns] or [r".*?\.[^.]*\.(?P<idx>\d+)\."]
    layer: dict[str, str | None] = {}
    for hits in matching(heads, sorted(found), name=name):
        layer = {**hits, **layer}  # the first pattern that fits decides
    return {key for key, index in layer.items() if index is not None and int(index) in wanted}
