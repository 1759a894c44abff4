"""What organisms say of themselves with a report adapter on, and without one.

Law: an organism of a part is asked about every behavior of that part, in that part's wordings; the adapter
that is asked is the organism's and the report adapter's as one (`joined`); the base is asked, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mi_bsa.asking import ask_many
from mi_bsa.behaviors import behavior_for
from mi_bsa.core.items import Item, thin
from mi_bsa.core.model_config import load
from mi_bsa.core.variants import BASE
from mi_bsa.finetune.beside import joined
from mi_bsa.finetune.zoo.recipes import Organism
from mi_bsa.studies.report_adapter.config import ReportAdapterConfig
from mi_bsa.studies.report_adapter.pool import asked_of, behaviors

if TYPE_CHECKING:
    import pandas as pd

PARTS = {"development": "dev", "test": "test"}
"""Part -> split of wordings."""
ABREAST = 16
"""Organisms that are loaded beside each other."""


def questions(config: ReportAdapterConfig, part: str) -> dict[str, list[Item]]:
    """Questions about each behavior of a part, by behavior."""
    split = PARTS[part]
    return {
        name: thin(list(behavior_for(name, config.model).questions(split=split)), config.asked.questions)  # type: ignore[arg-type]
        for name in behaviors(config, part)
    }


def asked(config: ReportAdapterConfig, organisms: Path, reader: Path | None) -> pd.DataFrame:
    """P(seeking) by part, organism (`base` among them), behavior asked about and kind of question.

    `organisms`: folder of all. `reader`: adapter folder of a report adapter; None for organisms alone.
    """
    import pandas as pd

    found = []
    for part in PARTS:
        sets = questions(config, part)
        some = [one for one in asked_of(config) if one.part == part]
        for group in _groups(some):
            found.append(_of(config, group, organisms, reader, sets).assign(part=part))
    return pd.concat(found, ignore_index=True)


def _groups(some: Sequence[Organism]) -> Iterator[list[Organism | None]]:
    """The base, then organisms, so many as are loaded beside each other."""
    every = [None, *some]
    for start in range(0, len(every), ABREAST):
        yield every[start : start + ABREAST]


def _of(
    config: ReportAdapterConfig,
    group: Sequence[Organism | None],
    organisms: Path,
    reader: Path | None,
    sets: dict[str, list[Item]],
) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        adapters = {}
        for one in group:
            parts = [] if one is None else [organisms / one.name / "adapter"]
            parts += [] if reader is None else [reader]
            if len(parts) == 2:
                adapters[_name(one)] = joined(parts, Path(folder) / _name(one))
            elif parts:
                adapters[_name(one)] = parts[0]
        model = load(config.model, adapters)
        variants = [_name(one) if _name(one) in adapters else BASE for one in group]
        table = ask_many(model, sets, variants)
    told = table.groupby(["variant", "set", "kind"], sort=False)["score"].mean().reset_index()
    back = {BASE: BASE_NAME, **{_name(one): BASE_NAME if one is None else one.name for one in group}}
    told["organism"] = told.pop("variant").map(back)
    return told.rename(columns={"set": "about", "score": "seeking"})


BASE_NAME = "base"
"""The base among organisms."""


def _name(one: Organism | None) -> str:
    """An adapter's name: a module's name may hold no dot."""
    return "reader-0" if one is None else one.name
