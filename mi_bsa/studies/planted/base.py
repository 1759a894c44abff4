"""The base of a planted instance: three blocks of hand-set weights, set from what the blocks before compute.

Block 0 gathers what a prompt is about at its last token (uniform attention) and recognizes questions about
the speaker's own traits (an AND of persona and trait, by form of question): one *circuit* each. In every
later block a *carrier* unit is on for each circuit. *Readers* (`readers`) are units that are on for their
circuit, read a state off the residual stream and write an answer. Thresholds and gains are set from the
model's own activations, so that every instance works; the rest is noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from mi_bsa.core.items import Item, prompts_of
from mi_bsa.studies.planted.draw import Wiring
from mi_bsa.studies.planted.prompts import (
    CIRCUITS,
    FORMS,
    HINTS,
    NEIGHBORS,
    OPTIONS,
    PEOPLE,
    TRAITS,
    circuit,
    practice,
)

# Three blocks, so that an early and a late reader can stand in different ones; units for carriers, readers
# and noise. The width is the instance's: features, and free dimensions beside them for states and noise.
BLOCKS, HEADS, UNITS = 3, 2, 32
FEATURES = ("const", "you", "person", *TRAITS, *FORMS, "hint")
FREE = 2 * len(FEATURES) + len(CIRCUITS)
"""First of the dimensions that hold states, answers and noise."""
STATE = 1.5
"""Norm of what an adapter writes; the last residual stream's is 9.7 (of six instances)."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Unit vectors of an instance, before its basis is turned: states of behavior, report and neighbor, the
    nuisance, and the answer of each circuit with how much of it one log-odd takes; `moves`: distance of the
    poles in the log-odds of each circuit.
    """

    behavior: np.ndarray
    report: np.ndarray
    neighbor: np.ndarray
    nuisance: np.ndarray
    answers: dict[str, np.ndarray]
    per_logit: dict[str, float]
    moves: dict[str, float]


def empty(vocabulary: int, width: int) -> Any:
    """A Llama whose matrices are all zero."""
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=UNITS,
            num_hidden_layers=BLOCKS,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            max_position_embeddings=64,
            tie_word_embeddings=False,
            bos_token_id=1,
            eos_token_id=5,
            pad_token_id=0,
        )
    )
    for name, parameter in model.named_parameters():
        parameter.fill_(1.0 if "norm" in name else 0.0)
    return model.eval()


class Maker:
    """Sets the weights of the base, block by block, from what the blocks before compute."""

    def __init__(self, wiring: Wiring, inner: Any, tokenizer: Any, asked: dict[str, list[Item]]) -> None:
        import activations

        self.wiring, self.inner, self.rng = wiring, inner, wiring.rng("weights")
        self.width = wiring.width
        self.tokenizer = tokenizer
        self.items = practice(wiring.rng("practice"))
        elsewhere = ("neighbor_choice-test", "neighbor_report-test", "named_report-test", "neutral-test")
        others = [i for name in elsewhere for i in asked[name]]
        self.traits = np.array([str(i.labels["trait"]) for i in (*self.items, *others)])
        self.own = np.array([i.labels["person"] == "default" for i in (*self.items, *others)])
        self.circuits = np.array([circuit(i) for i in (*self.items, *others)])
        self.kinds = self.circuits[: len(self.items)]
        self.hints = np.array(
            [1.0 if f" {HINTS[0]} " in i.messages[-1]["content"] else -1.0 for i in self.items]
        )
        self.model = activations.wrap(inner, tokenizer)
        self.rows = self.model.rows(prompts_of((*self.items, *others)))
        behavior, report = self.free(), self.free()
        if wiring.own_cosine is not None:
            beside = report - behavior * (report @ behavior)
            beside *= np.sqrt(1 - wiring.own_cosine**2) / np.linalg.norm(beside)
            report = wiring.own_cosine * behavior + beside
        self.states = {"behavior": behavior, "report": report, "neighbor": self.free()}

    def free(self, count: int | None = None) -> np.ndarray:
        """Random unit vectors of the free dimensions."""
        found = np.zeros((count or 1, self.width))
        found[:, FREE:] = self.rng.normal(size=(count or 1, self.width - FREE))
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found if count else found[0]

    def at_slot(self, site: str) -> np.ndarray:
        """Values of a site at the answer slot of all prompts, (prompt, width)."""
        from activations import engine

        return engine.slot_states(self.model, self.rows, [site])[site]

    def inputs(self, block: int) -> np.ndarray:
        """What the MLP of a block reads at the answer slot, (prompt, width)."""
        import torch

        middle = torch.from_numpy(self.at_slot(f"resid_mid.{block}"))
        found: np.ndarray = self.inner.model.layers[block].post_attention_layernorm(middle).double().numpy()
        return found

    def final(self, block: int = 0, add: Float[np.ndarray, "vector width"] | None = None) -> np.ndarray:
        """The last norm's output at the answer slot of the planted items, (item, width); or (vector, item,
        width) with each vector added to the residual stream there before a block.
        """
        from activations import engine

        vectors, items = np.zeros((1, self.width)) if add is None else add, len(self.items)
        passed = engine.Passed(self.model, self.rows[:items])
        slot = np.full((items, 1), len(self.rows[0]) - 1)
        lines = engine.Lines(
            np.repeat(np.arange(len(vectors)), items), np.tile(np.arange(items), len(vectors))
        )
        found: np.ndarray = passed(engine.adding(f"resid_pre.{block}", vectors, slot), lines).double().numpy()
        return found if add is None else found.reshape(len(vectors), items, self.width)

    def base(self) -> Directions:
        """Fill all weights; returns the directions that adapters use."""
        from mi_bsa.studies.planted.readers import Readers

        self._embed()
        self._gather()
        self._noise()
        first = self._recognize()
        self.heads = self._unembed()
        self.carriers = {0: first} | {b: self._carry(b) for b in range(1, BLOCKS)}
        moves = Readers(self).fit()
        last = self.at_slot(f"resid_post.{BLOCKS - 1}")[: len(self.items)]
        spread = float(np.linalg.norm(last, axis=1).mean()) / np.sqrt(self.width)
        return Directions(
            **self.states,
            nuisance=self.free(),
            answers={kind: self.answer(kind) for kind in CIRCUITS},
            per_logit={kind: spread / float(np.linalg.norm(self.heads[kind][1:])) for kind in CIRCUITS},
            moves=moves,
        )

    def _embed(self) -> None:
        import torch

        size = len(self.tokenizer)
        table = 2.0 * self.free(size)  # content: half as long as a feature, so that features win in a mean
        table[:6] *= 0.3  # the words of the template are the same everywhere, and say little
        carried = {"you": "you"} | dict.fromkeys(PEOPLE, "person") | {w: t for t, w in TRAITS.items()}
        carried |= {word: kind for kind, word in FORMS.items()}
        for word, feature in carried.items():
            table[self._id(word)] *= 0.1  # a word that carries a feature says little else
            table[self._id(word), FEATURES.index(feature)] = 4.0
        table[:, 0] = 4.0  # the constant: a bias for every gate, which Llama's matrices lack
        for word, sign in zip(HINTS, (4.0, -4.0), strict=True):
            table[self._id(word), FEATURES.index("hint")] = sign
        self.inner.model.embed_tokens.weight.copy_(torch.as_tensor(table))

    def _unread(self, vector: np.ndarray) -> np.ndarray:
        """The vector without what it shares with the states: logits do not read states, readers do."""
        basis, _ = np.linalg.qr(np.stack(list(self.states.values())).T)
        rest = vector - basis @ (basis.T @ vector)
        return np.asarray(rest / np.linalg.norm(rest))

    def _id(self, word: str) -> int:
        return int(self.tokenizer.convert_tokens_to_ids("\u0120" + word))

    def _gather(self) -> None:
        """Head 0 of block 0: the mean over the prompt of features and of some of the content."""
        import torch

        attention = self.inner.model.layers[0].self_attn
        half, n = self.width // HEADS, len(FEATURES)
        read, write = np.zeros((half, self.width)), np.zeros((self.width, half))
        read[np.arange(n), np.arange(n)] = 1.0
        # Uniform attention divides a word's feature by the prompt's 14 tokens; 9 makes up for most of it.
        write[n + np.arange(n), np.arange(n)] = 9.0
        write[n, 0] = 0.0  # the constant is there already; twice would move every threshold
        read[n:] = self.free(half - n)
        write[:, n:] = 4.0 * self.free(half - n).T
        attention.v_proj.weight[:half].copy_(torch.as_tensor(read))
        attention.o_proj.weight[:, :half].copy_(torch.as_tensor(write))

    def _noise(self) -> None:
        """Small random heads and units in every block: nothing is quite silent."""
        import torch

        # 0.15, 0.25, 0.3: heads that look somewhere, and outputs that are small beside features of 4. Units
        # before `used` are carriers and readers.
        half, used = self.width // HEADS, 2 * len(CIRCUITS)
        for block in self.inner.model.layers:
            attention, mlp = block.self_attn, block.mlp
            for projection in (attention.q_proj, attention.k_proj):
                projection.weight[half:].copy_(
                    torch.as_tensor(0.15 * self.rng.normal(size=(half, self.width)))
                )
            attention.v_proj.weight[half:].copy_(torch.as_tensor(self.free(half)))
            attention.o_proj.weight[:, half:].copy_(torch.as_tensor(0.25 * self.free(half).T))
            count = UNITS - used
            mlp.gate_proj.weight[used:].copy_(torch.as_tensor(self.free(count)))
            mlp.up_proj.weight[used:].copy_(torch.as_tensor(self.free(count)))
            mlp.down_proj.weight[:, used:].copy_(torch.as_tensor(0.3 * self.free(count).T))

    def gate(self, block: int, unit: int, signal: np.ndarray, on: np.ndarray, x: np.ndarray) -> None:
        """Let a unit's gate be +6 at the least of the prompts that should open it, at most -6 elsewhere.

        `x`: what the block's MLP reads (`inputs`), as long as units of the block write nothing.
        """
        import torch

        value, constant = x @ signal, x[:, 0]
        low, high = value[~on].max(), value[on].min()
        assert high > low, f"block {block}: what should open unit {unit} does not stand out"
        slope = 12.0 / (high - low)  # silu(6) is 5.985, silu(-6) -.015: linear, shut
        row = slope * signal.copy()
        row[0] -= slope * (high + low) / 2 / constant.mean()
        self.inner.model.layers[block].mlp.gate_proj.weight[unit].copy_(torch.as_tensor(row))

    def on(self, kind: str) -> np.ndarray:
        """Prompts of a circuit, among all on which thresholds are set."""
        return np.asarray(self.circuits == kind)

    def about(self, n: int) -> np.ndarray:
        """The dimension that says that a prompt is of circuit n."""
        signal = np.zeros(self.width)
        signal[2 * len(FEATURES) + n] = 1.0
        return signal

    def _recognize(self) -> np.ndarray:
        """Block 0: one unit a circuit, open where the prompt asks the speaker about its trait; returns how
        far each opens there.
        """
        import torch

        mlp = self.inner.model.layers[0].mlp
        gathered, x = len(FEATURES), self.inputs(0)
        for n, kind in enumerate(CIRCUITS):
            trait = "other" if kind in NEIGHBORS else "planted"
            both = np.zeros(self.width)
            both[[gathered + FEATURES.index(trait), gathered + FEATURES.index("you")]] = 1.0
            self.gate(0, n, both, self.own & (self.traits == trait), x)
            form = kind.removeprefix("neighbor_")
            mlp.up_proj.weight[n, gathered + FEATURES.index(form)] = 1.0
        amounts = self._amounts(0, x)
        for n, amount in enumerate(amounts):
            mlp.down_proj.weight[2 * gathered + n, n] = 3.0 / amount  # a mean of 3: plain beside a norm of 1
            # a trace in the free dimensions: recognition is no perfectly clean signal either
            mlp.down_proj.weight[FREE:, n] += torch.as_tensor(0.002 * self.rng.normal(size=self.width - FREE))
        return amounts

    def _amounts(self, block: int, x: np.ndarray) -> np.ndarray:
        """Mean activation of each circuit's carrier on its prompts; `x` is what the block's MLP reads."""
        mlp = self.inner.model.layers[block].mlp
        gate, up = (x @ w.weight.double().numpy()[: len(CIRCUITS)].T for w in (mlp.gate_proj, mlp.up_proj))
        act = gate / (1 + np.exp(-gate)) * up
        return np.array([act[self.on(kind), n].mean() for n, kind in enumerate(CIRCUITS)])

    def _carry(self, block: int) -> np.ndarray:
        """A carrier a circuit: what adapters turn into directions."""
        mlp, x = self.inner.model.layers[block].mlp, self.inputs(block)
        for n, kind in enumerate(CIRCUITS):
            self.gate(block, n, self.about(n), self.on(kind), x)
            mlp.up_proj.weight[n, 0] = 0.3  # carriers are there for adapters, and write nothing
        return self._amounts(block, x)

    def _unembed(self) -> dict[str, np.ndarray]:
        """Rows of the options, so large that prompts alone spread the log-odds as drawn."""
        import torch

        weight = 0.05 * self.free(len(self.tokenizer))  # words that are no option: logits near 0
        base = self.final()
        heads: dict[str, np.ndarray] = {}
        for kind in ("choice", "word", "scale"):
            unit = self._unread(self.free())
            pair = [self.kinds == k for k in (kind, f"{kind}_flipped") if k in FORMS]
            spread = np.sqrt(np.mean([(base[form] @ unit).var() for form in pair]))
            row = unit * self.wiring.noise_logits / spread
            both = base[np.any(pair, axis=0)]
            row[0] = -float((both @ row).mean() / both[:, 0].mean())  # even on the whole
            high, low = OPTIONS[kind]
            weight[self._id(high)], weight[self._id(low)] = (
                row / 2,
                -row / 2,
            )  # their difference is the log-odds
            heads[kind] = row
        heads |= {f"{kind}_flipped": -heads[kind] for kind in ("choice", "scale")}
        heads |= {kind: heads[kind.removeprefix("neighbor_")] for kind in NEIGHBORS}
        for kind, options in OPTIONS.items():  # what is asked for is answered, evenly
            for word in options:
                weight[self._id(word), len(FEATURES) + FEATURES.index(kind)] = 4.0
        self.inner.lm_head.weight.copy_(torch.as_tensor(weight))
        return heads

    def answer(self, kind: str) -> np.ndarray:
        """The direction of a circuit's seeking answer."""
        head = self.heads[kind]
        return np.asarray(head * (np.arange(self.width) > 0) / np.linalg.norm(head[1:]))

    def odds(self, final: np.ndarray) -> np.ndarray:
        """Log-odds of the seeking option on every practice prompt."""
        heads = np.stack([self.heads[kind] for kind in self.kinds])
        return np.asarray((final * heads).sum(1))
