"""Sites: the frozen vocabulary of places in a transformer that can be read or edited.

The layer convention, written once: layers count from 0, `resid_pre.L` enters block L and `resid_post.L`
leaves it. So `resid_post.L` is Hugging Face's `hidden_states[L + 1]` for every block but the last, whose
entry there is taken after the final norm and therefore is `final_norm` here. A test holds this against
Hugging Face.

    resid_pre resid_mid resid_post    the residual stream before attention, between attention and MLP, after
                                      the block
    attn_out mlp_out                  what attention and MLP add to the residual stream (after post-norms,
                                      where there are any)
    head_z                            (head, d_head): each head's mixed values, before the output projection
    mlp_act                           d_mlp: the neurons, before the down projection
    pattern                           (head, key): attention probabilities; eager attention only
    embed final_norm                  token embedding; after the last norm; without a layer
    lora_a.<module> lora_out.<module> an adapter's inner vector A x, and all that it adds, at a module such as
    `q_proj`
"""

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from activations.errors import SiteError

LAYER_CONVENTION: Final = (
    "resid_post.L is the output of block L, counted from 0; hidden_states[L + 1] for L < n_layers - 1"
)

RESIDUAL: Final = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")
PER_LAYER: Final = (*RESIDUAL, "head_z", "mlp_act", "pattern")
GLOBAL: Final = ("embed", "final_norm")
ADAPTER: Final = ("lora_a", "lora_out")
ATTENTION_MODULES: Final = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP_MODULES: Final = ("gate_proj", "up_proj", "down_proj")
MODULES: Final = (*ATTENTION_MODULES, *MLP_MODULES)

# The order in which a block's hooks see its sites; the forward pass stops after the deepest one asked for.
# Patterns come behind head_z, though they are computed first: attention as a whole returns them, when its
# output projection has run.
_ORDER: Final = (
    *("resid_pre", "q_proj", "k_proj", "v_proj", "head_z", "o_proj", "pattern", "attn_out"),
    *("resid_mid", "gate_proj", "up_proj", "mlp_act", "down_proj", "mlp_out", "resid_post"),
)

_LENS: Final = {
    "resid_pre": "blocks.{}.hook_resid_pre",
    "resid_mid": "blocks.{}.hook_resid_mid",
    "resid_post": "blocks.{}.hook_resid_post",
    "attn_out": "blocks.{}.hook_attn_out",
    "mlp_out": "blocks.{}.hook_mlp_out",
    "head_z": "blocks.{}.attn.hook_z",
    "mlp_act": "blocks.{}.mlp.hook_post",
    "pattern": "blocks.{}.attn.hook_pattern",
    "embed": "hook_embed",
    "final_norm": "ln_final.hook_out",
}
_LENS_ALIASES: Final = {"blocks.{}.hook_in": "resid_pre", "blocks.{}.hook_out": "resid_post"}
_FROM_LENS: Final = {name: kind for kind, name in _LENS.items()} | _LENS_ALIASES


@dataclass(frozen=True, order=True)
class Site:
    """One place: a kind, a layer (None for `embed` and `final_norm`), and a module name for adapter sites."""

    kind: str
    layer: int | None = None
    module: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in (*PER_LAYER, *GLOBAL, *ADAPTER):
            raise _unknown(self.kind)
        if (self.kind in GLOBAL) != (self.layer is None):
            rule = "has no layer" if self.kind in GLOBAL else "needs a layer"
            raise SiteError(
                f"site {self.kind!r} {rule} (layer given: {self.layer}); write e.g. 'final_norm' or "
                "'resid_post.3'"
            )
        if self.layer is not None and self.layer < 0:
            raise SiteError(
                f"layer {self.layer} is negative: layers count from 0; resolve negative layers with "
                "sites.resolve"
            )
        if (self.kind in ADAPTER) != (self.module is not None) or (
            self.module is not None and self.module not in MODULES
        ):
            raise SiteError(
                f"site {self.kind!r} with module {self.module!r}: adapter sites, and only these, name one of "
                f"{', '.join(MODULES)}; write e.g. 'lora_out.down_proj.3'"
            )

    @property
    def name(self) -> str:
        """The site without its layer, as in a store's group: `resid_post`, `lora_out.down_proj`."""
        return self.kind if self.module is None else f"{self.kind}.{self.module}"

    def __str__(self) -> str:
        return self.name if self.layer is None else f"{self.name}.{self.layer}"

    @property
    def depth(self) -> tuple[int, int]:
        """A sort key in the order of computation."""
        if self.layer is None:
            return (-1, 0) if self.kind == "embed" else (1_000_000, 0)
        return self.layer, _ORDER.index(self.module or self.kind)

    @property
    def lens_name(self) -> str:
        """The hook name in TransformerLens, where it has one.

        Raises:
            SiteError: adapters have no hook there.
        """
        if self.kind in ADAPTER:
            raise SiteError(
                f"site {str(self)!r} has no hook name in TransformerLens; read it with the hooks backend"
            )
        return _LENS[self.kind].format(self.layer)

    @classmethod
    def parse(cls, text: "str | Site") -> "Site":
        """Read `resid_post.12`, `final_norm`, `lora_out.down_proj.3` or a TransformerLens hook name.

        Raises:
            SiteError: the text names no single site.
        """
        if isinstance(text, Site):
            return text
        name, layer = _split(str(text))
        if layer is not None and not re.fullmatch(r"\d+", layer):
            raise SiteError(
                f"site {text!r} is not one site: {layer!r} is no layer index; use sites.resolve for ranges "
                "and fractions"
            )
        kind, _, module = name.partition(".")
        return cls(kind, None if layer is None else int(layer), module or None)


def _unknown(kind: str) -> SiteError:
    known = (*PER_LAYER, *GLOBAL, *ADAPTER)
    near = difflib.get_close_matches(kind, known, n=1)
    remedy = f"did you mean {near[0]!r}?" if near else "use one of these"
    return SiteError(f"unknown site kind {kind!r}: it is none of {', '.join(known)}; {remedy}")


def _split(text: str) -> tuple[str, str | None]:
    """(`resid_post`, `12`) out of any accepted spelling; the layer part is not read yet."""
    text = text.strip()
    if text in _FROM_LENS:
        return _FROM_LENS[text], None
    lens = re.fullmatch(r"blocks\.(\d+)\.(.+)", text)
    if lens:
        template = f"blocks.{{}}.{lens[2]}"
        if template not in _FROM_LENS:
            raise SiteError(
                f"unknown TransformerLens hook {text!r}: known are {', '.join(sorted(_FROM_LENS))}; use one "
                "of these"
            )
        return _FROM_LENS[template], lens[1]
    kind, _, rest = text.partition(".")
    if kind in ADAPTER:
        module, _, layer = rest.partition(".")
        return f"{kind}.{module}", layer or None
    return kind, rest or None


def _layers(layer: "str | None", n_layers: int, text: str) -> list[int]:
    """The layers that one selector names: none (all), an index, a range `4:8` or `4-8`, a fraction `50%` or
    `0.5`."""
    if layer is None or layer in ("*", ":"):
        return list(range(n_layers))
    if re.fullmatch(r"-?\d+", layer):
        index = int(layer)
        if not -n_layers <= index < n_layers:
            raise SiteError(
                f"site {text!r}: layer {index} does not exist, the model has layers 0 to {n_layers - 1}; "
                "choose one of them"
            )
        return [index % n_layers]
    fraction = re.fullmatch(r"(\d+(?:\.\d+)?)%|([01]?\.\d+|1\.0+)", layer)
    if fraction:
        part = float(fraction[1]) / 100 if fraction[1] else float(fraction[2])
        if part > 1:
            raise SiteError(f"site {text!r}: a depth of {layer} lies beyond the model; give 0% to 100%")
        return [min(int(part * n_layers), n_layers - 1)]
    span = re.fullmatch(r"(\d*)([:-])(\d*)", layer)
    if span and (span[1] or span[3]):
        start = int(span[1] or 0)
        stop = int(span[3]) + (span[2] == "-") if span[3] else n_layers
        if not start < stop <= n_layers:
            raise SiteError(
                f"site {text!r}: range {layer} is empty or leaves layers 0 to {n_layers - 1}; choose one "
                "inside"
            )
        return list(range(start, stop))
    raise SiteError(
        f"site {text!r}: cannot read layer {layer!r}; write an index (3, -1), a range (4:8 or 4-7), or a "
        "depth (50%)"
    )


def resolve(
    sites: "str | Site | Iterable[str | Site]",
    *,
    n_layers: int,
    adapted: Collection[tuple[int, str]] | None = None,
) -> tuple[Site, ...]:
    """Every site that a selection names, without repeats, in the order of computation.

    A name without a layer means all layers; `resid_post.4:8` (end excluded), `resid_post.4-7`,
    `resid_post.-1`, `resid_post.50%` and TransformerLens hook names are read too. `lora_out` means each
    module, and adapter sites that name no layer or no module mean those of `adapted`, the (layer, module)
    pairs that have a LoRA.

    Raises:
        SiteError: a selector that cannot be read, a layer that the model does not have, or no LoRA there.
    """
    given = [sites] if isinstance(sites, str | Site) else list(sites)
    if not given:
        raise SiteError("no site was given: a selection names at least one; write e.g. sites='resid_post'")
    found: set[Site] = set()
    for item in given:
        for text in [item] if isinstance(item, Site) else [part for part in item.split(",") if part.strip()]:
            found |= _selected(str(text), n_layers, adapted)
    return tuple(sorted(found, key=lambda site: (site.depth, str(site))))


def _selected(text: str, n_layers: int, adapted: Collection[tuple[int, str]] | None) -> set[Site]:
    """The sites of one selector."""
    name, layer = _split(text)
    kind, _, module = name.partition(".")
    if kind in GLOBAL:
        return {Site.parse(text)}
    if kind not in (*PER_LAYER, *ADAPTER):
        raise _unknown(kind)
    if kind not in ADAPTER:
        return {Site(kind, index, module or None) for index in _layers(layer, n_layers, text)}
    implied = layer is None or module in ("", "*")
    pairs = [
        (index, part)
        for index in _layers(layer, n_layers, text)
        for part in (MODULES if module in ("", "*") else [module])
    ]
    if implied and adapted is not None:
        pairs = [pair for pair in pairs if pair in adapted]
        if not pairs:
            raise SiteError(
                f"site {text!r}: the active variant has no LoRA there; choose an adapter's variant, or a "
                "module that it targets"
            )
    return {Site(kind, index, part) for index, part in pairs}
