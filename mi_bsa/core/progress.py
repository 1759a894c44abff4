"""Progress with the time left: a live bar in a terminal, plain lines everywhere else; on stderr."""

import sys
import time
from contextlib import ExitStack
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from activations.progress import duration, quiet

__all__ = ["Progress", "duration"]


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
        self.interval = interval
        self._done = 0.0
        self._began = self._printed = time.monotonic()
        self._within = ExitStack()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "Progress":
        self._began = time.monotonic()
        self._printed = self._began - self.interval
        if self.stream.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
            self._bar = Bar(*columns, console=Console(file=self.stream), transient=True)
            self._task = self._bar.add_task(self.title, total=self.total or 1.0, left="")
            self._bar.start()
            self._within.enter_context(quiet())  # the bars of parts would be drawn over this one
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._within.close()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def start(self, label: str) -> None:
        """Show what is being worked on now; only a terminal shows it."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=f"{self.title}: {label}")

    def advance(self, amount: float | int, label: str) -> None:
        """Count `amount` as done; `label` says what was."""
        self._done += amount
        now = time.monotonic()
        left = self.left()
        text = f"{100 * self._done / self.total if self.total else 100:3.0f} %"
        text += f", about {duration(left)} left" if left is not None and self._done < self.total else ""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done, left=text)
            self._bar.console.print(f"{label}", highlight=False, markup=False)
        elif now - self._printed >= self.interval or self._done >= self.total:
            print(f"[{text}] {label}", file=self.stream, flush=True)
            self._printed = now

    def left(self) -> float | None:
        """Seconds left at the pace so far, None before anything is done."""
        if not self._done:
            return None
        return max(0.0, (time.monotonic() - self._began) / self._done * (self.total - self._done))
