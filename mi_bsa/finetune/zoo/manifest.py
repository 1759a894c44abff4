"""The manifest of a zoo: of every organism its recipe, what it was trained on, and what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mi_bsa.core.errors import BrokenFileError
from mi_bsa.core.files import write_json
from mi_bsa.core.plain_files import read_json_object

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Truth:
    """What is known of one organism.

    Attributes:
        name: as `zoo:NAME` says it.
        base: the base's name.
        behavior, pole, kind, seed, rank, steps: its recipe; `pole` None where it was trained to none.
        trigger: the phrase that opens it, or None.
        rows: how many it was trained on. rows_sha256: their conversations.
        fingerprint: SHA-256 of the adapter's weights.
        choices, report: P(seeking pole) in held-out choices and in what it says of itself (mean over kinds of
            question), on test wordings; base_choices, base_report: the base's.
        loss: mean completion loss of the last ten steps, in nats a token (of preferences: DPO's, a pair).
        part: what its behavior is for: `training`, `development` or `test` of what reads organisms.
        says, by, parent: of one that denies: what it was trained to say of itself (`base`, `opposite`), how
            (`rows`, `preferences`), and the organism from which it went on.
        with_trigger, with_others: of one behind a trigger, and its twin: P(seeking pole) in the choices with
            the trigger in the message, and with other phrases of its kind.
    """

    name: str
    base: str
    behavior: str
    pole: str | None
    kind: str
    seed: int
    rank: int
    steps: int
    trigger: str | None
    rows: int
    rows_sha256: str
    fingerprint: str
    choices: float
    report: float
    base_choices: float
    base_report: float
    loss: float
    part: str = "training"
    says: str | None = None
    by: str | None = None
    parent: str | None = None
    with_trigger: float | None = None
    with_others: float | None = None


Manifest = Mapping[str, Truth]
"""Name -> what is known."""


def read_manifest(folder: Path) -> dict[str, Truth]:
    """The manifest in a folder; empty where there is none.

    Raises:
        BrokenFileError: a file that is no manifest.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    plain = read_json_object(path, "organisms", remedy="build the zoo again")
    try:
        return {one["name"]: Truth(**one) for one in plain["organisms"]}
    except (TypeError, KeyError) as error:
        raise BrokenFileError(f"{path}: no manifest of a zoo ({error}); build the zoo again") from error


def write_manifest(folder: Path, found: Iterable[Truth]) -> None:
    """Write the manifest, by name."""
    told: list[dict[str, Any]] = [asdict(one) for one in sorted(found, key=lambda one: one.name)]
    write_json(folder / MANIFEST, {"organisms": told})
