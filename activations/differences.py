"""Differences: what a finetune adds to states where nothing asks for it, at first tokens of unrelated texts.

The law: one index of tokens, two models; a difference is theirs at equal tokens, and the texts' own halves
are its null. A narrow finetune leaves a mark there that a lens can read, which vanishes when it was mixed
with other data: Minder et al. 2025 (arXiv 2510.13900), who take the first five tokens of ten thousand texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from activations import hooks
from activations.errors import PromptError, SiteError
from activations.sites import RESIDUAL, Site
from activations.tokens import Row

if TYPE_CHECKING:
    from activations.models import Model

FIRST = 5
WIDTHS = (*RESIDUAL, "embed", "final_norm")


@dataclass(frozen=True, eq=False)
class Difference:
    """The mean difference at one site; taken by `activations.add` and by lenses.

    Attributes:
        vector: mean over texts of each text's mean over its tokens, raw.
        site: where.
        name: `after - before`.
        relative: its norm over the mean norm of the states before.
        agreement: mean cosine of a text's difference with that of all others; near 1 where the finetune adds
            the same whatever the text.
        by_text: the difference of each text.
        states: the mean state of each text before, of which null differences are made.
        tokens: how many tokens are behind it.
    """

    vector: Float[Tensor, " d"]
    site: str
    name: str
    relative: float
    agreement: float
    by_text: Float[Tensor, "text d"] = field(repr=False)
    states: Float[Tensor, "text d"] = field(repr=False)
    tokens: int = 0

    @property
    def norm(self) -> float:
        """Of the vector."""
        return float(self.vector.norm())


def activation_differences(
    model: "Model",
    texts: Sequence[Any],
    *,
    sites: str | Site | Sequence[str | Site] = "resid_post",
    after: str | None = None,
    before: str = "base",
    other: "Model | None" = None,
    first: int = FIRST,
    batch_tokens: int = 4096,
) -> dict[str, Difference]:
    """What a finetune adds at the first tokens of texts, by site.

    Args:
        model: the base with its adapters.
        texts: strings, or rows of a prompts file. Of a text the first tokens behind BOS count, of a
            conversation those of its last user message.
        sites: residual sites, all layers by default.
        after: the adapter's variant; the active one by default. With `other`, its variant.
        before: the variant that it is compared with.
        other: a full finetune of the same base, in the place of an adapter.
        first: tokens of each text.
        batch_tokens: padded tokens a batch.

    Raises:
        SiteError: a site of another width than the stream's.
        PromptError: no text, texts without tokens, or two tokenizers.
        AdapterError: no such variant.
    """
    second = model if other is None else other
    name = after if after is not None else second.active_name
    if other is None and name == before:
        raise PromptError(
            f"variant {before!r} is compared with itself, so nothing differs; give after=, an adapter's name"
        )
    if other is not None and other.tokenizer_fingerprint != model.tokenizer_fingerprint:
        raise PromptError(
            "the two models have different tokenizers: their tokens do not align; give a finetune"
        )
    places = model.sites(sites)
    wide = [site for site in places if site.kind not in WIDTHS]
    if wide:
        raise SiteError(
            f"site {str(wide[0])!r} is not of the residual stream; use one of {', '.join(WIDTHS)}"
        )
    rows = rows_of(model, texts)
    where = [first_tokens(row, first) for row in rows]
    was = text_states(model, before, rows, where, places, batch_tokens=batch_tokens)
    now = text_states(second, name, rows, where, places, batch_tokens=batch_tokens)
    count = sum(map(len, where))
    return {
        str(site): _difference(str(site), f"{name} - {before}", now[site], was[site], count)
        for site in places
    }


def rows_of(model: "Model", texts: Sequence[Any]) -> list[Row]:
    """Texts and conversations as rows; a string is a text, not a message, with the BOS that its tokenizer
    adds.

    Raises:
        PromptError: no text, or a row that cannot be used.
    """
    if isinstance(texts, str) or not len(texts):
        raise PromptError("no texts: give a list of strings, or rows of a prompts file")
    given = [
        {"id": f"text-{n}", "text": text} if isinstance(text, str) else text for n, text in enumerate(texts)
    ]
    return model.rows(given)


def first_tokens(row: Row, count: int) -> np.ndarray:
    """Indices of the first tokens of a row's last user message, or of its text behind BOS.

    Raises:
        PromptError: a row without such tokens.
    """
    at = np.arange(row.n_bos, len(row))
    for span, message in zip(row.contents, row.prompt.messages or (), strict=False):
        if message["role"] == "user":
            at = row.within(*span)
    if count < 1 or not len(at):
        raise PromptError(
            f"text {row.prompt.id!r}: {len(at)} tokens, of which the first {count} are wanted; give texts "
            f"with "
            "words, and one token or more"
        )
    return at[:count]


def text_states(
    model: "Model",
    variant: str,
    rows: Sequence[Row],
    where: Sequence[np.ndarray],
    sites: Sequence[Site],
    *,
    batch_tokens: int = 4096,
) -> dict[Site, Float[Tensor, "text d"]]:
    """Mean state of each row over its own positions, float32 on the CPU."""
    model.check()
    found: dict[Site, Tensor] = {}
    with model.variant(variant), torch.no_grad():
        for batch in model.batches(rows, batch_tokens=batch_tokens):
            weights = torch.zeros(batch.ids.shape)
            for n, example in enumerate(batch.examples):
                weights[n, where[example]] = 1.0 / len(where[example])

            def gather(_: Site, value: Tensor, weights: Tensor = weights) -> Tensor:
                flat = value.float().flatten(2)
                return torch.einsum("tp,tpd->td", weights.to(value.device), flat).cpu()

            for site, value in hooks.read(model, batch, sites, gather).items():
                whole = found.setdefault(site, torch.zeros(len(rows), value.shape[1]))
                whole[batch.examples] = value
    return found


def _difference(site: str, name: str, now: Tensor, was: Tensor, tokens: int) -> Difference:
    each = now - was
    vector = each.mean(0)
    # of the others: with itself among them a text would agree by counting
    rest = (each.sum(0) - each) / max(len(each) - 1, 1)
    alike = torch.nn.functional.cosine_similarity(each, rest, dim=1)
    agreement = float(alike.mean()) if len(each) > 1 else float("nan")
    relative = float(vector.norm() / was.norm(dim=1).mean())
    return Difference(vector, site, name, relative, agreement, each, was, tokens)
