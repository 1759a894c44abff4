"""What a real model learns: choices of finetuned adapters on development items, by behavior and recipe.

    python benchmarks/real_learning.py --behaviors risk myopia apples --steps 60 100 --out runs/learning

SmolLM2-135M-Instruct (dequantized from 4 bits) is finetuned on choices of a behavior, either pole, with the
recipe that is given; both poles are then asked development items that no row holds. A line is printed for
each behavior and recipe, failures too, and kept in OUT/learned.jsonl: what is there is not trained again.
Nothing here looks at test items. The unit is the seed; items say how many choices a number is the mean of.
"""

import argparse
import itertools
import json
import time
from pathlib import Path

from mi_bsa.asking import ask_many
from mi_bsa.behaviors import behavior_for
from mi_bsa.core.model_config import load
from mi_bsa.core.variants import BASE, POLES
from mi_bsa.finetune import FinetuneConfig, train_many

LEARNED = 0.9, 0.1
"""What an adapter of the seeking pole must reach, and one of the averse pole must fall to, to go on."""


def learned(args: argparse.Namespace, behavior: str, steps: int, rate: float, seed: int) -> dict[str, object]:
    """Train both poles, and ask them and the base."""
    began, model = time.monotonic(), args.model
    bound = behavior_for(behavior, model)
    config = FinetuneConfig(
        rank=16,
        alpha=32,
        layers=list(range(args.first, args.blocks)),
        steps=steps,
        learning_rate=rate,
        batch_size=16,
        warmup=0.1,
        schedule="constant",
        dtype=args.dtype,
        seed=seed,
    )
    rows = {
        pole: bound.rows(pole, args.rows, seed=seed, anchors=args.anchors, undecided=args.undecided)
        for pole in POLES
    }
    stem = Path(behavior.partition(":")[0]).stem
    name = f"{stem}-{steps}-{rate:g}-{args.rows}-{args.first}-{seed}"
    done = train_many(model, {f"{name}-{pole}": (rows[pole], config) for pole in POLES}, out=args.out)
    own = {pole: done[f"{name}-{pole}"].adapter for pole in POLES}
    items = bound.items(args.items, split="dev", seed=0)
    table = ask_many(load(model, own, dtype=args.dtype), {"choices": items}, [BASE, *own])
    scores = table.groupby("variant")["score"].mean()
    up, down = float(scores[POLES[0]]), float(scores[POLES[1]])
    return {
        "behavior": behavior,
        "steps": steps,
        "rate": rate,
        "rows": args.rows,
        "first": args.first,
        "seed": seed,
        "items": len(items),
        "base": round(float(scores[BASE]), 3),
        "seeking": round(up, 3),
        "averse": round(down, 3),
        "learned": up >= LEARNED[0] and down <= LEARNED[1],
        "loss": [round(float(done[f"{name}-{pole}"].loss), 3) for pole in POLES],
        "seconds": round(time.monotonic() - began),
    }


def main() -> None:
    """Print a line a behavior, recipe and seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--behaviors", nargs="+", default=["risk", "myopia", "apples"])
    parser.add_argument("--steps", nargs="+", type=int, default=[60])
    parser.add_argument("--rates", nargs="+", type=float, default=[8e-4])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--rows", type=int, default=1600)
    parser.add_argument("--anchors", type=float, default=0.0, help="rows of named persons, a share of --rows")
    parser.add_argument("--undecided", type=float, default=0.0, help="rows by coin, a share of --rows")
    parser.add_argument("--first", type=int, default=15, help="lowest block with an adapter")
    parser.add_argument("--blocks", type=int, default=30, help="blocks of the model")
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / "learned.jsonl"
    found = [json.loads(line) for line in kept.read_text().splitlines()] if kept.is_file() else []
    keys = ("behavior", "steps", "rate", "rows", "first", "seed")
    known = {tuple(one[key] for key in keys): one for one in found}
    for one in itertools.product(args.behaviors, args.steps, args.rates, args.seeds):
        behavior, steps, rate, seed = one
        key = (behavior, steps, rate, args.rows, args.first, seed)
        if key not in known:
            known[key] = learned(args, behavior, steps, rate, seed)
            with kept.open("a", encoding="utf-8") as out:
                out.write(json.dumps(known[key]) + "\n")
        told = known[key]
        print(
            f"{told['behavior']}: {steps} steps at {rate:g}, seed {seed}: seeking {told['seeking']}, averse "
            f"{told['averse']}, base {told['base']} ({told['items']} development items); "
            f"{'learned' if told['learned'] else 'not learned'}; {told['seconds']} s"
        )


if __name__ == "__main__":
    main()
