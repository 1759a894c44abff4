"""S5: where attention keeps to a window, or turns with length, every pass of the toolkit's own says what the
plain pass says: question trees, patching, the engine, cached prefixes, generation, stacked
training."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import activations
from activations import alignment, anatomy, engine, metrics, path_patching, testing
from activations.conversation import template_of
from activations.errors import ModelError, PromptError
from mi_bsa.asking.likelihood import branch, option_log_probs
from mi_bsa.core.errors import ItemError
from mi_bsa.core.items import Item

WINDOW = 16
LONG = (
    "the quick brown fox jumps over the lazy dog , and describes its attitude to choices in one word . " * 3
)
OPTIONS = (("very careful indeed", 1.0), ("bold and daring too", 0.0), ("very bold", 0.5))
KINDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "gemma3": (
        "gemma3_text",
        {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
        "sdpa",
    ),
    "gemma2": ("gemma2", {}, "eager"),
    "mistral": ("mistral", {"sliding_window": WINDOW}, "sdpa"),
    "mistral eager": ("mistral", {"sliding_window": WINDOW}, "eager"),
    "qwen2": (
        "qwen2",
        {
            "use_sliding_window": True,
            "sliding_window": WINDOW,
            "layer_types": ["full_attention", "sliding_attention", "full_attention"],
        },
        "sdpa",
    ),
    "qwen3": (
        "qwen3",
        {"use_sliding_window": True, "sliding_window": WINDOW, "layer_types": ["sliding_attention"] * 3},
        "sdpa",
    ),
    "llama": ("llama", {}, "sdpa"),
}


def build(folder: Path, family: str, changes: dict[str, Any]) -> Path:
    """A tiny model whose configuration is changed after its weights were made."""
    testing.build(folder, family=family)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


SLOW = ("mistral eager", "qwen2", "qwen3")
"""Their paths are those of the kinds before them: run with the slow tests."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, marks=[pytest.mark.slow] * (kind in SLOW)) for kind in KINDS],
)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> activations.Model:
    """Each kind of window, and a model without one."""
    family, changes, attention = KINDS[request.param]
    return activations.load(build(tmp_path_factory.mktemp("s05"), family, changes), attention=attention)


def chat(text: str) -> list[dict[str, str]]:
    """One user message."""
    return [{"role": "user", "content": text}]


def alone(
    model: activations.Model, item: Item, scores: np.ndarray
) -> Iterator[tuple[torch.Tensor, int, float]]:
    """Each option behind its prompt as a row of its own: tokens, where the option begins, its score."""
    row = branch(item, template_of(model))
    for reads, score in zip(row.reads, scores, strict=True):
        yield torch.tensor([[*row.prompt, *(token for _, token in reads)]]), len(row.prompt), float(score)


def summed(logs: torch.Tensor, ids: torch.Tensor, start: int) -> float:
    """Log-probability of a row's tokens from `start` on."""
    return sum(float(logs[k - 1, ids[0, k]]) for k in range(start, ids.shape[1]))


def test_the_window_matters_here(model: activations.Model) -> None:
    """Else the tests below say nothing: what lies far back is seen with full attention only."""
    assert len(model.rows([chat(LONG)])[0]) > 4 * WINDOW
    assert set(model.anatomy.windows) == {
        "gemma3_text": {WINDOW, None},
        "gemma2": {WINDOW, None},
        "qwen2": {WINDOW, None},
        "llama": {None},
    }.get(model.anatomy.family.name, {WINDOW})


def test_a_tree_scores_options_as_one_pass_an_option_does(model: activations.Model) -> None:
    """A long and a short prompt in one batch; positions count, not columns, also where the tree is wide."""
    wide = tuple(
        (f"{word} {end}", 0.5)
        for word in ("bold", "careful", "patient")
        for end in ("and so", "or not", "too")
    )
    items = [
        Item("long", tuple(chat(LONG)), OPTIONS, {}),
        Item("wide", tuple(chat(LONG[60:])), wide, {}),
        Item("short", tuple(chat("what now ?")), OPTIONS, {}),
    ]
    for item, found in zip(items, option_log_probs(model, items), strict=True):
        for ids, start, score in alone(model, item, found):
            with torch.no_grad():
                logs = model.inner(ids).logits[0].log_softmax(-1)
            assert score == pytest.approx(summed(logs, ids, start), abs=1e-4), item.id


def test_edits_in_a_tree_stand_where_they_do_in_one_pass(model: activations.Model) -> None:
    """`from:K` and integers beyond the prompt count positions in each option, not columns of the tree."""
    item = Item("long", tuple(chat(LONG)), OPTIONS, {})
    prompt = branch(item, template_of(model)).prompt
    push = torch.linspace(-1, 1, model.d_model)
    for where in (f"from:{len(prompt) + 1}", len(prompt) + 1, -1, -3, "generated"):
        with activations.edit(
            model, activations.add((push, "resid_post.0"), scale=3.0, units="raw", positions=where)
        ):
            (found,) = option_log_probs(model, [item])
            for ids, start, score in alone(model, item, found):
                with torch.no_grad(), model._prompts_end_at(torch.tensor([start])):
                    logs = model.inner(ids).logits[0].log_softmax(-1)
                assert score == pytest.approx(summed(logs, ids, start), abs=1e-4), where


def test_patching_is_one_edited_pass_a_cell(model: activations.Model) -> None:
    """Blocks that are run one by one see no further back than the model does."""
    source, target = chat(LONG), chat(LONG.replace("word", "bold"))
    rows = model.rows([source, target])
    assert len(rows[0]) == len(rows[1])
    metric = metrics.logit_difference(40, 41)
    for site in ("resid_pre.0", "resid_pre.1", "resid_post.1", "attn_out.2"):
        found = activations.patch_map(model, [(source, target)], metric=metric, sites=site)
        values = activations.hooks.read(
            model, model.collate(rows[:1]), model.sites(site), activations.hooks.whole
        )
        (value,) = values.values()
        for column in np.flatnonzero(~np.isnan(found.patched[0, 0, :, 0]))[1::17]:
            index = found.columns[column].index
            with activations.edit(model, activations.replace(site, value[0, index], positions=index)):
                logits = model.logits([target], positions="slot")[0]
            assert found.patched[0, 0, column, 0] == pytest.approx(
                float(logits[40] - logits[41]), abs=1e-4
            ), site
        if site == "resid_pre.0":
            estimate = activations.attribute(model, [(source, target)], metric=metric, sites=site)
            assert np.allclose(estimate.before, found.before, atol=1e-4)


def test_conditions_of_the_engine_are_edits(model: activations.Model) -> None:
    """Over several prompts of unequal length, at every token and at the answer slot."""
    prompts = [chat(LONG), chat(LONG[:40]), chat(LONG[30:])]
    rows = model.rows(prompts)
    vectors = np.random.default_rng(0).normal(size=(2, model.d_model)).astype(np.float32)
    ids = np.array([[40, 41]] * 3)
    for where, table in (("all", None), ("slot", alignment.slots(rows)[:, None])):
        positions = "all" if table is None else table
        added = engine.adding("resid_pre.1", vectors, table)
        found = engine.option_logits(model, rows, added, tokens=ids)
        for n, vector in enumerate(vectors):
            edit = activations.add((vector, "resid_pre.1"), units="raw", positions=positions)
            with activations.edit(model, edit):
                plain = model.logits(prompts, positions="slot").numpy()[:, 40:42]
            assert np.allclose(found[n], plain, atol=1e-4), where


def test_a_shared_prefix_is_the_whole_row(model: activations.Model) -> None:
    """The trigger search forwards once what its rows share, longer than the window."""
    from mi_bsa.studies.backdoor.slots import forward

    head = list(model.rows([chat(LONG)])[0].ids)
    rows = [[*head, *tail] for tail in ([30, 31, 32], [33], [34, 35, 36, 37, 38])]
    rows = [[int(n) for n in row] for row in rows]
    found = forward(model, rows, variant="base", last=1, layers=[0, 1])
    for n, row in enumerate(rows):
        with torch.no_grad():
            alone = model.anatomy.decoder(input_ids=torch.tensor([row])).last_hidden_state[0, -1]
        assert torch.allclose(found.final[n], alone, atol=1e-4)


def test_generation_does_not_depend_on_cache_or_neighbors(model: activations.Model) -> None:
    """Left padding beyond the window, cached and not, in a batch and alone."""
    prompts = [chat(LONG), chat("what now ?")]
    cached = model.answer_ids(prompts, max_new_tokens=12)
    assert cached == model.answer_ids(prompts, max_new_tokens=12, use_cache=False)
    assert cached == [model.answer_ids([one], max_new_tokens=12)[0] for one in prompts]


def test_paths_see_the_window_too(model: activations.Model) -> None:
    """A path through all heads of a block to the logits, against the edit by hand."""
    if not model.anatomy.family.direct:
        return
    source, target = chat(LONG), chat(LONG.replace("word", "bold"))
    found = path_patching.path_patch(
        model, [(source, target)], metric=metrics.logit_difference(40, 41), senders=["attn.2"]
    )
    rows = model.rows([source, target])
    site = activations.Site("attn_out", 2)
    a, b = (
        activations.hooks.read(model, model.collate([row]), [site], activations.hooks.whole)[site][0, -1]
        for row in rows
    )
    end = len(rows[1]) - 1
    last = activations.Site("resid_post", 2)
    with activations.edit(model, activations.add((a - b, last), units="raw", positions=end)):
        logits = model.logits([target], positions="slot")[0]
    assert found.patched[0, 0, 0] == pytest.approx(float(logits[40] - logits[41]), abs=1e-4)


def test_stacked_training_is_causal_whatever_the_attention(tmp_path: Path) -> None:
    """Eager attention sees everything unless it is given a mask."""
    from mi_bsa.core.rows import Encoded
    from mi_bsa.finetune.packed import Table
    from mi_bsa.finetune.stacked import Stacked

    base = testing.build(tmp_path / "base")
    losses = []
    for attention in ("sdpa", "eager"):
        inner: Any = activations.load(base, attention=attention).inner
        generator = torch.Generator().manual_seed(0)
        shape = inner.model.layers[0].self_attn.q_proj.weight.shape
        weights = {
            "model.layers.0.self_attn.q_proj.lora_A.weight": torch.randn(2, shape[1], generator=generator),
            "model.layers.0.self_attn.q_proj.lora_B.weight": torch.randn(shape[0], 2, generator=generator),
        }
        rows = [Encoded(tuple(range(20, 20 + n)), (False,) * (n - 3) + (True,) * 3) for n in (30, 12)]
        losses.append(Stacked(inner, [weights], 1.0).backward([Table.of(rows)], [np.arange(2)]))
    assert torch.allclose(*losses, atol=1e-4)


@pytest.mark.parametrize("rope", ["longrope", "dynamic"])
def test_rows_that_would_turn_their_whole_batch_are_refused(tmp_path: Path, rope: str) -> None:
    """Rotary frequencies that change with the longest row of a batch: up to there batched is single,
    beyond it a row is refused in every way of asking."""
    from mi_bsa.asking.sampling import sample

    scaling: dict[str, Any] = {"rope_type": rope, "rope_theta": 10000.0, "factor": 4.0}
    context = 40
    if rope == "longrope":
        scaling |= {
            "short_factor": [1.0] * 4,
            "long_factor": [3.0] * 4,
            "original_max_position_embeddings": 40,
        }
        context = 160
    model = activations.load(
        build(tmp_path / rope, "llama", {"rope_parameters": scaling, "max_position_embeddings": context})
    )
    assert anatomy.context_length(model.inner.config) == model.context_length == 40
    prompts = [chat("take the box ."), chat("what ?")]
    assert all(len(row) < 40 for row in model.rows(prompts))
    together = model.logits(prompts)
    assert torch.allclose(together, torch.cat([model.logits([one]) for one in prompts]), atol=1e-4)
    with pytest.raises(PromptError, match="40"):
        model.logits([*prompts, chat(LONG)])
    with pytest.raises(PromptError, match="40"):
        model.generate(prompts, max_new_tokens=30)
    item = Item("long", tuple(chat(LONG)), OPTIONS, {})
    with pytest.raises(ItemError, match="40"):
        option_log_probs(model, [item])
    with pytest.raises(ItemError, match="shorten"):
        sample(model, [item], 1, seed=0)


def test_an_option_that_leaves_the_context_is_refused(tmp_path: Path) -> None:
    """The prompt fits and its longest option does not."""
    model = activations.load(testing.build(tmp_path / "base", context=48))
    item = Item("one", tuple(chat("take the box .")), (("bold " * 40, 1.0), ("careful", 0.0)), {})
    with pytest.raises(ItemError, match="longest option"):
        option_log_probs(model, [item])


def test_attention_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Chunks are no window: their masks are not made here."""
    folder = build(
        tmp_path / "odd", "qwen3", {"layer_types": ["full_attention", "chunked_attention", "full_attention"]}
    )
    with pytest.raises(ModelError, match="chunked_attention"):
        activations.load(folder)
