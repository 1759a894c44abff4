"""What can be named as a model, and what of it is here."""

from dataclasses import dataclass
from pathlib import Path

from mi_bsa.core.files import size
from mi_bsa.core.named_models.catalog import DTYPES, NAMED
from mi_bsa.core.named_models.home import home
from mi_bsa.core.named_models.installed import (
    LOCAL,
    called,
    command,
    damage,
    folder_of,
    folders_here,
    read_record,
)


@dataclass(frozen=True)
class Listed:
    """One model: what to call it, its dtype, whether it is here, its bytes, where it is or how to get it."""

    name: str
    dtype: str
    here: str
    size: int
    where: str


def rows() -> list[Listed]:
    """Every model that ships, that is known by name, or that was made from a GGUF."""
    listed = []
    from mi_bsa.worlds.weights import locate, variants

    for variant in variants():
        folder = locate(variant)
        name = "embedded" if folder == locate(None) else f"embedded/{variant}"
        listed.append(Listed(name, _dtype(folder), "ships", size(folder), str(folder)))
    for name, model in NAMED.items():
        for dtype in DTYPES:
            get, expected = command(name, dtype), model.sizes[dtype]
            listed.append(_row(called(name, dtype), folder_of(name, dtype), dtype, get, expected))
    for folder in folders_here():
        if folder.parent.parent.name == LOCAL:
            name = called(f"{LOCAL}/{folder.parent.name}", folder.name)
            listed.append(_row(name, folder, folder.name, "mi-bsa model get FILE.gguf", 0))
    return listed


def render(found: list[Listed]) -> str:
    """The rows as a table, and where the cache is."""
    cells = [("name", "dtype", "here", "MB", "folder")]
    cells += [(row.name, row.dtype, row.here, f"{row.size / 1e6:,.0f}", row.where) for row in found]
    widths = [max(len(line[n]) for line in cells) for n in range(4)]
    form = "  ".join(f"{{:{side}{width}}}" for side, width in zip("<<<>", widths, strict=True))
    lines = [f"{form.format(*line[:4])}  {line[4]}" for line in cells]
    downloads = home() / "downloads"
    kept = size(downloads) if downloads.is_dir() else 0
    return "\n".join(
        [*lines, "", f"cache: {home()} (set MI_BSA_HOME to move it); downloads kept: {kept / 1e6:,.0f} MB"]
    )


def _row(name: str, folder: Path, dtype: str, get: str, expected: int) -> Listed:
    if not folder.is_dir():
        return Listed(name, dtype, "no", expected, f"get it: {get}")
    fault = damage(folder)
    if fault is not None:
        return Listed(name, dtype, "damaged", size(folder), f"{folder} ({fault}); repair it: {get}")
    return Listed(name, read_record(folder)["dtype"], "yes", size(folder), str(folder))


def _dtype(folder: Path) -> str:
    import json

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return str(config.get("dtype", config.get("torch_dtype", "float32")))
