"""A run folder as one frozen value: results as a table, verdicts, figures, adapters and directions by name.

The law: what it says is what the files say, read when it is first asked for and never changed; a name that is
not there is told with the nearest.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from activations.showing import Shows, table
from mi_bsa.core import results
from mi_bsa.core.config import read_yaml
from mi_bsa.core.errors import MissingError
from mi_bsa.core.items import Item, prompts_of, read_items
from mi_bsa.core.record import RunFolder
from mi_bsa.core.variants import POLES, Variant
from mi_bsa.report.page import read_verdicts

if TYPE_CHECKING:
    import pandas as pd

    from activations import Model
    from probes import Direction

MOST = 12
"""Names that a mapping shows."""
ValueT = TypeVar("ValueT")


class Named(Mapping[str, ValueT]):
    """Values by name; one that is not there is told with the nearest."""

    def __init__(self, values: Mapping[str, ValueT], what: str) -> None:
        self._values, self._what = dict(values), what

    def __getitem__(self, name: str) -> ValueT:
        if name not in self._values:
            near = difflib.get_close_matches(str(name), self._values, n=1)
            known = ", ".join(self._values) or "none"
            how = f"did you mean {near[0]!r}?" if near else f"there are: {known}"
            raise MissingError(f"no {self._what} {name!r} in this run; {how}")
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        shown = ", ".join(list(self._values)[:MOST]) + (", ..." if len(self) > MOST else "")
        return f"{len(self)} x {self._what}: {shown}"


@dataclass(frozen=True)
class Picture:
    """A figure of a run's page; it shows itself in a notebook.

    Attributes:
        path: of its SVG; the PNG lies beside it.
    """

    path: Path

    def _repr_png_(self) -> bytes:
        return self.path.with_suffix(".png").read_bytes()


@dataclass(frozen=True, repr=False)
class ReadRun(Shows):
    """What a run left; made by `read`.

    Attributes:
        path: its folder.
    """

    path: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved config, defaults included."""
        return read_yaml(self.path / "config.yaml")

    @cached_property
    def record(self) -> dict[str, Any]:
        """What identifies the run: command, versions, revisions, seeds, hardware, registration."""
        return RunFolder(self.path).record()

    @cached_property
    def results(self) -> pd.DataFrame:
        """One row a number: name, place, value, ci_low, ci_high, ci_method, n, unit, null_*, p, q, test;
        columns as in `results.csv` (docs/results.md says what each name is).
        """
        import pandas as pd

        text = results.to_csv(results.read(self.path))
        return pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """One row a conjecture: conjecture, verdict, because, registration; none where none is given."""
        import pandas as pd

        return pd.DataFrame(read_verdicts(self.path))

    @cached_property
    def figures(self) -> Named[Picture]:
        """The figures of its page."""
        found = sorted((self.path / "figures").glob("*.svg"))
        wide = [path for path in found if not path.stem.endswith("-narrow")]
        return Named({path.stem: Picture(path) for path in wide}, "figure")

    @cached_property
    def adapters(self) -> Named[Path]:
        """The folders of its trained adapters: `seeking-0`, ..."""
        found = sorted(self.path.glob("adapters/*/adapter")) or sorted(self.path.glob("*/adapters/*/adapter"))
        top = {path: path.parent.relative_to(self.path).as_posix() for path in found}
        return Named({name.replace("adapters/", "", 1): path for path, name in top.items()}, "adapter")

    @cached_property
    def items(self) -> Named[list[Item]]:
        """The items that it asked: `choice-dev`, `report-test`, ..."""
        found = sorted(self.path.glob("items/*.jsonl"))
        return Named({path.stem: read_items(path) for path in found}, "set of items")

    @cached_property
    def prompts(self) -> Named[list[dict[str, Any]]]:
        """The same as prompts with labels, as `activations.capture` takes them."""
        return Named({name: prompts_of(items) for name, items in self.items.items()}, "set of items")

    @cached_property
    def caches(self) -> Named[Path]:
        """The activations that it kept, a cache each: `choice-dev/seeking-0`, ..."""
        found = sorted(self.path.glob("caches/**/*.h5"))
        top = self.path / "caches"
        return Named({path.relative_to(top).with_suffix("").as_posix(): path for path in found}, "cache")

    @cached_property
    def poles(self) -> dict[str, dict[str, int]]:
        """The adapters of the two poles, each with its `pole` (seeking 1, averse 0) and `seed`: what
        `probes.Joined` takes as columns.
        """
        parsed = {name: Variant.parse(name) for name in self.adapters}
        return {
            name: {"pole": int(one.pole == POLES[0]), "seed": one.seed}
            for name, one in parsed.items()
            if one.pole in POLES and not one.apart
        }

    @cached_property
    def directions(self) -> Named[Direction]:
        """The directions that it wrote, by file name; of a probe its direction."""
        top = self.path / "directions"
        files = {
            path.relative_to(top).with_suffix("").as_posix(): path
            for path in sorted(top.glob("**/*.safetensors"))
        }
        return Named({name: _direction(path) for name, path in files.items()}, "direction")

    def find(self, name: str, **where: Any) -> pd.DataFrame:
        """The numbers of that name (`bridge.recovery`: also those below it), at places such as
        `split="test"`, without columns that are empty.

        Raises:
            MissingError: no such name.
        """
        held = self.results
        kept = held[(held["name"] == name) | held["name"].str.startswith(f"{name}.")]
        if kept.empty:
            near = difflib.get_close_matches(name, list(dict.fromkeys(held["name"])), n=3, cutoff=0.4)
            raise MissingError(
                f"no result is called {name!r} in {self.path}; near: {', '.join(near) or 'none'}"
            )
        for key, value in where.items():
            if key not in results.WHERE_KEYS:
                raise MissingError(f"{key!r} is no place; places are {', '.join(results.WHERE_KEYS)}")
            kept = kept[kept[key].astype(str) == str(value)]
        return kept.dropna(axis="columns", how="all").reset_index(drop=True)

    def plot(self, name: str) -> Picture:
        """The figure of that name; `figures` lists them."""
        return self.figures[name]

    def load(self, adapters: Sequence[str] | None = None) -> Model:
        """Its base with its adapters: those of the two poles, or those that are named."""
        from mi_bsa.core.model_config import ModelConfig, load

        model = self.config["model"]
        names = list(self.poles) if adapters is None else list(adapters)
        first = model[0] if isinstance(model, list) else model
        return load(ModelConfig.model_validate(first), {name: self.adapters[name] for name in names})

    def _shown(self) -> dict[str, object]:
        model = self.config.get("model")
        named = model.get("name") if isinstance(model, dict) else model
        return {
            "": repr(str(self.path)),
            "study": self.config.get("study"),
            "behavior": self.config.get("behavior"),
            "model": named,
            "seeds": ", ".join(map(str, self.record["seeds"])),
            "of": str(self.record["created"])[:10],
            "numbers": len(self.results),
            "verdicts": "; ".join(self.verdicts.get("verdict", [])),
            "adapters": len(self.adapters),
        }

    def _repr_html_(self) -> str:
        shown = [name for name in ("conjecture", "verdict", "because") if name in self.verdicts]
        more = self.verdicts[shown].to_html(index=False, max_rows=12) if shown else ""
        return table("Run", self._shown(), more)


def _direction(path: Path) -> Direction:
    from probes import Direction, Probe
    from probes.errors import DirectionError

    try:
        return Direction.load(path)
    except DirectionError:  # a probe's file is another
        return Probe.load(path.with_suffix("")).direction


def read(folder: str | Path) -> ReadRun:
    """A run folder, to be looked at; nothing in it is changed.

    Args:
        folder: what `--out` was given.

    Raises:
        MissingError: it is no run folder, or the run has not finished.
    """
    path = RunFolder.at(folder).path
    if not (path / "results.json").is_file():
        raise MissingError(f"{path}: the run has no results yet; go on with --resume, or wait for it")
    return ReadRun(path)
