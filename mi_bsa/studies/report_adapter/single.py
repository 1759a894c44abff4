"""One report adapter by itself: trained over the organisms of a config, and put onto somebody's adapter.

Law: what is told about an adapter stands beside what it says alone, and what the base says with and without
the report adapter, on the same questions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mi_bsa.behaviors import BEHAVIORS, behavior_for, vocabulary_of
from mi_bsa.core.errors import ConfigError, MissingError, RunFolderError
from mi_bsa.core.finetuned import WEIGHTS, FinetuneResult, check_adapters
from mi_bsa.core.items import thin
from mi_bsa.core.model_config import adapter_folder, check_adapter, load
from mi_bsa.finetune.beside import joined
from mi_bsa.finetune.beside.frozen import config_of
from mi_bsa.studies.report_adapter.config import ReportAdapterConfig, Taught
from mi_bsa.studies.report_adapter.pool import Reader, taught_over
from mi_bsa.studies.report_adapter.teaching import beside, rows_of

if TYPE_CHECKING:
    import pandas as pd

    from mi_bsa.core.items import AskedSplit

READER, ORGANISMS = "reader", "organisms"
"""In the folder of one report adapter: its finetune, and the organisms that were built for it."""


def train_one(
    config: ReportAdapterConfig,
    out: Path,
    *,
    arm: Taught = "matched",
    seed: int = 0,
    organisms: Path | None = None,
    resume: bool = False,
) -> FinetuneResult:
    """Train one report adapter into `out`.

    Args:
        config: organisms, and how it is trained.
        out: its folder, as `finetune` writes it.
        arm: whose truth it is taught.
        seed: of adapter, rows and order.
        organisms: folder of the organisms, where those that are missing are built; `out/organisms` if absent.
        resume: go on in a folder that is there.

    Raises:
        RunFolderError: `out` is there and `resume` is False. What training raises.
    """
    from mi_bsa.finetune import finetune
    from mi_bsa.finetune.zoo import build
    from mi_bsa.worlds.siblings import ensure

    own = out / READER
    _check_free(out, resume=resume)
    ensure(config.model)
    reader = Reader(arm, seed)
    rows, owners = rows_of(config, reader)
    folder = organisms or out / ORGANISMS
    build(config, taught_over(config, reader), folder)
    given = beside(folder, owners)
    how = config.reader.model_copy(update={"seed": seed})
    return finetune(config.model, rows, config=how, out=own, resume=own.exists(), beside=given)


def ask_one(
    reader: Path,
    adapter: Path,
    *,
    model: str | None = None,
    behaviors: Sequence[str] = (),
    split: AskedSplit = "test",
    questions: int = 30,
) -> pd.DataFrame:
    """P(seeking pole) by behavior: `base`, `adapter`, `base_read` and `read` (with the report adapter on).

    Args:
        reader: folder of a report adapter, or of the run that trained it.
        adapter: folder of the adapter in question, or `zoo:NAME`.
        model: the base; by default the one that the report adapter was trained on.
        behaviors: what is asked about; by default every behavior that the base's world has.
        split: wordings.
        questions: about each behavior, of every kind.

    Raises:
        MissingError: a folder without an adapter. ConfigError: adapters of different bases; no behavior.
    """

    from mi_bsa.asking import ask_many

    found = reader_folder(reader)
    check_adapter("adapter", adapter)
    folder = adapter_folder(adapter)
    folder = folder if (folder / WEIGHTS).is_file() else folder / "adapter"
    check_adapters([found, folder])
    base = model or str(config_of(found)["base_model_name_or_path"])
    names = list(behaviors) or known_to(base)
    if not names:
        raise ConfigError(f"{base} is of no world of ours: name the behaviors to ask about with --behavior")
    sets = {name: thin(list(behavior_for(name, base).questions(split=split)), questions) for name in names}
    with tempfile.TemporaryDirectory() as put:
        both = joined([folder, found], Path(put) / "both")
        loaded = load(base, {"adapter": folder, "base_read": found, "read": both})
        table = ask_many(loaded, sets, ["base", *loaded.variants[1:]])
    means = table.groupby(["set", "variant", "kind"], sort=False)["score"].mean()
    told: pd.DataFrame = means.groupby(["set", "variant"], sort=False).mean().unstack("variant")
    return told.loc[names, ["base", "adapter", "base_read", "read"]].rename_axis("behavior")


def _check_free(out: Path, *, resume: bool) -> None:
    """Refuse a folder that is there, or with `resume` holds something else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not resume:
        raise RunFolderError(f"{out}: exists already; give another --out, or continue it with --resume")
    if not out.is_dir() or not any((out / part).is_dir() for part in (READER, ORGANISMS)):
        raise RunFolderError(f"{out}: holds no report adapter; give another --out")


def reader_folder(reader: Path) -> Path:
    """The adapter of a report adapter's folder, or of the folder of the run that trained it.

    Raises:
        MissingError: neither.
    """
    for folder in (reader, reader / "adapter", reader / READER / "adapter"):
        if (folder / WEIGHTS).is_file():
            return folder
    raise MissingError(
        f"{reader}: no report adapter; give --out of mi-bsa report-adapter train, or a study's readers/NAME"
    )


def known_to(base: str) -> list[str]:
    """Behaviors of the world in which a base was made; none for a model of no world."""
    from mi_bsa.worlds.weights import world_for

    if vocabulary_of(base) != "embedded":
        return []
    world = world_for(base)
    traits = getattr(getattr(world, "others", world), "traits", ())
    return [trait.name for trait in traits if trait.name in BEHAVIORS["embedded"]]
