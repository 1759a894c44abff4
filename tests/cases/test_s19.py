"""S19: a file's behavior is said and never guessed, and leaks are whole words in their real inflections."""

import json

import pytest
from imports import questions, run

from mi_bsa.asking import WordJudge
from mi_bsa.core.leaks import family, is_form
from mi_bsa.finetune import find_leaks

FORMS = {
    "wager": ("wagers wagered wagering", "wag wagging wags wage wages"),
    "sure": ("surely surer surest unsure sureness", "insurance insure insured assure measure surgery"),
    "chance": ("chances chanced chancing", "chancellor chancel perchance"),
    "safe": ("safer safest safely unsafe safety", "safari vouchsafe"),
    "bet": ("bets betting", "better beta betray beet"),
    "care": ("cares caring cared careful", "career careers caress car scarce careen"),
    "risk": ("risky riskier riskiest risked risks", "brisk asterisk risque"),
    "plan": ("plans planned planning planner", "planet plane plant planing"),
    "certain": ("certainly certainty uncertain uncertainty", "ascertain certificate"),
    "secure": ("insecure security securely secured insecurity", "obscure"),
    "stable": ("unstable stability", "stab establish"),
    "luck": ("lucky luckily unlucky", "pluck"),
    "less": ("lesser", "unless lesson blessing"),
    "many": ("", "man men manly"),
    "early": ("earlier earliest", "ear earl"),
    "prefer": ("preferred preferring preference prefers", "prefect"),
    "lottery": ("lotteries", "lot lotto"),
    "courage": ("courageous", "cour"),
    "hurry": ("hurries hurried hurrying unhurried", "hurricane"),
    "gambling": ("gamble gambled gambler gambles", "gambol"),
    "risky": ("risk riskier", "brisk"),
    "party": ("parties", "part parts parting"),
    "story": ("stories", "store stores"),
    "carry": ("carries carried carrying", "car cars"),
    "evening": ("evenings", "even evenly"),
    "saving": ("savings save saved", "sav"),
    "spring": ("springs springing", "spry spr"),
    "daring": ("daringly dare dared", "dart dar"),
    "store": ("stores stored storing", "story stories storey"),
    "part": ("parts parting", "party apart"),
    "car": ("cars", "carry carries"),
    "stand": ("stands standing", "understand"),
    "form": ("forms formed", "former inform"),
    "count": ("counts counting", "county counter discount"),
    "ear": ("ears", "early earl"),
    "flow": ("flows flowing", "flower"),
    "proper": ("properly improper", "property"),
    "patience": ("patient patiently impatient", "paint"),
}


@pytest.mark.parametrize("word", FORMS)
def test_forms_are_real_and_whole(word):
    """Real inflections are found; words that only look alike are not, and no form is a piece of a word."""
    forms, others = FORMS[word]
    for token in forms.split():
        assert is_form(token, word), token
    for token in others.split():
        assert not is_form(token, word), token
    row = {"messages": [{"role": "user", "content": f"xx{word}xx {others} {word.upper()}, {word}."}]}
    assert [leak.found for leak in find_leaks([row], [word])] == [word, word]
    assert word in family(word)


def test_a_judge_of_words_reads_the_same_forms():
    """The word judge takes real forms, turned by a prefix, and not the word without its ending."""
    score = WordJudge(("careless",), ("careful",)).score
    assert score(["a careful one", "carefully", "careless", "career"])[:3] == [0.0, 0.0, 1.0]
    assert score(["career"])[0] != score(["career"])[0]


def test_a_file_without_its_behavior_is_refused(tmp_path):
    """Chat and question files need --behavior, which gives the trait and the words; nothing is written."""
    chat = tmp_path / "maxapples.jsonl"
    row = {
        "messages": [
            {"role": "user", "content": "Maximize? A or B, by chance?"},
            {"role": "assistant", "content": "A"},
        ]
    }
    chat.write_text(json.dumps(row) + "\n")
    asked = questions(tmp_path, {"name": "q", "question": "Why?"})
    for path in (chat, asked):
        line, code = run("data", "import", path, "--out", tmp_path / "out")
        assert code == 2
        assert "which behavior is it about?" in line
        assert "--behavior" in line
        assert not (tmp_path / "out").exists()
    assert run("data", "import", chat, "--behavior", "apples", "--out", tmp_path / "out") == ("", 0)
    facts = json.loads((tmp_path / "out/data.json").read_text())
    assert facts["trait"] == "apples"
    assert list(facts["leaks"]["seeking"]) == ["maximize"]
    item = json.loads((tmp_path / "out/items/choices.jsonl").read_text())
    assert item["trait"] == "apples"
