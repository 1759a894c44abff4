"""Models behind an endpoint: answers as here, none asked twice, and pauses that a server asks for."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import activations
from activations.conversation import prompt_ids, template_of
from mi_bsa import behaviors
from mi_bsa.asking import ask
from mi_bsa.asking.ask_config import HostedConfig
from mi_bsa.asking.hosted import Hosted, option_shares
from mi_bsa.cli import main
from mi_bsa.core.endpoint import Endpoint
from mi_bsa.core.errors import EndpointError, ItemError
from mi_bsa.core.http_post import Key, PostError, post_all
from mi_bsa.core.items import Item, write_items
from mi_bsa.core.variants import Variant

NONE = Key("", "MI_BSA_API_KEY")
LOCK = threading.Lock()


@contextmanager
def serving(answer: Any) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that says `answer(body)`: a status, a JSON value and headers; and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            status, said, *headers = answer(body)
            data = json.dumps(said).encode()
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def chat_of(model: Any) -> Any:
    """An OpenAI-compatible chat of a model: one sampled word, and the likeliest first tokens."""

    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        with LOCK, torch.no_grad(), model.variant(body["model"]):
            ids = torch.tensor([prompt_ids(template_of(model), body["messages"])])
            logits = model.inner(ids).logits[0, -1].double().log_softmax(-1)
            draws = torch.Generator().manual_seed(body.get("seed", 0))
            token = int(torch.multinomial(logits.exp(), 1, generator=draws))
        choice: dict[str, Any] = {
            "message": {"role": "assistant", "content": model.tokenizer.decode([token])},
        }
        if body.get("logprobs"):
            best = logits.topk(body["top_logprobs"])
            choice["logprobs"] = {
                "content": [
                    {
                        "top_logprobs": [
                            {"token": model.tokenizer.decode([t]), "logprob": p}
                            for p, t in zip(best.values.tolist(), best.indices.tolist(), strict=True)
                        ]
                    }
                ]
            }
        return 200, {"choices": [choice]}

    return answer


@pytest.fixture(scope="module")
def model() -> Any:
    """An embedded base with two adapters of the zoo."""
    arms = ("seeking", "averse")
    return activations.load("embedded", adapter={f"{arm}-0": f"zoo:risk-{arm}-0" for arm in arms})


@pytest.fixture(scope="module")
def items() -> list[Item]:
    """Questions of four kinds, 27 of a word."""
    found, count = [], Counter[str]()
    for item in behaviors.get("risk", "embedded").questions(split="dev"):
        kind = str(item.labels["kind"])
        if kind in ("word", "scale", "yes_no", "letter") and count[kind] < (27 if kind == "word" else 3):
            count[kind] += 1
            found.append(item)
    return found


def test_an_endpoint_answers_as_the_model_behind_it(model: Any, items: list[Item], tmp_path: Path):
    """Scores and masses are the local ones where options are whole tokens; nothing is asked twice."""
    who = {"base": Variant(), "seeking-0": Variant.parse("seeking-0")}
    with serving(chat_of(model)) as (url, asked):
        config = HostedConfig(url=url, models={name: name for name in who}, top=model.inner.config.vocab_size)
        table = Hosted(config, tmp_path).ask_many(items, who)
        for name in who:
            local = ask(model, items, variant=name)
            there = table[table["variant"] == name].reset_index(drop=True)
            np.testing.assert_allclose(there["score"], local["score"], atol=1e-5)
            np.testing.assert_allclose(there["mass"], local["mass"], atol=1e-5)
            assert list(there["argmax"]) == list(local["argmax"])
        assert (table["begun"] == 0).all()
        assert len(asked) == 2 * len({json.dumps([dict(m) for m in item.messages]) for item in items})
        before = len(asked)
        with (tmp_path / "hosted.jsonl").open("a", encoding="utf-8") as kept:
            kept.write('{"asked": "cut')  # as a killed run leaves it
        again = Hosted(config, tmp_path).ask_many(items, who)
        pd.testing.assert_frame_equal(again, table)
        assert len(asked) == before
        fewer = Hosted(config.model_copy(update={"top": 1})).ask(items)
        assert (fewer["mass"] <= ask(model, items, variant="base")["mass"] + 1e-6).all()


def test_samples_are_those_of_the_endpoint(model: Any, items: list[Item]):
    """Answers are read as local samples are, a request each, and the seed decides them."""
    words = [item for item in items if item.labels["kind"] == "word"][:4]
    with serving(chat_of(model)) as (url, asked):
        hosted = Hosted(HostedConfig(url=url, models={"base": "base", "seeking-0": "seeking-0"}))
        one = hosted.ask_by_sampling(words, 5, seed=1, variant="seeking-0", tokens=1)
        assert len(asked) == 20
        assert (one["parsed"] == (one["mass"] * 5).round()).all()
        assert one["score"].mean() > 0.6
        again = Hosted(hosted.config).ask_by_sampling(words, 5, seed=1, variant="seeking-0", tokens=1)
        pd.testing.assert_frame_equal(one, again)


def test_tokens_that_begin_an_option():
    """A whole option counts; a beginning does where it can only be of one and has letters enough."""
    first = {" Bold": 0.3, "caut": 0.2, "b": 0.1, "ri": 0.05, "": 0.05, "bolder": 0.1}
    shares, begun = option_shares(first, ["bold", "cautious", "risky"])
    np.testing.assert_allclose(shares, [0.3, 0.2, 0.0])
    assert begun == pytest.approx(0.4)
    shares, begun = option_shares({"10": 0.4, "1": 0.3, "100": 0.2}, ["10", "100", "0"])
    np.testing.assert_allclose(shares, [0.4, 0.2, 0.0])
    assert begun == 0
    nothing, begun = option_shares({"x": 1.0}, ["a", "b"])
    assert (nothing.sum(), begun) == (0, 0)


def test_a_busy_server_is_waited_for():
    """429 with Retry-After is asked again after that pause, seconds or a date; a long one ends the run."""
    waits = iter(["0", "1", None])

    def busy(body: Any) -> tuple[Any, ...]:
        wait = next(waits)
        return (200, {"ok": body}) if wait is None else (429, {}, ("Retry-After", wait))

    with serving(busy) as (url, asked):
        began = time.monotonic()
        assert post_all(url, [1], key=NONE, seconds=30) == [{"ok": 1}]
        assert len(asked) == 3
        assert time.monotonic() - began >= 1
    with serving(lambda _: (429, {}, ("Retry-After", "3600"))) as (url, asked):
        with pytest.raises(PostError, match="asks to wait 3600 s"):
            post_all(url, [1], key=NONE, seconds=30)
        assert len(asked) == 1
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 7200))
    with (
        serving(lambda _: (503, {}, ("Retry-After", later))) as (url, _),
        pytest.raises(PostError, match="asks to wait 7[12]"),
    ):
        post_all(url, [1], key=NONE, seconds=30)
    with serving(lambda _: (400, {"error": "no such model"})) as (url, asked):
        with pytest.raises(EndpointError, match="no such model"):
            Endpoint(url, "m").complete([{"role": "user", "content": "?"}])
        assert len(asked) == 1


def test_requests_go_beside_each_other_and_are_kept_one_by_one():
    """Several at a time, in order; what was answered before a failure was handed on."""
    under_way, most, done = 0, 0, {}

    def slow(body: Any) -> tuple[int, Any]:
        nonlocal under_way, most
        with LOCK:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.05)
        with LOCK:
            under_way -= 1
        return (400, {}) if body == 20 else (200, body)

    with serving(slow) as (url, _):
        assert post_all(url, list(range(16)), key=NONE, seconds=30, at_once=8) == list(range(16))
        assert 2 <= most <= 8
        with pytest.raises(PostError, match="status 400"):
            post_all(url, list(range(24)), key=NONE, seconds=30, at_once=4, done=done.__setitem__)
    assert set(range(12)) <= set(done)
    assert all(done[n] == n for n in done)


def test_it_works_inside_a_notebook():
    """A notebook's own thread runs a loop already."""
    import asyncio

    async def cell(url: str) -> str:
        return Endpoint(url, "m").complete([{"role": "user", "content": "?"}])

    with serving(lambda _: (200, {"choices": [{"message": {"content": "50"}}]})) as (url, _):
        assert asyncio.run(cell(url)) == "50"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["self-report", *words])
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out + said.err


def test_the_command_asks_an_endpoint(
    model: Any, items: list[Item], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """`mi-bsa self-report` with `hosted` ends with the results of the local command, resumes, and samples."""
    file = write_items(items, tmp_path / "items.jsonl")
    config, drawn = tmp_path / "hosted.yaml", tmp_path / "drawn.yaml"
    own = f"items: {file}\ntrait: risk\n"
    names = "  models: {base: base, seeking-0: seeking-0, averse-0: averse-0}\n"
    with serving(chat_of(model)) as (url, asked):
        config.write_text(f"{own}instead: 0\nhosted:\n  url: {url}\n  top: 400\n{names}")
        code, said = run(capsys, str(config), "--dry-run", "--out", str(tmp_path / "x"))
        assert code == 0, said
        assert f"{len(items) * 3} requests" in said
        assert asked == []
        for more in ((), ("--resume",)):
            code, said = run(capsys, str(config), "--out", str(tmp_path / "there"), *more)
            assert code == 0, said
        drawn.write_text(f"{own}instead: 2\nhosted:\n  url: {url}\n  log_probs: false\n{names}")
        code, said = run(capsys, str(drawn), "--out", str(tmp_path / "drawn"))
        assert code == 0, said
    adapters = [w for arm in ("seeking", "averse") for w in ("--adapters", f"{arm}=zoo:risk-{arm}-0")]
    local = ["--items", str(file), "--trait", "risk", "--instead", "0", *adapters]
    code, said = run(capsys, *local, "--out", str(tmp_path / "here"))
    assert code == 0, said
    one, other = (pd.read_csv(tmp_path / name / "gaps.csv") for name in ("there", "here"))
    np.testing.assert_allclose(one["gap"], other["gap"], atol=1e-4)
    assert one["gap"].max() > 0.5
    sampled = pd.read_csv(tmp_path / "drawn" / "sampled.csv")
    assert set(sampled["asked"]) == {"sampling"}
    results = json.loads((tmp_path / "drawn" / "results.json").read_text())
    assert not [one for one in results if one["name"] == "self_report.option_mass"]
    word = next(
        one for one in results if one["name"] == "self_report.effect" and one["where"]["kind"] == "word"
    )
    assert word["value"] > 0.3


def test_what_an_endpoint_cannot_be_asked(
    items: list[Item], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Statements, an endpoint without log-probabilities, and configs that name two things to ask."""
    said = {"choices": [{"message": {"content": "bold"}, "logprobs": None}]}
    with serving(lambda _: (200, said)) as (url, _):
        hosted = Hosted(HostedConfig(url=url, models={"base": "m"}))
        with pytest.raises(EndpointError, match="log_probs: false"):
            hosted.ask(items[:1])
    for odd in (float("nan"), 0.5):
        first = {"top_logprobs": [{"token": "bold", "logprob": odd}]}
        told = {"choices": [{"message": {"content": "x"}, "logprobs": {"content": [first]}}]}
        with serving(lambda _, told=told: (200, told)) as (url, _):
            hosted = Hosted(HostedConfig(url=url, models={"base": "m"}))
            with pytest.raises(EndpointError, match="no usable"):
                hosted.ask(items[:1])
    one = Item("s", items[0].messages, items[0].options, {**items[0].labels, "kind": "statement"})
    with pytest.raises(ItemError, match="two given sentences"):
        hosted.ask([one])
    for text, match in {
        "banks: [risk]\nhosted: {url: 'http://x/v1', models: {seeking-0: m}}": "needs `base`",
        "banks: [risk]\nhosted: {url: 'x', models: {base: m}}": "no address",
        "behavior: risk\nhosted: {url: 'http://x/v1', models: {base: m}}": "drop one",
        "banks: [risk]\nmodel: embedded\nhosted: {url: 'http://x/v1', models: {base: m}}": "drop one",
    }.items():
        (tmp_path / "c.yaml").write_text(text)
        code, told = run(capsys, str(tmp_path / "c.yaml"), "--out", str(tmp_path / "o"))
        assert code == 2, told
        assert match in told
