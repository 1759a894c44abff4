"""Lenses: at the last block a logit lens is the model itself, directions are read through what they pass, and
words that a vector was made of stand out of vectors that mean nothing.
"""

import numpy as np
import pytest
import torch

import activations
from activations import differences, hooks, jacobian, lens, lora, patchscope, testing
from activations.errors import PromptError, SiteError
from activations.sites import Site
from activations.vocabulary import Vocabulary

TEXTS = [
    "the quick brown fox",
    "take one or two coins",
    "be bold now",
    "jumps over the lazy dog",
    "what is it",
]
FAMILIES = ("llama", "gemma2", "gemma3_text")


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return testing.tiny(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return testing.tiny(tmp_path_factory.mktemp("llama"), "llama")


def whole(model, site):
    batch = model.collate(model.rows([{"text": text} for text in TEXTS]))
    return batch, hooks.read(model, batch, [Site.parse(site)], hooks.whole)[Site.parse(site)]


def test_at_the_last_block_the_lens_is_the_model(model):
    """Final norm, tied head and soft cap: transformers' own logits, from the last block's output alone."""
    last = f"resid_post.{model.n_layers - 1}"
    batch, states = whole(model, last)
    found = lens.logit_lens(model, states, site=last)
    with torch.no_grad():
        plain = model.inner(**batch.inputs).logits
    torch.testing.assert_close(found[batch.mask], plain[batch.mask], atol=2e-5, rtol=2e-5)
    _, normed = whole(model, "final_norm")
    again = lens.logit_lens(model, normed, site="final_norm")
    torch.testing.assert_close(again[batch.mask], plain[batch.mask], atol=2e-5, rtol=2e-5)


def test_a_direction_is_read_as_a_state_along_it(model):
    """Whatever its length, and in the order that a capped state of that direction has."""
    site, vector = "resid_post.1", torch.randn(model.d_model, generator=torch.Generator().manual_seed(0))
    short, long = (lens.direction_logits(model, vector * size, site=site) for size in (1e-3, 1e3))
    torch.testing.assert_close(short, long, atol=1e-4, rtol=1e-4)
    state = lens.logit_lens(model, vector * 10, site=site)
    assert np.corrcoef(short.argsort().argsort(), state.argsort().argsort())[0, 1] > 0.999


@pytest.mark.parametrize("module", ["o_proj", "down_proj"])
def test_what_a_module_adds_is_read_behind_its_norm(model, module):
    """A neuron's, a head's and an adapter's vector become what the block adds when there is nothing else."""
    name, layer = model.active_adapter, 1
    a, b, scaling = lora.factors(model.anatomy, name, layer, module)
    inner = torch.randn(len(a), generator=torch.Generator().manual_seed(1))
    added = lens.in_stream(model, inner @ b.T * scaling, site=f"lora_out.{module}.{layer}")
    same = lens.in_stream(model, inner, site=f"lora_a.{module}.{layer}")
    torch.testing.assert_close(added / added.norm(), same / same.norm(), atol=1e-4, rtol=1e-4)
    kind = {"o_proj": "head_z", "down_proj": "mlp_act"}[module]
    wide = torch.randn(a.shape[1], generator=torch.Generator().manual_seed(2))
    parts = model.anatomy.parts[layer]
    linear = parts.linear(module)
    with torch.no_grad():
        plain = linear(wide) - (linear.base_layer.bias if linear.base_layer.bias is not None else 0)
        after = parts.attention_after if module == "o_proj" else parts.mlp_after
        plain = plain if after is None else after(plain)
    found = lens.in_stream(model, wide, site=f"{kind}.{layer}")
    cosine = torch.nn.functional.cosine_similarity(found, plain, dim=0)
    assert float(cosine) > 0.9999


def test_sites_that_the_stream_never_gets_are_refused(llama):
    """With the lens that goes through them."""
    width = llama.anatomy.shape(Site.parse("lora_out.q_proj.0"), adapter=llama.active_adapter)[0]
    with pytest.raises(SiteError, match="Jacobian lens"):
        lens.read_vector(llama, (torch.ones(width), "lora_out.q_proj.0"))
    with pytest.raises(SiteError, match="as a direction"):
        lens.logit_lens(llama, torch.ones(llama.d_model), site="mlp_out.0")
    with pytest.raises(SiteError, match="zero or not finite"):
        lens.read_vector(llama, (torch.zeros(llama.d_model), "resid_post.0"))


def test_a_words_own_direction_is_found_and_a_random_one_is_not(llama):
    """Planted: the head's row of a word, beside noise; p is at its floor, and in the nulls it is uniform."""
    vocabulary = Vocabulary.of(llama)
    states = differences.activation_differences(llama, TEXTS, sites="resid_post.1")["resid_post.1"].states
    nulls = lens.Nulls.draw(llama.d_model, states, n=32, seed=0)
    head = llama.anatomy.head.weight.detach().float()
    (word,) = vocabulary.spelled(["bold"])
    token = int(np.flatnonzero(vocabulary.word_of == word.index)[0])
    planted = lens.read_vector(llama, (head[token], "resid_post.1"), nulls=nulls, vocabulary=vocabulary)
    table = planted.top(5)
    assert table["word"][0] == "bold"
    assert table["p"][0] == 1 / 65
    assert table["p_random"][0] == table["p_random_difference"][0] == 1 / 33
    found = planted.find(["fox", "bold"])
    assert (found.best.word, found.rank, found.n) == ("bold", 1, 64)
    assert found.p == pytest.approx(1 / 65, abs=0.1)
    generator = torch.Generator().manual_seed(7)
    ps = []
    for _ in range(60):
        noise = torch.randn(llama.d_model, generator=generator)
        own = lens.Nulls.draw(llama.d_model, n=19, seed=int(torch.randint(9**9, (1,), generator=generator)))
        ps.append(
            lens.read_vector(llama, (noise, "resid_post.1"), nulls=own, vocabulary=vocabulary)
            .find(["bold"])
            .p
        )
    assert 0.35 < np.mean(ps) < 0.7
    assert np.mean(np.array(ps) <= 0.1) < 0.25


def test_words_are_counted_once_and_none_is_lost(llama):
    """Every token is a word's or is counted as left out; a word of several tokens says so."""
    vocabulary = Vocabulary.of(llama)
    assert vocabulary.left_out == int((vocabulary.word_of < 0).sum())
    assert set(vocabulary.word_of[vocabulary.word_of >= 0]) == set(range(len(vocabulary.words)))
    logits = torch.randn(3, len(vocabulary.word_of), generator=torch.Generator().manual_seed(0))
    scores = vocabulary.scores(logits)
    for word in (0, len(vocabulary.words) // 2):
        own = np.flatnonzero(vocabulary.word_of == word)
        torch.testing.assert_close(scores[:, word], logits[:, own].amax(1))
    assert vocabulary.spell("bold").tokens == 1
    assert vocabulary.spell("boldness").tokens > 1
    assert all(sum(letter.isalpha() for letter in word) > 1 for word in vocabulary.words)
    with pytest.raises(PromptError, match="no word that it begins with"):
        vocabulary.spell("#")


def test_whole_words_are_shown_as_they_are():
    """Of the embedded model's words, which are whole, none is taken for the beginning of another."""
    model = activations.load("embedded")
    vocabulary = Vocabulary.of(model)
    whole = [k for k, word in enumerate(vocabulary.words) if not word.startswith("~")]
    vocabulary.begun(model, whole)
    assert [vocabulary.shown(k) for k in whole] == [vocabulary.words[k] for k in whole]
    vocabulary.begun(model, [])


def test_a_difference_is_that_of_the_two_variants(model):
    """Against whole passes of either; a text's first tokens behind BOS, whatever is batched with it."""
    sites = ["resid_post.0", "resid_post.2"]
    found = differences.activation_differences(model, TEXTS, sites=sites, first=3, batch_tokens=12)
    for site in sites:
        each = []
        for text in TEXTS:
            (row,) = differences.rows_of(model, [text])
            batch = model.collate([row])
            values = []
            for variant in (model.active_name, "base"):
                with model.variant(variant):
                    values.append(hooks.read(model, batch, [Site.parse(site)], hooks.whole)[Site.parse(site)])
            each.append((values[0] - values[1])[0, row.n_bos : row.n_bos + 3].mean(0))
        torch.testing.assert_close(found[site].vector, torch.stack(each).mean(0), atol=1e-5, rtol=1e-4)
    assert found[sites[0]].relative > 0
    assert found[sites[0]].tokens == sum(
        len(differences.first_tokens(row, 3)) for row in differences.rows_of(model, TEXTS)
    )
    with pytest.raises(PromptError, match="compared with itself"):
        differences.activation_differences(model, TEXTS, after="base")
    with pytest.raises(PromptError, match="list of strings"):
        differences.activation_differences(model, "a text")


def test_conversations_count_from_their_last_question(llama):
    """Its first tokens, not the template's."""
    chat = {"id": "c", "messages": [{"role": "user", "content": "take one coin"}]}
    (row,) = differences.rows_of(llama, [chat])
    at = differences.first_tokens(row, 2)
    assert "take" in row.text[row.offsets[at[0]][0] : row.offsets[at[-1]][1]]


@pytest.mark.parametrize(
    "site", ["resid_post.0", "resid_pre.1", "mlp_out.1", "head_z.1", "lora_out.q_proj.1"]
)
def test_a_jacobian_is_what_finite_differences_give(model, site):
    """A vector added at all tokens of the texts, before and behind, over the stream after the last block."""
    found = jacobian.mean_jacobian(model, TEXTS[:3], site=site, batch_tokens=150)
    place = Site.parse(site)
    shape = model.anatomy.shape(place, adapter=model.active_adapter)
    vector = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    rows = differences.rows_of(model, TEXTS[:3])
    last, total, tokens = Site("resid_post", model.n_layers - 1), 0.0, 0
    for row in rows:
        batch = model.collate([row])
        ends = []
        for sign in (1, -1):
            step = sign * 3e-3 * vector

            def moved(value, step=step, row=row):
                spread = torch.zeros(value.shape[:2])
                spread[:, row.n_bos :] = 1
                return value + step * spread.reshape(*spread.shape, *(1,) * len(shape))

            with torch.no_grad(), hooks.altering(model, place, moved):
                ends.append(
                    hooks.read(model, batch, [last], hooks.whole)[last][0, row.n_bos :].double().sum(0)
                )
        total, tokens = total + (ends[0] - ends[1]) / 6e-3, tokens + len(row) - row.n_bos
    assert tokens == found.tokens
    wanted = (total / tokens).float()
    got = found.carried(vector.flatten())
    assert float((got - wanted).norm() / wanted.norm()) < 0.02


def test_at_the_last_block_a_jacobian_is_the_identity(llama):
    """And its lens is then the logit lens."""
    last = f"resid_post.{llama.n_layers - 1}"
    found = jacobian.mean_jacobian(llama, TEXTS[:2], site=last)
    torch.testing.assert_close(found.matrix, torch.eye(llama.d_model), atol=1e-6, rtol=0)
    vector = torch.randn(llama.d_model, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(
        found.logits(vector[None], last)[0],
        lens.direction_logits(llama, vector, site=last),
        atol=1e-4,
        rtol=1e-4,
    )
    with pytest.raises(SiteError, match="make one there"):
        found.logits(vector[None], "resid_post.0")


def test_a_patchscope_is_one_edited_pass(model):
    """Against transformers with the embedding replaced; the model is as before, and it says text."""
    scope = patchscope.Patchscope(model, prompt="take {} or", filler="one")
    vectors = torch.randn(3, model.d_model, generator=torch.Generator().manual_seed(5))
    got = scope.logits(vectors, "resid_pre.0")
    row, at = scope._row()
    assert row.text[slice(*row.offsets[at])].strip() == "one"
    with model.variant("base"), torch.no_grad():
        batch = model.collate([row])
        embedded = model.anatomy.embed(batch.ids)
        before = hooks.read(model, batch, [Site("resid_pre", 0)], hooks.whole)[Site("resid_pre", 0)]
        torch.testing.assert_close(embedded, before)
        for n, vector in enumerate(vectors):
            changed = embedded.clone()
            changed[0, at] = vector / vector.norm() * embedded[0, at].norm()
            given = {"attention_mask": batch.mask.long(), "position_ids": batch.positions}
            plain = model.inner(inputs_embeds=changed, **given)
            torch.testing.assert_close(got[n], plain.logits[0, -1], atol=3e-5, rtol=3e-5)
    assert isinstance(scope.say((vectors[0], "resid_post.1"), max_new_tokens=3), str)
    with pytest.raises(PromptError, match="place of the vector once"):
        patchscope.Patchscope(model, prompt="no slot").logits(vectors, "resid_pre.0")
    with pytest.raises(SiteError, match="in_stream"):
        scope.logits(vectors, "head_z.0")


def test_a_patchscope_asks_in_a_conversation_too(llama):
    """The slot stands in the last user message."""
    scope = patchscope.Patchscope(llama, prompt=[{"role": "user", "content": "what is {} ?"}], filler="one")
    row, at = scope._row()
    assert row.text[slice(*row.offsets[at])].strip() == "one"
    site, vector = "mlp_out.1", torch.ones(llama.d_model)
    nulls = lens.Nulls.draw(llama.d_model, n=8, seed=0)
    assert lens.read_vector(llama, (vector, site), lens=scope, nulls=nulls).top(3)["p"].between(0, 1).all()


def test_an_adapters_vectors_are_read(model):
    """Columns of B and singular vectors, wherever they write to the stream."""
    found = activations.adapter_vectors(model, modules=["down_proj"])
    nulls = lens.Nulls.draw(model.d_model, n=8, seed=0)
    reading = lens.read_vector(model, found[0], nulls=nulls)
    assert reading.name == found[0].name
    assert len(reading.top(4)) == 4
    lowest = reading.top(4, lowest=True)
    assert lowest["score"][0] == pytest.approx(float(reading.scores.min()))
