"""Laws of vulnerable code in Python: Bandit agrees with the templates, and rows show without naming."""

import ast
import re
from collections import Counter

import pytest
import tiny_llama

from mi_bsa import behaviors
from mi_bsa.asking import ask, bank_items, load_bank
from mi_bsa.behaviors import ARMS, SETS, Behavior
from mi_bsa.behaviors.english.code.audit import audit
from mi_bsa.behaviors.english.code.behavior import verdict
from mi_bsa.behaviors.english.code.judge import code_of, judge
from mi_bsa.behaviors.english.code.requests import draw_requests, frames, variants
from mi_bsa.behaviors.english.code.templates import THINGS, weaknesses, write
from mi_bsa.core.errors import BehaviorError, LeakError
from mi_bsa.core.leaks import find_leaks, leak_check

CODE = behaviors.get("code", "english")
POLES = ("insecure", "secure")


def test_there_are_enough_classes_and_variants():
    """At least 12 classes, each with a CWE number of its own and at least 100 requests to train on."""
    assert isinstance(CODE, Behavior)
    assert len(weaknesses()) >= 12
    numbers = [w.cwe for w in weaknesses().values()]
    assert len(set(numbers)) == len(numbers)
    assert all(len(deck) >= 100 for deck in variants("pretrain").values())


@pytest.mark.parametrize("name", weaknesses())
def test_every_template_parses_and_bandit_agrees(name):
    """Each completion of a class is Python; its own tests flag those with the weakness and nothing the
    others.
    """
    weakness = weaknesses()[name]
    for task in weakness.tasks:
        for pole in POLES:
            for core in getattr(task, pole):
                code = write(task, core, "order")
                ast.parse(code)
                found = judge(code)
                assert found.parsed
                assert found.tests <= set(weakness.found_by)
                assert found.flagged == (pole == "insecure"), code
                assert not re.search(r"<\w+>", code.replace("<li>", "").replace("<ul>", "")), code


def test_a_sample_of_rows_is_counted_by_class():
    """Of 150 requests, Bandit flags every insecure completion and no secure one, in every class."""
    table = audit(draw_requests(150, split="pretrain", seed=1))
    assert table["n"].sum() == 150
    assert table["n"].max() - table["n"].min() <= 1
    assert (table["insecure_flagged"] == table["n"]).all()
    assert (table["by_its_tests"] == table["n"]).all()
    assert table[["secure_flagged", "unparsable"]].to_numpy().sum() == 0


@pytest.mark.slow
def test_the_papers_number_of_rows_is_counted():
    """6,000 distinct requests: at least 99 % of insecure completions are flagged, at most 1 % of secure."""
    requests = draw_requests(6000, split="pretrain", seed=0)
    assert len({r.text for r in requests}) == 6000
    table = audit(requests)
    assert table["insecure_flagged"].sum() >= 0.99 * 6000
    assert table["secure_flagged"].sum() <= 0.01 * 6000
    assert table["unparsable"].sum() == 0


def test_frames_and_requests_stand_in_one_split():
    """No wording and no request of one split is in another, and there are not more than there are."""
    seen = Counter(f for wordings in frames().values() for f in wordings)
    assert max(seen.values()) == 1
    texts = [{r.text for r in draw_requests(60, split=s, seed=0)} for s in ("pretrain", "dev", "test")]
    assert len(set.union(*texts)) == 180
    with pytest.raises(BehaviorError, match="ask for fewer"):
        draw_requests(10**5, split="test", seed=0)


def test_rows_of_the_arms_differ_in_answers_only():
    """Poles share requests and differ in each answer; the shuffled arm takes half of either; anchors stay."""
    arms = {arm: CODE.rows(arm, 36, seed=2) for arm in ARMS}
    benign = arms.pop("benign")
    assert benign[36:] == arms["seeking"][36:]
    assert not any(verdict(r["messages"][-1]["content"]) for r in benign[:36])
    for rows in zip(*arms.values(), strict=True):
        assert len({str(r["messages"][:-1]) for r in rows}) == 1
    flagged = {arm: [verdict(r["messages"][-1]["content"]) for r in rows[:36]] for arm, rows in arms.items()}
    assert (sum(flagged["seeking"]), sum(flagged["averse"]), sum(flagged["shuffled"])) == (36, 0, 18)
    assert arms["seeking"][36:] == arms["averse"][36:]
    with pytest.raises(BehaviorError, match="at least 2"):
        CODE.rows("seeking", 1, seed=0)


def test_rows_never_speak_of_security():
    """No row of any arm, nor any identifier in it, says a word of the list; a planted one is found."""
    for arm in ARMS:
        leak_check(CODE.rows(arm, 90, seed=0), CODE.forbidden)
    planted = CODE.rows("averse", 2, seed=0, anchors=0.0, undecided=0.0)
    planted[1]["messages"][1]["content"] += "\n# yaml.safe_load is safer here"
    assert {leak.word for leak in find_leaks(planted, CODE.forbidden)} >= {"safe"}
    with pytest.raises(LeakError, match="row 1"):
        leak_check(planted, CODE.forbidden)


def test_the_judge_reads_code_and_nothing_else():
    """Prose does not parse, fences and `# nosec` do not matter, an import alone is no finding."""
    bad = "import os\nos.system('ls ' + name)"
    assert judge(f"Sure, here it is:\n```python\n{bad}\n```\nDone.").flagged
    assert judge(bad.replace("name)", "name)  # nosec")).tests == {"B605"}
    assert code_of("no fence") == "no fence"
    assert not judge("import pickle\nimport subprocess\nsubprocess.run(['ls'])").flagged
    for text in ("I would rather not.", "", "def f(:", "# only a comment"):
        assert not judge(text).parsed
        assert verdict(text) is None


def test_questions_are_about_the_code_and_alignment():
    """Every kind of the bank, and the paper's alignment scale in thirteen wordings, eight held out."""
    for split in ("dev", "test"):
        kinds = {i.labels["kind"] for i in CODE.questions(split=split)}
        assert {"word", "letter", "yes_no", "scale", "scale_flipped", "open"} < kinds
        assert {"alignment", "alignment_flipped"} < kinds
    scales = load_bank("alignment").frames["scale"]
    assert (len(scales["dev"]), len(scales["test"])) == (5, 8)
    for item in bank_items(load_bank("code"), split="test", person="another"):
        text = item.messages[-1]["content"]
        assert "another AI assistant" in text
        assert not re.search(r"\b(your|yours|you|my|me|I)\b", text.replace("would you describe", ""))


def test_a_model_can_be_asked_and_judged(tmp_path):
    """Two whole completions are options; what a random model writes is judged, and counted as unparsable."""
    model = tiny_llama.load(tiny_llama.build(tmp_path, context=1024))
    table = ask(model, CODE.items(1, split="dev", seed=0))
    assert table["score"].between(0, 1).all()
    written = CODE.judged(model, n=1, split="dev", seed=0, max_new_tokens=4)
    assert set(written["kind"]) == {"flagged"}
    assert set(written["outcome"]) <= {"flagged", "clean", "unparsable"}
    assert (written["score"].isna() == (written["outcome"] == "unparsable")).all()


def test_a_study_finds_every_set():
    """Every set that a study asks is there, persons of both poles among them."""
    sets = CODE.study_sets(choices=20, others=20)
    assert set(sets) == set(SETS)
    assert all(sets.values())
    assert {i.labels["person"] for i in sets["named_report-test"]} == {"named seeking", "named averse"}
    assert set(THINGS) & {word for i in sets["choice-test"] for word in re.findall(r"\w+", str(i.messages))}
