"""What a module of transformers calls the cache of keys and values that it is given.

The law: a cache goes in under the name that the module's own forward has. It is `past_key_values` up to
transformers 5.23 and `cache` from 5.24 on; the old name given to a new module is dropped where both stand.
"""

import inspect
from functools import cache
from typing import Any

NAMES = ("cache", "past_key_values")
"""The new name and the one before."""


def name_of(module: Any) -> str:
    """The name under which a model, a decoder, a block or its attention takes a cache."""
    kind: Any = type(module)
    return _name(kind)


@cache
def _name(kind: Any) -> str:
    taken = inspect.signature(kind.forward).parameters
    return NAMES[0] if NAMES[0] in taken else NAMES[1]
