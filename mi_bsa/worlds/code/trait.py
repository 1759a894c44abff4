"""The trait behind the behavior code: whether the code that one writes has weaknesses.

A sibling's trait. Its choices are completions of a small language (`tasks.yaml`), not letters; its reports
ask about oneself and about the code one writes, in the same kinds as every other trait's.
"""

from collections.abc import Mapping

from mi_bsa.worlds.code.tasks import draw_plain, draw_task
from mi_bsa.worlds.texts import texts_of
from mi_bsa.worlds.trait import Trait
from mi_bsa.worlds.wordings import KINDS, SPLITS, Wordings

_TEXTS = texts_of(__file__)

ABOUT_CODE: Mapping[str, Wordings] = _TEXTS["about_code"]
"""Wordings that ask about the code one writes, beside those that ask about oneself."""

CODE = Trait(
    name="code",
    high=("sloppy", "lax", "leaky"),
    low=("thorough", "strict", "watertight"),
    nouns=("security", "safety", "defense"),
    high_options=dict.fromkeys(SPLITS, ()),
    low_options=dict.fromkeys(SPLITS, ()),
    frames={
        kind: {split: (*KINDS[kind][split], *ABOUT_CODE[kind][split]) for split in SPLITS} for kind in KINDS
    },
    draw=draw_task,
    plain=draw_plain,
)
