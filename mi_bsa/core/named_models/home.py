"""The user's folder for what is fetched or made once: `MI_BSA_HOME`, else the system's cache folder.

The laws it keeps: one writer at a time, by a lock that the kernel lets go of when its process dies; and what
stands under its final name is whole, for everything is made beside it and renamed.
"""

import errno
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mi_bsa.core.errors import FetchError

VARIABLE = "MI_BSA_HOME"
LOCK = ".lock"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where a disk, a quota or the allowed size of a file is used up."""


def home() -> Path:
    """The folder; it may not exist yet."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("mi-bsa", appauthor=False)


@contextmanager
def locked(lock: Path, *, within: float | None = None, once: bool = False) -> Iterator[None]:
    """Hold the only right to write what a lock file stands for; wait for whoever holds it.

    Args:
        lock: the file; its folder is made.
        within: seconds to wait at most; None waits as long as the other one lives.
        once: remove the file afterwards, where it stands in a folder of the user's.

    Raises:
        FetchError: the wait was too long, or the folder cannot be written.
    """
    began = time.monotonic()
    told = False
    while True:
        with writing(lock.parent):
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = lock.open("a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.exists() and os.stat(lock).st_ino == os.fstat(handle.fileno()).st_ino:
                break  # else the one before removed it while this one waited
            handle.close()
            continue
        except BlockingIOError:
            handle.close()
        except OSError as error:  # a file system that has no locks
            handle.close()
            raise FetchError(cannot_write(lock.parent, error)) from error
        if within is not None and time.monotonic() - began > within:
            raise FetchError(
                f"{lock.parent}: another process has been writing in it for {within:.0f} s; wait for it, "
                "or stop it, and repeat the command"
            )
        if not told:
            print(f"waiting for another process that writes in {lock.parent}", file=sys.stderr, flush=True)
            told = True
        time.sleep(0.2)
    with handle:
        try:
            yield
        finally:
            if once:
                lock.unlink(missing_ok=True)


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A new folder next to `target`, to make it in; gone at the end, whatever happens.

    What killed processes left there is removed first, so hold the lock.
    """
    with writing(target):
        for left in target.parent.glob(f"{_part(target)}*"):
            shutil.rmtree(left, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=_part(target), dir=target.parent))
        part.chmod(0o755)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def put(part: Path, target: Path) -> None:
    """Move what was made in a part folder under its final name; what stood there is replaced."""
    if target.is_dir():
        old = Path(tempfile.mkdtemp(prefix=_part(target), dir=target.parent))
        target.rename(old / "old")
        part.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        part.rename(target)


def _part(target: Path) -> str:
    """How the part folders of a target begin."""
    return f".{target.name}.part-"


def need(space: int, folder: Path) -> None:
    """Refuse what the disk cannot hold, before any work. Raises `FetchError`."""
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < space:
        raise FetchError(
            f"{folder}: {space / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free; free some, or "
            f"{_elsewhere(folder)}"
        )


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn what the system says about writing into one line that names the folder and the remedy."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FetchError):
            raise
        raise FetchError(cannot_write(target, error)) from error


def cannot_write(target: Path, error: OSError) -> str:
    """The line about an error on writing."""
    reason = (error.strerror or str(error)).lower()
    remedy = "free some space, or " if error.errno in FULL else ""
    return f"{target}: cannot be written ({reason}); {remedy}{_elsewhere(target)}"


def _elsewhere(folder: Path) -> str:
    """How to write to another place than this."""
    if home() in (folder, *folder.parents):
        return f"set {VARIABLE} to a folder that can take it"
    return "give another --out"
