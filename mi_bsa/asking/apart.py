"""Questions asked a row each: what is left where questions may not share their beginnings.

Options of one token are all read from one forward pass's last logits; longer ones hang on the prompt as a
tree in the same row. Equal rows are asked once. Rows are sorted by length and cut into batches under a token
budget.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.core.errors import ItemError

if TYPE_CHECKING:
    import torch

    from mi_bsa.asking.likelihood import Askable, Branching

MAX_LOGITS = 2**27
"""Most logits held at once (512 MiB in fp32): matters at vocabularies of 100,000 tokens."""


def log_probs(
    model: Askable, rows: Sequence[Branching], *, max_tokens: int
) -> list[Float[np.ndarray, " option"]]:
    """Log-probability of every option of every row."""
    import torch

    unique = {(r.prompt, r.nodes, r.parents): r for r in rows}
    wanted: dict[Any, set[int]] = {key: set() for key in unique}
    for row in rows:
        wanted[(row.prompt, row.nodes, row.parents)].update(at for reads in row.reads for at, _ in reads)
    keys = sorted(unique, key=lambda k: (bool(k[1]), len(k[0]) + len(k[1])))
    readers: dict[Any, list[int]] = {key: [] for key in unique}
    for n, row in enumerate(rows):
        readers[(row.prompt, row.nodes, row.parents)].append(n)
    log_probs_of: list[Any] = [None] * len(rows)
    vocab = model.inner.config.get_text_config().vocab_size
    with torch.no_grad():
        for batch in batches([unique[k] for k in keys], [wanted[k] for k in keys], max_tokens, vocab):
            keep = sorted({at for n in batch for at in wanted[keys[n]]})
            column = {at: c for c, at in enumerate(keep)}
            some = [unique[keys[n]] for n in batch]
            with prompts_end(model, some):
                logits = forward(model.inner, some, keep).float()
            log_probs = torch.log_softmax(logits, dim=-1).cpu().numpy()
            for b, n in enumerate(batch):
                for which in readers[keys[n]]:
                    log_probs_of[which] = np.array(
                        [
                            sum(float(log_probs[b, column[at], token]) for at, token in reads)
                            for reads in rows[which].reads
                        ]
                    )
    return log_probs_of


def batches(
    rows: Sequence[Branching], wanted: Sequence[set[int]], max_tokens: int, vocab: int
) -> Iterator[list[int]]:
    """Indices of consecutive rows that fit one batch; trees and plain rows are kept apart."""
    batch: list[int] = []
    width, keep = 0, set[int]()
    for n, row in enumerate(rows):
        wide, more = max(width, len(row.ids)), keep | wanted[n]
        size = len(batch) + 1
        mixed = batch and bool(rows[batch[0]].nodes) != bool(row.nodes)
        if batch and (mixed or wide * size > max_tokens or size * len(more) * vocab > MAX_LOGITS):
            yield batch
            batch, wide, more = [], len(row.ids), wanted[n]
        batch.append(n)
        width, keep = wide, set(more)
    if batch:
        yield batch


@contextlib.contextmanager
def prompts_end(model: Askable, rows: Sequence[Branching]) -> Iterator[None]:
    """Tell edits in force about each row, where the model keeps such notes: where its prompt ends (a tree's
    branches stand behind it), how far its options reach, and that equal rows are asked once.
    """
    import torch

    if not hasattr(model, "_prompts_end_at"):
        yield
        return
    ends = torch.tensor([len(row.prompt) for row in rows])
    reach = torch.tensor([row.deepest + 1 for row in rows])
    sizes = torch.tensor([len(row.ids) for row in rows])
    real = torch.arange(int(sizes.max())) < sizes[:, None]
    noting: Any = model
    with noting._prompts_end_at(ends, reach=reach, real=real), noting._rows_are(None, ()):
        yield


def forward(
    inner: Any, rows: Sequence[Branching], keep: Sequence[int]
) -> Float[torch.Tensor, "example pos vocab"]:
    """Logits at the row positions `keep` of right-padded rows; plainly causal unless a row has a tree."""
    import torch

    from activations.prefixes import masks

    device = next(inner.parameters()).device
    width = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    positions = torch.zeros(len(rows), width, dtype=torch.long)
    real = torch.zeros(len(rows), width, dtype=torch.long)
    tree = any(row.nodes for row in rows)
    allowed = torch.eye(width, dtype=torch.bool).repeat(len(rows), 1, 1) if tree else None
    for b, row in enumerate(rows):
        n, length = len(row.prompt), len(row.ids)
        ids[b, :length] = torch.tensor(row.ids)
        positions[b, :length] = torch.tensor([*range(n), *row.depths])
        real[b, :length] = 1
        if allowed is not None:
            allowed[b, :n, :n] = torch.ones(n, n, dtype=torch.bool).tril()
            for k, parent in enumerate(row.parents):
                allowed[b, n + k] |= allowed[b, parent]
    mask: Any = real.to(device)
    if allowed is not None:
        if inner.config._attn_implementation not in ("sdpa", "eager"):
            raise ItemError(
                "options of several tokens need attention 'sdpa' or 'eager', not "
                f"{inner.config._attn_implementation!r}; load the model with attention='sdpa'"
            )
        mask = masks(inner, allowed, positions, positions, device)
    out = inner(
        input_ids=ids.to(device),
        attention_mask=mask,
        position_ids=positions.to(device),
        use_cache=False,
        logits_to_keep=list(keep),  # a tensor would have to lie where the last block does
    )
    return out.logits
