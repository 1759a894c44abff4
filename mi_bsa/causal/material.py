"""What every causal step of the bridge is given: a model with its adapters, and the items that read it.

Law: a step chooses on `dev` and reports on `test`; seeds of every arm stand in one order, so that what
differs between two arms is paired by seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mi_bsa.asking.readouts import Readout, readable
from mi_bsa.core.errors import BridgeError
from mi_bsa.core.items import Item, thin
from mi_bsa.core.variants import POLES

if TYPE_CHECKING:
    from activations import Model, engine
    from activations.tokens import Row

READ_OUTS = {"behavior": "choice", "self_report": "report"}
"""Name of a read-out, and the beginning of the names of its sets of items."""
UNITS = {"behavior": "scenarios", "self_report": "wordings"}
"""What the items of a read-out are drawn as, beside seeds (`Readout.groups`)."""
SIGNS = {"seeking": 1.0, "averse": -1.0}


@dataclass(frozen=True, eq=False)
class Material:
    """A base, its adapters by arm and seed, and items by set.

    Attributes:
        model: the base with every adapter named in `arms` loaded.
        behavior: its name, for results.
        seeds: adapter seeds.
        arms: arm -> adapter names, one a seed in the order of `seeds`; `seeking` and `averse` are there.
            Others, such as `benign`, `wrong_seeking`, `wrong_averse`, `rank4_seeking`, may have fewer seeds.
        sets: items by the names of `behaviors.SETS`; `choice-dev`, `choice-test`, `report-dev`,
            `report-test` and `neutral-test` are there.
        items: how many items of each set are asked.
        batch_tokens: token positions that run at once.
        known: vectors that were made already, so that each is made once (`directions.vectors`).
    """

    model: Model
    behavior: str
    seeds: tuple[int, ...]
    arms: Mapping[str, tuple[str, ...]]
    sets: Mapping[str, Sequence[Item]]
    items: int = 40
    batch_tokens: int = 8192
    known: dict[Any, Any] = field(default_factory=dict, repr=False)
    _readouts: dict[tuple[str, int], Readout] = field(default_factory=dict, repr=False)
    _plain: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        missing = [arm for arm in POLES if len(self.arms.get(arm, ())) != len(self.seeds)]
        if missing:
            raise BridgeError(
                f"arms {missing} do not have one adapter for each of the seeds {list(self.seeds)}; give both "
                "poles"
            )
        unknown = {n for names in self.arms.values() for n in names} - set(self.model.variants)
        if unknown:
            raise BridgeError(
                f"adapters {sorted(unknown)} are not loaded in the model; load them by these names"
            )
        for name in ("choice-dev", "choice-test", "report-dev", "report-test", "neutral-test"):
            if not self.sets.get(name):
                raise BridgeError(
                    f"the set {name!r} has no items; the bridge chooses on dev and reports on test"
                )

    def readout(self, name: str, *, items: int | None = None) -> Readout:
        """The items of a set (`choice-test`, ...), thinned, compiled; those whose options are several
        tokens, or begin alike, are left out.

        Raises:
            ItemError: nothing is left.
        """
        key = (name, items or self.items)
        if key not in self._readouts:
            kept = thin(readable(self.model, self.sets[name]), key[1])
            self._readouts[key] = Readout.of(self.model, kept, name=name)
        return self._readouts[key]

    def of(self, read_out: str, split: str, *, items: int | None = None) -> Readout:
        """`of("self_report", "test")`: the items of a read-out."""
        return self.readout(f"{READ_OUTS[read_out]}-{split}", items=items)

    def logits(
        self, readout: Readout, conditions: engine.Conditions | None = None, *, variant: str = "base"
    ) -> Float[np.ndarray, "condition item option"]:
        """Logits of the options of every item under each condition (`activations.engine`)."""
        from activations import engine

        return engine.option_logits(
            self.model,
            readout.rows,
            conditions or engine.PLAIN,
            tokens=readout.tokens,
            variant=variant,
            batch_tokens=self.batch_tokens,
        )

    def plain(self, readout: Readout, variant: str = "base") -> Float[np.ndarray, "item option"]:
        """Logits of the options of every item in a variant as it is; kept, as many steps read them."""
        key = (readout.name, tuple(item.id for item in readout.items), variant)
        if key not in self._plain:
            self._plain[key] = self.logits(readout, variant=variant)[0]
        found: np.ndarray = self._plain[key]
        return found

    def scores(self, readout: Readout, variant: str = "base") -> Float[np.ndarray, " item"]:
        """Score of every item in a variant as it is."""
        return readout.score(self.plain(readout, variant))

    def levels(
        self, readout: Readout, conditions: engine.Conditions | None = None, *, variant: str = "base"
    ) -> Float[np.ndarray, " condition"]:
        """Mean score of a read-out under each condition."""
        return readout.level(self.logits(readout, conditions, variant=variant))

    def states(
        self, readout: Readout, *sites: str, variant: str = "base", slot: bool = False
    ) -> dict[str, Float[np.ndarray, "item *pos d"]]:
        """Values of sites at every token of every item, or at the answer slot alone."""
        from activations import engine

        read = engine.slot_states if slot else engine.states
        return read(self.model, readout.rows, sites, variant=variant)

    @property
    def neutral(self) -> tuple[Row, ...]:
        """Token rows of the neutral prompts."""
        return self.readout("neutral-test").rows

    @property
    def pairs(self) -> list[tuple[str, int, str]]:
        """(pole, place in `seeds`, adapter) of both poles, seed by seed."""
        return [(arm, n, self.arms[arm][n]) for n in range(len(self.seeds)) for arm in POLES]
