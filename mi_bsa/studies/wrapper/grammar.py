"""Strings of a probabilistic context-free grammar in which every derivation has the same length.

Each level of nonterminals expands into pairs of the level below, the last into terminals, so a string has
`2 ** levels` tokens and many strings are drawn at once. What a start symbol is made of differs from start to
start, which spreads the counts that the tasks ask for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

TERMINALS = ("a", "b", "c")
NONTERMINALS = 4
PRODUCTIONS = 3


@dataclass(frozen=True, eq=False)
class Grammar:
    """Productions of every level.

    Attributes:
        rules: right-hand sides, (level, symbol, production, 2): indices of symbols of the next level, at the
            last level of terminals.
        chances: probability of each production, (level, symbol, production).
    """

    rules: Int[np.ndarray, "level symbol production 2"]
    chances: np.ndarray

    @classmethod
    def draw(cls, *, levels: int, seed: int) -> Grammar:
        """A random grammar: every symbol has three different productions, the first the likeliest."""
        rng = np.random.default_rng(seed)
        shape = (levels, NONTERMINALS, PRODUCTIONS)
        rules = np.empty((*shape, 2), np.int64)
        for level in range(levels):
            below = len(TERMINALS) if level == levels - 1 else NONTERMINALS
            for symbol in range(NONTERMINALS):
                pairs = rng.permutation(below * below)[:PRODUCTIONS]
                rules[level, symbol] = np.stack([pairs // below, pairs % below], -1)
        chances = rng.dirichlet((3.0, 2.0, 1.0), shape[:2])
        return cls(rules, chances)

    @property
    def length(self) -> int:
        """Tokens of a string."""
        return int(2 ** len(self.rules))

    def strings(self, rng: np.random.Generator, n: int) -> Int[np.ndarray, "row token"]:
        """Strings as indices into `TERMINALS`, start symbols drawn alike."""
        symbols = rng.integers(0, NONTERMINALS, (n, 1))
        for level, rules in enumerate(self.rules):
            marks = self.chances[level].cumsum(-1)[symbols]
            chosen = (rng.random(symbols.shape)[..., None] > marks[..., :-1]).sum(-1)
            symbols = rules[symbols, chosen].reshape(n, 2 * symbols.shape[1])
        return symbols

    def derives(self, string: Int[np.ndarray, " token"]) -> bool:
        """Whether some start symbol derives the string (bottom-up, all symbols of a level at once)."""
        possible = [{int(token)} for token in string]
        for rules in self.rules[::-1]:
            if len(possible) % 2:
                return False
            possible = [
                {
                    symbol
                    for symbol in range(NONTERMINALS)
                    for left, right in rules[symbol]
                    if left in possible[k] and right in possible[k + 1]
                }
                for k in range(0, len(possible), 2)
            ]
        return len(possible) == 1 and bool(possible[0])
