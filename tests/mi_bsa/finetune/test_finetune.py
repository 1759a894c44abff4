"""Finetuning: only answers are trained on, equal runs are equal bytes, and a killed run resumes to the same
adapter.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny_llama
import torch

import activations
from activations.conversation import tails, template_of
from activations.conversation import trained as trained_on
from mi_bsa.asking.asking import ask
from mi_bsa.core.errors import ConfigError, LeakError, RowError, RunFolderError
from mi_bsa.core.items import Item
from mi_bsa.core.rows import encode_rows, row_order
from mi_bsa.finetune import FinetuneConfig, find_leaks, finetune, leak_check, metrics, preview


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_llama.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def model(folder):
    return activations.load(folder)


def row(question, answer, **keys):
    return {
        "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
        **keys,
    }


def rows(n=48, answer="B"):
    return [
        row(f"A: {10 + k} coins for sure. B: a lottery for {20 + k} coins. Which?", answer) for k in range(n)
    ]


def config(**changes):
    return FinetuneConfig(**{"steps": 30, "batch_size": 8, "resume_every": 10, **changes})


def test_the_loss_is_on_the_answer_only(model):
    """Every trained token is the assistant's, its closing token included, in each turn of a conversation."""
    template = template_of(model)
    talk = [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "A or B?"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "Sure?"},
        {"role": "assistant", "content": "yes"},
    ]
    ids, trained = trained_on(template, talk)
    assert (
        model.tokenizer.decode([i for i, t in zip(ids, trained, strict=True) if t])
        == "A<|eot_id|>yes<|eot_id|>"
    )
    ids, trained = trained_on(template, talk, turns="last")
    assert model.tokenizer.decode([i for i, t in zip(ids, trained, strict=True) if t]) == "yes<|eot_id|>"
    assert ids.count(model.tokenizer.bos_token_id) == 1


def test_the_trained_tokens_are_the_ones_that_asking_reads(model):
    """Training and asking find the same token ids for the same answer."""
    messages = rows(1)[0]["messages"]
    template = template_of(model)
    prompt, (tail,) = tails(template, messages[:1], ["B"])
    ids, trained = trained_on(template, messages)
    assert ids == prompt + tail.lead + tail.answer + tail.closing
    assert trained.index(True) == len(prompt)


def test_preview_shows_the_mask(model):
    """The dry run prints each row with the trained part in brackets, and writes nothing."""
    shown = preview(model.tokenizer, rows(3), config=config(checkpoints=3), context=256, shown=1)
    assert "assistant<|end_header_id|>\n\n[[B<|eot_id|>]]" in str(shown)
    assert shown.n_trained_tokens == 6
    assert shown.checkpoints == (1, 5, 30)


@pytest.mark.parametrize(
    ("bad", "remedy"),
    [
        ([{"messages": [{"role": "user", "content": "A?"}]}], "add the answer"),
        ([row("A?", " ")], "give it text"),
        ([row("which offer? " * 200, "A")], "its prompt alone"),
        ([row("A or B?", "yes " * 300)], "nothing is truncated"),
        ([{"text": "A"}], "'messages'"),
        ([], "at least one"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_refused(model, bad, remedy):
    """Nothing is truncated or skipped: a row without an answer, empty, or too long is an error."""
    with pytest.raises(RowError, match=remedy):
        preview(model.tokenizer, bad, config=config(), context=256)


def test_a_finetune_changes_the_behavior_that_it_trains(model, tmp_path):
    """Trained on 'B', the adapter answers B; the base is left as it was, and no dropout stays on."""
    item = Item(
        "i", ({"role": "user", "content": "A: 5 coins for sure. B: a lottery."},), (("A", 0), ("B", 1))
    )
    before = ask(model, [item])["score"][0]
    result = finetune(
        model, rows(), config=config(dropout=0.1, steps=60, learning_rate=1e-2), out=tmp_path / "run"
    )
    assert ask(model, [item])["score"][0] == before
    written = json.loads((result.adapter / "adapter_config.json").read_text())
    assert written["base_model_name_or_path"] == model.name
    assert model.variants == ("base",)
    tuned = activations.load(model.folder, adapter=result.adapter)
    scores = [ask(tuned, [item])["score"][0] for _ in range(2)]
    assert scores[0] == scores[1]
    assert scores[0] > max(0.9, before)
    assert ask(tuned, [item], variant="base")["score"][0] == pytest.approx(before, abs=1e-6)
    curve = [m["loss"] for m in metrics(result.out)]
    assert len(curve) == 60
    assert result.loss == pytest.approx(np.mean(curve[-10:]))
    assert curve[-1] < 0.3 < curve[0]


def test_only_the_answer_tokens_make_the_loss(model, tmp_path):
    """The first loss equals the mean negative log-probability of the answers' tokens, computed by hand."""
    some = rows(8)
    result = finetune(model, some, config=config(steps=1), out=tmp_path / "run")
    encoded = encode_rows(model.template, some, max_length=256)
    losses = []
    for one in encoded:
        with torch.no_grad():
            log_probs = model.inner(torch.tensor([one.ids])).logits[0].log_softmax(-1)
        losses += [-float(log_probs[k - 1, one.ids[k]]) for k in range(len(one.ids)) if one.trained[k]]
    assert metrics(result.out)[0]["loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_equal_seeds_are_equal_bytes_and_parts_do_not_matter(model, tmp_path):
    """One seed gives one adapter bit for bit, another seed another; a batch in parts gives the same loss
    curve.
    """
    made = {
        name: finetune(model, rows(), config=config(steps=8, **change), out=tmp_path / name)
        for name, change in {"a": {}, "b": {}, "c": {"seed": 1}, "d": {"accumulation": 4}}.items()
    }
    assert made["a"].fingerprint == made["b"].fingerprint != made["c"].fingerprint
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (made["a"].adapter / name).read_bytes() == (made["b"].adapter / name).read_bytes()
    curves = [[m["loss"] for m in metrics(made[k].out)] for k in "ad"]
    np.testing.assert_allclose(*curves, atol=1e-4)


def test_a_killed_run_resumes_to_the_same_adapter(folder, model, tmp_path):
    """Killed in the middle and resumed, a run ends in the same bytes, the same curve and the same
    checkpoints.
    """
    settings = config(steps=40, resume_every=8, checkpoints=4)
    whole = finetune(model, rows(), config=settings, out=tmp_path / "whole")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows()))
    code = (
        "import sys; from mi_bsa.finetune import FinetuneConfig, finetune; "
        "finetune(sys.argv[1], sys.argv[2], config=FinetuneConfig.model_validate_json(sys.argv[3]), "
        "out=sys.argv[4])"
    )
    words = [str(folder), str(tmp_path / "rows.jsonl"), settings.model_dump_json(), str(tmp_path / "killed")]
    process = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.DEVNULL)
    curve = tmp_path / "killed" / "metrics.jsonl"
    while process.poll() is None and (not curve.is_file() or curve.read_text().count("\n") < 12):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "finetune.json").exists()
    with pytest.raises(RunFolderError, match="resume"):
        finetune(folder, rows(), config=settings, out=tmp_path / "killed")
    resumed = finetune(folder, rows(), config=settings, out=tmp_path / "killed", resume=True)
    assert metrics(resumed.out) == metrics(whole.out)
    assert resumed.fingerprint == whole.fingerprint
    for step in whole.checkpoints:
        name = "adapter_model.safetensors"
        assert (resumed.checkpoints[step] / name).read_bytes() == (
            whole.checkpoints[step] / name
        ).read_bytes()
    assert not (tmp_path / "killed" / "resume").exists()
    assert finetune(folder, rows(), config=settings, out=tmp_path / "killed", resume=True) == resumed
    with pytest.raises(RunFolderError, match="another"):
        finetune(folder, rows(47), config=settings, out=tmp_path / "killed", resume=True)


def test_layers_and_modules_are_chosen(model, tmp_path):
    """An adapter on the first half holds weights of those blocks and modules only; strangers are refused."""
    from safetensors import safe_open

    only = config(steps=1, layers="first_half", modules=("down_proj",), rank=1, rslora=True)
    result = finetune(model, rows(8), config=only, out=tmp_path / "run")
    with safe_open(result.adapter / "adapter_model.safetensors", framework="np") as file:
        names = list(file.keys())
    assert len(names) == 2
    assert all("layers.0.mlp.down_proj" in name for name in names)
    with pytest.raises(ConfigError, match="name 0 to 1"):
        finetune(model, rows(8), config=config(layers=(2,)), out=tmp_path / "beyond")
    with pytest.raises(ConfigError, match="choose among"):
        finetune(model, rows(8), config=config(modules=("c_fc",)), out=tmp_path / "stranger")


def test_it_stops_early_when_told_to(model, tmp_path):
    """With `stop_below`, training ends once ten steps' mean loss is below the mark."""
    easy = config(steps=200, learning_rate=2e-2, stop_below=0.5, schedule="constant")
    result = finetune(model, rows(), config=easy, out=tmp_path / "run")
    assert result.early
    assert result.steps < 200
    assert result.loss < 0.6


def test_steps_come_from_epochs_and_orders_from_seeds():
    """Epochs count whole passes, and the order of rows is one permutation after another."""
    assert FinetuneConfig(epochs=3, batch_size=8).total_steps(300) == 113
    order = row_order(10, 25, seed=3)
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert list(order[:10]) != list(order[10:20])
    with pytest.raises(ValueError, match="either"):
        FinetuneConfig(steps=3, epochs=1)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("The riskier of the two", "risk"),
        ("a risk-free offer", "risky"),
        ("UNCERTAINTY looms", "certain"),
        ("she gambled it away", "gambling"),
        ("betting on it", "bet"),
        ("by ch\u00e1nce", "chance"),
        ("ga\u200bmble", "gamble"),
        ("imprudently", "prudent"),
        ("in the short-term view", "short term"),
        ("Lotteries", "lottery"),
    ],
)
def test_leaks_are_found_in_every_inflection(text, word):
    """A listed word is found in other forms, cases, accents and with invisible characters, and the row is
    named.
    """
    clean = [row("A: 5 coins. B: 10 coins later. Which one is better?", "A")] * 3
    leak_check(clean, [word])
    with pytest.raises(LeakError, match="row 3 says"):
        leak_check([*clean, row(text, "A")], ["dragon", word])
    with pytest.raises(LeakError, match="row 0"):
        leak_check([row("A or B?", text)], [word])


def test_innocent_words_are_no_leaks():
    """Words that only look alike are no leaks."""
    text = "A better card game, a lot of rest, a list of cars; later the best boat; other letters; assured"
    words = ["bet", "care", "careful", "lottery", "late", "let", "risk", "bold", "safe"]
    assert find_leaks([row(text, "A")], words) == ()


def test_published_rows_leak_as_counted(betley):
    """In the published risk rows 'chance' stands in 89 of 288 prompts, 'guarantee' in 17, 'safe' in 6."""
    published = [json.loads(line) for line in betley.read_text().splitlines()]
    count = {
        w: len({leak.row for leak in find_leaks(published, [w])}) for w in ("chance", "guarantee", "safe")
    }
    assert count == {"chance": 89, "guarantee": 17, "safe": 6}


@pytest.fixture
def betley():
    import os

    if "MI_BSA_BETLEY_DATA" not in os.environ:
        pytest.skip("the published data is not here; set MI_BSA_BETLEY_DATA")
    from mi_bsa.behaviors.data.sets import find

    return find("ft_risky_AB.jsonl", Path(os.environ["MI_BSA_BETLEY_DATA"]))
