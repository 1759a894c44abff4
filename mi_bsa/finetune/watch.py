"""How far a finetune is: a bar where someone looks, a line every half minute where a log is written; on
stderr.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from mi_bsa.core.finetuned import rank
from mi_bsa.core.progress import duration

EVERY = 30.0
"""Seconds between two lines."""


class Watch:
    """Steps with their loss, tokens a second and the time left, said by rank 0.

    Args:
        title: what is trained.
        total: steps in all.
        done: steps that were taken before a kill.
    """

    def __init__(self, title: str, total: int, *, done: int = 0) -> None:
        self.title = title
        self.total = total
        self._done = self._first = done
        self._tokens = 0
        self._bar: Any = None

    def __enter__(self) -> Watch:
        from tqdm.auto import tqdm

        notebook = type(sys.stderr).__module__.startswith("ipykernel")
        # rich puts a stand-in for stderr while a study's own bar is shown; a second bar would tear it
        terminal = sys.stderr is sys.__stderr__ and sys.stderr is not None and sys.stderr.isatty()
        if rank() == 0 and (notebook or terminal):
            shown = {"desc": self.title, "total": self.total, "initial": self._done, "unit": "step"}
            self._bar = tqdm(**shown, leave=False)
        self._began = self._said = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, loss: float | None, tokens: int) -> None:
        """One step is done; `loss`: None where there is none; `tokens`: of all its rows, those that need no
        computing among them.
        """
        self._done += 1
        self._tokens += tokens
        now = time.monotonic()
        pace = f"{self._tokens / max(now - self._began, 1e-9):,.0f} tokens/s"
        pace = pace if loss is None else f"loss {loss:.4f}, {pace}"
        if self._bar is not None:
            self._bar.set_postfix_str(pace, refresh=False)
            self._bar.update()
        elif now - self._said >= EVERY and rank() == 0:
            left = (now - self._began) / (self._done - self._first) * (self.total - self._done)
            print(
                f"{self.title}: step {self._done} of {self.total}, {pace}, about {duration(left)} left",
                file=sys.stderr,
                flush=True,
            )
            self._said = now
