"""What the laws of changed inputs share: profile, time limit, odd values, commands in this process."""

import contextlib
import io
import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

import activations
from mi_bsa.cli.command import main

MORE = int(os.environ.get("MI_BSA_FUZZ", "1"))
SECONDS = 20


def fuzz(examples: int) -> Any:
    """The profile of every law here: the same examples every time."""
    return settings(
        max_examples=examples * MORE,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),  # to shrink a failure takes longer than to read it
    )


class Late(BaseException):
    """What is raised in whatever takes more than `SECONDS`; no `except Exception` takes it."""


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise Late

    before = [signal.signal(one, late) for one in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of this process, so that a busy machine is no hang
    signal.setitimer(signal.ITIMER_REAL, 10 * SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for one, handler in zip((signal.SIGPROF, signal.SIGALRM), before, strict=True):
            signal.signal(one, handler)


def run(words: list[str], folder: Path) -> tuple[int, str, str]:
    """A command in this process: its exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as around:
        around.enter_context(in_time())
        around.enter_context(contextlib.chdir(folder))
        around.enter_context(contextlib.redirect_stdout(out))
        around.enter_context(contextlib.redirect_stderr(err))
        around.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of libraries about odd files; a user sees them, they stop nothing
        with pytest.raises(SystemExit) as left:
            main(words)
    return int(left.value.code or 0), out.getvalue(), err.getvalue()


def told(words: list[str], folder: Path) -> int:
    """As `run`, and the law: success, or exit code 2 with one line."""
    code, _, said = run(words, folder)
    assert code in (0, 2), said
    assert code == 0 or len([line for line in said.split("\n") if line.startswith("mi-bsa: ")]) == 1, said
    assert "Traceback" not in said
    return code


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([10**9, -(10**9), 2**63, 10**30, 1e308, -0.0, float("inf"), float("nan")]),
    st.text(max_size=8),
    st.sampled_from(
        ["", " ", "a" * 5000, "\u2028", "\x00", "../x", "/", "embedded", "embedded/habits-0", "nan", "~"]
    ),
    st.lists(st.integers(-1, 2), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.just([[[[[[1]]]]]]),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a config but the whole."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, item in inner:
        found += places(item, (*path, key))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with one place changed."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy


def changed(content: bytes, data: st.DataObject) -> bytes:
    """Bytes, changed in one to three ways."""
    for _ in range(data.draw(st.integers(1, 3))):
        at = int(
            data.draw(st.floats(0, 1, exclude_max=True)) * len(content)
        )  # of any length: draws stay equal
        size = data.draw(st.integers(1, 12))
        how = data.draw(st.sampled_from(["flip", "cut", "end", "repeat", "put"]))
        if how == "flip" and content:
            content = content[:at] + bytes([content[at] ^ (1 << size % 8)]) + content[at + 1 :]
        elif how == "cut":
            content = content[:at] + content[at + size :]
        elif how == "end":
            content = content[:at]
        elif how == "repeat":
            content = content[:at] + content[at : at + size] * 3 + content[at + size :]
        else:
            odd = data.draw(
                st.sampled_from(
                    [
                        b"\n",
                        b"\r",
                        b"\0",
                        b"\xff",
                        b'"',
                        b"[" * 40,
                        b"{",
                        b"\\ud83d",
                        b"\xe2\x80\xa8",
                        b"9" * 30,
                        b"- ",
                        b"&a *a",
                        b"\xef\xbb\xbf",
                        b"null",
                        b"NaN",
                    ]
                )
            )
            content = content[:at] + odd + content[at:]
    return content


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """What is imported once is no hang of the first example."""
    import peft  # noqa: F401
    import transformers  # noqa: F401

    model = activations.load("embedded")
    model.logits("take a coin .")
