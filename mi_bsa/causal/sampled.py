"""What variants say where options hold little of the probability: kinds of report question asked by sampling.

Law: which kinds are sampled follows from option mass alone, in the base and at either pole (`BARS`); and
where too little of what the base says of itself can be read, nobody else is asked, since the kind is not
read. Samples stand beside the answers by log-probabilities, told apart by the column `asked`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.asking.by_sampling import ask_by_sampling
from mi_bsa.asking.low_mass import low_kinds, parsed_kinds
from mi_bsa.asking.statements import against_base
from mi_bsa.causal.asking import answers, load, table_path
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.gate import BARS
from mi_bsa.causal.items import items_of
from mi_bsa.causal.readable import DESCRIBED, SETS
from mi_bsa.core.variants import BASE
from mi_bsa.study.steps import Cell

if TYPE_CHECKING:
    import pandas as pd

    from activations import Model

OWN = SETS[0]


def sampled_path(folder: Path, variant: str) -> Path:
    """Where a variant's sampled answers lie; a table without rows where nothing had to be sampled."""
    return folder / "sampled" / f"{variant}.csv"


def sample_variant(cell: Cell[BridgeConfig], *, variant: str, poles: Sequence[str] = ()) -> dict[str, Any]:
    """Sample a variant's answers to the kinds of report question whose options hold too little.

    The base comes first, asked about itself; only of kinds of which it says enough that can be read are
    others asked: the base about others and with stated poles, and every adapter. `poles`: adapters of either
    pole, whose option mass is looked at with the base's.
    """
    import pandas as pd

    options, folder = cell.config.sampling, cell.folder
    frames: list[pd.DataFrame] = []
    read: tuple[str, ...] = ()
    if variant == BASE:
        table = against_base(answers(folder, (BASE, *poles)))
        kinds = low_kinds(table[table["set"] == OWN], bars=BARS) if options.answers else ()
        if kinds:
            model = load(cell, variant)
            frames.append(_ask(cell, model, OWN, kinds, variant=variant))
            read = parsed_kinds(frames[0].assign(arm=BASE), bars=BARS)
            frames += [_ask(cell, model, name, read, variant=variant) for name in (*SETS[1:], DESCRIBED)]
    elif kinds := tuple(cell.value(f"sample/{BASE}")["read"]):
        model = load(cell, variant)
        frames = [_ask(cell, model, name, kinds, variant=variant) for name in SETS]
    frames = [one for one in frames if len(one)]
    told = (
        pd.concat(frames, ignore_index=True) if frames else pd.read_csv(table_path(folder, variant), nrows=0)
    )
    path = sampled_path(folder, variant)
    path.parent.mkdir(exist_ok=True)
    told.assign(variant=variant).to_csv(path, index=False)
    return {"kinds": list(kinds), "read": list(read), "answers": len(told)}


def all_answers(folder: Path, variants: tuple[str, ...]) -> pd.DataFrame:
    """All variants' answers, by log-probabilities (of statements, against the base's), and where some were
    sampled, these beside them.
    """
    import pandas as pd

    asked = against_base(answers(folder, variants))
    some = tuple(v for v in variants if len(pd.read_csv(sampled_path(folder, v))))
    if not some:
        return asked
    return pd.concat([asked, answers(folder, some, path=sampled_path)], ignore_index=True)


def _ask(
    cell: Cell[BridgeConfig], model: Model, name: str, kinds: Sequence[str], *, variant: str
) -> pd.DataFrame:
    """One set's questions of some kinds, sampled."""
    import pandas as pd

    options = cell.config.sampling
    items = [item for item in items_of(cell.folder, name) if item.labels["kind"] in kinds]
    if not items:
        return pd.DataFrame()
    return ask_by_sampling(
        model,
        items,
        options.answers,
        seed=0,
        variant=variant,
        temperature=options.temperature,
        tokens=options.tokens,
    ).assign(set=name)
