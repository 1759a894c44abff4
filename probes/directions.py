"""A direction: a unit vector at a site, with its sign convention, its scale and where it came from.

The law: `vector` has norm 1 and `raw = length * vector` is what was given, so that arithmetic acts on raw
vectors and steering acts on unit ones. Two directions combine only at the same site. Nothing here touches a
model: `site` is the printed form of an `activations.Site` (for example ``resid_post.12``), and any object
with `.vector` and `.site` is accepted by `activations.add`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Num

from activations.showing import Shows
from probes import pairs
from probes.errors import DirectionError

FORMAT = "mi-bsa direction 1"


@dataclass(frozen=True, eq=False, repr=False)
class Direction(Shows):
    """A direction in activation space.

    Args:
        vector: any finite, nonzero vector of length d_model; it is stored at unit norm, its norm in `length`.
        site: where it lives: a string such as ``resid_post.12`` or an `activations.Site`.
        sign: what the positive end means, in words ("pole = 1").
        scale: typical (median) norm of the activations at this site on the store that it came from, or None.
        provenance: JSON-ready facts: method, store hash, rows, label, software.

    Raises:
        DirectionError: the vector is zero, not finite, or not one-dimensional.
    """

    vector: Num[np.ndarray, "..."]
    site: Any
    sign: str = "positive end as fitted"
    scale: float | int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    length: float = field(init=False, default=1.0)

    def __post_init__(self) -> None:
        raw = np.array(self.vector, dtype=np.float64)
        if raw.ndim != 1:
            raise DirectionError(
                f"a direction is one vector, but an array of shape {raw.shape} was given; pass one row of it"
            )
        if not np.isfinite(raw).all():
            raise DirectionError(
                f"{int((~np.isfinite(raw)).sum())} of {raw.size} entries are NaN or infinite; "
                "a direction is finite: check the activations that it was fitted on"
            )
        length = float(np.linalg.norm(raw))
        if length == 0.0:
            raise DirectionError(
                "the zero vector has no direction; check that the two classes differ at this site"
            )
        if self.scale is not None and not (np.isfinite(self.scale) and self.scale > 0):
            raise DirectionError(
                f"scale is {self.scale}; it is the site's typical norm: give a positive number or None"
            )
        unit = raw / length
        # a frozen dataclass guards its fields, not what they hold; a copy that can not be written guards the
        # rest
        unit.setflags(write=False)
        object.__setattr__(self, "vector", unit)
        object.__setattr__(self, "length", length)
        object.__setattr__(self, "site", str(self.site))
        object.__setattr__(self, "provenance", dict(self.provenance))

    def _shown(self) -> dict[str, object]:
        return {
            "": str(self.site),
            "d_model": self.d_model,
            "sign:": self.sign,
            "norm": f"{self.length:.4g}",
            "typical norm of the site": None if self.scale is None else f"{self.scale:.4g}",
            "by": self.provenance.get("method"),
        }

    @property
    def raw(self) -> Float[np.ndarray, " d_model"]:
        """The vector with its length: `length * vector`."""
        return self.vector * self.length

    @property
    def d_model(self) -> int:
        """Width of the site."""
        return int(self.vector.size)

    # -- arithmetic, on raw vectors

    def _with(self, raw: np.ndarray, *, sign: str, how: str, other: "Direction | None" = None) -> "Direction":
        sources = [dict(self.provenance)] + ([dict(other.provenance)] if other is not None else [])
        return Direction(raw, self.site, sign, self.scale, {"method": how, "from": sources})

    def _same_site(self, other: "Direction") -> None:
        if self.site != other.site or self.d_model != other.d_model:
            raise DirectionError(
                f"one direction lives at {self.site} (d={self.d_model}), the other at {other.site} "
                f"(d={other.d_model}); directions combine only at one site: fit both there"
            )

    def __neg__(self) -> "Direction":
        return self._with(-self.raw, sign=f"opposite of: {self.sign}", how="negated")

    def __mul__(self, factor: float | int) -> "Direction":
        sign = self.sign if factor > 0 else f"opposite of: {self.sign}"
        return self._with(self.raw * float(factor), sign=sign, how=f"times {float(factor):g}")

    __rmul__ = __mul__

    def __add__(self, other: "Direction") -> "Direction":
        self._same_site(other)
        return self._with(
            self.raw + other.raw, sign=f"({self.sign}) + ({other.sign})", how="sum", other=other
        )

    def __sub__(self, other: "Direction") -> "Direction":
        self._same_site(other)
        return self._with(
            self.raw - other.raw, sign=f"({self.sign}) - ({other.sign})", how="difference", other=other
        )

    def without(self, other: "Direction") -> "Direction":
        """This direction with its component along `other` taken out."""
        self._same_site(other)
        rest = self.raw - (self.raw @ other.vector) * other.vector
        if np.linalg.norm(rest) < 1e-9 * self.length:
            raise DirectionError("nothing is left after taking out the other direction; the two are parallel")
        return self._with(rest, sign=self.sign, how="orthogonalized", other=other)

    def cosine(self, other: "Direction") -> float:
        """Signed cosine with another direction at the same site; see `probes.compare` for its null."""
        self._same_site(other)
        return float(self.vector @ other.vector)

    def project(self, activations: Float[np.ndarray, "example d_model"]) -> Float[np.ndarray, " example"]:
        """Each row's coordinate along the unit vector."""
        activations = np.asarray(activations)
        if activations.ndim != 2 or activations.shape[1] != self.d_model:
            raise DirectionError(
                f"activations have shape {activations.shape}, the direction at {self.site} has "
                f"d_model={self.d_model}; read the same site"
            )
        return activations.astype(np.float64) @ self.vector

    # -- disk: safetensors beside JSON

    def save(self, path: str | Path) -> Path:
        """Write `<path>.safetensors` and `<path>.json`; an existing direction is never overwritten."""
        said = {name: getattr(self, name) for name in ("site", "sign", "scale", "length", "d_model")}
        said["provenance"] = dict(self.provenance)
        return pairs.write(path, {"raw": self.raw}, said, form=FORMAT, what="direction")

    @classmethod
    def load(cls, path: str | Path) -> "Direction":
        """Read what `save` wrote.

        Raises:
            DirectionError: a file is missing or is no direction.
        """

        def made(arrays: Mapping[str, np.ndarray], said: Mapping[str, Any]) -> "Direction":
            return cls(arrays["raw"], said["site"], said["sign"], said["scale"], dict(said["provenance"]))

        return pairs.read(path, made, form=FORMAT, what="direction", error=DirectionError)
