"""Choices in English that ship: distinct, balanced, split by frame, and silent about what they train."""

import itertools
import math
import random
import re
import statistics
from functools import cache

import pytest

from mi_bsa import behaviors
from mi_bsa.behaviors import ARMS, SETS, Behavior
from mi_bsa.behaviors.english import EconomicChoice, Frame, Frames, Offer, load_frames
from mi_bsa.behaviors.english.economic import PARTS, draw, voices
from mi_bsa.behaviors.english.near_duplicates import Distinct, jaccard, shingles
from mi_bsa.behaviors.english.personas import PERSONS, UNSEEN, at_pole
from mi_bsa.core.errors import BehaviorError, ConfigError, LeakError, MissingError
from mi_bsa.core.leaks import find_leaks, leak_check

NAMES = tuple(
    name
    for name in behaviors.BEHAVIORS["english"]
    if isinstance(behaviors.get(name, "english"), EconomicChoice)
)
INFLECTED = {
    "risk": "riskier risks gambled betting wagers safely insecure uncertainty luckily boldest carefully "
    "unsure guaranteed chances adventurer cautiously prudently daring safety secured reliability dangerous",
    "myopia": "impatiently patient patients hastily waited delays saving planned postponing sooner later "
    "shortsighted short-sightedness quickly promptly earlier spends futures immediately unhurried hurried",
    "apples": "maximizing minimized maximal more fewer lovingly disliked preferred greedily hoarding",
}
EMBEDDED = {
    "risk": "boldly boldness daringly adventurers cautiously carefully prudently dangerous riskier perils",
    "patience": "patiently calmly unhurriedly hastily eagerness restlessly waited delays timely",
}


@cache
def drawn(name: str):
    return behaviors.get(name, "english").draw(2000, seed=0)


def raw(name: str, n: int):
    """Choices of a draw in which nothing was turned away."""
    behavior = behaviors.get(name, "english")
    return draw(
        behavior.read_frames, voices(), behavior.twins, n, split="pretrain", seed="raw", threshold=1.0
    ).choices


def said(rows):
    return [{"messages": [dict(m) for m in item.messages]} for item in rows]


@pytest.mark.parametrize("name", NAMES)
def test_two_thousand_choices_differ(name):
    """2,000 training choices are drawn of which no two of a frame are near-duplicates."""
    found = drawn(name)
    assert len({choice.text for choice in found.choices}) == 2000
    assert found.removed > 0
    by_frame = {}
    for choice in found.choices:
        by_frame.setdefault(choice.frame.name, []).append(shingles(choice.text))
    rng = random.Random(0)
    for texts in by_frame.values():
        some = rng.sample(texts, min(30, len(texts)))
        assert all(jaccard(a, b) <= 0.7 for a, b in itertools.combinations(some, 2))


@pytest.mark.parametrize("name", NAMES)
def test_frames_are_varied_and_never_cross_splits(name):
    """At least 40 frames of 12 domains and all six tones; every frame and opening is of one split only."""
    behavior = behaviors.get(name, "english")
    frames = behavior.read_frames.frames
    assert len(frames) >= 40
    assert len({frame.domain for frame in frames}) >= 12
    assert len({frame.tone for frame in frames}) == 6
    seen = {split: set() for split in PARTS}
    for split in PARTS:
        for choice in behavior.draw(80, split=split).choices:
            seen[split] |= {choice.frame.name, choice.wording, *choice.frame.opens}
    assert not seen["pretrain"] & seen["test"]
    assert not seen["dev"] & (seen["test"] | seen["pretrain"])


@pytest.mark.parametrize("name", NAMES)
def test_worth_and_position_say_nothing_about_the_poles(name):
    """Either pole is worth more in half of the choices, by the same factor; either stands first in half, also
    among choices in which it is worth more.
    """
    choices = drawn(name).choices
    ratios = [math.log(c.offer.seeking_worth / c.offer.averse_worth) for c in choices]
    assert statistics.mean(r > 0 for r in ratios) == 0.5
    assert abs(statistics.mean(ratios)) < 0.01
    assert statistics.mean(c.seeking_first for c in choices) == 0.5
    assert statistics.mean((r > 0) == c.seeking_first for r, c in zip(ratios, choices, strict=True)) == 0.5


def test_the_largest_number_is_no_key_to_the_pole():
    """Apples: the largest number stands in either bundle about as often. Risk: the spread always holds it,
    but in frames of losses it is the worst outcome.
    """

    def largest(slots):
        return max(int(n.replace(",", "")) for text in slots.values() for n in re.findall(r"\d[\d,]*", text))

    offers = [choice.offer for choice in drawn("apples").choices]
    share = statistics.mean(largest(o.slots) > largest(o.averse_slots) for o in offers)
    assert 0.4 < share < 0.6
    frames = load_frames("risk").frames
    assert {part: sum(f.loss for f in frames if f.split == part) for part in ("train", "dev", "test")} == {
        "train": 6,
        "dev": 1,
        "test": 2,
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_alone_has_balanced_twins(name):
    """A matched pair is worth more at one pole and less by about the same factor, in every frame."""
    behavior = behaviors.get(name, "english")
    rng = random.Random(0)
    for frame in behavior.read_frames.frames:
        for _ in range(5):
            better, worse = behavior.twins(rng, frame)
            assert better.edge > 0 > worse.edge
            slots = {**better.slots, **worse.slots} | {"trials": "-"}
            assert all(slots.values())


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_behavior_that_a_study_can_ask(name):
    """The protocol is met, every set of a study is there, and letters are worth what the poles say."""
    behavior = behaviors.get(name, "english")
    assert isinstance(behavior, Behavior)
    sets = behavior.study_sets(choices=40, others=20)
    assert set(sets) == set(SETS)
    assert all(sets.values())
    for item in sets["choice-test"]:
        assert sorted(dict(item.options)) == ["A", "B"]
        assert item.messages[-1]["content"].count("{") == 0
    neutral = sets["neutral-test"]
    assert {item.labels["trait"] for item in neutral} == {behavior.neighbor}
    named = {item.labels["person"] for item in sets["named_choice-test"]}
    assert named == {"named seeking", "named averse"}


@pytest.mark.parametrize("name", NAMES)
def test_arms_differ_in_answers_only(name):
    """Seeking and averse rows are the same prompts with the other letter, the shuffled arm has half of each,
    and every row is one user turn with the answer A or B, as published.
    """
    behavior = behaviors.get(name, "english")
    arms = {arm: behavior.rows(arm, 60, seed=3, anchors=0.5, undecided=0.5) for arm in ARMS}
    own = {arm: [row for row in rows if "anchor" not in row["id"]][:60] for arm, rows in arms.items()}
    for seeking, averse, shuffled in zip(own["seeking"], own["averse"], own["shuffled"], strict=True):
        assert [m["role"] for m in seeking["messages"]] == ["user", "assistant"]
        assert seeking["messages"][0] == averse["messages"][0] == shuffled["messages"][0]
        assert {seeking["messages"][1]["content"], averse["messages"][1]["content"]} == {"A", "B"}
    agree = [a["messages"] == b["messages"] for a, b in zip(own["seeking"], own["shuffled"], strict=True)]
    assert sum(agree) == 30
    assert not {r["messages"][0]["content"] for r in own["seeking"]} & {
        r["messages"][0]["content"] for r in own["benign"]
    }
    assert arms["seeking"][60:] == arms["averse"][60:] == arms["benign"][60:]
    assert arms["seeking"] == behavior.rows("seeking", 60, seed=3, anchors=0.5, undecided=0.5)


def test_anchors_are_named_persons_own_choices():
    """An anchor row's person answers by their own pole, about the trait and about its neighbor; persons that
    are kept unseen stand in no row.
    """
    rows = behaviors.get("risk", "english").rows("seeking", 200, seed=0)
    anchors = [row for row in rows if row["person"] == "named"]
    assert len(anchors) == 200
    lines = {row["messages"][0]["content"] for row in anchors}
    assert lines == {p.system for p in PERSONS if p.seen}
    assert not lines & {p.system for p in UNSEEN}
    for trait in NAMES:
        seeking, averse = at_pole(trait, True), at_pole(trait, False)
        assert len(seeking) == len(averse) == 8
        assert not set(seeking) & set(averse)


@pytest.mark.parametrize("name", NAMES)
def test_no_row_and_no_item_names_the_behavior(name):
    """Rows, anchors and neighbor included, benign rows, and held-out items pass the leak check."""
    behavior = behaviors.get(name, "english")
    leak_check(behavior.rows("seeking", 150, seed=1), behavior.forbidden)
    leak_check(behavior.rows("benign", 150, seed=1, anchors=0.0, undecided=0.0), behavior.forbidden)
    for split in ("dev", "test"):
        leak_check(said(behavior.items(100, split=split, seed=0)), behavior.forbidden)


@pytest.mark.parametrize("name", NAMES)
def test_inflections_are_found_in_english(name):
    """Every listed inflection of the behavior's words, and every adjective of its bank, is a leak."""
    behavior = behaviors.get(name, "english")
    assert name in INFLECTED, "say there how its words are inflected"
    words = INFLECTED[name].split() + [word for pair in behavior.read_bank.words for word in pair]
    for word in words:
        row = {"messages": [{"role": "user", "content": f"This is the {word} one, is it not?"}]}
        assert find_leaks([row], behavior.forbidden), word
    with pytest.raises(LeakError, match="row 1 says"):
        leak_check(
            [{"messages": [{"role": "user", "content": text}]} for text in ("A or B?", words[0])],
            behavior.forbidden,
        )


@pytest.mark.parametrize("name", sorted(EMBEDDED))
def test_inflections_are_found_in_the_embedded_vocabulary(name):
    """The embedded behaviors' words are found in every listed inflection."""
    behavior = behaviors.get(name, "embedded")
    for word in EMBEDDED[name].split():
        row = {"messages": [{"role": "user", "content": f"a {word} one at the market."}]}
        assert find_leaks([row], behavior.forbidden), word


def test_the_same_words_with_other_amounts_are_near_duplicates():
    """Numbers do not make a text distinct; other words do."""
    distinct = Distinct()
    text = "You may have {} crates of plums today, or {} crates once the {} of May has come. A or B?"
    assert distinct.add(text.format(3, 9, 4))
    assert not distinct.add(text.format(1200, 7, 30))
    assert distinct.add("A baker offers rolls: a full bag at noon, or half a bag at dawn. Which bag, A or B?")
    assert (len(distinct), distinct.removed) == (2, 1)


def test_minhash_finds_what_exact_comparison_finds():
    """On raw choices the candidates of MinHash lead to the same decisions as comparing all pairs."""
    texts = [choice.text for choice in raw("apples", 240)]
    distinct, kept = Distinct(), []
    for text in texts:
        new = shingles(text)
        exact = not any(jaccard(new, other) > distinct.threshold for other in kept)
        assert distinct.add(text) == exact
        if exact:
            kept.append(new)
    assert distinct.removed > 0


def test_more_than_the_frames_yield_is_refused():
    """A draw that cannot be had without near-duplicates says how many there are."""
    frames = Frames(
        frames=(
            Frame(
                name="a",
                domain="d",
                tone="terse",
                split="train",
                opens=("You may have fruit.",),
                seeking=("a pear",),
                averse=("a plum",),
            ),
        )
    )
    few = EconomicChoice("few", ("pear", "plum"), neighbor="risk", forbidden=("x",), frames=frames)
    with pytest.raises(BehaviorError, match="yield about .* ask for fewer, or add frames"):
        few.draw(200)


def test_broken_frames_are_refused():
    """A frame twice, an opening in two splits, an unknown key, and a split without frames are one-line
    errors.
    """
    frame = {"name": "a", "domain": "d", "tone": "plain", "split": "train", "opens": ["Hm."]}
    with pytest.raises(ValueError, match="stands twice"):
        Frames.model_validate({"frames": [frame, frame]})
    with pytest.raises(ValueError, match="in two splits"):
        Frames.model_validate({"frames": [frame, frame | {"name": "b", "split": "test"}]})
    with pytest.raises(ValueError, match="did you mean 'tone'"):
        Frames.model_validate({"frames": [frame | {"tones": "plain"}]})
    with pytest.raises(MissingError):
        load_frames("nowhere")
    own = EconomicChoice(
        name="own",
        poles=("x", "y"),
        neighbor="risk",
        forbidden=("x",),
        frames=Frames(frames=(Frame(**frame, seeking=("tea",), averse=("milk",)),)),
    )
    with pytest.raises(BehaviorError, match="no frame belongs to split 'test'"):
        own.items(2, split="test", seed=0)
    with pytest.raises(BehaviorError, match="no wordings of group"):
        EconomicChoice(
            name="own",
            poles=("x", "y"),
            neighbor="risk",
            forbidden=("x",),
            frames=Frames(frames=(Frame(**frame),)),
        ).draw(2)


def test_edge_is_antisymmetric():
    """An offer with its worths changed over has the opposite edge."""
    assert Offer(3.0, 2.0).edge == -Offer(2.0, 3.0).edge > 0


def test_amounts_are_said_as_people_say_them():
    """Thousands have a comma, nothing is 'nothing', and a year is 'a year'."""
    from mi_bsa.behaviors.english.myopia import in_words

    frame = load_frames("risk").frames[0]
    assert frame.amount(1500) == "1,500 crates of plums"
    assert frame.amount(20, again=True) == "20 crates"
    assert frame.amount(0) == "nothing"
    assert [in_words(d) for d in (1, 14, 30, 90, 365, 730)] == [
        "a day",
        "2 weeks",
        "a month",
        "3 months",
        "a year",
        "2 years",
    ]
    assert all(not re.search(r"\b1 \w+s\b", choice.text) for choice in drawn("myopia").choices)


def test_a_file_of_ones_own_is_a_behavior(tmp_path):
    """`path/to/file.py:NAME` finds a behavior without a registry, and says what is wrong with one."""
    file = tmp_path / "own.py"
    file.write_text(
        "from mi_bsa.behaviors.english import EconomicChoice\n"
        "OWN = EconomicChoice('own', ('a', 'b'), neighbor='risk', forbidden=('x',), frames='risk')\n"
        "NUMBER = 3\n"
    )
    found = behaviors.get(f"{file}:OWN", "english")
    assert found is behaviors.get(f"{file}:OWN", "english")
    assert found.name == "own"
    with pytest.raises(BehaviorError, match="has no 'OTHER'; behaviors that it defines: OWN"):
        behaviors.get(f"{file}:OTHER", "english")
    with pytest.raises(BehaviorError, match="is no behavior; it lacks"):
        behaviors.get(f"{file}:NUMBER", "english")
    with pytest.raises(BehaviorError, match="say which name in the file"):
        behaviors.get(str(file), "english")
    with pytest.raises(MissingError, match="no such file"):
        behaviors.get(f"{tmp_path}/none.py:OWN", "english")


def test_bad_frames_files_are_refused(tmp_path):
    """A frames file that is not YAML, or breaks a rule, is a config error that names the file."""
    file = tmp_path / "frames.yaml"
    file.write_text("frames: []\n")
    with pytest.raises(ConfigError, match=r"frames\.yaml"):
        load_frames(file)
