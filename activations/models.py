"""Models: a base, its tokenizer and unmerged LoRA adapters, loaded and checked; the adapter is an axis.

The law: what is active is what was asked for. An adapter that changes nothing on a canary prompt, dropout
left on, or gradient checkpointing left on is an error, since each of them returns plausible numbers.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from activations import dtypes, lora
from activations.anatomy import Anatomy, context_length
from activations.batches import Batch, collate, plan
from activations.errors import AdapterError, ModelError, PositionError, PromptError
from activations.moments import Order, Told
from activations.positions import Positions
from activations.prompts import Prompt, Prompts, read
from activations.showing import ModelShows
from activations.sites import Site, resolve
from activations.tokens import Row, Template, tokenizer_fingerprint


def variant_name(name: str, alpha: float) -> str:
    """`k@0.5` of (`k`, 0.5), and `k` where alpha is 1; `Model.parse_variant` reads it."""
    return name if alpha == 1.0 else f"{name}@{alpha:g}"


@dataclass(eq=False, repr=False)
class Model(ModelShows):
    """A causal language model ready to be read and edited. Made by `load` or `wrap`.

    Attributes:
        module: the PEFT model, or the Hugging Face model where there is no adapter.
        inner: the Hugging Face causal language model, with LoRA layers injected where there are adapters.
        tokenizer: the fast tokenizer.
        name: what it was loaded from.
        folder, revision: where its configuration and tokenizer lie on disk, and which of the Hub, if known.
        template: the chat template with its pinned arguments.
        anatomy: where the sites are.
    """

    module: nn.Module
    inner: nn.Module
    tokenizer: Any
    name: str
    folder: Path | None
    revision: str | None
    template: Template
    anatomy: Anatomy
    _active: tuple[str, float] = ("base", 1.0)
    _told: Told | None = None
    _order: Order | None = None
    _alterations: int = 0
    _kept: Any = None

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return len(self.anatomy.layers)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.anatomy.config.hidden_size)

    @property
    def n_heads(self) -> int:
        """Number of query heads."""
        return int(self.anatomy.config.num_attention_heads)

    @property
    def context_length(self) -> int:
        """The longest prompt in tokens."""
        return context_length(self.anatomy.config)

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        return next(self.inner.parameters()).device

    @cached_property
    def dtype(self) -> str:
        """The base's type: `float32`, `nf4 (bfloat16 compute)`; `bfloat16 and float32` where it has both."""
        return dtypes.of_base(self.inner)

    @property
    def adapter_dtype(self) -> str:
        """The adapters' type (PEFT keeps them in float32 over a bfloat16 base); empty without adapters."""
        return dtypes.of_adapters(self.inner)

    @property
    def attention(self) -> str:
        """The attention implementation."""
        return self.anatomy.attention

    @property
    def pad_id(self) -> int:
        """The id that fills padding (always masked)."""
        given = self.tokenizer.pad_token_id
        return int(given if given is not None else self.tokenizer.eos_token_id or 0)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the base's weights."""
        return lora.fingerprint(self.inner, None)

    @cached_property
    def tokenizer_fingerprint(self) -> str:
        """SHA-256 of the tokenizer."""
        return tokenizer_fingerprint(self.tokenizer)

    def adapter_fingerprint(self, variant: str) -> str:
        """SHA-256 of one adapter's weights and scaling; the empty string for the base."""
        name, _ = self.parse_variant(variant)
        if name == "base":
            return ""
        with self.variant(name):
            return lora.fingerprint(self.inner, name)

    @property
    def variants(self) -> tuple[str, ...]:
        """`base` and the adapters."""
        return ("base", *lora.names(self.inner))

    @property
    def active(self) -> tuple[str, float]:
        """The active variant and its alpha."""
        return self._active

    @property
    def active_name(self) -> str:
        """The active variant as `variant` reads it: `k`, or `k@0.5`."""
        return variant_name(*self._active)

    @property
    def active_adapter(self) -> str | None:
        """The active adapter's name; None for the base."""
        return None if self._active[0] == "base" else self._active[0]

    def parse_variant(self, text: str) -> tuple[str, float]:
        """(`k`, 0.5) out of `k@0.5`; alpha is 1 where none is given.

        Raises:
            AdapterError: no such variant, or an alpha that is no number.
        """
        name, at, factor = text.partition("@")
        try:
            alpha = float(factor) if at else 1.0
        except ValueError:
            alpha = float("nan")
        if name not in self.variants or alpha != alpha or abs(alpha) == float("inf"):
            raise AdapterError(
                f"variant {text!r}: this model has {', '.join(self.variants)}; write one of these, or "
                "'name@alpha' to scale it"
            )
        if name == "base" and at:
            raise AdapterError(f"variant {text!r}: the base has no adapter to scale; write 'base'")
        return name, alpha

    @contextmanager
    def variant(self, name: str, *, alpha: float | None = None) -> Iterator["Model"]:
        """Inside, the model is the base, adapter `name`, or that adapter scaled by `alpha`; afterwards as
        before.

        Raises:
            AdapterError: no such variant.
        """
        name, spelled = self.parse_variant(name)
        factor = spelled if alpha is None else float(alpha)
        if (name == "base" and factor != 1.0) or factor != factor or abs(factor) == float("inf"):
            raise AdapterError(
                f"variant {name!r} with alpha {factor}: alpha is a finite number, and the base has none; "
                "drop it"
            )
        before = self._active
        try:
            self._activate(name, factor)
            yield self
        finally:
            self._activate(*before)

    def _activate(self, name: str, alpha: float) -> None:
        scalings = self._scalings
        lora.activate(self.inner, None if name == "base" else name)
        for adapter in {self._active[0], name} & set(scalings):  # all others are as they were
            lora.set_scaling(self.inner, adapter, scalings[adapter], alpha if adapter == name else 1.0)
        self._active = (name, alpha)

    @cached_property
    def _scalings(self) -> dict[str, list[float | None]]:
        return {name: lora.scaling(self.inner, name) for name in lora.names(self.inner)}

    def sites(
        self, selection: str | Site | Sequence[str | Site], *, variants: Sequence[str] | None = None
    ) -> tuple[Site, ...]:
        """The sites that a selection names in this model; adapter sites without a layer or module are those
        at which the active variant (or one of `variants`) has a LoRA.

        Raises:
            SiteError: what the model does not have.
        """
        named = [self.active[0]] if variants is None else [self.parse_variant(name)[0] for name in variants]
        adapted = {pair for name in named if name != "base" for pair in self.anatomy.adapted(name)}
        return resolve(selection, n_layers=self.n_layers, adapted=adapted)

    def check(self) -> None:
        """Refuse states in which activations lie.

        Raises:
            ModelError: dropout or gradient checkpointing is on, or an adapter is merged.
        """
        training, checkpointing = _modes(self.inner)
        if training:
            raise ModelError(
                "the model is in training mode, so dropout may be on: activations would be random; call "
                "model.module.eval()"
            )
        if checkpointing:
            raise ModelError(
                "gradient checkpointing is on, so hooks would fire twice; call "
                "model.inner.gradient_checkpointing_disable()"
            )
        lora.check_unmerged(self.inner)

    @contextmanager
    def _prompts_end_at(
        self,
        lengths: Int[Tensor, " example"],
        *,
        given: Int[Tensor, " example"] | None = None,
        reach: Int[Tensor, " example"] | None = None,
        real: Bool[Tensor, "example pos"] | None = None,
        stops: Iterable[int] = (),
    ) -> Iterator[None]:
        """Tell edits where each row's prompt ends while a batch or a generation runs; see `moments.Told`."""
        before = self._told
        self._told = Told(lengths, lengths if given is None else given, reach, real, tuple(stops))
        try:
            yield
        finally:
            self._told = before

    @contextmanager
    def _rows_are(self, which: np.ndarray | None, names: Sequence[str]) -> Iterator[None]:
        """Tell edits which of all the rows that were given a batch holds; see `moments.Order`."""
        before, self._order = self._order, Order(which, names)
        try:
            yield
        finally:
            self._order = before

    def forward(self, batch: Batch) -> Float[Tensor, "example pos d_model"]:
        """The decoder's output of a batch, after the final norm, where inputs go; gradients if enabled."""
        with self._prompts_end_at(batch.prompt_lengths, given=batch.lengths):
            hidden = self.anatomy.decoder(**batch.inputs, use_cache=False).last_hidden_state
        return hidden.to(self.device)

    def unembed(self, hidden: Float[Tensor, "*row d_model"]) -> Float[Tensor, "*row vocab"]:
        """Logits of final hidden states, soft-capped where the model does that."""
        return self.anatomy.capped(self.anatomy.head(hidden)).to(hidden.device)

    def rows(self, prompts: Prompts) -> list[Row]:
        """Read and tokenize prompts.

        Raises:
            PromptError: a row that cannot be used as it is.
        """
        return self._encode(read(prompts))

    def _encode(self, prompts: Sequence[Prompt]) -> list[Row]:
        rows = self.template.encode(prompts, max_length=self.context_length)
        known = int(self.anatomy.embed.weight.shape[0])  # type: ignore[index]
        for row in rows:
            beyond = int(row.ids.max())
            if beyond >= known:
                raise PromptError(
                    f"prompt {row.prompt.id!r} holds {self.tokenizer.convert_ids_to_tokens(beyond)!r}, token "
                    f"{beyond}, and the model has {known} embeddings: take it out, or give the tokenizer "
                    "that the model was trained with"
                )
        return rows

    def batches(self, rows: Sequence[Row], *, batch_tokens: int = 4096) -> Iterator[Batch]:
        """Rows sorted by length and padded on the right; `batch.examples` index `rows`."""
        cut = plan([len(row) for row in rows], batch_tokens=batch_tokens)
        for members in (cut[n] for n in range(len(cut))):
            yield self.collate([rows[n] for n in members], examples=members)

    def collate(
        self, rows: Sequence[Row], *, examples: Sequence[int] | np.ndarray | None = None, side: str = "right"
    ) -> Batch:
        """One padded batch of rows on the model's device."""
        return collate(
            [row.ids for row in rows],
            pad=self.pad_id,
            examples=examples,
            prompt_lengths=[len(row) if row.answer is None else row.answer for row in rows],
            side=side,
            device=self.device,
        )

    @torch.no_grad()
    def logits(
        self, prompts: Prompts, *, positions: str | Positions = "last", batch_tokens: int = 4096
    ) -> Float[Tensor, "example vocab"]:
        """Next-token logits at one position of each prompt, in the order given, float32 on the CPU.

        Runs in sorted batches and multiplies by the vocabulary only where it was asked. Edits that are in
        force apply.

        Raises:
            PositionError: a rule that names several tokens of a row, or a mean.
        """
        self.check()
        rule = Positions.parse(positions)
        rows = self.rows(prompts)
        where = [rule.resolve(row) for row in rows]
        if rule.is_mean or any(len(at) != 1 for at in where):
            raise PositionError(
                f"position {rule.text!r} names several tokens of a row: logits need one each; use last, "
                "slot, answer or option:X"
            )
        found: dict[int, Tensor] = {}
        names = [row.prompt.id for row in rows]
        for batch in self.batches(rows, batch_tokens=batch_tokens):
            with self._rows_are(batch.examples, names):
                hidden = self.forward(batch)
            at = torch.tensor([int(where[n][0]) for n in batch.examples], device=hidden.device)
            logits = self.unembed(hidden[torch.arange(len(at), device=hidden.device), at]).float().cpu()
            found.update(zip(batch.examples.tolist(), logits, strict=True))
        return torch.stack([found[n] for n in range(len(rows))])

    @torch.no_grad()
    def generate(
        self,
        prompt: Prompts,
        *,
        max_new_tokens: int = 32,
        temperature: float = 0.0,
        seed: int | None = None,
        use_cache: bool = True,
        batch_tokens: int = 4096,
    ) -> str | list[str]:
        """Answer one prompt (a string, a row, or a list of messages) or many, in the order given.

        A string is one user message; see `activations.prompts.read`. Temperature 0 is greedy; any other needs
        a seed. Edits that are in force apply.

        Raises:
            PromptError: an unusable prompt, or no room left in the context.
            ModelError: sampling without a seed.
        """
        from activations.generation import Decoding, generate

        return generate(self, prompt, Decoding(max_new_tokens, temperature, seed, use_cache, batch_tokens))

    def answer_ids(
        self,
        prompts: Prompts,
        *,
        max_new_tokens: int = 32,
        temperature: float = 0.0,
        seed: int | None = None,
        use_cache: bool = True,
        batch_tokens: int = 4096,
    ) -> list[list[int]]:
        """What `generate` answers, as the very tokens that were generated (up to the end token, without it).

        Text that is decoded, stripped and tokenized again need not be these tokens (" A" is not "A").
        """
        from activations.generation import Decoding, answers

        how = Decoding(max_new_tokens, temperature, seed, use_cache, batch_tokens)
        return answers(self, self.rows(prompts), how)


def _modes(inner: Any) -> tuple[bool, bool]:
    """Whether any module is in training mode, and whether any has gradient checkpointing on: one walk without
    the names that `modules()` builds, since it runs before every pass and twenty adapters are hundreds of
    modules."""
    training = checkpointing = False
    seen: set[int] = set()
    left = [inner]
    while left:
        module = left.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        training |= module.training
        checkpointing |= bool(module.__dict__.get("gradient_checkpointing", False))
        left += [child for child in module._modules.values() if child is not None]
    return training, checkpointing
