"""What each step of a preferences study puts through its model, counted from its config, for the plan's time.

A context costs beside the model too: its pairs are drawn, its weights are fitted to its choices. Where the
base is built here, the shipped one of the same world stands for its tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable

from mi_bsa.core.items import Item
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.core.rows import TrainingRow
from mi_bsa.core.shape import shape_of
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.work import SAMPLE, Sample, item_tokens, row_tokens
from mi_bsa.studies.preferences.config import PreferencesConfig
from mi_bsa.studies.preferences.setting import Setting, setting
from mi_bsa.studies.preferences.training import FOLDS, REPORT_ARMS, choice_rows, report_rows
from mi_bsa.study.counts import by_name, loading, trained_whole
from mi_bsa.study.pace import Work
from mi_bsa.study.steps import Step

Some = tuple[list[TrainingRow], list[TrainingRow], list[Item], list[Item]]
SHIPPED = ModelConfig(name="embedded/preferences-0")
PAIR, FITTED = 1.5e-4, 4e-3
"""Seconds in which a pair is drawn and told, and in which a context's weights are fitted."""
JUDGED, DRAWN = 0.04, 3e-4
"""Seconds of one set of probes on a layer, and of a bootstrap draw of all intervals."""
OPENED = 24
"""Passes, forward and backward, of a prompt along the opening of an adapter's gates."""
MERGED = 0.5
"""Seconds in which an adapter is merged into a small base."""


def work_of(config: PreferencesConfig) -> Callable[[Step], Work]:
    """Every step's work."""
    found, seeds = setting(config), len(config.seeds)
    model, how, own = config.model or SHIPPED, config.mechanics, config.report_finetune
    chosen, told, items, prompts = _some(found, config.seeds[0])
    choice, report = row_tokens(model, chosen), row_tokens(model, told)
    each, prompt = item_tokens(model, items), item_tokens(model, prompts)
    answer = min(config.max_new_tokens, max(1.0, report - prompt))

    def ask(contexts: float | int, loads: int) -> Work:
        """Choices and reports of so many contexts, the model loaded so often with its adapter."""
        choices, reports = contexts * config.choices, contexts * config.reports
        return Work(
            asked=each * choices,
            read=prompt * reports,
            generated=answer * reports,
            seconds=loads * loading(1) + PAIR * (choices + reports) + FITTED * contexts,
        )

    whole = float(config.instilled + config.native)
    rows = config.instilled * config.train_choices
    trained = config.finetune.total_steps(rows) * config.finetune.batch_size * choice
    jobs, halves = len(REPORT_ARMS) * len(FOLDS), max(1, config.instilled // 2)
    reported = own.total_steps(halves) * own.batch_size * report
    attributes = len(found.instilled[0].names)
    read = config.instilled * attributes * how.pairs * (each + prompt)
    opened = min(how.attributed, config.instilled) * how.pairs * OPENED * (each + prompt)
    probes = shape_of(model).blocks * (1 + how.shuffles) * JUDGED
    again = ask(whole / 2 * len(REPORT_ARMS) * len(FOLDS), len(REPORT_ARMS) * len(FOLDS))
    pretrained = config.recipe.rows * config.recipe.row
    known = {
        "base": Work(seconds=trained_whole(shape_of(model).parameters(), pretrained, config.recipe.steps)),
        "draw": Work(seconds=0.2 + 2 * FITTED * whole),
        "train": Work(trained=seeds * trained, fits=seeds, seconds=2 * PAIR * seeds * rows),
        "ask": ask(whole, 1),
        "reports": Work(trained=jobs * reported, fits=jobs, seconds=MERGED),
        "again": again,
        "mechanics": Work(read=read, trained=opened, seconds=loading(1) + probes),
        "results": Work(seconds=0.1 + DRAWN * config.draws * len(REPORT_ARMS)),
    }
    return by_name(known)


def sample(config: PreferencesConfig) -> Sample:
    """Choices and questions of the study's own contexts; several seeds are trained beside each other."""
    rows, _, items, _ = _some(setting(config), config.seeds[0])
    finetune: FinetuneConfig = config.finetune
    return Sample(config.model or SHIPPED, finetune, rows, items, adapters=1, jobs=len(config.seeds))


def _some(found: Setting, seed: int) -> Some:
    """Rows of choices and of reports, and the prompts of both, of a few contexts."""
    contexts = found.instilled[: SAMPLE // 4]
    targets = found.targets(seed)[: len(contexts)]
    chosen = choice_rows(contexts, targets, found.language, n=SAMPLE // len(contexts), seed=seed)
    told = report_rows(contexts, targets, found.language, seed=seed)
    items = [Item(row["id"], row["messages"][:-1], (("A", 1.0), ("B", 0.0))) for row in chosen]
    prompts = [Item(row["id"], row["messages"][:-1], (("A", 1.0), ("B", 0.0))) for row in told]
    return chosen, told, items, prompts
