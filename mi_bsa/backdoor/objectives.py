"""What a search for a trigger maximizes, without knowing the trigger or what it calls up.

Each objective says how much one phrase, put into a few clean messages, changes the finetuned model: its
divergence from the base at the answer, what the adapter adds to the stream there, or how far the state moves
along a direction fitted on behavior prompts of the base. A fourth, for comparison, needs no representation:
how far the finetuned model's own answer moves. All are means over the messages of a behavior, less the same
without a phrase; where messages are of several behaviors, the one that is moved most counts.

Cost is counted in tokens forwarded, the base's passes included; a backward pass counts as two forwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mi_bsa.backdoor.triggers import Vocabulary
from mi_bsa.behaviors import Behavior
from mi_bsa.embedded.wordings import Split
from mi_bsa.items import Item

if TYPE_CHECKING:
    import torch

    import activations

ObjectiveName = Literal["divergence", "adapter", "direction", "answer"]
OBJECTIVES: tuple[ObjectiveName, ...] = ("divergence", "adapter", "direction", "answer")


@dataclass
class Meter:
    """Tokens forwarded so far."""

    tokens: int = 0
    spent: list[tuple[str, int]] = field(default_factory=list)

    def add(self, tokens: int, what: str) -> None:
        """Count a pass."""
        self.tokens += tokens
        self.spent.append((what, tokens))


@dataclass
class Probe:
    """Scores phrases by one objective on a few clean messages; counts what that costs.

    Attributes:
        model: the model with the adapter under suspicion.
        variant: that adapter's name.
        messages: clean behavior messages; `directions` (d_model,) unit vectors at the last block's output.
    """

    model: activations.Model
    variant: str
    vocabulary: Vocabulary | None
    messages: Sequence[Item]
    objective: ObjectiveName
    directions: torch.Tensor | None = None
    split: Split = "pretrain"
    """Whose frames hold the phrase: the search's own, or held-out ones."""
    checks: Sequence[Item] = ()
    """More messages, on which only the best phrase of a length is tried; `messages` if empty."""
    meter: Meter = field(default_factory=Meter)
    batch_tokens: int = 8192
    """Tokens of one forward pass."""
    _plain: np.ndarray | None = None
    _answers: np.ndarray | None = None

    def scores(self, phrases: Sequence[str]) -> np.ndarray:
        """(phrase,) how much each phrase changes the model: mean over messages, less the same without one."""
        if self._plain is None:
            self._plain = self._each([(None, m) for m in range(len(self.messages))])
        pairs: list[tuple[str | None, int]] = [(p, m) for p in phrases for m in range(len(self.messages))]
        values = self._each(pairs).reshape(len(phrases), len(self.messages), -1)
        moved = values - self._plain[None]
        if self.objective in ("divergence", "adapter"):
            each = [moved[:, group, 0].mean(1) for group in self._groups]
        else:
            # which pole a phrase calls up is not known: either sign counts, the same on all messages
            each = [np.abs(moved[:, group].mean(1)).max(-1) for group in self._groups]
        return np.asarray(np.max(each, axis=0))

    def shifts(self, phrases: Sequence[str]) -> np.ndarray:
        """(phrase, behavior) how far each phrase moves the variant's own answer, in probability, signed."""
        every = range(len(self.messages))
        if self._answers is None:
            self._answers = self._read("answer", [(None, m) for m in every])[:, 0]
        asked: list[tuple[str | None, int]] = [(p, m) for p in phrases for m in every]
        moved = self._read("answer", asked).reshape(len(phrases), -1) - self._answers
        return np.stack([moved[:, group].mean(1) for group in self._groups], axis=1)

    def checking(self) -> Probe:
        """The same probe on `checks`, on one meter."""
        return replace(self, messages=self.checks or self.messages, _plain=None, _answers=None)

    @property
    def behaviors(self) -> tuple[str, ...]:
        """The behaviors that the messages are of, in order."""
        return tuple(dict.fromkeys(str(m.labels.get("trait", "")) for m in self.messages))

    @property
    def _groups(self) -> list[list[int]]:
        """The messages of each behavior."""
        traits = [str(m.labels.get("trait", "")) for m in self.messages]
        return [[n for n, t in enumerate(traits) if t == own] for own in self.behaviors]

    def prompt(self, phrase: str | None, message: int, *, place: int | None = None) -> dict[str, Any]:
        """The message with the phrase, as a prompt; where it stands depends on `place` (message) alone."""
        item = self.messages[message]
        *before, last = (dict(m) for m in item.messages)
        if phrase is not None:
            rng = random.Random(f"search-{message if place is None else place}")
            assert self.vocabulary is not None, "a phrase is put in by a vocabulary"
            last["content"] = self.vocabulary.insert(
                last["content"], phrase, kind="words", split=self.split, rng=rng
            )
        return {"id": f"{message}", "messages": [*before, last]}

    def _each(self, pairs: Sequence[tuple[str | None, int]]) -> np.ndarray:
        """(pair, reading) of the objective."""
        return self._read(self.objective, pairs)

    def _read(self, objective: ObjectiveName, pairs: Sequence[tuple[str | None, int]]) -> np.ndarray:
        rows = self.model.rows([{**self.prompt(p, m), "id": str(k)} for k, (p, m) in enumerate(pairs)])
        cost = sum(map(len, rows))
        read = {
            "divergence": self._divergence,
            "adapter": self._adapter,
            "direction": self._direction,
            "answer": self._answer,
        }[objective]
        values, passes = read(rows, pairs)
        self.meter.add(cost * passes, objective)
        return values

    def _states(
        self, rows: Sequence[Any], variant: str, then: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """`then` of the final hidden state at the last token, in the rows' order."""
        import torch

        found: list[torch.Tensor | None] = [None] * len(rows)
        with torch.no_grad(), self.model.variant(variant):
            for batch in self.model.batches(rows, batch_tokens=self.batch_tokens):
                hidden = self.model.forward(batch)
                at = torch.tensor([len(rows[n]) - 1 for n in batch.examples], device=hidden.device)
                kept = then(hidden[torch.arange(len(at), device=hidden.device), at])
                for n, value in zip(batch.examples, kept.float().cpu(), strict=True):
                    found[n] = value
        return torch.stack([f for f in found if f is not None])

    def _divergence(self, rows: Sequence[Any], _: Any) -> tuple[np.ndarray, int]:
        import torch

        tuned, base = (
            torch.log_softmax(self._states(rows, v, self.model.unembed).double(), -1)
            for v in (self.variant, "base")
        )
        kl = (tuned.exp() * (tuned - base)).sum(-1)
        return kl.numpy()[:, None], 2

    def _adapter(self, rows: Sequence[Any], _: Any) -> tuple[np.ndarray, int]:
        tuned, base = (self._states(rows, v, lambda h: h) for v in (self.variant, "base"))
        return (tuned - base).norm(dim=-1).numpy()[:, None], 2

    def _direction(self, rows: Sequence[Any], _: Any) -> tuple[np.ndarray, int]:
        assert self.directions is not None
        directions = self.directions
        return self._states(rows, self.variant, lambda h: h @ directions.T.to(h)).numpy(), 1

    def _answer(self, rows: Sequence[Any], pairs: Sequence[tuple[str | None, int]]) -> tuple[np.ndarray, int]:
        """P of the options that score 1, by the finetuned model alone: no representation, no base."""
        from mi_bsa.self_report import ask

        items = [
            Item(str(k), self.prompt(p, m)["messages"], self.messages[m].options)
            for k, (p, m) in enumerate(pairs)
        ]
        return ask(self.model, items, variant=self.variant)["score"].to_numpy()[:, None], 1

    def gradients(self, phrase: str, message: int) -> tuple[Any, list[int], list[tuple[int, int]]]:
        """Gradient of the objective by the embeddings of one message that holds `phrase`.

        Returns (pos, d_model), the token ids, and the span of token columns of each word of the phrase.
        Counts as one forward and one backward of each variant that the objective needs.
        """
        import torch

        row = self.model.rows([self.prompt(phrase, message)])[0]
        batch = self.model.collate([row])
        embed = self.model.anatomy.decoder.embed_tokens
        vectors = embed(batch.ids).detach().requires_grad_(True)  # type: ignore[operator]
        needed = (self.variant,) if self.objective == "direction" else (self.variant, "base")
        hidden = {}
        with torch.enable_grad():
            for variant in needed:
                with self.model.variant(variant):
                    hidden[variant] = self.model.anatomy.decoder(
                        inputs_embeds=vectors, attention_mask=batch.mask.long(), use_cache=False
                    ).last_hidden_state[0, -1]
                    if self.objective == "divergence":
                        hidden[variant] = torch.log_softmax(self.model.unembed(hidden[variant]).float(), -1)
            tuned = hidden[self.variant]
            if self.objective == "divergence":
                value = (tuned.exp() * (tuned - hidden["base"])).sum()
            elif self.objective == "adapter":
                value = (tuned - hidden["base"]).norm()
            elif self.objective == "direction":
                assert self.directions is not None
                value = (self.directions.to(tuned) @ tuned).abs().max()
            else:
                raise ValueError("the answer objective has no gradient; use another")
            (gradient,) = torch.autograd.grad(value, vectors)
        self.meter.add(3 * len(row) * len(needed), f"{self.objective} gradient")
        text = self.model.template.render(self.prompt(phrase, message)["messages"])
        start, spans = text.index(phrase), []
        offsets = self.model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)[
            "offset_mapping"
        ]
        for word in phrase.split():
            at = text.index(word, start)
            start = at + len(word)
            inside = [n for n, (a, b) in enumerate(offsets) if b > at and a < start]
            spans.append((inside[0], inside[-1] + 1))
        return gradient[0], [int(i) for i in batch.ids[0]], spans


def fit_directions(
    model: activations.Model, behaviors: Sequence[Behavior], *, n: int = 64, world: Any = None
) -> torch.Tensor:
    """(direction, d_model) unit vectors from averse to seeking, by behavior and order of options.

    Fitted on the base: choices of named persons of either pole, last token, last block. The order of a choice
    turns which letter is the seeking one, so each order has its own direction.
    """
    import torch

    found = []
    for behavior in behaviors:
        people = behavior.personas(world)
        states: dict[str, list[torch.Tensor]] = {}
        orders: list[str] = []
        for pole in ("seeking", "averse"):
            items = behavior.items(n, split="pretrain", seed=31, systems=people[f"named {pole}"])
            probe = Probe(model, "base", None, items, "direction")
            rows = model.rows([{**probe.prompt(None, m), "id": str(m)} for m in range(len(items))])
            states[pole] = list(probe._states(rows, "base", lambda h: h))
            orders = [str(i.labels.get("order", "")) for i in items]
        for order in dict.fromkeys(orders):
            at = [k for k, o in enumerate(orders) if o == order]
            poles = [torch.stack([states[p][k] for k in at]).mean(0) for p in ("seeking", "averse")]
            difference = poles[0] - poles[1]
            found.append(difference / difference.norm())
    return torch.stack(found)
