"""What a GGUF file says of its model, read before any work, and held to what can be computed.

transformers takes the fields that it knows and passes over the rest in silence; a rope scaling or a window
that is passed over gives wrong numbers. So every field of the architecture is known here, or the file is
refused with the field's name.
"""

import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mi_bsa.errors import GgufError

FAMILIES = {
    "llama": "llama",
    "mistral": "mistral",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma2": "gemma2",
    "gemma3": "gemma3_text",
}
"""Architectures that are read, and what transformers calls them."""

READ = {
    *("context_length", "block_count", "feed_forward_length", "embedding_length", "vocab_size"),
    *("rope.dimension_count", "rope.freq_base", "attention.layer_norm_rms_epsilon"),
    *("attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length"),
}
"""Fields of an architecture that go into the configuration."""


@dataclass(frozen=True)
class Source:
    """One GGUF file: its fields and its tensors' names and kinds."""

    path: Path
    fields: dict[str, Any]
    tensors: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> "Source":
        """Read the header. Raises `GgufError` for what is no GGUF, cut off, or of an unknown architecture."""
        from gguf import GGUFReader

        try:
            with path.open("rb") as file:
                magic = file.read(4)
            if magic != b"GGUF":
                raise GgufError(f"{path}: no GGUF file (it begins with {magic!r}); give a .gguf file")
            reader = GGUFReader(path)
            fields = {name: field.contents() for name, field in reader.fields.items()}
            tensors = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
            for tensor in reader.tensors:
                if tensor.data_offset + tensor.n_bytes > path.stat().st_size:
                    raise GgufError(f"{path}: cut off within {tensor.name}; get the file again")
        except (GgufError, FileNotFoundError, IsADirectoryError, PermissionError):
            raise
        except (
            ValueError,
            IndexError,
            KeyError,
            TypeError,
            OverflowError,
            MemoryError,
            OSError,
            struct.error,
        ) as error:
            raise GgufError(
                f"{path}: cannot be read as GGUF ({str(error).splitlines()[0] if str(error) else 'broken'}); "
                "it may be cut off or damaged: get the file again"
            ) from error
        source = cls(path, fields, tensors)
        source.judge()
        return source

    @property
    def architecture(self) -> str:
        """As the file names it."""
        return str(self.fields.get("general.architecture"))

    def get(self, key: str, default: Any = None) -> Any:
        """A field of the architecture."""
        return self.fields.get(f"{self.architecture}.{key}", default)

    def judge(self) -> None:
        """Refuse what would not be computed as it should."""
        if self.architecture not in FAMILIES:
            raise GgufError(
                f"{self.path}: architecture {self.architecture!r} is not read here; those that are: "
                f"{', '.join(FAMILIES)}"
            )

    def kinds(self) -> dict[str, int]:
        """How many tensors of each kind the file holds."""
        return dict(Counter(self.tensors.values()))

    def stops(self) -> Any:
        """The token ids that end a generation: the end of the text, and that of a turn if it is another."""
        ids = [self.fields.get(f"tokenizer.ggml.{name}") for name in ("eos_token_id", "eot_token_id")]
        found = list(dict.fromkeys(int(value) for value in ids if value is not None))
        return found[0] if len(found) == 1 else (found or None)

    def config(self) -> Any:
        """The configuration, as transformers reads it."""
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(self.path.parent, gguf_file=self.path.name, local_files_only=True)
        for name in ("bos", "eos"):
            setattr(config, f"{name}_token_id", self.fields.get(f"tokenizer.ggml.{name}_token_id"))
        config.pad_token_id = self.fields.get("tokenizer.ggml.padding_token_id")
        config.architectures = None
        return config
