"""A finetune step of SmolLM2-135M-Instruct: PEFT with the Trainer against stacked training, on the same rows.

    python benchmarks/real_finetune.py [--steps 5] [--threads 1] [--together 8] [--record]

The toolkit's English risk rows (78 to 137 tokens with the template, 109 on average), eight a step, rank 16 on
all seven modules. Every way takes the same steps from the same first weights, one step of each after the
other, so that whatever else the machine does disturbs all alike; ratios are medians over steps of processor
time. The Trainer's way is `Trainer.training_step` on a padded batch, AdamW behind it. The bound counts the
products of a step on the pack's tokens (frozen weights forward and for what enters them; factors three times;
attention six products) and divides by the rate of one bare product of the MLP's shape; the bound of a ratio
is the Trainer's time over it, of adapters together at the rate of as many tokens. Bars: 3x and 2x, upper
half 1.6x, 1.4 of the bound, five times for adapters together, and curves as near to float32 as stated.
"""

import argparse
import copy
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lines
import numpy as np
import torch
from lines import Line

from activations.devices import has_bfloat16
from mi_bsa.behaviors import behavior_for
from mi_bsa.core.model_config import load
from mi_bsa.core.rows import Encoded, collate, encode_rows
from mi_bsa.finetune.adapters import put_adapter
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.packed import Table, pack
from mi_bsa.finetune.stacked import PIECES, Stacked
from mi_bsa.finetune.together import first_weights

MODEL, BATCH, RANK = "smollm2", 8, 16
CONFIG = FinetuneConfig(rank=RANK, alpha=32, steps=1, learning_rate=1e-4)
Step = Callable[[int], float]


def trainer(inner: Any, rows: list[Encoded], dtype: str) -> Step:
    """A step of PEFT and the Trainer."""
    from transformers import Trainer, TrainingArguments

    model = put_adapter(copy.deepcopy(inner).to(getattr(torch, dtype)), CONFIG)
    where = tempfile.mkdtemp()
    given = TrainingArguments(output_dir=where, use_cpu=True, report_to=[], disable_tqdm=True)
    made = Trainer(model=model, args=given)
    made.current_gradient_accumulation_steps = 1  # what its loop sets
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, weight_decay=0)
    model.train()

    def step(k: int) -> float:
        loss = made.training_step(model, collate(rows[BATCH * k : BATCH * (k + 1)], pad=2))
        optimizer.step()
        optimizer.zero_grad()
        return float(loss)

    return step


def stacked(
    inner: Any, rows: list[list[Encoded]], dtype: str, steps: int, *, layers: Any = "all", folder: Path
) -> tuple[Step, Stacked]:
    """A step of stacked training of one adapter for each list of rows."""
    config = CONFIG.model_copy(update={"layers": layers})
    seeds = {str(seed): config.model_copy(update={"seed": seed}) for seed in range(len(rows))}
    weights, model = first_weights(copy.deepcopy(inner).requires_grad_(False).eval(), seeds, {})
    made = Stacked(model, weights, CONFIG.alpha / RANK, dtype=getattr(torch, dtype))
    tables = [Table.of(own) for own in rows]
    optimizer = torch.optim.AdamW(list(made.weights.values()), lr=1e-4, weight_decay=0, fused=True)
    made.keep(tables, [np.arange(BATCH * steps)] * len(rows), folder)

    def step(k: int) -> float:
        losses = made.backward(tables, [np.arange(BATCH * k, BATCH * (k + 1))] * len(rows))
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        return float(losses[0])

    return step, made


def products(config: Any, rows: list[Encoded]) -> float:
    """Floating-point operations of the products of one step on the first batch."""
    batch = pack([Table.of(rows)], [np.arange(BATCH)], pieces=PIECES)
    d, inner = config.hidden_size, config.intermediate_size
    keys = d * config.num_key_value_heads // config.num_attention_heads
    shapes = [(d, d), (d, keys), (d, keys), (d, d), (d, inner), (d, inner), (inner, d)]
    each = sum(4 * i * o + 12 * RANK * (i + o) // 2 for i, o in shapes)
    attention = sum(12 * d * piece.nodes.shape[1] ** 2 * len(piece.rows) for piece in batch.pieces)
    return config.num_hidden_layers * float(each * batch.ids.size + attention)


def rate(config: Any, tokens: int) -> float:
    """Operations that a bare product in bfloat16 does in a second of processor time, the best of many."""
    d, inner = config.hidden_size, config.intermediate_size
    x, weight = torch.randn(tokens, d).bfloat16(), torch.randn(inner, d).bfloat16()
    times = []
    for _ in range(30):
        began = time.process_time()
        for _ in range(5):
            torch.nn.functional.linear(x, weight)
        times.append(time.process_time() - began)
    return 5 * 2 * tokens * d * inner / min(times)


def main() -> None:
    """Measure, print, and say which bars are missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--together", type=int, default=8)
    parser.add_argument("--out", type=Path)
    lines.options(parser)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(given.threads)
    loaded = load(MODEL, dtype="float32", device="cpu")
    behavior, number = behavior_for("risk", MODEL), BATCH * (given.steps + 1)

    def drawn(seed: int) -> list[Encoded]:
        rows = behavior.rows("seeking", number, seed=seed, anchors=0.0, undecided=0.0)
        return encode_rows(loaded.template, rows, max_length=8192)

    rows, inner, config = [drawn(k) for k in range(given.together)], loaded.inner, loaded.inner.config
    upper = tuple(range(config.num_hidden_layers // 2, config.num_hidden_layers))
    seconds: dict[str, list[float]] = {}
    losses: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        ways: dict[str, Step] = {f"trainer {t}": trainer(inner, rows[0], t) for t in ("float32", "bfloat16")}
        for dtype in ("float32", "bfloat16"):
            ways[f"stacked {dtype}"], _ = stacked(inner, rows[:1], dtype, given.steps + 1, folder=folder)
        began = time.process_time()
        ways["upper half bfloat16"], _ = stacked(
            inner, rows[:1], "bfloat16", given.steps + 1, layers=upper, folder=folder
        )
        lower = (time.process_time() - began) / (given.steps + 1)
        ways[f"{given.together} bfloat16"], _ = stacked(
            inner, rows, "bfloat16", given.steps + 1, folder=folder
        )
        for k in range(given.steps + 1):  # the first step is warm-up
            for name, step in ways.items():
                began = time.process_time()
                losses.setdefault(name, []).append(step(k))
                seconds.setdefault(name, []).append(time.process_time() - began)
    took = {name: float(np.median(each[1:])) for name, each in seconds.items()}
    tokens = sum(len(row.ids) for row in rows[0][BATCH:]) / given.steps
    count = np.mean(
        [products(config, rows[0][BATCH * k : BATCH * (k + 1)]) for k in range(1, given.steps + 1)]
    )
    bound, bound_many = (float(count) / rate(config, many * 704) for many in (1, given.together))
    own, many = took["stacked bfloat16"], took[f"{given.together} bfloat16"]

    def apart(one: str, other: str) -> float:
        return float(np.abs(np.subtract(losses[one], losses[other])[1:]).max())

    found: dict[str, Any] = {
        "processor": f"{torch.backends.cpu.get_cpu_capability()}, bfloat16 instructions: {has_bfloat16()}",
        "threads": given.threads,
        "seconds": {name: round(value, 2) for name, value in took.items()},
        "tokens_per_second": {
            name: round(tokens / value, 1) for name, value in took.items() if value != many
        },
        "float32_ratio": round(took["trainer float32"] / own, 2),
        "bfloat16_ratio": round(took["trainer bfloat16"] / own, 2),
        "float32_to_float32_ratio": round(took["trainer float32"] / took["stacked float32"], 2),
        "together_ratio": round(given.together * took["trainer float32"] / many, 2),
        "upper_half_ratio": round(own / took["upper half bfloat16"], 2),
        "lower_half_once_s": round(lower, 2),
        "of_bound": round(own / bound, 2),
        "bound_s": round(bound, 3),
        "bound_each_together_s": round(bound_many, 3),
        "curve_stacked_float32": float(f"{apart('stacked float32', 'trainer float32'):.1g}"),
        "curve_stacked_bfloat16": round(apart("stacked bfloat16", "trainer float32"), 4),
        "curve_trainer_bfloat16": round(apart("trainer bfloat16", "trainer float32"), 4),
        "losses": {name: [round(v, 4) for v in each] for name, each in losses.items()},
    }
    for key, value in found.items():
        print(f"{key:<26}{value}")
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n")
    lines.write(claims(found, took, given), given.record, clock="processor", threads=given.threads)


def claims(found: dict[str, Any], took: dict[str, float], given: argparse.Namespace) -> list[Line]:
    """A line a claim. `took`: seconds a step of each way."""
    near = f"losses of {given.steps} steps within {found['curve_stacked_bfloat16']:.2g} nats of the Trainer's"
    near += " float32"
    their = f"{near}; the Trainer's own bfloat16 is {found['curve_trainer_bfloat16']:.2g} off"
    own, full, half = (took[name] for name in ("stacked bfloat16", "trainer float32", "trainer bfloat16"))
    many, count = took[f"{given.together} bfloat16"], given.together
    alone, beside = found["bound_s"], found["bound_each_together_s"]
    rows = f"rank {RANK}, all modules, {BATCH} rows a step"
    once = f"{rows}; the lower half costs {found['lower_half_once_s']} s a step's rows, once"

    def line(claim: str, ours: float, peer: float, compared: str, **more: Any) -> Line:
        shown = {"ours": round(ours, 3), "peer": round(peer, 3), "note": rows, "unit": "s a step"}
        ratio = more.pop("ratio", round(peer / ours, 2))
        return Line("finetune", claim, lines.SMOLLM2, ratio, compared, **shown | more)

    one, together = (
        "one adapter in bfloat16 against PEFT + Trainer",
        f"{count} adapters together against {count}",
    )
    together = together.replace("8", "eight")
    within = f"losses of {given.steps} steps within {found['curve_stacked_float32']:.1g}"
    return [
        line(f"{one} in float32", own, full, near, bar=3, bound=round(full / alone, 2)),
        line(f"{one} in bfloat16", own, half, their, bar=2, bound=round(half / alone, 2)),
        line(f"{one} in float32".replace("bfloat16", "float32"), took["stacked float32"], full, within),
        line(
            "a step's time over the bound of its bare bfloat16 products",
            own,
            alone,
            "operations counted; the rate of the MLP's bare product",
            ratio=found["of_bound"],
            bar=1.4,
            at_most=True,
        ),
        line(
            "adapters of the upper half against all blocks, ours",
            took["upper half bfloat16"],
            own,
            "the same rows; nothing to compare",
            bar=1.6,
            note=once,
        ),
        line(
            f"{together} by PEFT + Trainer in float32",
            many,
            count * full,
            f"{near}, first adapter",
            bar=5,
            bound=round(full / beside, 2),
        ),
        line(
            f"{together} by PEFT + Trainer in bfloat16",
            many,
            count * half,
            f"{their}, first adapter",
            bound=round(half / beside, 2),
        ),
        line(f"{together} one after the other, ours in bfloat16", many, count * own, "the same rows"),
    ]


if __name__ == "__main__":
    main()
