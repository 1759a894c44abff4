"""The inspection of finetunes, one page for one or several.

1. weights/NAME   what each module changes, what it reads and writes (no pass through the model)
2. lenses/NAME    what is added to the first tokens of unrelated texts, in words
3. damage/NAME    what that does to those texts
4. reports        base and finetunes asked about themselves, and what they choose
5. known          free answers, where a manifest says what to look for
6. results        results.json, inspect.json, and the headline's sentences
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.core.errors import MissingError
from mi_bsa.core.model_files import weight_files
from mi_bsa.finetune import preflight
from mi_bsa.studies.inspect import looking
from mi_bsa.studies.inspect.config import Given, InspectConfig, given_in
from mi_bsa.studies.inspect.known import ANSWERS, answered, known_results
from mi_bsa.studies.inspect.work import inspect_sample, inspect_steps
from mi_bsa.study.steps import Cell, Step
from mi_bsa.study.study import Study

if TYPE_CHECKING:
    from mi_bsa.core.results import Result

LOOKED = {"weights": looking.weights, "lenses": looking.lenses, "damage": looking.damaged}
HEADLINE = "headline.csv"
FIELDS = {
    "weights": ("model", "lens", "vectors"),
    "lenses": ("model", "lens", "through_base", "reports"),
    "damage": ("model", "lens"),
}
FOLDERS = {"weights": "weights", "lenses": "lenses", "damage": ""}


def check(config: InspectConfig) -> None:
    """Refuse what is not there or is no finetune, before a folder is made.

    Raises:
        ConfigError, MissingError: nothing to inspect, a folder without a finetune, no search run.
        AdapterError, ModelError: an adapter of another base, or one that cannot be loaded.
    """
    from activations import adapter_files
    from mi_bsa.studies.inspect.lenses import texts_of
    from mi_bsa.studies.inspect.traits import questions

    given = given_in(config)
    preflight.check(config)
    for one in given:
        if not one.full:
            adapter_files.read(one.name, one.path)
    texts_of(config.lens, config.model)
    if "reports" in config.parts:
        questions(config.reports, config.model)
    if config.searched is not None and not (config.searched / "results.json").is_file():
        raise MissingError(
            f"{config.searched}: no results here; give the folder of a run of `backdoor search`"
        )
    for one in given:  # a shape or a base that does not fit is seen only when it is put there
        looking.opened(config, one.name, str(one.path), one.full)


def rehearse(config: InspectConfig) -> list[str]:
    """What a dry run says: what was found, and what would be looked at."""
    check(config)
    given = given_in(config)
    named = ", ".join(f"{one.name}{' (full finetune)' if one.full else ''}" for one in given)
    return [*preflight.rehearse(config), f"would inspect {named}: {', '.join(config.parts)}"]


def steps(config: InspectConfig) -> list[Step]:
    """The parts of every finetune, then the page's numbers."""
    given = given_in(config)
    base = weight_files(config.model)
    graph: list[Step] = []
    control = next((one for one in given if one.name == config.control and not one.full), None)
    of_control = () if control is None else sorted(control.path.glob("adapter_*"))
    for one in given:
        own = sorted(one.path.glob("*.safetensors" if one.full else "adapter_*"))
        beside: dict[str, Any] = {}
        if control is not None and one != control and not one.full:
            beside = {"control": {control.name: str(control.path)}}
        texts = (config.lens.texts,) if config.lens.texts is not None else ()
        for part in (part for part in LOOKED if part in config.parts):
            outputs = (f"{FOLDERS[part]}/{one.name}.csv",) if FOLDERS[part] else ()
            graph.append(
                Step(
                    f"{part}/{one.name}",
                    LOOKED[part],
                    {"name": one.name, "path": str(one.path), "full": one.full}
                    | (beside if part == "lenses" else {}),
                    fields=FIELDS[part],
                    files=(*base, *own, *texts, *(of_control if part == "lenses" and beside else ())),
                    outputs=outputs,
                    seconds=5,
                    bytes=100_000 if outputs else 0,
                )
            )
    told = [{"name": one.name, "path": str(one.path), "full": one.full} for one in given]
    if "reports" in config.parts:
        own = [file for one in given for file in sorted(one.path.glob("*.safetensors"))]
        traits = (config.reports.traits,) if config.reports.traits is not None else ()
        graph.append(
            Step(
                "reports",
                looking.asked,
                {"given": told},
                fields=("model", "reports"),
                files=(*base, *own, *traits),
                seconds=20,
                bytes=1_000_000,
            )
        )
    if config.manifest is not None:
        own = [file for one in given for file in sorted(one.path.glob("*.safetensors"))]
        said = (Path(config.manifest),) if Path(config.manifest).is_file() else ()
        graph.append(
            Step(
                "known",
                answered,
                {"given": told},
                fields=("model", "manifest", "free"),
                files=(*base, *own, *said),
                outputs=(ANSWERS,),
                seconds=20,
                bytes=100_000,
            )
        )
    before = tuple(step.name for step in graph)
    searched = () if config.searched is None else (config.searched / "results.json",)
    graph.append(
        Step(
            "results",
            collect,
            {"given": told},
            fields=("model", "parts", "reports", "searched", "manifest", "control"),
            after=before,
            files=searched,
            outputs=("results.json", "results.csv", "inspect.json", HEADLINE),
            seconds=3,
        )
    )
    return graph


def collect(cell: Cell[InspectConfig], *, given: list[dict[str, Any]]) -> dict[str, Any]:
    """Results, inspect.json and the sentences; tables of words and reports over all finetunes."""
    import pandas as pd

    from mi_bsa.core import results
    from mi_bsa.core.files import write_json
    from mi_bsa.studies.inspect import findings
    from mi_bsa.studies.inspect.choices import (
        FILE,
        TABLE,
        choice_poles,
        choice_results,
        moved_results,
        moved_to,
    )
    from mi_bsa.studies.inspect.headline import headline
    from mi_bsa.studies.inspect.sight import STATED
    from mi_bsa.studies.inspect.traits import poles_of

    config = cell.config
    finetunes = [Given(one["name"], Path(one["path"]), one["full"]) for one in given]
    found: list[Result] = []
    looked: dict[str, dict[str, Any]] = {one.name: {} for one in finetunes}
    made = {
        "weights": findings.weight_results,
        "lenses": findings.lens_results,
        "damage": findings.damage_results,
    }
    for one in finetunes:
        for part in (part for part in LOOKED if part in config.parts):
            looked[one.name][part] = cell.value(f"{part}/{one.name}")
            found += made[part](one.name, looked[one.name][part])
    rows: dict[str, list[dict[str, Any]]] = {one.name: [] for one in finetunes}
    chosen: dict[str, list[dict[str, Any]]] = {one.name: [] for one in finetunes}
    poles = {**choice_poles(config.model), **poles_of(config.reports, config.model)}
    if "reports" in config.parts:
        many = cell.value("reports")
        for one in finetunes:
            against = config.control if config.control not in (None, one.name) else "base"
            bars: Any = {"fdr": config.reports.fdr, "least": config.reports.least, "against": against}
            looked[one.name]["reports"] = {"traits": many["traits"]}
            if many.get("behaviors"):
                table = pd.read_csv(cell.folder / FILE)
                more, chosen[one.name] = choice_results(one.name, table, **bars)
                found += [*more, *moved_results(more, moved_to(chosen[one.name], poles, "behavior"))]
            if many["traits"]:
                table, control = pd.read_csv(cell.folder / "answers.csv"), cell.folder / STATED
                stated = pd.read_csv(control) if config.reports.stated and control.is_file() else None
                more, rows[one.name] = findings.report_results(one.name, table, stated, **bars)
                found += [*more, *moved_results(more, moved_to(rows[one.name], poles, "trait"))]
    if config.manifest is not None:
        found += known_results(cell.folder, cell.value("known"), [one.name for one in finetunes])
    search = None if config.searched is None else results.read(config.searched)
    told = [
        sentence
        for one in finetunes
        for sentence in headline(
            one.name,
            found,
            looked=looked[one.name],
            reports=rows[one.name],
            choices=chosen[one.name],
            poles=poles,
            search=search,
            searched_as=searched_name(one.path),
            against=config.control if config.control not in (None, one.name) else "base",
        )
    ]
    pd.DataFrame([asdict(one) for one in told]).to_csv(cell.folder / HEADLINE, index=False)
    if any(rows.values()):
        every = pd.DataFrame([row for own in rows.values() for row in own]).sort_values(
            ["adapter", "q"], kind="stable"
        )
        every.round(3).to_csv(cell.folder / "reports.csv", index=False)
    if any(chosen.values()):
        every = pd.DataFrame([row for own in chosen.values() for row in own])
        every.round(3).to_csv(cell.folder / TABLE, index=False)
    _first_words(looked).to_csv(cell.folder / "words.csv", index=False)
    results.write(found, cell.folder)
    said = {
        one.name: {
            "path": str(one.path),
            "full": one.full,
            "headline": [asdict(sentence) for sentence in told if sentence.adapter == one.name],
            **looked[one.name],
            "reports": rows[one.name],
            "choices": chosen[one.name],
        }
        for one in finetunes
    }
    write_json(cell.folder / "inspect.json", said)
    return {"results": len(found)}


def searched_name(path: Path) -> str:
    """What `backdoor search` calls the adapter of a folder."""
    return (path.parent if path.name == "adapter" else path).name


def _first_words(looked: dict[str, dict[str, Any]]) -> Any:
    """What the page shows of all readings: one row each."""
    import pandas as pd

    rows = [
        {
            "adapter": name,
            "read": one["name"] if part == "weights" else "difference",
            "site": one["site"],
            "lens": one["lens"],
            "promoted": " ".join(one["promoted"]),
            "p_any": round(one["p_promoted"], 3),
            "suppressed": " ".join(one["suppressed"]),
            "p_any of these": round(one["p_suppressed"], 3),
        }
        for name, parts in looked.items()
        for part in ("lenses", "weights")
        for one in parts.get(part, {}).get("words", ())
    ]
    return pd.DataFrame(rows, columns=None if rows else ["adapter"])


def said_in(folder: Path) -> Sequence[str]:
    """The sentences of a finished run, for a terminal."""
    from mi_bsa.report.page import rows_of

    found = rows_of(folder, HEADLINE)
    if found is None:
        return ()
    place = found["columns"].index("sentence")
    names = [row[0] for row in found["rows"]]
    several = len(set(names)) > 1
    return [f"{row[0]}: {row[place]}" if several else row[place] for row in found["rows"]]


STUDY = Study(
    name="inspect",
    config=InspectConfig,
    steps=steps,
    title=lambda config: f"inspecting {len(given_in(config))} of {config.model}",
    check=check,
    rehearse=rehearse,
    work=inspect_steps,
    sample=inspect_sample,
    sections="mi_bsa.studies.inspect.page:SECTIONS",
)
