"""Planning: what a capture would store, before it runs: rows, bytes, time, and examples with the selected
tokens marked.

Token selection is the storage design: for an 8B model the last token of 100,000 prompts at all layers is 26
GB, every token is 2.6 TB. The time is measured on the longest and the middle batch, and scaled by tokens.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from activations import backends
from activations.positions import Positions
from activations.prompts import Prompts
from activations.request import Request, SiteLike
from activations.selection import Selection, gather
from activations.sites import Site
from activations.tokens import Row

if TYPE_CHECKING:
    from activations.models import Model


@dataclass(frozen=True)
class CapturePlan:
    """What a capture of one variant would do.

    Attributes:
        n_examples: prompts.
        n_rows: stored rows a site.
        n_tokens: real tokens that the model reads.
        padding: share of padding in the batches.
        n_bytes: bytes of activations.
        seconds: estimated time, from `timed_tokens` tokens that were run.
        timed_tokens: see there.
        sites: the sites.
        batches: number of batches.
        rendered: up to three prompts, the selected tokens in [[double brackets]].
    """

    n_examples: int
    n_rows: int
    n_tokens: int
    padding: float
    n_bytes: int
    seconds: float
    timed_tokens: int
    sites: tuple[Site, ...]
    batches: int
    rendered: tuple[str, ...]

    def __str__(self) -> str:
        size = f"{self.n_bytes / 1e9:.3f} GB" if self.n_bytes >= 1e8 else f"{self.n_bytes / 1e6:.3f} MB"
        lines = [
            f"{self.n_examples} prompts, {self.n_tokens} tokens, {self.batches} batches "
            f"({100 * self.padding:.0f} % padding)",
            f"{len(self.sites)} sites x {self.n_rows} rows = {size}",
            f"about {self.seconds:.1f} s (from {self.timed_tokens} tokens that were timed)",
            *(f"  example {n}: {text}" for n, text in enumerate(self.rendered)),
        ]
        return "\n".join(lines)


def dry_run(
    model: "Model",
    prompts: Prompts,
    *,
    sites: SiteLike,
    positions: str | Positions = "last",
    dtype: str | None = None,
    batch_tokens: int = 4096,
    shard: tuple[int, int] | None = None,
) -> CapturePlan:
    """Plan a capture of the active variant without storing anything; the arguments are those of `capture`.

    Raises:
        ActivationsError: whatever the capture itself would refuse before its first batch.
    """
    model.check()
    request = Request.make(
        model, prompts, sites=sites, positions=positions, dtype=dtype, batch_tokens=batch_tokens, shard=shard
    )
    layout = request.layout(model, {})
    first = int(layout.attributes["first_example"])
    lengths = request.index.lengths[first : first + len(layout.starts) - 1].tolist()
    padded = [max(lengths[n] for n in layout.plan[b]) * len(layout.plan[b]) for b in range(len(layout.plan))]
    backend, timed, spent = backends.get("hooks"), 0, 0.0
    longest = request.index.longest
    for number in sorted({0, len(layout.plan) // 2}):
        members = layout.plan[number]
        batch = request.index.batch(model, members + first)
        start = time.perf_counter()
        backend.read(model, batch, tuple(layout.shapes), gather(request.selection, batch, longest=longest))
        spent += time.perf_counter() - start
        timed += padded[number]
    return CapturePlan(
        len(lengths),
        layout.n_rows,
        sum(lengths),
        1 - sum(lengths) / sum(padded),
        layout.n_bytes,
        spent / timed * sum(padded),
        timed,
        tuple(layout.shapes),
        len(layout.plan),
        render(request.index.head, request.selection),
    )


def render(rows: Sequence[Row], selection: Selection, *, count: int = 3) -> tuple[str, ...]:
    """The first prompts as text with the selected tokens in [[double brackets]]; line breaks are shown as
    \\n."""
    shown = []
    for row, chosen in zip(rows[:count], selection.chosen, strict=False):
        text, cursor = "", 0
        for n in chosen:
            start, end = int(row.offsets[n][0]), int(row.offsets[n][1])
            text += row.text[cursor:start] + "[[" + row.text[start:end] + "]]"
            cursor = end
        shown.append((text + row.text[cursor:]).replace("\n", "\\n"))
    return tuple(shown)
