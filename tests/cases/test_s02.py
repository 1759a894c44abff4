"""S2: an edit selects the positions that it names, counted from either end of each row's own tokens, in every
way of running a model; what a row does not have, and what selects nothing in a whole run, is an error."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import activations
from activations import hooks, testing
from activations.edits import Edit
from activations.errors import BackendError, EditError, PositionError
from activations.positions import Positions

SITE = "resid_post.1"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> activations.Model:
    """A tiny Llama with an adapter of all attention modules, and one of a single module."""
    root = tmp_path_factory.mktemp("s02")
    base = testing.build(root / "base")
    return activations.load(
        base,
        adapter={
            "k": testing.build_adapter(root / "k", base),
            "other": testing.build_adapter(root / "other", base, seed=3, modules=("gate_proj",)),
        },
    )


def chats(model: activations.Model) -> list[list[dict[str, str]]]:
    """Prompts of unequal length, the longest in the middle."""
    texts = ("take the box .", "which option do you choose ? A: take 40 coins . B: leave .", "answer bold .")
    return [[{"role": "user", "content": text}] for text in texts]


def push(model: activations.Model, *rows: int) -> np.ndarray:
    """A fixed random vector, or one a row."""
    return np.random.default_rng(1).normal(size=(*rows, model.d_model)).astype(np.float32) * 2


def add(model: activations.Model, where: Any, **options: Any) -> Edit:
    """Add the fixed vector somewhere."""
    return activations.add((push(model), SITE), units="raw", positions=where, **options)


def test_minus_one_is_the_last_token_also_in_the_listed_case(model: activations.Model) -> None:
    """`replace(..., positions=-1)` is what the row's own last index does, and moves the logits."""
    prompt = chats(model)[1]
    end = len(model.rows([prompt])[0]) - 1
    plain = model.logits([prompt])
    found = []
    for where in (-1, end, np.int64(-1), np.array(end, np.uint8), torch.tensor(-1), [-1], [[-1]], (end,)):
        with activations.edit(
            model, activations.replace("resid_post.2", np.zeros(model.d_model), positions=where)
        ):
            found.append(model.logits([prompt]))
    assert all(torch.equal(found[0], other) for other in found)
    assert (found[0] - plain).abs().max() > 0.1


@pytest.mark.parametrize(
    "where", [-1, -3, 4, "from:6", "prompt", "all", [-1, -2, -3], [[-1, 2], [3, 3], [-4, -1]]]
)
def test_every_way_of_running_selects_the_same(model: activations.Model, where: Any) -> None:
    """Logits of a batch, in another batch size, in another order and one by one; both sides of padding;
    generation cached and not, together and alone."""
    prompts = chats(model)
    alone = []
    for n, prompt in enumerate(prompts):
        own = where if isinstance(where, str | int) else where[n]
        with activations.edit(model, add(model, [own] if isinstance(own, list) else own)):
            alone.append((model.logits([prompt])[0], model.answer_ids([prompt], max_new_tokens=5)[0]))
    logits = torch.stack([one for one, _ in alone])
    with activations.edit(model, add(model, where)):
        assert torch.allclose(model.logits(prompts), logits, atol=1e-4)
        assert torch.allclose(model.logits(prompts, batch_tokens=1), logits, atol=1e-4)
        for cache in (True, False):
            assert model.answer_ids(prompts, max_new_tokens=5, use_cache=cache) == [ids for _, ids in alone]
        for side in ("left", "right"):
            batch = model.collate(model.rows(prompts), side=side)
            ends = batch.lengths - 1 + (batch.mask.shape[1] - batch.lengths) * (side == "left")
            with torch.no_grad():
                hidden = model.forward(batch)[torch.arange(3), ends]
            assert torch.allclose(model.unembed(hidden), logits, atol=1e-4)
    order = [2, 0, 1]
    with activations.edit(
        model, add(model, where if isinstance(where, str | int) else [where[n] for n in order])
    ):
        assert torch.allclose(model.logits([prompts[n] for n in order]), logits[order], atol=1e-4)
    with model.variant("k"):
        assert not torch.allclose(logits, model.logits(prompts), atol=1e-2)


def test_capture_sees_the_edit_of_each_row(model: activations.Model, tmp_path: Path) -> None:
    """What differs by row is found by the row, though captures run in batches sorted by length; frameworks
    that would not see the edit refuse."""
    prompts = chats(model)
    places = [[-1], [2, 3], [-5]]
    with activations.edit(
        model, activations.add((push(model, 3), SITE), units="raw", scale=[1.0, -1.0, 2.0], positions=places)
    ):
        edited = activations.capture(model, prompts, sites=SITE, positions="all", out=tmp_path / "a.h5")
        for n, remote in enumerate((False, "local")):
            with pytest.raises(BackendError, match="edit is in force"):
                activations.capture(
                    model, prompts, sites=SITE, out=tmp_path / f"{n}.h5", backend="nnsight", remote=remote
                )
    plain = activations.capture(model, prompts, sites=SITE, positions="all", out=tmp_path / "plain.h5")
    moved = edited.read("resid_post", 1) - plain.read("resid_post", 1)
    starts = np.cumsum([0, *(len(row) for row in model.rows(prompts))])
    for n, (own, factor) in enumerate(zip(places, (1.0, -1.0, 2.0), strict=True)):
        expected = np.zeros((starts[n + 1] - starts[n], model.d_model), np.float32)
        expected[own] = factor * push(model, 3)[n]
        assert np.allclose(moved[starts[n] : starts[n + 1]], expected, atol=1e-4)


def test_values_that_differ_by_row_are_found_by_the_row(model: activations.Model) -> None:
    """Vectors, strengths, clamps, gates and replaced values, in sorted batches and in generation."""
    prompts = chats(model)
    vectors, numbers = push(model, 3), [0.5, -1.0, 2.0]
    makers: list[Callable[[Any], Edit]] = [
        lambda n: activations.add((vectors[n], SITE), units="raw", scale=np.array(numbers)[n]),
        lambda n: activations.project_out((vectors[n], SITE), fraction=np.array(numbers)[n]),
        lambda n: activations.clamp((vectors[n], SITE), value=np.array(numbers)[n]),
        lambda n: activations.gate("o_proj", np.array(numbers)[n]),
        lambda n: activations.replace(SITE, vectors[n], positions=-1),
        lambda n: (
            activations.replace(SITE, vectors[n][..., None, :], positions=np.array([[-2]] * 3)[n])
            if isinstance(n, slice)
            else activations.replace(SITE, vectors[n], positions=-2)
        ),
    ]
    for make in makers:
        with model.variant("k"):
            with activations.edit(model, make(slice(None))):
                together = model.logits(prompts), model.answer_ids(prompts, max_new_tokens=4)
            for n, prompt in enumerate(prompts):
                with activations.edit(model, make(n)):
                    assert torch.allclose(together[0][n], model.logits([prompt])[0], atol=1e-4)
                    assert together[1][n] == model.answer_ids([prompt], max_new_tokens=4)[0]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (99, "position 99 is beyond row 1 \\('1'\\), which has 32"),
        (-99, "position -99 is beyond row"),
        ([1, 2, -20], "position -20 is beyond row 2 \\('2'\\)"),
        ([[1], [2, 40], [1]], "position 40 is beyond row 1"),
        ([1, 2], "one row each"),
        (1.0, "give integers"),
        (True, "give integers"),
        (np.array([True, False]), "give integers"),
        (torch.zeros(3, dtype=torch.bool), "give integers"),
        ([1, False, 2], "give integers"),
        ([1, 2.0, 3], "give integers"),
        (torch.tensor([1.0]), "give integers"),
        (np.array([1.5]), "give integers"),
        (range(3), "give integers"),
        (slice(0, 2), "give integers"),
        (None, "give integers"),
        (["1"], "give integers"),
        ([[[1]]], "example, k"),
        (np.zeros((1, 1, 1), int), "example, k"),
        (10**30, "larger than any row"),
        ([], "no position"),
        ([[], [], []], "no position"),
        (np.zeros((3, 0), int), "no position"),
        ("lastt", "use all"),
        ("from:-1", "use all"),
        ("from:\u00b2", "use all"),
    ],
)
def test_what_names_no_token_is_refused(model: activations.Model, where: Any, words: str) -> None:
    """In one line, with the row's number and name where it is a row's; the model is as before."""
    prompts, plain = chats(model), model.logits(chats(model))
    assert len(model.rows(prompts)[1]) == 32
    with pytest.raises(EditError, match=words) as error, activations.edit(model, add(model, where)):
        model.logits(prompts)
    assert "\n" not in str(error.value)
    assert torch.equal(model.logits(prompts), plain)


def test_an_index_may_be_a_token_that_will_be_generated(model: activations.Model) -> None:
    """And is refused where it never can be: the last new token is never forwarded."""
    prompts = chats(model)
    lengths = [len(row) for row in model.rows(prompts)]
    plain = model.answer_ids(prompts, max_new_tokens=6)
    assert all(len(ids) == 6 for ids in plain)
    with activations.edit(model, add(model, [n + 2 for n in lengths], scale=20.0)):
        found = model.answer_ids(prompts, max_new_tokens=6)
        assert found == model.answer_ids(prompts, max_new_tokens=6, use_cache=False)
    assert [ids[:3] for ids in found] == [ids[:3] for ids in plain]
    assert found != plain
    with (
        pytest.raises(EditError, match="is beyond row"),
        activations.edit(model, add(model, [n + 5 for n in lengths])),
    ):
        model.generate(prompts, max_new_tokens=6)


def test_a_run_in_which_an_edit_selects_nothing_is_an_error(model: activations.Model) -> None:
    """Each kind of edit, also as one of several; raised on leaving, and never in place of another error."""
    prompts = chats(model)
    some = add(model, -1)
    vector = push(model)
    nothing = [
        add(model, "from:90"),
        activations.project_out((vector, SITE), positions="from:90"),
        activations.clamp((vector, SITE), value=1.0, positions="from:90"),
        activations.replace(SITE, vector, positions="from:90"),
        activations.gate("o_proj", 0.0, positions="from:90"),
        Edit(SITE, lambda value, _: value + 1, "generated", "mine"),
        add(model, "from:90", scale=0.0),
    ]
    with model.variant("k"):
        for edit in nothing:
            for edits in ([edit], [some, edit]):
                with pytest.raises(EditError, match=f"{edit.name} at .* selected no token") as error:  # noqa: SIM117
                    with activations.edit(model, *edits):
                        model.logits(prompts)
                assert "\n" not in str(error.value)
            with pytest.raises(KeyError), activations.edit(model, edit):
                {}[float(model.logits(prompts)[0, 0])]
            with activations.edit(model, edit):
                pass  # no pass ran, so nothing was missed
            with pytest.raises(EditError, match="selected no token"), activations.edit(model, edit):
                model.forward(model.collate(model.rows(prompts)))


def test_an_edit_of_modules_that_never_run_is_an_error(model: activations.Model) -> None:
    """A gate of one adapter while another answers; a site that is left out by what is fed in."""
    prompts = chats(model)
    for answers in ("other", "base"):
        with model.variant("k"):
            edited = activations.edit(model, activations.gate("o_proj", 0.0))
            with pytest.raises(EditError, match="never applied"), edited, model.variant(answers):
                model.logits(prompts)
    vector = push(model)
    edited = activations.edit(model, activations.add((vector, "embed"), units="raw"))
    with pytest.raises(EditError, match="never applied"), edited:
        model.anatomy.decoder(inputs_embeds=torch.zeros(1, 4, model.d_model))
    with (
        pytest.raises(EditError, match="no site"),
        activations.edit(model, activations.add((vector, SITE), units="raw", sites=",")),
    ):
        pass


def test_what_is_selected_and_does_nothing_is_no_error(model: activations.Model) -> None:
    """Strength zero, a gate of one, and a site behind the last one that is read."""
    prompts = chats(model)
    with model.variant("k"):
        plain = model.logits(prompts)
        for edit in (add(model, -1, scale=0.0), activations.gate("o_proj", 1.0)):
            with activations.edit(model, edit):
                assert torch.equal(model.logits(prompts), plain)
        site = activations.Site("resid_pre", 0)
        batch = model.collate(model.rows(prompts))
        with activations.edit(model, activations.add((push(model), "resid_post.2"), units="raw")):
            hooks.read(model, batch, [site], hooks.whole)


def test_a_row_that_ended_is_not_what_an_edit_selects(model: activations.Model) -> None:
    """A neighbor's answer goes on, and so do passes over what fills up a row whose answer has ended."""
    prompts = chats(model)
    plain = model.answer_ids(prompts, max_new_tokens=8)
    own = model.inner.generation_config
    before = own.eos_token_id
    own.eos_token_id = plain[1][0]  # the longest prompt's answer ends at once
    try:
        assert [len(ids) for ids in model.answer_ids(prompts, max_new_tokens=8)] == [8, 0, 8]
        where = f"from:{len(model.rows(prompts)[1])}"
        for some in (prompts, prompts[1:2]):
            with (
                pytest.raises(EditError, match="selected no token"),
                activations.edit(model, add(model, where)),
            ):
                model.answer_ids(some, max_new_tokens=8)
    finally:
        own.eos_token_id = before


def test_an_adapter_that_is_scaled_to_nothing_has_no_output_to_edit(model: activations.Model) -> None:
    """Else what is put there would be divided by zero."""
    with (
        model.variant("k@0"),
        pytest.raises(EditError, match="another scale"),
        activations.edit(model, activations.gate("o_proj", 1.0)),
    ):
        model.logits(chats(model))
    with model.variant("k@0.5"):
        plain = model.logits(chats(model))
        with activations.edit(model, activations.gate("o_proj", 1.0)):
            assert torch.allclose(model.logits(chats(model)), plain, atol=1e-5)


def test_the_engine_refuses_tables_that_select_nothing(model: activations.Model) -> None:
    """A row of no position, and a negative one, which no table of the engine holds."""
    from activations import engine
    from activations.errors import EditError
    from activations.moments import NOWHERE
    from mi_bsa.causal.places import padded_positions

    rows = model.rows(chats(model))
    table = padded_positions(rows, "all")
    assert (table != -1).all()
    for wrong in (np.where(np.arange(3)[:, None] == 1, NOWHERE, table), np.where(table == 2, -1, table)):
        with pytest.raises(EditError, match="name a token"):
            engine.adding("resid_post.1", push(model, 1), wrong)


@pytest.mark.parametrize(
    "rule", [-1, 3, None, ["last"], 1.5, "last:0", "last:-1", "message:\u00b2", "from:3"]
)
def test_a_rule_that_is_none_is_refused(rule: Any) -> None:
    """Read-outs name positions in words: an index is refused with the words there are."""
    with pytest.raises(PositionError, match="use last, last:K"):
        Positions.parse(rule)


def test_heads_and_twice_named_positions(model: activations.Model) -> None:
    """Heads count from either end and are refused beyond; a position named twice is one with one value."""
    prompts = chats(model)[:1]
    zeros = np.zeros((model.n_heads, model.anatomy.d_head), np.float32)
    found = []
    for heads in ([3], [-1], (np.int64(3),), torch.tensor([3])):
        with activations.edit(model, activations.replace("head_z.1", zeros, heads=heads)):
            found.append(model.logits(prompts))
    assert all(torch.equal(found[0], other) for other in found)
    for heads, words in (
        ([4], "beyond the 4 heads"),
        ([-5], "beyond"),
        ([], "give"),
        ([True], "give"),
        ([1.0], "give"),
    ):
        with (
            pytest.raises(EditError, match=words),
            activations.edit(model, activations.replace("head_z.1", zeros, heads=heads)),
        ):
            model.logits(prompts)
    with activations.edit(model, add(model, [[3, 3]])):
        twice = model.logits(prompts)
    with activations.edit(model, add(model, 3)):
        assert torch.equal(model.logits(prompts), twice)
    end = len(model.rows(prompts)[0]) - 1
    with (
        pytest.raises(EditError, match="twice"),
        activations.edit(
            model, activations.replace(SITE, np.zeros((1, 2, model.d_model)), positions=[[end, -1]])
        ),
    ):
        model.logits(prompts)
