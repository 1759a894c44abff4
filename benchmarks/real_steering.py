"""Steering a real model: a sentiment direction moves what SmolLM2-135M-Instruct (dequantized from 4 bits)
writes on held-out prompts; random directions of the same norm do not.

    python benchmarks/real_steering.py [--model smollm2] [--random 39] [--out results.json]

The direction is the mean difference of `resid_post` at the last token of sentences about twelve things,
called good or bad in words of one list. Block and dose are chosen on eight development beginnings; sixteen
others are continued once, greedily, with the direction added and taken away at every token. The tone of a
text is the number of pleasant less the number of unpleasant words of a list fixed beforehand, which shares no
word with the sentences. The null: random directions of the same norm at the same block, a text with the
direction less a text with it taken away, as for the direction itself; its p counts the random ones that reach
as far. The unit is the beginning.
"""

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import activations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


THINGS = _words("movie meal hotel book concert trip teacher game park phone car lesson")
GOOD = _words("wonderful delightful excellent lovely amazing brilliant")
BAD = _words("terrible awful horrible dreadful disgusting miserable")
PLEASANT = _words(
    "good great happy love loved beautiful best nice enjoy enjoyed enjoying fun perfect fantastic delicious "
    "friendly glad excited joy pleasant warm kind delighted pleased proud fresh comfortable perfectly "
    "thrilled exciting favorite impressed"
)
UNPLEASANT = _words(
    "bad worst sad hate hated disappointed disappointing poor ugly boring broken wrong angry afraid fear "
    "scared pain dirty unpleasant cold annoyed upset worse tired sick lost problem problems noisy rude "
    "difficult struggle worried nervous disappointment dull"
)
DEVELOPMENT = (
    "On Sunday we went to the market and",
    "My neighbor told me about her job and",
    "The new library opened and",
    "When the train arrived, I",
    "The soup at the corner shop",
    "After the rain stopped, the children",
    "Our visit to the lake",
    "The letter from my uncle said",
)
TEST = (
    "Last night I walked home and",
    "The play at the school",
    "My first day at the office",
    "We tried the bakery on the hill and",
    "The photographs from the wedding",
    "When I opened the door, the room",
    "The bus driver",
    "Our garden this year",
    "The man who fixed my bicycle",
    "At the end of the summer, we",
    "The music in the cafe",
    "Her speech at the meeting",
    "The walk along the river",
    "My new shoes",
    "The museum in the old town",
    "When the guests came, they",
)
BLOCKS = (8, 12, 16, 20)
DOSES = (0.125, 0.25, 0.5)
"""In typical norms of the site; at 1 the texts of a first look fell apart."""
NEW_TOKENS = 24


def sentences() -> list[dict[str, Any]]:
    """Sentences about every thing, called good and bad: every third pairing of thing and word."""
    found = []
    for i, thing in enumerate(THINGS):
        for j, words in enumerate(zip(GOOD, BAD, strict=True)):
            if (i + j) % 3:
                continue
            found += [
                {"id": f"{thing}-{word}", "text": f"I thought the {thing} was {word}, and I", "tone": tone}
                for tone, word in zip((1, 0), words, strict=True)
            ]
    return found


def tone(text: str) -> int:
    """Pleasant less unpleasant words."""
    words = re.findall("[a-z]+", text.lower())
    return sum(word in PLEASANT for word in words) - sum(word in UNPLEASANT for word in words)


def swing(
    model: activations.Model, beginnings: tuple[str, ...], vector: np.ndarray, block: int, length: float
) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Tone with the vector added less tone with it taken away, for every beginning, and the two texts."""
    prompts = [{"id": str(n), "text": text} for n, text in enumerate(beginnings)]
    texts = []
    for sign in (1.0, -1.0):
        change = activations.add((vector, f"resid_post.{block}"), scale=sign * length, units="raw")
        with activations.edit(model, change):
            texts.append(model.generate(prompts, max_new_tokens=NEW_TOKENS))
    both = list(zip(*texts, strict=True))
    return np.array([tone(up) - tone(down) for up, down in both], float), both


def steer(model: activations.Model, *, n_random: int, seed: int = 0) -> dict[str, Any]:
    """Choose on development, report on test, beside random directions of the same norm."""
    from scipy.stats import t

    rows = sentences()
    label = np.array([row["tone"] for row in rows])
    with tempfile.TemporaryDirectory() as scratch:
        store = activations.capture(
            model,
            rows,
            sites=[f"resid_post.{block}" for block in BLOCKS],
            positions="last",
            out=Path(scratch) / "sentences.h5",
        )
        values = {block: np.asarray(store.read(f"resid_post.{block}"), np.float64) for block in BLOCKS}
    vectors, norms = {}, {}
    for block, given in values.items():
        difference = given[label == 1].mean(0) - given[label == 0].mean(0)
        vectors[block] = difference / np.linalg.norm(difference)
        norms[block] = float(np.median(np.linalg.norm(given, axis=1)))
    tried = {
        (block, dose): swing(model, DEVELOPMENT, vectors[block], block, dose * norms[block])[0].mean()
        for block in BLOCKS
        for dose in DOSES
    }
    block, dose = max(tried, key=lambda key: tried[key])
    length = dose * norms[block]
    found, texts = swing(model, TEST, vectors[block], block, length)
    reach = float(t.ppf(0.975, len(found) - 1)) * found.std(ddof=1) / len(found) ** 0.5
    rng = np.random.default_rng(seed)
    null = []
    for _ in range(n_random):
        drawn = rng.normal(size=model.d_model)
        null.append(swing(model, TEST, drawn / np.linalg.norm(drawn), block, length)[0].mean())
    return {
        "block": block,
        "dose": dose,
        "development": {f"{key[0]} at {key[1]}": float(value) for key, value in tried.items()},
        "swing": float(found.mean()),
        "interval": (float(found.mean() - reach), float(found.mean() + reach)),
        "units": len(found),
        "null_mean": float(np.mean(null)),
        "null_band": (float(np.quantile(null, 0.025)), float(np.quantile(null, 0.975))),
        "null_largest": float(np.max(null)),
        "p": (1 + sum(value >= found.mean() for value in null)) / (1 + n_random),
        "n_random": n_random,
        "texts": [(TEST[n], *texts[n]) for n in range(3)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--random", type=int, default=39, help="random directions; 39 make p >= .025")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found = steer(activations.load(asked.model, device="cpu"), n_random=asked.random)
    low, high = found["interval"]
    print(
        f"resid_post.{found['block']} at {found['dose']} typical norms, chosen on {len(DEVELOPMENT)} "
        "development beginnings"
    )
    print(
        f"tone with the direction less without, words a text of {NEW_TOKENS} tokens: {found['swing']:.2f} "
        f"[{low:.2f}, {high:.2f}] over {found['units']} held-out beginnings"
    )
    print(
        f"{found['n_random']} random directions: mean {found['null_mean']:.2f}, band "
        f"[{found['null_band'][0]:.2f}, {found['null_band'][1]:.2f}], largest "
        f"{found['null_largest']:.2f}; p = {found['p']:.3f}"
    )
    for start, up, down in found["texts"]:
        print(f"  {start} ...\n    + {up!r}\n    - {down!r}")
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
