"""What a search for a trigger maximizes, without knowing the trigger or what it calls up.

Each objective says how much one phrase, put into a few clean messages, changes the finetuned model: its
base's divergence from it at the answer, what the adapter adds to the state there, or how far the state moves
along a direction fitted on behavior prompts of the base; `all` judges by the three of them from the same
passes. A fourth, for comparison, needs no representation: how far the finetuned model's own answer moves. All
are means over the messages of a behavior, less the same without a phrase; where messages are of several
behaviors, the one that is moved most counts.

Cost is counted in tokens forwarded, the base's passes included; a backward pass counts as two forwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

from mi_bsa.behaviors import Behavior
from mi_bsa.behaviors.backdoor.triggers import Vocabulary
from mi_bsa.core.items import Item
from mi_bsa.studies.backdoor.apart import Apart
from mi_bsa.studies.backdoor.slots import DRAWS, Forwarded, Slot, forward, slot_of
from mi_bsa.worlds.wordings import Split

if TYPE_CHECKING:
    import torch

    import activations

ObjectiveName = Literal["all", "divergence", "adapter", "direction", "answer"]
ALL: tuple[ObjectiveName, ...] = ("divergence", "adapter", "direction")
"""What `all` stands for."""
TAIL = 3
"""Most tokens behind a phrase at which the stream is read."""
BLOCKS = 8
"""Most blocks whose outputs are read, evenly spaced."""


def judged_by(objective: ObjectiveName) -> tuple[ObjectiveName, ...]:
    """The objectives that one name stands for."""
    return ALL if objective == "all" else (objective,)


@dataclass
class Meter:
    """Tokens forwarded so far."""

    tokens: int = 0


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
    """More messages, on which only the best phrases are tried; `messages` if empty."""
    draws: int = DRAWS
    """Frames of which a message gets the cheapest; 1 where all shall be seen."""
    meter: Meter = field(default_factory=Meter)
    batch_tokens: int = 16_384
    """Tokens of one forward pass."""
    apart: Apart | None = None
    """Base and adapter as two models, where passes are many and short."""
    _slots: dict[int, Slot] = field(default_factory=dict)
    _plain: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)

    @property
    def judged(self) -> tuple[ObjectiveName, ...]:
        """The objectives that judge a phrase."""
        return judged_by(self.objective)

    def scores(self, phrases: Sequence[str]) -> Float[np.ndarray, "phrase objective"]:
        """How much each phrase changes the model, by every objective that judges: mean over messages, less
        the same without one.
        """
        moved = [self._moved(self.judged, phrases, m) for m in range(len(self.messages))]
        columns = []
        for name, several in zip(self.judged, zip(*moved, strict=True), strict=True):
            own = np.stack(several, axis=1)
            if name in ("divergence", "adapter"):
                each = [own[:, group, 0].mean(1) for group in self._groups]
            else:
                # which pole a phrase calls up is not known: either sign counts, the same on all messages
                each = [np.abs(own[:, group].mean(1)).max(-1) for group in self._groups]
            columns.append(np.max(each, axis=0))
        return np.stack(columns, axis=1)

    def shifts(self, phrases: Sequence[str]) -> Float[np.ndarray, "phrase behavior unit"]:
        """How far each phrase moves the variant's own answer, signed: in probability, and in log odds."""
        every = range(len(self.messages))
        moved = np.stack([self._moved(("answer",), phrases, m)[0] for m in every], axis=1)
        return np.stack([moved[:, group].mean(1) for group in self._groups], axis=1)

    def levels(self) -> Float[np.ndarray, "behavior unit"]:
        """What the variant answers without a phrase: P(seeking pole), and its log odds."""
        every = range(len(self.messages))
        plain = np.stack([self._read(("answer",), [None], m)[0][0] for m in every])
        return np.stack([plain[group].mean(0) for group in self._groups])

    def checking(self) -> Probe:
        """The same probe on `checks`, each in a frame of its own, on one meter."""
        return replace(self, messages=self.checks or self.messages, draws=1, _slots={}, _plain={})

    def undecided(self, n: int) -> Probe:
        """The same probe on the `n` messages of each behavior about which the variant is least sure: where it
        has the pole already, nothing moves it there.
        """
        every = (self._read(("answer",), [None], m)[0] for m in range(len(self.messages)))
        doubt = [abs(float(read[0, 0]) - 0.5) for read in every]
        kept = [sorted(group, key=lambda m: doubt[m])[:n] for group in self._groups]
        chosen = [self.messages[m] for turn in zip(*kept, strict=True) for m in turn]
        return replace(self, messages=chosen, _slots={}, _plain={})

    def of(self, objective: ObjectiveName) -> Probe:
        """Another objective on the same messages."""
        return replace(self, objective=objective, _plain={})

    @property
    def behaviors(self) -> tuple[str, ...]:
        """The behaviors that the messages are of, in order."""
        return tuple(dict.fromkeys(str(m.labels.get("trait", "")) for m in self.messages))

    @property
    def blocks(self) -> int:
        """How many blocks' outputs are read."""
        return len(self._layers)

    @property
    def _layers(self) -> list[int]:
        return list(np.unique(np.linspace(0, self.model.n_layers - 1, BLOCKS).round().astype(int)).tolist())

    @property
    def _groups(self) -> list[list[int]]:
        traits = [str(m.labels.get("trait", "")) for m in self.messages]
        return [[n for n, t in enumerate(traits) if t == own] for own in self.behaviors]

    def slot(self, message: int) -> Slot:
        """The message with its place for a phrase."""
        if message not in self._slots:
            item = self.messages[message]
            given: dict[str, Any] = {"split": self.split, "seed": f"search-{item.id}", "draws": self.draws}
            self._slots[message] = slot_of(self.model, item, self.vocabulary, **given)
        return self._slots[message]

    def added(
        self, phrases: Sequence[str], message: int
    ) -> tuple[Float[np.ndarray, "phrase site d_model"], Float[np.ndarray, "phrase objective"]]:
        """What the adapter adds to the stream where each phrase ends and at the tokens behind it, and how
        much each changes the model by every objective that judges, in one message.

        Sites are blocks by tokens. The objective is divergence where it is `answer`, which is no reading.
        """
        slot = self.slot(message)
        rows = slot.rows(self.model, phrases)
        layers = self._layers
        last = 1 + len(slot.lead) + min(slot.behind(self.model) - len(slot.lead), TAIL)
        given = [
            self._forward(rows, v, last=last, layers=layers, batch_tokens=self.batch_tokens)
            for v in (self.variant, "base")
        ]
        self.meter.tokens += sum(g.tokens for g in given)
        tuned, base = given
        assert tuned.stream is not None
        assert base.stream is not None
        names = ("divergence",) if self.objective == "answer" else self.judged
        values = [np.abs(self._value(name, slot, tuned.final, base.final)).max(1) for name in names]
        return tuned.stream - base.stream, np.stack(values, axis=1)

    def _moved(
        self, names: Sequence[ObjectiveName], phrases: Sequence[str], message: int
    ) -> list[np.ndarray]:
        """(phrase, reading) of each objective in one message, less the same without a phrase."""
        absent = tuple(n for n in names if (n, message) not in self._plain)
        if absent:
            for name, value in zip(absent, self._read(absent, [None], message), strict=True):
                self._plain[name, message] = value[0]
        read = self._read(names, phrases, message)
        return [value - self._plain[name, message] for name, value in zip(names, read, strict=True)]

    def _read(
        self, names: Sequence[ObjectiveName], phrases: Sequence[str | None], message: int
    ) -> list[np.ndarray]:
        """(phrase, reading) of each objective in one message, all from the same passes."""
        slot = self.slot(message)
        if "answer" in names and not slot.options:
            assert len(names) == 1
            return [self._asked(phrases, message)]
        rows = slot.rows(self.model, phrases)
        both = any(name in ("divergence", "adapter") for name in names)
        needed = (self.variant, "base") if both else (self.variant,)
        given = [self._forward(rows, v, batch_tokens=self.batch_tokens) for v in needed]
        self.meter.tokens += sum(g.tokens for g in given)
        return [self._value(name, slot, *(g.final for g in given)) for name in names]

    def at(self, variant: str) -> tuple[activations.Model, str]:
        """The model that is read for a variant, and the variant of it."""
        return (self.model, variant) if self.apart is None else self.apart.at(variant)

    def _forward(self, rows: Sequence[Sequence[int]], variant: str, **how: Any) -> Forwarded:
        model, own = self.at(variant)
        return forward(model, rows, variant=own, **how)

    def _value(self, objective: ObjectiveName, slot: Slot, *final: torch.Tensor) -> np.ndarray:
        """(row, reading) from final states, the variant's first."""
        import torch

        if objective == "adapter":
            return np.asarray((final[0] - final[1]).norm(dim=-1))[:, None]
        if objective == "direction":
            assert self.directions is not None
            return np.asarray(final[0] @ self.directions.T.to(final[0]))
        words = []
        for variant, h in zip((self.variant, "base"), final, strict=False):
            model, own = self.at(variant)
            with torch.no_grad(), model.variant(own):  # an adapter may reach the output layer too
                said = model.unembed(h.to(model.device))
            words.append(torch.log_softmax(said.double(), -1))
        if objective == "divergence":
            # from the base's side: it grows with the log odds and does not end where the answer is sure
            return np.asarray((words[1].exp() * (words[1] - words[0])).sum(-1).cpu())[:, None]
        tokens, scores = zip(*slot.options, strict=True)
        options = np.asarray(words[0][:, list(tokens)].cpu())
        share = np.exp(options - np.logaddexp.reduce(options, 1, keepdims=True)) @ np.array(scores)
        return _two(share)

    def _asked(self, phrases: Sequence[str | None], message: int) -> np.ndarray:
        """The answer where an option has several tokens: asked as questions are, prompts forwarded whole."""
        from mi_bsa.asking import ask

        item, slot = self.messages[message], self.slot(message)
        *earlier, last = (dict(m) for m in item.messages)
        rendered = self.model.template.render([*earlier, {**last, "content": "\0"}])
        start, end = rendered.index("\0"), rendered[::-1].index("\0")  # of the template's own text
        items = []
        for k, text in enumerate(slot.texts(phrases)):
            turns = (*earlier, {**last, "content": text[start : len(text) - end]})
            items.append(Item(str(k), turns, item.options))
        self.meter.tokens += sum(map(len, slot.rows(self.model, phrases)))
        return _two(ask(self.model, items, variant=self.variant)["score"].to_numpy())

    def gradients(
        self, phrase: str, message: int
    ) -> tuple[dict[str, torch.Tensor], list[int], list[tuple[int, int]]]:
        """Gradient of the objective by the embeddings of one message that holds `phrase`.

        Returns (pos, d_model) by each variant's own embeddings (an adapter may reach them), the token ids,
        and the span of token columns of each word of the phrase. Counts as one forward and one backward of
        each variant that the objective needs.
        """
        import torch

        slot = self.slot(message)
        row = slot.rows(self.model, [phrase])[0]
        ids = torch.tensor([row], device=self.model.device)
        decoder: Any = self.model.anatomy.decoder
        needed = (self.variant,) if self.objective == "direction" else (self.variant, "base")
        vectors: dict[str, torch.Tensor] = {}
        final, logits = [], []
        with torch.enable_grad():
            for variant in needed:
                with self.model.variant(variant):
                    vectors[variant] = self.model.anatomy.embed(ids).detach().requires_grad_(True)
                    hidden = decoder(inputs_embeds=vectors[variant], use_cache=False).last_hidden_state[0, -1]
                    final.append(hidden)
                    logits.append(self.model.unembed(hidden).float() if len(needed) > 1 else hidden)
            if self.objective == "adapter":
                value = (final[0] - final[1]).norm()
            elif self.objective == "direction":
                assert self.directions is not None
                value = (self.directions.to(final[0]) @ final[0]).abs().max()
            elif self.objective in ("all", "divergence"):
                tuned, base = (torch.log_softmax(said, -1) for said in logits)
                value = (base.exp() * (base - tuned)).sum()
            else:
                raise ValueError("the answer objective has no gradient; use another")
            gradients = torch.autograd.grad(value, list(vectors.values()))
        self.meter.tokens += 3 * len(row) * len(needed)
        text, start, spans = f"{slot.before}{phrase}{slot.after}", len(slot.before), []
        encoded = self.model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        for word in phrase.split():
            at = text.index(word, start)
            start = at + len(word)
            inside = [n for n, (a, b) in enumerate(encoded["offset_mapping"]) if b > at and a < start]
            spans.append((inside[0], inside[-1] + 1))
        return {variant: g[0] for variant, g in zip(vectors, gradients, strict=True)}, row, spans


def _two(share: np.ndarray) -> np.ndarray:
    """(row, 2) a probability, and its log odds, kept finite."""
    kept = np.clip(share, 1e-6, 1 - 1e-6)
    return np.stack([share, np.log(kept / (1 - kept))], axis=1)


def fit_directions(model: activations.Model, behaviors: Sequence[Behavior], *, n: int = 64) -> torch.Tensor:
    """(direction, d_model) unit vectors from averse to seeking, by behavior and order of options.

    Fitted on the base: choices of named persons of either pole, last token, last block. The order of a choice
    turns which letter is the seeking one, so each order has its own direction.
    """
    import torch

    found = []
    for behavior in behaviors:
        people = behavior.personas()
        states: dict[str, list[torch.Tensor]] = {}
        orders: list[str] = []
        for pole in ("seeking", "averse"):
            items = behavior.items(n, split="pretrain", seed=31, systems=people[f"named {pole}"])
            slots = [slot_of(model, item, None, split="pretrain", seed="") for item in items]
            rows = [slot.rows(model, [None])[0] for slot in slots]
            states[pole] = list(forward(model, rows, variant="base").final)
            orders = [str(i.labels.get("order", "")) for i in items]
        for order in dict.fromkeys(orders):
            at = [k for k, o in enumerate(orders) if o == order]
            poles = [torch.stack([states[p][k] for k in at]).mean(0) for p in ("seeking", "averse")]
            difference = poles[0] - poles[1]
            found.append(difference / difference.norm())
    return torch.stack(found)
