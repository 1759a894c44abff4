"""Read-outs: items compiled to token rows, so that thousands of interventions can be scored from a few logits
each.

The law: a read-out's score is `self_report.ask`'s score: the expected score of the options, given that one of
them is the answer. Where
each option is one token, that needs only the options' logits at the answer slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from activations.conversation import template_of
from mi_bsa.asking.likelihood import branch
from mi_bsa.core.errors import ItemError
from mi_bsa.core.items import Item, prompts_of, unique_ids

if TYPE_CHECKING:
    from activations import Model
    from activations.metrics import Metric
    from activations.tokens import Row

DECIDED = "first_token_decides"
"""Label of an item whose options of several tokens may be read by their first ones: these tell the poles
apart, whatever follows.
"""


@dataclass(frozen=True, eq=False)
class Readout:
    """Items ready to be scored.

    Attributes:
        name: such as `behavior` or `self_report`.
        items: the items.
        rows: their tokenized prompts.
        tokens: token id of every option, padded with the first option's, (item, option).
        scores: score of every option, (item, option).
        real: False at padding, (item, option).
        groups: what counts as one unit of an interval: the label `scenario`, or else the item's id.
    """

    name: str
    items: tuple[Item, ...]
    rows: tuple[Row, ...] = field(repr=False)
    tokens: Int[np.ndarray, "item option"] = field(repr=False)
    scores: Float[np.ndarray, "item option"] = field(repr=False)
    real: np.ndarray = field(repr=False)
    groups: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, model: Model, items: Sequence[Item], *, name: str, first_token: bool = False) -> Readout:
        """Compile items for a model.

        Args:
            model: whose tokenizer and chat template are used.
            items: the items.
            name: what the read-out is called.
            first_token: where an option has several tokens, let its first one stand for it; items that are
                labeled `first_token_decides` are read so anyway.

        Raises:
            ItemError: no items; options of several tokens without `first_token`; options that begin with
                the same token.
        """
        if not items:
            raise ItemError(f"read-out {name!r} has no items; give at least one")
        unique_ids(items)
        template = template_of(model)
        rows = model.rows(prompts_of(items))
        widest = max(len(item.options) for item in items)
        tokens = np.zeros((len(items), widest), np.int64)
        scores = np.zeros((len(items), widest))
        real = np.zeros((len(items), widest), bool)
        for n, (item, row) in enumerate(zip(items, rows, strict=True)):
            tree = branch(item, template)
            firsts = [reads[0][1] for reads in tree.reads]
            if tuple(row.ids.tolist()) != tree.prompt:
                raise ItemError(
                    f"item {item.id!r}: the template writes more before the answer than the prompt ends "
                    "with; use a template whose generation prompt is complete"
                )
            decided = first_token or item.labels.get(DECIDED, False)
            if any(len(reads) > 1 for reads in tree.reads) and not decided:
                raise ItemError(
                    f"item {item.id!r} has options of several tokens, and this reads one logit an option; "
                    "use one-token options, or first_token=True"
                )
            if len(set(firsts)) < len(firsts):
                raise ItemError(
                    f"item {item.id!r}: two options begin with the same token; use options whose first "
                    "tokens differ"
                )
            tokens[n], count = firsts[0], len(firsts)
            tokens[n, :count], real[n, :count] = firsts, True
            scores[n, :count] = [score for _, score in item.options]
        groups = np.array([str(item.labels.get("scenario", item.id)) for item in items], dtype=object)
        return cls(name, tuple(items), tuple(rows), tokens, scores, real, groups)

    @property
    def prompts(self) -> list[dict[str, Any]]:
        """The items as prompts rows, for `activations.capture` and `activations.patch_map`."""
        return prompts_of(self.items)

    def score(self, logits: Float[np.ndarray, "*more item option"]) -> Float[np.ndarray, "*more item"]:
        """Expected score of every item from its options' logits."""
        weights = self._weights(logits)
        scored: np.ndarray = (weights * self.scores).sum(-1) / weights.sum(-1)
        return scored

    def shares(
        self, logits: Float[np.ndarray, "*more item option"]
    ) -> Float[np.ndarray, "*more item option"]:
        """Probability of every option, given that one of them is the answer; 0 at padding."""
        weights = self._weights(logits)
        shared: np.ndarray = weights / weights.sum(-1, keepdims=True)
        return shared

    def _weights(self, logits: np.ndarray) -> np.ndarray:
        masked = np.where(self.real, logits.astype(np.float64), -np.inf)
        found: np.ndarray = np.exp(masked - masked.max(-1, keepdims=True))
        return found

    def level(self, logits: Float[np.ndarray, "*more item option"]) -> Float[np.ndarray, " *more"]:
        """Mean expected score, units alike."""
        mean: np.ndarray = self.units(self.score(logits)).mean(-1)
        return mean

    def metric(self) -> Metric:
        """Log-odds of the expected score, log(s / (1 - s)), as a metric for patching; an item is a pair."""
        import torch

        from activations.metrics import Metric

        with np.errstate(divide="ignore"):
            high = torch.from_numpy(np.where(self.real, np.log(self.scores), -np.inf)).float()
            low = torch.from_numpy(np.where(self.real, np.log(1 - self.scores), -np.inf)).float()

        def log_odds(logits: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
            up, down = high.to(logits.device)[pairs], low.to(logits.device)[pairs]
            return (logits + up).logsumexp(-1) - (logits + down).logsumexp(-1)

        return Metric(f"log-odds of {self.name}", log_odds, torch.from_numpy(self.tokens))

    def units(self, values: Float[np.ndarray, "*more item"]) -> Float[np.ndarray, "*more unit"]:
        """Means over the items of each group, in sorted order of groups."""
        return np.stack([values[..., self.groups == name].mean(-1) for name in self.unit_names], -1)

    @property
    def unit_names(self) -> tuple[str, ...]:
        """Names of the groups, in the order of `units`."""
        return tuple(sorted(set(self.groups)))


def readable(model: Model, items: Sequence[Item]) -> list[Item]:
    """The items whose options are one token each, no two the same (or are decided by their first): what a
    `Readout` takes as it is.

    The embedded model's questions all are; of an English bank, letters, yes or no and numbers usually are and
    phrases are not.

    Raises:
        ItemError: none is.
    """
    template = template_of(model)
    items_read = []
    for item in items:
        reads = branch(item, template).reads
        short = all(len(r) == 1 for r in reads) or item.labels.get(DECIDED, False)
        if short and len({r[0][1] for r in reads}) == len(reads):
            items_read.append(item)
    if not items_read:
        raise ItemError(
            f"none of {len(items)} items has options of one token each that differ; give some that have, "
            "such as letters"
        )
    return items_read
