"""Laws of the causal floor: the field's own patching maps are met, and planted circuits are found first,
every time.
"""

import numpy as np
import pytest
import torch
from tiny_items import WORDS

import activations
from activations import adapter_gates, attribution, metrics, testing
from activations.path_patching import path_patch
from mi_bsa.core.errors import MiBsaError

INSTANCES = 20


def lens_pairs(model, count=3, length=14):
    """Plain texts of one length, source and target."""
    rng = np.random.default_rng(0)
    found: list = []
    while len(found) < 2 * count:
        row = {"id": f"p{len(found)}", "text": " ".join(rng.choice(WORDS, length - 3))}
        if len(model.rows([row])[0]) == length:
            found.append(row)
    return list(zip(found[:count], found[count:], strict=True))


@pytest.fixture(params=["random", "embedded"])
def lens_model(request, tmp_path):
    if request.param == "random":
        return activations.load(testing.build(tmp_path / "base", n_layers=3))
    try:
        return activations.load("embedded")
    except (activations.ActivationsError, MiBsaError) as error:
        pytest.skip(f"the embedded model is not in this checkout ({type(error).__name__})")


def test_the_maps_of_transformer_lens_are_met(lens_model):
    """Residual and head maps equal TransformerLens's own patching functions within 1e-4, on the same weights
    and prompts.
    """
    from transformer_lens import patching

    from activations.transformer_lens_backend import TransformerLensBackend

    model = lens_model
    pairs = lens_pairs(model)
    a, b = 40, 41
    bridge = TransformerLensBackend().bridge(model)
    clean, corrupt = (
        torch.from_numpy(np.stack([row.ids for row in model.rows([p[n] for p in pairs])])) for n in (0, 1)
    )

    def difference(logits):
        return (logits[:, -1, a] - logits[:, -1, b]).mean()

    with torch.no_grad():
        _, cache = bridge.run_with_cache(clean)
        residual = patching.get_act_patch_resid_pre(bridge, corrupt, cache, difference).numpy()
        heads = patching.get_act_patch_attn_head_out_all_pos(bridge, corrupt, cache, difference).numpy()
    metric = metrics.logit_difference(a, b)
    ours = activations.patch_map(model, pairs, metric=metric, sites="resid_pre")
    np.testing.assert_allclose(ours.patched[..., 0].mean(0), residual, atol=1e-4)
    by_head = activations.patch_map(
        model, pairs, metric=metric, sites="head_z", by_head=True, positions="together"
    )
    np.testing.assert_allclose(by_head.patched[:, :, 0].mean(0), heads, atol=1e-4)


def planted(seed):
    """A Llama whose behavior runs through one head, and an adapter whose effect runs through one module.

    All weights are random and small but these: one value head reads a direction that two tokens carry with
    opposite signs, one query
    head's output writes the difference of two answers, and one LoRA module writes it too.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM

    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    words = testing.tokenizer()
    config = testing.config("llama", n_layers=3, width=32, vocabulary=len(words))
    inner = LlamaForCausalLM(config).eval()
    layer, head = int(rng.integers(3)), int(rng.integers(4))
    where = (int(rng.integers(3)), str(rng.choice(["o_proj", "down_proj"])))
    if rng.random() < 0.3:
        where = (layer, "v_proj")
    yes, no = (words(" sure")["input_ids"][-1], words(" or")["input_ids"][-1])
    good, bad = (words(f" {word}")["input_ids"][-1] for word in ("bold", "careful"))
    with torch.no_grad():
        for block in inner.model.layers:
            for weight in (
                block.self_attn.o_proj.weight,
                block.mlp.down_proj.weight,
                block.self_attn.q_proj.weight,
            ):
                weight *= 0.05
        read = torch.nn.functional.normalize(torch.randn(32), dim=0)
        write = torch.nn.functional.normalize(inner.lm_head.weight[good] - inner.lm_head.weight[bad], dim=0)
        inner.model.embed_tokens.weight[yes] += 3 * read
        inner.model.embed_tokens.weight[no] -= 3 * read
        attention = inner.model.layers[layer].self_attn
        attention.v_proj.weight[head // 2 * 8] = 2 * read
        attention.o_proj.weight[:, head * 8] = 4 * write
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    adapted = get_peft_model(
        inner, LoraConfig(r=2, lora_alpha=2, target_modules=modules, task_type="CAUSAL_LM")
    )
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if ".lora_" in name:
                torch.nn.init.normal_(parameter, 0.0, 0.001 if ".lora_B." in name else 0.2)
        path = f"{'self_attn' if where[1] in ('v_proj', 'o_proj') else 'mlp'}.{where[1]}"
        lora = inner.model.layers[where[0]].get_submodule(path)
        column = torch.zeros(lora.lora_B["default"].weight.shape[0])
        if where[1] == "v_proj":
            column[head // 2 * 8] = 4.0
        else:
            column = 4 * write
        lora.lora_B["default"].weight[:, 0] = column
        lora.lora_A["default"].weight[0] = 2 * torch.randn(lora.lora_A["default"].weight.shape[1])
    model = activations.wrap(adapted.eval(), words)
    return model, (layer, head), where, metrics.logit_difference(good, bad)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # peft calls an old name
@pytest.mark.parametrize(
    "seeds", [range(2), pytest.param(range(2, INSTANCES), marks=pytest.mark.slow)], ids=["two", "the rest"]
)
def test_planted_circuits_are_found_first(seeds):
    """In 20 of 20 random instances the planted head tops exact, attribution and path maps, and the planted
    module every profile.
    """
    words = ["one", "you", "coins", "fox", "quick", "brown"]

    def prompt(n, word, side):
        text = f"{words[n % 6]} {word} {words[(n + 1) % 6]} which"
        return {"id": f"{side}{n}", "messages": [{"role": "user", "content": text}]}

    missed = []
    for seed in seeds:
        model, head, module, metric = planted(seed)
        pairs = [(prompt(n, "sure", "s"), prompt(n, "or", "t")) for n in range(5)]
        setting = {"metric": metric, "source": "base", "target": "base", "align": "roles"}
        maps = {
            "exact": activations.patch_map(
                model, pairs, sites="head_z", by_head=True, positions="together", **setting
            ),
            "gradient": attribution.attribute(
                model, pairs, sites="head_z", by_head=True, positions="together", **setting
            ),
            "integrated": attribution.attribute(
                model,
                pairs,
                sites="head_z",
                by_head=True,
                positions="together",
                method="integrated",
                steps=3,
                **setting,
            ),
        }
        for name, found in maps.items():
            first = np.unravel_index(np.abs(found.recovery[:, 0]).argmax(), (3, 4))
            if tuple(int(n) for n in first) != head:
                missed.append((seed, name, first, head))
        nodes = [f"{layer}.{n}" for layer in range(3) for n in range(4)]
        paths = path_patch(model, pairs, senders=nodes, **setting).to_dataframe()
        if paths.loc[paths["recovery"].abs().idxmax(), "sender"] != f"{head[0]}.{head[1]}":
            missed.append((seed, "path", head))
        profile = adapter_gates.adapter_profile(
            model,
            [pair[0] for pair in pairs],
            metric=metric,
            adapter="default",
            n_permutations=4,
            seed=0,
            steps=4,
        )
        np.testing.assert_allclose(profile.shapley.sum(0), profile.effect, atol=1e-5)
        for name in ("shapley", "leave_out", "keep_in", "linear"):
            first = profile.modules[int(np.abs(getattr(profile, name).mean(1)).argmax())]
            if first != module:
                missed.append((seed, name, first, module))
    assert missed == []
