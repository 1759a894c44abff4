"""The finding on mixing, as a page: `python -m mi_bsa.studies.grid.finding RUN ... --out docs`.

    finding_data.csv      every result of the runs, one a line, the run's name first
    finding.md            `finding.jinja` with its numbers taken from these lines
    figures/finding_*.png the figures, from the same results

Law: a measured number stands in the page because the template names its result; none is typed in. So the page
is what the data says, or it is not written: a name that the data does not hold, or holds twice, is an error.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mi_bsa.core import results
from mi_bsa.core.errors import ResultError
from mi_bsa.core.files import write_atomic
from mi_bsa.core.results import WHERE_KEYS, Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DATA, PAGE, FIGURES = "finding_data.csv", "finding.md", "figures"
DIGITS = 6
"""Of a number in the data."""
Row = Mapping[str, str]


@dataclass(frozen=True)
class Data:
    """Results by name and place, and how a page says them.

    Attributes:
        rows: as `finding_data.csv` holds them.
    """

    rows: Sequence[Row]

    @classmethod
    def read(cls, path: Path) -> Data:
        """From the file."""
        return cls([*csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))])

    def row(self, name: str, **where: str) -> Row:
        """The one result of that name whose place has these values, and no others but a split.

        Raises:
            ResultError: none, or several.
        """
        keys = ("run", *(key for key in WHERE_KEYS if key != "split"))
        wanted = {"run": name.partition(".")[0], **where}
        found = [
            row
            for row in self.rows
            if row["name"] == name and all(row[key] == wanted.get(key, "") for key in keys)
        ]
        if len(found) != 1:
            raise ResultError(
                f"{name} at {where or 'no place'}: {len(found)} results, a page names one; give its whole "
                f"place ({', '.join(keys[1:])})"
            )
        return found[0]

    def v(self, name: str, **where: str) -> str:
        """Its value: `.38`."""
        return short(self.row(name, **where)["value"])

    def ci(self, name: str, **where: str) -> str:
        """Value and interval: `.38 [.20, .56]`."""
        row = self.row(name, **where)
        if not row["ci_low"]:
            return short(row["value"])
        return f"{short(row['value'])} [{short(row['ci_low'])}, {short(row['ci_high'])}]"

    def null(self, name: str, **where: str) -> str:
        """The band of its null: `-.03 to .04`."""
        row = self.row(name, **where)
        return f"{short(row['null_low'])} to {short(row['null_high'])}"

    def p(self, name: str, **where: str) -> str:
        """Its p: `.048`; "not tested" where all units agree."""
        found = self.row(name, **where)["p"]
        if not found:
            return "not tested"
        return short(found, 3) if float(found) >= 0.0005 else f"{float(found):.0e}"

    def each(self, name: str, **where: str) -> str:
        """Its values by unit: `.19, .60, .56`."""
        return ", ".join(short(one) for one in self.row(name, **where)["per_seed"].split())

    def span(self, name: str, *, column: str = "value", **where: str) -> str:
        """Smallest and largest of a column over the places that have these values: `.12 to .40`."""
        wanted = {"run": name.partition(".")[0], **where}
        found = [
            float(row[column])
            for row in self.rows
            if row["name"] == name and all(row[key] == value for key, value in wanted.items())
        ]
        if not found:
            raise ResultError(f"{name} at {where}: no result")
        digits = 3 if column == "p" else 2
        ends = [short(end(found), digits) for end in (min, max)]
        return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def short(number: str | float, digits: int = 2) -> str:
    """A number without the zero before its point: `.38`, `-.05`, `1.18`, and large ones shorter."""
    x = float(number)
    text = f"{x:.{digits}f}" if abs(x) < 10 else f"{x:.1f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def to_csv(runs: Mapping[str, Iterable[Result]]) -> str:
    """All results of all runs, the run's name first, numbers to six digits."""
    text = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for run, found in runs.items():
        reader = csv.DictReader(io.StringIO(results.to_csv(found)))
        if writer is None:
            columns = ["run", *(reader.fieldnames or ())]
            writer = csv.DictWriter(text, columns, lineterminator="\n")
            writer.writeheader()
        for row in reader:
            writer.writerow({"run": run, **{key: _rounded(key, value) for key, value in row.items()}})
    return text.getvalue()


def page(data: Data) -> str:
    """The page, as Markdown."""
    import jinja2

    made = jinja2.Environment(
        autoescape=False, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )  # Markdown, of our own words
    template = made.from_string(Path(__file__).with_suffix(".jinja").read_text(encoding="utf-8"))
    names = ("row", "v", "ci", "null", "p", "each", "span")
    said = {name: getattr(data, name) for name in names}
    return template.render(short=short, **said).rstrip("\n") + "\n"


def figures() -> dict[str, tuple[str, Callable[..., Figure]]]:
    """By name: the run whose results it shows, and what draws it."""
    from mi_bsa.studies.grid.figures.mixing import draw_mixing
    from mi_bsa.studies.grid.figures.mixing_why import draw_doses, draw_pressure, draw_state, draw_training

    drawn = {"conditions": draw_mixing, "doses": draw_doses, "training": draw_training}
    drawn |= {"pressure": draw_pressure, "state": draw_state}
    return {f"finding_{name}": ("mixing", draw) for name, draw in drawn.items()}


def write(runs: Sequence[Path], out: Path) -> None:
    """Data, page and figures of finished runs into a folder; a run goes by its folder's name."""
    found = {run.name: results.read(run) for run in runs}
    data = to_csv(found)
    write_atomic(out / DATA, data)
    write_atomic(out / PAGE, page(Data([*csv.DictReader(io.StringIO(data))])))
    (out / FIGURES).mkdir(exist_ok=True)
    for name, (study, draw) in figures().items():
        draw(found[study]).savefig(out / FIGURES / f"{name}.png", dpi=110)


def _rounded(key: str, value: str) -> str:
    if key in ("seeds", "n", "rows", "null_n") or not value:
        return value
    try:
        return " ".join(f"{float(one):.{DIGITS}g}" for one in value.split())
    except ValueError:
        return value


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Write docs/finding.md, its data and its figures.")
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        help="folders of finished runs, by these names: mixing, mixing-preferences",
    )
    parser.add_argument("--out", type=Path, default=Path("docs"), help="where they go")
    given = parser.parse_args()
    write(given.runs, given.out)


if __name__ == "__main__":
    main()
