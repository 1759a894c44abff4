"""Registration: what a study fixes before it measures, hashed, and the lock that shows it was fixed before.

The law: a study is *registered* where a lock of the very same design was there when its run first started;
otherwise it is *exploratory*, and says why beside each verdict. The design is all that a number or a verdict
could be bent by: the rules (their constants and the functions that apply them), which split chooses and which
judges, seeds, the config, the weights and every file that a step reads. How it is run (workers, engine,
device, folder) is no part of it. A lock proves an order in time and nothing else: docs/decisions/0024.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from mi_bsa.core.errors import BrokenFileError, RunFolderError
from mi_bsa.core.files import digest, stable_hash, write_atomic
from mi_bsa.core.plain_files import read_yaml_value
from mi_bsa.core.record import RunFolder, git_state

FORMAT = 1
"""Of a lock; another one is refused."""
HEAD = """# What a study fixed before it measured: written by `mi-bsa study CONFIG --register`; commit it.
# A run of this very design says "registered"; any other says "exploratory", and why.
"""
AGAIN = "restore it from git, or remove it and register again (what ran before stays exploratory)"
NO_LOCK = "no lock at its start"
SHOWN = 12
"""Digits of a hash that people are shown."""
HOW = ("workers", "engine")
"""Top fields of a config that say how a study is run and not what it is."""
WHERE = ("device", "device_map", "report_to")
"""The same at any depth."""
PACKAGES = ("activations", "mi_bsa", "probes")
"""Whose source is the code that measures."""


@dataclass(frozen=True)
class Design:
    """What a study fixes.

    Attributes:
        study: its kind.
        rules: identity of the rules, None for a kind that gives no verdicts.
        bars: the constants of the rules.
        splits: what chooses, and what is judged.
        seeds: of the adapters.
        config: resolved, defaults included, without how and where it is run.
        models: name -> hash of its weights; None where they are not on this machine.
        inputs: `name digest` of every other file that a step reads; None where they are not on this machine.
    """

    study: str
    rules: str | None
    bars: Mapping[str, Any]
    splits: Mapping[str, Any]
    seeds: tuple[int, ...]
    config: Mapping[str, Any]
    models: Mapping[str, str | None]
    inputs: tuple[str, ...] | None

    @cached_property
    def hash(self) -> str:
        """Of all of it."""
        return stable_hash(self.plain())

    def plain(self) -> dict[str, Any]:
        """As JSON-like values."""
        found: dict[str, Any] = _plain(asdict(self))
        return found

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Design:
        """Back from plain values."""
        inputs = plain["inputs"]
        several = {"seeds": tuple(plain["seeds"]), "inputs": None if inputs is None else tuple(inputs)}
        return cls(**{**plain, **several})

    def differs(self, registered: Design) -> str | None:
        """In what this one differs from a registered one, in words; None where it is the same.

        Weights and files that were not at hand when it was registered, or are not now, are not compared; a
        run has all of them.
        """
        own, known = self.plain(), registered.plain()
        if own["rules"] != known["rules"]:
            return f"lock of other rules ({_short(registered.rules)}, here {_short(self.rules)})"
        ours, theirs = (dict(_leaves({"study": d["study"], **d["config"]})) for d in (own, known))
        changed = [k for k in dict.fromkeys([*theirs, *ours]) if ours.get(k) != theirs.get(k)]
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            return f"config differs in {changed[0]}{more} from the registered"
        for name, weights in known["models"].items():
            if None not in (weights, here := own["models"].get(name)) and here != weights:
                return f"the weights of {name} are not the registered ones"
        if None not in (known["inputs"], own["inputs"]) and own["inputs"] != known["inputs"]:
            odd = sorted(set(own["inputs"]) ^ set(known["inputs"]))
            return f"file {odd[0].rpartition(' ')[0]} is not the registered one"
        rest = next((part for part in ("bars", "splits", "seeds") if own[part] != known[part]), None)
        return None if rest is None else f"its {rest} are not the registered ones"


@dataclass(frozen=True)
class Lock:
    """A design, and when and by which code it was registered.

    Attributes:
        design: what was fixed.
        date: when, ISO 8601 in UTC.
        code: version of the package, git revision of its checkout, digest of its source.
        commit: the git commit that last touched the file, `revision` and `date`; None where the file as it is
            is in none. It is no part of the file.
    """

    design: Design
    date: str
    code: Mapping[str, Any]
    commit: Mapping[str, str] | None = field(default=None, compare=False)

    def write(self, path: Path) -> None:
        """Write the file. Raises `RunFolderError` where it is there: a lock is never replaced."""
        if path.exists():
            raise RunFolderError(f"{path}: exists already; remove it by hand, or give another --lock")
        said = {"format": FORMAT, "hash": self.design.hash, "date": self.date, "code": dict(self.code)}
        text = yaml.safe_dump(said | self.design.plain(), sort_keys=False, allow_unicode=True, width=110)
        write_atomic(path, HEAD + text)

    @classmethod
    def read(cls, path: Path) -> Lock:
        """Read a file.

        Raises:
            BrokenFileError: no lock, one of an unknown format, or one whose hash is not that of what it says.
        """
        said = read_yaml_value(path, error=BrokenFileError)
        if not isinstance(said, dict) or not {"format", "hash", "date", "code"} <= said.keys():
            raise BrokenFileError(f"{path}: no lock of a study (format, hash, date and code); {AGAIN}")
        known, date, code = said.pop("hash"), str(said.pop("date")), said.pop("code")
        if (written := said.pop("format")) != FORMAT:
            raise BrokenFileError(
                f"{path}: a lock of format {written!r}, and this version reads {FORMAT}; use the version "
                "that wrote it, or register again"
            )
        try:
            design = Design.of(said)
            whole = isinstance(code, dict) and design.hash == known
        except (KeyError, TypeError, ValueError, AttributeError):
            whole = False
        if not whole:
            raise BrokenFileError(f"{path}: was changed by hand: its hash is not of what it says; {AGAIN}")
        return cls(design, date, code, _commit(path))

    def plain(self) -> dict[str, Any]:
        """As a record keeps it."""
        commit = None if self.commit is None else dict(self.commit)
        return {
            "hash": self.design.hash,
            "date": self.date,
            "code": dict(self.code),
            "commit": commit,
            "design": self.design.plain(),
        }


def beside(config: Path) -> Path:
    """Where the lock of a config lies: beside it, `risk.yaml` and `risk.rules.lock`."""
    return config.with_suffix(".rules.lock")


def register(design: Design, path: Path) -> Lock:
    """Write the lock of a design; one that is there and says the same is left as it is."""
    if path.is_file() and (known := Lock.read(path)).design.hash == design.hash:
        return known
    lock = Lock(design, datetime.now(UTC).isoformat(timespec="seconds"), code())
    lock.write(path)
    return lock


def begin(
    design: Design, *, out: Path, lock: Path | None, measures: Callable[[], bool] = lambda: True
) -> dict[str, Any]:
    """What the record says of a run that starts, or goes on: `said`, `hash`, `code`, the `lock` that was
    there when it first started (one that came later counts for nothing), and `sources`, the digests of the
    code that measured anything of it.

    Args:
        design: of the run as it is asked for now.
        out: its folder, which may not be there yet.
        lock: where its lock would lie.
        measures: whether this start has anything left to measure; asked where other code goes on.
    """
    before = RunFolder(out).record().get("registration", {}) if (out / "record.json").is_file() else None
    held: Mapping[str, Any] | None
    if before is not None:
        held = before.get("lock")
    else:
        held = Lock.read(lock).plain() if lock is not None and lock.is_file() else None
    now, sources = code(), list((before or {}).get("sources", []))
    if now["source"] not in sources and (before is None or measures()):
        sources.append(now["source"])
    return {
        "said": _said(design, sources, held),
        "hash": design.hash,
        "code": now,
        "sources": sources,
        "lock": held,
    }


def said_in(folder: Path) -> str:
    """What the record of a run folder says of its registration, in one line."""
    before = RunFolder(folder).record() if (folder / "record.json").is_file() else {}
    return str(before.get("registration", {}).get("said", f"exploratory: {NO_LOCK}"))


def design_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved config without how and where it is run."""
    kept = {key: value for key, value in config.items() if key not in (*HOW, "study")}
    found: dict[str, Any] = _without(kept, WHERE)
    return found


def code() -> dict[str, Any]:
    """The code that measures: the package's version, its git revision if any, and a digest of its source, for
    the commit of a lock makes another revision of the same code.
    """
    total = {}
    for package in PACKAGES:
        found = find_spec(package)
        assert found is not None
        assert found.origin is not None
        root = Path(found.origin).parent
        files = sorted(p for kind in ("*.py", "*.yaml") for p in root.rglob(kind))
        total[package] = {file.relative_to(root).as_posix(): digest(file) for file in files}
    return {"version": version("mi-bsa"), "git": git_state(), "source": stable_hash(total)}


def _said(design: Design, sources: Sequence[str], held: Mapping[str, Any] | None) -> str:
    if held is None:
        return f"exploratory: {NO_LOCK}"
    reason = design.differs(Design.of(held["design"]))
    if reason is not None:
        return f"exploratory: {reason}"
    committed = "" if held["commit"] else ", not committed"
    same = set(sources) <= {held["code"]["source"]}
    other = "" if same else ", measured by other code than registered"
    return f"registered {held['date'][:10]}, lock {_short(held['hash'])}{committed}{other}"


def _commit(path: Path) -> dict[str, str] | None:
    """The commit that last touched a file, None where it is in none or was changed since."""
    if shutil.which("git") is None:
        return None
    told = []
    for command in (["log", "-1", "--format=%H,%cI"], ["status", "--porcelain"]):
        whole = ["git", "-C", str(path.resolve().parent), *command, "--", path.name]
        done = subprocess.run(whole, capture_output=True, text=True, timeout=20, check=False)
        if done.returncode != 0:
            return None
        told.append(done.stdout.strip())
    revision, _, date = told[0].partition(",")
    return {"revision": revision, "date": date} if revision and not told[1] else None


def _without(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        return {k: _without(v, names) for k, v in value.items() if k not in names}
    return [_without(v, names) for v in value] if isinstance(value, list | tuple) else value


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{prefix}.{key}".lstrip("."))
    else:
        yield prefix, value


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False, default=dict))


def _short(text: str | None) -> str:
    return "none" if text is None else text[:SHOWN]
