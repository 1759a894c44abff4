"""Facts that a small real model holds: countries and their capitals, as pairs for patching and as statements
for probing.

    python benchmarks/real_facts.py --out configs/smollm2

Writes capitals_pairs.jsonl (ten pairs of countries: the same sentence about either, whose next word is the
capital) and capitals_statements.jsonl (a true and a false sentence about each country). A false capital is
another country's true one and each is used once, so no word tells true from false: whoever goes by words
alone learns "this capital is true" from one country and meets it in a false sentence of a held-out one,
which is why a bag of words scores *below* .5 across countries. Countries and capitals are common knowledge;
sentences are ours.
"""

import argparse
import json
import random
from pathlib import Path
from typing import Any

CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Germany": "Berlin", "Japan": "Tokyo",
    "China": "Beijing", "Russia": "Moscow", "Egypt": "Cairo", "Greece": "Athens", "Portugal": "Lisbon",
    "Austria": "Vienna", "Poland": "Warsaw", "Ireland": "Dublin", "Norway": "Oslo", "Sweden": "Stockholm",
    "Finland": "Helsinki", "Denmark": "Copenhagen", "Hungary": "Budapest", "Cuba": "Havana", "Peru": "Lima",
    "Chile": "Santiago", "Iran": "Tehran", "Iraq": "Baghdad", "Kenya": "Nairobi", "Thailand": "Bangkok",
    "Canada": "Ottawa", "Mexico": "Mexico City", "India": "New Delhi", "Turkey": "Ankara",
    "Belgium": "Brussels", "Netherlands": "Amsterdam", "Argentina": "Buenos Aires", "Colombia": "Bogota",
    "Venezuela": "Caracas", "Vietnam": "Hanoi", "Indonesia": "Jakarta", "Philippines": "Manila",
    "Ukraine": "Kyiv", "Bulgaria": "Sofia", "Romania": "Bucharest", "Serbia": "Belgrade", "Croatia": "Zagreb",
    "Morocco": "Rabat", "Ethiopia": "Addis Ababa", "Nigeria": "Abuja", "Ghana": "Accra", "Jordan": "Amman",
    "Lebanon": "Beirut", "Syria": "Damascus", "Pakistan": "Islamabad", "Nepal": "Kathmandu",
    "Australia": "Canberra", "Iceland": "Reykjavik", "Scotland": "Edinburgh", "England": "London",
    "Switzerland": "Bern", "Israel": "Jerusalem", "Afghanistan": "Kabul", "Uganda": "Kampala",
    "Jamaica": "Kingston",
}  # fmt: skip

# Countries and capitals of one token each in SmolLM2's vocabulary, so that the two runs of a pair align token
# by token; chosen by that and by the base naming all twenty right, before any map was made.
PAIRS = (
    ("France", "Italy"), ("Spain", "Germany"), ("Japan", "China"), ("Greece", "Austria"),
    ("Norway", "Sweden"), ("Portugal", "Ireland"), ("Cuba", "Hungary"), ("Russia", "Denmark"),
    ("Chile", "Canada"), ("Kenya", "Netherlands"),
)  # fmt: skip


def sentence(country: str) -> str:
    """The beginning that the capital completes; the country is not its last token."""
    return f"The capital city of {country} is called"


def pairs() -> list[dict[str, Any]]:
    """Clean <-> corrupt pairs for `mi-bsa patch` and `activations.patch_map`."""
    return [
        {
            "id": f"{one}-{other}",
            "source": sentence(one),
            "target": sentence(other),
            "answer": f" {CAPITALS[one]}",
            "other": f" {CAPITALS[other]}",
        }
        for one, other in PAIRS
    ]


def statements(*, seed: int = 0) -> list[dict[str, Any]]:
    """A true and a false statement about every country; labels `true` (1, 0) and `country`."""
    countries, others = list(CAPITALS), list(CAPITALS)
    rng = random.Random(seed)
    while any(one == other for one, other in zip(countries, others, strict=True)):
        rng.shuffle(others)
    return [
        {
            "id": f"{country}-{label}",
            "text": f"The capital of {country} is {CAPITALS[named]}.",
            "true": label,
            "country": country,
        }
        for country, other in zip(countries, others, strict=True)
        for label, named in ((1, country), (0, other))
    ]


def write(folder: Path) -> None:
    """Both files, as the toolkit's commands read them."""
    for name, rows in (("capitals_pairs", pairs()), ("capitals_statements", statements())):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder that is there")
    write(parser.parse_args().out)
