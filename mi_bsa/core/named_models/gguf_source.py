"""What a GGUF file says of its model, held to what can be computed before anything is.

transformers takes the fields and tensors that it knows and passes over the rest in silence; a rope scaling, a
window or a bias that is passed over gives wrong numbers. So the configuration is made here from all that the
file states, and a field or a tensor that is not understood is refused by name. What the fields mean is
llama.cpp's; its readings that no field tells (Gemma's attention scale) stand here with their reason.
"""

import math
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from activations import families
from mi_bsa.core.errors import GgufError
from mi_bsa.core.named_models.gguf_header import Tensor, read_header, sense

FAMILIES = {family.gguf: family for family in families.everyone().values() if family.gguf is not None}
"""The family of each architecture that is read; Mistral's files are of `llama`."""

READ = {
    *("context_length", "block_count", "feed_forward_length", "embedding_length", "vocab_size"),
    *("attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length"),
    *("attention.layer_norm_rms_epsilon", "rope.dimension_count", "rope.freq_base"),
    *(f"rope.scaling.{key}" for key in ("type", "factor", "original_context_length", "finetuned")),
}
READ_OF_GEMMA = {
    *("attention.sliding_window", "attention.sliding_window_pattern", "rope.freq_base_swa"),
    *("attn_logit_softcapping", "final_logit_softcapping"),
}
NEUTRAL = {"attention.causal": True, "expert_count": 0, "expert_used_count": 0}
"""Fields that say nothing at one value."""

LLAMA3_ROPE = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
"""What Llama 3.1 to 3.3 scale their rope by; a file holds only the factors that come out."""


@dataclass(frozen=True)
class Source:
    """One GGUF file: its fields and its tensors."""

    path: Path
    fields: dict[str, Any]
    tensors: dict[str, Tensor]

    @classmethod
    def read(cls, path: Path) -> "Source":
        """Read and judge a file.

        Raises:
            GgufError: no GGUF, cut off, damaged, of another architecture, or with what is not understood.
        """
        header = read_header(path)
        source = cls(path, header.fields, header.tensors)
        if source.architecture not in FAMILIES:
            raise GgufError(
                f"{path}: architecture {source.architecture!r} is not read here; those that are: "
                f"{', '.join(FAMILIES)}"
            )
        with sense(path):
            if header.fields.get("split.count", 1) > 1:
                raise GgufError(
                    f"{path}: one of {header.fields['split.count']} parts; merge them first (gguf-split "
                    "--merge)"
                )
            source.judge_fields()
            source.judge_tensors()
        return source

    @contextmanager
    def alone(self) -> Iterator[dict[str, Any]]:
        """What transformers is to open: the file without its neighbors (a `tokenizer.json` beside it would be
        taken instead of its own), under a name that ends as it must.
        """
        with tempfile.TemporaryDirectory(prefix="mi-bsa-") as folder:
            (Path(folder) / "model.gguf").symlink_to(self.path.absolute())
            place = {"pretrained_model_name_or_path": folder, "gguf_file": "model.gguf"}
            yield {**place, "local_files_only": True}

    @property
    def architecture(self) -> str:
        """As the file names it."""
        return str(self.fields.get("general.architecture"))

    @property
    def gemma(self) -> bool:
        """Whether it is one of Gemma's, which have windows, caps and a scale of their own."""
        return self.architecture.startswith("gemma")

    def kinds(self) -> dict[str, int]:
        """How many tensors of each kind the file holds."""
        return dict(sorted(Counter(tensor.kind for tensor in self.tensors.values()).items()))

    def stops(self) -> int | list[int] | None:
        """The token ids that end a generation: the end of the text, and that of a turn if it is another."""
        names = ("eos_token_id", "eot_token_id", "eom_token_id")
        ids = [self.fields.get(f"tokenizer.ggml.{name}") for name in names]
        stops = list(dict.fromkeys(int(value) for value in ids if value is not None))
        return stops[0] if len(stops) == 1 else (stops or None)

    def get(self, key: str, default: Any = None) -> Any:
        """A field of the architecture."""
        return self.fields.get(f"{self.architecture}.{key}", default)

    def number(self, key: str, default: int | None = None) -> int:
        """A whole number of the architecture. Raises `GgufError` where it is absent or no positive one."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self._bad_number(key, value, "no positive whole number")
        return value

    def real(self, key: str, default: float | None = None) -> float:
        """A positive number of the architecture. Raises `GgufError` where it is absent or none."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self._bad_number(key, value, "no positive number")
        return float(value)

    def _bad_number(self, key: str, value: Any, kind: str) -> GgufError:
        what = "is missing" if value is None else f"is {str(value)[:60]}, {kind}"
        return GgufError(f"{self.path}: {self.architecture}.{key} {what}; get another file of this model")

    @cached_property
    def head_dim(self) -> int:
        """The width of a head, which three fields may tell."""
        heads = self.number("attention.head_count")
        told = self.get("attention.key_length", self.get("rope.dimension_count"))
        width = self.number("embedding_length") // heads if told is None else int(told)
        for key in ("attention.key_length", "attention.value_length", "rope.dimension_count"):
            if self.get(key, width) != width:
                raise GgufError(
                    f"{self.path}: {self.architecture}.{key} is {self.get(key)} where heads have {width}; a "
                    "model that differs there is not read here"
                )
        return width

    def judge_fields(self) -> None:
        """Refuse a field of the architecture that would be passed over."""
        known = READ | READ_OF_GEMMA if self.gemma else READ
        for name, value in self.fields.items():
            key = name.removeprefix(f"{self.architecture}.")
            if key == name or key in known or (key in NEUTRAL and value == NEUTRAL[key]):
                continue
            raise GgufError(
                f"{self.path}: {name} = {str(value)[:60]} is not understood here, and the model's numbers "
                "would be wrong without it; convert it where it is (llama.cpp, the model's own code) and "
                "give the folder"
            )

    def judge_tensors(self) -> None:
        """Hold the tensors to those of the architecture: none missing, none left over, each of its shape."""
        expected = self.expected()
        for name, shape in expected.items():
            if name not in self.tensors:
                raise GgufError(
                    f"{self.path}: the tensor {name} is missing; get the file again, or another one"
                )
            actual = self.tensors[name].shape
            if actual != shape:
                raise GgufError(
                    f"{self.path}: the tensor {name} is {actual}, not {shape} as the fields say; get "
                    "another file"
                )
        more = [name for name in self.tensors if name not in expected and name != "rope_freqs.weight"]
        if more:
            raise GgufError(
                f"{self.path}: the tensor {more[0]} (one of {len(more)}) is none of a {self.architecture} "
                "model as it "
                "is read here, and the model's numbers would be wrong without it; get another file"
            )

    def expected(self) -> dict[str, tuple[int, ...]]:
        """The tensors of the architecture with their shapes."""
        width, inner = self.number("embedding_length"), self.number("feed_forward_length")
        heads, size = self.number("attention.head_count"), self.head_dim
        out, kv = heads * size, self.number("attention.head_count_kv", heads) * size
        block = {
            "attn_norm.weight": (width,),
            "attn_q.weight": (out, width),
            "attn_k.weight": (kv, width),
            "attn_v.weight": (kv, width),
            "attn_output.weight": (width, out),
            "ffn_norm.weight": (width,),
            "ffn_gate.weight": (inner, width),
            "ffn_up.weight": (inner, width),
            "ffn_down.weight": (width, inner),
        }
        family = FAMILIES[self.architecture]
        widths = {"q_proj": out, "k_proj": kv, "v_proj": kv}
        block |= {f"attn_{name[0]}.bias": (widths[name],) for name in family.biases}
        if family.head_norms is not None:
            block |= {"attn_q_norm.weight": (size,), "attn_k_norm.weight": (size,)}
        if not family.direct:
            block |= {"post_attention_norm.weight": (width,), "post_ffw_norm.weight": (width,)}
        whole = {"token_embd.weight": (self.vocabulary, width), "output_norm.weight": (width,)}
        if "output.weight" in self.tensors:
            whole["output.weight"] = (self.vocabulary, width)
        blocks = self.number("block_count")
        if blocks > len(self.tensors):  # before a number from outside makes a long list
            raise GgufError(f"{self.path}: {blocks} blocks and {len(self.tensors)} tensors; get another file")
        return whole | {f"blk.{n}.{name}": shape for n in range(blocks) for name, shape in block.items()}

    @property
    def vocabulary(self) -> int:
        """How many tokens the model knows."""
        tokens = self.fields.get("tokenizer.ggml.tokens", ())
        return self.number("vocab_size", len(tokens) or None)

    def config(self) -> Any:
        """The configuration, with all that the file states.

        Raises:
            GgufError: a rope scaling or a pattern of windows that is not understood.
        """
        from transformers import AutoConfig

        heads = self.number("attention.head_count")
        made = AutoConfig.for_model(
            FAMILIES[self.architecture].name,
            vocab_size=self.vocabulary,
            hidden_size=self.number("embedding_length"),
            intermediate_size=self.number("feed_forward_length"),
            num_hidden_layers=self.number("block_count"),
            num_attention_heads=heads,
            num_key_value_heads=self.number("attention.head_count_kv", heads),
            head_dim=self.head_dim,
            max_position_embeddings=self.number("context_length"),
            rms_norm_eps=self.real("attention.layer_norm_rms_epsilon"),
            tie_word_embeddings="output.weight" not in self.tensors,
            **self._rope(),
            **(self._of_gemma() if self.gemma else {}),
            bos_token_id=self._token("bos"),
            eos_token_id=self._token("eos"),
            pad_token_id=self._token("padding"),
        )
        if self.gemma:
            self._judge_windows(made)
        return made

    def _token(self, name: str) -> int | None:
        value = self.fields.get(f"tokenizer.ggml.{name}_token_id")
        return None if value is None else int(value)

    def _rope(self) -> dict[str, Any]:
        """The rope, with its scaling where the file states one in a field or as factors."""
        base = self.real("rope.freq_base", 10_000.0)
        kind = self.get("rope.scaling.type", "none")
        if kind not in ("none", "linear"):
            raise GgufError(
                f"{self.path}: rope scaling {kind!r} is not read here (none and linear are, and Llama 3's "
                "factors); convert it with the model's own code and give the folder"
            )
        scaled: dict[str, Any] = {"rope_type": "default", "rope_theta": base}
        factor = self.real("rope.scaling.factor", 1.0) if kind == "linear" else 1.0
        if factor != 1.0:
            scaled = {"rope_type": "linear", "rope_theta": base, "factor": factor}
        if "rope_freqs.weight" in self.tensors:
            if factor != 1.0 or self.architecture != "llama":
                raise GgufError(
                    f"{self.path}: rope_freqs.weight is read for an unscaled llama only; get another file"
                )
            scaled = self._llama3(base)
        if self.architecture != "gemma3":
            return {"rope_parameters": scaled}
        local = self.real("rope.freq_base_swa", 10_000.0)  # llama.cpp's default: Gemma 3's own
        return {"rope_parameters": {
            "full_attention": scaled, "sliding_attention": {"rope_type": "default", "rope_theta": local},
        }}  # fmt: skip

    def _llama3(self, base: float) -> dict[str, Any]:
        """The scaling of which these factors are: its factor is the greatest, the rest are Llama 3's own."""
        found = np.array(self.values("rope_freqs.weight"))
        factor = float(found.max())
        if np.allclose(found, 1.0):
            return {"rope_type": "default", "rope_theta": base}
        wave = 2 * math.pi * base ** (np.arange(0, self.head_dim, 2) / self.head_dim)
        low, high = LLAMA3_ROPE["low_freq_factor"], LLAMA3_ROPE["high_freq_factor"]
        context = LLAMA3_ROPE["original_max_position_embeddings"]
        smooth = (context / wave - low) / (high - low)
        made = 1 / ((1 - smooth) / factor + smooth)
        made = np.where(wave < context / high, 1.0, np.where(wave > context / low, factor, made))
        if found.shape != made.shape or not np.allclose(found, made, rtol=1e-4):
            raise GgufError(
                f"{self.path}: rope_freqs.weight are not the factors of Llama 3.1 to 3.3; convert the model "
                "with its own code and give the folder"
            )
        return {"rope_type": "llama3", "rope_theta": base, "factor": factor} | LLAMA3_ROPE

    def values(self, name: str) -> list[float]:
        """The values of a small tensor that is stored as float32."""
        tensor = self.tensors[name]
        if tensor.kind != "F32":
            raise GgufError(f"{self.path}: {name} is {tensor.kind}, not F32; get another file")
        with self.path.open("rb") as file:
            file.seek(tensor.start)
            return np.frombuffer(file.read(tensor.size), "<f4").astype(float).tolist()

    def _of_gemma(self) -> dict[str, Any]:
        """Window, caps and the attention's scale.

        llama.cpp knows the 27B models, which scale by the stream's width per head and not by the head's own,
        by their number of blocks: 46 in Gemma 2, 62 in Gemma 3.
        """
        largest = self.get("block_count") == {"gemma2": 46, "gemma3": 62}[self.architecture]
        per_head = self.number("embedding_length") // self.number("attention.head_count")
        made = {
            "sliding_window": self.number("attention.sliding_window"),
            "query_pre_attn_scalar": per_head if largest else self.head_dim,
        }
        for key in ("attn_logit_softcapping", "final_logit_softcapping"):
            if (value := self.get(key)) is not None:
                made[key] = value
        return made

    def _judge_windows(self, config: Any) -> None:
        """Refuse a pattern of windows other than the family's."""
        pattern = self.get("attention.sliding_window_pattern")
        if pattern is None:
            return
        windowed = [kind == "sliding_attention" for kind in config.layer_types]
        told = (
            [bool((n + 1) % pattern) for n in range(len(windowed))]
            if isinstance(pattern, int) and pattern
            else pattern
        )
        if told != windowed:
            raise GgufError(
                f"{self.path}: windows in another pattern than {self.architecture}'s are not read here"
            )
