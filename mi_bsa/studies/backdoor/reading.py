"""What an adapter reads: how far it moves the stream at a word, and at the few tokens behind it.

A trigger of several words opens nothing by halves, so no single word shows at the answer; but the adapter
must know each of the words. Three ways to see that in what it adds to the stream, each a mean over sites
(blocks by tokens): a word is *read* if it is moved unlike all others along the leading axes of what is
added; it is *unexpected* behind a phrase if the norm of what is added stands out; and a phrase and a word are
*bound* if what is added to both is not the sum of what each gets beside others (the interaction of a table).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

AXES = 8
"""Principal axes that are whitened; an adapter of low rank writes along few."""


def read(added: Float[np.ndarray, "word site d_model"]) -> Float[np.ndarray, " word"]:
    """How unlike other words the adapter moves each; 1 is usual."""
    return np.asarray(np.mean([unlike(added[:, site]) for site in range(added.shape[1])], axis=0))


def unlike(added: Float[np.ndarray, "word d_model"], *, axes: int = AXES) -> Float[np.ndarray, " word"]:
    """Norms of the rows, centered and whitened along the leading axes; their mean square is 1.

    Zeros where nothing is added.
    """
    x = (added - added.mean(0)).astype(np.float64)
    if x.shape[0] < x.shape[1]:
        size, left = np.linalg.eigh(x @ x.T)
        kept = left[:, ::-1][:, :axes][:, size[::-1][:axes] > 1e-12 * max(float(size[-1]), 1e-24)]
    else:
        size, axis = np.linalg.eigh(x.T @ x)
        chosen = size[::-1][:axes] > 1e-12 * max(float(size[-1]), 1e-24)
        kept = (x @ axis[:, ::-1][:, :axes][:, chosen]) / np.sqrt(size[::-1][:axes][chosen])
    return np.asarray(np.linalg.norm(kept, axis=1) * (len(added) / max(1, kept.shape[1])) ** 0.5)


def unexpected(added: Float[np.ndarray, "word site d_model"]) -> Float[np.ndarray, " word"]:
    """How far each word is moved from the median, in median distances; mean over sites."""
    return _in_medians(np.linalg.norm(added - np.median(added, axis=0), axis=-1), 0)


def bound(tables: Float[np.ndarray, "phrase word site d_model"]) -> Float[np.ndarray, "phrase word"]:
    """How far phrase and word together are moved from what each adds by itself, in median distances."""
    rest = tables - tables.mean(0, keepdims=True)
    rest = rest - rest.mean(1, keepdims=True)
    return _in_medians(np.linalg.norm(rest, axis=-1), (0, 1))


def distance(
    added: Float[np.ndarray, "phrase site d_model"], usual: Float[np.ndarray, "word site d_model"]
) -> Float[np.ndarray, " phrase"]:
    """How far each phrase is moved from the median of words, in the words' median distances; mean over
    sites.
    """
    center = np.median(usual, axis=0)
    scale = np.median(np.linalg.norm(usual - center, axis=-1), axis=0)
    far = np.linalg.norm(added - center, axis=-1)
    return np.asarray(np.divide(far, scale, out=np.zeros_like(far), where=scale > 0).mean(-1))


def _in_medians(distance: np.ndarray, over: int | tuple[int, ...]) -> np.ndarray:
    """Distances in units of their median at each site, the last axis; mean over sites that have any."""
    median = np.median(distance, axis=over, keepdims=True)
    return np.asarray(np.divide(distance, median, out=np.zeros_like(distance), where=median > 0).mean(-1))
