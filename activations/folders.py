"""A model's folder, read as data: its configuration, its tokenizer and its weights.

The law: nothing that a folder brings is run, nothing that is missing is made up. No code from a folder and no
pickled weights, whatever its configuration asks for and without a question on the terminal; every weight of
the model comes from the file, in the file's shape, and is finite. transformers itself fills what is missing
at random and says so in a log only.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from activations import families
from activations.errors import ModelError, first_line

SAFE: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
_NUMBERS = ("F64", "F32", "F16", "BF16")
_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"
_COMPLETE = "give a folder with config, safetensors and tokenizer"
_COPY = "copy the folder again, or fetch it anew"


def read_config(folder: str | os.PathLike[str]) -> Any:
    """transformers' configuration of a model's folder; no code of the folder's own is run.

    Raises:
        ModelError: no configuration, or one that cannot be read without running code.
    """
    from transformers import AutoConfig

    with _one_line(folder):
        return AutoConfig.from_pretrained(folder, **SAFE)


def read_tokenizer(folder: str | os.PathLike[str]) -> Any:
    """The tokenizer of a model's folder; no code of the folder's own is run.

    Raises:
        ModelError: no tokenizer, or one that cannot be read without running code.
    """
    from transformers import AutoTokenizer

    with _one_line(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, **SAFE)
        if not isinstance(tokenizer.model_max_length, int | float):
            raise ValueError(f"tokenizer_config.json: model_max_length is {tokenizer.model_max_length!r}")
        return tokenizer


def read_model(
    folder: Path,
    *,
    name: str,
    dtype: torch.dtype,
    attention: str,
    device_map: str | Mapping[str, Any] | None = None,
    quantization_config: Any = None,
) -> Any:
    """The Hugging Face causal language model of a folder, each weight from its file and finite.

    Raises:
        ModelError: weights that are missing, unknown, of another shape, not finite, pickled or cut off.
    """
    from transformers import AutoModelForCausalLM

    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"model {name!r} is the folder of an adapter, or holds one; give its base as the model and this "
            "folder as adapter="
        )
    config = read_config(folder)
    shapes = weight_shapes(folder, name, numbers=packed(config, name) is None)
    _sizes(config, shapes, name)
    more: dict[str, Any] = {} if quantization_config is None else {"quantization_config": quantization_config}
    with _one_line(name), _quiet():
        found: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            attn_implementation=attention,
            device_map=device_map,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # reported below, all of them at once
            output_loading_info=True,
            **more,
            **SAFE,
        )
    inner, report = found
    faults = {
        "missing": sorted(report["missing_keys"]),
        "unknown": sorted(report["unexpected_keys"]),
        "of another shape": sorted(key for key, *_ in report["mismatched_keys"]),
        "unreadable": [str(text).splitlines()[0] for text in report["error_msgs"]],
    }
    said = [f"{len(keys)} {what} ({_some(keys)})" for what, keys in faults.items() if keys]
    if said:
        raise ModelError(f"model {name!r}: of its weights {'; '.join(said)}; {_COPY}")
    if quantization_config is not None:
        check_finite_files(folder, name)  # a quantized weight can hide what was not finite before
    check_finite(inner, name)
    return inner


def weight_files(folder: Path, name: str) -> list[Path]:
    """The safetensors files of a model's folder, all of them there.

    Raises:
        ModelError: none, pickled ones only, or a shard that is missing.
    """
    if (folder / _INDEX).is_file():
        try:
            shards = json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"].values()
            files = [folder / shard for shard in sorted(set(shards))]
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            raise ModelError(f"model {name!r}: {_INDEX} is broken; {_COPY}") from None
        absent = [file.name for file in files if not file.is_file()]
        if absent:
            raise ModelError(
                f"model {name!r}: {len(absent)} of {len(files)} shards missing ({_some(absent)}); {_COPY}"
            )
        return files
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    pickled = sorted(p.name for end in ("bin", "pt", "pth", "ckpt") for p in folder.glob(f"*.{end}"))
    if pickled:
        raise ModelError(
            f"model {name!r} has pickled weights only ({_some(pickled)}), which can run code when they are "
            "opened; where you trust them, load them with transformers and save_pretrained, which writes "
            "safetensors"
        )
    if not (folder / "config.json").is_file():
        raise ModelError(f"model {name!r} cannot be loaded (no config.json in {str(folder)!r}); {_COMPLETE}")
    raise ModelError(f"model {name!r} cannot be loaded (no {_SINGLE}, no {_INDEX}); {_COMPLETE}")


def packed(config: Any, name: str) -> str | None:
    """How the weights of a folder are quantized, as its configuration says; None where they are numbers.

    Raises:
        ModelError: in another way than four bits by bitsandbytes, whose type could not be told truly.
    """
    given = getattr(config, "quantization_config", None)
    if given is None:
        return None
    told = given if isinstance(given, Mapping) else given.to_dict()
    method = str(told.get("quant_method") or "bitsandbytes")
    if method != "bitsandbytes" or not (told.get("load_in_4bit") or told.get("_load_in_4bit")):
        raise ModelError(
            f"model {name!r} is quantized by {method}{' in 8 bits' if method == 'bitsandbytes' else ''}; "
            "four bits by bitsandbytes are what is read here: give the model that it was made from, and "
            "quantization='nf4' where it must be small"
        )
    return method


def is_packed(folder: Path) -> bool:
    """Whether a folder's configuration says that its weights are quantized."""
    try:
        return bool(
            json.loads((folder / "config.json").read_text(encoding="utf-8")).get("quantization_config")
        )
    except (OSError, ValueError, AttributeError, RecursionError):
        return False  # what is wrong with it is said where it is read


def weight_shapes(folder: Path, name: str, *, numbers: bool = True) -> dict[str, tuple[int, ...]]:
    """The shape of each weight in a model's folder, from the headers of its files.

    Args:
        folder: the model's.
        name: the model's, for messages.
        numbers: refuse weights that are stored as anything but floating-point numbers of 16 bits or more.

    Raises:
        ModelError: files that are absent or cut off, or codes in the place of numbers.
    """
    from safetensors import safe_open

    found: dict[str, tuple[int, ...]] = {}
    odd: dict[str, str] = {}
    for path in weight_files(folder, name):
        try:
            with safe_open(path, framework="pt") as file:
                parts = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
                found |= {key: tuple(part.get_shape()) for key, part in parts.items()}
                odd |= {key: t for key, part in parts.items() if (t := part.get_dtype()) not in _NUMBERS}
        except Exception as error:  # safetensors raises its own untyped error for a cut-off file
            raise ModelError(
                f"model {name!r}: {path.name} cannot be read ({first_line(error, 300)}): it may be cut "
                f"off; {_COPY}"
            ) from None
    codes = [key for key in odd if key.endswith((".weight", ".bias"))]
    if numbers and codes:
        raise ModelError(
            f"model {name!r} stores {len(codes)} weights as {odd[codes[0]]} ({_some(codes)}), which are "
            "codes and no numbers, and its config names no quantization; give the model that it was made from"
        )
    return found


def _sizes(config: Any, shapes: Mapping[str, tuple[int, ...]], name: str) -> None:
    """Hold the configuration's sizes against the files' before memory is taken for them."""
    text, family = config.get_text_config(), families.of(config)  # no other family is read at all
    block = re.compile(rf"(?:^|\.){family.blocks}\.(\d+)\.")
    layers = [int(hit[1]) for key in shapes if (hit := block.search(key))]
    here: dict[str, int] = {}
    if layers:
        here["num_hidden_layers"] = max(layers) + 1
    rows = next((shape for key, shape in shapes.items() if key.endswith(f"{family.embed}.weight")), ())
    if len(rows) == 2:
        here |= {"vocab_size": rows[0], "hidden_size": rows[1]}
    for key, size in here.items():
        told = getattr(text, key, None)
        if told is not None and told > size:
            raise ModelError(
                f"model {name!r}: its config says {key} {told} and its weights hold {size}: some are "
                f"missing or the config is another's; {_COPY}"
            )


def check_finite(inner: nn.Module, name: str) -> None:
    """Refuse a model with a weight that is NaN or infinite. One pass over each weight, without a copy.

    Raises:
        ModelError: it names the weights.
    """
    _refuse_infinite(inner.named_parameters(), name)


def check_finite_files(folder: Path, name: str) -> None:
    """The same of the files of a folder, one weight in memory at a time.

    Raises:
        ModelError: it names the weights.
    """
    from safetensors import safe_open

    def weights() -> Iterator[tuple[str, torch.Tensor]]:
        for path in weight_files(folder, name):
            with safe_open(path, framework="pt") as file:
                yield from ((key, file.get_tensor(key)) for key in file.keys())  # noqa: SIM118

    _refuse_infinite(weights(), name)


@torch.no_grad()
def _refuse_infinite(weights: Iterable[tuple[str, torch.Tensor]], name: str) -> None:
    # aminmax gives NaN where there is one; float32 holds the ends of every narrower type
    ends = {
        key: torch.stack(torch.aminmax(weight)).float()
        for key, weight in weights
        if weight.is_floating_point() and weight.numel() and weight.device.type != "meta"
    }
    bad = [key for key, end in ends.items() if not bool(end.isfinite().all())]
    if bad:
        raise ModelError(
            f"model {name!r}: {len(bad)} weights hold NaN or infinity ({_some(bad)}); its training failed or "
            f"its type is too narrow: {_COPY}, or load it as float32 or bfloat16"
        )


@contextlib.contextmanager
def _one_line(name: str | os.PathLike[str]) -> Iterator[None]:
    """Whatever transformers raises over a foreign file, as one line of ours."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # a wrong field in a foreign file makes transformers raise whatever it likes
        reason = first_line(error, 300)
        if "trust_remote_code" in str(error):
            raise ModelError(
                f"model {os.fspath(name)!r} needs code of its own to be run (auto_map), which is never done "
                "here; give a model of a family that transformers has"
            ) from None
        if isinstance(error, ImportError):
            reason = f"a package is missing: {reason}"
        raise ModelError(f"model {os.fspath(name)!r} cannot be loaded ({reason}); {_COMPLETE}") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' loading bars and its table of what does not match, which is an error here."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
