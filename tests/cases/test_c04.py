"""Case C4: a key is stripped, checked, never printed, and read from the toolkit's own variables only."""

import base64
import json
import traceback
from urllib.parse import quote

import pytest
from odd_servers import ANSWER, chat, say, serving

from mi_bsa.asking.battery import BatteryConfig
from mi_bsa.asking.endpoint import KEY, EndpointJudge
from mi_bsa.behaviors.english.paraphrase import ParaphraseConfig
from mi_bsa.core.config import parse
from mi_bsa.core.endpoint import KEY_VARIABLE, Endpoint
from mi_bsa.core.errors import ConfigError, EndpointError, JudgeError
from mi_bsa.core.http_post import Key

SECRET = "sk-planted/secret+0123456789"
ASKED = [{"role": "user", "content": "?"}]


@pytest.mark.parametrize("around", ["{}\n", " {}\r\n", "\t{} "])
def test_white_space_around_a_key_is_no_part_of_it(around: str, monkeypatch: pytest.MonkeyPatch):
    """As `export KEY=$(cat file)` on other systems leaves it."""
    monkeypatch.setenv(KEY_VARIABLE, around.format(SECRET))
    with serving(chat) as (port, seen):
        assert Endpoint(f"http://127.0.0.1:{port}/v1", "m").complete(ASKED) == "50"
    assert seen[0]["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    "odd", ["sk-pl\nanted", "sk-pl anted", "sk-pl\x07anted", "sk-pl\u00e9anted", "sk-pl\r\nX: y"]
)
def test_a_key_that_no_header_can_hold_is_not_printed(odd: str, monkeypatch: pytest.MonkeyPatch):
    """It is refused before anybody is asked, by the name of its variable."""
    monkeypatch.setenv(KEY_VARIABLE, odd)
    monkeypatch.setenv(KEY, odd)
    with serving(chat) as (port, seen):
        url = f"http://127.0.0.1:{port}/v1"
        with pytest.raises(EndpointError, match=KEY_VARIABLE) as first:
            Endpoint(url, "m").complete(ASKED)
        with pytest.raises(JudgeError, match=KEY) as second:
            EndpointJudge(url, "m", ("a", "b")).score(["x"])
        assert seen == []
    for error in (first, second):
        assert "sk-pl" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 500])
def test_a_server_that_sends_the_key_back(status: int, monkeypatch: pytest.MonkeyPatch):
    """In a body, in JSON, in a reason, in a header: no message and no answer holds it."""
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    monkeypatch.setenv(KEY, SECRET)
    bodies = [
        f"x{SECRET}y", "z" * 190 + SECRET, json.dumps({"error": f"bad key {SECRET}"}).replace("/", "\\/"),
        "Incorrect key sk-pl*****56789", quote(SECRET, safe=""),
        base64.b64encode(f"Bearer {SECRET}".encode()).decode(),
        "".join(f"\\u00{ord(c):02x}" for c in SECRET), SECRET.replace("-", " - "),
        json.dumps({"choices": [{"message": {"content": f"my {SECRET} is"}}]}), "\x1b[2J" + SECRET,
    ]  # fmt: skip
    for body in bodies:
        with serving(lambda h, body=body: say(h, body.encode(), status, **{"X-Key": SECRET})) as (port, _):
            url, said = f"http://127.0.0.1:{port}/v1", []
            for ask in (
                lambda url=url: Endpoint(url, "m", retries=0).complete(ASKED),
                lambda url=url: EndpointJudge(url, "m", ("a", "b"), retries=0).score(["x"]),
            ):
                try:
                    said.append(str(ask()))
                except (EndpointError, JudgeError) as error:
                    said.append("".join(traceback.format_exception(error)))
            assert not Key(SECRET, "x").within("".join(said).replace("<MI_BSA_API_KEY>", ""))
            assert "\x1b" not in "".join(said)


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "PATH", "", "mi_bsa_key", "XMI_BSA_KEY"]
)
def test_other_variables_are_not_read(name: str):
    """A config from somebody else can not name a secret of the environment."""
    with pytest.raises(EndpointError, match="MI_BSA_"):
        Endpoint("http://127.0.0.1:9/v1", "m", name)
    given = {"endpoint": "http://127.0.0.1:9/v1", "endpoint_model": "m", "key_variable": name}
    with pytest.raises(ConfigError, match="MI_BSA_"):
        parse(given, ParaphraseConfig)
    assert parse(given | {"key_variable": "MI_BSA_OTHER_KEY"}, ParaphraseConfig)


@pytest.mark.parametrize(
    "url",
    [
        "http://me:pw@host/v1",
        "file:///etc/passwd",
        "http://",
        "localhost:8000",
        "http://h:x/v1",
        "http://a b/",
    ],
)
def test_addresses_that_are_none(url: str):
    """They are refused when the config is read; a password is not repeated."""
    judged = {"behavior": "risk", "samples": 1, "judges": ["endpoint"], "judge_model": "m", "judge_url": url}
    for given, kind in (
        ({"endpoint": url, "endpoint_model": "m"}, ParaphraseConfig),
        ({"model": "embedded", **judged}, BatteryConfig),
    ):
        with pytest.raises(ConfigError, match=r"http://HOST|MI_BSA_API_KEY") as error:
            parse(given, kind)
        assert "me:pw" not in str(error.value)


def test_what_a_server_says_is_shown_where_it_holds_no_key(monkeypatch: pytest.MonkeyPatch):
    """Negative control: the reason of a refusal helps, and stays."""
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    words = "no model named m is served here"
    with (
        serving(lambda h: say(h, words.encode(), 404)) as (port, _),
        pytest.raises(EndpointError, match=words),
    ):
        Endpoint(f"http://127.0.0.1:{port}/v1", "m").complete(ASKED)


def test_a_dummy_key_may_be_a_word_of_the_answer(monkeypatch: pytest.MonkeyPatch):
    """Negative control: local servers want any key, and what they answer is not touched."""
    monkeypatch.setenv(KEY_VARIABLE, "50")
    with serving(lambda h: say(h, json.dumps(ANSWER).encode())) as (port, _):
        assert Endpoint(f"http://127.0.0.1:{port}/v1", "m").complete(ASKED) == "50"
