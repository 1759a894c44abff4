"""JSONL: one JSON value a line, read in one way by every floor.

The law: a line ends at "\\n" (or "\\r\\n") and nowhere else, for U+2028, U+0085 and the like are characters
of a string; a byte order mark is no part of a row; what no JSON reader would give back whole (a key said
twice, half of a character) is refused with its line, never mended.
"""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

BLANK = " \t\r"
"""The white space of JSON within a line; `str.strip` would take U+2028 and others away, too."""


def read(path: str | os.PathLike[str], *, error: type[Exception], what: str) -> list[tuple[int, Any]]:
    """The values of a JSONL file, each with its line, counted from 1; blank lines are passed over.

    Args:
        path: a regular file in UTF-8.
        error: the class to raise.
        what: begins the message, such as `prompts file`.

    Raises:
        error: a file that cannot be read, is no text in UTF-8, or has a line that is not JSON.
    """
    return list(each(path, error=error, what=what))


def each(path: str | os.PathLike[str], *, error: type[Exception], what: str) -> Iterator[tuple[int, Any]]:
    """What `read` reads, one line at a time: of a large file only one row is held."""
    name = f"{what} {os.fspath(path)!r}"
    for number, line in enumerate(_lines(path, name, error), start=1):
        line = line.removeprefix("\ufeff").strip(BLANK)  # files with a mark that were put one behind another
        if line:
            yield number, value_of(line, error=error, where=f"{name} line {number}")


def _lines(path: str | os.PathLike[str], name: str, error: type[Exception]) -> Iterator[str]:
    with _opened(path, name, error) as file:
        for line in file:  # a binary file ends its lines at "\n" and nowhere else
            yield line.decode().removesuffix("\n")


def text_of(path: str | os.PathLike[str], *, error: type[Exception], what: str) -> str:
    """The text of a regular file in UTF-8, with or without a byte order mark.

    Raises:
        error: no such file, not a regular one (a pipe would be waited for without end), or not UTF-8.
    """
    with _opened(path, f"{what} {os.fspath(path)!r}", error) as file:
        return file.read().decode("utf-8-sig")


@contextmanager
def _opened(path: str | os.PathLike[str], name: str, error: type[Exception]) -> Iterator[BinaryIO]:
    """Inside, what cannot be opened, read or decoded is an error of ours."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            raise error(f"{name} is {kind}, not a file: give the path of a plain file")
        with open(path, "rb") as file:
            try:
                yield file
            except UnicodeDecodeError as bad:
                byte, at = bad.object[bad.start], file.tell() - len(bad.object) + bad.start
                raise error(
                    f"{name} is not UTF-8 text (byte 0x{byte:02x} at {at}): save it as UTF-8"
                ) from None
    except FileNotFoundError:
        raise error(f"{name} does not exist (no such file): give the path of a file that is there") from None
    except (OSError, ValueError) as bad:  # ValueError: a NUL in the path
        if isinstance(bad, error):
            raise
        reason = getattr(bad, "strerror", None) or str(bad)
        raise error(f"{name} cannot be read ({reason}): give the path of a readable file") from None


def _not_text(name: str, bad: UnicodeDecodeError, before: int, error: type[Exception]) -> Exception:
    byte, at = bad.object[bad.start], before + bad.start
    return error(f"{name} is not UTF-8 text (byte 0x{byte:02x} at {at}): save it as UTF-8")


def value_of(
    text: str, *, error: type[Exception], where: str, remedy: str = "write one JSON object a line"
) -> Any:
    """One JSON value; `remedy` ends the message where it is not.

    Raises:
        error: not JSON, nested too deeply, a key twice in one object, or a lone surrogate.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once)
        if "\\u" in text:  # only an escape can bring in half a character
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as bad:
        cut = " the file may be cut off;" if bad.pos >= len(text) - 1 or "Unterminated" in bad.msg else ""
        raise error(f"{where} is not JSON ({bad.msg}):{cut} {remedy}") from None
    except UnicodeEncodeError as bad:
        raise half_of(bad, error, where) from None
    except RecursionError:
        raise error(f"{where} is nested too deeply to be read: flatten it") from None
    except ValueError as bad:  # a key twice, or a number of thousands of digits
        raise error(f"{where} cannot be read ({bad}): mend the line") from None
    return value


def half_of(bad: UnicodeEncodeError, error: type[Exception], where: str) -> Exception:
    """What to say of a lone surrogate."""
    half = f"U+{ord(bad.object[bad.start]):04X}"
    return error(f"{where} holds the lone surrogate {half}, half of a character: write all of it")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise ValueError(f"key {twice!r} twice in one object, of which only one can be kept")
    return found
