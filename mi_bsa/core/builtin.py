"""The configs that come with the toolkit, by name: `embedded/risk` is `configs/embedded/risk.yaml`.

The law: a file that exists is that file; what is none and names a built-in config is that config, from any
folder and whether the toolkit was installed from a wheel or runs from its checkout. In a wheel `configs/`
lies inside the package (`setup.py`).
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mi_bsa.core.errors import MissingError

TOP = "configs"
"""What the folder is called in a checkout; names may begin with it."""


def folder() -> Path:
    """Where the built-in configs lie."""
    inside = Path(__file__).resolve().parents[1] / TOP
    return inside if inside.is_dir() else inside.parents[1] / TOP


def is_installed(path: Path) -> bool:
    """Whether a config lies inside the installed package, where nobody writes."""
    return path.resolve().is_relative_to(Path(__file__).resolve().parents[1])


def names() -> tuple[str, ...]:
    """The built-in configs: `embedded/apples`, `embedded/backdoor`, ..."""
    top = folder()
    return tuple(sorted(path.relative_to(top).with_suffix("").as_posix() for path in top.glob("*/*.yaml")))


def located(path: str | Path) -> Path:
    """The file that a config's path or name means.

    Raises:
        MissingError: neither a file nor a built-in config; names the nearest of both.
    """
    path = Path(path)
    if path.is_file():
        return path
    name = _name(path)
    if name in names():
        return folder() / f"{name}.yaml"
    raise MissingError(f"{path}: no such config file, and no built-in config; {_near(path, name)}")


def anchored(value: Any, path: Path) -> Any:
    """What a built-in config says, files of `configs/` that it names found where it lies; that of any other
    config as it is.
    """
    if not path.resolve().is_relative_to(folder()):
        return value
    if isinstance(value, Mapping):
        return {key: anchored(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [anchored(item, path) for item in value]
    if isinstance(value, str) and value.startswith(f"{TOP}/") and not Path(value).exists():
        return str(folder() / value.removeprefix(f"{TOP}/"))
    return value


def _name(path: Path) -> str:
    parts = path.parts[1:] if path.parts[:1] == (TOP,) else path.parts
    name = Path(*parts) if parts else path
    return (name.with_suffix("") if name.suffix == ".yaml" else name).as_posix()


def _near(path: Path, name: str) -> str:
    """What to do about a missing config: the nearest name, or where to look."""
    beside = path.parent
    files = sorted(item.name for item in beside.glob("*.yaml")) if beside.is_dir() else []
    near = difflib.get_close_matches(path.name, files, n=1, cutoff=0.5)
    if near:
        return f"did you mean {beside / near[0]}?"
    alone = {one.rpartition("/")[2]: one for one in reversed(names())}
    built_in = [alone[name]] if name in alone else difflib.get_close_matches(name, names(), n=1, cutoff=0.5)
    if built_in:
        return f"did you mean {built_in[0]}?"
    return "check the path (mi-bsa config list shows the built-in ones)"
