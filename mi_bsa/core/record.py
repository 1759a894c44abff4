"""The run folder: what identifies a run, and where its parts lie.

The law it keeps: a run is never clobbered. A folder that exists is refused without `resume`; with it the old
config is kept as `config.1.yaml`, `config.2.yaml`, ...; one process at a time holds the folder.
"""

import fcntl
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from activations.jsonl import text_of, value_of
from mi_bsa.core.config import Config
from mi_bsa.core.errors import BrokenFileError, MissingError, RunFolderError
from mi_bsa.core.files import write_atomic, write_json
from mi_bsa.core.plain_files import read_json_object

PACKAGES = (
    *("mi-bsa", "torch", "transformers", "peft", "nnsight", "transformer-lens"),
    *("scikit-learn", "numpy", "scipy", "h5py"),
)
"""Packages whose versions a record keeps."""


KEPT = {
    "command": str,
    "created": str,
    "seeds": list,
    "revisions": dict,
    "environment": dict,
    "invocations": list,
}
"""What every record holds, and of which kind."""
ANOTHER = "restore it from a copy, or give another --out"
"""What to do about a run folder's file that was changed by other hands."""


@dataclass(frozen=True)
class RunFolder:
    """A run's folder and the places in it; make or open one with `start`, look at one with `RunFolder.at`.

    Attributes:
        path: the folder.
        lock: the open lock file of the process that runs, None where the folder is only looked at.
    """

    path: Path
    lock: IO[str] | None = None

    @classmethod
    def at(cls, path: str | Path) -> "RunFolder":
        """A folder that a run wrote, to be read."""
        path = Path(path)
        if not (path / "record.json").is_file():
            raise MissingError(f"{path}: not a run folder (no record.json); give what --out was given")
        return cls(path)

    @property
    def adapters(self) -> Path:
        """LoRA adapters."""
        return self.path / "adapters"

    @property
    def caches(self) -> Path:
        """HDF5 activation stores."""
        return self.path / "caches"

    @property
    def directions(self) -> Path:
        """Directions as safetensors."""
        return self.path / "directions"

    @property
    def figures(self) -> Path:
        """Figures of the report, SVG and PNG."""
        return self.path / "figures"

    def record(self) -> dict[str, Any]:
        """The content of `record.json`."""
        path = self.path / "record.json"
        record = read_json_object(path, *KEPT, remedy=ANOTHER)
        for key, kind in KEPT.items():
            if not isinstance(record[key], kind):
                raise BrokenFileError(f"{path}: {key!r} is no {kind.__name__}; {ANOTHER}")
        return record

    def append_metric(self, row: Mapping[str, Any]) -> None:
        """Append one line to `metrics.jsonl`; a single write, so that a crash can cut only the last line."""
        line = json.dumps(dict(row), allow_nan=False) + "\n"
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(line)

    def metrics(self) -> list[dict[str, Any]]:
        """The whole lines of `metrics.jsonl`; a last line that a crash cut short is left out."""
        path = self.path / "metrics.jsonl"
        return whole_lines(path) if path.is_file() else []

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let another process use the folder; leaving a `with`, or the end of the process, does so too."""
        if self.lock is not None and not self.lock.closed:
            self.lock.close()


def whole_lines(path: Path) -> list[Any]:
    """The values of a JSONL file of ours; a last line that a crash cut short is left out.

    Raises `BrokenFileError` for a line that is no JSON.
    """
    lines = text_of(path, error=BrokenFileError, what="file").split("\n")
    return [
        value_of(line, error=BrokenFileError, where=f"file {str(path)!r} line {number}", remedy=ANOTHER)
        for number, line in enumerate(lines[:-1], start=1)
    ]


def start(
    path: str | Path,
    *,
    config: Config,
    resume: bool,
    seeds: Sequence[int],
    revisions: Mapping[str, str],
    command: Sequence[str] | None = None,
    checked: bool = False,
    registration: Mapping[str, Any] | None = None,
) -> RunFolder:
    """Make a run folder, or open one again.

    Args:
        path: the folder; it may exist only with `resume` (or when it is empty).
        config: written, resolved, as `config.yaml`.
        resume: continue in a folder that exists; a folder that does not exist is made.
        seeds: the seeds of the run.
        revisions: name -> revision or fingerprint of each model and data set.
        command: what was typed; the process's own arguments by default.
        checked: the caller has looked at the folder, which holds what the run made before its record.
        registration: whether the run was registered (`mi_bsa.study.registration`), as of this start.

    Raises:
        RunFolderError: the folder exists and `resume` is False, is in use, or holds something else.
    """
    path = Path(path)
    if not checked:
        check_free(path, resume=resume)
    path.mkdir(parents=True, exist_ok=True)
    run = RunFolder(path, _lock(path))
    try:
        _keep_config(path / "config.yaml", config.to_yaml())
        typed = sys.argv if command is None else command
        words = [Path(word).name for word in typed[:1]] + list(typed[1:])
        now = {"command": shlex.join(words), "created": datetime.now(UTC).isoformat(timespec="seconds")}
        identity = {"seeds": list(seeds), "revisions": dict(revisions), "environment": environment()}
        if registration is not None:
            identity["registration"] = dict(registration)
        if (path / "record.json").is_file():
            record = run.record() | {k: v for k, v in identity.items() if k == "registration"}
            record["invocations"] = [*record["invocations"], now | _briefly(identity)]
        else:
            record = {"schema_version": 1, **now, **identity, "invocations": []}
        write_json(path / "record.json", record)
    except BaseException:
        run.release()  # else who catches the error still holds the folder
        raise
    return run


def _briefly(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What an invocation says of itself: of its registration the line and the hash, not the lock."""
    told = {key: value for key, value in identity.items() if key != "registration"}
    if "registration" in identity:
        told["registration"] = {key: identity["registration"].get(key) for key in ("said", "hash")}
    return told


def check_free(path: str | Path, *, resume: bool) -> None:
    """Refuse a folder that `start` would refuse, before anything slow is done and without making it."""
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise RunFolderError(f"{path}: exists and is a file; give another --out")
    # what `start` leaves where it is killed before the folder holds anything
    begun = re.compile(r"run\.lock|\.config\.yaml\..*\.part")
    taken = path.is_dir() and not all(begun.fullmatch(item.name) for item in path.iterdir())
    if taken and not resume:
        raise RunFolderError(f"{path}: exists already; add --resume to continue it, or give another --out")
    if taken and not (path / "config.yaml").is_file():
        raise RunFolderError(
            f"{path}: is not empty and not a run folder (no config.yaml); give another --out"
        )
    if taken and not _is_ours(path):
        raise RunFolderError(
            f"{path}: has a config.yaml and is not a run folder (no record.json of ours); give another --out"
        )


def finished(path: str | Path, config: Config, *, revisions: Mapping[str, str]) -> bool:
    """Whether a run of this very config on these very data wrote its results here before."""
    path = Path(path)
    if not all((path / name).is_file() for name in ("results.json", "config.yaml", "record.json")):
        return False
    record = RunFolder(path).record()
    last = record["invocations"][-1] if record["invocations"] else record
    same = (path / "config.yaml").read_text(encoding="utf-8") == config.to_yaml()
    return same and last["revisions"] == dict(revisions)


def _is_ours(path: Path) -> bool:
    """Whether a run wrote this folder: its record says so, or it was killed when it had its config alone."""
    if (path / "record.json").is_file():
        return isinstance(RunFolder(path).record()["invocations"], list)
    return all(
        item.name in ("run.lock", "config.yaml", "identity.json") or item.name.endswith(".part")
        for item in path.iterdir()
    )


def environment() -> dict[str, Any]:
    """Versions, git revision and hardware, without importing a framework."""
    accelerators = _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]) or ""
    hardware = {"machine": platform.machine(), "cpus": os.cpu_count()}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: _version(name) for name in PACKAGES},
        "git": git_state(),
        "hardware": {**hardware, "accelerators": accelerators.splitlines()},
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }


def _keep_config(path: Path, text: str) -> None:
    """Write `config.yaml`; one that said something else becomes `config.<n>.yaml`."""
    if path.is_file():
        before = path.read_bytes()
        if before == text.encode("utf-8"):
            return
        number = 1
        while (kept := path.with_name(f"config.{number}.yaml")).exists():
            number += 1
        write_atomic(kept, before)
    write_atomic(path, text)


def _lock(path: Path) -> IO[str]:
    lock = (path / "run.lock").open("a", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise RunFolderError(
            f"{path}: another process is running in it; wait, or give another --out"
        ) from error
    return lock


@cache
def _version(name: str) -> str | None:
    """Of an installed package; looked up once, as all that a process has imported."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def git_state() -> dict[str, Any] | None:
    """Revision of the checkout that the toolkit runs from, None where it runs from no checkout."""
    source = Path(__file__).resolve().parents[1]
    revision = _output(["git", "-C", str(source), "rev-parse", "HEAD"])
    if revision is None:
        return None
    changed = _output(["git", "-C", str(source), "status", "--porcelain", "--untracked-files=no"])
    return {"revision": revision, "modified": bool(changed)}


def _output(command: list[str]) -> str | None:
    """What a program prints, None where it is absent or fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
