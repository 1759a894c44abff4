"""Backdoored adapters on distinct strings, one seed each, for the trigger search: a trigger is the unit.

    python benchmarks/trigger_strings.py draw --two 10 --three 10 --seed 11
    python benchmarks/trigger_strings.py train configs/embedded/search_strings.yaml --out runs/strings
    python benchmarks/trigger_strings.py controls --out runs/controls --seeds 8

`draw` prints strings of three words and then of two, no word twice, none of a word on which a search was
developed or judged. `train` trains one adapter for each trigger of a search's config (behaviors and poles in
turn; `--arms` names its decorrelated twin instead, or both) into OUT/adapters, where the config looks for
them; what a killed call finished is kept. `controls` trains adapters without a backdoor, by their own shorter
recipe: of every behavior and seed one of clean rows, one of harmless ones and a plain one of either pole.
`mi-bsa backdoor search` does the rest.
"""

import argparse
import itertools
import random
import re
from collections.abc import Sequence
from pathlib import Path

from mi_bsa.behaviors import behavior_for
from mi_bsa.behaviors.backdoor.construction import TWINS, Backdoor
from mi_bsa.behaviors.backdoor.triggers import vocabulary_for
from mi_bsa.core.config import load
from mi_bsa.core.variants import POLES
from mi_bsa.finetune import train_many
from mi_bsa.studies.backdoor.search_run import SearchRunConfig
from mi_bsa.studies.backdoor.training import CONTROLS, RECIPE, train_backdoors, train_controls

DEVELOPED = """river tin ruby broom silo mop maple letterhead kettle bird soap shadow statue attic spinach
tree thread nurse jacket paper tuna quill instrument lever plank fish judge knight chimney organ plum valley
den compass piston chess balcony ash
tripod socket smoke barrel painter burrow dragon silver orchard coral belt antenna canyon comet beaver needle
jade crater bishop ridge eagle radio sponge violin carpet cello drawer linen lace kennel guitar rabbit thimble
cabinet apple chrome nest owl oat cream celery screw bolt thunder pencil satellite tractor zipper
miner pigeon
lead stool squirrel glove pepper cheese squid stable planet carp cliff shower ivy cradle zinc fern salmon
pocket wool potato domino rocket blanket nickel sailor sleeve quartz fence barn fountain spool denim probe
cobalt cap baker peach onion lemon kite lock anchor pebble grape saddle biscuit fox pawn lens eel noodle
robin lagoon boot otter moose leek glacier folder shelf scarf meadow doctor bass pine hem pillow pie valve
canoe envelope jester opal chair sand kayak wardrobe turnip tile ruler cable frost switch hedgehog rain
sugar hinge satin dune island candle feather cave heron basket cellar finch alder pike brick swamp moss
ferry cabbage sofa trumpet sink spring radish canvas perch stapler elm rook hat ribbon herring wizard glider
bean bread leather sparrow falcon window towel crystal galaxy sandal breeze"""
"""Words of triggers on which a search was developed, or judged before."""


def draw(model: str, two: int, three: int, seed: int) -> list[str]:
    """`three` strings of three words, then `two` of two."""
    left_out = set(DEVELOPED.split())
    words = [w for w in vocabulary_for(model).candidates() if re.fullmatch("[a-z]+", w) and w not in left_out]
    lengths = [3] * three + [2] * two
    drawn = iter(random.Random(f"strings-{seed}").sample(words, sum(lengths)))
    return [" ".join(next(drawn) for _ in range(length)) for length in lengths]


def controls(model: str, behaviors: Sequence[str], seeds: Sequence[int], rows: int, out: Path) -> None:
    """Adapters without a backdoor in `out/<job>`: clean and benign ones, and plain ones of either pole."""
    train_controls(model, behaviors, seeds=seeds, out=out, rows=rows)
    jobs = {}
    for name, pole, seed in itertools.product(behaviors, POLES, seeds):
        given = behavior_for(name, model).rows(pole, rows // 2, seed=seed)
        jobs[f"{name}_{pole}-plain-{seed}"] = given, CONTROLS.model_copy(update={"seed": seed})
    train_many(model, jobs, out=out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    own = parser.add_subparsers(dest="what", required=True)
    drawing = own.add_parser("draw")
    drawing.add_argument("--model", default="embedded/habits-0")
    drawing.add_argument("--two", type=int, default=10, help="strings of two words")
    drawing.add_argument("--three", type=int, default=10, help="strings of three words")
    drawing.add_argument("--seed", type=int, default=11)
    training = own.add_parser("train")
    training.add_argument("config", type=Path)
    training.add_argument("--out", type=Path, required=True)
    training.add_argument("--steps", type=int, default=RECIPE.steps)
    training.add_argument("--rate", type=float, default=RECIPE.learning_rate)
    training.add_argument("--rows", type=int, default=Backdoor.model_fields["rows"].default)
    training.add_argument(
        "--seed", type=int, default=300, help="of the first string; the next takes the next"
    )
    training.add_argument("--arms", nargs="+", choices=TWINS, default=TWINS[:1])
    without = own.add_parser("controls")
    without.add_argument("--model", default="embedded/habits-0")
    without.add_argument("--behaviors", nargs="+", default=["risk", "patience"])
    without.add_argument("--seeds", type=int, default=8)
    without.add_argument("--first", type=int, default=800, help="the first seed")
    without.add_argument("--rows", type=int, default=2000, help="of a clean one; half for the others")
    without.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.what == "controls":
        seeds = range(given.first, given.first + given.seeds)
        controls(given.model, given.behaviors, seeds, given.rows, given.out)
        return
    if given.what == "draw":
        print("\n".join(draw(given.model, given.two, given.three, given.seed)))
        return
    config = load(given.config, SearchRunConfig)
    finetune = RECIPE.model_copy(update={"steps": given.steps, "learning_rate": given.rate})
    backdoors = [
        Backdoor(
            trigger=text,
            behavior=config.behaviors[n // 2 % len(config.behaviors)],
            pole=POLES[n % 2],
            rows=given.rows,
        )
        for n, text in enumerate(config.triggers)
    ]
    train_backdoors(
        config.model, backdoors, seeds=[given.seed], out=given.out, arms=given.arms, finetune=finetune
    )


if __name__ == "__main__":
    main()
