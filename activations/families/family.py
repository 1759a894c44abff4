"""A family of models as one record: where its parts lie and what its configuration means.

The law: whoever needs to know how a model is built reads it here, and nobody else asks for a model's type. A
record is data over one scheme, in which every decoder that is read here fits; the defaults are Llama's, so
that a family says only where it differs:

    middle = entering + attention_after(attention(attention_norm(entering)))
    leaving = middle + mlp_after(mlp(mlp_norm(middle)))

A new family is a new file beside this one with its record as `FAMILY`. `activations.testing.FamilyLaws` holds
it to what transformers computes. Nothing here loads torch or transformers: configs ask too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Literal

from activations.errors import ModelError

Windows = Callable[[Any], tuple[int | None, ...]]


def no_windows(config: Any) -> tuple[int | None, ...]:
    """Every block sees all, whatever kinds of attention its configuration names."""
    return (None,) * config.num_hidden_layers


def one_window(config: Any) -> tuple[int | None, ...]:
    """Every block sees as far as `sliding_window` says."""
    return (config.sliding_window,) * config.num_hidden_layers


def windows_by_kind(config: Any) -> tuple[int | None, ...]:
    """The blocks that `layer_types` calls sliding see as far as `sliding_window` says.

    Raises:
        ModelError: a kind of attention that is not known here.
    """
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        return no_windows(config)
    odd = set(kinds) - {"full_attention", "sliding_attention"}
    if odd:
        raise ModelError(
            f"attention of kind {sorted(odd)[0]!r} is not known here: full and sliding attention are; load "
            "another model"
        )
    return tuple(config.sliding_window if kind == "sliding_attention" else None for kind in kinds)


def has_rotations(config: Any) -> bool:
    """Whether blocks turn by their kind of attention: there is then a mapping for each."""
    given = getattr(config, "rope_parameters", None) or {}
    return bool(given) and all(isinstance(one, Mapping) for one in given.values())


def _llamas() -> dict[str, str]:
    attention, mlp = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")
    return {name: f"self_attn.{name}" for name in attention} | {name: f"mlp.{name}" for name in mlp}


@dataclass(frozen=True, kw_only=True)
class Family:
    """What is known of the models of one type.

    Attributes:
        model_types: what transformers calls it; the first is its name here.
        attention_norm: path in a block of the norm that attention reads through; None where there is none.
        attention: the module of attention.
        attention_after: the norm between attention and the stream; None where there is none.
        mlp_norm: likewise of the MLP.
        mlp: the module of the MLP.
        mlp_after: likewise of the MLP.
        modules: by its name in adapter sites and in configs (Llama's), the path of each linear module.
        biases: names of the linear modules that have a bias in every model of the family.
        head_norms: whether attention norms queries and keys (`q_norm`, `k_norm`): each head, all at once, or
            not at all.
        embed: name in the decoder of the token embeddings.
        blocks: of the list of blocks.
        norm: of the last norm.
        windows: of every block, how many tokens its attention sees back, itself included; None where all.
        attention_cap: field of the configuration that soft-caps attention scores, which eager attention
            alone computes.
        logit_cap: field that soft-caps logits.
        gguf: what GGUF files call its architecture; None where they are not read.
        neutral: the weight at which its norms scale by one (Gemma's scale by 1 + weight).
        tiny: of a width and a number of blocks, what a tiny configuration needs beyond the common fields
            (`testing.config`): whatever the published ones set and the defaults leave neutral, so that the
            laws see it.
    """

    model_types: tuple[str, ...]
    attention_norm: str | None = "input_layernorm"
    attention: str = "self_attn"
    attention_after: str | None = None
    mlp_norm: str | None = "post_attention_layernorm"
    mlp: str = "mlp"
    mlp_after: str | None = None
    modules: Mapping[str, str] = field(default_factory=_llamas)
    biases: tuple[str, ...] = ()
    head_norms: Literal["each", "together"] | None = None
    embed: str = "embed_tokens"
    blocks: str = "layers"
    norm: str = "norm"
    windows: Windows = no_windows
    attention_cap: str | None = None
    logit_cap: str | None = None
    gguf: str | None = None
    neutral: float = 1.0
    tiny: Callable[[int, int], Mapping[str, Any]] = lambda width, blocks: {}

    @property
    def name(self) -> str:
        """As transformers calls it."""
        return self.model_types[0]

    @property
    def direct(self) -> bool:
        """Whether what attention and the MLP put out is what the stream gets, with no norm between."""
        return self.attention_after is None and self.mlp_after is None

    def caps_scores(self, config: Any) -> bool:
        """Whether attention scores are soft-capped, which no fused kernel here does."""
        return self.attention_cap is not None and getattr(config, self.attention_cap) is not None

    def is_plain(self, config: Any) -> bool:
        """Whether one causal mask and one rotation serve all blocks, and nothing is capped."""
        return (
            set(self.windows(config)) == {None}
            and not has_rotations(config)
            and not self.caps_scores(config)
            and self.logit_cap is None
        )

    def place(self, kind: str) -> tuple[str, str]:
        """The module of a block whose input or output is a kind of site; "" is the block itself."""
        return {
            "resid_pre": ("", "in"),
            "resid_mid": (self.mlp_norm or self.mlp, "in"),
            "resid_post": ("", "out"),
            "attn_out": (self.attention_after or self.attention, "out"),
            "mlp_out": (self.mlp_after or self.mlp, "out"),
            "head_z": (self.modules["o_proj"], "in"),
            "mlp_act": (self.modules["down_proj"], "in"),
            "pattern": (self.attention, "out"),
        }[kind]


@cache
def everyone() -> Mapping[str, Family]:
    """The record of every family by its name: the `FAMILY` of each file beside this one."""
    import activations.families as here

    files = sorted(entry.name for entry in iter_modules(here.__path__) if entry.name != "family")
    records: list[Family] = [import_module(f"{here.__name__}.{name}").FAMILY for name in files]
    return {record.name: record for record in records}


def of(config: Any) -> Family:
    """The family of a model, by its configuration.

    Raises:
        ModelError: a family that is not known here.
    """
    kind = config.get_text_config().model_type
    # a few records, once a model: no table by type is worth its second truth
    found = next((one for one in everyone().values() if kind in one.model_types), None)
    if found is None:
        raise ModelError(
            f"model type {kind!r} is not known here: sites are defined for {', '.join(everyone())}; "
            "load one of these"
        )
    return found
