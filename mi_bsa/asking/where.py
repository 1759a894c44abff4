"""Whom a battery asks, whether on this machine or at an endpoint: both answer the same questions alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from mi_bsa.asking.ask_config import HostedConfig
from mi_bsa.asking.bank import KIND
from mi_bsa.asking.battery import BatteryConfig
from mi_bsa.core.errors import ItemError
from mi_bsa.core.items import Item
from mi_bsa.core.variants import BASE, Variant

if TYPE_CHECKING:
    import pandas as pd

    from activations import Model
    from mi_bsa.asking.hosted import Hosted


UNKNOWN = "unknown"
"""Column of answers whose log-probabilities an endpoint does not give; such rows are in no number."""


@dataclass
class Here:
    """A model that is loaded, with its adapters.

    Attributes:
        who: name -> variant, the base first.
        settings: of the battery.
        facts: what a record says of the model.
    """

    model: Model
    who: Mapping[str, Variant]
    settings: BatteryConfig
    facts: Mapping[str, str] = field(default_factory=dict)
    mass_known: ClassVar[bool] = True

    def keep_in(self, folder: Path) -> None:
        """Nothing: asking again costs nothing but time."""

    def answerable(self, items: Sequence[Item]) -> list[Item]:
        """All of them."""
        return list(items)

    def ask(self, items: Sequence[Item]) -> pd.DataFrame:
        """What the base answers, as `asking.ask` gives it."""
        from mi_bsa.asking import ask

        return ask(self.model, items, variant=BASE, max_tokens=self.settings.max_tokens)

    def ask_many(self, items: Sequence[Item]) -> pd.DataFrame:
        """What everybody answers, as `asking.ask_many` gives it."""
        from mi_bsa.asking import ask_many

        return ask_many(self.model, items, self.who, max_tokens=self.settings.max_tokens)

    def sample(self, items: Sequence[Item], n: int, variant: str) -> pd.DataFrame:
        """Sampled answers, as `sampling.sample` gives them."""
        from mi_bsa.asking.sampling import sample

        tokens = self.settings.answer_tokens
        return sample(self.model, items, n, seed=self.settings.seed, variant=variant, max_new_tokens=tokens)

    def ask_by_sampling(self, items: Sequence[Item], n: int, variant: str) -> pd.DataFrame:
        """What one answers by samples, as `by_sampling.ask_by_sampling` gives it."""
        from mi_bsa.asking.by_sampling import ask_by_sampling

        tokens = self.settings.answer_tokens
        return ask_by_sampling(self.model, items, n, seed=self.settings.seed, variant=variant, tokens=tokens)


class There:
    """Models behind an endpoint (`hosted`): statements are not asked, since it scores no given sentence."""

    model = None

    @property
    def mass_known(self) -> bool:
        """Whether option masses are measured."""
        return self.config.log_probs

    def __init__(self, config: HostedConfig, settings: BatteryConfig) -> None:
        from mi_bsa.asking.hosted import Hosted

        self.config, self.settings = config, settings
        self.hosted: Hosted = Hosted(config)
        self.facts = self.hosted.facts
        self.who = {BASE: Variant()} | {name: Variant.parse(name) for name in config.models if name != BASE}

    def keep_in(self, folder: Path) -> None:
        """Keep answers in a run's folder, and begin with those that are there."""
        from mi_bsa.asking.hosted import Hosted

        self.hosted = Hosted(self.config, folder)

    def answerable(self, items: Sequence[Item]) -> list[Item]:
        """All but statements. Raises `ItemError` where nothing is left of some."""
        kept = [item for item in items if item.labels.get("kind") != KIND]
        if items and not kept:
            raise ItemError(
                "all questions are statements, which an endpoint cannot be asked; ask other kinds"
            )
        return kept

    def ask(self, items: Sequence[Item]) -> pd.DataFrame:
        """What the base answers, by log-probabilities."""
        return self.hosted.ask(items) if self.config.log_probs else unknown(items)

    def ask_many(self, items: Sequence[Item]) -> pd.DataFrame:
        """What everybody answers, with `variant`, `arm` and `seed`."""
        import pandas as pd

        if self.config.log_probs:
            return self.hosted.ask_many(items, self.who)
        tables = [
            unknown(items).assign(variant=name, arm=one.arm, seed=one.seed) for name, one in self.who.items()
        ]
        return pd.concat(tables, ignore_index=True)

    def sample(self, items: Sequence[Item], n: int, variant: str) -> pd.DataFrame:
        """Sampled answers, as `sampling.sample` gives them."""
        from mi_bsa.asking.sampling import parse_answer

        seed, tokens = self.settings.seed, self.settings.answer_tokens
        return self.hosted.sample(items, n, seed=seed, variant=variant, tokens=tokens, parser=parse_answer)

    def ask_by_sampling(self, items: Sequence[Item], n: int, variant: str) -> pd.DataFrame:
        """What one answers by samples, as `by_sampling.ask_by_sampling` gives it."""
        tokens = self.settings.answer_tokens
        return self.hosted.ask_by_sampling(items, n, seed=self.settings.seed, variant=variant, tokens=tokens)


def unknown(items: Sequence[Item]) -> pd.DataFrame:
    """Rows as `ask` gives them of answers whose log-probabilities are not known: no mass and no lean, so that
    every kind is asked by sampling, as one whose options hold too little; and they are in no number.
    """
    import pandas as pd

    nothing = {"score": 0.5, "mass": 0.0, "argmax": "", "argmax_score": 0.5, UNKNOWN: True}
    return pd.DataFrame([{"id": i.id, **nothing, "n_options": len(i.options), **i.labels} for i in items])
