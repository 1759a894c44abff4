"""What a finetune leaves behind: its result, its loss curve, and where they lie."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mi_bsa.core import record
from mi_bsa.core.errors import BrokenFileError, ConfigError
from mi_bsa.core.files import digest, stable_hash, write_atomic, write_json
from mi_bsa.core.plain_files import read_json_object
from mi_bsa.core.record import ANOTHER

RESULT = "finetune.json"
WEIGHTS = "adapter_model.safetensors"


def rank() -> int:
    """This process's rank under `accelerate launch`, 0 on its own; only rank 0 writes."""
    return int(os.environ.get("RANK", "0"))


@dataclass(frozen=True)
class FinetuneResult:
    """What a finetune left behind.

    Attributes:
        out: the run folder. adapter: the adapter in PEFT's format, inside it.
        checkpoints: adapters kept along the way, by step.
        steps: optimizer steps taken; early: whether it stopped before the last planned one.
        loss: mean completion loss (nats a token) of the last ten steps.
        n_rows, n_trained_tokens: rows, and tokens under the loss in one pass over them.
        n_parameters: trained parameters. fingerprint: SHA-256 of the adapter's weights file.
        base: the base's name and the sums of its weights, by which `activations.load` knows it again; None in
            results of before.
    """

    out: Path
    adapter: Path
    checkpoints: dict[int, Path]
    steps: int
    early: bool
    loss: float
    n_rows: int
    n_trained_tokens: int
    n_parameters: int
    fingerprint: str
    base: dict[str, Any] | None = None


def write_result(result: FinetuneResult) -> None:
    """Write the result into its folder, paths relative to it; the mark of a finished run."""
    plain = asdict(result)
    plain["checkpoints"] = {str(k): str(v.relative_to(result.out)) for k, v in result.checkpoints.items()}
    folders = [result.adapter, *result.checkpoints.values(), result.out / "directions"]
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
    sums = {file.relative_to(result.out).as_posix(): digest(file) for file in files}
    kept = plain | {"out": ".", "adapter": "adapter", "sha256": sums}
    write_json(result.out / RESULT, kept | {"seal": stable_hash(json.loads(json.dumps(kept)))})


def check_files(out: str | Path, *, within: str = "") -> None:
    """Refuse a finished finetune whose files are not those that it left; `within`: only those below.

    Raises:
        BrokenFileError: a file that is gone, or whose bytes have changed; the message names it.
    """
    out = Path(out)
    plain = read_json_object(out / RESULT, "fingerprint", remedy=ANOTHER)
    seal = plain.pop("seal", None)
    if seal is not None and seal != stable_hash(plain):
        raise BrokenFileError(f"{out / RESULT}: was changed after the finetune ended; {ANOTHER}")
    sums = plain.get("sha256")
    if not isinstance(sums, dict):  # of a version that kept the weights' hash alone
        sums = {f"adapter/{WEIGHTS}": plain["fingerprint"]}
    for name, known in sums.items():
        if not name.startswith(within):
            continue
        if not (out / name).is_file():
            raise BrokenFileError(f"{out / name}: is gone since the finetune ended; {ANOTHER}")
        if digest(out / name) != known:
            raise BrokenFileError(f"{out / name}: was changed after the finetune ended ({RESULT}); {ANOTHER}")


def check_adapters(folders: Iterable[str | Path]) -> None:
    """Refuse an adapter of a finetune of ours whose files are not those that the finetune left; adapters
    from elsewhere come without hashes and are taken as they are.

    Raises:
        BrokenFileError: as `check_files`.
    """
    for folder in map(Path, folders):
        for out in (folder.parent, folder.parent.parent):  # OUT/adapter, OUT/checkpoints/step-000010
            if (out / RESULT).is_file() and (out / "identity.json").is_file():
                check_files(out, within=f"{folder.relative_to(out).as_posix()}/")
                break


def read_result(out: str | Path) -> FinetuneResult:
    """The result that a finished finetune left in its folder. Raises `ConfigError` where there is none."""
    out = Path(out)
    if not (out / RESULT).is_file():
        raise ConfigError(f"{out}: no finished finetune ({RESULT} is missing); run it, or resume it")
    check_files(out)
    needed = [name for name in FinetuneResult.__dataclass_fields__ if name != "base"]  # of before: without
    plain = read_json_object(out / RESULT, *needed, remedy=ANOTHER)
    for key in ("sha256", "seal"):
        plain.pop(key, None)
    try:
        plain["checkpoints"] = {int(k): out / v for k, v in plain["checkpoints"].items()}
        return FinetuneResult(**{**plain, "out": out, "adapter": out / plain["adapter"]})
    except (TypeError, ValueError, AttributeError):
        raise BrokenFileError(f"{out / RESULT}: does not hold a finetune's result; {ANOTHER}") from None


def metrics(out: str | Path) -> list[dict[str, float | int]]:
    """The loss curve of a finetune: one row a step with `step`, `loss`, `grad_norm`, `learning_rate`."""
    return record.RunFolder.at(out).metrics()


def _rows(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a loss curve. Raises `BrokenFileError` where one is none."""
    rows = record.whole_lines(path)
    for number, row in enumerate(rows, start=1):
        where = f"file {str(path)!r} line {number}"
        whole = isinstance(row, dict) and {"step", "loss"} <= set(row)
        if not whole or not all(isinstance(value, int | float) for value in row.values()):
            raise BrokenFileError(f"{where} is no step of a loss curve; {ANOTHER}")
    return rows


def curve_hash(path: Path, *, keep: int) -> str:
    """`Curve.hash` of a curve on disk up to a step. Raises `BrokenFileError` where it holds no curve."""
    return stable_hash([row for row in _rows(path) if row["step"] <= keep])


class Curve:
    """The loss curve on disk and in memory; starts again behind the step that a run resumes from."""

    def __init__(self, path: Path, *, keep: int) -> None:
        self.path = path
        self.rows = [row for row in _rows(path) if row["step"] <= keep] if keep and path.is_file() else []
        self.losses: list[float] = [row["loss"] for row in self.rows]
        if rank() == 0:
            write_atomic(path, "".join(json.dumps(row) + "\n" for row in self.rows))

    @property
    def hash(self) -> str:
        """What a state of the training keeps of the curve, so that it goes on from no other."""
        return stable_hash(self.rows)

    def add(self, step: int, logs: dict[str, float]) -> None:
        self.losses.append(float(logs["loss"]))
        row: dict[str, float | int] = {"step": step}
        row |= {k: float(logs[k]) for k in ("loss", "grad_norm", "learning_rate") if k in logs}
        self.rows.append(row)
        if rank() == 0:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
