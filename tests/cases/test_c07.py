"""Case C7: what comes from outside is bounded, in time and in size, before any work is done on it."""

import time
from functools import partial

import pytest
from odd_servers import drip, say, serving

from mi_bsa.asking.endpoint import EndpointJudge
from mi_bsa.behaviors.english.code.judge import judge
from mi_bsa.core.endpoint import Endpoint
from mi_bsa.core.errors import EndpointError, JudgeError

ASKED = [{"role": "user", "content": "?"}]


@pytest.mark.parametrize("headers", [True, False])
def test_an_answer_has_a_deadline_as_a_whole(headers: bool):
    """A server that sends a byte now and then, in its headers or its body, is left after the time given."""
    with serving(partial(drip, headers=headers)) as (port, _):
        url, began = f"http://127.0.0.1:{port}/v1", time.monotonic()
        with pytest.raises(EndpointError, match="no whole answer within 0.4 s"):
            Endpoint(url, "m", timeout=0.4).complete(ASKED)
        with pytest.raises(JudgeError, match="no whole answer"):
            EndpointJudge(url, "m", ("a", "b"), timeout=0.4).score(["x"])
        assert time.monotonic() - began < 5


def test_an_answer_has_a_size():
    """What is larger than any chat answer is not read to its end; what is nested without end is no answer."""
    for body in (b" " * (9 << 20), b"[" * 100_000):
        with (
            serving(lambda h, body=body: say(h, body)) as (port, _),
            pytest.raises(EndpointError, match="chat|JSON"),
        ):
            Endpoint(f"http://127.0.0.1:{port}/v1", "m").complete(ASKED)


LARGE = {
    "many lines": "import os\nos.system('ls ' + x)\n" * 50_000,
    "many nodes": "x = f(a, b)\n" * 6_000,
    "a long chain": "x" + ".a" * 2_000 + "\n",
    "many branches": "if a:\n  pass\n" + "elif b:\n  pass\n" * 1_500,
    "joined strings": "x = " + " + ".join(["'select ' "] * 700) + "\n",
    "brackets": "x = " + "[" * 5_000 + "]" * 5_000,
    "one long sum": "x = " + "1+" * 50_000 + "1\n",
    "many fences": "```python\n" * 10_000,
    "a number": "x = " + "9" * 90_000,
}


@pytest.mark.parametrize("name", list(LARGE))
def test_code_is_judged_in_bounded_time(name: str, caplog: pytest.LogCaptureFixture):
    """What is too large or too deep is not read and never passes for clean; no test of Bandit fails."""
    began = time.monotonic()
    assert not judge(LARGE[name]).parsed
    assert time.monotonic() - began < 5
    assert caplog.records == []


def test_code_of_usual_size_is_judged():
    """Negative control: hundreds of lines are judged, and what is planted in them is found."""
    code = (
        "import os\n" + "def f(a):\n    return [g(a, k) for k in range(3)]\n" * 300 + "os.system('ls ' + x)\n"
    )
    assert judge(code).tests == {"B605"}
    assert judge("x = " + " + ".join(["'a'"] * 60)) == judge("x = 'a'")
