"""What the machine refuses: a full disk, a path that is none, too little memory, a pipe that was closed.

The law: such a fault is nobody's mistake in the toolkit, so it is told in one line with what to do, whichever
library met it; only a file that belongs to the installed toolkit itself is a fault of ours.
"""

import errno
import re
from collections.abc import Iterator
from pathlib import Path

AGAIN = "and give the same command again, with --resume where it has that, else with a new --out"
REMEDIES = {
    errno.ENOSPC: f"no space is left on the device: free some, {AGAIN}",
    errno.EDQUOT: f"the quota of disk space is used up: free some, {AGAIN}",
    errno.EFBIG: f"a file is larger than the system allows (ulimit -f): raise it, {AGAIN}",
    errno.EROFS: "the file system can only be read: choose another place",
    errno.EIO: "the device failed (input/output error): look at the disk, or copy the files elsewhere",
    errno.EMFILE: "too many files are open (ulimit -n): raise the limit, or use fewer workers",
    errno.ENFILE: "too many files are open on this machine: close some",
    errno.ENOMEM: "not enough memory: choose smaller batches, a smaller model, or a larger machine",
    errno.ENAMETOOLONG: "the name is too long for the file system: give a shorter one",
    errno.ELOOP: "the link leads to itself: give the path of the file",
}
"""What to do, by the number of an operating system's error."""
SPACE = re.compile(
    r"no space left on device|os error 28\b|errno = 28\b|disk quota exceeded|os error 122\b|"
    r"PytorchStreamWriter failed writing|unexpected pos \d+ vs",
    re.IGNORECASE,
)
"""How libraries that have no number say that the disk is full: safetensors, HDF5, torch."""
LARGE = re.compile(r"file too large|os error 27\b|errno = 27\b", re.IGNORECASE)
MEMORY = re.compile(r"can't allocate memory|out of memory|unable to allocate", re.IGNORECASE)


def machine_fault(error: BaseException) -> str | None:
    """The line that says what the machine refused; None where the error is something else."""
    for cause in _chain(error):
        text = str(cause)
        if isinstance(cause, OSError):
            told = _of_system(cause)
            if told is not None:
                return told
        if isinstance(cause, MemoryError) or MEMORY.search(text):
            return f"{REMEDIES[errno.ENOMEM]} ({_first(text)})" if text else REMEDIES[errno.ENOMEM]
        if isinstance(cause, RuntimeError) and text.startswith("Symlink loop from"):
            return f"{text.removeprefix('Symlink loop from ')}: {REMEDIES[errno.ELOOP]}"
        if SPACE.search(text):
            return REMEDIES[errno.ENOSPC]
        if LARGE.search(text):
            return REMEDIES[errno.EFBIG]
    return None


def _of_system(error: OSError) -> str | None:
    """A line about an error with a number, or with a path of the user's."""
    known = REMEDIES.get(error.errno or 0)
    name = error.filename
    named = isinstance(name, str | bytes) and len(name) > 0
    if named and not _is_users(name):
        return None
    reason = known or f"{(error.strerror or 'cannot be used').lower()}; check the path"
    if named:
        shown = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
        return f"{shown}: {reason}"
    return known


def _is_users(path: str | bytes) -> bool:
    """Whether a path is the user's, and not a part of the installed toolkit."""
    toolkit = Path(__file__).resolve().parents[1]  # mi_bsa/, from mi_bsa/core/
    try:
        whole = Path(path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path).resolve()
    except (OSError, RuntimeError, ValueError):
        return True
    return toolkit not in whole.parents


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was raised from; at most ten."""
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _first(text: str) -> str:
    return text.strip().split("\n")[0][:200]
