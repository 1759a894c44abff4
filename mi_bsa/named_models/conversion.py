"""A GGUF file written as a plain folder in the Hub's format, and the check that it does what the model does.

transformers dequantizes the file and refuses to save what it gives ("quantized with gguf and is not
serializable"), so the weights go into a new model of the same configuration without the quantization.
"""

import math
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.errors import GgufError
from mi_bsa.files import digest
from mi_bsa.named_models.catalog import Check
from mi_bsa.named_models.gguf_source import Source
from mi_bsa.named_models.gguf_tokenizer import tokenizer_of
from mi_bsa.named_models.home import writing

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def ready() -> None:
    """Refuse to begin without what reads GGUF. Raises `GgufError`."""
    if find_spec("gguf") is None:
        raise GgufError(
            "reading GGUF needs the package gguf; run `pip install 'mi-bsa[gguf]'`, or `pip install gguf`"
        )


def convert(path: Path, made: Path, *, dtype: str) -> dict[str, Any]:
    """Write the model of a GGUF file and its tokenizer into a new folder.

    Returns:
        What is recorded of it.

    Raises:
        GgufError: the file cannot be read, or something in it would not be computed.
        FetchError: the folder cannot be written.
    """
    ready()
    source = Source.read(path)
    model = weights_of(source, dtype=dtype)
    tokenizer = tokenizer_of(source)
    with writing(made), _quiet():
        try:
            made.mkdir(parents=True)
            model.save_pretrained(made)
            tokenizer.save_pretrained(made)
        except OSError:
            raise
        except Exception as error:  # safetensors has an error of its own for a full disk
            raise OSError(None, str(error)) from error
    return {
        "dtype": dtype,
        "parameters": sum(value.numel() for value in dict(model.named_parameters()).values()),
        "source": {"name": path.name, "sha256": digest(path), "tensors": source.kinds()},
        "toolkit": version("mi-bsa"),
        "transformers": version("transformers"),
    }


def weights_of(source: Source, *, dtype: str) -> "PreTrainedModel":
    """The file's model with dense weights, every one of them from the file.

    Raises:
        GgufError: weights are missing, left over or not finite.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = source.config()
    with _quiet():
        try:
            read, info = AutoModelForCausalLM.from_pretrained(
                source.path.parent,
                gguf_file=source.path.name,
                config=config,
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
            )
        except Exception as error:  # transformers and gguf have no common error for a file that does not fit
            reason = str(error).strip().splitlines()
            raise GgufError(
                f"{source.path}: its tensors do not make a {config.model_type} model "
                f"({reason[0] if reason else type(error).__name__}); get the file again, or another one"
            ) from error
        plain = config.to_dict()
        for key in ("quantization_config", "_name_or_path", "dtype"):
            plain.pop(key, None)
        model = type(read)(type(config)(**plain))
        for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            if info[fault]:
                names = ", ".join(sorted(map(str, info[fault]))[:3])
                raise GgufError(
                    f"{source.path}: {fault.replace('_', ' ')} {names}; the file is not whole or not of its "
                    "architecture: get another one"
                )
        model.load_state_dict(read.state_dict())
        model.tie_weights()
    for name, value in model.named_parameters():
        if not bool(torch.isfinite(value).all()):
            raise GgufError(f"{source.path}: {name} holds values that are not finite; get the file again")
    model.generation_config.eos_token_id = source.stops()
    model.generation_config.bos_token_id = config.bos_token_id
    model.generation_config.pad_token_id = config.pad_token_id
    return model.to(getattr(torch, dtype)).eval()


def check(folder: Path, known: Check, *, dtype: str) -> dict[str, Any]:
    """Run a written model on what is known of it, with transformers alone.

    Raises:
        GgufError: another loss or another answer.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _quiet(), torch.inference_mode():
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype="auto").eval()
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        ids = tokenizer(known.text, return_tensors="pt").input_ids
        loss = float(model(ids, labels=ids).loss)
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": known.question}],
            add_generation_prompt=True, return_tensors="pt", return_dict=True,
        )  # fmt: skip
        written = model.generate(**asked, max_new_tokens=16, do_sample=False)
        answer = tokenizer.decode(written[0, asked["input_ids"].shape[1] :], skip_special_tokens=True)
    if not abs(loss - known.loss) <= known.tolerance[dtype]:
        raise GgufError(
            f"the converted model's loss on a fixed text is {loss:.4f}, not {known.loss} within "
            f"{known.tolerance[dtype]}, so it is not put in place; report it with your versions of torch and "
            "transformers"
        )
    if answer.strip() != known.answer:
        raise GgufError(
            f"the converted model answers {answer!r} to {known.question!r}, not {known.answer!r}, so it is "
            "not put in place; report it with your versions of torch and transformers"
        )
    assert math.isfinite(loss)
    return {
        "text": known.text, "loss": loss, "known": known.loss, "tolerance": known.tolerance[dtype],
        "question": known.question, "answer": answer.strip(),
    }  # fmt: skip


def _quiet() -> Any:
    """transformers without its bars and warnings: what matters is checked here and said in one line."""
    from contextlib import contextmanager

    from transformers.utils import logging

    @contextmanager
    def hushed() -> Any:
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()

    return hushed()
