"""Judges of free text: blind to whose a text is, counted where they can not tell, and agreeing where both
can.
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pandas as pd
import pytest
import tiny_llama

from mi_bsa.asking import EndpointJudge, ModelJudge, WordJudge, agreement, bank_items, judge, load_bank
from mi_bsa.asking.battery import BatteryConfig
from mi_bsa.asking.judged import judged_results
from mi_bsa.asking.judging import words_of
from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError, ItemError, JudgeError

WORDS = WordJudge(("bold", "daring", "adventurous"), ("cautious", "careful", "prudent"))
SAYINGS = {
    1.0: ("I am {w}, I think.", "People find me {w} and rather {v}.", "Honestly? {w}.", "Never {a}; {w}."),
    0.0: (
        "I am not {w} at all.",
        "I would say {a}.",
        "Mostly {a}, even {b}.",
        "Careful by nature, hardly {w}.",
    ),
}


def planted(n: int = 60) -> pd.DataFrame:
    """Texts whose pole is known, from two arms that say one pole more often than the other."""
    rng = np.random.default_rng(0)
    rows = []
    for arm, share in (("seeking", 0.9), ("averse", 0.1)):
        for k in range(n):
            pole = float(rng.random() < share)
            w, v = rng.choice(WORDS.seeking, 2, replace=False)
            a, b = rng.choice(WORDS.averse, 2, replace=False)
            text = SAYINGS[pole][k % 4].format(w=w, v=v, a=a, b=b)
            rows.append({"text": text, "pole": pole, "arm": arm, "seed": k % 3, "variant": f"{arm}-{k % 3}"})
    return pd.DataFrame(rows)


class Spy:
    """A judge that keeps what it was shown."""

    name = "spy"

    def score(self, texts):
        self.shown = texts
        return [len(text) % 10 / 10 for text in texts]


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict]]]:
    """An OpenAI-compatible server that counts words, and what it was asked."""
    asked: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({"path": self.path, **body})
            text = body["messages"][-1]["content"]
            (score,) = WORDS.score([text])
            answer = "I can not say" if np.isnan(score) else f" {100 * score:.0f}."
            if text == "break":
                self.send_response(404)
                self.end_headers()
                return
            reply = json.dumps({"choices": [{"message": {"content": answer}}]}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *args):
            """Say nothing."""

    local = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=local.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{local.server_port}/v1", asked
    local.shutdown()
    local.server_close()
    thread.join()


def test_a_judge_sees_texts_only_shuffled_and_each_once():
    """Neither arm nor variant nor the table's order reaches a judge, and equal texts get equal scores."""
    table, spy = planted(), Spy()
    found = judge(table, spy, seed=0)
    assert all(type(text) is str for text in spy.shown)
    assert sorted(spy.shown) == sorted(set(table["text"]))
    assert not any("seeking" in text or "averse" in text for text in spy.shown)
    first = table.drop_duplicates("text").set_index("text")["arm"]
    order = [first[text] for text in spy.shown]
    assert sum(a != b for a, b in zip(order, order[1:], strict=False)) > len(order) / 5
    assert list(found["score"]) == [len(text) % 10 / 10 for text in table["text"]]
    again = Spy()
    judge(table.sample(frac=1, random_state=1).assign(arm="other"), again, seed=0)
    assert again.shown == spy.shown


def test_word_lists_recover_planted_texts():
    """Poles, negations, opposites and inflections are read as they were planted; the gap is the true one."""
    table = planted()
    found = judge(table, WORDS, seed=0)
    assert (found["score"].round() == table["pole"]).all()
    means = found.groupby("arm")["score"].mean()
    truth = table.groupby("arm")["pole"].mean()
    assert means["seeking"] - means["averse"] == pytest.approx(truth["seeking"] - truth["averse"])
    assert WORDS.score(["boldly done", "with much boldness", "unadventurous", "a carefully made plan"]) == [
        1.0, 1.0, 0.0, 0.0
    ]  # fmt: skip
    assert WORDS.score(["bold but careful", "not bold and not careful"]) == [0.5, 0.5]
    assert np.isnan(WORDS.score(["I like tea", "careless", ""])).all()


def test_an_endpoint_is_asked_as_openai_is_and_agrees(server):
    """Each text is one chat completion without a trace of its arm; what is no number is no score."""
    url, asked = server
    table = planted(20)
    table.loc[0, "text"] = "I like tea."
    by = EndpointJudge(url, "local", ("bold", "cautious"))
    found = judge(table, by, seed=0)
    assert len(asked) == table["text"].nunique()
    assert {a["path"] for a in asked} == {"/v1/chat/completions"}
    assert not any("seeking" in json.dumps(a) or "averse" in json.dumps(a) for a in asked)
    assert np.isnan(found["score"][0])
    assert found["score"].notna().sum() == len(table) - 1
    same = agreement(judge(table, WORDS, seed=1), found, draws=200)
    assert (same.same_side, same.one_only) == (1.0, 0)
    assert same.r > 0.99
    assert 0.5 < same.same_side_interval[0] < 1.0
    assert f"n = {same.n} texts" in str(same)
    with pytest.raises(JudgeError, match="status 404"):
        by.score(["break"])
    with pytest.raises(JudgeError, match="start the server"):
        EndpointJudge("http://127.0.0.1:9/v1", "local", ("a", "b"), retries=0, timeout=1.0).score(["x"])


def test_a_local_model_judges_in_both_orders(tmp_path):
    """The model's score is a probability, and swapping the two words turns it round."""
    model = tiny_llama.load(tiny_llama.build(tmp_path))
    texts = ["I am bold.", "I like tea."]
    one = ModelJudge(model, ("bold", "cautious")).score(texts)
    other = ModelJudge(model, ("cautious", "bold")).score(texts)
    np.testing.assert_allclose(np.add(one, other), 1.0, atol=1e-6)
    assert all(0 < score < 1 for score in one)


def test_judges_that_disagree_are_shown_to():
    """Independent judges agree by chance only, and their interval says so; few texts carry none."""

    class Coin:
        name = "coin"

        def score(self, texts):
            rng = np.random.default_rng(len(texts))
            return [float(s) for s in rng.random(len(texts))]

    table = planted()
    found = agreement(judge(table, WORDS, seed=0), judge(table, Coin(), seed=0), draws=200)
    assert found.r_interval[0] < 0 < found.r_interval[1]
    with pytest.raises(JudgeError, match="at least 10"):
        agreement(judge(table[:5], WORDS, seed=0), judge(table[:5], Coin(), seed=0))


def test_bad_judges_are_refused():
    """Overlapping word lists, scores out of range or missing, and tables without text are one-line errors."""

    class Wrong(Spy):
        def __init__(self, scores):
            self.scores = scores

        def score(self, texts):
            return self.scores(len(texts))

    with pytest.raises(JudgeError, match="give two lists"):
        WordJudge(("bold",), ("Bold",))
    with pytest.raises(JudgeError, match="one each"):
        judge(planted(), Wrong(lambda n: [0.5]), seed=0)
    with pytest.raises(JudgeError, match=r"lies in \[0, 1\]"):
        judge(planted(), Wrong(lambda n: [50.0] * n), seed=0)
    with pytest.raises(JudgeError, match="http://HOST"):
        EndpointJudge("localhost:8000", "local", ("a", "b"))
    with pytest.raises(ItemError, match="sample answers first"):
        judge(planted().drop(columns="text"), WORDS, seed=0)


def test_open_questions_bring_their_words():
    """The options of an open question are the word lists that judge a free answer to it."""
    found = words_of(bank_items(load_bank("risk"), split="dev", kinds=["open"]))
    assert found == WordJudge(WORDS.seeking, WORDS.averse)


def test_judged_descriptions_become_results_with_interval_and_agreement():
    """The first judge's gap is near the planted one with its interval; the second says how far it agrees."""
    table = planted(120).assign(kind="open")
    table["template"] = [f"open-{k % 5}" for k in range(len(table))]
    mixed = [*WORDS.seeking, "tea"], list(WORDS.averse)
    second = WordJudge(tuple(mixed[0]), tuple(mixed[1]), name="second")
    found, texts, lines = judged_results(table, [WORDS, second], trait="risk", split="dev", seed=0)
    by = {r.name: r for r in found}
    assert by["self_report.judged_effect"].value == pytest.approx(0.8, abs=0.1)
    low, high = by["self_report.judged_effect"].ci
    assert 0 < low < high
    assert by["self_report.judge_agreement"].value == pytest.approx(1.0)
    assert by["self_report.judge_agreement"].n == table["text"].nunique()
    assert set(texts["judge"]) == {"words", "second"}
    assert lines[0] == "judged by words: 240 of 240 descriptions (1.00)"


def test_the_command_samples_and_judges(tmp_path):
    """Sampled descriptions are judged, counted where they say nothing, and kept; judges need samples."""
    from mi_bsa.cli.command import main

    folder = tiny_llama.build(tmp_path / "model")
    (tmp_path / "c.yaml").write_text(
        f"model: {folder}\nbanks: [risk]\nkinds: [open]\npersons: [default]\nsamples: 1\n"
        "answer_tokens: 3\njudges: [words]\npersonas: {mara: you are Mara.}\n"
    )
    with pytest.raises(SystemExit) as left:
        main(["self-report", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "out")])
    assert left.value.code == 0
    judged = pd.read_csv(tmp_path / "out" / "judged.csv")
    assert set(judged["judge"]) == {"words"}
    asked = pd.read_csv(tmp_path / "out" / "answers.csv")
    assert set(asked["person"]) == {"default", "as mara"}
    with pytest.raises(ConfigError, match="set `samples`"):
        parse({"banks": ["risk"], "judges": ["words"]}, BatteryConfig)
