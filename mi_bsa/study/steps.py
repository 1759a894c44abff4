"""A study as a graph of steps, each known by the content of what it depends on.

The law it keeps: a step runs again exactly when something that it declared has changed: its function's
source, its arguments, the config fields and files that it names, or a step before it. A step can read only
the fields it declared, so a forgotten declaration is an error and not a stale number. A step is finished when
its marker is there, and the marker is written at once or not at all, after the step's outputs.

What is not followed: functions that a step's function calls. Raise `Step.version` when one of those changes
its numbers.
"""

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from mi_bsa.core.config import Config
from mi_bsa.core.errors import BrokenFileError, MissingError, StepError
from mi_bsa.core.files import digest, digest_once, size, stable_hash, write_json
from mi_bsa.core.plain_files import read_json_object
from mi_bsa.study.pace import Work
from mi_bsa.study.registration import said_in

BROKEN: dict[str, Any] = {"key": "", "parts": {}, "state": "broken"}
"""What stands for a marker that is cut short or was changed: the step runs again."""
LAYOUT = 2
"""Of the modules: 2 has ten floors. A key hashes the name and the source of a step's function, which the move
changed and its numbers not: a marker of an older layout counts by everything else that it depends on."""
_NAME = re.compile(r"[A-Za-z0-9._+=-]+(/[A-Za-z0-9._+=-]+)*")


@dataclass(frozen=True)
class Step:
    """One step: a function of a module, and all that its outcome depends on.

    Attributes:
        name: unique, may have slashes, such as "finetune/risk/seeking-0".
        function: called as `function(cell, **arguments)`; returns None or a JSON-like value, which is kept.
        arguments: JSON-like keyword arguments of the function.
        fields: dotted config fields that it may read.
        after: names of steps, given earlier, whose value or outputs it may read.
        outputs: files or folders, relative to the run folder, that exist when it is done.
        files: files outside the run folder whose content it depends on.
        seconds: estimated time, for the plan and the time left: on the embedded model, where there is none.
        work: what it puts through its model, from which a plan knows its time on any; None: not counted.
        bytes: estimated size of the outputs, for the plan.
        resumable: keep what a killed attempt left of the outputs (the function continues there itself).
        version: raise it when code that the function calls changes its numbers.
        judges: it gives verdicts: whether the study is registered is among what it depends on, and it may
            read `cell.registration`.
        part: the part of the study that it is a step of (`within`), or "": its name, `after` and `outputs`
            then begin with it, and it sees the part's folder and config alone. Its key does not know of it.
    """

    name: str
    function: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    seconds: float | int = 1.0
    work: Work | None = None
    bytes: int = 0
    resumable: bool = False
    version: int = 1
    judges: bool = False
    part: str = ""

    def own(self, name: str) -> str:
        """A name, or an output, as it is within the step's part."""
        return name.removeprefix(f"{self.part}/") if self.part else name


def within(part: str, steps: Iterable[Step]) -> list[Step]:
    """The steps of a whole study as steps of one part of another, in a folder of the part's name."""

    def put(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{part}/{name}" for name in names)

    return [
        replace(step, part=part, name=f"{part}/{step.name}", after=put(step.after), outputs=put(step.outputs))
        for step in steps
    ]


ConfigT_co = TypeVar("ConfigT_co", covariant=True)


@dataclass(frozen=True)
class Cell(Generic[ConfigT_co]):
    """What a step's function is given: the run folder, the config it declared, the values of steps before it.

    Attributes:
        folder: the run folder, or that of the step's part; outputs are written below it.
        config: the config; reading a field that is not among the step's `fields` raises.
        step: name of the step, without the part.
        after: names of the steps whose values may be read, without it too.
        judges: whether the step declared that it gives verdicts.
        part: of the step.
    """

    folder: Path
    config: ConfigT_co
    step: str
    after: tuple[str, ...]
    judges: bool = False
    part: str = ""

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.folder.parent if self.part else self.folder

    def value(self, step: str) -> Any:
        """What a step before this one returned."""
        if step not in self.after:
            raise StepError(f"step {self.step!r} reads the value of {step!r}; add it to its `after`")
        marker = read_marker(self.run, f"{self.part}/{step}" if self.part else step)
        if marker is None or marker["state"] != "finished":
            raise StepError(f"step {self.step!r} reads {step!r}, which has not finished")
        return marker["value"]

    @property
    def registration(self) -> str:
        """Whether the study is registered or exploratory, in one line: it stands beside each verdict."""
        if not self.judges:
            raise StepError(f"step {self.step!r} reads the registration; set its `judges`")
        return said_in(self.run)

    def values(self) -> dict[str, Any]:
        """The values of all steps in `after`, by name."""
        return {step: self.value(step) for step in self.after}


@dataclass(frozen=True)
class Planned:
    """A step with its key, and whether it has to run.

    Attributes:
        step: the step.
        parts: all that its outcome depends on, JSON-like.
        key: hash of `parts`.
        reason: why it runs; None where it is finished and unchanged.
        older: whether it was finished under an older layout of the toolkit's modules.
        seconds: what it took the last time, else the step's estimate.
    """

    step: Step
    parts: Mapping[str, Any]
    key: str
    reason: str | None
    seconds: float | int
    older: bool = False


class Declared:
    """A config seen through the fields that a step declared; reading any other raises."""

    def __init__(self, config: Any, fields: Sequence[str], *, step: str, prefix: str = "") -> None:
        self._config, self._fields, self._step, self._prefix = config, tuple(fields), step, prefix

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """The config's: functions that a step calls ask for that class, and may be checked as they run."""
        return type(self._config)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        path = f"{self._prefix}{name}"
        if path in self._fields:
            return getattr(self._config, name)
        if any(declared.startswith(f"{path}.") for declared in self._fields):
            return Declared(getattr(self._config, name), self._fields, step=self._step, prefix=f"{path}.")
        raise StepError(f"step {self._step!r} reads config field {path!r}; add it to its `fields`")


def plan(steps: Sequence[Step], *, config: Config, folder: str | Path) -> list[Planned]:
    """What each step depends on, and which would run in this folder and why; writes nothing.

    Raises:
        StepError: a name twice, an `after` that names no earlier step, an unknown field, an output twice.
    """
    check(steps)
    folder, keys = Path(folder), dict[str, str]()
    values = {part: part_of(config, part).keyed() for part in {step.part for step in steps}}
    kept: dict[str, str] = {}  # keys under an older layout of steps that are finished and unchanged
    planned = []
    for step in steps:
        parts = {
            "function": f"{step.function.__module__}:{step.function.__qualname__}",
            "source": hashlib.sha256(inspect.getsource(step.function).encode()).hexdigest(),
            "version": step.version,
            "arguments": dict(step.arguments),
            "fields": {path: _pick(values[step.part], path, step.name) for path in step.fields},
            "files": [_digest_given(path, step.name) for path in step.files],
            "after": {step.own(name): keys[name] for name in step.after},
            "outputs": [step.own(output) for output in step.outputs],
        }
        if step.judges:
            parts["registration"] = said_in(folder)
        parts = json.loads(json.dumps(parts, allow_nan=False))
        key = keys[step.name] = stable_hash(parts)
        marker = read_marker(folder, step.name)
        seconds = step.seconds if marker is None else marker.get("seconds", step.seconds)
        today = _of_today(marker, parts, keys, kept)
        reason = _reason(folder, today, parts, key)
        older = marker is not None and today is not marker and reason is None
        if marker is not None and older:
            kept[step.name] = marker["key"]
        planned.append(Planned(step, parts, key, reason, seconds, older=older))
    return planned


def part_of(config: Any, part: str) -> Any:
    """The config that steps of a part see; "" is no part."""
    return config.part(part) if part else config


def check(steps: Sequence[Step]) -> None:
    """Refuse a graph that contradicts itself; steps stand in an order in which they can run."""
    known: set[str] = set()
    owners: dict[str, str] = {}
    for step in steps:
        if not _NAME.fullmatch(step.name) or ".." in step.name:
            raise StepError(
                f"step name {step.name!r}: use letters, digits, '-', '_', '.' and '/' between parts"
            )
        if step.name in known:
            raise StepError(f"step {step.name!r} is given twice; names are unique")
        for name in step.after:
            if name not in known:
                raise StepError(
                    f"step {step.name!r} comes after {name!r}, which is no earlier step; put that first"
                )
        for output in step.outputs:
            if Path(output).is_absolute() or ".." in Path(output).parts:
                raise StepError(
                    f"step {step.name!r}: output {output!r} lies outside the run folder; make it relative"
                )
            if output in owners:
                raise StepError(f"steps {owners[output]!r} and {step.name!r} both write {output!r}; keep one")
            owners[output] = step.name
        known.add(step.name)


def read_marker(folder: Path, name: str) -> dict[str, Any] | None:
    """A step's marker, None where it was never started, `BROKEN` where it is not as it was written."""
    path = marker_path(folder, name)
    if not path.is_file():
        return None
    try:
        marker = read_json_object(path, "name", "key", "parts", "state", remedy="")
    except BrokenFileError:
        return BROKEN | {"name": name}
    seal = marker.pop("seal", None)
    whole = seal is None or seal == stable_hash(marker)
    done = {"outputs", "value"} <= set(marker) or marker["state"] != "finished"
    return marker if whole and done and marker["name"] == name else BROKEN | {"name": name}


def write_marker(folder: Path, name: str, marker: Mapping[str, Any]) -> None:
    """Write a step's marker, sealed with a hash of what it says."""
    plain = json.loads(json.dumps(dict(marker), allow_nan=False))
    write_json(marker_path(folder, name), plain | {"seal": stable_hash(plain)})


def marker_path(folder: Path, name: str) -> Path:
    """Where a step's marker lies."""
    return folder / "steps" / f"{name}.json"


def fingerprint(folder: Path, outputs: Sequence[str], *, step: str) -> dict[str, dict[str, Any]]:
    """Size and content hash of each output, which must exist."""
    for output in outputs:
        if not (folder / output).exists():
            raise StepError(f"step {step!r} finished without writing {output!r}, which it declares")
    return {output: {"bytes": size(folder / output), "sha256": digest(folder / output)} for output in outputs}


def _reason(folder: Path, marker: dict[str, Any] | None, parts: Mapping[str, Any], key: str) -> str | None:
    if marker is None:
        return "new"
    if marker["state"] == "broken":
        return "its marker was changed by other hands"
    if marker["key"] != key:
        return "; ".join(_differences(marker["parts"], parts)) or "changed"
    if marker["state"] != "finished":
        return "was interrupted"
    for output, known in marker["outputs"].items():
        path = folder / output
        if not path.exists():
            return f"{output} is gone"
        if size(path) != known["bytes"] or digest(path) != known["sha256"]:
            return f"{output} was changed by other hands"
    return None


def _of_today(
    marker: dict[str, Any] | None, parts: Mapping[str, Any], keys: Mapping[str, str], kept: Mapping[str, str]
) -> dict[str, Any] | None:
    """A marker of an older layout as today's would be: where its function stands and how it is worded do not
    count, and steps before it that are unchanged in the same sense have their keys of today.

    `keys`: today's, of the steps before it. `kept`: the older keys of those that are unchanged.
    """
    if marker is None or marker["state"] == "broken" or marker.get("layout", 1) >= LAYOUT:
        return marker
    old = marker["parts"]
    after = {n: keys[n] if kept.get(n, "") == key else key for n, key in old["after"].items()}
    told = old | {"function": parts["function"], "source": parts["source"], "after": after}
    return marker | {"parts": told, "key": stable_hash(told)}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """What changed between two sets of parts, in a user's words."""
    for path, value in new["fields"].items():
        if path not in old["fields"]:
            yield f"now reads {path}"
        elif old["fields"][path] != value:
            yield from _value_differences(path, old["fields"][path], value)
    for name, key in new["after"].items():
        if old["after"].get(name) != key:
            yield f"{name} changed"
    for part, words in (
        ("source", "code"),
        ("version", "code"),
        ("arguments", "arguments"),
        ("files", "input files"),
    ):
        if old[part] != new[part]:
            yield f"{words} changed"
    if old.get("registration") != new.get("registration"):
        yield "its registration changed"


def _value_differences(path: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in new:
            if old.get(name) != new[name]:
                yield from _value_differences(f"{path}.{name}", old.get(name), new[name])
    else:
        yield f"{path}: {old!r} -> {new!r}"


def _pick(values: Any, path: str, step: str) -> Any:
    for part in path.split("."):
        if not isinstance(values, dict) or part not in values:
            raise StepError(f"step {step!r} declares config field {path!r}, which the config does not have")
        values = values[part]
    return values


def _digest_given(path: Path, step: str) -> str:
    if not path.exists():
        raise MissingError(f"{path}: not found, and step {step!r} reads it; check the path in the config")
    return digest_once(path)


def size_in_words(count: float | int) -> str:
    """A count of bytes as people say it."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
