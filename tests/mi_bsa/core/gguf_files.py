"""GGUF files of tiny random models, written with the package gguf as llama.cpp's converter writes them: an
independent way there, so that the way back can be held to it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ARCHITECTURES = {
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
}

TEXTS = (
    "the quick brown fox",
    "\n\n1. two  5 2024",
    "don't  stop",
    "caf\u00e9 cafe\u0301 \u65e5\u672c \U0001f600",
    "  a",
)
"""Text that tells rules for cutting apart: white space, digits, accents, scripts, signs."""

Edit = Callable[[Any], None]
Tensors = dict[str, np.ndarray]


def write(
    path: Path,
    folder: Path,
    *,
    pre: str | None = "gpt-2",
    kind: str = "F32",
    fields: Edit | None = None,
    tensors: Callable[[Tensors], Tensors] | None = None,
    architecture: str | None = None,
    words: bool = True,
) -> Path:
    """Write the model and the tokenizer of a Hub folder as one GGUF file.

    Args:
        path: the file.
        folder: the model.
        pre: the word about how text is cut; None writes none.
        kind: of the matrices: F32, F16, Q8_0, Q4_0; vectors stay F32.
        fields: adds fields to the writer.
        tensors: changes the tensors, by their names in the file.
        architecture: another name for it.
        words: whether the tokenizer is written.
    """
    import gguf
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    config = model.config
    arch = ARCHITECTURES[config.model_type]
    writer = gguf.GGUFWriter(path, architecture or arch)
    _fields(writer, config)
    if words:
        _tokenizer(writer, folder, pre)
    if fields is not None:
        fields(writer)
    found = _tensors(model, arch)
    for name, value in (found if tensors is None else tensors(found)).items():
        if value.ndim == 2 and kind != "F32":
            known = gguf.GGMLQuantizationType[kind]
            writer.add_tensor(name, gguf.quants.quantize(value, known), raw_dtype=known)
        else:
            writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_sentencepiece(path: Path, known: Any) -> Path:
    """Write a SentencePiece model's vocabulary, beside a model of one block."""
    import gguf

    size, width = known.get_piece_size(), 16
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(width)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    kinds = {known.is_unknown: 2, known.is_control: 3, known.is_byte: 6}
    writer.add_tokenizer_model("llama")
    writer.add_token_list([known.id_to_piece(n) for n in range(size)])
    writer.add_token_scores([known.get_score(n) for n in range(size)])
    writer.add_token_types(
        [next((kind for is_it, kind in kinds.items() if is_it(n)), 1) for n in range(size)]
    )
    writer.add_bos_token_id(known.bos_id())
    writer.add_eos_token_id(known.eos_id())
    writer.add_unk_token_id(known.unk_id())
    square = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    shapes = {f"blk.0.{name}.weight": (width, width) for name in square}
    shapes |= {f"blk.0.{name}.weight": (width,) for name in ("attn_norm", "ffn_norm")}
    shapes |= {"token_embd.weight": (size, width), "output_norm.weight": (width,)}
    for name, shape in shapes.items():
        writer.add_tensor(name, np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _fields(writer: Any, config: Any) -> None:
    import gguf

    rope: Mapping[str, Any] = config.rope_parameters
    rope = rope.get("full_attention", rope)
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_name("A tiny random model")
    writer.add_organization("mi-bsa's tests")
    writer.add_license("mit")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    if config.model_type in ("qwen3", "gemma2", "gemma3_text"):
        writer.add_key_length(size)
        writer.add_value_length(size)
    else:
        writer.add_rope_dimension_count(size)
    if config.model_type in ("gemma2", "gemma3_text"):
        writer.add_sliding_window(config.sliding_window)
    if config.model_type == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])


def _tokenizer(writer: Any, folder: Path, pre: str | None) -> None:
    import json

    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    told = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    added = {token["id"]: token["special"] for token in told["added_tokens"]}
    names = {index: token for token, index in tokenizer.get_vocab().items()}
    size = max(names) + 1
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list([names.get(n, f"[PAD{n}]") for n in range(size)])
    kinds = {True: 3, False: 4, None: 1}  # control, user-defined, normal
    writer.add_token_types([kinds[added.get(n)] if n in names else 5 for n in range(size)])
    merges = told["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    for name, add in (("bos", writer.add_bos_token_id), ("eos", writer.add_eos_token_id)):
        if (index := getattr(tokenizer, f"{name}_token_id")) is not None:
            add(index)
    if tokenizer.pad_token_id is not None:
        writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(tokenizer("x").input_ids[0] == tokenizer.bos_token_id)
    writer.add_chat_template(tokenizer.chat_template)


def _tensors(model: Any, arch: str) -> Tensors:
    """The weights by their names in the file: Llama's queries and keys with their halves interleaved, Gemma's
    norms as what they multiply by, and Llama 3's rope as factors.
    """
    import gguf

    config = model.config
    blocks = config.num_hidden_layers
    known = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
    names = gguf.get_tensor_name_map(known, blocks)
    found: Tensors = {}
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        array = value.detach().float().numpy()
        stem, _, suffix = name.rpartition(".")
        if arch == "llama" and stem.endswith(("q_proj", "k_proj")):
            heads = config.num_attention_heads if stem.endswith("q_proj") else config.num_key_value_heads
            half = array.shape[0] // heads // 2
            array = array.reshape(heads, 2, half, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)
        if arch.startswith("gemma") and name.endswith("norm.weight"):
            array = array + 1
        found[f"{names.get_name(stem)}.{suffix}"] = np.ascontiguousarray(array)
    if config.rope_parameters.get("rope_type") == "llama3":
        found["rope_freqs.weight"] = rope_factors(config)
    return found


def rope_factors(config: Any) -> np.ndarray:
    """How much slower each rope frequency turns than unscaled, from transformers' own scaled ones."""
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaled, _ = ROPE_INIT_FUNCTIONS[config.rope_parameters["rope_type"]](config, torch.device("cpu"))
    size = config.hidden_size // config.num_attention_heads
    plain = 1 / config.rope_parameters["rope_theta"] ** (torch.arange(0, size, 2).float() / size)
    return (plain / scaled).numpy().astype(np.float32)
