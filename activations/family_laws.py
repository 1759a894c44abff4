"""Laws that every registered family of models must keep: its record says what transformers computes.

Run them on a family of one's own: subclass `FamilyLaws` and give the fixture `model`, which
`testing.tiny(folder, family)` makes. What is expected comes from the modules' own calls and from sums over
whole passes of transformers' model, never from the record that is judged.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from activations import edits, hooks, lora, metrics, patching, path_patching, recompute, sites
from activations.errors import ModelError
from activations.sites import Site

METRIC = metrics.logit_difference(40, 41)
"""Any two tokens do: of random weights no logit means anything."""
CLOSE = 5e-5
"""Of logits and streams of size one to ten in float32, over three blocks in another order of sums."""


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> bool:
    """Whether two tensors agree within `tolerance`, absolutely for small and relatively for large values."""
    return a.shape == b.shape and bool(((a - b).abs() <= tolerance * (1 + b.abs())).all())


class FamilyLaws:
    """What a family's record must say truly. A test subclasses it and provides the fixture `model`: eager
    attention, three blocks or more, and one adapter at every linear module."""

    def test_nothing_of_a_block_is_left_out(self, model: Any) -> None:
        """Every norm and every linear module of a block stands in the record, and the other way round."""
        family, block = model.anatomy.family, model.anatomy.layers[0]
        norms = {family.attention_norm, family.attention_after, family.mlp_norm, family.mlp_after} - {None}
        if family.head_norms is not None:
            norms |= {f"{family.attention}.{name}_norm" for name in "qk"}
        found = {path for path, module in block.named_modules() if "norm" in type(module).__name__.lower()}
        assert norms == found
        linear = {path for path, module in block.named_modules() if isinstance(module, nn.Linear)}
        bare = {path.removesuffix(".base_layer") for path in linear if ".lora_" not in path}
        assert set(family.modules.values()) == bare
        biased = {name for name in family.modules if model.anatomy.parts[0].linear(name).bias is not None}
        assert biased == set(family.biases)
        assert set(model.anatomy.adapted(model.active_adapter)) == {
            (layer, name) for layer in range(model.n_layers) for name in family.modules
        }

    def test_blocks_add_up_site_by_site(self, model: Any) -> None:
        """Stream, attention, MLP, last norm and logits, each from those before it; shapes as told."""
        batch, at = _batch(model)
        kinds = "embed,resid_pre,resid_mid,resid_post,attn_out,mlp_out,head_z,mlp_act,pattern,final_norm"
        found = hooks.read(model, batch, sites.resolve(kinds, n_layers=model.n_layers), hooks.whole)
        width = batch.ids.shape[1]
        for site, value in found.items():
            assert tuple(value.shape[2:]) == model.anatomy.shape(site, longest=width), str(site)
        assert close(found[Site("embed")][at], found[Site("resid_pre", 0)][at])
        for layer, parts in enumerate(model.anatomy.parts):
            pre, mid, post, attention, mlp = (found[Site(kind, layer)][at] for kind in (
                "resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out"
            ))  # fmt: skip
            assert close(pre + attention, mid), f"resid_mid.{layer}"
            assert close(mid + mlp, post), f"resid_post.{layer}"
            assert close(parts.mlp_adds(mid), mlp), f"mlp_out.{layer}"
            assert close(parts.attention_adds(found[Site("head_z", layer)][at].flatten(1)), attention)
            behind = parts.linear("down_proj")(found[Site("mlp_act", layer)][at])
            assert close(behind, mlp) == (parts.mlp_after is None), f"mlp_act.{layer}"
        final = found[Site("final_norm")]
        assert close(model.anatomy.norm(found[Site("resid_post", model.n_layers - 1)])[at], final[at])
        with torch.no_grad():
            plain = model.inner(**batch.inputs)
        assert close(model.unembed(final)[at], plain.logits[at], CLOSE)

    def test_attention_sees_what_its_window_says(self, model: Any) -> None:
        """Probabilities are positive within the window and nowhere else."""
        row = model.rows([{"text": "the quick brown fox jumps over the lazy dog . " * 4}])
        batch = model.collate(row)
        found = hooks.read(model, batch, sites.resolve("pattern", n_layers=model.n_layers), hooks.whole)
        query, key = torch.arange(len(row[0]))[:, None], torch.arange(len(row[0]))[None]
        for layer, window in enumerate(model.anatomy.windows):
            pattern = found[Site("pattern", layer)][0].sum(1)  # over heads: a far key of one may underflow
            seen = (key <= query) & (key > query - (window or len(row[0])))
            assert torch.equal(pattern > 0, seen), f"block {layer}"

    def test_blocks_run_one_by_one_are_the_forward_pass(self, model: Any) -> None:
        """From any block and position on, with kept keys and values; the last block's short way too."""
        batch, _ = _batch(model)
        line = torch.arange(len(batch.ids))
        for attention in ("eager",) if model.anatomy.caps_attention else ("eager", "sdpa"):
            with _attention(model, attention), torch.no_grad():
                trace = recompute.trace(model, batch)
                for layer, start in ((n, start) for n in range(model.n_layers) for start in (0, 3)):
                    keys, values = (part[layer][:, :, :start] for part in (trace.keys, trace.values))
                    given: dict[str, Any] = {"start": start, "rotary": trace.rotary[layer]}
                    entering = trace.residual[layer][:, start:]
                    cache = recompute._Recorder(keys, values)
                    found = recompute.run_block(model, layer, entering, cache=cache, **given)
                    real, wanted = batch.mask[:, start:], trace.residual[layer + 1][:, start:]
                    assert close(found[real], wanted[real], CLOSE), f"block {layer} from {start}"
                    if layer == model.n_layers - 1 and recompute.plain_blocks(model):
                        read = batch.lengths - 1 - start
                        short = recompute.at_one(
                            model, layer, entering, read=read, keys=keys, values=values, **given
                        )
                        assert close(short, wanted[line, read], CLOSE), f"last block from {start}"

    def test_adapters_are_read_where_they_act(self, model: Any) -> None:
        """At each linear module the output with the adapter is the base's plus `lora_out`, which is B of
        `lora_a`, scaled."""
        batch, at = _batch(model)
        name = model.active_adapter
        for module in model.anatomy.family.modules:
            inner, added = Site("lora_a", 1, module), Site("lora_out", 1, module)
            layer = model.anatomy.projection(1, module)[0]
            with _calls(layer) as calls:
                found = hooks.read(model, batch, [inner, added, Site("final_norm")], hooks.whole)
            (given, *_), out = calls[0]
            _, b, scaling = lora.factors(model.anatomy, name, 1, module)
            assert found[inner].shape[2:] == model.anatomy.shape(inner, adapter=name)
            assert close(found[inner][at] @ b.T * scaling, found[added][at]), module
            assert close(layer.base_layer(given)[at] + found[added][at], out[at]), module

    def test_an_edit_is_what_it_says_and_leaves_no_trace(self, model: Any) -> None:
        """A vector that is added at a site of the stream is there, and the MLP's share comes on top."""
        batch, at = _batch(model)
        vector = torch.randn(model.d_model, generator=torch.Generator().manual_seed(0))
        wanted = sites.resolve("resid_mid.1,mlp_out.1,resid_post.1", n_layers=model.n_layers)
        middle, added, after = wanted
        plain = hooks.read(model, batch, wanted, hooks.whole)
        for kind in sites.RESIDUAL:
            site = Site(kind, 1)
            (before,) = hooks.read(model, batch, [site], hooks.whole).values()
            with edits.edit(model, edits.add((vector, site), units="raw")):
                edited = hooks.read(model, batch, list(dict.fromkeys((*wanted, site))), hooks.whole)
            assert close(edited[site][at], (before + vector)[at]), kind
            assert close((edited[middle] + edited[added])[at], edited[after][at]) == (kind != "resid_post"), (
                kind
            )
        again = hooks.read(model, batch, wanted, hooks.whole)
        assert all(torch.equal(again[site], plain[site]) for site in wanted)

    def test_outputs_are_direct_where_the_record_says_so(self, model: Any) -> None:
        """No norm stands between a projection and the stream, or paths through it are refused."""
        batch, at = _batch(model)
        site = Site("attn_out", 1)
        with _calls(model.anatomy.projection(1, "o_proj")[0]) as calls:
            found = hooks.read(model, batch, [site], hooks.whole)[site]
        assert close(calls[0][1][at], found[at]) == model.anatomy.family.direct
        pair, last = [_pair()], model.n_layers - 1
        if not model.anatomy.family.direct:
            try:
                path_patching.path_patch(model, pair, metric=METRIC, senders=["attn.0"])
            except ModelError:
                return
            raise AssertionError("a path was patched through a norm")
        found_path = path_patching.path_patch(model, pair, metric=METRIC, senders=[f"attn.{last}"])
        a, b = (_values(model, one, Site("attn_out", last))[0, -1] for one in pair[0])
        change = edits.add((a - b, f"resid_post.{last}"), units="raw", positions=-1)
        assert abs(found_path.patched[0, 0, 0] - _metric(model, pair[0][1], change)) < CLOSE

    def test_patching_is_an_edited_pass_a_cell(self, model: Any) -> None:
        """Cells against whole passes; everything patched is the other run, a run into itself nothing."""
        source, target = _pair()
        for attention in ("eager",) if model.anatomy.caps_attention else ("eager", "sdpa"):
            with _attention(model, attention):
                for kind in ("resid_post", "head_z"):
                    found = patching.patch_map(model, [(source, target)], metric=METRIC, sites=kind)
                    for layer, site in enumerate(found.sites):
                        value = _values(model, source, site)
                        for n in range(0, len(found.columns), 7):
                            put = edits.replace(site, value[:, n], positions=torch.tensor([n]))
                            slow = _metric(model, target, put)
                            assert abs(found.patched[0, layer, n, 0] - slow) < CLOSE, (str(site), n)
        same = {**target, "id": "same"}
        whole = patching.patch_map(
            model, [(source, target), (same, same)], metric=METRIC, positions="together"
        )
        np.testing.assert_allclose(whole.patched[0, :, 0, 0], whole.full[0], atol=CLOSE)
        assert whole.filled[1].all()
        assert (whole.effects[1] == 0).all()

    def test_a_cache_changes_no_answer(self, model: Any) -> None:
        """Left padding, beyond the window where there is one, in a batch and alone."""
        asked = ["the quick brown fox jumps over the lazy dog . " * 3, "what now ?"]
        cached = model.answer_ids(asked, max_new_tokens=6)
        assert cached == model.answer_ids(asked, max_new_tokens=6, use_cache=False)
        assert cached == [model.answer_ids(one, max_new_tokens=6)[0] for one in asked]


def _batch(model: Any) -> tuple[Any, Tensor]:
    """Some right-padded rows, and where their tokens are."""
    texts = (
        "option A : take",
        "the quick brown fox jumps over the lazy dog , and then it sleeps",
        "be bold ,",
    )
    batch = model.collate(model.rows([{"text": text} for text in texts]))
    return batch, batch.mask


def _pair() -> tuple[dict[str, Any], dict[str, Any]]:
    """Two prompts of equal length that differ in one word."""
    return tuple(  # type: ignore[return-value]
        {"id": word, "messages": [{"role": "user", "content": f"take {word} coins . B: nothing ."}]}
        for word in ("one", "you")
    )


def _values(model: Any, prompt: Any, site: Site) -> Tensor:
    return hooks.read(model, model.collate(model.rows([prompt])), [site], hooks.whole)[site]


def _metric(model: Any, prompt: Any, change: Any) -> float:
    with edits.edit(model, change):
        logits = model.logits([prompt])[0]
    return float(logits[40] - logits[41])


@contextmanager
def _calls(module: Any) -> Iterator[list[Any]]:
    """What a module is given and puts out, call by call."""
    calls: list[Any] = []
    handle = module.register_forward_hook(lambda _, given, out: calls.append((given, out)))
    try:
        yield calls
    finally:
        handle.remove()


@contextmanager
def _attention(model: Any, name: str) -> Iterator[None]:
    """The same model with another implementation of attention, which its modules look up in each call."""
    config = model.anatomy.config
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before
