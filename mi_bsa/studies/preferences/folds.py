"""Two halves of the contexts, each asked of another adapter, as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mi_bsa.core.errors import ItemError
from mi_bsa.studies.preferences.asking import AskedContexts


def joined(parts: Sequence[tuple[Sequence[int], AskedContexts]]) -> AskedContexts:
    """What was asked in parts, contexts back in their places.

    `parts`: for each the places of its contexts, and what was measured of them; together they must be all
    places from 0 on, each once. Raises `ItemError` where they are not.
    """
    places = [place for some, _ in parts for place in some]
    if sorted(places) != list(range(len(places))):
        raise ItemError(f"parts hold the contexts {sorted(places)}; each must be asked once")
    held = {place: (one, k) for some, one in parts for k, place in enumerate(some)}
    ordered = [held[place] for place in range(len(places))]
    outcomes: Counter[str] = Counter()
    for _, one in parts:
        outcomes.update(one.outcomes)
    agreement = [one.agreement[k] for one, k in ordered if one.agreement is not None]
    return AskedContexts(
        contexts=[one.contexts[k] for one, k in ordered],
        learned=[one.learned[k] for one, k in ordered],
        reported=[one.reported[k] for one, k in ordered],
        reports=[one.reports[k] for one, k in ordered],
        agreement=agreement if len(agreement) == len(ordered) else None,
        outcomes=dict(outcomes),
        unparsed=[text for _, one in parts for text in one.unparsed][:20],
        redrawn=sum(one.redrawn for _, one in parts),
        mass=sum(one.mass * len(one.contexts) for _, one in parts) / len(places),
    )
