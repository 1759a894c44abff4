"""JSON requests to an endpoint that nobody need trust, and the only place where the toolkit speaks HTTP.

The law: a key goes to the host that was named and to no other, so no redirect is followed; no message holds
it, also where a server sends it back; an answer has a deadline and a size as a whole, since a server that
sends a byte a second never lets a socket's own timeout pass; and of many requests each answer is handed on as
soon as it is there, so that nothing is lost with a later one.
"""

import asyncio
import base64
import contextlib
import email.utils
import json
import os
import re
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import httpx

MOST_BYTES = 8 << 20
"""An answer of a chat model has kilobytes; what is larger is no such answer."""
SHOWN = 200
"""Characters of a server's own words that a message shows."""
REAL = 12
"""Characters from which on a key is taken for a real one."""
PIECE = 6
"""Characters of a key that are as good as the key: what holds so many in a row is not shown."""
VARIABLE = re.compile(r"MI_BSA_[A-Z0-9_]+")
AT_ONCE = 8
"""Requests under way beside each other: a server of one GPU batches so many, and hosts allow them."""
RETRIES = 4
"""Times a request is sent again where the server is busy or gone: with pauses of half a second and twice as
much each time that is 7.5 s, as long as a restarted proxy takes.
"""
LONGEST_PAUSE = 60.0
"""Seconds: a server that asks for a longer pause is not waited for, as a day's quota is spent."""
AGAIN = (408, 429, 500, 502, 503, 504)
"""Statuses of a server that may answer later; 529 and the like are of single hosts."""


class PostError(Exception):
    """What went wrong, in words without the key; `status` of HTTP, if one came; `again`: it may do later,
    after `wait` seconds where the server says how many.
    """

    def __init__(
        self, text: str, *, status: int | None = None, again: bool = False, wait: float | None = None
    ) -> None:
        super().__init__(text)
        self.status, self.again, self.wait = status, again, wait


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
    return post_all(address, [body], key=key, seconds=seconds, retries=0)[0]


def post_all(
    address: str,
    bodies: Sequence[Any],
    *,
    key: Key,
    seconds: float | int,
    retries: int = RETRIES,
    at_once: int = AT_ONCE,
    done: Callable[[int, Any], None] | None = None,
) -> list[Any]:
    """The JSON that a server answers to each of several bodies, in their order.

    Args:
        address: where all go.
        bodies: JSON values.
        key: sent as a bearer token where it is not empty.
        seconds: for one answer, from first to last byte of one try.
        retries: times a request is sent again after 408, 429, 500, 502, 503, 504 or a connection that broke,
            when the server's `Retry-After` has passed, else after half a second and twice as much each time.
            Where nobody listens there is no second try.
        at_once: requests under way beside each other.
        done: is told the place and the answer of each, as soon as it is there; not called twice at a time.

    Raises:
        PostError: of the first request that cannot be answered; those under way are given up.
    """
    check_url(address)
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if key.value:
        headers["Authorization"] = f"Bearer {key.value}"
    found: list[Any] = [None] * len(bodies)

    async def work() -> None:
        import httpx

        free = asyncio.Semaphore(at_once)
        limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
        # plain http has no certificate to check, and reading the list of authorities takes a tenth of a
        # second
        checked = urlsplit(address).scheme == "https"
        async with httpx.AsyncClient(headers=headers, timeout=None, limits=limits, verify=checked) as client:

            async def one(n: int, body: Any) -> None:
                async with free:
                    found[n] = await _patiently(client, address, body, key, float(seconds), retries)
                    if done is not None:
                        done(n, found[n])

            try:
                async with asyncio.TaskGroup() as group:
                    for n, body in enumerate(bodies):
                        group.create_task(one(n, body))
            except BaseExceptionGroup as several:
                raise several.exceptions[0] from None

    _in_a_loop(work)
    return found


async def _patiently(
    client: "httpx.AsyncClient", address: str, body: Any, key: Key, seconds: float, retries: int
) -> Any:
    """One request, sent again where that may help."""
    for attempt in range(retries + 1):
        try:
            return await _once(client, address, body, key, seconds)
        except PostError as bad:
            pause = 0.5 * 2**attempt if bad.wait is None else bad.wait
            if not bad.again or attempt == retries:
                raise
            if pause > LONGEST_PAUSE:
                raise PostError(
                    f"{bad}, and it asks to wait {pause:.0f} s: go on then", status=bad.status
                ) from None
            await asyncio.sleep(pause)
    raise AssertionError("unreachable")


async def _once(client: "httpx.AsyncClient", address: str, body: Any, key: Key, seconds: float) -> Any:
    """One try of one request."""
    import httpx

    data = b""
    try:
        async with asyncio.timeout(seconds), client.stream("POST", address, json=body) as answer:
            most = MOST_BYTES if answer.status_code == 200 else 1 << 16
            with (
                contextlib.nullcontext()
                if answer.status_code == 200
                else contextlib.suppress(httpx.HTTPError)
            ):
                async for (
                    piece
                ) in answer.aiter_raw():  # as it was sent: what is packed may unpack without end
                    data += piece
                    if len(data) > most:
                        break
    except TimeoutError:
        raise PostError(
            f"no whole answer within {seconds:g} s; raise the timeout, or look at the server"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as bad:
        said = _shown(str(bad) or type(bad).__name__, key)
        broken = isinstance(bad, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError)
        raise PostError(f"no answer ({said})", again=broken) from None
    if answer.status_code != 200:
        raise _refused(answer, data[:most], key)
    if len(data) > most:
        raise PostError(f"the answer is larger than {MOST_BYTES >> 20} MiB; give a chat endpoint")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise PostError("the answer is no JSON; give an OpenAI-compatible endpoint") from None


def _in_a_loop(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run to the end in a loop and a thread of its own, since a notebook's own thread has a loop already; an
    interrupted caller leaves no request behind.
    """
    failed: list[BaseException] = []
    begun: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    async def noted() -> None:
        task = asyncio.current_task()
        assert task is not None
        begun.append((asyncio.get_running_loop(), task))
        await work()

    def run() -> None:
        try:
            asyncio.run(noted())
        except BaseException as bad:
            failed.append(bad)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        for loop, task in begun:
            with contextlib.suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(task.cancel)
        raise
    if failed:
        raise failed[0]


def _refused(answer: "httpx.Response", said: bytes, key: Key) -> PostError:
    """What a status other than 200 means, in words that hold no key and no control character."""
    status = answer.status_code
    if 300 <= status < 400:
        to = _shown(str(answer.headers.get("Location", "another address")), key)
        return PostError(
            f"it redirects to {to} (status {status}), which is not followed, for the key would go along; "
            f"give "
            "that address if you trust it",
            status=status,
        )
    words = _shown(said.decode("utf-8", "replace"), key)
    wait = _pause(answer.headers.get("Retry-After", ""))
    return PostError(f"status {status} ({words})", status=status, again=status in AGAIN, wait=wait)


def _pause(said: str) -> float | None:
    """Seconds that a `Retry-After` asks for, in seconds or as a date; None where it says neither."""
    if re.fullmatch(r"\d{1,9}", said.strip()):
        return float(said)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _shown(text: str, key: Key) -> str:
    if key.within(text):
        return f"its words hold {key}, and are not shown"
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:SHOWN]


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isalnum())
