"""The shape of a model: its configuration without its weights, from its folder or from those shipped here.

Law: a dry run goes to no network. A model whose folder is on this machine is read there; for the Llama 3
instruct models the architecture's facts lie beside this file, so that a config for a 70B can be checked on
a laptop. Weights are never read.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activations.errors import ModelError
from mi_bsa.core.errors import MissingError
from mi_bsa.core.model_config import ModelLike, as_config
from mi_bsa.core.model_files import folder_here, weight_files

HERE = Path(__file__).parent / "shapes"


@dataclass(frozen=True)
class Shape:
    """A model's shape.

    Attributes:
        model: the name that was asked for.
        config: transformers' configuration.
        folder: where its configuration lies on this machine; None where the shape is a shipped one.
        has_weights: whether its weights are on this machine.
        has_tokenizer: whether its tokenizer is.
    """

    model: str
    config: Any
    folder: Path | None
    has_weights: bool
    has_tokenizer: bool

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return int(self.config.num_hidden_layers)

    @property
    def width(self) -> int:
        """d_model."""
        return int(self.config.hidden_size)

    @property
    def cached_width(self) -> int:
        """Numbers that one token leaves in the keys and values of one block."""
        config = self.config
        width = getattr(config, "head_dim", None) or self.width // config.num_attention_heads
        return 2 * int(config.num_key_value_heads) * int(width)

    def tokenizer(self) -> Any:
        """The tokenizer, or None where it is not on this machine."""
        if not self.has_tokenizer or self.folder is None:
            return None
        from activations.folders import read_tokenizer

        return read_tokenizer(self.folder)

    def on_meta(self, *, dtype: str = "float32") -> Any:
        """The Hugging Face model on torch's meta device: modules and shapes, no memory."""
        import torch
        from transformers import AutoModelForCausalLM

        try:
            with torch.device("meta"):
                return AutoModelForCausalLM.from_config(self.config, dtype=getattr(torch, dtype))
        except Exception as error:  # a wrong field makes transformers and torch raise whatever they like
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise ModelError(f"model {self.model!r}: its config makes no model ({reason}); mend it") from None

    def parameters(self) -> int:
        """Number of parameters; tied ones count once."""
        return sum(p.numel() for p in self.on_meta().parameters())

    def __str__(self) -> str:
        config = self.config
        return (
            f"{self.blocks} blocks, width {self.width}, {config.num_attention_heads} heads, "
            f"{config.num_key_value_heads} key-value heads, vocabulary {config.vocab_size}"
        )

    def absent(self) -> str:
        """One line that says what of the model is not on this machine; empty where all is."""
        if self.has_weights and self.has_tokenizer:
            return ""
        parts = (("weights", self.has_weights), ("tokenizer", self.has_tokenizer))
        missing = [what for what, is_here in parts if not is_here]
        said = f"neither {missing[0]} nor {missing[1]}" if len(missing) == 2 else f"no {missing[0]}"
        return f"{self.model}: {said} on this machine" + (
            "; its shape is the one that ships with mi-bsa" if self.folder is None else ""
        )


def shipped() -> tuple[str, ...]:
    """Names of the shapes that ship, as Hub ids end without `-Instruct`."""
    return tuple(sorted(path.stem for path in HERE.glob("*.json")))


MOST = {
    "num_hidden_layers": 2_000,
    "hidden_size": 1_000_000,
    "intermediate_size": 10_000_000,
    "vocab_size": 100_000_000,
    "num_attention_heads": 100_000,
    "num_key_value_heads": 100_000,
    "head_dim": 1_000_000,
}
"""Sizes far beyond any model, over which building one would take for ever."""


def config_in(folder: Path) -> Any:
    """transformers' configuration in a folder; code that lies beside it is never run.

    Raises:
        ModelError: no configuration, or of a family that transformers does not know.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        odd = [
            f"{name} {value}"
            for name, most in MOST.items()
            if isinstance(value := getattr(config.get_text_config(), name, None), int)
            and not 0 < value <= most
        ]
        if odd:
            raise ValueError(f"{odd[0]} is no size of a model")
        dropout = getattr(config.get_text_config(), "attention_dropout", 0.0)
        if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise ValueError(f"attention_dropout {dropout} is no share")
        return config
    except Exception as error:  # transformers's errors have no common base
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{folder}: its config.json cannot be read ({reason}); give a model's folder"
        ) from None


def shape_of(model: ModelLike) -> Shape:
    """The shape of `embedded`, a folder, a Hub id in the cache, or a Llama whose shape ships.

    Raises:
        MissingError: a Hub id that is not in the cache and whose shape does not ship.
        ModelError: a name that is neither a folder nor known nor a Hub id.
    """
    folder, given, model = folder_here(model), model, as_config(model).name
    if folder is not None:
        has_tokenizer = (folder / "tokenizer.json").is_file()
        return Shape(model, config_in(folder), folder, bool(weight_files(given)), has_tokenizer)
    name = model.rpartition("/")[2].removeprefix("Meta-").removesuffix("-Instruct")
    if name not in shipped():
        raise MissingError(
            f"model {model!r}: its config is not on this machine and its shape does not ship (these do: "
            f"{', '.join(shipped())}); a dry run goes to no network: fetch config and tokenizer first, or "
            "give a folder"
        )
    from transformers import AutoConfig

    body = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return Shape(model, AutoConfig.for_model(body.pop("model_type"), **body), None, False, False)
