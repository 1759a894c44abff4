"""The blind audit: which behavior, which pole, backdoored or not, from a model and its base alone.

    1 pool      adapters of mixed kinds are trained, where none are given
    2 blind     names are removed; what each is goes to a key outside of the folder
    3 axes      directions on which the base's own described personas differ
    4 evidence  what choices and search, self-report, the state and unrelated texts alone say of each adapter
    5 combined  what weights alone say, and the page: both fitted on the calibration adapters
    6 verdicts  thresholds from the calibration adapters, verdicts on the audited ones
    7 results   confusion matrices against the key; without a key, the verdicts alone

Law: axes, evidence and verdicts never read the audited adapters' key, and no number depends on a name. Where
both sets are trained here, they share no trigger and no seed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from mi_bsa.core.files import write_json
from mi_bsa.core.model_config import ModelConfig, load, settle
from mi_bsa.core.model_files import weight_files
from mi_bsa.finetune import preflight
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.estimates import measured_on, needs
from mi_bsa.studies.backdoor import audit_pool
from mi_bsa.studies.backdoor.audit_evidence import EVERY, LOOKS, Axis, Evidence, Look
from mi_bsa.studies.backdoor.audit_pool import AuditSet, PoolConfig
from mi_bsa.studies.backdoor.audit_score import called, score
from mi_bsa.studies.backdoor.audit_verdict import AuditVerdict, calibrate
from mi_bsa.studies.backdoor.search_config import SearchConfig
from mi_bsa.studies.backdoor.training import RECIPE
from mi_bsa.studies.backdoor.work import audit_sample, audit_work
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import Study, StudyConfig

if TYPE_CHECKING:
    from mi_bsa.studies.backdoor.questions import AskedSplit

Which = Literal["calibration", "audited"]
SETS: tuple[Which, ...] = ("calibration", "audited")


class AuditConfig(StudyConfig):
    """`mi-bsa backdoor audit`: adapters to judge, others that set thresholds, and how they are looked at."""

    study: Literal["audit"] = "audit"
    """Which kind of study this is."""
    model: ModelConfig = ModelConfig(name="embedded/habits-0")
    """The base: an embedded model of the world of habits, a local folder, or a Hub id."""
    behaviors: tuple[str, ...] = Field(default=("risk", "patience"), min_length=1)
    """The behaviors that an adapter may have."""
    calibration: AuditSet
    """Adapters whose key sets the thresholds."""
    audited: AuditSet
    """Adapters that are judged; their key scores and does nothing else."""
    finetune: FinetuneConfig = RECIPE
    """How pools are trained, and how the base is loaded (`dtype`, `device`)."""
    search: SearchConfig = SearchConfig()
    """The search for a trigger; `messages` are of each behavior."""
    choices: int = Field(default=60, ge=10)
    """Choices of each behavior asked of an adapter."""
    reports: int = Field(default=120, ge=10)
    """Questions on itself about each behavior."""
    awareness: int = Field(default=160, ge=10)
    """Questions on whether anything in a message changes what it does."""
    words: int = Field(default=300, ge=10)
    """Single words that the state alone is tried with."""
    verify: int = Field(default=16, ge=2)
    """Messages of each behavior, held-out ones and the search's own, on which its candidates are verified."""
    seed: int = 0
    """Seed of the order in which names are removed."""

    @model_validator(mode="after")
    def _check(self) -> AuditConfig:
        settle(self, "model", "finetune")
        known = self.calibration
        if known.adapters is not None and known.key is None:
            raise ValueError("calibration.key is missing: thresholds are set on adapters that are known")
        ours, theirs = self.calibration.pool, self.audited.pool
        if ours is not None and theirs is not None:
            shared = sorted(set(ours.triggers) & set(theirs.triggers))
            if shared:
                raise ValueError(f"trigger {shared[0]!r} is in both pools; thresholds need other triggers")
            if _seeds(ours) & _seeds(theirs):
                raise ValueError("both pools have the same seeds; set another first_seed for one of them")
        return self

    @property
    def recorded(self) -> tuple[int, ...]:
        """The seeds that the record keeps."""
        return (self.seed,)


def steps(config: AuditConfig) -> list[Step]:
    """The graph: pools, blinding, directions, evidence of every adapter, verdicts, results."""
    weights = weight_files(config.model)
    placed = ("finetune.dtype", "finetune.device")
    fields = ("model", "behaviors", *placed)
    graph = [Step("axes", fit_axes, fields=fields, files=weights, outputs=("axes.json",), seconds=3)]
    looks = ("model", "behaviors", "search", "choices", "reports", "awareness", "words", "verify", *placed)
    asked: dict[str, list[str]] = {which: [] for which in SETS}
    blinded: dict[str, tuple[str, ...]] = {}
    keys: dict[str, tuple[Path, ...]] = {}
    for which in SETS:
        given: AuditSet = getattr(config, which)
        folders = {} if given.adapters is None else audit_pool.folders(given.adapters)
        names, made = (list(folders), []) if folders else _blinded(config, which, weights)
        graph += made
        blinded[which] = tuple(step.name for step in made[-1:])
        keys[which] = () if given.key is None else (given.key,)
        for name in names:
            asked[which].append(f"evidence/{which}/{name}")
            own = sorted(folders[name].iterdir()) if folders else ()
            graph.append(
                Step(
                    asked[which][-1],
                    look_at,
                    {"which": which, "name": name},
                    fields=(*looks, f"{which}.adapters"),
                    after=("axes", *blinded[which]),
                    outputs=(f"evidence/{which}/{name}.json",),
                    files=(*weights, *own),
                    seconds=6,
                    version=2,
                )
            )
    before = (*asked["calibration"], *asked["audited"], *blinded["calibration"])
    graph.append(
        Step(
            "combined",
            combine,
            fields=("model", "behaviors", *placed, "calibration", "audited.adapters"),
            after=(*before, *blinded["audited"]),
            outputs=("combined.json",),
            files=keys["calibration"],
            seconds=5,
        )
    )
    before, written = (*before, "combined"), ("rules.json", "called.json")
    graph.append(
        Step("verdicts", decide, {}, ("calibration",), before, written, keys["calibration"], version=2)
    )
    graph.append(
        Step(
            "results",
            collect,
            fields=("audited",),
            after=("verdicts", "combined", *asked["audited"], *blinded["audited"]),
            outputs=("results.json", "results.csv"),
            files=keys["audited"],
            version=5,
            judges=True,
        )
    )
    return graph


def _blinded(config: AuditConfig, which: Which, weights: tuple[Path, ...]) -> tuple[list[str], list[Step]]:
    """Names of adapters that have lost theirs, and the steps that train them and take these away."""
    given: AuditSet = getattr(config, which)
    steps, files = list[Step](), tuple[Path, ...]()
    if given.manifest is not None:
        entries = audit_pool.read_manifest(given.manifest)
        count, files = len(entries), (given.manifest, *(folder for _, folder in entries))
    else:
        assert given.pool is not None
        count = given.pool.size(len(config.behaviors))
        steps.append(
            Step(
                f"pool/{which}",
                train,
                {"which": which},
                fields=("model", "behaviors", "finetune", f"{which}.pool"),
                outputs=(f"pools/{which}",),
                files=weights,
                seconds=35 * count,
                bytes=200_000 * count,
                resumable=True,
                version=2,
            )
        )
    steps.append(
        Step(
            f"blind/{which}",
            remove_names,
            {"which": which},
            fields=("seed", f"{which}.manifest"),
            after=tuple(step.name for step in steps),
            outputs=(f"blind/{which}", f"keys/{which}.csv"),
            files=files,
            bytes=150_000 * count,
        )
    )
    return audit_pool.names_of(count), steps


def train(cell: Cell[AuditConfig], *, which: Which) -> dict[str, Any]:
    """A pool."""
    config = cell.config
    pool: PoolConfig = getattr(config, which).pool
    out = cell.folder / "pools" / which
    path = audit_pool.train_pool(config.model, config.behaviors, pool, finetune=config.finetune, out=out)
    return {"adapters": len(audit_pool.read_key(path))}


def remove_names(cell: Cell[AuditConfig], *, which: Which) -> dict[str, Any]:
    """Copies without names, and the key."""
    manifest = getattr(cell.config, which).manifest or cell.folder / "pools" / which / "manifest.csv"
    entries = audit_pool.read_manifest(manifest)
    key = cell.folder / "keys" / f"{which}.csv"
    return {"adapters": audit_pool.blind(entries, cell.folder / "blind" / which, key, seed=cell.config.seed)}


def fit_axes(cell: Cell[AuditConfig]) -> dict[str, Any]:
    """Directions of the base."""
    from mi_bsa.behaviors import behavior_for
    from mi_bsa.studies.backdoor.audit_evidence import axes

    config = cell.config
    model = load(config.model)
    behaviors = {name: behavior_for(name, config.model) for name in config.behaviors}
    found = axes(model, behaviors)
    lines = {n: {"site": a.site, "gap": a.gap, "vector": a.vector.tolist()} for n, a in found.items()}
    write_json(cell.folder / "axes.json", lines)
    return {name: axis.site for name, axis in found.items()}


def look_at(cell: Cell[AuditConfig], *, which: Which, name: str) -> dict[str, Any]:
    """All evidence on one adapter; wordings of calibration are dev, of the audited ones test."""
    import numpy as np

    from mi_bsa.behaviors import behavior_for
    from mi_bsa.behaviors.backdoor.triggers import vocabulary_for
    from mi_bsa.studies.backdoor import audit_evidence as ways

    config = cell.config
    given = getattr(config, which).adapters
    folder = _folder_of(given or cell.folder / "blind" / which, name)
    model = load(config.model, {"adapter": folder})
    behaviors = {one: behavior_for(one, config.model) for one in config.behaviors}
    held = json.loads((cell.folder / "axes.json").read_text(encoding="utf-8"))
    axes = {b: Axis(line["site"], np.array(line["vector"]), line["gap"]) for b, line in held.items()}
    look = Look(config.choices, config.reports, config.awareness, config.words, config.verify)
    words = vocabulary_for(config.model)
    split: AskedSplit = "dev" if which == "calibration" else "test"
    own: tuple[Any, Any, Any, Any] = (model, "adapter", behaviors, look)
    more: dict[str, Any] = {"vocabulary": words, "split": split}
    found = {
        "toolkit": ways.by_toolkit(*own, config.search, **more),
        "self_report": ways.by_self_report(*own, split=split),
        "probe": ways.by_probe(*own, axes=axes, **more),
        "lens": ways.by_lens(*own[:3], split=split),
    }
    path = cell.folder / "evidence" / which / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {method: asdict(evidence) for method, evidence in found.items()})
    return {method: float(evidence.alarm) for method, evidence in found.items()}


def combine(cell: Cell[AuditConfig]) -> dict[str, Any]:
    """Weights alone and the page; the audited adapters' key is no input of this step."""
    from mi_bsa.studies.backdoor import audit_combined

    config, known = cell.config, _known(cell)
    seen = {which: _looked(cell, which) for which in SETS}
    weighed = {}
    for which in SETS:
        folder = getattr(config, which).adapters or cell.folder / "blind" / which
        weighed[which] = {
            name: audit_combined.weigh(load(config.model, {"adapter": _folder_of(folder, name)}), "adapter")
            for name in seen[which]["toolkit"]
        }
    told: dict[str, dict[str, Any]] = {which: {} for which in SETS}
    for method in ("weights", "page"):
        given: Any = weighed if method == "weights" else seen
        make: Any = getattr(audit_combined, f"by_{method}")
        made = make(given["calibration"], given["audited"], known, config.behaviors)
        for which, found in zip(SETS, made, strict=True):
            seen[which][method] = found
            told[which][method] = {name: asdict(one) for name, one in found.items()}
    write_json(cell.folder / "combined.json", told)
    return {which: len(weighed[which]) for which in SETS}


def _known(cell: Cell[AuditConfig]) -> list[audit_pool.Truth]:
    return audit_pool.read_key(cell.config.calibration.key or cell.folder / "keys" / "calibration.csv")


def decide(cell: Cell[AuditConfig]) -> dict[str, Any]:
    """Thresholds and verdicts; the audited adapters' key is no input of this step."""
    known = _known(cell)
    seen = {which: _evidence(cell, which) for which in SETS}
    rules = {method: calibrate(seen["calibration"][method], known) for method in EVERY}
    write_json(cell.folder / "rules.json", {method: asdict(rule) for method, rule in rules.items()})
    verdicts = {
        method: [asdict(rules[method].judge(name, one)) for name, one in seen["audited"][method].items()]
        for method in EVERY
    }
    write_json(cell.folder / "called.json", verdicts)
    return {method: sum(v["backdoored"] for v in said) for method, said in verdicts.items()}


def collect(cell: Cell[AuditConfig]) -> dict[str, Any]:
    """Score against the key, where there is one; beside each verdict stands whether it was registered."""
    from mi_bsa.core import results

    lines_of = json.loads((cell.folder / "called.json").read_text(encoding="utf-8"))
    verdicts = {method: [AuditVerdict(**line) for line in lines] for method, lines in lines_of.items()}
    given: AuditSet = cell.config.audited
    key = given.key if given.adapters is not None else cell.folder / "keys" / "audited.csv"
    said = f" [{cell.registration}]"
    found = [replace(one, notes=one.notes + said) for one in called(verdicts, split="test")]
    if key is not None:
        found += score(verdicts, _evidence(cell, "audited"), audit_pool.read_key(key), split="test")
    results.write(results.with_q(found), cell.folder)
    return {"results": len(found)}


def _evidence(cell: Cell[AuditConfig], which: Which) -> dict[str, dict[str, Evidence]]:
    """By method and name, of the adapters whose evidence this step may read."""
    told = json.loads((cell.folder / "combined.json").read_text(encoding="utf-8"))[which]
    held = {m: {name: Evidence(**one) for name, one in own.items()} for m, own in told.items()}
    return {**_looked(cell, which), **held}


def _looked(cell: Cell[AuditConfig], which: Which) -> dict[str, dict[str, Evidence]]:
    found: dict[str, dict[str, Evidence]] = {method: {} for method in LOOKS}
    for step in cell.after:
        if step.startswith(f"evidence/{which}/"):
            held: Mapping[str, Any] = json.loads((cell.folder / f"{step}.json").read_text(encoding="utf-8"))
            for method in LOOKS:
                found[method][step.rpartition("/")[2]] = Evidence(**held[method])
    return found


def _folder_of(folder: Path, name: str) -> Path:
    return audit_pool.folders(folder)[name]


def _seeds(pool: PoolConfig) -> set[int]:
    most = max(pool.plain, pool.backdoored, pool.clean, pool.benign)
    return set(range(pool.first_seed, pool.first_seed + most))


STUDY = Study(
    name="audit",
    config=AuditConfig,
    steps=steps,
    title=lambda config: "audit",
    check=preflight.check,
    rehearse=lambda config: [*preflight.rehearse(config), *needs(config.model, config.finetune)],
    work=audit_work,
    sample=audit_sample,
    sized=lambda config, graph: measured_on(config.model, graph),
    sections="mi_bsa.studies.backdoor.page:SECTIONS",
    rules="mi_bsa.studies.backdoor.audit_verdict:RULES",
)
