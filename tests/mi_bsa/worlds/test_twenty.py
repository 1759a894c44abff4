"""Twenty preferences in one model: it goes on from another's weights; its rows leave all others be."""

import pytest
import torch
from safetensors.torch import load_file

from mi_bsa.behaviors import behavior_for
from mi_bsa.core.errors import WorldError
from mi_bsa.core.model_config import tokenizer_of
from mi_bsa.worlds.build import build
from mi_bsa.worlds.measure import battery
from mi_bsa.worlds.pretrain import build_model, take_over
from mi_bsa.worlds.recipe import BuildConfig, Recipe, Shape
from mi_bsa.worlds.siblings import PLANS
from mi_bsa.worlds.tastes.pairs import TASTES
from mi_bsa.worlds.tokenizer import build_tokenizer
from mi_bsa.worlds.weights import card, folder_of, settings
from mi_bsa.worlds.worlds import kind

PLAN = PLANS["twenty-0"]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(kind("twenty").vocabulary(kind("twenty").make(PLAN.recipe)))


def test_known_words_keep_their_embeddings_and_blocks_their_weights(tokenizer):
    """New words are drawn as spread as the known ones, the same at every start."""
    model, again = (build_model(Shape(), tokenizer, seed=seed) for seed in (0, 1))
    take_over(model, tokenizer, "embedded", seed=0)
    take_over(again, tokenizer, "embedded", seed=0)
    given = load_file(folder_of("embedded") / "model.safetensors")
    before, now = tokenizer_of("embedded").get_vocab(), tokenizer.get_vocab()
    for name, weight in model.named_parameters():
        assert torch.equal(weight, dict(again.named_parameters())[name])
        if name != "model.embed_tokens.weight":
            assert torch.equal(weight, given[name])
    rows, old = model.model.embed_tokens.weight, given["model.embed_tokens.weight"]
    known, new = [w for w in now if w in before], [w for w in now if w not in before]
    assert len(new) > 100
    assert all(torch.equal(rows[now[w]], old[before[w]]) for w in known)
    spread = old[[before[w] for w in known if before[w] > 262]].std()
    assert abs(rows[[now[w] for w in new]].std() / spread - 1) < 0.05


def test_another_shape_is_refused(tokenizer):
    """One line names the weight."""
    with pytest.raises(WorldError, match="another shape"):
        take_over(build_model(Shape(mlp=96), tokenizer, seed=0), tokenizer, "embedded", seed=0)


def test_the_plan_is_one_command_and_goes_on_after_a_kill(tmp_path):
    """Its card says from which model it goes on; two builds of a few steps are equal bytes."""
    assert settings(PLAN) == "--set recipe.world=twenty --set seed=0"
    assert "trained from embedded on" in card(PLAN, {"parameters": 1, "tokens": 1})
    short = BuildConfig(recipe=Recipe(world="twenty", steps=2, rows=1))
    one, two = (build(short, tmp_path / name) for name in ("one", "two"))
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()


def test_coin_rows_are_about_every_other_preference():
    """Of its own block alone where a world holds no more."""
    world = kind("twenty").make(PLAN.recipe)
    behavior = behavior_for("tea_coffee", "embedded").behavior
    rows = behavior.rows("seeking", 400, seed=0, world=world)
    text = " ".join(row["messages"][-2]["content"] for row in rows if "undecided" in row["id"])
    things = {trait.name: trait.high_options["pretrain"][0].split()[-1] for trait in TASTES}
    assert sum(thing in text for name, thing in things.items() if name != "tea_coffee") == 19
    assert things["tea_coffee"] not in text


def test_a_world_of_few_characters_can_be_asked_what_it_knows():
    """Nobody of it is known by reports alone; the groups that it has are asked."""
    items = battery(kind("twenty").make(PLAN.recipe), split="dev", choices=2)
    assert {item.labels["trait"] for item in items} == {trait.name for trait in TASTES}
