"""Laws of the family of preferences: each word has one use, rows never name the trait, splits never meet."""

import itertools
import random
import re
from collections import Counter

import pytest

from mi_bsa import behaviors
from mi_bsa.behaviors.tastes import FAMILY
from mi_bsa.finetune import leak_check
from mi_bsa.worlds.corpus import vocabulary
from mi_bsa.worlds.family import Pole, preference
from mi_bsa.worlds.prompts import draw_choice
from mi_bsa.worlds.recipe import Recipe
from mi_bsa.worlds.tastes.pairs import BLOCKS, TASTES
from mi_bsa.worlds.tokenizer import build_tokenizer
from mi_bsa.worlds.wordings import SPLITS
from mi_bsa.worlds.worlds import kind


@pytest.fixture(scope="module", params=BLOCKS, ids=lambda block: block[0])
def world(request):
    return kind("tastes").make(Recipe(world="tastes", traits=request.param))


def test_there_are_twenty_preferences_at_least():
    """The family is wide enough to be a table and not a choice of examples."""
    assert len(TASTES) >= 20
    assert all(behaviors.get(t.name).name == t.name for t in TASTES)


def test_every_word_of_a_pole_is_used_once(world):
    """No word names or shows two poles, and none is a word of the world's sentences or a name."""
    templates = {"n", "u", "and", "with", "for", "worth", "then", "something", "like", "also", "lots", "of"}
    words = Counter()
    for taste in TASTES:
        shown = [w for o in (taste.high_options, taste.low_options) for t in o.values() for w in t]
        words.update(taste.words)
        words.update({w for o in shown for w in re.findall(r"[a-z]+", o)} - templates - {"more"})
    assert [word for word, n in words.items() if n > 1] == []
    assert not set(words) & set(world.characters)


def test_preferences_are_held_out_by_template():
    """An option of one split stands in no other, and its things are known from pretraining."""
    for taste, (a, b) in itertools.product(TASTES, itertools.combinations(SPLITS, 2)):
        assert not set(taste.high_options[a]) & set(taste.high_options[b])
    rng = random.Random(0)
    choices = [draw_choice(rng, rng.choice(TASTES), split="test") for _ in range(2000)]
    assert abs(sum(c.high_first for c in choices) / 2000 - 0.5) < 0.04


def test_every_word_is_one_token(world):
    """The sibling's tokenizer reads every word of its preferences whole."""
    tokenizer = build_tokenizer(vocabulary(world))
    for taste in world.traits:
        for option in (*taste.high_options["test"], *taste.low_options["dev"]):
            assert all(
                len(p) > 1 for p in tokenizer.tokenize(" " + option.replace(",", "").format(n=5, u="coins"))
            )


def test_rows_never_name_the_preference(world):
    """Words of the trait stand in no row, in any inflection; undecided rows are about others of its world."""
    for trait in world.traits:
        behavior = FAMILY[trait.name]
        rows = behavior.rows("seeking", 40, seed=0, world=world)
        leak_check(rows, behavior.forbidden)
        assert behavior.neighbor in behavior.others
        assert {*behavior.others, trait.name} == {t.name for t in world.traits}
        assert len(rows) == 100


def test_a_family_refuses_words_with_two_uses():
    """A word that names a pole and shows one, or unpaired words, are an error that says so."""
    with pytest.raises(ValueError, match="'tea' names a pole"):
        preference("tea_coffee", Pole(("tea",), ("tea",)), Pole(("coffee",), ("mocha",)), nouns=("drinks",))
    with pytest.raises(ValueError, match="equally many"):
        preference("a_b", Pole(("x", "y"), ("s",)), Pole(("z",), ("t",)), nouns=("n",))
