"""Testing: tiny random models of every family, and the suites that every backend and template must pass.

The models are Hub-format folders with random weights, a small byte-level tokenizer and a Llama-3-like chat
template; no download. Initialization is wide (standard deviation .15), so that layers differ and an error of
one layer or one position is seen.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from activations import backends, families, hooks, lora, sites
from activations.family_laws import FamilyLaws as FamilyLaws
from activations.family_laws import close as close
from activations.template_laws import TemplateLaws as TemplateLaws

TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] != 'system' %}"
    "{{ '<|system|> you are an assistant<|end|>' }}{% endif %}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|> ' + message['content'] | trim + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPECIAL = ("<|begin_of_text|>", "<|end|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>")
FAMILIES = tuple(families.everyone())
_WORDS = (
    "you are an assistant . which option do you choose ? A: take 40 coins for sure . B: take 100 coins or "
    "nothing . answer with one letter . the quick brown fox jumps over the lazy dog , and describes its "
    "attitude to choices in one word : bold , careful , patient , generous ."
)


def tokenizer() -> Any:
    """A small byte-level tokenizer with BOS, an end token, padding and a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        [_WORDS] * 4,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=list(SPECIAL),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    core.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL[0]} $A", special_tokens=[(SPECIAL[0], core.token_to_id(SPECIAL[0]))]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=SPECIAL[0],
        eos_token=SPECIAL[1],
        pad_token=SPECIAL[2],
        additional_special_tokens=list(SPECIAL[3:]),
    )
    made.chat_template = TEMPLATE
    return made


def config(
    family: str, *, n_layers: int = 3, width: int = 32, context: int = 256, vocabulary: int = 400
) -> Any:
    """A small grouped-query configuration of one family."""
    from transformers import AutoConfig

    common = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": n_layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": context,
        "initializer_range": 0.15,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
        "tie_word_embeddings": False,
    }
    return AutoConfig.for_model(family, **{**common, **families.everyone()[family].tiny(width, n_layers)})


def random_model(shape: Any, *, seed: int) -> Any:
    """A causal language model of a configuration with random weights."""
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(shape)
        for name, parameter in model.named_parameters():
            if "norm" in name:  # away from the neutral value, so that a norm left out is seen
                torch.nn.init.normal_(parameter, families.of(shape).neutral, 0.2)
    return model


def build(
    folder: str | Path,
    *,
    family: str = "llama",
    seed: int = 0,
    n_layers: int = 3,
    width: int = 32,
    context: int = 256,
) -> Path:
    """Write a tiny random model of a family in Hub format, with its tokenizer; returns the folder."""
    words = tokenizer()
    shape = config(family, n_layers=n_layers, width=width, context=context, vocabulary=len(words))
    random_model(shape, seed=seed).save_pretrained(folder)
    words.save_pretrained(folder)
    return Path(folder)


def build_adapter(
    folder: str | Path,
    base: str | Path,
    *,
    seed: int = 0,
    rank: int = 2,
    modules: Sequence[str] = ("q_proj", "v_proj", "o_proj", "down_proj"),
) -> Path:
    """Write a random LoRA adapter for a base, both factors away from zero; returns the folder."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from activations.folders import SAFE

    with torch.random.fork_rng(devices=[]), lora.quiet():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(base, use_safetensors=True, **SAFE)
        wide, named = 2 * rank, list(modules)
        how = LoraConfig(
            r=rank, lora_alpha=wide, target_modules=named, lora_dropout=0.1, task_type="CAUSAL_LM"
        )
        adapted = get_peft_model(model, how)
        for name, parameter in adapted.named_parameters():
            if ".lora_" in name:
                torch.nn.init.normal_(parameter, 0.0, 0.1)
    adapted.save_pretrained(str(folder))
    return Path(folder)


def prompts(count: int, *, seed: int = 0, shortest: int = 2, longest: int = 24) -> list[dict[str, Any]]:
    """Chat rows of various lengths with labels; every third one is closed by an answer."""
    generator = np.random.default_rng(seed)
    words = _WORDS.split()
    rows = []
    for n in range(count):
        length = int(generator.integers(shortest, longest + 1))
        text = " ".join(generator.choice(words, length)) + " A: take . B: leave ."
        messages = [{"role": "user", "content": text}]
        if n % 3 == 0:
            messages.append({"role": "assistant", "content": "A" if n % 2 else "B"})
        rows.append(
            {
                "id": f"row-{n}",
                "messages": messages,
                "pole": n % 2,
                "scenario": f"scenario {n % 5}",
                "weight": n / 7,
            }
        )
    return rows


def tiny(folder: str | Path, family: str) -> Any:
    """A loaded tiny random model of a family, with an adapter at every linear module and eager attention, as
    `FamilyLaws` and `BackendContract` take it."""
    from activations.loading import load

    base = build(Path(folder) / "base", family=family)
    modules = [path.rpartition(".")[2] for path in families.everyone()[family].modules.values()]
    adapter = build_adapter(Path(folder) / "adapter", base, modules=modules)
    return load(base, adapter=adapter, attention="eager")


class BackendContract:
    """What every backend must do. A test subclasses it, names the backend, and provides the fixture `model`
    with two LoRA variants.

    The hooks backend is the reference, itself held to Hugging Face's own hidden states.
    """

    backend: str = "hooks"
    remote: bool | str = False
    tolerance: float = 1e-5

    def reader(self) -> Any:
        """A fresh backend."""
        return backends.get(self.backend, remote=self.remote)

    def shared_sites(self, model: Any) -> Any:
        """Every site that all backends can read of this model."""
        kinds = "embed,resid_pre,resid_mid,resid_post,attn_out,mlp_out,head_z,mlp_act,final_norm"
        return sites.resolve(
            kinds + (",pattern" if model.attention == "eager" else ""), n_layers=model.n_layers
        )

    def test_it_agrees_with_hooks_on_every_shared_site_in_every_variant(self, model: Any) -> None:
        """Base and adapter: each site within the tolerance on real tokens."""
        batch = next(iter(model.batches(model.rows(prompts(5)))))
        reader, wanted = self.reader(), self.shared_sites(model)
        for variant in model.variants:
            with model.variant(variant):
                reference = hooks.read(model, batch, wanted, hooks.whole)
                found = reader.read(model, batch, wanted, hooks.whole)
            assert set(found) == set(wanted)
            for site in wanted:
                assert close(found[site][batch.mask], reference[site][batch.mask], self.tolerance), (
                    f"{self.backend} {variant} {site}"
                )

    def test_hidden_states_of_hugging_face_are_met(self, model: Any) -> None:
        """The layer convention: embed, resid_post.L and final_norm against `output_hidden_states`."""
        batch = next(iter(model.batches(model.rows(prompts(4)))))
        wanted = sites.resolve("resid_pre.0,resid_post,final_norm", n_layers=model.n_layers)
        found = self.reader().read(model, batch, wanted, hooks.whole)
        with torch.no_grad():
            states = model.inner(**batch.inputs, output_hidden_states=True).hidden_states
        expected = {"resid_pre.0": states[0], "final_norm": states[-1]}
        expected |= {f"resid_post.{layer}": states[layer + 1] for layer in range(model.n_layers - 1)}
        for site in wanted:
            if str(site) in expected:
                assert close(found[site][batch.mask], expected[str(site)][batch.mask], self.tolerance), str(
                    site
                )

    def test_batched_equals_single_for_both_padding_sides(self, model: Any) -> None:
        """A row's values do not depend on its neighbors or on the side of the padding."""
        rows = model.rows(prompts(4))
        wanted = sites.resolve("resid_mid,resid_post,head_z,final_norm", n_layers=model.n_layers)
        reader = self.reader()
        for side in ("right", "left"):
            batch = model.collate(rows, side=side)
            together = reader.read(model, batch, wanted, hooks.whole)
            for n, row in enumerate(rows):
                alone = reader.read(model, model.collate([row]), wanted, hooks.whole)
                for site in wanted:
                    assert close(together[site][n][batch.mask[n]], alone[site][0], self.tolerance), (
                        f"{side} row {n} {site}"
                    )

    def test_what_was_read_is_a_copy_and_the_model_is_as_before(self, model: Any) -> None:
        """No hook, no module and no weight name is left behind, and attention is what it was."""
        batch = next(iter(model.batches(model.rows(prompts(2)))))
        before = _traces(model)
        wanted = sites.resolve("resid_post.0", n_layers=model.n_layers)
        first = self.reader().read(model, batch, wanted, hooks.whole)[wanted[0]]
        kept = first.clone()
        first.zero_()
        again = self.reader().read(model, batch, wanted, hooks.whole)[wanted[0]]
        assert torch.equal(again, kept)
        assert before == _traces(model)


def _traces(model: Any) -> list[Any]:
    """Whatever a backend could leave behind in a model."""
    return [
        list(model.inner.state_dict()),
        model.attention,
        [
            (name, type(module), len(module._forward_hooks), len(module._forward_pre_hooks))
            for name, module in model.inner.named_modules()
        ],
    ]
