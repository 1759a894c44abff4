"""A cache without a path of its own: it lives as long as its `Store`, in memory where there is room.

The law: the file is that of any cache, so nothing else knows the difference; it is removed when the last
store that it holds is gone, or the process ends, and by the process that made it alone.
"""

import os
import shutil
import tempfile
import weakref
from pathlib import Path

MEMORY = Path("/dev/shm")
"""Where Linux keeps files in memory."""
SPARE = 2
"""Times the bytes of the caches that must be free there."""


class Held:
    """A folder that is removed with this object."""

    def __init__(self, path: Path) -> None:
        self.path = path


def hold(n_bytes: int) -> Held:
    """A new folder for caches of so many bytes; in memory where that has room, else on disk."""
    roomy = (
        MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > SPARE * n_bytes
    )
    path = Path(tempfile.mkdtemp(prefix="activations-", dir=MEMORY if roomy else None))
    held = Held(path)
    weakref.finalize(held, _remove, path, os.getpid())
    return held


def _remove(path: Path, pid: int) -> None:
    if os.getpid() == pid:  # a forked process ends too, and its parent still reads
        shutil.rmtree(path, ignore_errors=True)
