"""Small HTTP servers that misbehave in one way each, on addresses of this machine."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = {"choices": [{"message": {"role": "assistant", "content": "50"}}]}


@contextmanager
def serving(answer: Callable[[Any], None]) -> Iterator[tuple[int, list[dict[str, str]]]]:
    """A server whose every request is handled by `answer(handler)`; gives its port and the headers it saw."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(dict(self.headers))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                answer(self)
            except OSError:  # the other side has hung up
                self.close_connection = True

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_port, seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def chat(handler: Any) -> None:
    """A whole chat completion."""
    say(handler, json.dumps(ANSWER).encode())


def say(handler: Any, body: bytes, status: int = 200, **headers: str) -> None:
    """A status, headers and a body."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def drip(handler: Any, *, headers: bool) -> None:
    """A byte every twentieth of a second, without end: in the headers, or in the body."""
    if not headers:
        handler.send_response(200)
        handler.end_headers()
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: " if headers else b" ")
    for _ in range(400):
        handler.wfile.write(b"x" if headers else b" ")
        handler.wfile.flush()
        time.sleep(0.05)
