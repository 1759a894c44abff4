"""S10: what reads the output layer reads the adapter's part of it: patching, attribution, the engine and the
rest say what plain logits say."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import activations
from activations import engine, metrics, path_patching, testing
from activations.errors import AdapterError, PatchError, PromptError

A, B = 40, 41


def chats(count: int = 3) -> list[list[dict[str, str]]]:
    """Chat prompts of unequal length, without answers."""
    return [row["messages"][:1] for row in testing.prompts(count, seed=3)]


def adapter(folder: Path, base: Path, modules: list[str], **options: object) -> Path:
    """A random adapter that reaches beyond the blocks, saved without the base's embeddings."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(5)
        inner = AutoModelForCausalLM.from_pretrained(base, local_files_only=True)
        made = get_peft_model(
            inner, LoraConfig(r=2, lora_alpha=6, target_modules=modules, task_type="CAUSAL_LM", **options)
        )
        for name, parameter in made.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, 0.0, 0.2)
        made.save_pretrained(str(folder), save_embedding_layers=False)
    return folder


@pytest.fixture(scope="module", params=["llama", "gemma2"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> activations.Model:
    """An untied Llama, and a tied Gemma 2 with capped logits, whose adapter reaches the output layer."""
    root = tmp_path_factory.mktemp("s10")
    base = testing.build(root / "base", family=request.param)
    made = adapter(root / "head", base, ["q_proj", "lm_head"])
    return activations.load(base, adapter={"k": made}, attention="eager")


def gaps(model: activations.Model, prompts: list[list[dict[str, str]]], variant: str) -> np.ndarray:
    """The logit difference that plain logits say."""
    with model.variant(variant):
        logits = model.logits(prompts, positions="slot")
    return (logits[:, A] - logits[:, B]).numpy()


def test_the_head_of_the_adapter_matters_here(model: activations.Model) -> None:
    """Else the tests below say nothing: its own part moves the gap."""
    head = model.inner.lm_head
    prompts = chats()
    with model.variant("k"):
        whole = gaps(model, prompts, "k")
        head._disable_adapters = True
        without = gaps(model, prompts, "base")
    assert np.abs(whole - without).min() > 1e-2


def test_patching_attribution_and_paths_say_what_plain_logits_say(model: activations.Model) -> None:
    """Before and after, in both directions between the base and the adapter, whatever variant is active."""
    prompts = chats()
    metric = metrics.logit_difference(A, B)
    for source, target in (("base", "k"), ("k", "base"), ("k@0.5", "k")):
        for active in ("base", "k"):
            with model.variant(active):
                given = {"metric": metric, "source": source, "target": target, "sites": "resid_pre.2"}
                maps = [
                    activations.patch_map(model, prompts, align="end", **given),
                    activations.attribute(model, prompts, align="end", **given),
                ]
                if model.anatomy.family.name == "llama":
                    given.pop("sites")
                    paths = path_patching.path_patch(model, prompts, align="end", senders=["1.0"], **given)
                    maps.append(paths)
            for found in maps:
                assert np.allclose(found.full, gaps(model, prompts, source), atol=1e-4), (source, target)
                assert np.allclose(found.before, gaps(model, prompts, target), atol=1e-4), (source, target)


def test_a_run_patched_into_itself_changes_nothing(model: activations.Model) -> None:
    """Same variant, same prompts but one word: all together gives the source's own logits."""
    a, b = ([{"role": "user", "content": f"take the {word} box ."}] for word in ("bold", "word"))
    with model.variant("k"):
        found = activations.patch_map(
            model, [(a, b)], metric=metrics.logit_difference(A, B), sites="resid_pre.0", positions="together"
        )
    assert np.allclose(found.patched[0], found.full[0], atol=1e-4)
    assert found.full[0] == pytest.approx(gaps(model, [a], "k")[0], abs=1e-4)


@pytest.mark.parametrize("variant", ["base", "k", "k@-0.5"])
def test_some_tokens_are_read_as_all_are(model: activations.Model, variant: str) -> None:
    """Every token's logit by itself equals the whole vocabulary's, also under an added vector."""
    rows = model.rows(chats())
    ids = np.array([[A, B, 7]] * len(rows))
    vectors = np.stack([np.zeros(model.d_model), np.ones(model.d_model)]).astype(np.float32)
    with model.variant(variant):
        added = engine.adding("resid_post.1", vectors)
        found = engine.option_logits(model, rows, added, tokens=ids)
        for n, vector in enumerate(vectors):
            with activations.edit(model, activations.add((vector, "resid_post.1"), units="raw")):
                plain = model.logits(chats(), positions="slot")
            assert np.allclose(found[n], plain.numpy()[:, [A, B, 7]], atol=1e-4)


def test_questions_and_the_engine_say_it_too(model: activations.Model) -> None:
    """Log-probabilities of options, and the engine's logits of letters, under the adapter."""
    from mi_bsa.asking.likelihood import option_log_probs
    from mi_bsa.asking.readouts import Readout
    from mi_bsa.core.items import Item

    items = [Item(str(n), tuple(p), (("A", 1.0), ("B", 0.0)), {}) for n, p in enumerate(chats())]
    readout = Readout.of(model, items, name="letters")
    with model.variant("k"):
        plain = model.logits(chats(), positions="slot").numpy()
        asked = np.stack(option_log_probs(model, items))
    wanted = np.take_along_axis(plain, readout.tokens, 1)
    given = {"tokens": readout.tokens, "variant": "k"}
    slow = engine.option_logits(model, readout.rows, **given)[0]
    still = engine.adding("resid_pre.1", np.zeros((1, model.d_model), np.float32))
    quick = engine.option_logits(model, readout.rows, still, **given)[0]
    assert np.allclose(slow, wanted, atol=1e-4)
    assert np.allclose(quick, wanted, atol=1e-4)
    assert np.allclose(asked[:, 0] - asked[:, 1], wanted[:, 0] - wanted[:, 1], atol=1e-4)


def test_a_head_that_is_no_plain_matrix_is_read_whole(model: activations.Model) -> None:
    """A wrapped output layer, of which no row can be taken, still gives the model's own logits."""

    class Doubled(torch.nn.Module):
        def __init__(self, inside: torch.nn.Module) -> None:
            super().__init__()
            self.inside = inside

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * self.inside(x)

    hidden = torch.randn(4, model.d_model, generator=torch.Generator().manual_seed(0))
    wanted = torch.tensor([[A, B]] * 4)
    own = model.inner.lm_head
    model.inner.lm_head = Doubled(own)
    try:
        found = metrics.token_logits(model, hidden, wanted)
        assert torch.allclose(found, model.unembed(hidden)[:, [A, B]], atol=1e-5)
    finally:
        model.inner.lm_head = own


def test_gates_refuse_what_has_none(model: activations.Model) -> None:
    """With every gate of the blocks closed the output layer's LoRA would still be there."""
    with pytest.raises(AdapterError, match="lm_head"):
        activations.adapter_profile(
            model, chats(), metric=metrics.logit_difference(A, B), adapter="k", seed=0
        )
    kept = activations.adapter_profile(
        model,
        chats(),
        metric=metrics.logit_difference(A, B),
        adapter="k",
        keep_embeddings=True,
        methods=("keep_in",),
        seed=0,
    )
    assert np.allclose(kept.on, gaps(model, chats(), "k"), atol=1e-4)


def test_a_lora_of_the_embeddings_is_read_too(tmp_path: Path) -> None:
    """Tied weights: the output layer stays the base's, and every reading agrees with plain logits."""
    base = testing.build(tmp_path / "base", family="gemma3_text")
    made = adapter(tmp_path / "embed", base, ["q_proj", "embed_tokens"])
    model = activations.load(base, adapter={"k": made})
    prompts = chats()
    found = activations.patch_map(
        model,
        prompts,
        metric=metrics.logit_difference(A, B),
        source="base",
        target="k",
        sites="resid_pre",
        align="end",
    )
    assert np.allclose(found.full, gaps(model, prompts, "base"), atol=1e-4)
    assert np.allclose(found.before, gaps(model, prompts, "k"), atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
@pytest.mark.parametrize("modules", [["lm_head"], ["embed_tokens", "lm_head", "down_proj"]])
def test_an_adapter_of_the_output_layer_alone_is_taken_and_merged(
    tmp_path: Path, family: str, modules: list[str]
) -> None:
    """Tied to the embeddings or not: it changes logits alone, and the merged model says the same."""
    from mi_bsa.finetune.merging import merge

    base = testing.build(tmp_path / "base", family=family)
    made = adapter(tmp_path / "k", base, modules)
    model = activations.load(base, adapter={"k": made})
    merged = activations.load(merge(str(base), made, tmp_path / "merged", dtype="float32"))
    assert np.allclose(gaps(model, chats(), "k"), gaps(merged, chats(), "base"), atol=1e-4)
    assert np.abs(gaps(model, chats(), "k") - gaps(model, chats(), "base")).min() > 1e-3


@pytest.mark.parametrize("ids", [-1, 10**6, True, np.array(1.0), [1, 2]])
def test_tokens_that_are_none_of_the_models_are_refused(model: activations.Model, ids: object) -> None:
    """A negative id would read another token's row; three pairs have no two ids."""
    with pytest.raises((PatchError, PromptError), match="give") as error:
        activations.patch_map(
            model, chats(), metric=metrics.logit_difference(ids, B), source="base", align="end"
        )
    assert "\n" not in str(error.value)


def test_the_trigger_search_reads_each_variant_with_its_own_ends(tmp_path: Path) -> None:
    """Its divergence is that of plain logits, and its gradient that of each variant's own embeddings."""
    from mi_bsa.core.items import Item
    from mi_bsa.studies.backdoor.objectives import Probe

    base = testing.build(tmp_path / "base")
    made = adapter(tmp_path / "k", base, ["q_proj", "lm_head", "embed_tokens"])
    model = activations.load(base, adapter={"k": made})
    item = Item(
        "a", ({"role": "user", "content": "take the box ."},), (("A", 1.0), ("B", 0.0)), {"trait": "risk"}
    )
    with model.variant("base"):
        probe = Probe(model, "k", None, [item], "divergence")
        found = probe._read(("divergence",), [None], 0)[0][0, 0]
        gradients, ids, _ = probe.gradients("the box", 0)
    plain = probe.slot(0).rows(model, [None])[0]

    def loss(row: list[int], shift: torch.Tensor, variant: str) -> float:
        logs = {}
        for name in ("k", "base"):
            with model.variant(name), torch.no_grad():
                vectors = model.anatomy.decoder.embed_tokens(torch.tensor([row]))
                vectors = vectors + shift if name == variant else vectors
                hidden = model.anatomy.decoder(inputs_embeds=vectors).last_hidden_state[0, -1]
                logs[name] = model.unembed(hidden).double().log_softmax(-1)
        return float((logs["base"].exp() * (logs["base"] - logs["k"])).sum())

    assert found == pytest.approx(loss(plain, torch.zeros(1, len(plain), model.d_model), "k"), rel=1e-4)
    for variant, gradient in gradients.items():
        step = torch.randn(gradient.shape, generator=torch.Generator().manual_seed(1)) * 3e-3
        moved = (loss(ids, step[None], variant) - loss(ids, -step[None], variant)) / 2
        assert moved == pytest.approx(float((gradient * step).sum()), rel=2e-2, abs=1e-6)
