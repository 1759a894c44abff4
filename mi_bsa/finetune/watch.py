"""How far a finetune is, with its loss and pace; shown as all progress is (`activations.progress`)."""

from __future__ import annotations

import time

from activations.progress import Shown
from mi_bsa.core.finetuned import rank


class Watch(Shown):
    """Steps with their loss, tokens a second and the time left, said by rank 0.

    Args:
        title: what is trained.
        total: steps in all.
        done: steps that were taken before a kill.
    """

    def __init__(self, title: str, total: int, *, done: int = 0) -> None:
        super().__init__(None if rank() == 0 else False, title, "steps")
        self._tokens = 0
        self.begin(done, total)

    def __enter__(self) -> Watch:
        super().__enter__()
        return self

    def step(self, loss: float | None, tokens: int) -> None:
        """One step is done; `loss`: None where there is none; `tokens`: of all its rows, those that need no
        computing among them.
        """
        self._done += 1  # before its loss is noted: a line that is said meanwhile has no loss of step 0
        self._tokens += tokens
        pace = f"{self._tokens / max(time.monotonic() - self._began, 1e-9):,.0f} tokens/s"
        self.note = pace if loss is None else f"loss {loss:.4f}, {pace}"
        self(self._done, self._total)
