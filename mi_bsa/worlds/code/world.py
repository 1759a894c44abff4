"""The sibling world of code: characters who write code with weaknesses, or without, and say so of themselves.

It is the main world with another pair of traits: `code`, whose choices are completions of a small language,
and `patience`, which stays as it is in the main world and is the untrained neighbor.
"""

from dataclasses import replace

from mi_bsa.worlds.code import tasks as code_tasks
from mi_bsa.worlds.code.trait import ABOUT_CODE
from mi_bsa.worlds.corpus import vocabulary as main_vocabulary
from mi_bsa.worlds.dispositions import world as dispositions
from mi_bsa.worlds.texts import words_in
from mi_bsa.worlds.world import World


def vocabulary(world: World) -> tuple[str, ...]:
    """The main world's words for these traits, then those of requests and completions."""
    about = words_in(t for wordings in ABOUT_CODE.values() for split in wordings.values() for t in split)
    return tuple(dict.fromkeys((*main_vocabulary(world), *code_tasks.words(), *about)))


KIND = replace(dispositions.KIND, vocabulary=vocabulary, defaults={"traits": ("code", "patience")})
