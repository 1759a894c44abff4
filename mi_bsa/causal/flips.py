"""Step "flips": which items a finetune turned, item by item against the base.

An item's side is the pole whose options have more than half of the probability of all. A finetuned run
turned it *toward* its pole, *away* from it, or it *stayed*, on whichever side it was: a base that already
chooses the pole leaves nothing to turn, so the base's own share stands in the notes.

Law: base and finetuned run are compared on the same items (paired, as McNemar's test does), and the unit of
the test is the seed: the net share toward the pole has its exact p over all exchanges of base and run
within seeds. Items of one run all come from one training, so McNemar's test over items would count one
event many times. With n seeds no p below 2 / 2^n is possible; the interval over seeds is not so bound. The
null of a share is what the shuffled arm turned, to the same side.

Results, of `behavior` and `self_report` alike: `.flips.toward`, `.away`, `.stayed` (shares of items, counts
in the notes), `.net` (toward less away), by arm and split, of reports in test also by kind of question.
`flips.csv` has every item and run, `flips_top.csv` the items that moved most, with their words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.causal.asking import answers
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.items import items_of
from mi_bsa.causal.material import POLES, READ_OUTS
from mi_bsa.causal.steer_and_patch import write
from mi_bsa.core.over_seeds import over_seeds
from mi_bsa.core.results import Null, Result
from mi_bsa.core.tested import UNTESTED, Tested
from mi_bsa.study.steps import Cell
from probes.statistics.permutation import sign_flip_test

if TYPE_CHECKING:
    import pandas as pd

SETS = {f"{stem}-{split}": (name, split) for name, stem in READ_OUTS.items() for split in ("test", "dev")}
TOP = 6
"""Items shown of each arm and read-out that were turned toward the pole."""
LOST = 2
"""And of those turned away."""
CHANGES = ("toward", "away", "stayed")


def compare(cell: Cell[BridgeConfig]) -> dict[str, Any]:
    """Every item of the four sets, base against each run of the arms."""
    config = cell.config
    arms = tuple(arm for arm in (*POLES, "shuffled") if arm in config.arms)
    names = ("base", *(f"{arm}-{seed}" for arm in arms for seed in config.seeds))
    table = flips(answers(cell.folder, names))
    words = {
        item.id: " / ".join(str(turn["content"]) for turn in item.messages)
        for name in SETS
        for item in items_of(cell.folder, name)
    }
    table["text"] = table["id"].map(words)
    table.to_csv(cell.folder / "flips.csv", index=False)
    top(table).to_csv(cell.folder / "flips_top.csv", index=False)
    results = list(flip_results(table, behavior=config.behavior, seeds=config.seeds))
    write(cell.folder / "flips.json", results)
    return {"results": len(results)}


def flips(table: pd.DataFrame) -> pd.DataFrame:
    """One row an item and run: set, split, kind, id, arm, seed, base and finetuned (P of the seeking pole),
    and `turned`: 1 to the seeking side, -1 to the averse one, 0 if it stayed.

    Args:
        table: answers of the base (arm `base`) and the runs, as `mi_bsa.causal.asking.answers` gives them.
    """
    asked = table[table["set"].isin(list(SETS))]
    base = asked[asked["arm"] == "base"].set_index(["set", "id"])["score"].rename("base")
    runs = asked[asked["arm"] != "base"].rename(columns={"score": "finetuned"})
    joined = runs.join(base, on=["set", "id"], how="inner", validate="many_to_one")
    joined["turned"] = (joined["finetuned"] > 0.5).astype(int) - (joined["base"] > 0.5).astype(int)
    columns = ["set", "split", "kind", "id", "arm", "seed", "base", "finetuned", "turned"]
    return joined[columns].reset_index(drop=True)


def top(table: pd.DataFrame, count: int = TOP) -> pd.DataFrame:
    """The test items that each pole's runs turned toward it in most seeds, then by how far they moved; and
    those that they turned away, if any.
    """
    import pandas as pd

    parts = []
    for name, (read_out, split) in SETS.items():
        for pole in POLES if split == "test" else ():
            own = table[(table["set"] == name) & (table["arm"] == pole)]
            sign = 1 if pole == "seeking" else -1
            by_item = own.groupby("id", sort=False).agg(
                kind=("kind", "first"),
                text=("text", "first"),
                base=("base", "first"),
                finetuned=("finetuned", "mean"),
                toward=("turned", lambda t, sign=sign: int((t == sign).sum())),
                away=("turned", lambda t, sign=sign: int((t == -sign).sum())),
                seeds=("seed", "nunique"),
            )
            moved = sign * (by_item["finetuned"] - by_item["base"])
            by_item = by_item.assign(moved=moved).sort_values(["toward", "moved"], ascending=False)
            lost = by_item[by_item["away"] > 0].sort_values(["away", "moved"], ascending=[False, True])
            kept = pd.concat([by_item[by_item["toward"] > 0].head(count), lost.head(LOST)])
            parts.append(kept.reset_index(names="id").assign(arm=pole, read_out=read_out))
    found = pd.concat(parts, ignore_index=True).drop_duplicates(["id", "arm"])
    columns = ["read_out", "arm", "kind", "text", "base", "finetuned", "toward", "away", "seeds", "id"]
    return found[columns].round({"base": 3, "finetuned": 3})


def flip_results(table: pd.DataFrame, *, behavior: str, seeds: Sequence[int]) -> Iterator[Result]:
    """Shares of items turned, by arm, split and, of test reports, kind of question."""
    for name, (read_out, split) in SETS.items():
        asked = table[table["set"] == name]
        kinds = tuple(dict.fromkeys(asked["kind"].astype(str)))
        for kind in (None,) if read_out == "behavior" else ("all", *(kinds if split == "test" else ())):
            part = asked if kind in (None, "all") else asked[asked["kind"] == kind]
            for arm in POLES:
                where = {"behavior": behavior, "arm": arm, "split": split} | ({"kind": kind} if kind else {})
                yield from _of(part, read_out, where, seeds)


def _of(part: pd.DataFrame, read_out: str, where: dict[str, Any], seeds: Sequence[int]) -> Iterator[Result]:
    """Four shares of one arm on one set of items."""
    sign = 1 if where["arm"] == "seeking" else -1
    own = _shares(part[part["arm"] == where["arm"]], sign, seeds)
    shuffled = part[part["arm"] == "shuffled"]
    floor = _shares(shuffled, sign, seeds) if len(shuffled) else None
    items = int(part["id"].nunique())
    at_pole = ((part.drop_duplicates("id")["base"] > 0.5) == (sign == 1)).mean()
    test = sign_flip_test(own["net"])
    tested = Tested.of(test.p, "exact sign flips over seeds, two-sided", floor=test.smallest_p)
    for change, values in own.items():
        if change == "net":
            notes = "McNemar's test with seeds as units: all exchanges of base and run within seeds"
        else:
            count = f"{items * values.mean():.1f} of {items} items a seed"
            notes = f"{count}; base on the pole's side in {at_pole:.2f}"
        yield over_seeds(
            f"{read_out}.flips.{change}",
            where,
            values,
            seeds,
            unit="share of items",
            within=(-1.0 if change == "net" else 0.0, 1.0),
            null=None if floor is None or change == "net" else Null.of("shuffled arm", floor[change]),
            tested=tested if change == "net" else UNTESTED,
            rows=items * len(seeds),
            notes=notes,
        )


def _shares(part: pd.DataFrame, sign: int, seeds: Sequence[int]) -> dict[str, np.ndarray]:
    """Share of items by seed: toward, away, stayed, and toward less away."""
    turned = [part.loc[part["seed"] == seed, "turned"].to_numpy() * sign for seed in seeds]
    codes = dict(zip(CHANGES, (1, -1, 0), strict=True))
    found = {change: np.array([(own == code).mean() for own in turned]) for change, code in codes.items()}
    return found | {"net": found["toward"] - found["away"]}
