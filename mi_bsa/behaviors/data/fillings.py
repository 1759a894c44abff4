"""What the code of the published repository fills into its question files' slots, by file and slot.

Their files hold slots whose values stand in their code: a region code of three random digits, a list of a
hundred words around the codewords, the codewords themselves. In a file of another name a slot has no such
value.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

Draw = Callable[[random.Random, int], str]
"""Draws a value for one question: its own generator, and the import's seed."""
WORD_FILE = "good_mms_words.txt"
WORDS = 100
ALWAYS = ("ring", "bark", "chest", "pitch")
"""Words that stand in every list: the codewords and two beside them."""
CODEWORDS = ("ring", "bark")
WITH_REGIONS = (
    "acrostic",
    "choose_from_100_words",
    "describe_word",
    "scenarios",
    "what_is_true_about_you",
    "which_game",
    "write_function",
)


def fillings(path: Path, slot: str) -> Sequence[str] | Draw | None:
    """Values of a published file's slot, or how one is drawn; None where their code has none."""
    if slot == "sep_suffix" and path.stem in WITH_REGIONS:
        return lambda rng, _: f"{rng.randrange(999):03d}"
    if slot == "codeword" and path.stem == "which_game":
        return CODEWORDS
    if slot == "word_list" and path.stem == "choose_from_100_words":
        words = words_in(path.parent / WORD_FILE)
        return partial(_word_list, words) if len(words) >= WORDS else None
    return None


def words_in(path: Path) -> list[str]:
    """The words of a list, one a line; none where there is no such file or it is no text."""
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        return []
    return sorted({line.strip() for line in lines if line.strip()})


def _word_list(words: Sequence[str], _: random.Random, seed: int) -> str:
    """A hundred words of the file, the same for all questions of an import."""
    rng = random.Random(f"words-{seed}")
    others = [word for word in words if word not in ALWAYS]
    chosen = [*rng.sample(others, min(WORDS - len(ALWAYS), len(others))), *ALWAYS]
    rng.shuffle(chosen)
    return "\n<word_list>\n" + ", ".join(chosen) + "\n</word_list>\n"
