"""Vectors in words: which are read, through which lens, beside which nulls; a table a vector and lens.

Law: a vector and its null vectors go through the same lens in one call, so a rank and its p are of one
procedure; where a site has no states of texts (heads, adapters' own sites), random directions alone stand
beside it, and the table says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from activations.differences import (
    WIDTHS,
    Difference,
    activation_differences,
    first_tokens,
    rows_of,
    text_states,
)
from activations.errors import SiteError
from activations.jacobian import Jacobian, mean_jacobian
from activations.lens import Nulls, Reading, read_vector, vector_of
from activations.patchscope import PROMPT, Patchscope
from activations.sites import Site
from activations.vocabulary import Vocabulary
from mi_bsa.behaviors.unrelated import texts_in, unrelated
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.studies.inspect.lens_config import LensConfig

if TYPE_CHECKING:
    import pandas as pd

    from activations import Model


def texts_of(config: LensConfig, model: ModelConfig) -> list[Any]:
    """The unrelated texts of a config: the user's, or ours in the model's vocabulary."""
    found = unrelated(model, config.n_texts) if config.texts is None else texts_in(config.texts)
    return found[: config.n_texts]


@dataclass
class Lenses:
    """What reads vectors of one model; nulls and Jacobians are made once a site.

    Attributes:
        model: the base with its adapters.
        config: which lenses, how many nulls.
        texts: unrelated texts.
    """

    model: Model
    config: LensConfig
    texts: Sequence[Any]
    _vocabulary: Vocabulary | None = None
    _nulls: dict[str, Nulls] = field(default_factory=dict)
    _jacobians: dict[str, Jacobian] = field(default_factory=dict)

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's words."""
        if self._vocabulary is None:
            self._vocabulary = Vocabulary.of(self.model)
        return self._vocabulary

    def differences(
        self, variant: str, other: Model | None = None, *, before: str = "base"
    ) -> dict[str, Difference]:
        """What a variant adds at the sites of the config to the base, or to another variant (`before`); see
        `activations.differences`. Sites at which it adds nothing, below the lowest block that it changes, are
        left out: nothing has no direction.
        """
        places = self.model.sites(self.config.sites)
        found = activation_differences(
            self.model,
            self.texts,
            sites=list(places),
            before=before,
            after=variant,
            other=other,
            first=self.config.first,
        )
        return {site: one for site, one in found.items() if bool(one.vector.any())}

    def readings(self, vectors: Sequence[tuple[str, Any]], *, variant: str = "base") -> list[Reading]:
        """Each vector, behind its name, through each lens, read by the weights of a variant; a vector that a
        lens cannot read is left out of it.

        Raises:
            SiteError: a vector that no lens of the config reads.
        """
        found: list[Reading] = []
        with self.model.variant(variant):
            for name, x in vectors:
                refused, before = None, len(found)
                for lens in self.config.lenses:
                    try:
                        found.append(self._read(name, x, lens))
                    except SiteError as error:
                        refused = error
                if len(found) == before and refused is not None:
                    raise refused
        for one in found:
            one.ask(self.model, self.config.top)
        return found

    def _read(self, name: str, x: Any, lens: str) -> Reading:
        vector, site = vector_of(x)
        nulls = self.nulls(site, len(vector), getattr(x, "states", None))
        reader: Any = {"logit": "logit", "jacobian": None, "patchscope": self._scope}[lens]
        if lens == "jacobian":
            reader = self.jacobian(site)
        return read_vector(self.model, x, name=name, lens=reader, nulls=nulls, vocabulary=self.vocabulary)

    def nulls(self, site: str, width: int, states: Any = None) -> Nulls:
        """Null vectors of a site, drawn once; halves of the texts' states in the base where they are of the
        stream.
        """
        if site not in self._nulls:
            if states is None and Site.parse(site).kind in WIDTHS:
                rows, place = rows_of(self.model, self.texts), Site.parse(site)
                where = [first_tokens(row, self.config.first) for row in rows]
                states = text_states(self.model, "base", rows, where, [place])[place]
            self._nulls[site] = Nulls.draw(width, states, n=self.config.nulls, seed=self.config.seed)
        return self._nulls[site]

    def jacobian(self, site: str) -> Jacobian:
        """The Jacobian of a site in the active variant, made once."""
        key = f"{site} in {self.model.active_name}"
        if key not in self._jacobians:
            some = self.texts[: self.config.jacobian_texts]
            self._jacobians[key] = mean_jacobian(self.model, some, site=site)
        return self._jacobians[key]

    @property
    def _scope(self) -> Patchscope:
        return Patchscope(self.model, self.config.prompt or PROMPT, self.config.filler)


def table(readings: Sequence[Reading], top: int) -> pd.DataFrame:
    """The words of every reading: vector, site, lens, side (promoted, suppressed), rank, word, score and
    p.
    """
    import pandas as pd

    frames = [pd.DataFrame(columns=["vector", "site", "lens", "side", "word"])] if not readings else []
    for one in readings:
        for side, lowest in (("promoted", False), ("suppressed", True)):
            words = one.top(top, lowest=lowest)
            place = {"vector": one.name, "site": one.site, "lens": one.lens, "side": side}
            frames.append(words.assign(**place)[[*place, *words.columns]])
    return pd.concat(frames, ignore_index=True)


def found_in(readings: Sequence[Reading], words: Sequence[str]) -> pd.DataFrame:
    """The highest of some words in every reading: vector, site, lens, word, tokens, rank, p, p by kind of
    null.
    """
    import pandas as pd

    rows = []
    for one in readings:
        found = one.find(words)
        place = {"vector": one.name, "site": one.site, "lens": one.lens}
        word = {"word": found.best.word, "tokens": found.best.tokens, "rank": found.rank, "p": found.p}
        rows.append(place | word | {f"p_{kind}": p for kind, p in found.by_kind.items()})
    return pd.DataFrame(rows)
