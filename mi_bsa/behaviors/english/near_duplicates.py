"""Near-duplicates among short texts: Jaccard similarity of word shingles, candidates found by MinHash.

Two texts are near-duplicates where the sets of their runs of three words overlap by more than a threshold of
their union. Case and punctuation do not count, and all numbers are one word: the same text with other
amounts is a near-duplicate. MinHash signatures in bands (Broder
1997; Leskovec, Rajaraman and Ullman, chapter 3) find the pairs worth comparing; the similarity that decides
is exact. With 32 bands of 4, a pair at the threshold 0.7 is missed with probability 2e-4.
"""

import re
import zlib
from collections import defaultdict

import numpy as np

SHINGLE = 3
BANDS, ROWS = 32, 4
_PRIME = (1 << 31) - 1
_DRAW = np.random.default_rng(0)  # the hash functions are fixed, so that equal texts give equal signatures
_FACTORS = _DRAW.integers(1, _PRIME, (BANDS * ROWS, 1), dtype=np.uint64)
_OFFSETS = _DRAW.integers(0, _PRIME, (BANDS * ROWS, 1), dtype=np.uint64)


def shingles(text: str) -> frozenset[str]:
    """The runs of three words of a text, numbers as `0`; the whole text where it has fewer."""
    words = re.findall(r"[^\W\d]+|\d[\d,.]*", text.lower())
    words = ["0" if word[0].isdigit() else word for word in words]
    return frozenset(" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1)))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Size of the intersection over size of the union."""
    return len(a & b) / len(a | b)


class Distinct:
    """Texts of which no two are near-duplicates; `removed` counts those that were turned away."""

    def __init__(self, threshold: float = 0.7) -> None:
        self.threshold = threshold
        self.removed = 0
        self._kept: list[frozenset[str]] = []
        self._buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, *texts: str) -> bool:
        """Keep the texts; or, where one is near to another or to a kept one, count all as removed: False."""
        before = len(self._kept)
        for text in texts:
            new = shingles(text)
            bands = _bands(new)
            if self._near(new, bands):
                self._forget(before)
                self.removed += len(texts)
                return False
            for band in bands:
                self._buckets[band].append(len(self._kept))
            self._kept.append(new)
        return True

    def near(self, text: str) -> bool:
        """Whether a kept text is near to this one."""
        new = shingles(text)
        return self._near(new, _bands(new))

    def _near(self, new: frozenset[str], bands: list[tuple[int, bytes]]) -> bool:
        for k in {k for band in bands for k in self._buckets.get(band, ())}:
            common = len(new & self._kept[k])
            if common > self.threshold * (len(new) + len(self._kept[k]) - common):
                return True
        return False

    def _forget(self, before: int) -> None:
        """Take out what was kept since there were `before` texts."""
        for new in self._kept[before:]:
            for band in _bands(new):
                self._buckets[band].pop()
        del self._kept[before:]


def _bands(parts: frozenset[str]) -> list[tuple[int, bytes]]:
    """The MinHash signature of a set, cut into bands; equal bands make two texts candidates."""
    hashes = np.array([zlib.crc32(part.encode()) for part in parts], dtype=np.uint64) % np.uint64(_PRIME)
    signature = ((_FACTORS * hashes + _OFFSETS) % np.uint64(_PRIME)).min(axis=1).astype(np.uint32)
    whole, size = signature.tobytes(), ROWS * signature.itemsize
    return [(b, whole[b * size : (b + 1) * size]) for b in range(BANDS)]
