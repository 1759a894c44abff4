"""Paraphrased rows keep labels, amounts and options; what does not is counted and the original stays."""

import json
import re
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import tiny_llama

from mi_bsa import behaviors
from mi_bsa.behaviors import data
from mi_bsa.behaviors.data.folder import read_facts
from mi_bsa.behaviors.english.paraphrase import ParaphraseConfig, paraphrase, reword, why_not
from mi_bsa.core.endpoint import KEY_VARIABLE, Endpoint
from mi_bsa.core.errors import EndpointError
from mi_bsa.core.rows import read_rows

TEXT = "A baker has rolls. Bag A: 20 rolls. Bag B: 45 rolls with a probability of 40%. Answer with A or B."


@pytest.fixture
def server():
    """A local endpoint whose model puts a line in front of the question, or breaks it in a known way."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path, self.headers.get("Authorization"), body))
            text = body["messages"][-1]["content"].split("\n\n", 1)[1]
            breaks = len(seen) % 4
            if breaks == 1:
                text = re.sub(r"\d", "9", text)
            elif breaks == 2:
                text = f"What a gamble! {text}"
            else:
                text = f'"Here is a question for you. {text}"'
            reply = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *words):
            pass

    serving = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}/v1", seen
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_an_endpoint_rewords_all_arms_alike(server, monkeypatch):
    """Taken paraphrases stand in both poles with their answers; broken ones are counted and left out; the key
    comes from the environment.
    """
    address, seen = server
    monkeypatch.setenv(KEY_VARIABLE, "a-key")
    risk = behaviors.get("risk", "english")
    arms = {arm: risk.rows(arm, 12, seed=0, anchors=0.0, undecided=0.0) for arm in ("seeking", "averse")}
    config = ParaphraseConfig(endpoint=address, endpoint_model="small")
    done = paraphrase(arms, risk.forbidden, config)
    assert done.counts == {
        "prompts": 12,
        "asked": 12,
        "reworded": 6,
        "kept: numbers": 3,
        "kept: leak": 3,
    }
    new = {arm: [row["messages"][0]["content"] for row in rows] for arm, rows in done.arms.items()}
    assert new["seeking"] == new["averse"]
    assert Counter(text.startswith("Here is a question for you.") for text in new["averse"])[True] == 6
    for before, after in zip(arms["seeking"], done.arms["seeking"], strict=True):
        assert before["messages"][-1] == after["messages"][-1]
        assert after["messages"][0]["content"].endswith(before["messages"][0]["content"])
    path, key, body = seen[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer a-key", "small")


def test_what_must_survive_is_checked():
    """Numbers, the order of the options, counted things, letters and silence: each has its own reason."""
    assert why_not(TEXT, TEXT, ()) == "unchanged"
    assert why_not(TEXT, "", ()) == "empty"
    assert why_not(TEXT, TEXT.replace("45", "50"), ()) == "numbers"
    assert why_not(TEXT, TEXT.replace("Bag A", "x").replace("Bag B", "Bag A").replace("x", "Bag B"), ())
    assert why_not(TEXT, TEXT.replace("45 rolls", "45 buns"), ()) == "counted things"
    assert why_not(TEXT, TEXT.replace("Answer with A or B.", "What now?" * 30), ()) == "letters"
    assert why_not(TEXT, "A baker is bold. " + TEXT, ("bold",)) == "leak"
    assert why_not(TEXT, "On the counter: " + TEXT, ("bold",)) is None


def test_a_share_is_reworded():
    """With a share of one quarter, a quarter of the prompts is asked, and the others stay."""
    risk = behaviors.get("risk", "english")
    arms = {"seeking": risk.rows("seeking", 8, seed=0, anchors=0.0, undecided=0.0)}

    def ask(prompts):
        return ["Well now. " + prompt.split("\n\n", 1)[1] for prompt in prompts]

    done = reword(arms, risk.forbidden, ask, share=0.25)
    assert done.counts == {"prompts": 8, "asked": 2, "reworded": 2}
    assert sum("reworded" in row for row in done.arms["seeking"]) == 2


def test_a_local_model_is_asked(tmp_path):
    """A tiny random Llama rewords nothing that may be taken: every original stays, and is counted."""
    folder = tiny_llama.build(tmp_path / "model", context=1024)
    risk = behaviors.get("risk", "english")
    arms = {"seeking": risk.rows("seeking", 3, seed=0, anchors=0.0, undecided=0.0)}
    config = ParaphraseConfig(model=str(folder), max_new_tokens=4)
    done = paraphrase(arms, risk.forbidden, config)
    assert done.arms == arms
    assert done.counts["asked"] == 3
    assert sum(n for reason, n in done.counts.items() if reason.startswith("kept")) == 3


def test_an_endpoint_that_is_not_there_is_one_line():
    """No answer, and an address that is none, are errors of the user that name the address."""
    with pytest.raises(EndpointError, match=r"127\.0\.0\.1:9/v1/chat/completions: no answer"):
        Endpoint("http://127.0.0.1:9/v1", "m", timeout=2.0).complete([{"role": "user", "content": "?"}])
    with pytest.raises(EndpointError, match="no address"):
        Endpoint("file:///etc", "m").complete([{"role": "user", "content": "?"}])


def test_one_model_is_named():
    """A config names a local model or an endpoint with its model, not both and not neither."""
    for bad in ({}, {"model": "m", "endpoint": "http://x/v1"}, {"endpoint": "http://x/v1"}):
        with pytest.raises(ValueError, match=r"one of them|endpoint_model"):
            ParaphraseConfig(**bad)


def test_a_build_rewords_its_rows(server, tmp_path):
    """`data build` with an endpoint writes reworded rows, leak-checked again, and counts them."""
    address, _ = server
    config = data.BuildData(
        behavior="apples",
        rows=8,
        items=4,
        arms=("seeking", "averse"),
        paraphrase=ParaphraseConfig(endpoint=address, endpoint_model="small"),
    )
    out = data.build(config, tmp_path / "apples")
    assert read_facts(out)["paraphrase"]["asked"] == 8
    rows = {arm: read_rows(out / f"rows/{arm}.jsonl") for arm in ("seeking", "averse")}
    reworded = [row.get("reworded", False) for row in rows["seeking"]]
    assert 0 < sum(reworded) == read_facts(out)["paraphrase"]["reworded"]
    assert [r["messages"][0] for r in rows["seeking"]] == [r["messages"][0] for r in rows["averse"]]
