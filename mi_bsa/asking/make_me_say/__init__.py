"""Make Me Say: the game, its players, and what is made of won games. Light to import.

A manipulator steers a dialogue so that the partner says a secret codeword, without saying it himself. Models,
variants of one model, scripts and endpoints play; won games become training rows that end before the word.
"""

from mi_bsa.asking.make_me_say.game import OUTCOMES, Game, GameOutcome, count, play
from mi_bsa.asking.make_me_say.guesser import Guesser, Lines
from mi_bsa.asking.make_me_say.players import (
    Conversation,
    EndpointPlayer,
    ModelPlayer,
    Player,
    ScriptedManipulator,
    ScriptedPartner,
    Turn,
    chat_view,
)
from mi_bsa.asking.make_me_say.rules import Rules, inflections, says
from mi_bsa.asking.make_me_say.wins import WinRate, distinct, rows, truncate, win_rate

__all__ = [
    "OUTCOMES",
    "Conversation",
    "EndpointPlayer",
    "Game",
    "Guesser",
    "Lines",
    "ModelPlayer",
    "GameOutcome",
    "Player",
    "Rules",
    "ScriptedManipulator",
    "ScriptedPartner",
    "Turn",
    "WinRate",
    "chat_view",
    "count",
    "distinct",
    "inflections",
    "play",
    "rows",
    "says",
    "truncate",
    "win_rate",
]
