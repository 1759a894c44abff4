"""Case C7: what comes from outside is bounded, in time and in size, before any work is done on it."""

import time
from functools import partial

import pytest
from odd_servers import drip, say, serving

from mi_bsa.endpoint import Endpoint
from mi_bsa.errors import EndpointError, JudgeError
from mi_bsa.self_report.endpoint import EndpointJudge

ASKED = [{"role": "user", "content": "?"}]


@pytest.mark.parametrize("headers", [True, False])
def test_an_answer_has_a_deadline_as_a_whole(headers: bool):
    """A server that sends a byte now and then, in its headers or in its body, is left after the time given."""
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
