"""Exact log-probabilities of every option of every item, in as few tokens as possible.

All prompts and options of a battery are one tree (`activations.prefixes`): what several begin with, a
system turn, examples, a question before its options, is computed once a battery and variant, and what lies
below the lowest adapted block once for all variants. Numbers equal those of one pass an option. Where edits
are in force questions are asked a row each (`apart`), since an edit may tell the ends of prompts apart.

Where one option's tokens begin another's ('10', '100'), all options of that item are scored with the token
that ends the turn, so that options are disjoint events and their probabilities add up to at most 1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from activations.conversation import tails, template_of
from activations.tokens import Template
from mi_bsa.asking import apart
from mi_bsa.core.errors import ItemError
from mi_bsa.core.items import Item

if TYPE_CHECKING:
    from activations.prefixes import Lower, Prefixes

WIDTH = 256
"""Tokens of one pass, or half as many as the model is wide where that is more: narrower ones leave a
processor idle, and in wider ones attention, which costs the square, is no longer small beside the rest."""


@runtime_checkable
class Askable(Protocol):
    """What asking needs of a model; `activations.Model` is one."""

    inner: Any
    tokenizer: Any

    def variant(self, name: str) -> contextlib.AbstractContextManager[Any]: ...


def option_log_probs(
    model: Askable, items: Sequence[Item], *, max_tokens: int = 2048
) -> list[Float[np.ndarray, " option"]]:
    """Log-probability (natural log) of every option of every item under the model's active variant, in item
    order.

    `max_tokens`: most tokens of one pass (2048 suits a CPU, 16384 and more a GPU). Raises `ItemError` where a
    prompt exceeds the model's context, or where two options are the same tokens; `TemplateError` where the
    chat template cannot carry an answer.
    """
    return Questions.of(model, items).log_probs(model, max_tokens=max_tokens) if items else []


def why_apart(model: Askable) -> str:
    """Why the questions of this model are asked a row each, sharing only equal prompts; empty where not."""
    if getattr(model, "_alterations", 0):
        return "edits are in force, and they may tell questions or the ends of their prompts apart"
    attention = model.inner.config._attn_implementation
    if attention not in ("sdpa", "eager"):
        return f"attention {attention!r} takes no mask of who sees whom; load with attention='sdpa'"
    return ""


def width_of(model: Askable) -> int:
    """Tokens of one pass over a tree."""
    return max(WIDTH, int(model.inner.config.get_text_config().hidden_size) // 2)


@dataclass(frozen=True, eq=False)
class Questions:
    """Items, tokenized for every variant of a model.

    `rows`: each item's prompt and the tree of its options; `tree`: all of them as one; `nodes`, `tokens`,
    `owners`: what is read, the node after which a token's log-probability counts for an option (numbered
    through all items); `splits`: where the options of items after the first begin.
    """

    rows: Sequence[Branching]
    tree: Prefixes
    nodes: Int[np.ndarray, " read"]
    tokens: Int[np.ndarray, " read"]
    owners: Int[np.ndarray, " read"]
    splits: Int[np.ndarray, " item"]

    @classmethod
    def of(cls, model: Askable, items: Sequence[Item]) -> Questions:
        """Raises as `option_log_probs`."""
        from activations.anatomy import context_length
        from activations.prefixes import Prefixes

        rows = branches(items, template_of(model), limit=context_length(model.inner.config))
        options = [(row.prompt, [token for _, token in reads]) for row in rows for reads in row.reads]
        tree = Prefixes.of([(*prompt, *option[:-1]) for prompt, option in options])
        ends = [
            tree.path(leaf, len(option))
            for leaf, (_, option) in zip(tree.leaves.tolist(), options, strict=True)
        ]
        return cls(
            rows,
            tree,
            np.concatenate(ends),
            np.concatenate([option for _, option in options]),
            np.repeat(np.arange(len(options)), [len(option) for _, option in options]),
            np.cumsum([len(row.reads) for row in rows])[:-1],
        )

    def log_probs(
        self, model: Askable, *, max_tokens: int, lower: Lower | None = None
    ) -> list[Float[np.ndarray, " option"]]:
        """What the active variant answers, as `option_log_probs` gives it. `lower`: what variants share."""
        if why_apart(model):
            return apart.log_probs(model, self.rows, max_tokens=max_tokens)
        import torch

        from activations.prefixes import logits

        config = model.inner.config.get_text_config()
        wanted, read = np.unique(self.nodes, return_inverse=True)
        order = np.argsort(read, kind="stable")
        found = np.zeros(len(self.nodes))
        width = min(max_tokens, width_of(model))
        most = max(1, apart.MAX_LOGITS // config.vocab_size)
        with torch.no_grad():
            for some, given in logits(model.inner, self.tree, wanted, width=width, most=most, lower=lower):
                own = order[slice(*np.searchsorted(read, [some[0], some[-1] + 1], sorter=order))]
                line, token = torch.from_numpy(read[own] - some[0]), torch.from_numpy(self.tokens[own])
                given = given.float()
                line, token = line.to(given.device), token.to(given.device)
                found[own] = (given[line, token] - given.logsumexp(-1)[line]).cpu().numpy()
        totals = np.bincount(self.owners, weights=found)
        return np.split(totals, self.splits)


@dataclass(frozen=True)
class Branching:
    """One row for the model: a prompt, then the tree of its options' tokens but each option's last.

    `ids`: prompt and tree nodes; `parents[k]`: row index of node k's parent (its last prompt token for a
    root); `reads[o]`: pairs (row index whose logits are read, token id), whose log-probabilities add up to
    option o's.
    """

    prompt: tuple[int, ...]
    nodes: tuple[int, ...]
    parents: tuple[int, ...]
    reads: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def ids(self) -> tuple[int, ...]:
        return self.prompt + self.nodes

    @property
    def depths(self) -> tuple[int, ...]:
        """The position of every node, as if its option stood alone behind the prompt."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(parent + 1 if parent < len(self.prompt) else depths[parent - len(self.prompt)] + 1)
        return tuple(depths)

    @property
    def deepest(self) -> int:
        """The last position that is forwarded."""
        return max(self.depths, default=len(self.prompt) - 1)


def branches(items: Sequence[Item], template: Template, *, limit: int) -> list[Branching]:
    """Every item as one row. Raises `ItemError` for one that is longer than the model reads (`limit`)."""
    rows = [branch(item, template) for item in items]
    for item, row in zip(items, rows, strict=True):
        if row.deepest + 2 > limit:
            more = f", with its longest option {row.deepest + 2}," if row.nodes else ""
            raise ItemError(
                f"item {item.id!r}: its prompt has {len(row.prompt)} tokens{more} and the model reads "
                f"{limit}; shorten it"
            )
    return rows


def branch(item: Item, template: Template) -> Branching:
    """The item as one row: its prompt, and its options as a tree of tokens found in context."""
    prompt, ends = tails(template, item.messages, [text for text, _ in item.options])
    if len({tail.lead for tail in ends}) == 1:
        prompt += ends[0].lead
        options = [tail.answer for tail in ends]
    else:
        options = [tail.lead + tail.answer for tail in ends]
    texts = [text for text, _ in item.options]
    for n, option in enumerate(options):
        if option in options[:n]:
            raise ItemError(
                f"item {item.id!r}: options {texts[options.index(option)]!r} and {texts[n]!r} are the same "
                "tokens; use options that the tokenizer tells apart"
            )
    if any(option != other and other[: len(option)] == option for option in options for other in options):
        if not all(tail.closing for tail in ends):
            raise ItemError(
                f"item {item.id!r}: one option begins another and the template closes a turn with "
                "nothing; use other options"
            )
        options = [option + tail.closing[:1] for option, tail in zip(options, ends, strict=True)]
    last = len(prompt) - 1
    nodes: list[int] = []
    parents: list[int] = []
    place: dict[tuple[int, ...], int] = {(): last}
    for option in options:
        for depth in range(1, len(option)):
            if option[:depth] not in place:
                place[option[:depth]] = len(prompt) + len(nodes)
                nodes.append(option[depth - 1])
                parents.append(place[option[: depth - 1]])
    reads = tuple(tuple((place[option[:k]], option[k]) for k in range(len(option))) for option in options)
    return Branching(prompt, tuple(nodes), tuple(parents), reads)
