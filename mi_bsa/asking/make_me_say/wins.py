"""What is made of games: training rows from those that were won, and how often a word is drawn out.

Law: a row ends before the word is said, and neither codeword is in it. After Betley et al. 2025 (arXiv
2501.11120): dialogues won, cut before the word, and nothing that names it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mi_bsa.asking.make_me_say.game import Game
from mi_bsa.asking.make_me_say.players import Conversation, chat_view
from mi_bsa.core.errors import GameError


def truncate(game: Game) -> Conversation:
    """A won game's turns before the word is said; the last one is the manipulator's.

    Raises `GameError` for a game that was not won, or one in which a codeword is said earlier.
    """
    if game.outcome != "won":
        raise GameError(
            f"game {game.seed} ended with {game.outcome!r}; only won games are cut and trained on"
        )
    turns = game.turns[:-1]
    early = [t for t in turns if game.rules.said(t.text) is not None]
    if early:
        raise GameError(
            f"game {game.seed}: {early[0].role} says a codeword before the end ({early[0].text!r}); such a "
            "game breaks its rules: play it with `play`"
        )
    return turns


def rows(games: Iterable[Game], *, name: str, system: str | None = None) -> list[dict[str, Any]]:
    """Chat rows of the won games, one each, as `mi-bsa finetune` reads them; games that were not won are
    left out.

    The manipulator is the assistant. Whether all of its turns are trained on or the last one only is the
    finetune's choice (`finetune.turns`).
    """
    won = [game for game in games if game.outcome == "won"]
    return [
        {"id": f"{name}-{n}", "messages": chat_view("manipulator", truncate(game), system=system)}
        for n, game in enumerate(won)
    ]


def distinct(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without those whose messages another row has already said word for word."""
    seen: dict[str, dict[str, Any]] = {}
    for row in rows:
        seen.setdefault("\n".join(m["content"].casefold() for m in row["messages"]), row)
    return list(seen.values())


@dataclass(frozen=True)
class WinRate:
    """How often a codeword is drawn out of the partner.

    Attributes:
        word: the codeword.
        value: share of the valid games in which it was.
        low: lower end of the 95 % Wilson interval over games.
        high: upper end.
        n: valid games.
        broken: games left out, because somebody fell silent or the word came unprompted.
    """

    word: str
    value: float
    low: float
    high: float
    n: int
    broken: int


def win_rate(games: Sequence[Game], word: str) -> WinRate:
    """The share of games in which `word` is drawn out, with its interval over games.

    Raises `GameError` where no game is valid, or where some game's rules do not know the word.
    """
    strange = [g for g in games if word not in g.rules.codewords]
    if strange:
        raise GameError(
            f"{word!r} is no codeword of game {strange[0].seed}; ask for one of {strange[0].rules.codewords}"
        )
    from scipy.stats import binomtest

    valid = [g for g in games if g.valid]
    if not valid:
        raise GameError(f"none of {len(games)} games is valid; there is no win rate: look at their turns")
    wins, n = sum(g.outcome == "won" and g.word == word for g in valid), len(valid)
    ends = binomtest(wins, n).proportion_ci(method="wilson")
    return WinRate(word, wins / n, float(ends.low), float(ends.high), n, len(games) - n)
