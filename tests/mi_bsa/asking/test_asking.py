"""Asking by log-probabilities: equal to one plain forward pass an option, token by token."""

import json

import numpy as np
import pytest
import tiny_llama
import torch

import activations
from activations.conversation import tails, template_of
from activations.tokens import Template
from mi_bsa.asking.asking import ask
from mi_bsa.asking.likelihood import option_log_probs
from mi_bsa.core.errors import ItemError, TemplateError
from mi_bsa.core.items import Item, read_items, write_items


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_llama.load(tiny_llama.build(tmp_path_factory.mktemp("tiny")))


def item(
    name="i",
    question="A: 100 coins for sure. B: a lottery. Which?",
    options=(("A", 0.0), ("B", 1.0)),
    **labels,
):
    return Item(name, ({"role": "user", "content": question},), options, labels)


def by_hand(model, one):
    """Each option's log-probability from its own rendered text, tokenized as a whole, one forward pass
    each.
    """
    found = []
    messages = [dict(m) for m in one.messages]
    apply = model.tokenizer.apply_chat_template
    for text, _ in one.options:
        prompt = apply(messages, tokenize=False, add_generation_prompt=True, date_string="26 Jul 2024")
        full = apply(
            [*messages, {"role": "assistant", "content": text}], tokenize=False, date_string="26 Jul 2024"
        )
        start = len(model.tokenizer(prompt, add_special_tokens=False)["input_ids"])
        ids = model.tokenizer(full, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            log_probs = model.inner(torch.tensor([ids])).logits[0].float().log_softmax(-1)
        end = len(ids) - (0 if closes(model, one) else 1)
        found.append(sum(float(log_probs[k - 1, ids[k]]) for k in range(start, end)))
    return np.array(found)


def closes(model, one):
    """Whether one option's tokens begin another's, by the tokenizer on bare text after a newline."""
    coded = [model.tokenizer("\n\n" + t, add_special_tokens=False)["input_ids"] for t, _ in one.options]
    return any(a != b and b[: len(a)] == a for a in coded for b in coded)


def test_scores_equal_one_plain_pass_an_option(model):
    """Single tokens, long options, shared beginnings and nested options all equal one unpadded pass an
    option.
    """
    items = [
        item("letters"),
        item(
            "words",
            "Describe yourself in one word.",
            (("bold", 1), ("cautious", 0), ("careful as can be", 0.2)),
        ),
        item("numbers", "How bold are you?", tuple((str(n), n / 100) for n in (0, 1, 10, 100, 55))),
        item(
            "longer",
            "Think about it for a long while before you say anything. Yes or no?",
            (("yes", 1), ("no", 0)),
        ),
    ]
    for one, found in zip(items, option_log_probs(model, items), strict=True):
        np.testing.assert_allclose(found, by_hand(model, one), atol=2e-5)


def test_score_is_the_expected_score_and_mass_its_divisor(model):
    """The score is the options' expected score, and mass the probability of all options."""
    one = item(options=(("A", 0.25), ("B", 1.0)), trait="risk")
    p = np.exp(by_hand(model, one))
    row = ask(model, [one]).iloc[0]
    assert row["score"] == pytest.approx((p @ [0.25, 1.0]) / p.sum(), abs=1e-6)
    assert row["mass"] == pytest.approx(p.sum(), rel=1e-5)
    assert row["argmax"] == ("A" if p[0] > p[1] else "B")
    assert row["trait"] == "risk"


def test_batching_and_order_do_not_matter(model):
    """A tiny token budget, one big batch, and shuffled items give the same scores."""
    items = [
        item(
            f"i{n}",
            "which " * (1 + n * 7 % 11) + "?",
            (("bold", 1.0), ("cautious", 0.0)) if n % 2 else (("A", 1), ("B", 0)),
        )
        for n in range(12)
    ]
    together = ask(model, items).set_index("id")["score"]
    alone = ask(model, items[::-1], max_tokens=1).set_index("id")["score"]
    np.testing.assert_allclose(together, alone[together.index], atol=1e-6)


def test_option_order_in_the_tuple_does_not_matter(model):
    """The score of an item does not depend on the order in which its options are listed."""
    first = ask(model, [item(options=(("bold", 1), ("cautious", 0)))])["score"][0]
    second = ask(model, [item(options=(("cautious", 0), ("bold", 1)))])["score"][0]
    assert first == pytest.approx(second, abs=1e-7)


def test_nested_options_are_disjoint_events(model):
    """Where '1' begins '10', the end of the turn is scored too, so that the mass stays a probability."""
    mass = ask(model, [item(options=tuple((str(n), n / 100) for n in range(101)))])["mass"][0]
    assert 0 < mass <= 1


def test_leading_space_tokens_are_found_in_context(tmp_path):
    """A template that writes ' A' is scored on the token with the space, one that writes 'A' on the one
    without.
    """
    spaced = tiny_llama.TEMPLATE.replace("<|end_header_id|>\n\n' + m[", "<|end_header_id|> ' + m[")
    spaced = spaced.replace("assistant<|end_header_id|>\n\n'", "assistant<|end_header_id|>'")
    tokenizer = tiny_llama.load(tiny_llama.build(tmp_path, template=spaced)).tokenizer
    _, (tail,) = tails(Template(tokenizer), [{"role": "user", "content": "A or B?"}], ["A"])
    assert tokenizer.convert_ids_to_tokens(list(tail.lead + tail.answer)) in (["\u0120A"], ["\u0120", "A"])
    assert tokenizer.convert_ids_to_tokens(list(tail.closing)) == ["<|eot_id|>"]


def test_a_template_that_doubles_the_first_token_is_refused(tmp_path):
    """A chat template that writes the beginning-of-text token twice is an error that says so."""
    model = tiny_llama.load(tiny_llama.build(tmp_path, template="{{ bos_token }}" + tiny_llama.TEMPLATE))
    with pytest.raises(TemplateError, match="write it once"):
        ask(model, [item()])


def test_a_template_that_rewrites_the_prompt_is_refused(tmp_path):
    """Where the prompt is not the beginning of the rendered answer, nothing is scored."""
    broken = tiny_llama.TEMPLATE.replace(
        "'<|start_header_id|>assistant<|end_header_id|>\n\n'", "'<|start_header_id|>bot<|end_header_id|>'"
    )
    model = tiny_llama.load(tiny_llama.build(tmp_path, template=broken))
    with pytest.raises(TemplateError, match="generation prompt"):
        ask(model, [item()])


def test_a_token_across_the_boundary_is_refused(tmp_path):
    """A prompt whose last token would merge with the answer is an error, not a guess."""
    merging = tiny_llama.TEMPLATE.replace("<|end_header_id|>\n\n", "<|end_header_id|>Y")
    model = tiny_llama.load(tiny_llama.build(tmp_path, template=merging))
    with pytest.raises(TemplateError, match="share a token"):
        ask(model, [item(options=(("ou", 1), ("es", 0)))])


def test_a_prompt_longer_than_the_context_is_refused(model):
    """Nothing is truncated: a prompt that the model cannot read whole is an error naming the item."""
    with pytest.raises(ItemError, match="shorten it"):
        ask(model, [item("long", "which offer? " * 200)])


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ((("A", 0.0),), "at least two"),
        ((("A", 0.0), ("A ", 1.0)), "must differ"),
        ((("A", 0.0), ("B", 2.0)), "rescale"),
        ((("A", 0.0), ("", 1.0)), "a text"),
    ],
)
def test_bad_options_are_refused(options, remedy):
    """Options must be two or more, different, non-empty, with scores in [0, 1]."""
    with pytest.raises(ItemError, match=remedy):
        item(options=options)


def test_items_travel_through_a_file(tmp_path):
    """Items read back from JSONL equal those written, and the file is a prompts file with one key more."""
    items = [
        item("a", trait="risk", n=3),
        item("b", question="Caf\u00e9\u2028?", options=(("yes", 1), ("no", 0))),
    ]
    path = write_items(items, tmp_path / "items.jsonl")
    assert read_items(path) == items
    assert json.loads(path.read_text().split("\n")[0])["trait"] == "risk"


def test_labels_may_not_hide_results(model):
    """A label named like a result column is refused."""
    with pytest.raises(ItemError, match="rename the label"):
        ask(model, [item(score=1.0)])


@pytest.mark.parametrize("positions", ["all", "prompt", "generated"])
def test_edits_in_force_apply_to_every_option(tmp_path, positions):
    """Under an edit, options asked as a tree score as they do one pass each, with the prompt's end in its
    place.
    """
    steered = activations.load(tiny_llama.build(tmp_path))
    push = torch.linspace(-1, 1, steered.d_model)
    one = item("long", "Describe yourself.", (("bold as can be", 1), ("cautious", 0), ("careful", 0.2)))
    before = option_log_probs(steered, [one])[0]
    with activations.edit(
        steered, activations.add((push, "resid_post.0"), scale=3.0, units="raw", positions=positions)
    ):
        (found,) = option_log_probs(steered, [one])
        prompt, ends = tails(template_of(steered), one.messages, [text for text, _ in one.options])
        for tail, score in zip(ends, found, strict=True):
            ids = torch.tensor([prompt + tail.answer])
            with torch.no_grad(), steered._prompts_end_at(torch.tensor([len(prompt)])):
                logits = steered.inner(ids, attention_mask=torch.ones_like(ids)).logits[0].log_softmax(-1)
            alone = sum(float(logits[k - 1, ids[0, k]]) for k in range(len(prompt), ids.shape[1]))
            assert score == pytest.approx(alone, abs=1e-4)
    assert np.abs(found - before).max() > 1e-3
