"""Progress of long work, in one place: a tqdm bar where somebody looks, a line every half minute in a log.

The law: whoever waits learns how far it is at least every `LINE_SECONDS`, also while one piece takes longer,
and who waits for less than that sees no line in a log. A callable takes the place of all this; `False`, or
`quiet()` around it, says nothing (`TQDM_DISABLE=1` is tqdm's own switch, and holds for lines too). A part of
something that is shown itself (`part_of`) draws no bar over the whole's: the whole shows its line. In a
process beside others, `headed` says whose lines these are.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

LINE_SECONDS = 30.0
"""Between two lines in a log."""
_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
_HEAD: ContextVar[str] = ContextVar("head", default="")
_WHOLE: ContextVar["Whole | None"] = ContextVar("whole", default=None)

Told = Callable[..., None] | bool | None
"""What `progress=` takes: what is called with (done, total, ...), False for silence, None for the default."""


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing inside shows progress of its own accord: for those who show the whole."""
    token = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(token)


@runtime_checkable
class Whole(Protocol):
    """What shows a piece of work with the parts inside it."""

    def begins(self, part: "Shown") -> None:
        """This part is at work; its `line` says how far it is."""
        ...

    def ends(self, part: "Shown") -> None:
        """It is no longer."""
        ...

    def told(self, text: str) -> None:
        """A line of a part, to be shown now."""
        ...


@contextmanager
def part_of(whole: Whole) -> Iterator[None]:
    """What would show itself inside is shown by `whole`."""
    token = _WHOLE.set(whole)
    try:
        yield
    finally:
        _WHOLE.reset(token)


@contextmanager
def headed(name: str) -> Iterator[None]:
    """The titles of what shows itself inside begin with a name."""
    token = _HEAD.set(f"{_HEAD.get()}{name}: ")
    try:
        yield
    finally:
        _HEAD.reset(token)


def shows(progress: Told) -> bool:
    """Whether `Shown` says something of its own accord."""
    off = os.environ.get("TQDM_DISABLE", "").lower() not in ("", "0", "false")
    return progress in (None, True) and not _QUIET.get() and not off


class Shown:
    """How far it is. Use as a context manager; call it with (done, total) after each piece.

    Args:
        progress: see `Told`.
        title: what is being done.
        unit: what is counted, in the plural.

    Attributes:
        note: what else is known of the last piece, shown beside it.
    """

    def __init__(self, progress: Told, title: str, unit: str) -> None:
        self._tell = progress if callable(progress) else None
        self._whole = _WHOLE.get() if shows(progress) else None
        self._own = shows(progress) and self._whole is None
        self.title, self.unit, self.note = _HEAD.get() + title, unit, ""
        self._began = time.monotonic()
        self._done = self._total = self._before = 0
        self._bar: Any = None
        self._stream = sys.stderr
        self._live = self._own and (self._stream.isatty() or "ipykernel" in sys.modules)
        self._over = threading.Event()
        self._heart: threading.Thread | None = None

    def __enter__(self) -> "Shown":
        self._began = time.monotonic()
        if self._whole is not None:
            self._whole.begins(self)
        if self._own and not self._live:
            self._heart = threading.Thread(target=self._beat, daemon=True)
            self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._whole is not None:
            self._whole.ends(self)
        if self._heart is not None:
            self._heart.join()  # or a last line might come after all is done
        if self._bar is not None:
            self._bar.close()

    def begin(self, done: int, total: int) -> None:
        """Where it starts: `done` is what an earlier run left, and says nothing of the pace of this one."""
        self._done, self._total, self._before = done, total, done

    def __call__(self, done: int, total: int, *more: Any) -> None:
        """So much is done."""
        if self._tell is not None:
            self._tell(done, total, *more)
        self._done, self._total = done, total
        if self._live:
            if self._bar is None:
                from tqdm.auto import tqdm

                # a bar that would be gone within a second only flickers
                self._bar = tqdm(
                    desc=self.title, total=total, unit=f" {self.unit}", initial=done, leave=False, delay=1
                )
            self._bar.total = total
            self._bar.set_postfix_str(self.note, refresh=False)
            self._bar.update(done - self._bar.n)

    def say(self, text: str) -> None:
        """A line about the work, before it or on the way; an empty one is none."""
        if not text:
            return
        if self._whole is not None:
            self._whole.told(f"{self.title}: {text}")
        elif self._live:
            from tqdm.auto import tqdm

            tqdm.write(f"{self.title}: {text}", file=self._stream)
        elif self._own:
            print(f"{self.title}: {text}", file=self._stream, flush=True)

    def _beat(self) -> None:
        while not self._over.wait(LINE_SECONDS):
            self.say(self.line())

    def line(self) -> str:
        """`300 of 1,000 prompts, 40 s so far, about 2 min left`; no end is told before a piece is done."""
        now = time.monotonic()
        text = f"{self._done:,} of {self._total:,} {self.unit}" if self._total else f"no {self.unit} done yet"
        text += f", {self.note}" if self.note else ""
        text += f", {duration(now - self._began)} so far"
        fresh = self._done - self._before
        left = (now - self._began) / fresh * (self._total - self._done) if fresh else None
        return text if left is None else f"{text}, about {duration(left)} left"


def duration(seconds: float | int) -> str:
    """Seconds as people say them: `8 s`, `3 min`, `2 h 05 min`; NaN is `unknown`."""
    if seconds != seconds:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
