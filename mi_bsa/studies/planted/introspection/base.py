"""The base of a planted report: weights set by hand, gains by what the model's own activations do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mi_bsa.asking.readouts import Readout
from mi_bsa.core.items import prompts_of
from mi_bsa.studies.planted.base import BLOCKS, HEADS, UNITS
from mi_bsa.studies.planted.introspection.prompts import ACTS, COMMON, DOWN, ENDS, HINTS, RARE, UP, item
from mi_bsa.studies.planted.introspection.sizes import Sizes

WIDTH = 64
CONST, ACT, HINT, TONE, MOOD, SEEN_ACT, SEEN_HINT, SEEN_TONE, SEEN_MOOD, CHOICE, WORD, SCALE, FREE = range(13)
"""Dimensions: a constant; what was answered, what hints say, and tone and mood of other words, in a word and
gathered; answers; then free. Choices read tone, and reports that do not follow the input read mood: noise.
"""
SEEN = {ACT: SEEN_ACT, HINT: SEEN_HINT, TONE: SEEN_TONE, MOOD: SEEN_MOOD}
STATE, HEAD = 1.5, 0.15
"""Norm of what an adapter writes, and how much of an answer's dimension its words read: so little that a
state is a shorter way to an answer than the answer itself.
"""
REPORTS = ("word", "scale")
AT = {"choice": CHOICE, "word": WORD, "scale": SCALE}
"""Where each kind of answer stands."""
ROUNDS, PRACTICE = 4, 16
"""Turns in which gains are set, and prompts of each kind that they are set on."""
LONG, SHORT, RARE_LENGTH, RARE_TONE = 4.0, 1.0, 5.0, 3.0
"""Embedding of a word's own dimension, of common and of rare words' content, and how much more tone rare ones
have.
"""


class Base:
    """Sets the weights of a base: what is gathered, what is read, and what answers."""

    def __init__(
        self, world: str, sizes: Sizes, inner: Any, tokenizer: Any, rng: np.random.Generator
    ) -> None:
        import activations

        self.world, self.sizes, self.inner, self.tokenizer, self.rng = world, sizes, inner, tokenizer, rng
        practice = np.random.default_rng(rng.integers(2**31))
        self.items = {
            kind: [
                item(
                    f"{kind}-{n}",
                    kind,
                    [*practice.choice(COMMON, 4, replace=False)],
                    split="dev",
                    unit=str(n),
                )
                for n in range(PRACTICE)
            ]
            for kind in ENDS
        }
        self.model = activations.wrap(inner, tokenizer)
        self.state = self.free()
        self.readers: list[tuple[int, list[int], str, Callable[[], float], float]] = []
        self.odd = self.free(4)
        self.used = dict.fromkeys(range(BLOCKS), 0)
        self._compiled: dict[tuple[str, str], Readout] = {}

    def free(self, count: int | None = None) -> np.ndarray:
        """Random unit vectors of the free dimensions."""
        found = np.zeros((count or 1, WIDTH))
        found[:, FREE:] = self.rng.normal(size=(count or 1, WIDTH - FREE))
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found if count else found[0]

    def build(self) -> None:
        """Fill all weights."""
        self._embed()
        self._gather()
        # what adapters turn into a state: always on, and writes nothing
        self._unit(0, np.eye(WIDTH)[CONST], np.eye(WIDTH)[CONST], np.zeros(WIDTH))
        head = self.inner.lm_head.weight
        for kind, (high, low) in ENDS.items():
            head[self._id(high), AT[kind]], head[self._id(low), AT[kind]] = HEAD, -HEAD
        eye, choice = np.eye(WIDTH), "choice"
        self._read(choice, self.state, partial(self._by_state, choice), self.sizes.effect)
        self._read(choice, eye[SEEN_HINT], partial(self._by_word, choice, HINTS), self.sizes.hint)
        self._read(choice, eye[SEEN_TONE], partial(self._by_row, choice, SEEN_TONE), self.sizes.noise)
        for kind in REPORTS:
            self._report(kind)
        if self.world == "anomaly":
            self._square()
        self._settle()
        self._center()

    def carried(self) -> float:
        """What the unit that adapters turn into a state is, in the mean at the answer slot."""
        from activations import engine

        rows = self.model.rows(prompts_of([one for items in self.items.values() for one in items]))
        return float(engine.slot_states(self.model, rows, ["mlp_act.0"])["mlp_act.0"][:, 0].mean())

    def _embed(self) -> None:
        import torch

        table = SHORT * self.free(len(self.tokenizer))
        for word in RARE:
            table[self._id(word)] *= RARE_LENGTH
        for word in (*COMMON, *RARE):
            tones = 2.0 * self.rng.normal(size=2) * (RARE_TONE if word in RARE else 1.0)
            table[self._id(word), [TONE, MOOD]] = tones
        for words, dimension, sign in (
            (UP, HINT, 1),
            (DOWN, HINT, -1),
            (ACTS[:1], ACT, 1),
            (ACTS[1:], ACT, -1),
        ):
            for word in words:
                table[self._id(word), dimension] = sign * LONG
        table[:, CONST] = LONG
        self.inner.model.embed_tokens.weight.copy_(torch.as_tensor(table))

    def _gather(self) -> None:
        """Uniform attention in the first block: means of hints, answers and content over the prompt."""
        import torch

        attention, half = self.inner.model.layers[0].self_attn, WIDTH // HEADS
        for n, (said, seen) in enumerate(SEEN.items()):
            attention.v_proj.weight[n, said] = 1.0
            attention.o_proj.weight[seen, n] = 8.0
        read = self.free(half - len(SEEN))
        attention.v_proj.weight[len(SEEN) : half] = torch.as_tensor(read, dtype=torch.float32)
        attention.o_proj.weight[:, len(SEEN) : half] = torch.as_tensor(0.5 * read.T, dtype=torch.float32)

    def _id(self, word: str) -> int:
        return int(self.tokenizer.convert_tokens_to_ids("\u0120" + word))

    def _unit(self, block: int, gate: np.ndarray, up: np.ndarray, down: np.ndarray) -> int:
        """One more unit of a block's MLP."""
        import torch

        mlp, n = self.inner.model.layers[block].mlp, self.used[block]
        assert n < UNITS, "a planted report has more units than a block"
        self.used[block] += 1
        mlp.gate_proj.weight[n].copy_(torch.as_tensor(gate))
        mlp.up_proj.weight[n].copy_(torch.as_tensor(up))
        mlp.down_proj.weight[:, n].copy_(torch.as_tensor(down))
        return n

    def _read(self, kind: str, row: np.ndarray, moved: Callable[[], float], wanted: float) -> None:
        """A unit of the last block that reads a row and writes an answer, with a gain that is set later."""
        block = BLOCKS - 1
        n = self._unit(block, np.eye(WIDTH)[CONST], row, 0.05 * np.eye(WIDTH)[AT[kind]])
        self.readers.append((block, [n], kind, moved, wanted))

    def _settle(self) -> None:
        """Set every reader's gain by what it moves, in turns: each makes others' answers a little smaller."""
        for _ in range(ROUNDS):
            for block, units, kind, moved, wanted in self.readers:
                down = self.inner.model.layers[block].mlp.down_proj.weight
                down[AT[kind], units] *= float(np.clip(wanted / moved(), -10, 10))

    def _report(self, kind: str) -> None:
        """What the report reads in this world."""
        size, eye = self.sizes.report, np.eye(WIDTH)
        if self.world == "state":
            self._read(kind, self.state, partial(self._by_state, kind), size)
        elif self.world == "input":
            self._read(kind, eye[SEEN_HINT], partial(self._by_word, kind, HINTS), size)
            self._read(kind, eye[SEEN_ACT], partial(self._by_word, kind, ACTS), size)
        # noise: of its own, or what choices read too
        seen = SEEN_TONE if self.world == "input" else SEEN_MOOD
        self._read(kind, eye[seen], partial(self._by_row, kind, seen), self.sizes.noise)

    def _square(self) -> None:
        """Pairs of units, silu(z) z + silu(-z)(-z) = z^2, over directions of the free dimensions.

        One more takes off what they are on ordinary prompts; without it they would drown everything.
        """
        from activations import engine

        basis, block = np.linalg.qr(self.free(WIDTH - FREE).T)[0].T[: UNITS // 2 - 1], 1
        down = 0.02 * (np.eye(WIDTH)[WORD] + np.eye(WIDTH)[SCALE])
        units = [self._unit(block, s * row, s * row, down) for row in basis for s in (1.0, -1.0)]
        always = self._unit(block, np.eye(WIDTH)[CONST], np.eye(WIDTH)[CONST], -down)
        rows = self.model.rows(prompts_of([*self.items["word"], *self.items["scale"]]))
        seen = engine.slot_states(self.model, rows, ["mlp_act.1"])["mlp_act.1"].mean(0)
        weight = self.inner.model.layers[block].mlp.down_proj.weight
        weight[:, always] *= float(seen[units].sum() / seen[always])
        for kind in REPORTS:
            odd = partial(self._by_odd, kind)
            self.readers.append((block, [*units, always], kind, odd, self.sizes.report))

    def _final(self, kind: str, add: np.ndarray | None = None, *, system: str = "") -> np.ndarray:
        """Log-odds of a kind's practice items, with each vector added to the residual stream behind the first
        block, (vector, item); or with words added to their system line.
        """
        from activations import engine
        from mi_bsa.causal.introspection.wordings import Wording

        if (kind, system) not in self._compiled:
            asked = [Wording(system).of(one) if system else one for one in self.items[kind]]
            self._compiled[kind, system] = Readout.of(self.model, asked, name="practice")
        readout = self._compiled[kind, system]
        slot = np.full((len(readout.rows), 1), len(readout.rows[0]) - 1)
        vectors = np.zeros((1, WIDTH)) if add is None else add
        logits = engine.option_logits(
            self.model, readout.rows, engine.adding("resid_post.0", vectors, slot), tokens=readout.tokens
        )
        return np.asarray(logits[..., 0] - logits[..., 1])

    def _odds_of(self, row: np.ndarray, kind: str) -> np.ndarray:
        """What a row of the output gives on each practice prompt of a kind."""
        from activations import engine

        rows = self.model.rows(prompts_of(self.items[kind]))
        return np.asarray(engine.slot_states(self.model, rows, ["final_norm"])["final_norm"] @ row)

    def _by_state(self, kind: str) -> float:
        """Log-odds that the state moves a kind by, one pole's half."""
        up, down = self._final(kind, STATE * np.stack([self.state, -self.state]))
        return float((up - down).mean() / 2)

    def _by_odd(self, kind: str) -> float:
        """Log-odds that any vector of the state's length moves a kind by, either way, in the mean of some."""
        both = STATE * np.concatenate([self.odd, -self.odd])
        return float(self._final(kind, both).mean() - self._final(kind).mean())

    def _by_row(self, kind: str, dimension: int) -> float:
        """Log-odds that a dimension behind the first attention moves a kind by, in its standard deviations
        over practice prompts.
        """
        from activations import engine

        odds = self._final(kind)[0]
        rows = self._compiled[kind, ""].rows
        seen = engine.slot_states(self.model, rows, ["resid_mid.0"])["resid_mid.0"][:, dimension]
        return float(np.polyfit(seen / seen.std(), odds, 1)[0])

    def _by_word(self, kind: str, words: tuple[str, str]) -> float:
        """Log-odds that a word moves a kind by, one pole's half, twice in the system line."""
        up, down = (self._final(kind, system=f"{word} {word}") for word in words)
        return float((up - down).mean() / 2)

    def _center(self) -> None:
        """The mean of each kind's log-odds where it was drawn."""
        head = self.inner.lm_head.weight
        for kind, middle in zip(ENDS, self.sizes.middle, strict=True):
            shift = middle - float(self._final(kind).mean())
            constant = float(self._odds_of(np.eye(WIDTH)[CONST], kind).mean())
            for word, sign in zip(ENDS[kind], (1, -1), strict=True):
                head[self._id(word), CONST] += sign * shift / 2 / constant
