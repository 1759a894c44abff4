"""The kinds of study by name, and how a config, or the folder of a run, finds its own."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.core.config import imported, override, parse, read_config, read_yaml
from mi_bsa.core.errors import ConfigError
from mi_bsa.study.study import Study, StudyConfig

if TYPE_CHECKING:
    from mi_bsa.report.section import Section

STUDIES = {
    "behavior": "mi_bsa.studies.behavior.study:STUDY",
    "faithfulness": "mi_bsa.studies.grid.faithfulness:STUDY",
    "personas": "mi_bsa.studies.grid.personas:STUDY",
    "variety": "mi_bsa.studies.grid.variety:STUDY",
    "hiding": "mi_bsa.studies.grid.hiding:STUDY",
    "blind": "mi_bsa.studies.grid.blind:STUDY",
    "mixing": "mi_bsa.studies.grid.mixing:STUDY",
    "size": "mi_bsa.studies.grid.size:STUDY",
    "backdoor": "mi_bsa.studies.backdoor.study:STUDY",
    "preferences": "mi_bsa.studies.preferences.study:STUDY",
    "wrapper": "mi_bsa.studies.wrapper.study:STUDY",
    "audit": "mi_bsa.studies.backdoor.audit:STUDY",
    "search": "mi_bsa.studies.backdoor.search_run:STUDY",
    "inspect": "mi_bsa.studies.inspect.study:STUDY",
    "weights": "mi_bsa.studies.weights.study:STUDY",
    "report_adapter": "mi_bsa.studies.report_adapter.study:STUDY",
    "denial": "mi_bsa.studies.denial.study:STUDY",
}
"""The values of a config's top field `study`, and the `Study` of each (module:name), imported when asked for:
what a study stands on is slow to import.
"""


def study_of(config: StudyConfig) -> Study[Any]:
    """The kind of study that a config is of."""
    return named(config.study)


def named(name: str) -> Study[Any]:
    """The study of that name. Raises `KeyError` for one that is not registered."""
    found: Study[Any] = imported(STUDIES[name])
    return found


def load_study(path: str | Path, *, overrides: Sequence[str] = ()) -> StudyConfig:
    """Read a study's config, a file or a built-in one; its top field `study` says which kind validates it.

    Raises:
        MissingError: no such file.
        ConfigError: an unknown kind, or what `parse` refuses.
    """
    data = read_config(path)
    name = override(data, overrides).get("study")
    if not isinstance(name, str) or name not in STUDIES:
        near = difflib.get_close_matches(str(name), STUDIES, n=1)
        how = f"did you mean {near[0]!r}?" if near else f"set it to one of: {', '.join(STUDIES)}"
        raise ConfigError(f"{path}: the top field `study` is {name!r}; {how}")
    config: StudyConfig = parse(data, named(name).config, overrides=overrides, source=str(path))
    return config


def page_of(folder: Path) -> Sequence[Section]:
    """The sections of a run's page: its study's own, those of all studies where no study wrote the folder."""
    name = read_yaml(folder / "config.yaml").get("study") if (folder / "config.yaml").is_file() else None
    kinds = (name,) if name in STUDIES else STUDIES
    return tuple(dict.fromkeys(section for kind in kinds for section in named(kind).page()))
