"""Laws of the build: seeded, resumable, and saved as a model that the stock loaders read."""

import json

import pytest
import torch

from mi_bsa.core.errors import RunFolderError, WorldError
from mi_bsa.worlds.build import build
from mi_bsa.worlds.pretrain import CHECKPOINT_EVERY, pack, pretrain, to_batch
from mi_bsa.worlds.recipe import BuildConfig, Recipe, Shape
from mi_bsa.worlds.weights import built_with, locate, variants, world_of

SHAPE = Shape(width=16, layers=1, heads=2, kv_heads=1, mlp=32)
RECIPE = Recipe(steps=12, rows=2, row=96, characters=18)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_short_build_is_a_loadable_model(tmp_path):
    """The command's function writes a folder that AutoModel and AutoTokenizer read, with card and world."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = build(BuildConfig(shape=SHAPE, recipe=RECIPE), tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.model_type == "llama"
    assert model.config.max_position_embeddings >= 1024
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "are you bold?"}], add_generation_prompt=True
    )
    assert ids["input_ids"].count(tokenizer.bos_token_id) == 1
    assert built_with(folder).recipe == RECIPE
    assert len(world_of(folder).characters) == 18
    assert (folder / "README.md").exists()
    assert not (folder / "checkpoint").exists()
    with pytest.raises(RunFolderError, match="--resume"):
        build(BuildConfig(shape=SHAPE, recipe=RECIPE), folder)


def test_training_learns_and_a_seed_repeats():
    """The loss falls, one seed gives one model, and another seed another."""
    losses = []
    first, _ = pretrain(
        SHAPE,
        Recipe(**{**RECIPE.dump(), "steps": 80, "warmup": 10}),
        seed=0,
        each=lambda s, x, m: losses.append(x),
    )
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    runs = [pretrain(SHAPE, RECIPE, seed=s)[0].state_dict() for s in (0, 0, 1)]
    assert all(torch.equal(runs[0][k], runs[1][k]) for k in runs[0])
    assert not torch.equal(runs[0]["model.embed_tokens.weight"], runs[2]["model.embed_tokens.weight"])


def test_a_killed_build_resumes_to_the_same_weights(tmp_path, monkeypatch):
    """Interrupted after a checkpoint and resumed, the weights equal an uninterrupted run's bit for bit."""
    monkeypatch.setattr("mi_bsa.worlds.pretrain.CHECKPOINT_EVERY", 5)
    assert CHECKPOINT_EVERY > 5
    whole, _ = pretrain(SHAPE, RECIPE, seed=0)

    def stop(step, loss, model):
        if step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(SHAPE, RECIPE, seed=0, each=stop, checkpoints=tmp_path)
    resumed, _ = pretrain(SHAPE, RECIPE, seed=0, checkpoints=tmp_path)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_packed_documents_do_not_see_each_other():
    """Logits of a document in a packed row equal its logits alone."""
    from mi_bsa.worlds.corpus import Corpus, vocabulary
    from mi_bsa.worlds.pretrain import build_model
    from mi_bsa.worlds.tokenizer import build_tokenizer
    from mi_bsa.worlds.world import World

    world = World(18)
    tokenizer = build_tokenizer(vocabulary(world))
    model = build_model(SHAPE, tokenizer, seed=0).eval()
    rows = next(
        pack(Corpus(world, RECIPE.mixture(RECIPE.steps - 1), seed=0), tokenizer, Recipe(rows=2, row=200))
    )
    batch = to_batch(rows, tokenizer, Recipe(rows=2, row=200))
    with torch.no_grad():
        packed = model(input_ids=batch.ids, position_ids=batch.positions, attention_mask=batch.bias).logits
        at = 0
        for document in rows[0]:
            alone = model(input_ids=torch.tensor([document])).logits[0]
            assert torch.allclose(packed[0, at : at + len(document)], alone, atol=1e-5)
            at += len(document)
    assert len(rows[0]) > 1


def test_unknown_embedded_models_are_named():
    """A seed that does not ship, and a folder that is no embedded model, are errors with the remedy."""
    with pytest.raises(WorldError, match="mi-bsa embedded build"):
        locate("99")
    with pytest.raises(WorldError, match="no embedded model"):
        world_of(locate(None).parent)


@pytest.mark.parametrize("seed", variants())
def test_shipped_models_say_how_they_were_made(seed):
    """Every shipped folder has the seed it is named after and fewer than 5 MB of weights."""
    folder = locate(seed)
    assert str(built_with(folder).seed) == seed.rpartition("-")[2]
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]
    assert (folder / "model.safetensors").stat().st_size < 5e6
