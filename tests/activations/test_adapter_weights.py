"""An adapter's weights alone: the change's own singular values, whatever the factors; planted words are
read.
"""

import numpy as np
import pytest
import torch

from activations import adapter_weights as weights
from activations import lora, testing
from activations.errors import AdapterError, SiteError
from activations.vocabulary import Vocabulary


@pytest.fixture(scope="module", params=("llama", "gemma2", "qwen2"))
def model(request, tmp_path_factory):
    return testing.tiny(tmp_path_factory.mktemp(request.param), request.param)


def planted(model, module, layer, left, right):
    """The model with one module's factors replaced by a rank-one change."""
    place = model.anatomy.projection(layer, module)[0]
    name = model.active_adapter
    a, b = place.lora_A[name].weight, place.lora_B[name].weight
    kept = a.data.clone(), b.data.clone()
    a.data.zero_()
    b.data.zero_()
    a.data[0], b.data[:, 0] = right, left
    return a, b, kept


def test_it_is_the_change_that_is_told(model):
    """Against numpy's SVD of the whole matrix; other factors of the same change tell the same."""
    found = weights.weight_changes(model)
    assert {(one.layer, one.module) for one in found} == set(model.anatomy.adapted(model.active_adapter))
    one = next(c for c in found if c.name == "down_proj.1")
    whole = lora.weight(model.anatomy, 1, "down_proj", adapter=model.active_adapter)
    base = lora.weight(model.anatomy, 1, "down_proj", adapter=None)
    _, sizes, _ = np.linalg.svd((whole - base).double().numpy())
    np.testing.assert_allclose(one.singular.numpy(), sizes[: len(one.singular)], rtol=1e-3)
    assert one.energy == pytest.approx(float(((whole - base) ** 2).sum()), rel=1e-3)
    assert one.relative == pytest.approx(float((whole - base).norm() / base.norm()), rel=1e-3)
    built = one.left @ torch.diag(one.singular) @ one.right
    torch.testing.assert_close(built, whole - base, atol=1e-5, rtol=1e-3)
    name = model.active_adapter
    place = model.anatomy.projection(1, "down_proj")[0]
    a, b = place.lora_A[name].weight, place.lora_B[name].weight
    kept = a.data.clone(), b.data.clone()
    mix = torch.tensor([[2.0, 1.0], [0.5, -1.0]])
    a.data, b.data = torch.linalg.inv(mix) @ kept[0], kept[1] @ mix
    again = next(c for c in weights.weight_changes(model) if c.name == "down_proj.1")
    a.data, b.data = kept
    torch.testing.assert_close(again.singular, one.singular, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(again.left, one.left, atol=1e-3, rtol=1e-3)
    table = weights.weights_table(found)
    assert table["share"].sum() == pytest.approx(1)
    assert ((table["effective_rank"] >= 1) & (table["effective_rank"] <= table["rank"] + 1e-6)).all()
    assert ((table["stable_rank"] >= 1) & (table["stable_rank"] <= table["rank"] + 1e-6)).all()


def test_planted_words_are_read_and_written(model):
    """A change that reads one token's embedding and writes another's row of the head, beside both nulls."""
    vocabulary = Vocabulary.of(model)
    token = {
        word: int(np.flatnonzero(vocabulary.word_of == vocabulary.spell(word).index)[0])
        for word in ("fox", "bold")
    }
    embedding = model.anatomy.embed(torch.tensor(token["fox"])).detach().float()
    scaled = model.anatomy.parts[0].attention_reads(embedding[None])[0].detach().float()
    width = model.anatomy.projection(0, "v_proj")[0].out_features
    a, b, kept = planted(model, "v_proj", 0, torch.ones(width), scaled)
    change = next(c for c in weights.weight_changes(model) if c.name == "v_proj.0")
    assert (len(change.singular), change.effective_rank) == (1, pytest.approx(1))
    read = weights.embedded(model, change, n=19, seed=0, vocabulary=vocabulary)
    a.data, b.data = kept
    assert read.top(1)["word"][0] == "fox"
    assert set(read.kinds) == {"random", "base_module"}
    assert read.find(["fox"]).rank == 1
    row = model.anatomy.head.weight[token["bold"]].detach().float()
    wide = model.anatomy.projection(1, "down_proj")[0].in_features
    a, b, kept = planted(model, "down_proj", 1, row * torch.sign((row**3).sum()), torch.ones(wide))
    change = next(c for c in weights.weight_changes(model) if c.name == "down_proj.1")
    wrote = weights.written(model, change, n=19, seed=0, vocabulary=vocabulary)
    a.data, b.data = kept
    lowest = bool(float((row**3).sum()) < 0)
    assert wrote.top(3, lowest=lowest)["word"].eq("bold").any()
    assert wrote.find(["bold"], lowest=lowest).p <= 0.2


def test_what_has_no_words_is_refused(model):
    """With the side that has some."""
    found = {c.name: c for c in weights.weight_changes(model)}
    with pytest.raises(SiteError, match="`embedded`"):
        weights.written(model, found["q_proj.0"], seed=0)
    with pytest.raises(SiteError, match="`written`"):
        weights.embedded(model, found["down_proj.0"], seed=0)
    with pytest.raises(AdapterError):
        weights.weight_changes(model, "nobody")
