"""Results: every number with its n, its interval, its null and its seeds, in one file.

The law they keep: (`name`, `where`) says one number once; no number is non-finite, and none stands without n
and without an interval, or the reason why it has none; no p stands without the test that gave it, and a p of
draws stands beside the null of those draws alone. `results.json` is a list of these records.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mi_bsa.core.behind import Behind
from mi_bsa.core.errors import MissingError, ResultError
from mi_bsa.core.files import write_atomic
from mi_bsa.core.plain_files import read_json
from mi_bsa.core.quantities import lookup

Place = str | int | float

WHERE_KEYS = (
    "behavior",
    "base",
    "arm",
    "variant",
    "site",
    "layer",
    "position",
    "method",
    "kind",
    "trigger",
    "split",
)
"""The keys of `where`, in the order in which tables show them; keys that do not apply are absent. `base` is
there where a study of several bases tells of one of them; a number over bases has none.
"""

ROUNDING = 1e-9
"""Ends that cross by no more than this, relative to 1 or their size, crossed in the last digits of a sum."""

SEED_AGAINST_SEED = "shuffled arm, seed against seed"
"""The null of an effect: two runs that were trained on nothing, of which either might be called the first."""

UNTOLD = "test not recorded"
"""The test of a p that was written before results said which test gave it."""

LATER = ("rows", "test", "p_floor")
"""Keys that records of older versions lack."""

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")


@dataclass(frozen=True)
class Null:
    """What the number looks like where there is nothing: the distribution under a named null.

    Attributes:
        kind: what was drawn, such as "random directions" or "shuffled labels".
        n: how many draws.
        mean: their mean.
        low: lower end of the central 95 % of the draws.
        high: upper end.
    """

    kind: str
    n: int
    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, kind: str, draws: Any, *, mirrored: bool = False) -> "Null":
        """n, mean and band of one distribution.

        Args:
            kind: what was drawn.
            draws: the draws, of any shape.
            mirrored: a draw might as well have had the other sign, as a difference of two runs that differ in
                nothing has: both stand for it, and the mean is 0.
        """
        import numpy as np

        drawn = np.asarray(draws, dtype=float).ravel()
        if not drawn.size:
            raise ResultError(f"null {kind!r}: n is 0; a null needs at least one draw")
        if mirrored:
            drawn = np.concatenate([drawn, -drawn])
        low, high = np.quantile(drawn, (0.025, 0.975))
        return cls(kind, drawn.size, float(drawn.mean()), float(low), float(high))

    def __post_init__(self) -> None:
        for name in ("mean", "low", "high"):
            _check_finite(getattr(self, name), f"null {self.kind!r}: {name}")
        if self.n < 1:
            raise ResultError(f"null {self.kind!r}: n is {self.n}; a null needs at least one draw")
        if self.low > self.high:
            raise ResultError(f"null {self.kind!r}: low {self.low} is above high {self.high}; swap them")


@dataclass(frozen=True)
class Result:
    """One number of a study.

    Attributes:
        name: dotted name of the quantity, such as `bridge.transfer.auroc`.
        where: the cell it was measured in; keys from `WHERE_KEYS`.
        value: the number.
        ci: its 95 % interval, or None where `ci_method` begins with "none:" and gives the reason.
        ci_method: how the interval was made, such as "t over seeds".
        n: how many units the value rests on: of what was drawn (seeds, triggers, wordings, bases), not of
            what was asked of each.
        unit: of the value, such as "probability" or "AUROC".
        rows: how many answers, items or prompts stand behind it; None where that is n or was not counted.
        null: what the number looks like where there is nothing, or None. It is the null of p where `test`
            names it; else it stands beside.
        p: p-value, or None where nothing was tested.
        q: the same after multiplicity control, or None.
        test: which test gave p: "t over seeds against 0", "random directions, 999 draws, one-sided".
        p_floor: the smallest p that this test can give, as draws set it; None where nothing bounds it.
        per_seed: the value by seed, in the order of `seeds`; of a number over bases, by base.
        seeds: the seeds of `per_seed`; of a number over bases, the places of the bases in their list.
        notes: anything a reader must know.
        behind: the cells it was made of; not in records, and no part of what makes two results equal.
    """

    name: str
    where: Mapping[str, Place]
    value: float | int
    ci: tuple[float, float] | None
    ci_method: str
    n: int
    unit: str
    rows: int | None = None
    null: Null | None = None
    p: float | None = None
    q: float | None = None
    test: str | None = None
    p_floor: float | None = None
    per_seed: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    notes: str = ""
    behind: Behind | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        here = f"result {self.name} {dict(self.where)}"
        if not _NAME.fullmatch(self.name):
            raise ResultError(
                f"result name {self.name!r}: write it dotted and lower case, like bridge.transfer.auroc"
            )
        strangers = [key for key in self.where if key not in WHERE_KEYS]
        if strangers:
            raise ResultError(f"{here}: where has {strangers}; its keys are {', '.join(WHERE_KEYS)}")
        for key, place in self.where.items():
            if isinstance(place, bool) or not isinstance(place, str | int | float):
                raise ResultError(f"{here}: where[{key!r}] is {place!r}; leave out a key that does not apply")
        _check_finite(self.value, f"{here}: value")
        if self.n < 1:
            raise ResultError(f"{here}: n is {self.n}; a number that rests on nothing is not a result")
        if self.rows is not None and self.rows < 1:
            raise ResultError(f"{here}: rows is {self.rows}; count what is behind it, or leave rows out")
        if not self.unit or not self.ci_method:
            raise ResultError(f"{here}: unit and ci_method may not be empty; name them")
        self._check_interval(here)
        self._check_tests(here)
        if self.per_seed and len(self.per_seed) != len(self.seeds):
            raise ResultError(
                f"{here}: {len(self.per_seed)} values for {len(self.seeds)} seeds; give one a seed"
            )
        for number in self.per_seed:
            _check_finite(number, f"{here}: per_seed")
        ordered = {key: self.where[key] for key in WHERE_KEYS if key in self.where}
        object.__setattr__(self, "where", MappingProxyType(ordered))

    @property
    def key(self) -> tuple[str, tuple[tuple[str, Place], ...]]:
        """What identifies the number: its name and where it was measured."""
        return self.name, tuple(self.where.items())

    @property
    def counted(self) -> str:
        """n, and the rows behind it where these are others: `3 (288 rows)`."""
        return f"{self.n}" if self.rows in (None, self.n) else f"{self.n} ({self.rows:,} rows)"

    @property
    def at_floor(self) -> bool:
        """Whether p is the smallest that its test can give: with more draws it might be smaller."""
        return self.p is not None and self.p_floor is not None and self.p <= self.p_floor * (1 + ROUNDING)

    @property
    def null_is_of_p(self) -> bool:
        """Whether p was made of the draws of `null`; else the null only stands beside."""
        return self.null is not None and self.test is not None and self.null.kind in self.test

    def to_dict(self) -> dict[str, Any]:
        """The record as it stands in `results.json`."""
        record = {name: getattr(self, name) for name in RECORDED}
        return record | {
            "where": dict(self.where),
            "ci": None if self.ci is None else list(self.ci),
            "null": None if self.null is None else asdict(self.null),
            "per_seed": list(self.per_seed),
            "seeds": list(self.seeds),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Result":
        """Read one record of `results.json`."""
        try:
            return cls._read(record)
        except ResultError:
            raise
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise ResultError(
                f"a record is no result ({type(error).__name__}: {error}); run the study again with --resume"
            ) from None

    @classmethod
    def _read(cls, record: Mapping[str, Any]) -> "Result":
        names = set(RECORDED)
        if not names - set(LATER) <= set(record) <= names:
            raise ResultError(f"a record has the keys {sorted(record)}; a result has {sorted(names)}")
        values = dict(record)
        if "test" not in record and record["p"] is not None:
            values["test"] = UNTOLD
        values["ci"] = None if record["ci"] is None else (record["ci"][0], record["ci"][1])
        values["null"] = None if record["null"] is None else Null(**record["null"])
        values |= {key: tuple(record[key]) for key in ("per_seed", "seeds")}
        return cls(**values)

    def _check_interval(self, here: str) -> None:
        if self.ci is None:
            if not self.ci_method.startswith("none:"):
                raise ResultError(
                    f"{here}: no interval; give one, or say why in ci_method as 'none: <reason>'"
                )
            return
        for end in self.ci:
            _check_finite(end, f"{here}: ci")
        low, high = self.ci
        if low > high + ROUNDING * max(1.0, abs(high)):
            raise ResultError(f"{here}: interval {self.ci} is upside down; give (low, high)")
        if low > high:
            object.__setattr__(self, "ci", (high, low))

    def _check_tests(self, here: str) -> None:
        for label, number in (("p", self.p), ("q", self.q)):
            if number is not None and not 0.0 <= number <= 1.0:
                raise ResultError(
                    f"{here}: {label} is {number}; a probability lies in [0, 1], or is None untested"
                )
        if self.q is not None and self.p is None:
            raise ResultError(f"{here}: q without p; what was not tested has neither")
        if self.p is None:
            if self.test is not None or self.p_floor is not None:
                raise ResultError(
                    f"{here}: a test or a floor without p; what was not tested has none of them"
                )
            return
        if not self.test:
            raise ResultError(
                f"{here}: p without test; say which test gave it, as in 't over seeds against 0'"
            )
        if self.p_floor is None:
            return
        if not 0.0 < self.p_floor <= 1.0 or self.p < self.p_floor * (1 - ROUNDING):
            raise ResultError(
                f"{here}: p is {self.p}, its floor {self.p_floor}; a floor lies in (0, 1], and no p below it"
            )
        if self.null is not None and not self.null_is_of_p:
            raise ResultError(
                f"{here}: p is of draws ({self.test}), the null is of others ({self.null.kind}); give p and "
                "null of the same draws"
            )


RECORDED = tuple(item.name for item in fields(Result) if item.name != "behind")
"""The keys of a record."""


def check(results: Iterable[Result]) -> list[Result]:
    """The results as a list, refused where one (`name`, `where`) is said twice."""
    checked: dict[object, Result] = {}
    for result in results:
        if result.key in checked:
            raise ResultError(
                f"{result.name} at {dict(result.where)} is given twice; (name, where) must be unique"
            )
        checked[result.key] = result
    return list(checked.values())


def with_q(results: Iterable[Result]) -> list[Result]:
    """The same results with q: Benjamini-Hochberg over all tests of one name (a family is one question)."""
    from scipy.stats import false_discovery_control

    held = list(results)
    families: dict[str, list[int]] = {}
    for place, item in enumerate(held):
        if item.p is not None:
            families.setdefault(item.name, []).append(place)
    for places in families.values():
        adjusted = false_discovery_control([held[k].p for k in places])
        for k, q in zip(places, adjusted, strict=True):
            held[k] = replace(held[k], q=float(q), where=dict(held[k].where))
    return held


def write(results: Iterable[Result], folder: str | Path) -> None:
    """Write `results.json` and `results.csv` into a folder, each at once or not at all.

    Raises:
        ResultError: a number that is given twice, or a name that no floor and no study has registered.
    """
    checked = check(results)
    for name in dict.fromkeys(result.name for result in checked):
        lookup(name)
    text = json.dumps([result.to_dict() for result in checked], indent=1, allow_nan=False)
    table = to_csv(checked)  # both are made before either is written
    write_atomic(Path(folder) / "results.json", text + "\n")
    write_atomic(Path(folder) / "results.csv", table)


def read(path: str | Path) -> list[Result]:
    """Read `results.json`, given the file or its run folder; validated as when it was written."""
    path = Path(path)
    if path.is_dir():
        path = path / "results.json"
    if not path.is_file():
        raise MissingError(f"{path}: no results here; give the folder of a run that has finished")
    records = read_json(path, error=ResultError, remedy="run the study again with --resume")
    if not isinstance(records, list):
        raise ResultError(f"{path}: a results file is a list of records, not {type(records).__name__}")
    odd = next((n for n, record in enumerate(records) if not isinstance(record, dict)), None)
    if odd is not None:
        raise ResultError(f"{path}: record {odd} is no object; run the study again with --resume")
    return check(Result.from_dict(record) for record in records)


def to_csv(results: Iterable[Result]) -> str:
    """The results as CSV: one row each, `where` and `null` spread over columns."""
    columns = ["name", *WHERE_KEYS, "value", "ci_low", "ci_high", "ci_method", "n", "rows", "unit"]
    columns += [f"null_{item.name}" for item in fields(Null)]
    columns += ["p", "q", "test", "p_floor", "per_seed", "seeds", "notes"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for result in results:
        row = {key: value for key, value in result.to_dict().items() if key in columns and value is not None}
        row |= dict(result.where)
        if result.ci is not None:
            row |= {"ci_low": result.ci[0], "ci_high": result.ci[1]}
        if result.null is not None:
            row |= {f"null_{key}": value for key, value in asdict(result.null).items()}
        row |= {"per_seed": " ".join(map(repr, result.per_seed)), "seeds": " ".join(map(str, result.seeds))}
        writer.writerow(row)
    return text.getvalue()


def _check_finite(number: object, what: str) -> None:
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise ResultError(f"{what} is {number!r}; only a finite Python number is a result")
