"""The page: one HTML file that needs nothing else, made from a run folder's results and record."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markupsafe import Markup
from matplotlib.figure import Figure

from activations.jsonl import text_of
from mi_bsa.core import results as results_module
from mi_bsa.core.errors import BrokenFileError, RunFolderError
from mi_bsa.core.files import write_atomic
from mi_bsa.core.plain_files import parse_yaml, read_json
from mi_bsa.core.record import RunFolder
from mi_bsa.core.results import WHERE_KEYS, Place, Result
from mi_bsa.report.figures.style import PAINTS
from mi_bsa.report.first import First, first
from mi_bsa.report.headline import at_most, interval, null_words, number, small, tiles
from mi_bsa.report.names import explained, in_words, short
from mi_bsa.report.sections import Section, answer, assign, figure_of, left_out
from mi_bsa.report.svg import inline, save

AGAIN = "run the study again with --resume"
DARK = {
    "ink": "#e8eaed",
    "muted": "#9aa3ad",
    "rule": "#3c434b",
    "null": "#333a42",
    "seeking": "#e8825f",
    "averse": "#6fa8dc",
    "shuffled": "#9aa3ad",
    "accent": "#b294e6",
    "second": "#5fc79c",
    "third": "#e0b84c",
}
"""The value of each color of the figures in the dark."""


@dataclass(frozen=True)
class Run:
    """What a page shows of a run: its name, record, resolved config, results and verdicts."""

    name: str
    record: Mapping[str, Any]
    config: str
    results: Sequence[Result]
    verdicts: Sequence[Mapping[str, str]]


def read_run(folder: str | Path) -> Run:
    """Read a run folder; `verdicts.json`, where a study wrote it, lists conjecture, verdict, because."""
    run = RunFolder.at(folder)
    verdicts = read_verdicts(run.path)
    config = text_of(run.path / "config.yaml", error=BrokenFileError, what="file")
    return Run(run.path.resolve().name, run.record(), config, results_module.read(run.path), verdicts)


def read_verdicts(folder: Path) -> list[dict[str, str]]:
    """What a study's `verdicts.json` says: conjecture, verdict, because, registration; none where it gives
    none.
    """
    path = folder / "verdicts.json"
    if not path.is_file():
        return []
    verdicts = read_json(path, remedy=AGAIN)
    if not isinstance(verdicts, list) or not all(isinstance(verdict, dict) for verdict in verdicts):
        raise BrokenFileError(f"{path}: no list of verdicts; {AGAIN}")
    return verdicts


def render(folder: str | Path, own: Sequence[Section] = ()) -> Path:
    """Write `report.html` and `figures/*.svg|png` of a run, from its results alone; older ones are replaced.

    Args:
        folder: the run's.
        own: its study's sections; without them its numbers stand in one table and forest.

    Raises:
        MissingError: the folder is no run, or has no results yet.
    """
    folder = Path(folder)
    run = read_run(folder)
    parts, assigned = [], assign(run.results, own)
    anchors = {item.name: section.slug for section, items in assigned.items() for item in items}
    for section, items in assigned.items():
        drawn = drawn_rows(folder, section)
        wide = figure_of(section, items, narrow=False, rows=drawn)
        if wide is not None:
            save(wide, folder / "figures", section.slug)
        figure = _figure(section, items, "", wide, drawn)
        note = "" if drawn else left_out(section, items)
        shown = {"figure": figure, "note": note, "table": table(items), "rows": rows_of(folder, section.file)}
        parts.append({"section": section, **shown})
    page = folder / "report.html"
    said = {"first": first_of(run, own), "headline": _headline(run, own), "anchors": anchors}
    text = _template("page.jinja").render(run=run, parts=parts, **said, **_shared())
    write_atomic(page, text)
    return page


def first_of(run: Run, own: Sequence[Section] = ()) -> First:
    """What its first screen says; `own` are the sections of its study."""
    return first(title_of(run), run.results, run.verdicts, own)


def title_of(run: Run) -> str:
    """What was studied, from the config: behavior, model, arms x seeds; else the folder's name.

    Without a behavior the kind of study stands in its place, or of what is no study the folder's name.
    """
    settings = _settings(run)
    settings = settings if isinstance(settings, Mapping) else {}
    places = [one for one in settings.get("places") or () if isinstance(one, Mapping)]
    behaviors = settings.get("behavior") or _listed(settings, "behaviors") + _listed(settings, "brief")
    behaviors = behaviors or [name for place in places for name in place.get("behaviors", ())]
    items = settings.get("items")
    behaviors = behaviors or (items.get("behavior") if isinstance(items, Mapping) else None)
    behaviors = behaviors or settings.get("study")
    adapters = settings.get("adapters")
    if isinstance(adapters, list) and adapters:
        named = [Path(str(one).rstrip("/*")).name for one in adapters]  # of a pattern, its folder
        return f"{_some(named)} beside {_some(settings.get('model'))}"
    models = settings.get("models") or settings.get("model") or [place.get("model") for place in places]
    behaviors = behaviors or run.name
    arms, seeds = settings.get("arms"), run.record.get("seeds") or ()
    told = _some(behaviors)
    told += f" on {_some(models)}" if models else ""
    crossed = [_some(arms)] if arms else []
    crossed += [f"{len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}"] if seeds else []
    return told + (f": {' x '.join(crossed)}" if crossed else "")


def _listed(settings: Mapping[str, Any], key: str) -> list[Any]:
    found = settings.get(key)
    return list(found) if isinstance(found, list) else []


def _some(given: Any) -> str:
    """Names in words: the first three of several, and how many more; of a model or a file its name."""
    names = given if isinstance(given, list) else [given]
    told = [short(one.get("name", one) if isinstance(one, Mapping) else one) for one in names]
    # of a folder anywhere on this machine, what it is called there
    told = ["/".join(Path(one).parts[-2:]) if one.startswith("/") else one for one in told]
    more = f" and {len(told) - 3} more" if len(told) > 3 else ""
    return ", ".join(one.replace("_", " ") for one in told[:3]) + more


def compare(first: str | Path, second: str | Path, *, out: str | Path, own: Sequence[Section] = ()) -> Path:
    """Write a page with two runs side by side: headlines, figures, and every number that both have.

    `own` are the sections of their studies.

    Raises:
        RunFolderError: `out` exists.
    """
    out, runs = Path(out), [read_run(first), read_run(second)]
    if out.exists():
        raise RunFolderError(f"{out}: exists already; give another --out")
    sides = [assign(run.results, own) for run in runs]
    parts = []
    for section in dict.fromkeys(section for side in sides for section in side):
        figures = [
            _figure(section, side.get(section, []), f"{i}-", None, drawn_rows(folder, section))
            for i, (side, folder) in enumerate(zip(sides, (first, second), strict=True))
        ]
        rows = _pairs(*(side.get(section, []) for side in sides))
        parts.append({"section": section, "figures": figures, "rows": rows})
    context = {"runs": runs, "headlines": [_headline(run, own) for run in runs], "parts": parts}
    text = _template("compare.jinja").render(**context, changes=_changes(*runs), **_shared())
    write_atomic(out, text)
    return out


def rows_of(folder: Path, file: str) -> dict[str, Any] | None:
    """Columns and rows of a section's CSV; None where it names none or the run has none."""
    path = folder / file
    if not file or not path.is_file():
        return None
    lines = list(csv.reader(text_of(path, error=BrokenFileError, what="file").splitlines()))
    if not lines or any(len(line) != len(lines[0]) for line in lines):
        raise BrokenFileError(f"{path}: rows of unequal length; {AGAIN}")
    return {"file": file, "columns": lines[0], "rows": lines[1:]}


def drawn_rows(folder: str | Path, section: Section) -> list[dict[str, str]]:
    """The rows of the file that a section draws; none where it names none or the run has none."""
    found = rows_of(Path(folder), section.drawn_file)
    return [] if found is None else [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


def table(results: Sequence[Result]) -> dict[str, Any]:
    """Columns and rows of a section's table; what all rows share is said once, what none has is left out."""
    names = list(dict.fromkeys(item.name for item in results))
    shared = {k: v for k, v in results[0].where.items() if all(r.where.get(k) == v for r in results)}
    keys = [key for key in WHERE_KEYS if key not in shared and any(key in item.where for item in results)]
    nulls = list(dict.fromkeys(item.null.kind for item in results if item.null is not None))
    tests = list(dict.fromkeys(item.test for item in results if item.test is not None))
    noted = any(r.notes for r in results)
    columns = [*(["name"] if len(names) > 1 else []), *keys, "value", "95 % interval", "n"]
    columns += [f"null: {nulls[0]}" if len(nulls) == 1 else "null"] if nulls else []
    if tests:
        columns += [f"p: {tests[0]}", "q"] if len(tests) == 1 else ["p", "q", "test"]
    columns += ["seeds", *(["notes"] if noted else [])]
    rows = []
    for item in results:
        row: list[object] = [explained(item.name)] if len(names) > 1 else []
        row += [item.where.get(key, "") for key in keys] + [number(item.value), interval(item), item.counted]
        row += [null_words(item, named=len(nulls) > 1)] if nulls else []
        row += [_p(item), _q(item.q)] if tests else []
        row += [item.test or ""] if len(tests) > 1 else []
        row += [len(item.seeds) or "", *([item.notes] if noted else [])]
        rows.append({"cells": row, "title": f"{item.unit}; {item.ci_method}; seeds {list(item.seeds)}"})
    common: list[object] = [explained(names[0])] if len(names) == 1 else []
    common += [f"{key} {short(shared[key])}" for key in shared]
    return {"columns": columns, "rows": rows, "common": common}


def _headline(run: Run, own: Sequence[Section]) -> dict[str, Any]:
    return {"sentences": answer(run.results, own), "tiles": tiles(run.results)}


def _figure(
    section: Section,
    results: Sequence[Result],
    prefix: str,
    wide: Figure | None,
    rows: Sequence[Mapping[str, str]],
) -> Markup | None:
    """The figure for narrow and, where `wide` is given, for wide screens; the style sheet shows one."""
    narrow = figure_of(section, results, narrow=True, rows=rows)
    if narrow is None:
        return None
    shown = {"only": narrow} if wide is None else {"wide": wide, "narrow": narrow}
    parts = []
    for kind, figure in shown.items():
        name = "narrow" if kind == "only" else kind
        drawing = inline(figure, prefix=f"{prefix}{section.slug}-{name}", label=section.title)
        parts.append(Markup('<div class="{}">{}</div>').format(kind, drawing))
    return Markup("").join(parts)


def _pairs(first: Sequence[Result], second: Sequence[Result]) -> list[dict[str, Any]]:
    """Rows of the comparison: a number of each run, and their difference where both have it."""
    named = [{item.where.get("behavior") for item in side} for side in (first, second)]
    # two studies of one behavior each are paired without its name
    other = named[0] != named[1] and all(len(names) == 1 for names in named)
    ours, theirs = ({_cell(item, other): item for item in side} for side in (first, second))
    rows = []
    for key in dict.fromkeys([*ours, *theirs]):
        pair = [side.get(key) for side in (ours, theirs)]
        both = [item for item in pair if item is not None]
        where = ", ".join(f"{name} {value}" for name, value in key[1])
        difference = number(both[1].value - both[0].value) if len(both) == 2 else ""
        cells = [
            (number(item.value), interval(item), item.counted) if item else ("", "", "") for item in pair
        ]
        rows.append({"name": explained(key[0]), "where": where, "cells": cells, "difference": difference})
    return rows


def _cell(item: Result, other: bool) -> tuple[str, tuple[tuple[str, Place], ...]]:
    """What makes two numbers the same one; `other`: whatever the behavior."""
    name, where = item.key
    return name, tuple(pair for pair in where if not (other and pair[0] == "behavior"))


def _changes(first: Run, second: Run) -> list[tuple[str, str, str]]:
    """Config fields that differ: dotted name, and what each run had."""
    sides = [dict(_leaves(_settings(run), "")) for run in (first, second)]
    names = dict.fromkeys([*sides[0], *sides[1]])
    rows = [(name, sides[0].get(name, "-"), sides[1].get(name, "-")) for name in names]
    return [row for row in rows if row[1] != row[2]]


def _settings(run: Run) -> Any:
    try:
        return parse_yaml(run.config) or {}
    except yaml.YAMLError as error:
        raise BrokenFileError(f"{run.name}: config.yaml is not valid YAML ({error}); {AGAIN}") from None


def _leaves(value: Any, prefix: str) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, f"{prefix}.{key}".lstrip("."))]
    return [(prefix, json.dumps(value))]


def _p(item: Result) -> str:
    """p, or that it is at most so much where it is the smallest that its test can give."""
    if item.p is not None and item.at_floor:
        return at_most(item.p)
    return _q(item.p)


def _q(value: float | None) -> str:
    return "" if value is None else small(value).removeprefix("= ")


def _template(name: str) -> jinja2.Template:
    loader = jinja2.PackageLoader("mi_bsa.report", "templates")
    made = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    made.filters["explained"] = in_words
    made.filters["coded"] = _coded
    return made.get_template(name)


def _coded(text: str) -> Markup:
    """A text in which what stands between backticks is set as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if n % 2 else Markup("{}").format(part)
        for n, part in enumerate(parts)
    )


def _shared() -> dict[str, Any]:
    """What every page needs: the style sheet, and the figures' colors by light and dark."""
    style = resources.files("mi_bsa.report").joinpath("templates/page.css").read_text(encoding="utf-8")
    light, dark = ("; ".join(f"--{name}: {color}" for name, color in side.items()) for side in (PAINTS, DARK))
    return {"style": Markup(style), "light": Markup(light), "dark": Markup(dark)}
