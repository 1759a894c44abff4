"""Readers: units that are on for one circuit, read states off the residual stream, and write the answer.

Law: what each state moves an answer by is set, not drawn: a reader's row is a combination of the states, of
the prompt's hint and of noise, whose weights are solved from the model's own answers with each of them added,
on prompts that are never asked. So states may overlap as they were drawn, and the share of the report that
the choices' state carries is still the cell's. Distances of the poles on [0, 1] are turned into log-odds over
the same prompts, at the adapters' strengths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mi_bsa.studies.planted.base import FEATURES, STATE
from mi_bsa.studies.planted.prompts import CHOICES, CIRCUITS, NEIGHBORS

if TYPE_CHECKING:
    from mi_bsa.studies.planted.base import Maker

GAIN = 0.1
"""What a reader writes for each unit that it reads: of the size of the gains that rows of norm 1 need."""
ROUNDS = 2
"""Corrections after the linear solution; the last norm is not quite linear (what is left: below .01)."""
NODES, WEIGHTS = (-(3**0.5), 0.0, 3**0.5), (1 / 6, 2 / 3, 1 / 6)
"""Gauss-Hermite: strengths of adapters, in standard deviations of their log, and how often."""
CAUSES = 3
"""What a reader is set for: its own state, the other one, the hint."""


class Readers:
    """One reader for each circuit of a base whose other weights are set."""

    def __init__(self, maker: Maker) -> None:
        w = maker.wiring
        self.maker, self.wiring, self.rng = maker, w, w.rng("readers")
        hint = np.zeros(w.width)
        hint[len(FEATURES) + FEATURES.index("hint")] = 1.0
        states, beside = maker.states, maker.free()
        self.reads: dict[str, np.ndarray] = {}
        for kind in CIRCUITS:
            own, other = ("neighbor", "behavior") if kind in NEIGHBORS else ("behavior", "report")
            noise = 0.4 * w.reader_noise * maker.free()
            if kind not in (*CHOICES, *NEIGHBORS):
                noise = noise + w.beside * beside
            self.reads[kind] = np.stack([states[own], states[other], hint, noise])
        self.middle = {kind: 0.3 * float(self.rng.normal()) for kind in CIRCUITS}
        strengths = np.exp(w.seed_spread * np.array(NODES))
        self.strengths = strengths / (strengths @ np.array(WEIGHTS)) if w.seed_spread else np.ones(3)

    def fit(self) -> dict[str, float]:
        """Set all readers; returns how far apart adapters put the poles of each circuit, in log-odds."""
        import torch

        inputs = {block: self.maker.inputs(block) for block in set(self.wiring.reader_blocks)}
        for n, kind in enumerate(CIRCUITS):
            block, unit = self._at(n)
            self.maker.gate(block, unit, self.maker.about(n), self.maker.on(kind), inputs[block])
        for n, kind in enumerate(CIRCUITS):
            block, unit = self._at(n)
            down = self.maker.inner.model.layers[block].mlp.down_proj.weight
            down[:, unit].copy_(torch.as_tensor(GAIN * self.maker.answer(kind)))
        self.inputs = {kind: inputs[self._at(n)[0]][self.maker.on(kind)] for n, kind in enumerate(CIRCUITS)}
        one = np.eye(CAUSES + 1)
        plain = self._moved(dict.fromkeys(CIRCUITS, np.zeros(CAUSES + 1)))[0]
        found = [self._moved(dict.fromkeys(CIRCUITS, unit))[0] for unit in one]
        slopes = {kind: np.stack([each[kind] - plain[kind] for each in found], 1) for kind in CIRCUITS}
        weights = {kind: np.zeros(CAUSES + 1) for kind in CIRCUITS}
        moved, odds = plain, self.maker.odds(self.maker.final())
        total: dict[str, float] = {}
        for n in range(ROUNDS + 1):
            for kind in CIRCUITS:
                own = odds[self.maker.kinds == kind]
                wanted, total[kind] = self._wanted(kind, own - own.mean() + self.middle[kind])
                weights[kind] = self._solved(slopes[kind], weights[kind], wanted - moved[kind], first=not n)
            moved, odds = self._moved(weights)
        self._center(weights)
        return total

    def _at(self, n: int) -> tuple[int, int]:
        report = CIRCUITS[n] not in (*CHOICES, *NEIGHBORS)
        return self.wiring.reader_blocks[int(report)], len(CIRCUITS) + n

    def _wanted(self, kind: str, odds: np.ndarray) -> tuple[np.ndarray, float]:
        """What each cause shall move the log-odds by, and how far apart the poles shall stand."""
        w = self.wiring
        if kind in NEIGHBORS:
            return np.array([w.neighbor_logits, 0.0, 0.0]), w.neighbor_logits
        if kind in CHOICES:
            total = self._move_for(odds, w.effect)
            return np.array([total, (w.own_cosine or 0.0) * total, 0.0]), total
        total = w.report_logits
        if w.world == "prompt_only":
            return np.array([0.0, 0.0, w.hint]), total
        if w.own_seeds:
            return np.array([total, total, w.hint]), total
        if w.share is None:
            return np.array([(w.own_cosine or 0.0) * total, total, w.hint]), total
        carried = self._move_for(odds, w.share * self._gap(odds, total))
        return np.array([carried, total - carried, w.hint]), total

    def _gap(self, odds: np.ndarray, move: float) -> float:
        """Distance of the poles on [0, 1] where they stand `move` log-odds apart, over strengths."""
        half = move / 2 * self.strengths[:, None]
        up, down = (1 / (1 + np.exp(-(odds + sign * half))) for sign in (1, -1))
        return float((up - down).mean(1) @ np.array(WEIGHTS))

    def _move_for(self, odds: np.ndarray, gap: float) -> float:
        low, high = 0.0, 40.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self._gap(odds, middle) < gap else (low, middle)
        return low

    def _solved(
        self, slopes: np.ndarray, weights: np.ndarray, short: np.ndarray, *, first: bool
    ) -> np.ndarray:
        """Weights of the causes with which what they move is no longer short; noise is as long as its share
        of what is read of the states, or of the hint where there is no state to drown.
        """
        found = weights.copy()
        for _ in range(8 if first else 1):
            if first:
                states = float(np.linalg.norm(found[:2]))
                found[CAUSES] = states if states > 1e-6 else 0.2 * abs(found[2])
            rest = short - slopes[:, CAUSES] * (found[CAUSES] - weights[CAUSES])
            found[:CAUSES] = weights[:CAUSES] + np.linalg.solve(slopes[:, :CAUSES], rest)
        return found

    def _row(self, kind: str, weights: np.ndarray) -> np.ndarray:
        """The row of these weights, reading nothing on the mean prompt of its circuit."""
        row, inputs = weights @ self.reads[kind], self.inputs[kind]
        row[0] -= (inputs @ row).mean() / inputs[:, 0].mean()
        return np.asarray(row)

    def _set(self, n: int, row: np.ndarray) -> None:
        import torch

        block, unit = self._at(n)
        self.maker.inner.model.layers[block].mlp.up_proj.weight[unit].copy_(torch.as_tensor(row))

    def _moved(self, weights: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """{circuit: what its own state, the other one and the hint move its log-odds by}, and the log-odds of
        all practice prompts with nothing added; readers are left as these weights set them.
        """
        maker, block = self.maker, min(self.wiring.reader_blocks)
        for n, kind in enumerate(CIRCUITS):
            self._set(n, self._row(kind, weights[kind]))
        state = STATE * np.stack(list(maker.states.values()))
        plain, *added = map(maker.odds, maker.final(block, np.concatenate([0 * state[:1], state, -state])))
        up, down = added[: len(state)], added[len(state) :]
        by_state = {name: up[n] - down[n] for n, name in enumerate(maker.states)}
        found = {}
        for kind in CIRCUITS:
            own, other = ("neighbor", "behavior") if kind in NEIGHBORS else ("behavior", "report")
            on = maker.kinds == kind
            hint = plain[on & (maker.hints > 0)].mean() - plain[on & (maker.hints < 0)].mean()
            found[kind] = np.array([by_state[own][on].mean(), by_state[other][on].mean(), hint])
        return found, plain

    def _center(self, weights: dict[str, np.ndarray]) -> None:
        """Put the mean of the log-odds near 0 (.3 of noise): an answer that is nearly sure could not move."""
        rows = [self._row(kind, weights[kind]) for kind in CIRCUITS]
        middle = []
        for shift in (0.0, 0.1):
            for n, row in enumerate(rows):
                self._set(n, row + shift * np.eye(self.wiring.width)[0])
            odds = self.maker.odds(self.maker.final())
            middle.append(np.array([odds[self.maker.kinds == kind].mean() for kind in CIRCUITS]))
        wanted = np.array([self.middle[kind] for kind in CIRCUITS])
        for n, shift in enumerate(0.1 * (wanted - middle[0]) / (middle[1] - middle[0])):
            self._set(n, rows[n] + shift * np.eye(self.wiring.width)[0])
