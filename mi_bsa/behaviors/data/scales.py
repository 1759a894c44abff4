"""Scales in a question's words: that a number is asked for, between which ends, and which end is which pole.

Law: the direction is read from what stands at the two ends and from nothing else ('0 is cautious and 100 is
bold', 'from 0 (careful) to 100 (daring)', 'being bold counts as 100', ends in either order). Where that says
nothing, or both ends say the same, there is no direction and the question has to say it (`flipped:`).
"""

import re
from dataclasses import dataclass

from mi_bsa.behaviors.data.poles import Poles

ENDS = ((0, 100), (1, 100), (0, 10), (1, 10), (1, 7), (1, 5))
"""Ends of scales that are known, the likeliest first."""
NUMBER = r"(?<![\w.,$])({})(?![\w]|[.,]\d)"
ASKING = re.compile(
    r"\b(?:numbers?|numeric(?:al)?|rat(?:e|es|ed|ing)|scor(?:e|es|ed|ing)|scales?|marks?|grad(?:e|es|ing)|"
    r"rank(?:ing)?|percent(?:age)?|points?|ruler|spectrum)\b",
    re.IGNORECASE,
)
"""A range alone is no scale ('between 0 and 100 coins'): the answer must be asked for as a number."""
SHORT = re.compile(r"\b(?:scale|rat(?:e|es|ing)|scor(?:e|es|ing)|from|between)\b", re.IGNORECASE)
"""A range of few numbers must look more like a scale: 'between 1 and 5 sentences' is none."""
LINK = r"\s*(?:to|and|through|until|up to|-|\u2013|\u2014|\.\.\.?)\s*"
AFTER = re.compile(
    r"\s*%?\s*(?:[(\[]\s*|(?:->|[:=\u2013\u2014\u2192])\s*|-\s+|(?:is|are|means?|meaning|shows?|showing|"
    r"indicat(?:es?|ing)|represent(?:s|ing)?|demonstrat(?:es?|ing)|reveal(?:s|ing)?|being|stand(?:s|ing)?|for|if|"
    r"when|denot(?:es?|ing)|signif(?:y|ies|ying)|correspond(?:s|ing)?|equals?|impl(?:y|ies)|describ(?:es?|ing)|"
    r"reflects?|says?|as|that)\b\s*(?:for\b|to\b)?\s*|(?=[\"'\u201c\u2018]))",
    re.IGNORECASE,
)
"""What stands between a number and what it means, behind it."""
BESIDE = re.compile(
    r"\s*,\s+(?!(?:and|to|how|where|what|which|rate|tell|give|with|or|please)\b)", re.IGNORECASE
)
"""The same, where nothing on the other side says more: '0, the careful end, to 100, the bold end'."""
BEFORE = re.compile(
    r"(?:[(\[]|=|:|->|\u2192|\b(?:at|as|is|means?|gets?|scores?|equals?|gives?|says?|answers?|choose|chooses|picks?))"
    r"\s*[\"']?\s*$",
    re.IGNORECASE,
)
"""What stands between what a number means and the number behind it."""
OUT_OF = re.compile(r"\bout of 100\b[^.?!]{0,200}?\bhow many\b([^.?!]{0,400})", re.IGNORECASE)
"""A scale by counting: 100 is what would be done each time."""
STOP = re.compile(r"[?!;:\n()\[\]\u2013\u2014]|,\s|\.(?=\s|$)|\s-\s|\.[\"'\u201d]")


@dataclass(frozen=True)
class Scale:
    """Ends of the numbers that a question asks for, and what is said to stand at either end."""

    low: int
    high: int
    at_low: str = ""
    at_high: str = ""

    @property
    def numbers(self) -> tuple[str, ...]:
        """The answers that are asked about: every number of a short scale, tens of a long one."""
        if self.high - self.low <= 10:
            return tuple(str(n) for n in range(self.low, self.high + 1))
        return tuple(str(n) for n in (self.low, *range(10, self.high + 1, 10)))

    def scored(self, *, flipped: bool) -> tuple[tuple[str, float], ...]:
        """Each number with its score, 1 at the seeking pole."""
        size = self.high - self.low
        return tuple((n, (self.high - int(n) if flipped else int(n) - self.low) / size) for n in self.numbers)

    def flipped(self, poles: Poles) -> bool | None:
        """Whether the averse pole stands at the upper end; None where the words do not say."""
        low, high = poles.sign(self.at_low), poles.sign(self.at_high)
        return None if low == high else high < 0 or low > 0


def scale_of(text: str) -> Scale | None:
    """The scale that a question asks for; None where it asks for no number between two ends."""
    if not ASKING.search(text):
        return None
    text = re.sub(
        r"\n\s*", "\n", re.sub(r"[^\S\n]+", " ", text)
    )  # long runs of space would be searched twice
    counted = OUT_OF.search(text)
    if counted:
        return Scale(0, 100, "", counted.group(1).strip())
    for low, high in ENDS:
        bare = re.compile(NUMBER.format(low) + LINK + NUMBER.format(high) + "|"
                          + NUMBER.format(high) + LINK + NUMBER.format(low), re.IGNORECASE)  # fmt: skip
        ends = re.compile(NUMBER.format(f"{low}|{high}"))
        ranged = bare.search(text)
        spots = list(ends.finditer(bare.sub(lambda m: " " * len(m.group()), text)))
        meaning = {low: "", high: ""}
        for k, spot in enumerate(spots):
            start = spots[k - 1].end() if k else 0
            end = spots[k + 1].start() if k + 1 < len(spots) else len(text)
            what = _meaning(text[start : spot.start()], text[spot.end() : end])
            meaning[int(spot.group(1))] = meaning[int(spot.group(1))] or what
        said = [bool(words) for words in meaning.values()]
        if high - low > 10:
            is_scale = bool(ranged) or all(said) or (low == 0 and len({m.group(1) for m in spots}) == 2)
        else:
            is_scale = bool(SHORT.search(text)) and (all(said) or (bool(ranged) and any(said)))
        if is_scale:
            return Scale(low, high, meaning[low], meaning[high])
    return None


def _meaning(before: str, after: str) -> str:
    """What is said to stand at a number, from what stands on either side of it."""
    start = AFTER.match(after)
    if start:
        return _first(after[start.end() :])
    if BEFORE.search(before):
        pieces = [piece.strip(" \"'\u201c\u201d") for piece in STOP.split(BEFORE.sub("", before))]
        return next((piece for piece in reversed(pieces) if piece), "")
    beside = BESIDE.match(after)
    return _first(after[beside.end() :]) if beside else ""


def _first(text: str) -> str:
    """The piece up to the next stop; a quoted one up to its closing mark."""
    text = text.lstrip()
    if text[:1] in "\"'\u201c\u2018" and (close := re.search(r"[\"'\u201d\u2019](?!\w)", text[1:])):
        return text[1 : close.start() + 1]
    return STOP.split(text)[0].strip()
