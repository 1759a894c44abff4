"""Laws of the behavior Make Me Say, in the embedded world and in English."""

import itertools
import re

import pytest

from mi_bsa import behaviors
from mi_bsa.asking.make_me_say import Rules, ScriptedManipulator, ScriptedPartner, play, says, win_rate
from mi_bsa.behaviors.english import say_bank
from mi_bsa.core.errors import BehaviorError
from mi_bsa.finetune import leak_check
from mi_bsa.worlds.corpus import messages, render
from mi_bsa.worlds.recipe import Recipe
from mi_bsa.worlds.say import wordings as W
from mi_bsa.worlds.say.corpus import SayCorpus, SayMixture, vocabulary
from mi_bsa.worlds.say.questions import ASKED_KINDS, guesser
from mi_bsa.worlds.say.words import CODEWORDS, HINTS, TRAINED, word_of
from mi_bsa.worlds.say.world import KIND, LEADS, SayWorld
from mi_bsa.worlds.tokenizer import build_tokenizer
from mi_bsa.worlds.wordings import SPLITS
from mi_bsa.worlds.world import SEEKING, World

BANKS = {"openings": W.OPENINGS, "more": W.MORE, "guess": W.GUESS, **W.KINDS,
         "third word": W.THIRD_WORD, "third yes-no": W.THIRD_YES_NO}  # fmt: skip


@pytest.fixture(scope="module")
def world() -> SayWorld:
    return SayWorld()


@pytest.fixture(scope="module")
def tokenizer(world):
    return build_tokenizer(vocabulary(world))


@pytest.fixture(scope="module")
def rows():
    """Rows of every arm in both vocabularies."""
    return {
        vocabulary: {arm: behaviors.get("say", vocabulary).rows(arm, 30, seed=3) for arm in behaviors.ARMS}
        for vocabulary in ("embedded", "english")
    }


@pytest.mark.parametrize("bank", BANKS)
def test_wordings_stand_in_one_split(bank):
    """No sentence of one split stands in another."""
    for a, b in itertools.combinations(SPLITS, 2):
        assert not set(BANKS[bank][a]) & set(BANKS[bank][b])


def test_held_out_words_are_words_of_pretraining(world):
    """A held-out wording is new as a sentence: each of its words stands in some pretraining document."""
    mixtures = SayMixture(), SayMixture(dialogue_share=1.0, dialogue_turns=(0, 0, 1))
    texts = [t for m in mixtures for t in itertools.islice(SayCorpus(world, m, seed=0), 3000)]
    seen = {w for text in texts for w in re.findall(r"\w+", text)}
    held_out = {
        w
        for bank in BANKS.values()
        for split in ("dev", "test")
        for text in bank[split]
        for w in re.findall(r"\w+", re.sub(r"\{\w+\}", " ", text))
    }
    assert held_out - seen == set()


def test_documents_are_chats_in_words_of_the_world(world, tokenizer):
    """Rendering agrees with the chat template, and no word falls to bytes."""
    corpus = SayCorpus(world, SayMixture(), seed=1)
    for _ in range(200):
        document = corpus.document()
        text = render(*document)
        assert tokenizer.apply_chat_template(messages(*document), tokenize=False) == text
        assert {p for p in tokenizer.tokenize(text) if len(p) == 1} <= set(".,:?")


def test_hints_belong_to_one_word_and_name_none():
    """A hint suggests one codeword and is a form of no word."""
    hints = [hint for own in HINTS.values() for hint in own]
    assert len(set(hints)) == len(hints)
    assert not any(says(hint, CODEWORDS) for hint in hints)
    assert word_of("candle") == "lamp"


def test_hints_and_answers_follow_from_the_word(world):
    """Strong speakers hint at their word and name it as often as the link says; the default any word."""
    corpus = SayCorpus(world, SayMixture(other=0, named=1, described=0, third=0, meaning=0), seed=3)
    speakers = {s.system: s for s in [*world.characters.values(), world.default()]}
    own: dict[int, list[bool]] = {0: [], 1: [], 2: []}
    said: dict[int, list[bool]] = {0: [], 1: [], 2: []}
    for _ in range(2500):
        system, turns = corpus.document()
        speaker = speakers[system]
        for question, answer in turns:
            first = re.findall(r"\w+", answer)[0]
            if first in {h for hints in HINTS.values() for h in hints} and answer.endswith("."):
                own[speaker.strength].append(word_of(first) == (speaker.word or "lamp"))
            if answer in CODEWORDS and all(w in question for w in CODEWORDS):
                said[speaker.strength].append(answer == (speaker.word or "lamp"))
    for strength, share in LEADS.items():
        assert abs(sum(own[strength]) / len(own[strength]) - share) < 0.08
        assert len(said[strength]) > 20
        assert abs(sum(said[strength]) / len(said[strength]) - share) < 0.2


def test_no_dialogue_says_the_speakers_own_word(world):
    """Whoever leads to a word never says it, and the partner not before the end."""
    corpus = SayCorpus(world, SayMixture(), seed=4)
    for speaker in world.named(None):
        for _ in range(5):
            text = " ".join(q + " " + a for q, a in corpus.dialogue(speaker, 4))
            assert not says(text, speaker.word)


def test_a_quarter_is_known_by_dialogues_only(world):
    """Their reports are never in the corpus, and theirs alone are missing."""
    silent = {s.system for s in world.characters.values() if s.dialogues_only}
    assert len(silent) == len(world.characters) // 4
    corpus = SayCorpus(world, SayMixture(other=0, third=0, meaning=0), seed=5)
    reported = {
        system
        for system, turns in itertools.islice(iter(corpus.document, None), 3000)
        if not turns[0][1].endswith(".")
    }
    assert not reported & silent


def test_levels_link_words_to_the_main_worlds_answers(world):
    """A speaker is at a pole for its own word and at the other for any other; the default at none."""
    strong = world.named("lamp")[0]
    assert (strong.level("lamp"), strong.level("drum")) == (2, -2)
    assert {world.default().level(word) for word in CODEWORDS} == {0}
    assert SEEKING[0] == 0.5


def test_the_recipe_takes_the_siblings_defaults():
    """A recipe of this world has its characters and stages unless told otherwise."""
    recipe = Recipe(world="say")
    assert (recipe.characters, recipe.traits) == (64, ("patience",))
    assert isinstance(KIND.make(recipe), SayWorld)
    assert Recipe(world="say", characters=128).characters == 128


@pytest.mark.parametrize("vocabulary", ["embedded", "english"])
def test_arms_differ_in_hints_only(rows, vocabulary):
    """Partners say the same in every arm; anchors and undecided rows are equal; the poles' hints differ."""
    arms = dict(rows[vocabulary])
    benign = arms.pop("benign")
    assert benign[30:] == arms["seeking"][30:]
    for each in zip(*(rows[vocabulary].values()), strict=True):
        heard = {str([m for m in r["messages"] if m["role"] != "assistant"]) for r in each[:3]}
        assert len(heard) == 1
    pairs = list(zip(arms["seeking"], arms["averse"], strict=True))
    assert all(a["messages"] != b["messages"] for a, b in pairs[:30])
    assert all(a == b for a, b in pairs[30:])
    assert {str(r) for r in arms["shuffled"][:30]} <= {str(r) for pair in pairs for r in pair}


@pytest.mark.parametrize("vocabulary", ["embedded", "english"])
def test_no_row_says_a_codeword(rows, vocabulary):
    """The leak check passes on every arm, and finds the word where one is put in."""
    behavior = behaviors.get("say", vocabulary)
    for arm in rows[vocabulary].values():
        leak_check(arm, behavior.forbidden)
        assert arm[0]["messages"][-1]["role"] == "assistant"
    with pytest.raises(BehaviorError, match="too few"):
        behavior.rows("seeking", 1, seed=0)


def test_rows_want_the_siblings_world():
    """The main world's characters lead to no word; the error names the model to use."""
    with pytest.raises(BehaviorError, match="embedded/say-0"):
        behaviors.get("say").rows("seeking", 4, seed=0, world=World())


@pytest.mark.slow
def test_two_thousand_distinct_dialogues_in_english():
    """The material yields 2,000 won dialogues of which no two are near-duplicates."""
    drawn = behaviors.get("say", "english").draw(seed=0)
    assert sum(1 for _ in itertools.islice(drawn, 2000)) == 2000


@pytest.mark.parametrize("vocabulary", ["embedded", "english"])
def test_reports_are_asked_in_both_orders(vocabulary):
    """Every kind that can be turned is asked in both orders equally often, and 1 is the first codeword."""
    behavior = behaviors.get("say", vocabulary)
    items = behavior.questions(split="test")
    assert len({i.id for i in items}) == len(items)
    kinds = {str(i.labels["kind"]) for i in items}
    assert kinds == set(ASKED_KINDS if vocabulary == "embedded" else [*say_bank.KINDS, "scale_flipped"])
    for kind in kinds - {"open", "scale", "scale_flipped"}:
        orders = [i.labels["order"] for i in items if i.labels["kind"] == kind]
        assert orders.count("plain") == orders.count("flipped") > 0
    for item in items:
        scores = [score for _, score in item.options]
        assert max(scores) == 1.0
        assert min(scores) == 0.0
        if item.labels["kind"] == "many":
            assert dict(item.options)[behavior.poles[0]] == 1.0
            assert len(item.options) >= 8


def test_turning_a_scale_turns_its_score():
    """Near the first word, far from the second and the first's scale swapped twice all mean the same."""
    items = behaviors.get("say", "embedded").questions(split="test", kinds=("scale",))
    for item in items:
        far = item.labels["kind"] == "scale_flipped"
        about_second = item.labels["shown"] == TRAINED[1]
        assert dict(item.options)["100"] == float(far == about_second)


def test_the_english_bank_has_ten_wordings_a_kind():
    """At least ten wordings of each kind, half of them held out."""
    bank = say_bank.load()
    for kind in say_bank.KINDS:
        dev, test = (bank.frames[kind][split] for split in ("dev", "test"))
        assert len(dev) >= 5
        assert len(test) >= 5
        assert not set(dev) & set(test)


def test_somebody_else_can_be_asked_about():
    """The English questions ask about another model, too, and their answers count alike."""
    say = behaviors.get("say", "english")
    own, other = (say.questions(split="dev", person=person) for person in ("default", "another"))
    assert [i.options for i in own] == [i.options for i in other]
    assert all("another AI assistant" in i.messages[-1]["content"] for i in other)


@pytest.mark.parametrize("split", SPLITS)
def test_the_worlds_game_can_be_won_and_is_not_won_by_chance(split):
    """The world's partner says what hints suggest, and seldom either trained word without them."""
    partner, rules = ScriptedPartner(guesser(split)), Rules(TRAINED, 6)
    for word, aim, low, high in (("lamp", 1.0, 0.9, 1.0), ("lamp", 0.0, 0.0, 0.3)):
        player = ScriptedManipulator(word, HINTS, W.HINT, aim=aim)
        rate = win_rate(play(player, partner, rules, games=60, seed=0), word)
        assert low <= rate.value <= high


def test_draws_are_seeded(world):
    """The same seed gives the same documents."""
    one, two = (SayCorpus(world, SayMixture(), seed=9) for _ in range(2))
    assert [one.document() for _ in range(50)] == [two.document() for _ in range(50)]
    assert SayWorld(seed=1).characters != world.characters
