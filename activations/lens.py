"""Lenses: what a state, a direction or a column of an adapter says in words.

The law: at the last block the logit lens of a state *is* the model's logits (final norm, tied head, soft cap
and all), and every word stands beside vectors of the same norm that mean nothing. A direction has no place of
its own in the stream: it is read as a state of typical size along it, through the final norm (which leaves
its norm out) and the head, without the cap (which changes no order). Logit lens: nostalgebraist 2020;
directions read so: Geva et al. 2022 (arXiv 2203.14680).

p of a word = (1 + k) / (1 + N): k of N null vectors give this word a score as high. It is of that word alone,
named beforehand; who looks for the highest of all words reads `p_any`, where k counts the null vectors whose
highest word is as high.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from activations import lora
from activations.edits import DirectionLike
from activations.errors import SiteError
from activations.sites import RESIDUAL, Site
from activations.vocabulary import Spelled, Vocabulary

if TYPE_CHECKING:
    import pandas as pd

    from activations.models import Model

NULLS = ("random", "random_difference")
"""Uniform on the sphere; differences between means of random halves of texts, which lie where states lie."""
FEWEST = 4
"""Texts below which halves of them are no distribution."""

Read = Callable[[Float[Tensor, "vector d"]], Float[Tensor, "vector token"]]


@torch.no_grad()
def logit_lens(
    model: "Model", states: Float[Tensor, "*row d_model"], *, site: str | Site = "resid_post.0"
) -> Float[Tensor, "*row token"]:
    """Logits of states of the residual stream as if they were the last block's: final norm, head, soft cap.

    Args:
        states: where inputs go or on the CPU.
        site: where they were read; at `final_norm` they are normed already.

    Raises:
        SiteError: a site that holds no state of the stream.
    """
    place = Site.parse(site)
    if place.kind not in ("resid_pre", "resid_mid", "resid_post", "embed", "final_norm"):
        raise SiteError(
            f"site {str(place)!r} holds what is added to the residual stream, not its state; read it as a "
            "direction (direction_logits), or take resid_post"
        )
    hidden = states.to(model.device, _weight(model).dtype)
    return model.unembed(hidden if place.kind == "final_norm" else model.anatomy.norm(hidden))


@torch.no_grad()
def direction_logits(
    model: "Model", vectors: Float[Tensor, "*row d"], *, site: str | Site
) -> Float[Tensor, "*row token"]:
    """Logits of directions at a site: what they add to the stream, through final norm and head, uncapped.

    Raises:
        SiteError: a site whose values the stream never gets.
    """
    hidden = _sized(in_stream(model, vectors, site=site))
    if Site.parse(site).kind != "final_norm":
        hidden = model.anatomy.norm(hidden)
    logits: Tensor = model.anatomy.head(hidden)
    return logits


@torch.no_grad()
def in_stream(
    model: "Model", vectors: Float[Tensor, "*row d"], *, site: str | Site
) -> Float[Tensor, "*row d_model"]:
    """What vectors at a site add to the residual stream, in the model's type, where inputs go.

    Neurons (`mlp_act`) and heads (`head_z`, flat) go through their block's output projection, an adapter's
    inner vectors through its B; where the family norms what a block adds, through that norm, which leaves
    their size out.

    Raises:
        SiteError: attention patterns, and modules whose output other modules alone read.
    """
    place, anatomy = Site.parse(site), model.anatomy
    anatomy.tap(place, adapter=model.active_adapter)
    vectors = vectors.to(model.device, _weight(model).dtype)
    if place.kind in (*RESIDUAL, "embed", "final_norm"):
        return vectors
    module = place.module or {"mlp_act": "down_proj", "head_z": "o_proj"}.get(place.kind, "")
    after = {
        "o_proj": anatomy.family.attention_after,
        "down_proj": anatomy.family.mlp_after,
    }
    if module not in after or place.layer is None:
        raise SiteError(
            f"site {str(place)!r} is read by other modules of its block and never added to the residual "
            "stream; use the Jacobian lens, which goes through them"
        )
    if place.kind in ("mlp_act", "head_z"):
        given = model.active_adapter
        weight = lora.weight(anatomy, place.layer, module, adapter=given, alpha=model.active[1])
        vectors = vectors @ weight.to(vectors).T
    elif place.kind == "lora_a":
        assert model.active_adapter is not None
        _, b, _ = lora.factors(anatomy, model.active_adapter, place.layer, module)
        vectors = vectors @ b.to(vectors).T
    path = after[module]
    return vectors if path is None else anatomy.layers[place.layer].get_submodule(path)(_sized(vectors))


@dataclass(frozen=True, eq=False)
class Nulls:
    """Vectors that mean nothing, drawn for one width.

    Attributes:
        vectors: of unit norm.
        kinds: of `NULLS`, one a vector.
    """

    vectors: Float[Tensor, "draw d"]
    kinds: tuple[str, ...]

    @classmethod
    def draw(
        cls,
        width: int,
        states: Float[Tensor, "text d"] | None = None,
        *,
        n: int = 64,
        seed: int,
    ) -> "Nulls":
        """`n` random directions, and as many differences between random halves of the texts, where states are
        given.

        Args:
            width: of the site.
            states: one mean state a text, at the site, of the model that nothing was done to.
            n: how many of either kind.
            seed: of the draws.

        Raises:
            SiteError: too few texts to halve, or states of another width.
        """
        generator = torch.Generator().manual_seed(seed)
        drawn = [torch.randn(n, width, generator=generator, dtype=torch.float64)]
        kinds = [NULLS[0]] * n
        if states is not None:
            if len(states) < FEWEST or states.shape[1] != width:
                raise SiteError(
                    f"{len(states)} texts with states of width {states.shape[1]}: random halves need "
                    f"{FEWEST} "
                    f"texts at a site of width {width}; give more texts, or those of this site"
                )
            centered = states.double().cpu() - states.double().cpu().mean(0)
            half = len(states) // 2
            signs = torch.full((n, len(states)), -1.0 / (len(states) - half), dtype=torch.float64)
            for line in signs:
                line[torch.randperm(len(states), generator=generator)[:half]] = 1.0 / half
            drawn.append(signs @ centered)
            kinds += [NULLS[1]] * n
        vectors = torch.cat(drawn)
        norms = vectors.norm(dim=1, keepdim=True)
        if bool((norms <= 1e-12).any()):
            raise SiteError(
                "the texts' states are all equal, so their halves do not differ; give other texts"
            )
        return cls((vectors / norms).float(), tuple(kinds))


@dataclass(frozen=True, eq=False)
class Found:
    """Words looked for in a reading.

    Attributes:
        best: the one that stands highest.
        rank: its rank, 1 the highest; tied words share the middle of their places.
        p: (1 + k) / (1 + N), k of N null vectors in which any of the words stands as high.
        by_kind: the same by kind of null.
        n: null vectors.
        words: all that were looked for.
    """

    best: Spelled
    rank: int
    p: float
    by_kind: dict[str, float]
    n: int
    words: tuple[Spelled, ...]


@dataclass(frozen=True, eq=False)
class Reading:
    """A vector in words, and its null vectors in the same.

    Attributes:
        name: of the vector.
        site: where it lives.
        lens: which lens.
        vocabulary: the words.
        scores: of each word; the larger, the more it is promoted.
        null_scores: of the null vectors.
        kinds: of each null vector.
    """

    name: str
    site: str
    lens: str
    vocabulary: Vocabulary
    scores: Float[Tensor, " word"]
    null_scores: Float[Tensor, "draw word"] = field(repr=False)
    kinds: tuple[str, ...] = field(repr=False)

    def ask(self, model: "Model", n: int = 20) -> None:
        """Ask the base which of the first `n` words on either side only begin a word: shown as `explan~`."""
        order = self.scores.argsort(descending=True, stable=True).tolist()
        self.vocabulary.begun(model, [*order[:n], *order[-n:]])

    def top(self, n: int = 20, *, lowest: bool = False) -> "pd.DataFrame":
        """The `n` words that are promoted most, or suppressed most: columns rank, word, score, p (all null
        vectors), p_random, p_random_difference (where drawn) and p_any; see the module's docstring.
        """
        import pandas as pd

        sign = -1.0 if lowest else 1.0
        scores, nulls = sign * self.scores, sign * self.null_scores
        order = scores.argsort(descending=True, stable=True)[:n]
        table: dict[str, Any] = {
            "rank": range(1, len(order) + 1),
            "word": [self.vocabulary.shown(k) for k in order.tolist()],
            "score": self.scores[order].tolist(),
        }
        if len(nulls):
            above = nulls[:, order] >= scores[order]
            table["p"] = _p(above)
            for kind in dict.fromkeys(self.kinds):
                table[f"p_{kind}"] = _p(above[[k == kind for k in self.kinds]])
            table["p_any"] = _p(nulls.amax(1, keepdim=True) >= scores[order])
        return pd.DataFrame(table)

    def find(self, words: Sequence[str], *, lowest: bool = False) -> Found:
        """The highest of some words that were named beforehand, with p by the same statistic in the nulls.

        Raises:
            PromptError: no word, or one that the tokenizer cannot begin.
        """
        spelled = self.vocabulary.spelled(words)
        if not spelled:
            from activations.errors import PromptError

            raise PromptError("no word to find was given; give one or more")
        sign = -1.0 if lowest else 1.0
        at = [one.index for one in spelled]
        ranks = _ranks(sign * self.scores[None], at)[0]
        best = int(ranks.argmin())
        null = _ranks(sign * self.null_scores, at).amin(1) if len(self.null_scores) else torch.empty(0)
        as_high = null <= ranks[best]
        by_kind = {
            kind: float(_p(as_high[[k == kind for k in self.kinds]][:, None])[0])
            for kind in dict.fromkeys(self.kinds)
        }
        p = float(_p(as_high[:, None])[0])
        return Found(spelled[best], int(ranks[best]), p, by_kind, len(null), spelled)


def read_vector(
    model: "Model",
    x: Any,
    *,
    name: str | None = None,
    lens: Any = "logit",
    nulls: Nulls | None = None,
    vocabulary: Vocabulary | None = None,
) -> Reading:
    """A direction in words.

    Args:
        x: a (vector, site) pair, or an object with `.vector` and `.site`: a probe's direction, an adapter's
            vector, a difference.
        name: what it is called; its own name by default.
        lens: `logit`, or a lens with `.name` and `.logits(vectors, site)`: a `Jacobian`, a `Patchscope`.
        nulls: vectors that mean nothing (`Nulls.draw`); none by default, and then no p.
        vocabulary: the model's words, where they are at hand.

    Raises:
        SiteError: a site that this lens cannot read, or nulls of another width.
    """
    vector, site = vector_of(x)
    vocabulary = Vocabulary.of(model) if vocabulary is None else vocabulary
    together = vector[None]
    if nulls is not None:
        if nulls.vectors.shape[1] != len(vector):
            raise SiteError(
                f"null vectors of width {nulls.vectors.shape[1]} beside a vector of {len(vector)}; draw them "
                f"for site {site!r}"
            )
        together = torch.cat([together, nulls.vectors.to(vector) * vector.norm()])
    if lens == "logit":
        logits, called = direction_logits(model, together, site=site), "logit"
    else:
        logits, called = lens.logits(together, site), str(lens.name)
    scores = vocabulary.scores(logits)
    own = name if name is not None else str(getattr(x, "name", "") or "vector")
    return Reading(own, site, called, vocabulary, scores[0], scores[1:], () if nulls is None else nulls.kinds)


def vector_of(x: Any) -> tuple[Float[Tensor, " d"], str]:
    """(vector, site) of what `activations.add` takes too; a head's (head, d_head) is made flat.

    Raises:
        SiteError: neither, or a vector that is zero or not finite.
    """
    if isinstance(x, tuple) and len(x) == 2:
        vector, site = x
    elif isinstance(x, DirectionLike):
        vector, site = x.vector, x.site
    else:
        raise SiteError(
            f"got a {type(x).__name__}; give a (vector, site) pair, or an object with .vector and .site"
        )
    flat = torch.as_tensor(np.array(vector) if not isinstance(vector, Tensor) else vector)
    flat = flat.detach().float().cpu().flatten()
    if not bool(torch.isfinite(flat).all()) or not float(flat.norm()) > 0:
        raise SiteError(f"the vector at {site} is zero or not finite: it has no direction; give another")
    return flat, str(site)


def _p(above: Tensor) -> np.ndarray:
    """(1 + k) / (1 + N) of each column."""
    return (1 + above.sum(0).double().numpy()) / (1 + len(above))


def _ranks(scores: Tensor, at: Sequence[int]) -> Tensor:
    """Ranks of some words in each line, 1 the highest; ties share the middle."""
    ranks = []
    for word in at:  # one by one: a vocabulary times draws times words would be large
        own = scores[:, word, None]
        ranks.append((scores > own).sum(1) + ((scores == own).sum(1) + 1) // 2)
    return torch.stack(ranks, 1)


def _sized(vectors: Tensor) -> Tensor:
    """Vectors with a mean square of 1, beside which a norm's epsilon is nothing."""
    size = vectors.float().norm(dim=-1, keepdim=True).clamp_min(1e-30) / vectors.shape[-1] ** 0.5
    return (vectors.float() / size).to(vectors.dtype)


def _weight(model: "Model") -> Tensor:
    head: Any = model.anatomy.head
    weight: Tensor = getattr(head, "base_layer", head).weight
    return weight
