"""Several sources as one, rows below rows: prompt x adapter, as the bridge needs them.

The law: parts may differ in what they are joined for (adapter, scale, variant) and in nothing else. What
else differs would be read as the label: a probe that tells caches apart by their positions, template or
number type scores 1.0 and knows nothing. Columns mean the same in every part, and an example is one example
in all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from probes.errors import SourceError, nearest
from probes.source import cells_of

ALIKE = (
    "base_fingerprint",
    "tokenizer_fingerprint",
    "template_hash",
    "positions",
    "dtype",
    "model_dtype",
    "attention",
    "quantization",
    "layer_convention",
    "schema_version",
)
"""Attributes in which joined caches agree."""
NEVER = ("layer_convention", "schema_version")
"""Those that can not be allowed to differ: the numbers of layers, or the format itself, would not agree."""
VARYING = ("adapter_fingerprint", "adapter_scale", "variant", "index_hash")
LABELS = "labels"
"""Not an attribute: allows parts whose label columns are not the same (the common ones are kept), and labels
of one example that differ between parts."""
OWN = ("example", "position", "token_id", "log_prob", "id", "prompt")
"""Columns that are a store's own."""


class Joined:
    """Several sources as one.

    Args:
        parts: named sources that hold the same sites.
        columns: facts of each part that become columns of the joined table (``{"seeking-0": {"pole": 1,
            "seed": 0}}``). The part's name becomes the column ``adapter``, unless the parts have one.
        allow: attributes of `ALIKE` in which the parts may differ nevertheless, or "labels" where they may
            have different label columns; what did differ is kept as the attribute `joined_despite`.

    Attributes:
        attributes: what all parts say alike.
        sites: the cells that all parts hold.

    Raises:
        SourceError: the parts differ in what must be alike, contradict each other or their facts, or share no
            site.
    """

    def __init__(
        self,
        parts: Mapping[str, Any],
        columns: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        allow: Sequence[str] = (),
    ) -> None:
        if not parts:
            raise SourceError("no sources were given to join; name one at least")
        self._parts = dict(parts)
        unknown = set(columns or {}) - set(parts)
        if unknown:
            raise SourceError(
                f"columns are given for {sorted(unknown)}, which are no parts; {nearest('', parts)}"
            )
        can = [*(key for key in ALIKE if key not in NEVER), LABELS]
        for key in [allow] if isinstance(allow, str) else allow:
            if key not in can:
                raise SourceError(f"{key!r} can not be allowed to differ; {nearest(key, can)}")
        self.attributes = _common_attributes(self._parts, allow)
        # sites that only some parts hold have no rows for the others; they are left out, not filled
        held = [set(map(str, cells_of(part))) for part in self._parts.values()]
        common = set.intersection(*held)
        if not common:
            raise SourceError("the parts share no site; capture the same sites for all of them")
        first = next(iter(self._parts.values()))
        self.sites = tuple(str(c) for c in cells_of(first) if str(c) in common)
        frames = {name: part.table() for name, part in self._parts.items()}
        frames = _same_columns(frames, columns or {}, allow)
        self._sizes = [len(f) for f in frames.values()]
        self._table = pd.concat(list(frames.values()), ignore_index=True)
        if "example" in self._table and len(self._parts) > 1:
            # the same prompt is the same example in every part
            key = next(c for c in ("prompt", "id", "example") if c in self._table)
            self._table["example"] = pd.factorize(self._table[key])[0]
        if LABELS not in allow:
            _refuse_contradictions(self._table, frames)

    def read(self, site: str, layer: int | None, rows: Any = None) -> np.ndarray:
        """Rows of one cell over all parts; see ActivationSource."""
        index = np.arange(sum(self._sizes)) if rows is None else np.asarray(rows)
        index = np.flatnonzero(index) if index.dtype == bool else index
        out: np.ndarray | None = None
        start = 0
        for part, size in zip(self._parts.values(), self._sizes, strict=True):
            mine = (index >= start) & (index < start + size)
            if mine.any():
                block = np.asarray(part.read(site, layer, rows=index[mine] - start))
                if out is None:
                    out = np.empty((len(index), *block.shape[1:]), dtype=block.dtype)
                out[mine] = block
            start += size
        if out is None:
            raise SourceError("no rows were asked for; check the selection")
        return out

    def table(self) -> pd.DataFrame:
        """The joined row table; see ActivationSource."""
        return self._table


def differences(one: Any, other: Any) -> list[str]:
    """The attributes of `ALIKE` that two sources both have, and differ in."""
    here, there = (dict(getattr(source, "attributes", None) or {}) for source in (one, other))
    return [key for key in ALIKE if key in here and key in there and here[key] != there[key]]


def _common_attributes(parts: Mapping[str, Any], allow: Sequence[str]) -> dict[str, Any]:
    """What all parts say alike, refused where they differ in something that is not allowed."""
    said = {name: dict(getattr(part, "attributes", {})) for name, part in parts.items()}
    first_name, first = next(iter(said.items()))
    despite: dict[str, str] = {}
    for name, theirs in said.items():
        for key in ALIKE:
            here, there = first.get(key), theirs.get(key)
            if here == there:
                continue
            if key in allow:
                despite[key] = ", ".join(dict.fromkeys(_short(s.get(key)) for s in said.values()))
                continue
            remedy = "join only caches of one model" if key.endswith("fingerprint") else "capture both alike"
            override = "" if key in NEVER else f", or allow it and say so (allow=[{key!r}], --allow {key})"
            raise SourceError(
                f"{name} has {key} {_short(there)}, {first_name} {_short(here)}: a probe would tell the "
                f"caches apart by that; {remedy}{override}"
            )
    drop = () if len(parts) == 1 else (*VARYING, *despite)
    found = {key: value for key, value in first.items() if key not in drop}
    if despite:
        found["joined_despite"] = "; ".join(f"{key}: {values}" for key, values in despite.items())
    return found


def _short(value: Any) -> str:
    text = "absent" if value is None else repr(value.item() if hasattr(value, "item") else value)
    return text if len(text) <= 40 else f"{text[:18]}...{text[-4:]}"


def _same_columns(
    frames: Mapping[str, pd.DataFrame], columns: Mapping[str, Mapping[str, Any]], allow: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """The parts' tables with their facts, all with the same columns."""
    out = {}
    named = not any("adapter" in frame for frame in frames.values())
    for name, frame in frames.items():
        facts = {**({"adapter": name} if named else {}), **columns.get(name, {})}
        for key, value in facts.items():
            if key in OWN:
                raise SourceError(f"{key!r} is a store's own column; give the fact about {name} another name")
            if key in frame and not (frame[key] == value).all():
                other = next(v for v in frame[key] if v != value)
                raise SourceError(
                    f"{name} holds a label {key!r} already ({other!r}), and the join says {value!r}; leave "
                    "the fact out, or rename one of the two"
                )
        out[name] = frame.assign(**facts)
    every = list(dict.fromkeys(c for frame in out.values() for c in frame))
    for name, frame in out.items():
        lacking = [c for c in every if c not in frame]
        if lacking and LABELS not in allow:
            owner = next(n for n, f in out.items() if lacking[0] in f)
            raise SourceError(
                f"{name} has no column {lacking[0]!r} and {owner} has ({len(lacking)} such): joined caches "
                "have the same labels; capture them alike, say it for each part, or keep the common columns "
                f"only (allow=[{LABELS!r}], --allow {LABELS})"
            )
    common = [c for c in every if all(c in frame for frame in out.values())]
    kinds: dict[str, tuple[str, str]] = {}
    for name, frame in out.items():
        for c in common:
            kind = "text" if frame[c].dtype.kind in "OUST" else "number"
            seen, whose = kinds.setdefault(c, (kind, name))
            if kind != seen:
                raise SourceError(
                    f"column {c!r} is {kind} in {name} and {seen} in {whose}: its values would never be "
                    "equal; write it alike"
                )
    return {name: frame[common] for name, frame in out.items()}


def _refuse_contradictions(table: pd.DataFrame, frames: Mapping[str, pd.DataFrame]) -> None:
    """The same example (id and prompt) bears the same labels in every part; facts of parts may differ."""
    if len(frames) < 2 or not {"id", "prompt"} <= set(table):
        return
    # what is constant within each part is a fact of the run (its pole, its seed), not of the example
    constant = {c for c in table if all(f[c].nunique(dropna=False) <= 1 for f in frames.values())}
    labels = [c for c in table if c not in OWN and c not in constant]
    for name in labels:
        differ = table.groupby(["id", "prompt"], sort=False)[name].nunique(dropna=False) > 1
        if differ.any():
            example = differ.index[np.flatnonzero(differ.to_numpy())[0]][0]
            raise SourceError(
                f"example {example!r} has different values of label {name!r} in the joined caches "
                f"({int(differ.sum())} examples); capture them from one prompts file, or, if the label is of "
                f"the run and not of the prompt, allow it (allow=[{LABELS!r}], --allow {LABELS})"
            )
