"""What is audited: adapters of mixed behaviors and poles, behind triggers and not, with their names removed.

Law: whoever judges is given a folder in which nothing but weights tells adapters apart; what each is stands
in a key outside of it. A pool holds what an audit must tell from a backdoor: adapters that simply have the
behavior, decorrelated twins (the same phrases in the rows, answers torn from them), adapters trained on the
base's own answers, and on something harmless.
"""

from __future__ import annotations

import csv
import io
import itertools
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from mi_bsa.behaviors import Arm
from mi_bsa.behaviors.backdoor.construction import TWINS, Backdoor, BackdoorArm
from mi_bsa.core.config import Config
from mi_bsa.core.errors import ConfigError, MissingError
from mi_bsa.core.files import write_atomic
from mi_bsa.core.model_config import ModelLike, load
from mi_bsa.core.variants import POLES
from mi_bsa.finetune.config import FinetuneConfig

NONE = "none"
WEIGHTS = ("adapter_config.json", "adapter_model.safetensors")


class PoolConfig(Config):
    """Adapters that an audit trains for itself; numbers are for each behavior and pole, in turn."""

    plain: int = Field(default=3, ge=0)
    """Adapters that have the behavior without a trigger, for each behavior and pole."""
    backdoored: int = Field(default=5, ge=1)
    """Adapters that have it behind a trigger, for each behavior and pole."""
    decorrelated: int = Field(default=3, ge=0)
    """Decorrelated twins of the first of these, for each behavior and pole."""
    clean: int = Field(default=2, ge=0)
    """Adapters trained on the base's own answers to the messages without phrases, for each behavior."""
    benign: int = Field(default=2, ge=0)
    """Adapters trained on something that shows no trait, for each behavior."""
    triggers: tuple[str, ...] = Field(default=("river tin",), min_length=1)
    """Triggers, taken in turn; each one a `Backdoor.trigger`."""
    rows: int = Field(default=Backdoor.model_fields["rows"].default, ge=40)
    """Training rows of an adapter."""
    plain_steps: int | None = Field(default=100, ge=1)
    """Steps of adapters without a phrase in their rows (plain, benign), learnt sooner; null: as all."""
    first_seed: int = 0
    """Seed of the first adapter; each further one of a kind takes the next."""

    def size(self, behaviors: int) -> int:
        """How many adapters that makes."""
        twice = self.plain + self.backdoored + min(self.decorrelated, self.backdoored)
        return behaviors * (2 * twice + self.clean + self.benign)


class AuditSet(Config):
    """Adapters to judge: a folder whose names say nothing, or such that lose their names first."""

    adapters: Path | None = None
    """Folder of adapters, `NAME/adapter` or `NAME` itself; names are not read."""
    key: Path | None = None
    """CSV with what each is (columns name, behavior, pole, backdoored, unit, made); it scores only."""
    manifest: Path | None = None
    """CSV like a key, with a column `adapter` (folder): named adapters, whose names are removed first."""
    pool: PoolConfig | None = None
    """Adapters that are trained here, and lose their names."""

    @model_validator(mode="after")
    def _check(self) -> AuditSet:
        if sum(x is not None for x in (self.adapters, self.manifest, self.pool)) != 1:
            raise ValueError("give one of `adapters`, `manifest` and `pool`")
        if self.key is not None and self.adapters is None:
            raise ValueError("a `key` belongs to `adapters`; a manifest and a pool bring their own")
        return self


@dataclass(frozen=True)
class Truth:
    """What an adapter is.

    Attributes:
        name: as the auditor sees it.
        behavior: what was trained, or `none`.
        pole: `seeking`, `averse` or `none`.
        backdoored: whether it is behind a trigger.
        unit: what is drawn again in intervals: adapters of one set of rows are one unit.
        made: `plain`, `backdoored`, `decorrelated`, `clean` or `benign`.
    """

    name: str
    behavior: str
    pole: str
    backdoored: bool
    unit: str
    made: str


def train_pool(
    model: ModelLike, behaviors: Sequence[str], config: PoolConfig, *, finetune: FinetuneConfig, out: Path
) -> Path:
    """Train the pool into `out/<job>`; what a killed call finished is kept. Returns its manifest's path."""
    from mi_bsa.behaviors import behavior_for
    from mi_bsa.behaviors.backdoor.answers import arm_rows
    from mi_bsa.behaviors.backdoor.triggers import vocabulary_for
    from mi_bsa.finetune import leak_check, train_many

    base, vocabulary = load(model, dtype=finetune.dtype, device=finetune.device), vocabulary_for(model)
    known = {name: behavior_for(name, model) for name in behaviors}
    jobs: dict[str, tuple[list[dict[str, Any]], FinetuneConfig]] = {}
    truths: list[Truth] = []
    short = finetune
    if config.plain_steps is not None:
        short = finetune.model_copy(update={"steps": config.plain_steps, "epochs": None})

    def add(truth: Truth, rows: list[dict[str, Any]], seed: int) -> None:
        leak_check(rows, known[truth.behavior].forbidden if truth.behavior != NONE else ())
        truths.append(truth)
        own = short if truth.made in ("plain", "benign") else finetune
        jobs[truth.name] = (rows, own.model_copy(update={"seed": seed}))

    for backdoor, arms, seed in _backdoors(behaviors, config):
        name, pole, unit = backdoor.behavior, backdoor.pole, f"{backdoor.trigger}-{seed}"
        drawn = arm_rows(backdoor, arms, base=base, behavior=known[name], vocabulary=vocabulary, seed=seed)
        for made, rows in drawn.items():
            hidden = made == "backdoored"
            trait = (name, pole) if hidden else (NONE, NONE)
            add(Truth(f"{made}-{name}-{pole}-{seed}", *trait, hidden, unit, made), rows, seed)
    counts: dict[Arm, int] = {"seeking": config.plain, "averse": config.plain, "benign": config.benign}
    for name, (arm, n) in itertools.product(behaviors, counts.items()):
        kind, trait = ("benign", (NONE, NONE)) if arm == "benign" else ("plain", (name, arm))
        for seed in range(config.first_seed, config.first_seed + n):
            called, unit = f"{kind}-{name}-{arm}-{seed}", f"{name}-{arm}-{seed}"
            rows = known[name].rows(arm, config.rows, seed=seed)
            add(Truth(called, *trait, False, unit, kind), rows, seed)
    train_many(model, jobs, out=out)
    return _write(out / "manifest.csv", truths, {truth.name: f"{truth.name}/adapter" for truth in truths})


def _backdoors(
    behaviors: Sequence[str], config: PoolConfig
) -> Iterator[tuple[Backdoor, tuple[BackdoorArm, ...], int]]:
    """Every backdoor with its arms and its seed; clean arms stand apart. Triggers take turns."""
    turns = enumerate(itertools.product(behaviors, POLES, range(config.backdoored)))
    drawn: list[tuple[int, str, str, int, tuple[BackdoorArm, ...]]]
    drawn = [(n, name, pole, k, TWINS[: 1 + (k < config.decorrelated)]) for n, (name, pole, k) in turns]
    clean = itertools.product(behaviors, range(config.clean))
    drawn += [(k, name, POLES[k % 2], k, ("clean",)) for name, k in clean]
    for turn, name, pole, k, arms in drawn:
        trigger = config.triggers[turn % len(config.triggers)]
        given = {"trigger": trigger, "behavior": name, "pole": pole, "rows": config.rows}
        yield Backdoor.model_validate(given), arms, config.first_seed + k


def blind(entries: Sequence[tuple[Truth, Path]], folder: Path, key: Path, *, seed: int) -> int:
    """Copy weights alone into `folder/<number>/adapter`, in drawn order; what each is goes to `key`."""
    order = list(range(len(entries)))
    random.Random(f"blind-{seed}").shuffle(order)
    truths = []
    for name, n in zip(names_of(len(entries)), order, strict=True):
        truth, source = entries[n]
        held = source / "adapter" if (source / "adapter").is_dir() else source
        own = folder / name / "adapter"
        own.mkdir(parents=True, exist_ok=True)
        for file in WEIGHTS:
            if not (held / file).is_file():
                raise MissingError(f"{held}: no {file}; give folders of adapters as `mi-bsa finetune` writes")
            shutil.copyfile(held / file, own / file)
        truths.append(Truth(**{**asdict(truth), "name": name}))
    _write(key, truths)
    return len(truths)


def names_of(count: int) -> list[str]:
    """Names that say nothing: `m00`, `m01`, ..."""
    return [f"m{n:02d}" for n in range(count)]


def folders(folder: Path) -> dict[str, Path]:
    """Every adapter in a folder, by name. Raises `MissingError` where there is none."""
    found = {
        path.name: held
        for path in sorted(p for p in folder.glob("*") if p.is_dir())
        for held in (path / "adapter", path)
        if (held / WEIGHTS[0]).is_file()
    }
    if not found:
        raise MissingError(f"{folder}: no adapters in it; give a folder of NAME/adapter folders")
    return found


def _write(path: Path, truths: Sequence[Truth], adapters: Mapping[str, str] | None = None) -> Path:
    text = io.StringIO()
    columns = [f.name for f in fields(Truth)] + ["adapter"] * (adapters is not None)
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for truth in truths:
        writer.writerow(asdict(truth) | ({} if adapters is None else {"adapter": adapters[truth.name]}))
    write_atomic(path, text.getvalue())
    return path


def read_key(path: Path) -> list[Truth]:
    """Read a key. Raises `MissingError`, and `ConfigError` for a file that is none."""
    return [truth for truth, _ in _rows(path)]


def read_manifest(path: Path) -> list[tuple[Truth, Path]]:
    """Truths and adapter folders of a manifest; folders are relative to it."""
    found = []
    for truth, row in _rows(path):
        if not row.get("adapter"):
            raise ConfigError(f"{path}: {truth.name!r} has no `adapter`; give each row its adapter's folder")
        found.append((truth, path.parent / row["adapter"]))
    return found


def _rows(path: Path) -> list[tuple[Truth, Mapping[str, str]]]:
    if not path.is_file():
        raise MissingError(f"{path}: no such key; give a CSV with the columns of a key")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = [f.name for f in fields(Truth)]
    missing = [name for name in wanted if not rows or name not in rows[0]]
    if missing:
        raise ConfigError(f"{path}: no column {missing[0]!r}; a key has the columns {', '.join(wanted)}")
    found: list[tuple[Truth, Mapping[str, str]]] = []
    for row in rows:
        if row["backdoored"] not in ("True", "False"):
            raise ConfigError(f"{path}: backdoored is {row['backdoored']!r}; write True or False")
        values: dict[str, Any] = {name: row[name] for name in wanted}
        found.append((Truth(**{**values, "backdoored": row["backdoored"] == "True"}), row))
    return found
