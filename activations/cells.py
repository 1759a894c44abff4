"""Cells: some pairs, their two finished runs, and the cells of a patch map that must be computed for them.

The law: a cell whose source and target values are equal bit for bit, or that the answer slot cannot see, is
filled in
and counted; every other cell is one row of a batch that starts at its own block and position (`recompute`).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from activations import alignment, hooks, recompute
from activations.experiment import Experiment, Found, Source
from activations.sites import Site

if TYPE_CHECKING:
    from activations.models import Model

SMALL = 1024
"""Below this many tokens a forward pass costs its calls, not its multiplications: neighboring starts then run
together."""


@dataclass(frozen=True)
class Entries:
    """What every (pair, column) moves: `source` and `target` positions from `offset` on, `count` of them, the
    first at `first`."""

    pair: np.ndarray
    column: np.ndarray
    first: np.ndarray
    offset: np.ndarray
    count: np.ndarray
    source: np.ndarray
    target: np.ndarray


class Cells:
    """Some pairs, their two runs, and the rows that must be computed for them."""

    def __init__(self, model: "Model", experiment: Experiment, members: np.ndarray) -> None:
        self.model, self.sites, self.members = model, experiment.sites, members
        self.by_head, self.into_variant = bool(experiment.heads), experiment.variants[1]
        sources, targets = experiment.rows(members)
        self.slots = torch.from_numpy(alignment.slots(targets)).to(model.device)
        self.is_state = self.sites[0].kind in ("resid_pre", "resid_post")
        self.entries = entries_of([experiment.aligned.at[n] for n in members])
        source = Source.of(model, experiment.metric, self.sites, sources, members, experiment.variants[0])
        self.theirs, self.reader, self.full = source.values, source.reader, source.full
        with model.variant(self.into_variant):
            batch = model.collate(targets)
            self.trace = recompute.trace(model, batch)
            ours = {} if self.is_state else hooks.read(model, batch, self.sites, hooks.whole)
        if self.is_state:
            ours = {site: self.trace.residual[self.block(site)] for site in self.sites}
        self.ours = ours
        rows = torch.arange(len(members), device=model.device)
        with model.variant(self.into_variant), torch.no_grad():
            self.before = self.reader.of_residual(self.trace.residual[-1][rows, self.slots], rows)

    def block(self, site: Site) -> int:
        """The first block that runs with the site's new value."""
        assert site.layer is not None
        return site.layer + (site.kind == "resid_post")

    def run(self, found: Found, batch_tokens: int, progress: Callable[[int, int], None] | None) -> None:
        """Fill in or compute every cell of these pairs."""
        members, counts = self.members, found.counts
        found.before[members], found.full[members] = self.before.cpu().numpy(), self.full.cpu().numpy()
        e = self.entries
        equal = np.stack([self._equal(site) for site in self.sites], 1)  # (entry, layer, head)
        seen = np.stack([self._reachable(site) for site in self.sites], 1)[..., None] & np.ones_like(equal)
        start = found.before[members][e.pair][:, None, None]
        found.patched[members[e.pair], :, e.column] = np.where(equal | ~seen, start, np.nan)
        found.filled[members[e.pair], :, e.column] = equal
        todo = np.argwhere(~equal & seen)
        counts["cells"] += equal.size
        counts["equal"] += int(equal.sum())
        counts["unreachable"] += int((~equal & ~seen).sum())
        counts["run"] += len(todo)
        blocks = np.array([self.block(site) for site in self.sites])
        # by start, so that a batch has few of them; by block, since rows join as the blocks go; by pair, so
        # that those which join read the trace in order
        todo = todo[np.lexsort((e.pair[todo[:, 0]], blocks[todo[:, 1]], e.first[todo[:, 0]]))]
        done = 0
        with self.model.variant(self.into_variant), torch.no_grad():
            for rows in self._batches(todo, batch_tokens):
                entry, layer, head = rows.T
                value = self._resume(rows, counts).cpu().numpy()
                found.patched[members[e.pair[entry]], layer, e.column[entry], head] = value
                done += len(rows)
                if progress is not None:
                    progress(done, len(todo))

    def _equal(self, site: Site) -> np.ndarray:
        """Whether all that an entry moves is equal bit for bit, (entry, head)."""
        e = self.entries
        line = np.repeat(e.pair, e.count)
        a = self.theirs[site][line, e.source]
        b = self.ours[site][line, e.target].to(a.device)
        equal = (a == b) if self.by_head else (a == b).flatten(1)[:, None]
        same = equal.all(-1).cpu().numpy()
        return np.logical_and.reduceat(same, e.offset, axis=0)

    def _reachable(self, site: Site) -> np.ndarray:
        """Whether the answer slot can see an entry: from the last block's attention on, only the slot itself
        counts."""
        e = self.entries
        late = (
            site.layer == self.model.n_layers - 1
            and site.kind != "resid_pre"
            and site.module not in ("k_proj", "v_proj")
        )
        if not late:
            return np.ones(len(e.pair), bool)
        slot = self.slots.cpu().numpy()[np.repeat(e.pair, e.count)]
        return np.logical_or.reduceat(e.target == slot, e.offset)

    def _batches(self, todo: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
        """Rows of near starts together, within the budget; each batch is sorted by its first block."""
        e = self.entries
        end = int(self.slots.max()) + 1
        first = e.first[todo[:, 0]]
        low = 0
        while low < len(todo):
            width = end - int(first[low])
            same = int(np.searchsorted(first, first[low], side="right"))
            high = min(same, low + max(1, batch_tokens // width))
            if high == same:  # room for later starts, at the price of a few positions computed once more
                more = min(low + SMALL // width, low + max(1, batch_tokens // width))
                high = max(high, min(more, len(todo)))
            rows = todo[low:high]
            order = np.argsort([self.block(self.sites[n]) for n in rows[:, 1]], kind="stable")
            yield rows[order]
            low = high

    def _resume(self, rows: np.ndarray, counts: Counter[str]) -> Tensor:
        """The metric of each row (entry, layer, head), whose blocks ascend."""
        e, model, device = self.entries, self.model, self.model.device
        depth = model.n_layers
        start = int(e.first[rows[:, 0]].min())
        pair = torch.from_numpy(e.pair[rows[:, 0]]).to(device)
        slot = self.slots[pair]
        width = int(slot.max()) + 1 - start
        blocks = np.array([self.block(self.sites[n]) for n in rows[:, 1]])
        hidden = torch.zeros((0, width, model.d_model), device=device, dtype=self.trace.residual[0].dtype)
        at_slot: Tensor | None = None
        for block in range(int(blocks.min()), depth + 1):
            fresh = np.nonzero(blocks == block)[0]
            if len(fresh):
                # indexed by a tensor, which copies: the trace stays as it is
                entering = self.trace.residual[block][pair[fresh[0] : fresh[-1] + 1], start : start + width]
                if self.is_state:
                    line, into, new, _ = self._new(rows[fresh])
                    entering[line, into - start] = new
                hidden = torch.cat([hidden, entering])
            if block == depth:
                break
            now, rotary = pair[: len(hidden)], self.trace.rotary[block]
            keys, values = (part[block][now, :, :start] for part in (self.trace.keys, self.trace.values))
            counts["block_tokens"] += len(hidden) * width
            inner = bool(len(fresh)) and not self.is_state
            if block == depth - 1 and not inner and recompute.plain_blocks(model):
                read = slot[: len(hidden)] - start
                at_slot = recompute.at_one(
                    model, block, hidden, start=start, read=read, rotary=rotary, keys=keys, values=values
                )
                hidden = hidden[:0]
                continue
            cache = recompute._Recorder(keys, values)
            with ExitStack() as stack:
                if inner:
                    site = self.sites[rows[fresh[0], 1]]
                    stack.enter_context(
                        hooks.altering(model, site, self._change(rows[fresh], int(fresh[0]), start))
                    )
                hidden = recompute.run_block(model, block, hidden, start=start, rotary=rotary, cache=cache)
        rest = len(rows) - len(hidden)
        ends = [] if at_slot is None else [at_slot]
        if len(hidden):
            ends.append(hidden[torch.arange(len(hidden), device=device), slot[rest:] - start])
        return self.reader.of_residual(torch.cat(ends), pair)

    def _new(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(row, target position, new value, head) of all that some rows of one layer move."""
        e, device = self.entries, self.model.device
        entry = rows[:, 0]
        line = np.repeat(np.arange(len(rows)), e.count[entry])
        which = np.concatenate(
            [np.arange(a, a + n) for a, n in zip(e.offset[entry], e.count[entry], strict=True)]
        )
        head = torch.from_numpy(rows[line, 2]).to(device)
        value = self.theirs[self.sites[rows[0, 1]]][e.pair[entry][line], e.source[which]].to(device)
        if self.by_head:
            value = value[torch.arange(len(value), device=device), head]
        return torch.from_numpy(line).to(device), torch.from_numpy(e.target[which]).to(device), value, head

    def _change(self, rows: np.ndarray, place: int, start: int) -> hooks.Change:
        line, into, new, head = self._new(rows)

        def change(value: Tensor) -> Tensor:
            value = value.clone()
            at = (line + place, into - start, *(head,) * self.by_head)
            value[tuple(one.to(value.device) for one in at)] = new.to(value.device)
            return value

        return change


def entries_of(at: list[np.ndarray]) -> Entries:
    """Flatten the alignment of some pairs into (pair, column) entries."""
    pairs = np.repeat(np.arange(len(at)), [len(one) for one in at])
    flat = np.concatenate(at)
    order = np.lexsort((flat[:, 2], flat[:, 0], pairs))
    pairs, flat = pairs[order], flat[order]
    key = np.stack([pairs, flat[:, 0]], 1)
    offset = np.concatenate([[0], np.nonzero((np.diff(key, axis=0) != 0).any(1))[0] + 1])
    count = np.diff([*offset, len(flat)])
    return Entries(pairs[offset], flat[offset, 0], flat[offset, 2], offset, count, flat[:, 1], flat[:, 2])
