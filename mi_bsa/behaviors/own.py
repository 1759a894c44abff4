"""A behavior from a file of one's own, named as `path/to/file.py:NAME` wherever a behavior is named.

Nothing is registered and nothing installed: a config that names the file says which code it ran. The file is
executed, as any module that is imported, so name only files that you would run.
"""

import importlib.util
import sys
import traceback
from functools import lru_cache
from pathlib import Path

from mi_bsa.behaviors.behavior import Behavior
from mi_bsa.core.errors import BehaviorError, MissingError


def is_file(name: str) -> bool:
    """Whether a behavior's name means a file: it ends with `.py`, or with `.py:NAME`."""
    return name.endswith(".py") or ".py:" in name


def files_of(name: str) -> tuple[Path, ...]:
    """The file that a name means, for what must run again when it changes; none for a registered one."""
    return (Path(name.rpartition(":")[0]).resolve(),) if is_file(name) else ()


def from_file(name: str) -> Behavior:
    """The behavior that a file defines.

    Raises:
        MissingError: no such file.
        BehaviorError: the name lacks `:NAME`, the file cannot be run or has no such name, or it is no
            `Behavior`.
    """
    path, colon, attribute = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise BehaviorError(f"behavior {name!r}: say which name in the file, as path/to/file.py:NAME")
    return _load(Path(path).resolve(), attribute)


@lru_cache(maxsize=32)
def _load(path: Path, attribute: str) -> Behavior:
    if not path.is_file():
        raise MissingError(f"{path}: no such file; a behavior of your own is named as path/to/file.py:NAME")
    module_name = f"mi_bsa_own_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up by name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the file is somebody's own: whatever it raises, it is told
        del sys.modules[module_name]
        raise BehaviorError(
            f"{path}{_line_of(error, path)} cannot be run: {_said(error)}; mend the file"
        ) from error
    if not hasattr(module, attribute):
        names = ", ".join(n for n, v in vars(module).items() if isinstance(v, Behavior)) or "none"
        raise BehaviorError(f"{path} has no {attribute!r}; behaviors that it defines: {names}")
    behavior = getattr(module, attribute)
    if not isinstance(behavior, Behavior):
        lacking = sorted(n for n in vars(Behavior) if not n.startswith("_") and not hasattr(behavior, n))
        raise BehaviorError(f"{path}:{attribute} is no behavior; it lacks {', '.join(lacking)}")
    return behavior


def _line_of(error: BaseException, path: Path) -> str:
    """`, line 12` where that is known: of the file's own code, not of what it called."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f", line {error.lineno}"
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    return f", line {lines[-1]}" if lines else ""


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it ends the process (exit code {error.code})"
    words = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return f"{type(error).__name__}: {words}"[:300]
