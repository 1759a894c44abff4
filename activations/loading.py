"""Loading: a base, its tokenizer and its adapters from disk or from memory, checked before anyone reads from
them.

The law: an adapter is at work or the loading fails. It must match the base's keys, be of this base, bring no
other tokenizer or chat template, and change the hidden states of a fixed canary prompt; the base must come
back. What is in memory already is held to the same, but for what nobody can see any more: whether its base
is still the one of its name.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from activations import adapter_files, attaching, bases, devices, folders, lora, quantizing
from activations.anatomy import Anatomy
from activations.batches import collate
from activations.dtypes import DTYPES
from activations.errors import AdapterError, ModelError, first_line
from activations.locating import locate, locate_adapter
from activations.models import Model
from activations.tokens import Template, tokenizer_fingerprint

Adapters = str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]]


def load(
    name_or_module: Any,
    *,
    adapter: Adapters | None = None,
    revision: str | None = None,
    dtype: str | torch.dtype = "float32",
    device: str | torch.device | None = None,
    device_map: str | Mapping[str, Any] | None = None,
    quantization: str | None = None,
    attention: str = "sdpa",
    tokenizer: Any = None,
    template_arguments: Mapping[str, Any] | None = None,
) -> Model:
    """Load a base, its tokenizer and its adapters, unmerged, and check that each adapter is at work.

    Args:
        name_or_module: folder in Hub format, Hub id, or an entry point's name such as `embedded` or
            `embedded/1`; or a Hugging Face or PEFT model in memory (also inside nnsight's wrapper), which
            then needs `tokenizer` and is not converted.
        adapter: an adapter's folder, `zoo:NAME`, or Hub id (`owner/name`, `owner/name@revision`), its name is
            then `adapter`; or several by name. A single one starts active.
        revision: the Hub revision to pin.
        dtype: float32, bfloat16, float16 or float64, by name or as torch's.
        device: e.g. `cpu` or `cuda`; the accelerator where there is one, else the CPU, where none is given.
        device_map: accelerate's placement over several devices instead of `device`, e.g. `auto`.
        quantization: `nf4` (4 bits, by bitsandbytes, which computes in `dtype`), or None.
        attention: `sdpa`, or `eager` where attention patterns are to be read.
        tokenizer: the tokenizer or its folder; the base's own where none is given.
        template_arguments: further arguments of the chat template; `date_string` is pinned by default.

    Raises:
        ModelError: no such model, an unknown family, weights that are missing, unknown or not finite, or an
            unusable dtype, device or attention.
        AdapterError: an adapter that does not match, is of another base, rewrites the base, brings another
            tokenizer, or changes nothing.
    """
    wanted = _dtype(dtype)
    if attention not in ("sdpa", "eager"):
        raise ModelError(
            f"attention {attention!r} is neither 'sdpa' nor 'eager', which alone can be read and patched; "
            "use one of these"
        )
    given: dict[str, str | os.PathLike[str]] = (
        {} if adapter is None else dict(adapter) if isinstance(adapter, Mapping) else {"adapter": adapter}
    )
    files = [adapter_files.read(key, locate_adapter(key, path)) for key, path in given.items()]
    if not isinstance(name_or_module, str | os.PathLike):
        made = {"revision": revision, "device_map": device_map, "quantization": quantization}
        module = _in_memory(name_or_module, {key: value for key, value in made.items() if value is not None})
        _as_asked(module, wanted if dtype != "float32" else None, device, attention)
        name, folder = str(getattr(module, "name_or_path", "") or "in memory"), None
        if isinstance(tokenizer, str | os.PathLike):
            words = folders.read_tokenizer(tokenizer)
        elif tokenizer is not None:
            words = tokenizer
        else:
            raise ModelError(
                "a model in memory brings no tokenizer; pass tokenizer=, the object or its folder"
            )
    else:
        name, folder = os.fspath(name_or_module), locate(name_or_module, revision=revision)
        module, words = _from_folder(
            folder, name, wanted, device, device_map, quantization, attention, tokenizer
        )
    for file in files:
        bases.check(lora.inner_of(module), file, name=name, folder=folder)
        if tokenizer is None:
            _same_words(words, file)
    for file in files:
        module = attaching.attach(module, file)
    model = wrap(
        module, words, name=name, folder=folder, revision=revision, template_arguments=template_arguments
    )
    if files:
        model._activate(files[0].name if len(files) == 1 else "base", 1.0)
    return model


def wrap(
    module: Any,
    tokenizer: Any,
    *,
    name: str = "in memory",
    folder: Path | None = None,
    revision: str | None = None,
    template_arguments: Mapping[str, Any] | None = None,
) -> Model:
    """A `Model` around a Hugging Face or PEFT model in memory; sets eval mode and freezes the weights.

    Its adapters must be unmerged LoRAs that leave the base alone, each at work on the canary. Whether
    something has changed the base's weights before cannot be seen here: its fingerprint is of what it is now.

    Raises:
        ModelError: an unknown family, a tokenizer of another vocabulary, or weights that are not finite.
        AdapterError: an adapter that is merged, not supported, or changes nothing.
    """
    module = _in_memory(module, {})
    inner: Any = lora.inner_of(module)
    anatomy = Anatomy.of(inner)
    quantizing.keep(inner)
    devices.warn_slow(inner, name)
    lora.check_supported(module)
    lora.check_unmerged(inner)
    if folder is None:  # what was read from a folder was checked there
        folders.check_finite(inner, name)
    _vocabulary(inner, tokenizer, name)
    module.eval().requires_grad_(False)
    template = Template(tokenizer, arguments=template_arguments)
    model = Model(module, inner, tokenizer, name, folder, revision, template, anatomy)
    active = lora.active(inner)
    for key in lora.names(inner):
        _canary(model, key)
    model._activate(active or "base", 1.0)
    return model


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    key = str(dtype).removeprefix("torch.")
    if key not in DTYPES:
        raise ModelError(f"dtype {key!r} is none of {', '.join(DTYPES)}; use one of these")
    return DTYPES[key]


def _from_folder(
    folder: Path,
    name: str,
    dtype: torch.dtype,
    device: str | torch.device | None,
    device_map: str | Mapping[str, Any] | None,
    quantization: str | None,
    attention: str,
    tokenizer: Any,
) -> tuple[nn.Module, Any]:
    """The base and the tokenizer from disk, where they were asked to be."""
    if device is not None and device_map is not None:
        raise ModelError(f"device={device!r} and device_map={device_map!r} both say where; give one of them")
    place = None if device_map is not None else devices.parse(device)
    devices.check_map(device_map, name)
    quantized = quantizing.config(quantization, dtype)
    is_packed = folders.is_packed(folder)
    if is_packed and quantized is not None:
        raise ModelError(f"model {name!r} is quantized already; leave quantization out")
    inner = folders.read_model(
        folder,
        name=name,
        dtype=dtype,
        attention=attention,
        device_map={"": place} if place is not None and (quantized is not None or is_packed) else device_map,
        quantization_config=quantized,
    )
    if device_map is not None:
        devices.check_placed(inner, device_map, name)
    if tokenizer is None or isinstance(tokenizer, str | os.PathLike):
        tokenizer = folders.read_tokenizer(folder if tokenizer is None else tokenizer)
    if place is not None and quantized is None and not is_packed:
        try:
            inner = inner.to(place)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise ModelError(
                f"model {name!r} cannot be put on {str(place)!r} ({first_line(error)}); use another device, "
                "dtype bfloat16, device_map='auto' or quantization='nf4'"
            ) from None
    return inner, tokenizer


def _in_memory(module: Any, given: Mapping[str, Any]) -> nn.Module:
    """The Hugging Face or PEFT model that was handed over, taken out of nnsight where it is wrapped."""
    if isinstance(module, Model):
        raise ModelError("this is a loaded model already; use it as it is, or give its .module")
    if given:
        raise ModelError(
            f"{', '.join(given)} cannot be changed of a model in memory; give it to from_pretrained, or load "
            "the model by name"
        )
    frameworks = {cls.__module__.partition(".")[0] for cls in type(module).__mro__}
    if "nnsight" in frameworks:
        module = module._module  # an Envoy's own module, which it leaves as it is
        frameworks = {cls.__module__.partition(".")[0] for cls in type(module).__mro__}
    if "transformer_lens" in frameworks:
        raise ModelError(
            f"{type(module).__name__} of TransformerLens has its own modules in the place of Hugging Face's; "
            "give the Hugging Face model (AutoModelForCausalLM.from_pretrained), and capture with "
            "backend='transformer_lens' to read it through a bridge"
        )
    if not isinstance(module, nn.Module) or not hasattr(lora.inner_of(module), "get_decoder"):
        raise ModelError(
            f"{type(module).__name__} is no causal language model of transformers or peft; give one, or the "
            "name or folder of one"
        )
    return module


def _as_asked(
    module: nn.Module, dtype: torch.dtype | None, device: str | torch.device | None, attention: str
) -> None:
    """What is in memory is not converted: a type, device or attention that it does not have is refused."""
    inner: Any = lora.inner_of(module)
    weight = inner.get_input_embeddings().weight
    place = None if device is None else devices.parse(device).type
    other = None if attention == "sdpa" else attention
    asked: dict[str, tuple[Any, Any]] = {
        "dtype": (dtype, weight.dtype),
        "device": (place, weight.device.type),
        "attention": (other, str(inner.config.get_text_config()._attn_implementation)),
    }
    for what, (want, has) in asked.items():
        if want is not None and want != has:
            raise ModelError(
                f"{what} {want} was asked for and the model in memory has {has}; convert it first, or leave "
                f"{what} out"
            )


def _vocabulary(inner: Any, tokenizer: Any, name: str) -> None:
    """Refuse a tokenizer of another vocabulary: more words than embeddings, or fewer than half as many.

    Added tokens may lie beyond the embeddings (Gemma 3 has one for images), and embeddings are often padded,
    by 3 % at most in the models that were looked at.
    """
    rows = int(inner.get_input_embeddings().weight.shape[0])
    words, all_words = int(getattr(tokenizer, "vocab_size", rows)), len(tokenizer)
    if words > rows or 2 * all_words < rows:
        raise ModelError(
            f"model {name!r} has {rows:,} embeddings and its tokenizer {all_words:,} tokens: it is another "
            "model's; pass the right one as tokenizer="
        )


def _same_words(tokenizer: Any, file: adapter_files.AdapterFile) -> None:
    """Refuse an adapter folder whose own tokenizer or chat template differs from the base's."""
    if not (file.path / "tokenizer.json").is_file():
        return
    own = folders.read_tokenizer(file.path)
    if (
        tokenizer_fingerprint(own) != tokenizer_fingerprint(tokenizer)
        or own.chat_template != tokenizer.chat_template
    ):
        raise AdapterError(
            f"adapter {file.name!r} was saved with another tokenizer or chat template than the base's; pass "
            f"tokenizer={str(file.path)!r} or the base's folder"
        )


@torch.no_grad()
def _canary(model: Model, name: str) -> None:
    """An adapter must change the hidden states (or logits) of a fixed prompt, and the base must come back."""
    vocabulary = int(model.anatomy.config.vocab_size)
    ids = np.linspace(0, vocabulary - 1, num=min(16, vocabulary, model.context_length)).astype(np.int64)
    own = lora.moved_tokens(model.inner, name, min(8, model.context_length - len(ids)))
    ids = np.append(ids, np.array(own, np.int64))  # a LoRA of embeddings may move no other token
    batch = collate([ids], pad=0, device=model.device)
    head = lora.on_head(model.inner, name)  # such an adapter may leave the hidden states as they are
    with model.variant("base"):
        base = model.unembed(model.forward(batch)) if head else model.forward(batch)
    with model.variant(name):
        adapted = model.unembed(model.forward(batch)) if head else model.forward(batch)
    if torch.equal(base, adapted):
        raise AdapterError(
            f"adapter {name!r} changes nothing on a canary prompt: it is untrained or all zero; check the "
            "training run, or load without it"
        )
    if not bool(torch.isfinite(adapted).all()):
        raise AdapterError(
            f"adapter {name!r} gives values that are not finite on a canary prompt; check the training run"
        )
