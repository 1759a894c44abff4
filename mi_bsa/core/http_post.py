"""One JSON request to an endpoint that nobody need trust, and the only place where the toolkit speaks HTTP.

The law: a key goes to the host that was named and to no other, so no redirect is followed; no message holds
it, also where a server sends it back; and an answer has a deadline and a size as a whole, since a server that
sends a byte a second never lets a socket's own timeout pass.
"""

import base64
import contextlib
import http.client
import json
import os
import re
import socket
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

MOST_BYTES = 8 << 20
"""An answer of a chat model has kilobytes; what is larger is no such answer."""
SHOWN = 200
"""Characters of a server's own words that a message shows."""
REAL = 12
"""Characters from which on a key is taken for a real one."""
PIECE = 6
"""Characters of a key that are as good as the key: what holds so many in a row is not shown."""
VARIABLE = re.compile(r"MI_BSA_[A-Z0-9_]+")


class PostError(Exception):
    """What went wrong, in words without the key; `status` of HTTP, if one came; `again`: it may do later."""

    def __init__(self, text: str, *, status: int | None = None, again: bool = False) -> None:
        super().__init__(text)
        self.status, self.again = status, again


@dataclass(frozen=True)
class Key:
    """A secret out of the environment, which never prints."""

    value: str
    variable: str

    def __repr__(self) -> str:
        return f"<the key in {self.variable}>"

    def within(self, text: str) -> bool:
        """Whether a text holds the key or a piece of it, however a server may have spelled it."""
        core = _letters(self.value)
        if len(core) < PIECE:  # no secret, and any word may hold it
            return len(self.value) >= 4 and self.value in text
        coded = "".join(
            _letters(base64.b64encode(b"x" * n + self.value.encode()).decode()[4:-4]) for n in range(3)
        )
        unescaped = re.sub(r"\\u00([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), unquote(text))
        said = _letters(unescaped).lower()
        pieces = {
            whole[n : n + PIECE].lower() for whole in (core, coded) for n in range(len(whole) - PIECE + 1)
        }
        return any(piece in said for piece in pieces)

    def hide_in(self, answer: str) -> str:
        """An answer without the key; a dummy key, as local servers want, may be any word and stays."""
        return answer.replace(self.value, f"<{self.variable}>") if len(self.value) >= REAL else answer


def key_from(variable: str) -> Key:
    """The key in an environment variable; empty where it is not set. White space around it is no part of it.

    Raises:
        PostError: a variable of somebody else's name, or a key that cannot stand in a header.
    """
    check_variable(variable)
    value = os.environ.get(variable, "").strip()
    if not all("!" <= character <= "~" for character in value):
        raise PostError(
            f"the key in {variable} holds a space, a line break or a character that is not ASCII: set the "
            "variable to the key alone"
        )
    return Key(value, variable)


def check_variable(variable: str) -> str:
    """Refuse any variable but the toolkit's own: a config must not send somebody's other secrets away."""
    if not VARIABLE.fullmatch(variable):
        raise PostError(
            f"key_variable {variable!r}: keys are read from variables named MI_BSA_... only, so that no "
            "config can send another secret away; set MI_BSA_API_KEY to the key"
        )
    return variable


def check_url(url: str) -> str:
    """Refuse what is no address of a server, or holds a password, which records would keep."""
    try:
        parts = urlsplit(url)
        port = parts.port  # noqa: F841 - reading it checks it
    except ValueError as bad:
        raise PostError(f"{url!r} is no address of an endpoint ({bad}); give http://HOST:PORT/v1") from None
    if parts.username is not None or parts.password is not None:
        raise PostError(
            f"the address of {parts.hostname} holds a user or a password; put the key into MI_BSA_API_KEY"
        )
    odd = not all("!" <= character <= "~" for character in url)
    if parts.scheme not in ("http", "https") or not parts.hostname or odd or parts.query or parts.fragment:
        raise PostError(f"{url!r} is no address of an endpoint; give http://HOST:PORT/v1 or https://...")
    return url


def post(address: str, body: Any, *, key: Key, seconds: float | int) -> Any:
    """The JSON that a server answers to a JSON body, within a number of seconds from first to last byte.

    Raises:
        PostError: no answer, another status than 200, a redirect, too slow, too large, or no JSON.
    """
    check_url(address)
    headers = {"Content-Type": "application/json"}
    if key.value:
        headers["Authorization"] = f"Bearer {key.value}"
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    exchange = _Exchange(request, float(seconds))
    data = exchange.result(key)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise PostError("the answer is no JSON; give an OpenAI-compatible endpoint") from None


class _Exchange:
    """One request in a thread of its own, cut off when its time is over."""

    def __init__(self, request: urllib.request.Request, seconds: float) -> None:
        self.request, self.seconds = request, seconds
        self.sockets: list[socket.socket] = []
        self.data = b""
        self.failed: Exception | None = None
        self.said = b""
        self.ended = threading.Event()

    def result(self, key: Key) -> bytes:
        threading.Thread(target=self._run, daemon=True).start()
        if not self.ended.wait(self.seconds):
            for connection in self.sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            raise PostError(
                f"no whole answer within {self.seconds:g} s; raise the timeout, or look at the server"
            )
        if self.failed is None:
            return self.data
        raise _explained(self.failed, self.said, key) from None

    def _run(self) -> None:
        try:
            opener = urllib.request.build_opener(_NoRedirect, _Keeping(self))
            with opener.open(self.request, timeout=self.seconds) as answer:
                self.data = bytes(answer.read(MOST_BYTES + 1))
            if len(self.data) > MOST_BYTES:
                raise PostError(f"the answer is larger than {MOST_BYTES >> 20} MiB; give a chat endpoint")
        except urllib.error.HTTPError as bad:
            with contextlib.suppress(OSError, http.client.HTTPException), bad:
                self.said = bad.read(1 << 16)  # without it the status alone says enough
            self.failed = bad
        except Exception as bad:
            self.failed = bad
        finally:
            self.ended.set()

    def keep(self, connection: http.client.HTTPConnection) -> None:
        """Remember a connection's socket, by which a slow exchange is ended."""
        if connection.sock is not None:
            self.sockets.append(connection.sock)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class _Keeping(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Opens http and https, and tells an exchange of every connection."""

    def __init__(self, exchange: _Exchange) -> None:
        super().__init__()
        self.exchange = exchange

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self._kept(http.client.HTTPConnection), req)

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self._kept(http.client.HTTPSConnection), req)

    def _kept(self, kind: type[http.client.HTTPConnection]) -> Any:
        exchange = self.exchange

        class Kept(kind):  # type: ignore[valid-type, misc]
            def connect(self) -> None:
                super().connect()
                exchange.keep(self)

        return Kept


def _explained(bad: Exception, said: bytes, key: Key) -> PostError:
    """What happened, in words that hold no key and no control character."""
    if isinstance(bad, PostError):
        return bad
    if isinstance(bad, urllib.error.HTTPError):
        if 300 <= bad.code < 400:
            to = _shown(str(bad.headers.get("Location", "another address")), key)
            return PostError(
                f"it redirects to {to} (status {bad.code}), which is not followed, for the key would go "
                "along; give that address if you trust it",
                status=bad.code,
            )
        again = bad.code in (429, 500, 502, 503, 504)
        words = _shown(said.decode("utf-8", "replace"), key)
        return PostError(f"status {bad.code} ({words})", status=bad.code, again=again)
    reason = getattr(bad, "reason", bad)
    return PostError(f"no answer ({_shown(str(reason), key)})", again=not isinstance(bad, ValueError))


def _shown(text: str, key: Key) -> str:
    if key.within(text):
        return f"its words hold {key}, and are not shown"
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:SHOWN]


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isalnum())
