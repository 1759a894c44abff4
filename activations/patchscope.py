"""Patchscope: a vector is put into a prompt that asks for it, and the model says what it makes of it.

The law: one token's state is replaced, at its own norm, and nothing else; null vectors of the same norm
stand in the same place. What is read is the next token after the prompt, over all words, and a few words
that the model goes on with, so that a word of several tokens shows too. Ghandeharioui et al. 2024 (arXiv
2401.06102); the default prompt asks for the same word again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from activations import edits, hooks
from activations.differences import rows_of
from activations.errors import PromptError, SiteError
from activations.generation import Decoding, answers
from activations.lens import vector_of
from activations.sites import Site
from activations.tokens import Row

if TYPE_CHECKING:
    from activations.models import Model

SLOT = "{}"
PROMPT = "cat -> cat\n1135 -> 1135\nhello -> hello\n{} ->"
"""Shows that a word is to be said again; the slot is filled with `FILLER`, whose state is replaced."""
FILLER = "x"
STATES = ("resid_pre", "resid_mid", "resid_post", "embed")
INTO: dict[str, str] = {"attn_out": "resid_mid", "mlp_out": "resid_post"}
"""Where what is added to the stream is put: the stream behind it."""


@dataclass(frozen=True, eq=False)
class Patchscope:
    """A prompt that asks for what stands at its slot; a lens for `activations.lens.read_vector`.

    Attributes:
        model: in the variant that answers when it is asked; usually the base.
        prompt: a text, or a chat message list whose last user message has it, with one slot `{}`.
        filler: the word at the slot, whose last token's state is replaced.
        variant: which variant answers; `base` by default, so that what is said is the vector's doing.
    """

    model: "Model"
    prompt: Any = PROMPT
    filler: str = FILLER
    variant: str = "base"
    name: str = "patchscope"

    @torch.no_grad()
    def logits(self, vectors: Float[Tensor, "row d"], site: str) -> Float[Tensor, "row token"]:
        """Logits of the next token with each vector at the slot.

        Raises:
            SiteError: a site that is not of the residual stream.
            PromptError: a prompt without its slot.
        """
        row, at = self._row()
        count = len(vectors)
        with self.model.variant(self.variant):
            change = self._change(vectors, site, row, at)
            batch = self.model.collate([row] * count)
            with edits.edit(self.model, change):
                hidden = self.model.forward(batch)
            return self.model.unembed(hidden[:, len(row) - 1])

    @torch.no_grad()
    def say(self, x: Any, *, max_new_tokens: int = 8) -> str:
        """What the model goes on with, the likeliest tokens; `x` as in `activations.lens.read_vector`."""
        vector, site = vector_of(x)
        row, at = self._row()
        how = Decoding(max_new_tokens, 0.0, None, True, 4096)
        with self.model.variant(self.variant):
            change = self._change(vector[None], site, row, at)
            with edits.edit(self.model, change):
                (ids,) = answers(self.model, [row], how)
        return str(self.model.tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def _change(self, vectors: Tensor, site: str, row: Row, at: int) -> edits.Edit:
        place = Site.parse(site)
        kind = INTO.get(place.kind, place.kind)
        if kind not in STATES:
            raise SiteError(
                f"site {site!r} is not of the residual stream, into which a patchscope puts vectors; take it "
                "there first (activations.lens.in_stream)"
            )
        into = Site(kind, place.layer)
        before = hooks.read(self.model, self.model.collate([row]), [into], hooks.whole)[into][0, at]
        unit = vectors.to(before.device).float()
        unit = unit / unit.norm(dim=-1, keepdim=True)
        return edits.replace(str(into), unit * before.float().norm(), positions=at)

    def _row(self) -> tuple[Row, int]:
        """The prompt with its filler, and the last token of the filler."""
        if isinstance(self.prompt, str):
            filled: Any = self._filled(self.prompt)
            (row,) = rows_of(self.model, [filled])
            start = row.text.index(filled) + self.prompt.index(SLOT)
        else:
            messages = [dict(message) for message in self.prompt]
            last = next((m for m in reversed(messages) if m["role"] == "user"), None)
            if last is None:
                raise PromptError("a patchscope's conversation has no user message; give one with a slot {}")
            template = last["content"]
            last["content"] = self._filled(template)
            (row,) = rows_of(self.model, [{"id": "patchscope", "messages": messages}])
            start = row.text.rindex(last["content"].strip()) + template.lstrip().index(SLOT)
        held = row.within(start, start + len(self.filler))
        return row, int(held[-1])

    def _filled(self, template: str) -> str:
        if template.count(SLOT) != 1 or not self.filler.strip():
            raise PromptError(
                f"patchscope prompt {template!r}: write the place of the vector once, as {SLOT}, and give a "
                "filler word"
            )
        return template.replace(SLOT, self.filler)


def texts_said(scope: Patchscope, vectors: Sequence[Any], *, max_new_tokens: int = 8) -> list[str]:
    """What is said of each of several vectors."""
    return [scope.say(x, max_new_tokens=max_new_tokens) for x in vectors]
