"""A fitted probe as a value: weights, site, classes and where it came from; safetensors + JSON on disk, no
pickle.

The law: a probe reads only what it was fitted on. Another site, width or layer convention is refused,
because a probe on the wrong layer still prints a number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Num

from probes import methods, pairs
from probes.directions import Direction
from probes.errors import LabelError, SourceError
from probes.linear import LinearProbe

FORMAT = "mi-bsa probe 1"
IDENTITY = ("base_model", "base_fingerprint", "layer_convention", "joined_despite")
"""What a store says about itself that a probe remembers; the layer convention must agree before the probe
is used."""


@dataclass(frozen=True, eq=False)
class Probe:
    """Linear read-out at one site.

    Args:
        coef: [1, d] for two classes (positive = second class), else [class, d].
        intercept: one a row of coef.
        classes: names of the classes, in order.
        site: printed cell, for example ``resid_post.3``.
        method, scale, provenance: how it was fitted, the site's typical norm, JSON-ready facts.
    """

    coef: Float[np.ndarray, "class d_model"]
    intercept: Float[np.ndarray, " class"]
    classes: tuple[Any, ...]
    site: str
    method: str
    scale: float | int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        fitted: LinearProbe,
        site: object,
        *,
        scale: float | int | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> "Probe":
        """From a fitted estimator of this package."""
        classes = tuple(c.item() if hasattr(c, "item") else c for c in fitted.classes_)
        coef = np.asarray(fitted.coef_, dtype=np.float64)
        intercept = np.asarray(fitted.intercept_, dtype=np.float64)
        return cls(coef, intercept, classes, str(site), type(fitted).__name__, scale, provenance or {})

    @classmethod
    def fit(
        cls,
        method: str,
        penalty: float | int,
        rows: Num[np.ndarray, "example d_model"],
        labels: Any,
        *,
        site: object,
        source: Any = None,
        facts: Mapping[str, Any] | None = None,
    ) -> "Probe":
        """A method of the table fitted on all rows, in float64; the scale is the rows' median norm, in which
        steering counts.

        Args:
            method, penalty: as `probes.METHODS` has it; the penalty is passed over where there is none.
            rows, labels: of the fit.
            site: where the rows were read.
            source: the store that they came from, whose identity the probe remembers.
            facts: JSON-ready provenance.
        """
        rows = np.asarray(rows, dtype=np.float64)
        fitted = methods.get(method).estimator(penalty).fit(rows, np.asarray(labels))
        scale = float(np.median(np.linalg.norm(rows, axis=1)))
        return cls.of(fitted, site, scale=scale, provenance={**(facts or {}), **identity(source)})

    @property
    def d_model(self) -> int:
        """Width of the site."""
        return int(self.coef.shape[1])

    @property
    def direction(self) -> Direction:
        """The normal vector of a two-class probe."""
        if len(self.classes) != 2:
            raise LabelError(
                f"a probe of {len(self.classes)} classes has no single direction; fit two of them"
            )
        facts = {"method": self.method, **self.provenance}
        return Direction(self.coef[0], self.site, f"towards {self.classes[1]}", self.scale, facts)

    def decision(self, rows: Num[np.ndarray, "example d_model"]) -> Float[np.ndarray, "..."]:
        """Decision values: [example] for two classes, else [example, class]."""
        rows = np.asarray(rows)
        if rows.ndim != 2 or rows.shape[1] != self.d_model:
            raise SourceError(
                f"activations of shape {rows.shape} for a probe of width {self.d_model} at {self.site}; "
                "read the site it was fitted on"
            )
        values = rows.astype(np.float64) @ self.coef.T + self.intercept
        return values.ravel() if len(self.classes) == 2 else values

    def check(self, attributes: Mapping[str, Any]) -> None:
        """Refuse a store whose layer convention is not the one that the probe was fitted under.

        Raises:
            SourceError: the store says otherwise, or says nothing where the probe's own store did.
        """
        mine = self.provenance.get("layer_convention")
        theirs = attributes.get("layer_convention")
        if mine is not None and theirs != mine:
            raise SourceError(
                f"the store's layer convention is {theirs!r}, the probe was fitted under {mine!r}, so layer "
                "numbers do not mean the same; capture the store again with this toolkit"
            )

    def save(self, path: str | Path) -> Path:
        """Write `<path>.safetensors` and `<path>.json`; never over an existing probe."""
        said = {name: getattr(self, name) for name in ("site", "method", "scale", "d_model")}
        said |= {"classes": list(self.classes), "provenance": dict(self.provenance)}
        arrays = {"coef": self.coef, "intercept": self.intercept}
        return pairs.write(path, arrays, said, form=FORMAT, what="probe")

    @classmethod
    def load(cls, path: str | Path) -> "Probe":
        """Read what `save` wrote.

        Raises:
            SourceError: a file is missing or holds no probe.
        """

        def made(arrays: Mapping[str, np.ndarray], said: Mapping[str, Any]) -> "Probe":
            facts = said["site"], said["method"], said["scale"], dict(said["provenance"])
            return cls(arrays["coef"], arrays["intercept"], tuple(said["classes"]), *facts)

        return pairs.read(path, made, form=FORMAT, what="probe", error=SourceError)


def identity(source: Any) -> dict[str, Any]:
    """What a store says about the model and convention behind it; empty for plain arrays."""
    attributes = getattr(source, "attributes", None) or getattr(source, "attrs", None) or {}
    attributes = attributes() if callable(attributes) else attributes
    found = {key: attributes[key] for key in IDENTITY if key in attributes}
    return {key: value.item() if hasattr(value, "item") else value for key, value in found.items()}
