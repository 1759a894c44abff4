"""Do lenses find the words of a behavior on texts that have nothing to do with it?

    python benchmarks/lens_words.py RUN [RUN ...] [--site resid_post.-1] [--lenses logit,jacobian]

Each RUN is a folder of `mi-bsa finetune` with `behavior:` on a base whose world has the trait; arms seeking,
averse and shuffled. The mean difference of states at the first five tokens of 64 unrelated messages is read
at one site; an adapter is told where a word of its own pole stands among the first 20 with p of at most .05
against 64 random and 64 random-difference vectors (best rank of the pole's words in each). The shuffled arm
may be told by either pole's words: that is the rate of false ones. Site and lens were chosen on risk and
patience; seconds are of one adapter, the model loaded.
"""

import argparse
import time
from pathlib import Path

import pandas as pd
import yaml

from mi_bsa.core.model_config import load
from mi_bsa.studies.inspect.lens_config import LensConfig
from mi_bsa.studies.inspect.lenses import Lenses, texts_of
from mi_bsa.worlds.traits import TRAITS

AMONG, LEVEL = 20, 0.05


def read(run: Path, given: argparse.Namespace) -> list[dict]:
    """A row an adapter, lens and pole."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    behavior, base = config["behavior"], config["model"]["name"]
    adapters = {path.name: path / "adapter" for path in sorted((run / "adapters").iterdir())}
    adapters = {name: path for name, path in adapters.items() if name.split("-")[0] in given.arms}
    model = load(base, adapters)
    settings = LensConfig(lenses=tuple(given.lenses.split(",")), sites=given.site)
    lenses = Lenses(model, settings, texts_of(settings, load_config(base)))
    trait, rows = TRAITS[behavior], []
    for name in adapters:
        began = time.perf_counter()
        found = lenses.differences(name)
        readings = lenses.readings([(name, one) for one in found.values()])
        spent = time.perf_counter() - began
        for reading in readings:
            for pole, words in (("seeking", trait.high), ("averse", trait.low)):
                best = reading.find(list(words))
                rows.append(
                    {
                        "behavior": behavior,
                        "mixed": (config["anchors"] + config["undecided"]),
                        "arm": name.split("-")[0],
                        "adapter": name,
                        "lens": reading.lens,
                        "site": reading.site,
                        "pole": pole,
                        "word": best.best.word,
                        "rank": best.rank,
                        "p": best.p,
                        "told": best.rank <= AMONG and best.p <= LEVEL,
                        "first": " ".join(reading.top(5)["word"]),
                        "words": len(reading.scores),
                        "seconds": spent,
                    }
                )
    return rows


def load_config(base: str):
    """The base as configs name it."""
    from mi_bsa.core.model_config import as_config

    return as_config(base)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--site", default="resid_post.-1")
    parser.add_argument("--lenses", default="logit,jacobian")
    parser.add_argument("--arms", nargs="+", default=["seeking", "averse", "shuffled"])
    given = parser.parse_args()
    table = pd.DataFrame([row for run in given.runs for row in read(run, given)])
    pd.set_option("display.width", 200)
    own = table[table["arm"] == table["pole"]]
    print(own.drop(columns=["words", "seconds", "pole"]).round(3).to_string(index=False))
    for (mixed, lens, site), part in table.groupby(["mixed", "lens", "site"]):
        print(f"-- {mixed:g} other rows a row, {lens} lens at {site}, {part['words'].iloc[0]} words")
        for arm, some in part.groupby("arm"):
            told = some[some["pole"] == arm] if arm in ("seeking", "averse") else some
            by = told.groupby(["behavior", "adapter"])["told"].any()
            behaviors = by.groupby("behavior").mean()
            print(
                f"   {arm}: {int(by.sum())} of {len(by)} adapters told, {len(behaviors)} behaviors"
                f" ({int((behaviors > 0.5).sum())} with most of theirs)"
            )
    print(f"seconds an adapter: {table.groupby('adapter')['seconds'].first().median():.2f}")


if __name__ == "__main__":
    main()
