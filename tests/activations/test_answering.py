"""What is generated is what the framework generates, and what is captured on the way is what a second pass
over prompt and answer reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import activations
from activations import answering, generation, hooks, prefixes, testing
from activations.decoding import Decoded, decode
from activations.errors import ActivationsError

PROMPTS = [{"role": "user", "content": text} for text in ("take the box .", "which option do you choose ? A")]
ROWS = [{"id": f"p{n}", "messages": [message], "pole": n} for n, message in enumerate(PROMPTS)]
SITES = ("embed", "resid_post", "head_z.1", "final_norm")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> activations.Model:
    """A tiny Llama with an adapter."""
    folder = tmp_path_factory.mktemp("answering")
    base = testing.build(folder / "base")
    return activations.load(base, adapter=testing.build_adapter(folder / "adapter", base))


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_answers_are_those_of_the_framework(tmp_path: Path, family: str) -> None:
    """Greedy and drawn, with prompts longer than a window; also from prompts that were run as a tree."""
    from transformers import GenerationConfig

    model: Any = activations.load(testing.build(tmp_path / family, family=family))
    batch = model.collate(model.rows(["what ?", "take the box .", "take the box ." * 5]), side="left")
    rows = [tuple(ids[mask].tolist()) for ids, mask in zip(batch.ids, batch.mask, strict=True)]
    model.inner.generation_config = GenerationConfig()
    for temperature in (0.0, 0.7):
        how = {"do_sample": bool(temperature), "temperature": temperature or None, "top_k": 0, "top_p": 1.0}
        with generation.seeded(model, 3):
            theirs = model.inner.generate(
                input_ids=batch.ids,
                attention_mask=batch.mask.long(),
                max_new_tokens=9,
                eos_token_id=[7, 8],
                pad_token_id=model.pad_id,
                **how,
            )[:, batch.ids.shape[1] :]

        def ours(temperature: float = temperature, **more: Any) -> Decoded:
            with generation.seeded(model, 3):
                ends = frozenset((7, 8))
                return decode(
                    model.inner,
                    batch.ids,
                    batch.mask,
                    most=9,
                    ends=ends,
                    pad=model.pad_id,
                    temperature=temperature,
                    **more,
                )

        found = ours()
        assert found.tokens.tolist() == theirs.tolist()
        with torch.no_grad():
            start = prefixes.prefill(model.inner, rows, width=7)
        for other in (ours(start=start), ours(use_cache=False)):
            assert other.tokens.tolist() == found.tokens.tolist()
            assert torch.allclose(other.log_probs, found.log_probs, atol=1e-4)


def second_pass(model: activations.Model, ids: list[int], site: Any) -> tuple[np.ndarray, np.ndarray]:
    """A site's values at every token of a row, and every token's log-probability but the first's."""
    batch = model.collate(model.rows(["x"]))
    whole = torch.tensor([ids])
    more = (torch.ones_like(whole, dtype=torch.bool), torch.arange(len(ids))[None], torch.tensor([len(ids)]))
    batch = activations.batches.Batch(batch.examples, whole, *more, more[-1])
    value = hooks.read(model, batch, [site], hooks.whole)[site][0].numpy()
    with torch.no_grad():
        logs = model.unembed(model.forward(batch))[0].log_softmax(-1)
    return value, logs[torch.arange(len(ids) - 1), whole[0, 1:]].numpy()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_what_is_captured_on_the_way_is_what_a_second_pass_reads(
    model: activations.Model, tmp_path: Path, temperature: float
) -> None:
    """States, log-probabilities and tokens of every token of an answer, the last one too, within 1e-5."""
    how = {"max_new_tokens": 6, "temperature": temperature, "seed": 0}
    store = activations.capture_answers(model, ROWS, sites=SITES, out=tmp_path / "a.h5", **how)
    if not temperature:
        assert [
            store.rows["token_id"][store.rows["example"] == n].tolist() for n in range(len(ROWS))
        ] == model.answer_ids(ROWS, max_new_tokens=6)
    assert store.labels == ("pole", "response", "response_log_prob")
    assert store.check(deep=True) == []
    for n, row in enumerate(model.rows(ROWS)):
        own = store.rows["example"] == n
        tokens = store.rows["token_id"][own].tolist()
        assert tokens
        ids = [*row.ids.tolist(), *tokens]
        assert store.rows["position"][own].tolist() == list(range(len(row), len(ids)))
        assert store.examples["prompt"][n] == row.text + store.examples["response"][n]
        for site in store.sites:
            value, logs = second_pass(model, ids, site)
            np.testing.assert_allclose(store.read(site)[own], value[len(row) :], atol=1e-5)
        np.testing.assert_allclose(store.rows["log_prob"][own], logs[len(row) - 1 :], atol=1e-5)
        assert store.examples["response_log_prob"][n] == pytest.approx(logs[len(row) - 1 :].sum(), abs=1e-4)


def test_rules_within_an_answer_choose_of_its_rows(model: activations.Model, tmp_path: Path) -> None:
    """One token, the one before the first, and the mean; edits in force are in what is read."""
    how: dict[str, Any] = {"sites": "resid_post.1", "max_new_tokens": 5}
    whole = activations.capture_answers(model, ROWS, out=tmp_path / "all.h5", **how)
    starts = np.searchsorted(whole.rows["example"], [0, 1])
    values, logs = whole.read("resid_post.1"), whole.rows["log_prob"]
    parts = np.split(values, starts[1:])

    def other(rule: str) -> activations.Store:
        path = tmp_path / f"{rule.replace(':', '-')}.h5"
        return activations.capture_answers(model, ROWS, positions=rule, out=path, **how)

    np.testing.assert_allclose(other("response:1").read("resid_post.1"), values[starts + 1], atol=1e-6)
    np.testing.assert_allclose(other("answer").rows["log_prob"], logs[starts], atol=1e-6)
    means = other("mean:response")
    np.testing.assert_allclose(means.read("resid_post.1"), [p.mean(0) for p in parts], atol=1e-6)
    np.testing.assert_allclose(means.rows["log_prob"], [p.mean() for p in np.split(logs, starts[1:])])
    slot = other("slot")
    assert np.isnan(slot.rows["log_prob"]).all()
    plain = activations.capture(model, ROWS, sites="resid_post.1", out=tmp_path / "plain.h5")
    np.testing.assert_allclose(slot.read("resid_post.1"), plain.read("resid_post.1"), atol=1e-5)
    push = activations.add((torch.ones(model.d_model), "resid_post.1"), units="raw", positions="generated")
    with activations.edit(model, push):
        moved = other("response:0")
    assert np.abs(moved.read("resid_post.1") - values[starts]).max() > 0.5


def test_a_killed_run_goes_on_to_the_same_file(
    model: activations.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches that are done stay; another request is refused, and so is a cache that exists."""
    how: dict[str, Any] = {"sites": "resid_post", "max_new_tokens": 4, "batch_tokens": 1, "seed": 5}
    how |= {"temperature": 1.0}
    plain = activations.capture_answers(model, ROWS, out=tmp_path / "plain.h5", **how)
    save, calls = answering.save_file, []

    def dies(*given: Any) -> None:
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        save(*given)

    out = tmp_path / "b.h5"
    monkeypatch.setattr(answering, "save_file", dies)
    with pytest.raises(KeyboardInterrupt):
        activations.capture_answers(model, ROWS, out=out, **how)
    with pytest.raises(ActivationsError, match="resume it"):
        activations.capture_answers(model, ROWS, out=out, **how)
    with pytest.raises(ActivationsError, match="made differently"):
        activations.capture_answers(model, ROWS, out=out, resume=True, **how | {"seed": 6})
    found = activations.capture_answers(model, ROWS, out=out, resume=True, **how)
    assert len(calls) == 3
    assert found.index_hash == plain.index_hash
    assert all((found.read(site) == plain.read(site)).all() for site in plain.sites)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.h5", "plain.h5"]
    assert (
        activations.capture_answers(model, ROWS, out=out, resume=True, **how).index_hash == found.index_hash
    )
    with pytest.raises(ActivationsError, match="never overwritten"):
        activations.capture_answers(model, ROWS, out=out, **how)


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"positions": "all"}, "capture the rest"),
        ({"positions": "response:9"}, "ask for another"),
        ({"sites": "pattern.0"}, "with their answers"),
        ({"out": "a.txt"}, "add the suffix"),
        ({"temperature": 1.0}, "give seed=0"),
        ({"prompts": [[*PROMPTS[:1], {"role": "assistant", "content": "A"}]]}, "use capture"),
        ({"prompts": [{"messages": PROMPTS[:1], "response": "A"}]}, "rename it"),
    ],
)
def test_what_cannot_be_captured_is_one_line(
    model: activations.Model, tmp_path: Path, given: dict[str, Any], remedy: str
) -> None:
    """Before anything runs, but for an answer that is too short; it says what to do."""
    how = {"prompts": ROWS, "sites": "resid_post", "out": "a.h5", "max_new_tokens": 3} | given
    how["out"] = tmp_path / how["out"]
    with pytest.raises(ActivationsError, match=remedy) as error:
        activations.capture_answers(model, how.pop("prompts"), **how)
    assert "\n" not in str(error.value)
