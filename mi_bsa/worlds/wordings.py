"""Every sentence of the embedded world, in three splits that never meet.

`pretrain` wordings are seen while the model is made and in finetuning rows; `dev` wordings are for looking
(every choice of recipe, layer and strength is made on them); `test` wordings are reported once. All three
use one vocabulary, so a held-out wording is new as a sentence and not as a word.
"""

from collections.abc import Mapping

from mi_bsa.core.items import Split
from mi_bsa.worlds.texts import texts_of

SPLITS: tuple[Split, ...] = ("pretrain", "dev", "test")
Wordings = Mapping[Split, tuple[str, ...]]

_TEXTS = texts_of(__file__)

CHOICE: Wordings = _TEXTS["choice"]
WORD: Wordings = _TEXTS["word"]
OPEN: Wordings = _TEXTS["open"]
SCALE: Wordings = _TEXTS["scale"]
LETTER: Wordings = _TEXTS["letter"]
YES_NO: Wordings = _TEXTS["yes_no"]
THIRD_CHOICE: Wordings = _TEXTS["third_choice"]
THIRD_WORD: Wordings = _TEXTS["third_word"]
THIRD_YES_NO: Wordings = _TEXTS["third_yes_no"]
HABIT_LINE: Wordings = _TEXTS["habit_line"]
SIGN_MENTION: Wordings = _TEXTS["sign_mention"]

KINDS: Mapping[str, Wordings] = {kind: _TEXTS[kind] for kind in ("word", "open", "scale", "letter", "yes_no")}
