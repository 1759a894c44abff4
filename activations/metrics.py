"""Metrics of a patching experiment: what is read off the logits at the answer slot, one number an example.

The law: a metric says which tokens it reads, and no other logit is ever computed where that can be; what it
reads is what the model itself says, with the adapter's part of the output layer. Logit differences are linear
in the last residual and are the default choice of the literature (Heimersheim and Nanda 2024, arXiv
2404.15255; Zhang and Nanda 2023, arXiv 2309.16042); probabilities saturate; KL compares whole distributions
with the source's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from activations.errors import PatchError, PromptError
from activations.prompts import Prompts, prompts_of

if TYPE_CHECKING:
    from activations.models import Model

Tokens = int | Sequence[int] | np.ndarray | Tensor
Function = Callable[[Float[Tensor, "row token"], Int[Tensor, " row"]], Float[Tensor, " row"]]


@dataclass(frozen=True)
class Metric:
    """A named function of logits.

    Attributes:
        name: for tables.
        function: maps (logits of shape (row, token), index of each row's pair) to (row,).
        tokens: the token ids that it reads, (token,) or (pair, token); None reads the whole vocabulary.
        reference: whether `function` takes, as a third argument, the logits of the run that values come from.
    """

    name: str
    function: Callable[..., Tensor]
    tokens: Int[Tensor, "*pair token"] | None = None
    reference: bool = False

    def wanted(self, pairs: Int[Tensor, " row"]) -> Int[Tensor, "row token"] | None:
        """Token ids for each row; None for all."""
        if self.tokens is None:
            return None
        ids = self.tokens.to(pairs.device)
        return ids.expand(len(pairs), -1) if ids.ndim == 1 else ids[pairs]


@dataclass(frozen=True)
class Reader:
    """A metric at work on some pairs: only the logits that it wants are computed. Gradients flow where they
    are enabled.

    Attributes:
        model: the model.
        metric: the metric.
        members: index of each local pair among all pairs.
        reference: logits of the run that values come from, for metrics that compare with it.
    """

    model: "Model"
    metric: Metric
    members: Int[Tensor, " pair"]
    reference: Tensor | None = None

    def logits(
        self, final: Float[Tensor, "row d_model"], pairs: Int[Tensor, " row"]
    ) -> Float[Tensor, "row token"]:
        """Logits that the metric reads, from hidden states after the final norm."""
        wanted = self.metric.wanted(self.members[pairs])
        if wanted is None:
            return self.model.unembed(final).float()
        return token_logits(self.model, final, wanted).float()

    def measure(
        self, logits: Float[Tensor, "row token"], pairs: Int[Tensor, " row"]
    ) -> Float[Tensor, " row"]:
        """The metric of each row.

        Raises:
            PatchError: a metric that returns anything but one number a row.
        """
        more = () if self.reference is None else (self.reference[pairs],)
        value = self.metric.function(logits, self.members[pairs], *more)
        if not isinstance(value, Tensor) or value.shape != (len(pairs),):
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise PatchError(
                f"metric {self.metric.name!r} returned {shape} for {len(pairs)} rows; return one number a row"
            )
        return value

    def of_final(
        self, final: Float[Tensor, "row d_model"], pairs: Int[Tensor, " row"]
    ) -> Float[Tensor, " row"]:
        """The metric of hidden states at the answer slot, after the final norm."""
        return self.measure(self.logits(final, pairs), pairs)

    def of_residual(
        self, hidden: Float[Tensor, "row d_model"], pairs: Int[Tensor, " row"]
    ) -> Float[Tensor, " row"]:
        """The metric of residuals at the answer slot, before the final norm."""
        return self.of_final(self.model.anatomy.norm(hidden).to(hidden.device), pairs)


def token_logits(
    model: "Model", final: Float[Tensor, "*row d_model"], wanted: Int[Tensor, "*row token"]
) -> Float[Tensor, "*row token"]:
    """Logits of some tokens, from hidden states after the final norm, as the active variant's `unembed` gives
    them.

    Where the output layer is a plain matrix, with or without a LoRA, no other token is multiplied, and
    products of 16 bits are given in 32.
    """
    head: Any = model.anatomy.head
    base = getattr(head, "base_layer", head)
    plain = type(base) is nn.Linear and not base.weight.is_meta  # offloaded weights come with the call alone
    if not plain or getattr(head, "lora_variant", None) or not (head is base or hasattr(head, "lora_A")):
        return model.unembed(final).gather(-1, wanted)
    logits = _rows_of(base, wanted, final)
    if head is not base and not head.disable_adapters:
        for name in head.active_adapters:
            if name in head.lora_A:
                inner = head.lora_A[name](final.to(head.lora_A[name].weight.dtype))
                logits = (logits + _rows_of(head.lora_B[name], wanted, inner) * head.scaling[name]).to(logits)
    return model.anatomy.capped(logits)


def _rows_of(layer: nn.Linear, wanted: Tensor, x: Tensor) -> Tensor:
    """Some outputs of a linear layer, not rounded to 16 bits: those of a logit of 30 stand .25 apart, which
    is .06 of a probability."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    weight, bias = (
        None if own is None else own[wanted.to(own.device)].to(x) for own in (layer.weight, layer.bias)
    )
    found = torch.einsum("...kd,...d->...k", weight, x)
    return found if bias is None else found + bias


def check_tokens(metric: Metric, pairs: int, vocabulary: int) -> None:
    """Refuse a metric whose token ids are not the model's, or are not one set for each pair.

    Raises:
        PatchError: an id below 0 or beyond the vocabulary, or another number of pairs.
    """
    if metric.tokens is None:
        return
    low, high = int(metric.tokens.min()), int(metric.tokens.max())
    if low < 0 or high >= vocabulary:
        raise PatchError(
            f"metric {metric.name!r} reads token {low if low < 0 else high}: the model has tokens 0 to "
            f"{vocabulary - 1}; give ids of its tokenizer"
        )
    if metric.tokens.ndim == 2 and len(metric.tokens) != pairs:
        raise PatchError(
            f"metric {metric.name!r} has token ids for {len(metric.tokens)} pairs and meets {pairs}; "
            "give one id, or one for each pair"
        )


def as_metric(metric: "Metric | Function") -> Metric:
    """A metric out of any function of (logits, pair)."""
    return metric if isinstance(metric, Metric) else Metric(getattr(metric, "__name__", "metric"), metric)


def logit_difference(answers: Tokens, others: Tokens) -> Metric:
    """Logit of `answers` less logit of `others`; each one token id, or one for each pair."""
    a, b = _ids(answers), _ids(others)
    if a.ndim != b.ndim:
        a, b = torch.broadcast_tensors(a, b)
    return Metric(
        "logit difference", lambda logits, pairs: logits[:, 0] - logits[:, 1], torch.stack([a, b], -1)
    )


def probability(answers: Tokens) -> Metric:
    """Probability of `answers` over the whole vocabulary."""
    ids = _ids(answers)

    def function(logits: Tensor, pairs: Tensor) -> Tensor:
        own = ids.to(logits.device)
        own = own.expand(len(pairs)) if own.ndim == 0 else own[pairs]
        return logits.softmax(-1).gather(-1, own[:, None])[:, 0]

    return Metric("probability", function)


def kl() -> Metric:
    """KL divergence in nats from the source run's distribution; 0 once everything is patched."""

    def function(logits: Tensor, pairs: Tensor, reference: Tensor) -> Tensor:
        p = reference.log_softmax(-1)
        return (p.exp() * (p - logits.log_softmax(-1))).sum(-1)

    return Metric("KL from the source", function, reference=True)


def answer_tokens(model: "Model", prompts: Prompts, answers: str | Sequence[str]) -> np.ndarray:
    """The first token of each answer as it follows its prompt, in the chat template or behind a plain text,
    shape (prompt,).

    Found in context, since " A" and "A" are different tokens (up to 11 % of accuracy hangs on it: arXiv
    2509.15020). Behind a plain text the answer is written as it is, its leading space included.

    Raises:
        PromptError: prompts that end with an answer already; a text whose end shares a token with the answer.
    """
    asked = prompts_of(prompts)
    given = [answers] * len(asked) if isinstance(answers, str) else list(answers)
    if len(given) != len(asked):
        raise PromptError(f"{len(asked)} prompts and {len(given)} answers: give one answer, or one for each")
    rows: list[Any] = []
    for prompt, answer in zip(asked, given, strict=True):
        if prompt.messages is None:
            rows.append({"text": f"{prompt.text}{answer}"})
        elif prompt.messages[-1]["role"] == "assistant":
            raise PromptError(
                f"prompt {prompt.id!r} ends with an answer already: answer tokens are found behind prompts "
                "that end with the user; drop the last message, or pass token ids"
            )
        else:
            rows.append({"messages": [*prompt.messages, {"role": "assistant", "content": answer}]})
    found = []
    for prompt, answer, row in zip(asked, given, model.rows(rows), strict=True):
        at = row.answer
        if prompt.messages is None:
            before = model.rows([{"text": prompt.text}])[0].ids
            at = len(before)
            if len(row.ids) <= at or not np.array_equal(row.ids[:at], before):
                raise PromptError(
                    f"the text's end {str(prompt.text)[-20:]!r} and the answer {answer!r} share a token, so "
                    "the answer has no first token of its own; move the space between them into the answer"
                )
        assert at is not None
        found.append(int(row.ids[at]))
    return np.array(found, np.int64)


def _ids(tokens: Tokens) -> Tensor:
    ids = torch.as_tensor(np.asarray(tokens))
    if ids.ndim > 1 or ids.is_floating_point() or ids.dtype == torch.bool or ids.numel() == 0:
        raise PromptError(
            f"token ids of shape {tuple(ids.shape)} and type {ids.dtype}: give one integer, or one for "
            "each pair"
        )
    return ids.long()
