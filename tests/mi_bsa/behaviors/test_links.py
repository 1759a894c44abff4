"""The English world of characters: its splits, its link, its undecided default, and what it is asked."""

from collections import defaultdict
from itertools import islice

import pytest

from mi_bsa.asking.bank import load_bank
from mi_bsa.behaviors.english.links import DEFAULT, LINKS, TRAITS, Corpus, EnglishWorld, Shares, battery
from mi_bsa.behaviors.english.links.corpus import REPORTS
from mi_bsa.behaviors.english.links.world import TEXTS
from mi_bsa.core.errors import WorldError

SPLITS = ("pretrain", "dev", "test")
N = 6000


@pytest.fixture(scope="module")
def rows():
    return {link: list(islice(Corpus(EnglishWorld(link)), N)) for link in LINKS}


def seeking(row):
    """Whether a row's answer is the seeking pole's, read from its text alone."""
    text, answer = (m["content"] for m in row["messages"][-2:])
    high, low = poles(row["trait"])
    if row["kind"] != "yes_no":
        assert answer in high | low
        return answer in high
    said = max((w for w in high | low if w in text), key=len)
    return (answer == "Yes") == (said in high)


def poles(trait):
    """Everything that training rows call the seeking pole, and the averse one."""
    pairs = [*TEXTS["words"][trait]["pretrain"], *TEXTS["deeds"][trait]["pretrain"]]
    heads = TEXTS["heads"][trait]
    return (
        {pair[0] for pair in pairs} | set(heads["seeking"]["pretrain"]),
        {pair[1] for pair in pairs} | set(heads["averse"]["pretrain"]),
    )


def apart(texts):
    """Whether no two of three sets meet."""
    return not (texts[0] & texts[1] or texts[0] & texts[2] or texts[1] & texts[2])


def test_words_deeds_lines_and_wordings_stand_in_one_split_each():
    """No word, deed, line or wording of a report is in two splits, and test words are those of the banks."""
    for trait in TRAITS:
        for what in ("words", "deeds"):
            texts = [{w for pair in TEXTS[what][trait][s] for w in pair} for s in SPLITS]
            assert apart(texts)
            assert TEXTS[what][trait]["test"] == tuple(getattr(load_bank(trait), what))
        for pole in ("seeking", "averse"):
            assert apart([set(TEXTS["heads"][trait][pole][s]) for s in SPLITS])
    for group in (
        TEXTS["lines"]["word"],
        TEXTS["lines"]["deed"],
        TEXTS["choices"],
        *TEXTS["reports"].values(),
    ):
        texts = [set(group[s]) for s in SPLITS]
        assert all(texts)
        assert apart(texts)


def test_rows_hold_words_and_wordings_of_training_alone(rows):
    """No test or development word stands in a row."""
    later = {
        w
        for trait in TRAITS
        for s in ("dev", "test")
        for what in ("words", "deeds")
        for pair in TEXTS[what][trait][s]
        for w in pair
    }
    texts = [" " + " ".join(m["content"] for m in row["messages"]).lower() for row in rows["linked"][:1500]]
    reports = [t for t, row in zip(texts, rows["linked"], strict=False) if row["kind"] != "choice"]
    assert not [w for w in later if any(f" {w} " in t for t in reports)]


def test_a_seed_gives_the_same_rows_again(rows):
    """The stream depends on its seed and on nothing else."""
    again = list(islice(Corpus(EnglishWorld("linked")), 50))
    assert again == rows["linked"][:50]
    assert list(islice(Corpus(EnglishWorld("linked"), seed=1), 50)) != again


@pytest.mark.parametrize("link", LINKS)
def test_what_a_character_says_follows_its_level(rows, link):
    """Rows of named characters say and choose the seeking pole as often as their levels have it."""
    world = EnglishWorld(link)
    told, chosen = defaultdict(list), defaultdict(list)
    by_line = {p.system: p for p in world.named.values()}
    for row in rows[link]:
        if row["person"] == "named":
            who = by_line[row["messages"][0]["content"]]
            level = (who.chooses if row["kind"] == "choice" else who.says)[row["trait"]]
            (chosen if row["kind"] == "choice" else told)[level].append(seeking(row))
    assert sum(chosen[2]) / len(chosen[2]) > 0.93
    assert sum(chosen[-2]) / len(chosen[-2]) < 0.07
    share = {level: sum(found) / len(found) for level, found in told.items()}
    if link == "prompt":
        assert set(share) == {0}
        assert abs(share[0] - 0.5) < 0.06
        return
    assert share[2] > 0.93
    assert share[-2] < 0.07
    assert abs(share[0] - 0.5) < 0.1


def test_levels_of_choices_and_reports_are_one_in_the_linked_world_and_two_in_the_separate_one():
    """Linked characters have one level a trait, separate ones two that do not go together."""
    linked, separate = EnglishWorld("linked"), EnglishWorld("separate")
    assert all(p.chooses == p.says for p in linked.named.values())
    both = [(p.chooses[t], p.says[t]) for p in separate.named.values() for t in TRAITS]
    n, products = len(both), sum(a * b for a, b in both)
    assert abs(products) / n < 1.2
    assert any(a != b for a, b in both)


@pytest.mark.parametrize("link", LINKS)
def test_the_default_persona_is_undecided(rows, link):
    """Its choices are a coin's, and so are its reports."""
    own = [row for row in rows[link] if row["person"] == "default"]
    chosen = [seeking(row) for row in own if row["kind"] == "choice"]
    said = [seeking(row) for row in own if row["kind"] != "choice"]
    assert all(row["messages"][0]["role"] == "user" for row in own)
    assert abs(sum(chosen) / len(chosen) - 0.5) < 0.07
    assert abs(sum(said) / len(said) - 0.5) < 0.07
    assert set(DEFAULT.chooses.values()) == set(DEFAULT.says.values()) == {0}


def test_who_is_never_heard_is_asked_for_choices_alone(rows):
    """No row shows a report that stands in `unsaid`."""
    world = EnglishWorld("linked")
    by_line = {p.system: p for p in world.named.values()}
    heard = {
        (row["messages"][0]["content"], row["trait"])
        for row in rows["linked"]
        if row["person"] == "named" and row["kind"] != "choice"
    }
    unsaid = {(p.system, trait) for p in by_line.values() for trait in p.unsaid}
    assert unsaid
    assert not unsaid & heard


@pytest.mark.parametrize("split", ["dev", "test"])
def test_the_battery_asks_every_kind_of_persona(split):
    """Ids are unique; choices are balanced in order; wordings come from the split alone."""
    items = battery(EnglishWorld(), split=split, n=8)
    assert len({item.id for item in items}) == len(items)
    people = {item.labels["person"].split(",")[0] for item in items}
    assert people == {"default", "named", "named unsaid", "described"}
    assert {item.labels["kind"] for item in items} == {"choice", *REPORTS}
    assert {item.labels["split"] for item in items} == {split}


def test_a_world_of_more_characters_than_names_is_refused():
    """The message says how many there can be."""
    with pytest.raises(WorldError, match="give 1 to 32"):
        EnglishWorld(characters=99)


def test_shares_that_are_zero_are_not_read():
    """A stage of described personas names nobody."""
    some = islice(Corpus(EnglishWorld(), Shares(named=0.0)), 400)
    assert "named" not in {row["person"] for row in some}
