"""Progress with the time left: a live bar in a terminal, plain lines everywhere else; on stderr.

The law: it says what is at work as well as what is done, and how far parts of it are that would show
themselves (`activations.progress`): in a terminal beside the one bar, in a log where nothing was said for
`LINE_SECONDS`. So a step of an hour is no silence.
"""

import math
import sys
import threading
import time
from contextlib import ExitStack
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from activations import progress as parts
from activations.progress import Shown, duration

__all__ = ["Progress", "duration"]

SEEN = 3
"""So many of the pieces that are at work are named; of more, how many."""


SURE, SOON = 0.05, 120.0
"""The share that is done, or the seconds, from which on a time left is told."""
MOST = 0.9
"""Of a piece that is at work at most this share counts as done: it may take longer than was thought."""


class Progress:
    """How far a piece of work is, in any unit that adds up (estimated seconds, batches).

    Args:
        title: what is being done.
        total: the sum of all amounts that `advance` will be given.
        interval: least seconds between two plain lines; the last one is always printed.

    Example:
        >>> with Progress("reading", 2.0) as progress:
        ...     progress.advance(1.0, "first half")
    """

    def __init__(self, title: str, total: float | int, *, interval: float | int = 0.0) -> None:
        self.title = title
        self.total = total
        self.stream = sys.stderr
        self._says = parts.shows(None)
        self.interval = interval
        self._done = 0.0
        self._began = self._printed = time.monotonic()
        self._working: dict[str, tuple[float, float]] = {}
        self._parts: list[Shown] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._within = ExitStack()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "Progress":
        self._began = time.monotonic()
        self._printed = self._began - self.interval
        if self._says and self.stream.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
            self._bar = Bar(*columns, console=Console(file=self.stream), transient=True)
            self._task = self._bar.add_task(self.title, total=self.total or 1.0, left="")
            self._bar.start()
        self._within.enter_context(parts.part_of(self))
        heart = threading.Thread(target=self._beat, daemon=True)
        heart.start()
        self._within.callback(heart.join)  # or a last line might come after all is done
        self._within.callback(self._over.set)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._within.close()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def start(self, label: str, seconds: float | int = 0.0) -> None:
        """This is worked on from now, until an `advance` says that it is done; `seconds`: how long it will
        take, where the unit is estimated seconds.
        """
        with self._lock:
            known = float(seconds) if math.isfinite(seconds) else 0.0
            self._working.setdefault(label, (time.monotonic(), known))
        self._describe()

    def advance(self, amount: float | int, label: str, *, of: str | None = None) -> None:
        """Count `amount` as done; `label` says what was; `of` is what had been started, all if None."""
        self._done += amount
        with self._lock:
            for name in list(self._working) if of is None else [of]:
                self._working.pop(name, None)
        now = time.monotonic()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done, left=self._share())
            self._describe()
            self._bar.console.print(f"{label}", highlight=False, markup=False)
        elif now - self._printed >= self.interval or self._done >= self.total:
            self._print(f"[{self._share()}] {label}")

    def begins(self, part: Shown) -> None:
        """See `activations.progress.Whole`."""
        with self._lock:
            self._parts.append(part)

    def ends(self, part: Shown) -> None:
        """See `activations.progress.Whole`."""
        with self._lock:
            self._parts.remove(part)

    def told(self, text: str) -> None:
        """See `activations.progress.Whole`."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            self._print(text)

    def _print(self, text: str) -> None:
        if self._says:
            print(text, file=self.stream, flush=True)
        self._printed = time.monotonic()

    def _share(self) -> str:
        left = self.left()
        text = f"{100 * self._so_far() / self.total if self.total else 100:3.0f} %"
        return text + (
            f", about {duration(left)} left" if left is not None and self._done < self.total else ""
        )

    def _at_work(self) -> str:
        """`train/0 (40 s), train/1 (12 s): finetuning: 300 of 1,000 steps`; empty where nothing is."""
        now = time.monotonic()
        with self._lock:
            names = [f"{name} ({duration(now - began)})" for name, (began, _) in self._working.items()]
            inside = [f"{part.title}: {part.line()}" for part in self._parts[-1:]]  # the innermost
        more = [f"{len(names) - SEEN} more"] if len(names) > SEEN else []
        return ": ".join(filter(None, [", ".join(names[:SEEN] + more), *inside]))

    def _describe(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=": ".join(filter(None, [self.title, self._at_work()])))

    def _beat(self) -> None:
        """Say what is at work: in a terminal every second, in a log where nothing was said for a while."""
        if self._bar is not None:
            while not self._over.wait(1.0):
                self._describe()
            return
        while not self._over.wait(max(0.01, self._printed + parts.LINE_SECONDS - time.monotonic())):
            if time.monotonic() - self._printed >= parts.LINE_SECONDS and self._done < self.total:
                self._print(f"[{self._share()}] at work: {self._at_work() or self.title}")

    def left(self) -> float | None:
        """Seconds left at the pace so far; None while it is of what comes first alone: loading libraries,
        the small steps.
        """
        spent, done = time.monotonic() - self._began, self._so_far()
        if not done or (done < SURE * self.total and spent < SOON):
            return None
        return max(0.0, spent / done * (self.total - done))

    def _so_far(self) -> float:
        """What is done, and of what is at work as many of its seconds as have passed, up to most of them: a
        study whose first steps take an hour would say for an hour that it takes days.
        """
        now = time.monotonic()
        with self._lock:
            begun = [min(now - began, MOST * seconds) for began, seconds in self._working.values()]
        return self._done + sum(begun)
