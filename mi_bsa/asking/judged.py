"""Free descriptions within a self-report: sampled answers to open questions, judged, as results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mi_bsa.asking.ask_config import AskingConfig
from mi_bsa.asking.battery import BatteryConfig
from mi_bsa.asking.endpoint import EndpointJudge
from mi_bsa.asking.judging import Judge, ModelJudge, WordJudge, agreement, judge, words_of
from mi_bsa.asking.likelihood import Askable
from mi_bsa.asking.scoring import gap, mean_score
from mi_bsa.core.errors import ItemError, JudgeError
from mi_bsa.core.items import Item
from mi_bsa.core.model_config import load
from mi_bsa.core.results import Result

if TYPE_CHECKING:
    import pandas as pd


def judges_of(config: BatteryConfig, items: Sequence[Item], model: Askable) -> list[Judge]:
    """The judges that a config names, for these open questions; a local judge is asked in its base variant.

    Raises `ItemError` where no open question gives the words of either pole.
    """
    opened = [item for item in items if item.labels.get("kind") == "open"]
    if not opened:
        raise ItemError("no open question is asked, so there is no free text to judge; add the kind `open`")

    def local() -> tuple[Askable, str | None]:
        return (model, "base") if config.judge_model is None else (load(config.judge_model), None)

    return scoring_judges(config, words_of(opened), local)


def scoring_judges(
    config: AskingConfig, words: WordJudge, local: Callable[[], tuple[Askable, str | None]]
) -> list[Judge]:
    """A config's judges that give a score: words, a local model (and its variant), an endpoint's rubric."""
    pair = (words.seeking[0], words.averse[0])
    judges: list[Judge] = []
    for name in config.judges:
        if name == "words":
            judges.append(words)
        elif name == "endpoint":
            assert config.judge_url is not None
            assert config.judge_model is not None
            judges.append(EndpointJudge(config.judge_url, config.judge_model.name, pair))
        elif name == "model":
            judging, variant = local()
            judges.append(ModelJudge(judging, pair, variant=variant))
    return judges


def judged_results(
    samples: pd.DataFrame, judges: Sequence[Judge], *, trait: str, split: str, seed: int
) -> tuple[list[Result], pd.DataFrame, list[str]]:
    """Results, all judged texts (one row a text and judge), and lines that say it in words.

    `samples`: sampled answers with columns text, kind, template, arm, seed. The first judge's scores are
    the result; texts that it could not place are counted and left out.
    """
    import pandas as pd

    opened = samples[samples["kind"] == "open"]
    tables = [judge(opened, by, seed=seed) for by in judges]
    found, lines = [], []
    first = tables[0].dropna(subset="score")
    share = len(first) / len(tables[0])
    lines.append(f"judged by {judges[0].name}: {len(first)} of {len(tables[0])} descriptions ({share:.2f})")
    where = {"behavior": trait, "kind": "open", "method": judges[0].name, "split": split}
    for arm, part in first.groupby("arm"):
        note = f"of {int((tables[0]['arm'] == arm).sum())} texts"
        found.append(mean_score(part).result("self_report.judged", {**where, "arm": str(arm)}, notes=note))
    if {"seeking", "averse"} <= set(first["arm"]):
        found.append(gap(first).result("self_report.judged_effect", where, notes=f"judged share {share:.2f}"))
    for by, table in zip(judges[1:], tables[1:], strict=True):
        try:
            same = agreement(tables[0], table, seed=seed)
        except JudgeError as error:
            lines.append(f"{judges[0].name} and {by.name}: {error}")
            continue
        lines.append(f"{judges[0].name} and {by.name}: {same}")
        found.append(
            Result(
                name="self_report.judge_agreement",
                where={**where, "method": f"{judges[0].name}, {by.name}"},
                value=same.r,
                ci=same.r_interval,
                ci_method="percentile bootstrap over texts",
                n=same.n,
                unit="Pearson r",
                notes=str(same),
            )
        )
    return found, pd.concat(tables, ignore_index=True), lines
