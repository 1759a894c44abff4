"""The self-report battery as a task of inspect_ai, and its log as a table.

`inspect eval mi_bsa/self_report -T behavior=risk --model PROVIDER/MODEL --epochs 20` asks any model that
inspect_ai reaches (`pip install 'mi-bsa[inspect]'`); each epoch is one sampled answer a question.

The law: what is asked and how an answer is read are those of `mi-bsa self-report` with sampling: an answer
that is none of the options and names not exactly one of them is unscored, and counted beside what was read. A
task is of one model: the effect of a finetune is the difference of two logs, with the shuffled arm beside it,
and whether a report may be read is judged by `mi-bsa self-report`, not here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser
from inspect_ai.scorer import Score, grouped, mean, scorer, stderr
from inspect_ai.solver import generate

from mi_bsa import behaviors
from mi_bsa.asking.by_sampling import read_answer
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.items import Item

if TYPE_CHECKING:
    import pandas as pd
    from inspect_ai.log import EvalLog

TURNS = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
OPTIONS = "options"
"""Key of a sample's metadata with its options and what each is worth; its labels stand beside."""


@task
def self_report(
    behavior: str = "risk", split: str = "test", vocabulary: str = "english", max_tokens: int = 16
) -> Task:
    """All self-report questions of a behavior: what is said, 1 at its seeking pole and 0 at its averse one.

    Args:
        behavior: its name, or `path/to/file.py:NAME`.
        split: of wordings; `dev` to look, `test` to report once.
        vocabulary: `english`, or `embedded` for the small models that ship.
        max_tokens: longest answer.

    Raises:
        ConfigError: no such split or vocabulary.
        BehaviorError: no such behavior.
    """
    if split not in ("dev", "test") or vocabulary not in ("english", "embedded"):
        raise ConfigError(f"split {split!r}, vocabulary {vocabulary!r}: use dev or test, english or embedded")
    asked = behaviors.get(behavior, vocabulary).questions(split=split)  # type: ignore[arg-type]
    return Task(
        dataset=MemoryDataset([_sample(item) for item in asked], name=f"{behavior} {split}"),
        solver=generate(max_tokens=max_tokens, temperature=1.0),
        scorer=[pole(), parsed()],
    )


@scorer(metrics=[grouped(mean(), "kind"), stderr(cluster="template")])
def pole() -> Any:
    """What an answer that could be read is worth; the standard error is over wordings."""

    async def score(state: Any, target: Any) -> Score:
        found = _read(state)
        if found.outcome != "parsed":
            return Score.unscored(answer=state.output.completion, explanation=found.outcome)
        return Score(value=found.score, answer=found.option)

    return score


@scorer(metrics=[grouped(mean(), "kind")])
def parsed() -> Any:
    """Whether an answer could be read."""

    async def score(state: Any, target: Any) -> Score:
        return Score(value=float(_read(state).outcome == "parsed"), answer=state.output.completion)

    return score


def answers(log: EvalLog) -> pd.DataFrame:
    """A log's answers as `mi_bsa.asking.sample` gives them: one row an answer with `id`, `sample`, `text`,
    `option`, `score` (NaN where not read), `outcome`, and the labels.
    """
    import pandas as pd

    rows = []
    for one in log.samples or []:
        told = dict(one.metadata)
        text, options = one.output.completion, told.pop(OPTIONS)
        read = vars(read_answer(text, [(option, worth) for option, worth in options]))
        rows.append({"id": one.id, "sample": one.epoch - 1, "text": text, **read, **told})
    return pd.DataFrame(rows)


def _sample(item: Item) -> Sample:
    most = max(worth for _, worth in item.options)
    return Sample(
        id=item.id,
        input=[TURNS[turn["role"]](content=str(turn["content"])) for turn in item.messages],
        target=[text for text, worth in item.options if worth == most],
        metadata={OPTIONS: [list(pair) for pair in item.options], **item.labels},
    )


def _read(state: Any) -> Any:
    options = [(text, worth) for text, worth in state.metadata[OPTIONS]]
    return read_answer(state.output.completion, options)
