"""A GGUF file written as a plain folder in the Hub's format, and the check that it does what the model does.

transformers dequantizes the file and refuses to save what it gives ("quantized with gguf and is not
serializable"), so the weights go into a new model of the same configuration without the quantization.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.core.errors import FetchError, GgufError
from mi_bsa.core.files import digest
from mi_bsa.core.named_models.catalog import Check
from mi_bsa.core.named_models.gguf_header import sense
from mi_bsa.core.named_models.gguf_source import Source
from mi_bsa.core.named_models.gguf_tokenizer import tokenizer_of
from mi_bsa.core.named_models.home import writing

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WORDS = (
    "The quick brown fox doesn't jump over 12,345 lazy dogs.",
    "\n\n1. caf\u00e9 cafe\u0301  \u65e5\u672c\u8a9e \U0001f600\n\tx = y**2  # done",
)
"""Text by which two tokenizers are told apart: words, digits, white space, accents, scripts, signs."""
PLAIN = ("F32", "F16", "BF16", "F64")
"""Kinds of tensors that are numbers, not blocks of a few bits."""
TEXT = "The quick brown fox jumps over the lazy dog. Paris is the capital of France."
"""What any converted model reads once: its loss is recorded and shown, so that a wild one is seen."""


def ready() -> None:
    """Refuse to begin without what reads GGUF. Raises `FetchError`."""
    if find_spec("gguf") is None:
        raise FetchError(
            "a model in GGUF is read by the package gguf, which is not installed; run `pip install "
            "'mi-bsa[gguf]'`, or `pip install gguf`, and repeat the command"
        )


def convert(source: Source, made: Path, *, dtype: str, own: Path | None = None) -> dict[str, Any]:
    """Write the model of a GGUF file and its tokenizer into a new folder.

    Args:
        source: the file, read and judged.
        made: the folder, which must not exist.
        dtype: of the written weights.
        own: a folder whose tokenizer is written instead of the file's.

    Returns:
        What is recorded of it.

    Raises:
        GgufError: something in the file would not be computed as it should.
        FetchError: the folder cannot be written.
    """
    tokenizer = tokenizer_of(source, own=own)
    model = weights_of(source, dtype=dtype)
    with writing(made), _quiet():
        made.mkdir(parents=True)
        try:
            model.save_pretrained(made)
            tokenizer.save_pretrained(made)
        except OSError:
            raise
        except Exception as error:  # safetensors and tokenizers have no class of their own for a full disk
            raise OSError(str(error)) from error
        judge_words(tokenizer, made, model.config.vocab_size)
        for file in made.iterdir():
            file.chmod(0o644)  # safetensors writes for the owner alone
    kinds = source.kinds()
    return {
        "dtype": dtype,
        "family": model.config.model_type,
        "parameters": model.num_parameters(),
        "weights": weights_in_words(kinds, dtype),
        "source": {"name": source.path.name, "sha256": digest(source.path), "tensors": kinds},
        "toolkit": version("mi-bsa"),
        "transformers": version("transformers"),
    }


def judge_words(tokenizer: Any, made: Path, vocabulary: int) -> None:
    """Refuse a tokenizer that transformers reads back as another one: for some families it takes a class of
    its own, whatever the folder says. Raises `GgufError`.
    """
    from transformers import AutoTokenizer

    again: Any = AutoTokenizer.from_pretrained(made, local_files_only=True, trust_remote_code=False)
    last = max(again.get_vocab().values())
    if last >= vocabulary or any(again(text).input_ids != tokenizer(text).input_ids for text in WORDS):
        raise GgufError(
            f"the tokenizer reads back from disk as {type(again).__name__}, which cuts text otherwise or has "
            f"other tokens (up to {last} of {vocabulary:,}); give the folder of the model's own: "
            "--tokenizer DIR"
        )


def weights_in_words(kinds: dict[str, int], dtype: str) -> str:
    """What the written weights are, compared with those that were trained."""
    blocks = [kind for kind in kinds if kind not in PLAIN]
    if blocks:
        return f"dequantized from blocks of few bits ({', '.join(blocks)})"
    return f"those of the file ({', '.join(kinds)})" + (
        ", rounded" if dtype == "bfloat16" and "BF16" not in kinds else ""
    )


def weights_of(source: Source, *, dtype: str) -> "PreTrainedModel":
    """The file's model with dense weights, every one of them from the file.

    Raises:
        GgufError: weights are missing, left over or not finite, or transformers cannot read the file.
    """
    import torch
    from transformers import AutoModelForCausalLM

    ready()
    with sense(source.path):
        config = source.config()
    loader: Any = AutoModelForCausalLM
    with _quiet(), source.alone() as place:
        try:
            read, info = loader.from_pretrained(
                **place,
                config=config,
                dtype=getattr(torch, dtype),
                trust_remote_code=False,
                output_loading_info=True,
            )
        except Exception as error:  # transformers and gguf have no common error for a file that does not fit
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise GgufError(
                f"{source.path}: transformers cannot read it as {config.model_type} ({reason[:200]}); get "
                "the file again, or give the model's own folder"
            ) from error
        for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            if info[fault]:
                names = ", ".join(sorted(map(str, info[fault]))[:3])
                raise GgufError(f"{source.path}: {fault.replace('_', ' ')} {names}; get the file again")
        plain = config.to_dict()
        for key in ("quantization_config", "_name_or_path"):
            plain.pop(key, None)
        with torch.device("meta"):  # else both would be in memory
            model: PreTrainedModel = type(read)(type(config)(**plain))
        model.load_state_dict(read.state_dict(), assign=True)
        model.tie_weights()
    for name, value in model.named_parameters():
        if not bool(torch.isfinite(value).all()):
            raise GgufError(f"{source.path}: {name} holds values that are not finite; get the file again")
    generation = model.generation_config
    assert generation is not None
    generation.bos_token_id, generation.pad_token_id = config.bos_token_id, config.pad_token_id
    generation.eos_token_id = source.stops()
    return model


def check(folder: Path, known: Check | None, *, dtype: str) -> dict[str, Any]:
    """Run a written model once, with transformers alone: on what is known of it, or on a fixed text.

    Raises:
        GgufError: it computes nothing finite, another loss, or another answer.
    """
    import math

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    text = TEXT if known is None else known.text
    with _quiet(), torch.inference_mode():
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype="auto"
        ).eval()
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        ids = tokenizer(text, return_tensors="pt").input_ids
        loss = float(model(ids, labels=ids).loss)
        if not math.isfinite(loss):
            raise GgufError(
                "the converted model's loss is not finite, so it is not put in place; get another file"
            )
        if known is None:
            return {"text": text, "loss": loss}
        messages = [{"role": "user", "content": known.question}]
        asked = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        written = model.generate(**asked, max_new_tokens=16, do_sample=False)
        answer = tokenizer.decode(written[0, asked["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    report = "so it is not put in place; report it with your versions of torch and transformers"
    if not abs(loss - known.loss) <= known.tolerance[dtype]:
        raise GgufError(
            f"the converted model's loss on a fixed text is {loss:.4f}, not {known.loss} within "
            f"{known.tolerance[dtype]}, {report}"
        )
    if answer != known.answer:
        raise GgufError(
            f"the converted model answers {answer!r} to {known.question!r}, not {known.answer!r}, {report}"
        )
    expected = {"known": known.loss, "tolerance": known.tolerance[dtype], "question": known.question}
    return {"text": text, "loss": loss, **expected, "answer": answer}


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers without its bars and warnings: what matters is checked here and said in one line."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(io.StringIO()):  # one bar is tqdm's own, which no switch reaches
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
