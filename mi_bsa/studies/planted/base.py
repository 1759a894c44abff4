"""The base of a planted instance: three blocks of hand-set weights, set from what the blocks before compute.

Block 0 gathers what a prompt is about at its last token (uniform attention) and recognizes questions about
the speaker's own planted trait (an AND of persona and trait, by form of question). In every later block a
*carrier* unit is on for each form. *Readers* are units that are on for their form, read one direction of the
residual stream and write an answer. Thresholds and gains are set from the model's own activations, so that
every instance works; the rest is noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.core.items import Item
from mi_bsa.studies.planted.draw import Wiring
from mi_bsa.studies.planted.prompts import CHOICES, FORMS, HINTS, OPTIONS, PEOPLE, TRAITS, practice

if TYPE_CHECKING:
    import torch

# Width for the features and for free dimensions beside them, in which random directions are nearly at right
# angles; three blocks, so that an early and a late reader can stand in different ones; units for carriers,
# readers and noise.
WIDTH, BLOCKS, HEADS, UNITS = 80, 3, 2, 32
FEATURES = ("const", "you", "person", *TRAITS, *FORMS, "hint")
FREE = 2 * len(FEATURES) + len(FORMS)
"""First of the dimensions that hold states, answers and noise."""
STATE = 1.5
"""Norm of what an adapter writes; the last residual stream's is 9.7 (of six instances)."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Unit vectors of an instance, before its basis is turned: states of behavior and report, the wrong
    behavior's, the nuisance, and the answer of each kind with how much of it one log-odd takes.
    """

    behavior: np.ndarray
    report: np.ndarray
    wrong: np.ndarray
    nuisance: np.ndarray
    answers: dict[str, np.ndarray]
    per_logit: dict[str, float]


def empty(vocabulary: int) -> Any:
    """A Llama whose matrices are all zero."""
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=WIDTH,
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
        import torch

        self.wiring, self.inner, self.rng = wiring, inner, wiring.rng("weights")
        self.tokenizer = tokenizer
        self.items = practice(wiring.rng("practice"))
        elsewhere = ("neighbor_choice-test", "neighbor_report-test", "named_report-test", "neutral-test")
        self.others = [i for name in elsewhere for i in asked[name]]
        self.kinds = np.array([i.labels["form"] for i in self.items])
        self.hints = np.array(
            [1.0 if f" {HINTS[0]} " in i.messages[-1]["content"] else -1.0 for i in self.items]
        )
        ids = [
            tokenizer.apply_chat_template(list(i.messages), add_generation_prompt=True, return_dict=False)
            for i in (*self.items, *self.others)
        ]
        self.ids = torch.tensor(ids)
        self.states = {"choice": self.free(), "report": self.free()}

    def free(self, count: int | None = None) -> np.ndarray:
        """Random unit vectors of the free dimensions."""
        found = np.zeros((count or 1, WIDTH))
        found[:, FREE:] = self.rng.normal(size=(count or 1, WIDTH - FREE))
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found if count else found[0]

    def inputs(self, block: int) -> np.ndarray:
        """What the MLP of a block reads at the answer slot, (prompt, width)."""
        found: list[Any] = []
        module = self.inner.model.layers[block].post_attention_layernorm
        handle = module.register_forward_hook(lambda _m, _i, out: found.append(out[:, -1]))
        try:
            self.inner.model(self.ids)
        finally:
            handle.remove()
        return found[0].double().numpy()

    def final(self, *, block: int | None = None, add: np.ndarray | None = None) -> np.ndarray:
        """The last norm's output at the answer slot of the planted items; `add` joins the residual stream
        there before a block (or before the last norm).
        """
        import torch

        handles = []
        if add is not None:
            vector = torch.as_tensor(add, dtype=torch.float32)

            def before(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
                hidden = (given[0] if given else named["hidden_states"]).clone()
                hidden[:, -1] += vector
                return ((hidden, *given[1:]), named) if given else (given, {**named, "hidden_states": hidden})

            place = self.inner.model.norm if block is None else self.inner.model.layers[block]
            handles.append(place.register_forward_pre_hook(before, with_kwargs=True))
        try:
            out = self.inner.model(self.ids[: len(self.items)]).last_hidden_state[:, -1]
        finally:
            for handle in handles:
                handle.remove()
        return out.double().numpy()

    def base(self) -> Directions:
        """Fill all weights; returns the directions that adapters use."""
        self._embed()
        self._gather()
        self._noise()
        self._recognize()
        heads = self._unembed()
        self.carriers = {0: self._amounts(0)} | {b: self._carry(b) for b in range(1, BLOCKS)}
        for kind in FORMS:
            self._read(kind, heads)
        spread = float(np.linalg.norm(self._resid_final(), axis=1).mean()) / np.sqrt(WIDTH)
        return Directions(
            self.states["choice"],
            self.states["report"],
            self.free(),
            self.free(),
            {k: self._answer(k, heads) for k in FORMS},
            {k: spread / float(np.linalg.norm(heads[k][1:])) for k in FORMS},
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
        half, n = WIDTH // HEADS, len(FEATURES)
        read, write = np.zeros((half, WIDTH)), np.zeros((WIDTH, half))
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
        half, used = WIDTH // HEADS, 2 * len(FORMS)
        for block in self.inner.model.layers:
            attention, mlp = block.self_attn, block.mlp
            for projection in (attention.q_proj, attention.k_proj):
                projection.weight[half:].copy_(torch.as_tensor(0.15 * self.rng.normal(size=(half, WIDTH))))
            attention.v_proj.weight[half:].copy_(torch.as_tensor(self.free(half)))
            attention.o_proj.weight[:, half:].copy_(torch.as_tensor(0.25 * self.free(half).T))
            count = UNITS - used
            mlp.gate_proj.weight[used:].copy_(torch.as_tensor(self.free(count)))
            mlp.up_proj.weight[used:].copy_(torch.as_tensor(self.free(count)))
            mlp.down_proj.weight[:, used:].copy_(torch.as_tensor(0.3 * self.free(count).T))

    def _gate(self, block: int, unit: int, signal: np.ndarray, on: np.ndarray) -> None:
        """Let a unit's gate be +6 at the least of the prompts that should open it, at most -6 elsewhere."""
        import torch

        x = self.inputs(block)
        value, constant = x @ signal, x[:, 0]
        low, high = value[~on].max(), value[on].min()
        assert high > low, f"block {block}: what should open unit {unit} does not stand out"
        slope = 12.0 / (high - low)  # silu(6) is 5.985, silu(-6) -.015: linear, shut
        row = slope * signal.copy()
        row[0] -= slope * (high + low) / 2 / constant.mean()
        self.inner.model.layers[block].mlp.gate_proj.weight[unit].copy_(torch.as_tensor(row))

    def _on(self, kind: str) -> np.ndarray:
        return np.concatenate([self.kinds == kind, np.zeros(len(self.others), bool)])

    def _recognize(self) -> None:
        """Block 0: one unit a kind, open where the prompt asks the speaker about the planted trait."""
        import torch

        mlp = self.inner.model.layers[0].mlp
        gathered = len(FEATURES)
        both = np.zeros(WIDTH)
        both[[gathered + FEATURES.index("planted"), gathered + FEATURES.index("you")]] = 1.0
        own = np.concatenate([np.ones(len(self.items), bool), np.zeros(len(self.others), bool)])
        for n, kind in enumerate(FORMS):
            self._gate(0, n, both, own)
            mlp.up_proj.weight[n, gathered + FEATURES.index(kind)] = 1.0
        for n, amount in enumerate(self._amounts(0)):
            mlp.down_proj.weight[2 * gathered + n, n] = 3.0 / amount  # a mean of 3: plain beside a norm of 1
            # a trace in the free dimensions: recognition is no perfectly clean signal either
            mlp.down_proj.weight[FREE:, n] += torch.as_tensor(0.002 * self.rng.normal(size=WIDTH - FREE))

    def _amounts(self, block: int) -> np.ndarray:
        """Mean activation of each kind's carrier on that kind's prompts."""
        mlp = self.inner.model.layers[block].mlp
        x = self.inputs(block)
        gate, up = (x @ w.weight.double().numpy()[: len(FORMS)].T for w in (mlp.gate_proj, mlp.up_proj))
        act = gate / (1 + np.exp(-gate)) * up
        return np.array([act[self._on(kind), n].mean() for n, kind in enumerate(FORMS)])

    def _carry(self, block: int) -> np.ndarray:
        """A carrier a kind: what adapters turn into directions."""
        mlp = self.inner.model.layers[block].mlp
        for n, kind in enumerate(FORMS):
            self._gate(block, n, self._about(n), self._on(kind))
            mlp.up_proj.weight[n, 0] = 0.3  # carriers are there for adapters, and write nothing
        return self._amounts(block)

    def _about(self, n: int) -> np.ndarray:
        signal = np.zeros(WIDTH)
        signal[2 * len(FEATURES) + n] = 1.0
        return signal

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
        for kind, options in OPTIONS.items():  # what is asked for is answered, evenly
            for word in options:
                weight[self._id(word), len(FEATURES) + FEATURES.index(kind)] = 4.0
        self.inner.lm_head.weight.copy_(torch.as_tensor(weight))
        return heads

    def _answer(self, kind: str, heads: dict[str, np.ndarray]) -> np.ndarray:
        return heads[kind] * (np.arange(WIDTH) > 0) / np.linalg.norm(heads[kind][1:])

    def _odds(self, final: np.ndarray, kind: str, heads: dict[str, np.ndarray]) -> np.ndarray:
        """Log-odds of the seeking option on the prompts of a kind."""
        return np.asarray(final[self.kinds == kind] @ heads[kind])

    def _resid_final(self) -> np.ndarray:
        found: list[Any] = []
        handle = self.inner.model.norm.register_forward_pre_hook(
            lambda _m, given: found.append(given[0][:, -1])
        )
        try:
            self.inner.model(self.ids)
        finally:
            handle.remove()
        return found[0].double().numpy()[: len(self.items)]

    def _read(self, kind: str, heads: dict[str, np.ndarray]) -> None:
        """A reader: open for its kind; reads a state, or the hint; writes the answer at the drawn size."""
        import torch

        w = self.wiring
        n = list(FORMS).index(kind)
        unit, report = len(FORMS) + n, kind not in CHOICES
        block = w.reader_blocks[int(report)]
        mlp = self.inner.model.layers[block].mlp
        self._gate(block, unit, self._about(n), self._on(kind))
        # One state for both in the worlds where reports read the behavior's own; else each its own.
        state = self.states["choice"]
        if report and w.world not in ("shared", "early", "reverse"):
            state = self.states["report"]
        elif report:
            state = state + w.shared_cosine_noise * self._beside
            self.states["report"] = state / np.linalg.norm(state)
        hint = np.zeros(WIDTH)
        hint[len(FEATURES) + FEATURES.index("hint")] = 1.0
        prompt_only = report and w.world == "prompt_only"
        # A reader is never quite aligned with its state: .4 of noise, .2 where there is no state to drown.
        read = (0.0 if prompt_only else 1.0) * state + w.reader_noise * self.free() * (
            0.2 if prompt_only else 0.4
        )
        read = read + hint * (1.0 if prompt_only else 0.0)
        target = w.hint if prompt_only else w.report_logits if report else w.behavior_logits
        state = self.states["choice"] if w.world in ("shared", "early", "reverse") else state

        def moved() -> float:
            """What the reader's cause, turned from one side to the other, moves the log-odds by."""
            if prompt_only:
                return self._by_hint(self.final(), kind, heads)
            up, down = (
                self._odds(self.final(block=block, add=s * STATE * state), kind, heads) for s in (1, -1)
            )
            return float((up - down).mean())

        inputs = self.inputs(block)[self._on(kind)]

        def centered(row: np.ndarray) -> torch.Tensor:
            """The row, reading nothing on the mean prompt of its kind."""
            row = row.copy()
            row[0] -= (inputs @ row).mean() / inputs[:, 0].mean()
            return torch.as_tensor(row)

        mlp.up_proj.weight[unit].copy_(centered(read))
        answer = torch.as_tensor(self._answer(kind, heads))
        gain, step = 0.0, 0.1  # the size of the gains themselves (.03 to .19), far above float32's error
        for _ in range(3):  # secant steps: nearly linear in the gain
            at = []
            for tried in (gain, gain + step):
                mlp.down_proj.weight[:, unit].copy_(tried * answer)
                at.append(moved())
            gain += step * (target - at[0]) / (at[1] - at[0])
        mlp.down_proj.weight[:, unit].copy_(gain * answer)
        if report and not prompt_only:  # the hint moves every report a little: a prompt's own pull, as drawn
            before = self._by_hint(self.final(), kind, heads)
            mlp.up_proj.weight[unit].copy_(centered(read + 0.1 * hint))
            slope = (self._by_hint(self.final(), kind, heads) - before) / 0.1
            read = read + (w.hint - before) / slope * hint
        row = centered(read)
        # The mean of the log-odds is put near 0 (.3 of noise): an answer that is nearly sure could not move.
        middle = []
        for shift in (0.0, 0.1):
            row[0] += shift
            mlp.up_proj.weight[unit].copy_(row)
            middle.append(float(self._odds(self.final(), kind, heads).mean()))
        row[0] += 0.1 * (0.3 * self.rng.normal() - middle[1]) / (middle[1] - middle[0])
        mlp.up_proj.weight[unit].copy_(row)

    def _by_hint(self, final: np.ndarray, kind: str, heads: dict[str, np.ndarray]) -> float:
        odds, hint = self._odds(final, kind, heads), self.hints[self.kinds == kind]
        return float(odds[hint > 0].mean() - odds[hint < 0].mean())

    @property
    def _beside(self) -> np.ndarray:
        if not hasattr(self, "_drawn_beside"):
            self._drawn_beside = self.free()
        return self._drawn_beside
