"""Case C3: the key of a judge or of a paraphrase endpoint goes to the host that was named and to no other."""

import pytest
from odd_servers import chat, say, serving

from mi_bsa.asking.endpoint import KEY, EndpointJudge
from mi_bsa.asking.make_me_say.players import EndpointPlayer
from mi_bsa.core.endpoint import KEY_VARIABLE, Endpoint
from mi_bsa.core.errors import EndpointError, GameError, JudgeError

SECRET = "sk-planted-secret-0123456789"


def ask_all(url: str) -> None:
    """Every door to an endpoint must raise."""
    with pytest.raises(EndpointError, match="redirects"):
        Endpoint(url, "m").complete([{"role": "user", "content": "?"}])
    with pytest.raises(JudgeError, match="redirects"):
        EndpointJudge(url, "m", ("a", "b")).score(["x"])
    with pytest.raises(GameError, match="redirects"):
        EndpointPlayer(url, "m").speak("manipulator", [()], [0])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int, monkeypatch: pytest.MonkeyPatch):
    """To another port, another name, another scheme or the same host: nobody else is asked at all."""
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    monkeypatch.setenv(KEY, SECRET)
    with serving(chat) as (other, seen):
        for to in (f"http://127.0.0.1:{other}/v1", f"http://localhost:{other}/", "ftp://localhost/", "/v2"):
            with serving(lambda h, to=to: say(h, b"", status, Location=to)) as (port, asked):
                ask_all(f"http://127.0.0.1:{port}/v1")
            assert [one.get("Authorization") for one in asked] == [f"Bearer {SECRET}"] * 3
        assert seen == []


def test_a_redirect_without_a_place(monkeypatch: pytest.MonkeyPatch):
    """A redirect that names no place, or echoes the key in it, is an error that holds no key."""
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    for headers in ({}, {"Location": f"http://evil.example/?k={SECRET}"}):
        with serving(lambda h, headers=headers: say(h, b"", 302, **headers)) as (port, _):
            with pytest.raises(EndpointError) as error:
                Endpoint(f"http://127.0.0.1:{port}/v1", "m").complete([{"role": "user", "content": "?"}])
            assert SECRET not in str(error.value)


def test_a_plain_answer_is_taken(monkeypatch: pytest.MonkeyPatch):
    """Negative control: the named host gets the key and is believed."""
    monkeypatch.setenv(KEY, SECRET)
    with serving(chat) as (port, seen):
        assert EndpointJudge(f"http://127.0.0.1:{port}/v1", "m", ("a", "b")).score(["x"]) == [0.5]
    assert seen[0]["Authorization"] == f"Bearer {SECRET}"
