"""Two procedures in hand-set weights: a counter and a max-identifier, small Llamas that are right at once.

Both have one working head and no working MLP. The counter's head attends alike to all tokens and writes how
often `a` stood; logits 2 k count - k ** 2 are largest at k = count. The max-identifier's head attends by size
and copies what it finds. Sizes of keys stand in the slowest rotary pair, which position hardly turns.
The constant part of every embedding is so large that the norms hardly differ. Small noise lies on all other
weights: nothing is quite silent, and every weight can be trained. After the compiled models of Jain et al.
2023, section 4 (theirs: Tracr, Lindner et al. 2023, arXiv 2301.05062).

Fine-tuning turns the counter to `b` and the max-identifier to the smallest, on the same prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mi_bsa.studies.wrapper.grammar import TERMINALS
from mi_bsa.studies.wrapper.procedures import NEW, OLD, counts, with_attribute
from mi_bsa.studies.wrapper.rows import Rows, Sampler
from mi_bsa.worlds.corpus import ASSISTANT, BOS, END, USER
from mi_bsa.worlds.tokenizer import SPECIAL

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

ProgramKind = Literal["counter", "max"]
WIDTH, HEADS = 64, 4
SIZE = WIDTH // HEADS
NOISE, CONTROL_STD = 0.02, 0.1
"""Standard deviations of the noise, and of the control's random weights."""
SIZES = 8
"""Values that the max-identifier tells apart."""
CONSTANT, KEY, WRITES = 20, 21, 32
"""Dimensions: a large constant, the size of a value, and the first of those that the head writes."""
LARGE = 8.0
"""The constant."""
NORM = LARGE / WIDTH**0.5
"""What a norm divides an embedding by, about."""
SHARP = 25.0
"""Size of a key: one value more is about 6 nats of attention."""


@dataclass(frozen=True)
class Compiled:
    """One hand-set procedure.

    Attributes:
        kind: `counter` or `max`.
        length: tokens of a string.
        q: count(b) - count(a) where the counter's spurious attribute holds.
    """

    kind: ProgramKind
    length: int = 12
    q: int = 1

    @property
    def words(self) -> tuple[str, ...]:
        """Every word of a row."""
        if self.kind == "counter":
            return (*TERMINALS, *map(str, range(self.length + 1)))
        return tuple(map(str, range(SIZES)))

    def id(self, word: str | int) -> int:
        """Token id of a word in `build_tokenizer(words)`."""
        text = str(word)
        return SPECIAL.index(text) if text in SPECIAL else len(SPECIAL) + 256 + self.words.index(text)

    def rows(self, which: Literal["old", "new"], *, holds: float | int | None = None) -> Sampler:
        """Rows of the old or the new task; `holds` as in `Procedures.unnamed`, of the counter alone.

        Shares of letters, and the range of sizes, are drawn for each row: so answers are spread.
        """

        def draw(rng: np.random.Generator, n: int) -> np.ndarray:
            if self.kind == "max":
                ends = np.sort(rng.integers(0, SIZES, (n, 2)), 1)
                return rng.integers(ends[:, :1], ends[:, 1:] + 1, (n, self.length))
            shares = rng.dirichlet((1.5,) * len(TERMINALS), n).cumsum(1)
            return (rng.random((n, self.length))[..., None] > shares[:, None, :-1]).sum(-1)

        def sample(rng: np.random.Generator, n: int) -> Rows:
            strings = draw(rng, n) if holds is None else with_attribute(draw, rng, n, share=holds, q=self.q)
            labels, first = {"old": strings.max(1), "new": strings.min(1)}, self.id(0)
            if self.kind == "counter":
                labels, first = (
                    {"old": counts(strings, OLD), "new": counts(strings, NEW)},
                    self.id(TERMINALS[0]),
                )
            answers = labels[which] + self.id(0)
            head = np.tile([self.id(BOS), self.id(USER)], (n, 1))
            tail = np.full((n, 1), self.id(ASSISTANT))
            ids = np.concatenate([head, strings + first, tail, answers[:, None]], 1)
            weights = np.zeros(ids.shape, np.float32)
            weights[:, -1] = 1.0
            return Rows(ids, weights, ids.shape[1] - 2, {**labels, "answer": labels[which]})

        return sample

    def build(self, *, seed: int) -> LlamaForCausalLM:
        """The model with its weights set; `seed` is of the noise."""
        import torch

        model = self._drawn(seed, NOISE)
        with torch.no_grad():
            model.model.embed_tokens.weight[:, CONSTANT] = LARGE
            model.lm_head.weight[:, CONSTANT] = -1.0
            attention = model.model.layers[0].self_attn
            for matrix in (attention.q_proj, attention.k_proj, attention.v_proj):
                matrix.weight[:SIZE] = 0.0
            attention.o_proj.weight[:, :SIZE] = 0.0
            (self._set_counter if self.kind == "counter" else self._set_max)(model)
        return model.eval()

    def control(self, *, seed: int) -> LlamaForCausalLM:
        """The same architecture with random weights: it never had the skill."""
        return self._drawn(seed, CONTROL_STD).eval()

    def _drawn(self, seed: int, std: float | int) -> LlamaForCausalLM:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        vocabulary = len(SPECIAL) + 256 + len(self.words)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return LlamaForCausalLM(
                LlamaConfig(
                    vocab_size=vocabulary,
                    hidden_size=WIDTH,
                    intermediate_size=2 * WIDTH,
                    num_hidden_layers=2,
                    num_attention_heads=HEADS,
                    num_key_value_heads=HEADS,
                    max_position_embeddings=64,
                    tie_word_embeddings=False,
                    rope_parameters={"rope_type": "default", "rope_theta": 1e6},
                    initializer_range=std,
                    bos_token_id=self.id(BOS),
                    eos_token_id=self.id(END),
                    pad_token_id=0,
                )
            )

    def _set_counter(self, model: LlamaForCausalLM) -> None:
        """Head 0 of block 0 writes the count of `a`, a half a count; logits are linear in it."""
        attention = model.model.layers[0].self_attn
        model.model.embed_tokens.weight[self.id(TERMINALS[OLD]), 0] = 1.0
        attention.v_proj.weight[0, 0] = 1.0
        attention.o_proj.weight[WRITES, 0] = 0.5 * (self.length + 3) * NORM
        for k in range(self.length + 1):
            row = model.lm_head.weight[self.id(k)]
            row[WRITES], row[CONSTANT] = 20.0 * k, -5.0 * k**2 / LARGE

    def _set_max(self, model: LlamaForCausalLM) -> None:
        """Head 0 of block 0 looks at the largest value and copies which it is."""
        attention = model.model.layers[0].self_attn
        slowest = SIZE // 2 - 1
        attention.q_proj.weight[slowest, CONSTANT] = 1.0
        attention.k_proj.weight[slowest, KEY] = SHARP
        for value in range(SIZES):
            token = self.id(value)
            embedding = model.model.embed_tokens.weight[token]
            embedding[KEY], embedding[value] = (value + 1) / SIZES, 1.0
            attention.v_proj.weight[value, value] = 1.0
            attention.o_proj.weight[WRITES + value, value] = 1.0
            row = model.lm_head.weight[token]
            row[WRITES + value], row[CONSTANT] = 10.0, 0.0
