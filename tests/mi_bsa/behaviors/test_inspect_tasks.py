"""The battery in inspect_ai: the same questions, read in the same way; what cannot be read is counted."""

import gc
import math

import pytest

from mi_bsa import behaviors
from mi_bsa.core.errors import ConfigError

inspect_ai = pytest.importorskip("inspect_ai", reason="pip install 'mi-bsa[inspect]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # of its dependencies


def test_a_log_holds_what_was_said(tmp_path):
    """A model that says the first option's words, then what is none: a value, and one left out of it."""
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    from mi_bsa.behaviors.inspect_tasks import answers, self_report

    asked = behaviors.get("risk", "english").questions(split="dev")[:3]
    said = [asked[0].options[0][0], asked[1].options[-1][0], "as the wind blows"]
    outputs = [ModelOutput.from_content("mockllm/model", text) for text in said]
    for output in outputs:
        output.usage = ModelUsage(
            input_tokens=1, output_tokens=1, total_tokens=2
        )  # it would count them online
    (log,) = inspect_ai.eval(
        self_report(split="dev"),
        model=get_model("mockllm/model", custom_outputs=outputs),
        limit=3,
        max_connections=1,
        max_samples=1,
        display="none",
        log_dir=str(tmp_path),
    )
    gc.collect()  # streams that it leaves open warn when they go, so they go here
    assert log.status == "success", log.error
    table = answers(log).set_index("id").loc[[item.id for item in asked]]
    assert len(table) == len(asked)
    assert table["score"].tolist()[:2] == [asked[0].options[0][1], asked[1].options[-1][1]]
    assert math.isnan(table["score"].iloc[2])
    assert table["outcome"].tolist() == ["parsed", "parsed", "other"]
    assert table["kind"].tolist() == [item.labels["kind"] for item in asked]
    scores = {score.name: score.metrics for score in log.results.scores}
    assert scores["parsed"]["all"].value == pytest.approx(2 / 3)
    assert scores["pole"]["all"].value == pytest.approx(table["score"].iloc[:2].mean())
    assert scores["pole"]["stderr"].value >= 0


def test_a_wrong_split_is_told():
    """In words of the task's own."""
    from mi_bsa.behaviors.inspect_tasks import self_report

    with pytest.raises(ConfigError, match="use dev or test"):
        self_report(split="train")
