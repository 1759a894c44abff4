"""Loading: a base, its tokenizer and its adapters from disk or from memory, checked before anyone reads from
them.

The law: an adapter is at work or the loading fails. It must match the base's keys, bring no other tokenizer
or chat template, and change the hidden states of a fixed canary prompt; the base must come back.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from activations import devices, lora
from activations.anatomy import Anatomy
from activations.batches import collate
from activations.errors import AdapterError, ModelError
from activations.locating import locate
from activations.models import DTYPES, Model
from activations.tokens import Template, tokenizer_fingerprint


def load(
    name_or_module: str | os.PathLike[str] | nn.Module,
    *,
    adapter: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None = None,
    revision: str | None = None,
    dtype: str | torch.dtype = "float32",
    device: str | torch.device | None = None,
    device_map: str | Mapping[str, Any] | None = None,
    quantization: str | None = None,
    attention: str = "sdpa",
    tokenizer: str | os.PathLike[str] | None = None,
    template_arguments: Mapping[str, Any] | None = None,
) -> Model:
    """Load a base, its tokenizer and its adapters, unmerged, and check that each adapter is at work.

    Args:
        name_or_module: folder in Hub format, Hub id, or an entry point's name such as `embedded` or
            `embedded/1`; or a Hugging Face or PEFT model in memory, which then needs `tokenizer`.
        adapter: an adapter's folder (its name is then `adapter`), or several by name. A single one starts
            active.
        revision: the Hub revision to pin.
        dtype: float32, bfloat16, float16 or float64, by name or as torch's.
        device: e.g. `cpu` or `cuda`; the accelerator where there is one, else the CPU, where none is given.
        device_map: accelerate's placement of a model over several devices, instead of `device`.
        quantization: `nf4` (bitsandbytes), or None.
        attention: `sdpa`, or `eager` where attention patterns are to be read.
        tokenizer: folder of the tokenizer; the base's own where none is given.
        template_arguments: further arguments of the chat template; `date_string` is pinned by default.

    Raises:
        ModelError: no such model, an unknown family, or an unusable dtype, device or attention.
        AdapterError: an adapter that does not match, brings another tokenizer, or changes nothing.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if isinstance(dtype, torch.dtype):
        dtype = str(dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise ModelError(f"dtype {dtype!r} is none of {', '.join(DTYPES)}; use one of these")
    if attention not in ("sdpa", "eager"):
        raise ModelError(f"attention {attention!r} is neither 'sdpa' nor 'eager'; use one of these")
    if isinstance(name_or_module, nn.Module):
        raise ModelError("a model in memory: use activations.wrap(module, tokenizer)")
    if device_map is not None or quantization is not None:
        raise ModelError("device_map and quantization are not read yet; leave them out")
    name = name_or_module
    place = devices.parse(device)
    folder = locate(name, revision=revision)
    try:
        with _quiet():
            inner: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=DTYPES[dtype], attn_implementation=attention, local_files_only=True
            )
        words = AutoTokenizer.from_pretrained(tokenizer or folder, local_files_only=True)
        inner = inner.to(place)
    except Exception as error:  # transformers, safetensors and the Hub's validators have no common base
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"model {os.fspath(name)!r} cannot be loaded ({reason}); give a folder with config, safetensors "
            "and tokenizer"
        ) from None
    module: nn.Module = inner
    given = {} if adapter is None else dict(adapter) if isinstance(adapter, Mapping) else {"adapter": adapter}
    for key, path in given.items():
        module = lora.attach(module, key, Path(path))
        if tokenizer is None:
            _same_words(words, key, Path(path))
    model = wrap(
        module,
        words,
        name=os.fspath(name),
        folder=folder,
        revision=revision,
        template_arguments=template_arguments,
    )
    model._activate(next(iter(given)) if len(given) == 1 else "base", 1.0)
    for key in given:
        _canary(model, key)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the loading bars of transformers; they are switched back on afterwards."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def wrap(
    module: nn.Module,
    tokenizer: Any,
    *,
    name: str = "in memory",
    folder: Path | None = None,
    revision: str | None = None,
    template_arguments: Mapping[str, Any] | None = None,
) -> Model:
    """A `Model` around a Hugging Face or PEFT model in memory; sets eval mode and freezes the weights.

    Raises:
        ModelError: an unknown family.
    """
    from peft import PeftModel

    inner: Any = module.base_model.model if isinstance(module, PeftModel) else module
    module.eval().requires_grad_(False)
    model = Model(
        module,
        inner,
        tokenizer,
        name,
        folder,
        revision,
        Template(tokenizer, arguments=template_arguments),
        Anatomy.of(inner),
    )
    active = next(
        (
            layer._active_adapter[0]
            for layer in lora.layers(inner)
            if not layer._disable_adapters and layer._active_adapter
        ),
        "base",
    )
    model._activate(str(active), 1.0)
    return model


def _same_words(tokenizer: Any, name: str, path: Path) -> None:
    """Refuse an adapter folder whose own tokenizer or chat template differs from the base's."""
    if not (path / "tokenizer.json").is_file():
        return
    from transformers import AutoTokenizer

    own = AutoTokenizer.from_pretrained(path, local_files_only=True)
    if (
        tokenizer_fingerprint(own) != tokenizer_fingerprint(tokenizer)
        or own.chat_template != tokenizer.chat_template
    ):
        raise AdapterError(
            f"adapter {name!r} was saved with another tokenizer or chat template than the base's; pass "
            f"tokenizer={str(path)!r} or the base's folder"
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
