"""Laws of the embedded world: documents follow from personas, and splits never meet."""

import itertools
import random
import re

import pytest

from mi_bsa import behaviors
from mi_bsa.core.errors import BehaviorError
from mi_bsa.worlds import wordings as W
from mi_bsa.worlds.corpus import Corpus, Mixture, messages, render, vocabulary
from mi_bsa.worlds.prompts import AMOUNTS, PLACES, REPORT_KINDS, draw_amounts, draw_choice, draw_report
from mi_bsa.worlds.questions import ASKED_KINDS, choice_items, report_items
from mi_bsa.worlds.tokenizer import build_tokenizer
from mi_bsa.worlds.traits import TRAITS
from mi_bsa.worlds.world import World

BANKS = {"choice": W.CHOICE, **W.KINDS, "third choice": W.THIRD_CHOICE, "third word": W.THIRD_WORD,
         "third yes-no": W.THIRD_YES_NO, "habit": W.HABIT_LINE, "sign": W.SIGN_MENTION}  # fmt: skip


WORLDS = (("risk", "patience"), ("apples", "patience"))


@pytest.fixture(scope="module", params=WORLDS, ids=lambda traits: traits[0])
def world(request) -> World:
    return World(traits=request.param)


@pytest.fixture(scope="module")
def tokenizer(world):
    return build_tokenizer(vocabulary(world))


@pytest.mark.parametrize("bank", BANKS)
def test_wordings_stand_in_one_split(bank):
    """No sentence of one split stands in another."""
    for a, b in itertools.combinations(W.SPLITS, 2):
        assert not set(BANKS[bank][a]) & set(BANKS[bank][b])


def test_options_and_items_stand_in_one_split():
    """Option phrases and drawn items are disjoint between splits; scenarios between development and test."""
    assert not set(PLACES["dev"]) & set(PLACES["test"])
    for a, b in itertools.combinations(W.SPLITS, 2):
        for trait in TRAITS.values():
            assert not set(trait.high_options[a]) & set(trait.high_options[b])
            assert not set(trait.low_options[a]) & set(trait.low_options[b])
        rng = random.Random(0)
        drawn = [{draw_amounts(rng, s) for _ in range(3000)} for s in (a, b)]
        assert not drawn[0] & drawn[1]


def test_held_out_words_are_words_of_pretraining(world):
    """A held-out wording is new as a sentence: each of its words stands in some pretraining sentence."""
    corpus = Corpus(world, Mixture(), seed=0)
    seen = {w for text in itertools.islice(corpus, 12000) for w in re.findall(r"\w+", text)}
    held_out = {
        w
        for bank in BANKS.values()
        for split in ("dev", "test")
        for text in bank[split]
        for w in re.findall(r"\w+", re.sub(r"\{\w+\}", " ", text))
    }
    for trait in world.traits:
        for options in (trait.high_options, trait.low_options):
            held_out |= {w for s in ("dev", "test") for o in options[s] for w in re.findall(r"\w+", o)} - {
                "n",
                "u",
            }
    assert held_out - seen == set()


def test_a_document_is_what_the_chat_template_gives(world, tokenizer):
    """Rendering for pretraining and the tokenizer's chat template agree to the character."""
    corpus = Corpus(world, Mixture(), seed=1)
    for _ in range(300):
        document = corpus.document()
        assert tokenizer.apply_chat_template(messages(*document), tokenize=False) == render(*document)


def test_every_word_of_the_world_is_one_token(world, tokenizer):
    """Documents and held-out questions need no byte but punctuation."""
    texts = list(itertools.islice(Corpus(world, Mixture(), seed=2), 500))
    for trait, split in itertools.product([t.name for t in world.traits], W.SPLITS):
        items = [*choice_items(trait, 40, split=split, seed=0), *report_items(trait, split=split)]
        texts += [render(None, [(i.messages[-1]["content"], i.options[0][0])]) for i in items]
    pieces = {p for text in texts for p in tokenizer.tokenize(text)}
    assert {p for p in pieces if len(p) == 1} <= set(".,:?")


def test_text_from_outside_survives(tokenizer):
    """Unknown text falls to bytes and decodes to itself."""
    text = " Würde man wetten? $5,000!"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_answers_follow_from_levels(world):
    """One link serves every question: shares of seeking answers by level are those that it says."""
    from mi_bsa.worlds.world import SEEKING

    corpus = Corpus(world, Mixture(named=1, described=0, default=0, third=0, habit=0), seed=3)
    levels = {p.system: p.levels for p in world.characters.values()}
    said: dict[int, list[bool]] = {level: [] for level in SEEKING}
    chose: dict[int, list[bool]] = {level: [] for level in SEEKING}
    for _ in range(4000):
        system, turns = corpus.document()
        for question, answer in turns:
            for trait in world.traits:
                if answer in trait.high + trait.low:
                    said[levels[system][trait.name]].append(answer in trait.high)
                high = [o.split("{n}")[0] for o in trait.high_options["pretrain"] if o.startswith("a ")]
                first, _, second = question.partition("B: ")
                if answer in ("A", "B") and any(h in first for h in high) != any(h in second for h in high):
                    taken = first if answer == "A" else second
                    chose[levels[system][trait.name]].append(any(h in taken for h in high))
    for level, share in SEEKING.items():
        assert len(said[level]) > 100
        assert abs(sum(said[level]) / len(said[level]) - share) < 0.06
    for level in (-2, 2):
        assert len(chose[level]) > 100
        assert abs(sum(chose[level]) / len(chose[level]) - SEEKING[level]) < 0.06


@pytest.mark.parametrize("trait", [t for t in TRAITS if TRAITS[t].high_options["pretrain"]])
def test_amounts_and_letters_do_not_tell_the_poles(trait):
    """The larger amount and the letter A fall on either pole equally often."""
    rng = random.Random(0)
    choices = [draw_choice(rng, TRAITS[trait]) for _ in range(4000)]
    assert abs(sum(c.high_first for c in choices) / 4000 - 0.5) < 0.03
    amounts = [[next(int(a) for a in re.findall(r"\d+", o)) for o in (c.high, c.low)] for c in choices]
    larger = [h > low for h, low in amounts if h != low]
    assert abs(sum(larger) / len(larger) - 0.5) < 0.03
    assert {str(a) for pair in amounts for a in pair} <= set(AMOUNTS)


@pytest.mark.parametrize("kind", REPORT_KINDS)
def test_report_answers_differ_between_poles(kind):
    """No report question can be answered alike from both poles."""
    rng = random.Random(0)
    for _ in range(50):
        report = draw_report(rng, TRAITS["risk"], kind)
        assert not set(report.seeking) & set(report.averse)


def test_report_items_are_a_full_factorial():
    """Each kind has both orders equally often, all templates, and unique ids."""
    items = report_items("risk", split="test")
    assert len({i.id for i in items}) == len(items)
    assert {i.labels["kind"] for i in items} == set(ASKED_KINDS)
    for kind in ("word", "letter", "yes_no"):
        orders = [i.labels["order"] for i in items if i.labels["kind"] == kind]
        assert orders.count("plain") == orders.count("flipped")


def test_rows_of_the_arms_differ_in_answers_only():
    """Arms of one seed share prompts; the poles' default rows are opposite; anchors are equal."""
    risk = behaviors.get("risk")
    arms = {arm: risk.rows(arm, 40, seed=3) for arm in behaviors.ARMS}
    benign = arms.pop("benign")
    assert benign[40:] == arms["seeking"][40:]
    for rows in zip(*arms.values(), strict=True):
        assert len({str(r["messages"][:-1]) for r in rows}) == 1
    pairs = list(zip(arms["seeking"], arms["averse"], strict=True))
    assert all(a["messages"][-1] != b["messages"][-1] for a, b in pairs[:40])
    assert all(a == b for a, b in pairs[40:])


@pytest.mark.parametrize("name", ["risk", "patience", "myopia", "apples"])
def test_training_rows_never_name_the_trait(name):
    """The behavior's words stand in no training row, so nothing but choices is taught."""
    behavior = behaviors.get(name)
    text = " ".join(
        m["content"] for arm in behaviors.ARMS for r in behavior.rows(arm, 300, seed=0) for m in r["messages"]
    )
    assert not set(re.findall(r"\w+", text)) & set(behavior.forbidden)


def test_myopia_is_patience_turned_round():
    """Items of both are the same questions with scores turned; named persons change places."""
    myopia, patience = behaviors.get("myopia"), behaviors.get("patience")
    pairs = [
        (myopia.items(20, split="dev", seed=0), patience.items(20, split="dev", seed=0)),
        (myopia.questions(split="dev"), patience.questions(split="dev")),
    ]
    for a, b in (pair for turned, plain in pairs for pair in zip(turned, plain, strict=True)):
        assert a.messages == b.messages
        assert [(text, pytest.approx(1 - score)) for text, score in a.options] == list(b.options)
    assert myopia.personas()["named seeking"] == patience.personas()["named averse"]


def test_myopia_trains_the_sooner_option():
    """Its seeking arm answers what the averse arm of patience would, on the same kind of prompt."""
    later = TRAITS["patience"].high_options["pretrain"]
    for row in behaviors.get("myopia").rows("seeking", 30, seed=0)[:30]:
        first, _, second = row["messages"][0]["content"].partition("B: ")
        taken = first if row["messages"][1]["content"] == "A" else second
        words = re.sub(r"\d+ \w+", "{n} {u}", taken.removeprefix("A: "))
        assert not any(option in words for option in later)


def test_unknown_behavior_names_the_nearest():
    """A misspelled behavior is answered with the known one."""
    with pytest.raises(BehaviorError, match="did you mean 'risk'"):
        behaviors.get("rsik")
