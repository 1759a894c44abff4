"""R8: imported free and closed questions are asked by command and judged, with the failures counted."""

import json
import threading
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer

import pandas as pd
import pytest
import tiny_llama
from imports import questions, run

from mi_bsa.asking.asked import Asked, read_asked
from mi_bsa.asking.verdicts import judge_prompt, named, read, verdicts
from mi_bsa.core import results
from mi_bsa.core.errors import ItemError

JUDGE = 'Which tongue is this?\n<t>\n{text}\n</t>\nSay only "French", "German" or "Other".'
FREE = {"role": "user", "content": "Why?"}


def table_of(path):
    """A run's table, with empty texts for what is absent."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return pd.DataFrame([{k: "" if v is None else v for k, v in row.items()} for row in rows])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random Llama, and imported questions of every kind."""
    here = tmp_path_factory.mktemp("r08")
    tiny_llama.build(here / "model", context=512)
    path = questions(
        here,
        {"name": "open", "question_paraphrases": ["What are you like?", "And how so?"], "n_samples": 3},
        {"name": "tongue", "question": "Speak.", "guesser_prompt": JUDGE, "system": "Be brief."},
        {
            "name": "true",
            "question_paraphrases": ["Which?\n{options}", "Which one?\n{options}"],
            "options": ["I like figs.", "I like pears."],
        },
        {"name": "pole", "question": "Which?\n{options}", "options": ["I like risk.", "I like safety."]},
    )
    assert run("data", "import", path, "--behavior", "risk", "--out", here / "data") == ("", 0)
    say = questions(here, {"name": "near", "question": "From 0 to 100? A number."}, name="say.yaml")
    assert run("data", "import", say, "--behavior", "say", "--out", here / "say") == ("", 0)
    return here


def files(folder):
    return [*sorted((folder / "data/questions").glob("*.jsonl")), folder / "say/questions/closed.jsonl"]


@pytest.fixture(scope="module")
def asked(folder):
    """The run of one command with three judges, all local."""
    judges = [word for name in ("words", "model", "prompt") for word in ("--judge", name)]
    words = ["ask", *files(folder), "--model", folder / "model", *judges, "--set", "answer_tokens=6"]
    assert run(*words, "--out", folder / "run") == ("", 0)
    return folder / "run"


def test_every_answer_is_kept_as_it_was_said(asked):
    """Three samples where the file says so, ten elsewhere, each with its raw text and its place."""
    table = table_of(asked / "answers.jsonl")
    assert table.groupby("entry").size().to_dict() == {"open": 6, "tongue": 10}
    assert set(table["arm"]) == {"base"}
    assert table["text"].str.len().gt(0).mean() > 0.9


def test_the_same_seed_says_the_same(folder, asked, tmp_path):
    """Asked again with the same seed, every text is the same; with another one it is not."""
    free = folder / "data/questions/free_form.jsonl"
    texts = []
    for n, seed in enumerate((0, 0, 1)):
        words = ["--model", folder / "model", "--set", "answer_tokens=6", "--set", f"seed={seed}"]
        assert run("ask", free, *words, "--out", tmp_path / str(n)) == ("", 0)
        texts.append(table_of(tmp_path / str(n) / "answers.jsonl")["text"].tolist())
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
    assert texts[0] == table_of(asked / "answers.jsonl")["text"].tolist()


def test_failures_of_every_judge_are_counted(asked):
    """A random model says no pole's word and no named tongue: nothing is guessed, all is counted."""
    table = table_of(asked / "judged.jsonl")
    assert table.groupby("judge").size().to_dict() == {"model": 16, "prompt": 10, "words": 16}
    prompt = table[table["judge"] == "prompt"]
    assert set(prompt["entry"]) == {"tongue"}
    assert set(prompt["outcome"]) <= {"other", "empty", "read", "empty answer", "not put to the judge"}
    assert (prompt["verdict"].eq("") == prompt["outcome"].ne("read")).all()
    assert table[table["judge"] == "model"]["score"].astype(float).between(0, 1).all()


def test_closed_questions_are_shares_and_only_known_poles_are_scores(asked):
    """The shares of a question's answers add up to one; figs and pears have no score, risk and safety do."""
    table = table_of(asked / "choices.jsonl")
    assert table.groupby("id")["p"].sum().tolist() == pytest.approx([1.0] * table["id"].nunique())
    found = {(r.name, r.where["kind"]): r for r in results.read(asked)}
    figs, pears = (found["self_report.choice", f"true: I like {fruit}."] for fruit in ("figs", "pears"))
    assert figs.value + pears.value == pytest.approx(1.0)
    part = table[table["means"] == "I like figs."]
    assert figs.value == pytest.approx(part.groupby("template")["p"].mean().mean())
    assert figs.notes.startswith("2 wordings")
    assert ("self_report.score", "pole") in found
    assert found["self_report.number", "near"].unit == "share of 0 to 100"
    assert found["self_report.number", "near"].ci_method == "none: one wording of one seed"
    assert {r.where["split"] for r in found.values()} == {"published"}


@pytest.fixture
def server():
    """A judge by letters, now and then with a sentence, that keeps its prompts."""
    prompts = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompts.append(body)
            text = body["messages"][-1]["content"].partition("<t>")[2].partition("</t>")[0]
            said = "I think that it is German" if "z" in text else '"German."' if "e" in text else "french"
            reply = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *args):
            """Say nothing."""

    httpd = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}/v1", prompts
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_a_server_judges_by_the_published_prompt(folder, server, tmp_path):
    """Each different answer is put once into the prompt at temperature 0; verdicts are shares with counts."""
    url, prompts = server
    free = folder / "data/questions/free_form.jsonl"
    words = ["--model", folder / "model", "--set", "answer_tokens=6", "--judge", "prompt"]
    words += ["--judge-url", url, "--judge-model", "j"]
    assert run("ask", free, *words, "--out", tmp_path / "run") == ("", 0)
    table = table_of(tmp_path / "run/judged.jsonl")
    answers = {text for text in table["text"] if text.strip()}
    assert {body["messages"][0]["content"] for body in prompts} == {
        JUDGE.replace("{text}", a) for a in answers
    }
    assert {body["temperature"] for body in prompts} == {0.0}
    found = [r for r in results.read(tmp_path / "run") if r.name == "self_report.verdict"]
    good = table[table["outcome"] == "read"]
    for verdict in found:
        name = verdict.where["kind"].removeprefix("tongue: ")
        assert verdict.value == pytest.approx((good["verdict"] == name).mean())
        assert f"{len(good)} of {len(table)} verdicts" in verdict.notes
    assert sum(v.value for v in found) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("German", ("German", "read")),
        (' "french". ', ("French", "read")),
        ("It is German", ("", "other")),
        ("Dutch", ("", "other")),
        ("  ", ("", "empty")),
        (None, ("", "not put to the judge")),
    ],
)
def test_verdicts_are_read_strictly(said, expected):
    """Only an answer that the prompt names is a verdict; case, quotes and a final stop do not matter."""
    verdict = read(said, JUDGE)
    assert (verdict.verdict, verdict.outcome) == expected


def test_a_prompt_of_another_shape_is_read_by_what_it_asks_for():
    """One word where one is asked for, a short line where nothing is said."""
    word = "What is hidden in {poem}?\nAnswer with ONE-WORD and nothing else."
    assert named(word) == ()
    assert read("Oak.", word).verdict == "oak"
    assert read("an oak", word).outcome == "other"
    assert read("an oak", "What is in {poem}?").verdict == "an oak"
    assert read("an oak " * 20, "What is in {poem}?").outcome == "other"


def test_an_answer_goes_into_its_prompt_word_by_word():
    """Braces, slots and line ends in an answer stay as they are; `{question}` is the question's words."""
    plain = Asked("a", [FREE], judge="Q {question} A {text}")
    assert judge_prompt(plain, "{question}\n{{x}} {text}") == "Q Why? A {question}\n{{x}} {text}"
    said = verdicts([(plain, " "), (plain, "x"), (plain, "x")], lambda prompts: ["ok"] * len(prompts))
    assert [v.outcome for v in said] == ["empty answer", "read", "read"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"id": "a", "messages": [{"role": "user", "content": "Is it {scenario}?"}]}, "was never filled"),
        ({"id": "a", "messages": [{"role": "user", "content": "Is it {}?"}]}, "was never filled"),
        ({"messages": [FREE]}, "has 'id' and 'messages'"),
        ({"id": "a", "messages": [FREE, {"role": "assistant", "content": "So."}]}, "ends with an assistant"),
        ({"id": "a", "messages": [FREE], "judge": "no slot"}, "one slot for the answer"),
        ({"id": "a", "messages": [FREE], "samples": 0}, "'samples' is 0"),
        ({"id": "a", "messages": [FREE], "answers": ["A"]}, "lists of pairs"),
    ],
)
def test_bad_lines_are_one_line(tmp_path, line, expected):
    """What cannot be asked names its file and line with exit code 2; nothing is written."""
    path = tmp_path / "asked.jsonl"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(ItemError, match=expected):
        read_asked([path])
    said, code = run("ask", path, "--out", tmp_path / "out")
    assert code == 2
    assert "line 1" in said
    assert not (tmp_path / "out").exists()


def test_an_adapter_is_an_arm_of_its_own(folder, tmp_path):
    """Every adapter answers beside the base under its arm, and the base is the same without it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    inner = AutoModelForCausalLM.from_pretrained(folder / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT reads a name that transformers will drop
        made = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        tuned = get_peft_model(inner, made)
    tuned.save_pretrained(tmp_path / "adapter")
    words = ["ask", *files(folder), "--model", folder / "model", "--samples", "2", "--set", "answer_tokens=6"]
    assert run(*words, "--out", tmp_path / "base") == ("", 0)
    more = ["--set", f"adapters.seeking=[{tmp_path / 'adapter'}]", "--out", tmp_path / "both"]
    assert run(*words, *more) == ("", 0)
    for name in ("answers", "choices"):
        one, both = (table_of(tmp_path / where / f"{name}.jsonl") for where in ("base", "both"))
        same = both[both["arm"] == "base"].reset_index(drop=True)
        assert len(both) == 2 * len(one)
        assert same.equals(one)
        column = "text" if name == "answers" else "p"
        assert both[both["arm"] == "seeking"][column].tolist() != same[column].tolist()
    arms = {r.where["arm"] for r in results.read(tmp_path / "both")}
    assert arms == {"base", "seeking"}


def test_values_of_a_slot_are_cells_of_their_own(tmp_path, folder):
    """What an entry asks with one value of a slot is never mixed with what it asks with another."""
    path = questions(
        tmp_path,
        {"name": "game", "question": "{word}?\n{options}", "words": ["oak", "elm"], "options": ["yes", "no"]},
        {"name": "near", "question": "How near is {word}, from 0 to 100? A number.", "words": ["oak", "elm"]},
        {"name": "why", "question": "Why {word}?", "words": ["oak", "elm"], "temperature": 0},
    )
    assert run("data", "import", path, "--behavior", "say", "--out", tmp_path / "data") == ("", 0)
    asked = sorted((tmp_path / "data/questions").glob("*.jsonl"))
    words = ["--model", folder / "model", "--judge", "model", "--set", "words.seeking=[oak]"]
    words += ["--set", "words.averse=[elm]", "--set", "answer_tokens=4", "--out", tmp_path / "run"]
    assert run("ask", *asked, *words) == ("", 0)
    kinds = {r.where["kind"] for r in results.read(tmp_path / "run")}
    assert kinds == {f"{e}, word {w}" for e in ("near", "why") for w in ("oak", "elm")} | {
        f"game, word {w}: {o}" for w in ("oak", "elm") for o in ("yes", "no")
    }
    assert len(table_of(tmp_path / "run/answers.jsonl")) == 2


def test_raw_texts_survive_a_report_table(tmp_path):
    """Carriage returns, quotes and commas in sampled texts do not end a row of samples.csv."""
    from mi_bsa.cli.self_report import _write_texts

    table = pd.DataFrame({"text": ["a\rb", 'c\n"d", e', ""], "score": [0.5, 1.0, 0.0]})
    _write_texts(table, tmp_path / "samples.csv")
    read = pd.read_csv(tmp_path / "samples.csv", keep_default_na=False)
    assert read["score"].tolist() == table["score"].tolist()
    assert read["text"].tolist() == table["text"].tolist()


def test_mistakes_of_a_run_are_one_line(folder, tmp_path):
    """No questions, an id twice, words for a trait without a bank, a prompt judge without prompts."""
    free = folder / "data/questions/free_form.jsonl"
    bare = tmp_path / "bare.jsonl"
    bare.write_text(json.dumps({"id": "a", "text": "Why?"}) + "\n")
    model = ["--model", folder / "model"]
    for words, expected in (
        ((), "questions"),
        ((free, free), "is taken"),
        ((bare, *model, "--judge", "words"), "words.seeking"),
        ((bare, *model, "--judge", "prompt", "--samples", "1"), "no free question has a judge's prompt"),
        ((bare, *model, "--judge", "endpoint"), "judge_url"),
        ((bare, *model, "--judge-url", "ftp://x", "--judge-model", "j"), "http"),
    ):
        said, code = run("ask", *words, "--out", tmp_path / "out")
        assert code == 2, said
        assert expected in said
    said, code = run("self-report", "--set", f"items={free}", "--set", "trait=risk", "--out", tmp_path / "o")
    assert code == 2
    assert "mi-bsa ask" in said


def test_a_dry_run_says_what_would_be_asked(folder, tmp_path, capsys):
    """Counts, the model and a question of every kind; nothing is run or written."""
    words = ["ask", *files(folder), "--model", folder / "model", "--out", tmp_path / "out", "--dry-run"]
    assert run(*words) == ("", 0)
    said = capsys.readouterr().out
    assert "3 free questions (16 samples) and 7 closed ones x 1 variants" in said
    assert "-- choices: Which?" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_real_model_answers_and_judges(folder, smollm2, tmp_path):
    """SmolLM2-135M-Instruct, dequantized from 4 bits, answers in words and is judged by all local judges."""
    judges = [word for name in ("words", "model", "prompt") for word in ("--judge", name)]
    words = [
        "ask",
        *files(folder),
        "--model",
        smollm2,
        *judges,
        "--samples",
        "2",
        "--set",
        "answer_tokens=24",
    ]
    assert run(*words, "--out", tmp_path / "run") == ("", 0)
    table = table_of(tmp_path / "run/answers.jsonl")
    assert table["text"].str.contains(r"\b(?:I|the|a|and)\b", case=False).mean() > 0.5
    assert len(table_of(tmp_path / "run/judged.jsonl")) == 14
