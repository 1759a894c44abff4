"""Capture speed: against the bare forward pass, and against three peers that write the same numbers.

    python benchmarks/capture.py [--quick] [--embedded FOLDER] [--model smollm2] [--out results.json]

One run, one process, same prompts (lengths log-normal between 16 and 512 tokens), same outputs, checked. (a)
The whole capture (prompts in, finished HDF5 file out) against the bare forward pass of the decoder cut behind
the deepest layer, on the very same sorted batches, with nothing read and nothing stored. (b) TransformerLens
`run_with_cache`, an nnsight trace, and Hugging Face `output_hidden_states`, each followed by h5py, in file
order, same batch size, right padding with mask, `no_grad`, early stop where the tool documents one
(`stop_at_layer`; `tracer.stop()`), last token written. With "sorted" the peers get our order of rows; no bar
holds there. Peers' batches have as many rows as the token budget alone gives ours on average; each one's
padded tokens are printed, for most of a ratio is there. Each case runs a few rows to warm up and then several
times, round robin; the table gives medians and the spread.

Bars, on the 12-layer model: (a) at least 0.90; (b) at least 2x each for all layers; at half depth 2x
TransformerLens, 3x nnsight, 4x Hugging Face. With `--model`, a model by name or folder and all of its layers
alone: (a) 0.95, (b) 2x each.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import lines
import numpy as np
import torch
from lines import Line
from llamas import random_llama

import activations
from activations.batches import Plan, plan
from activations.prompts import read as read_prompts

BATCH_TOKENS = 4096  # the default of `capture`; about 32 rows of these prompts
TWELVE: Any = {"blocks": 12, "width": 512, "inner": 1376, "max_position_embeddings": 1024}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
PEERS = {"transformer_lens": "TransformerLens", "nnsight": "nnsight", "hugging_face": "Hugging Face"}


@dataclass(frozen=True)
class Case:
    """A model, its prompts as ids, and which layers are stored."""

    model: activations.Model
    prompts: list[dict[str, str]]
    ids: list[np.ndarray]
    layers: list[int]
    batch_tokens: int
    peer_rows: int

    @property
    def deepest(self) -> int:
        """The deepest stored layer."""
        return max(self.layers)

    @property
    def tokens(self) -> int:
        """Real tokens."""
        return sum(map(len, self.ids))


def prompts(model: activations.Model, count: int, *, seed: int, longest: int) -> list[dict[str, str]]:
    """Texts whose lengths in tokens are log-normal (median 90), cut to 16..longest."""
    generator = np.random.default_rng(seed)
    lengths = np.clip(generator.lognormal(4.5, 0.8, count), 16, longest).astype(int)
    special = set(model.tokenizer.all_special_ids)
    ordinary = [n for n in range(model.tokenizer.vocab_size) if n not in special]
    ordinary = [n for n in ordinary if model.tokenizer.decode([n]).isprintable()]
    rows = []
    for n, length in enumerate(lengths):
        # a text need not tokenize back to the ids it was decoded from, so it is cut until it fits
        text = model.tokenizer.decode(generator.choice(ordinary, length - 1))
        ids = model.tokenizer(text, add_special_tokens=False)["input_ids"][: length - 1]
        text = model.tokenizer.decode(ids)
        while len(model.tokenizer(text)["input_ids"]) > length:
            ids = ids[:-1]
            text = model.tokenizer.decode(ids)
        rows.append({"id": str(n), "text": text if text.strip() else "a"})
    return rows


def ours(case: Case, out: Path) -> np.ndarray:
    """`activations.capture`, from prompts to a finished file."""
    sites = [f"resid_post.{layer}" for layer in case.layers]
    store = activations.capture(
        case.model, case.prompts, sites=sites, out=out, batch_tokens=case.batch_tokens
    )
    return np.stack([store.read(site) for site in sites], 1)


def ours_cut(case: Case) -> Plan:
    """The batches of a capture."""
    return plan([len(ids) for ids in case.ids], batch_tokens=case.batch_tokens, tight=True)


def padded(case: Case) -> dict[str, int]:
    """Tokens with padding, in our batches and in the peers'."""
    lengths = np.array([len(ids) for ids in case.ids])
    cut, size = ours_cut(case), case.peer_rows
    own = [lengths[cut[b]] for b in range(len(cut))]
    theirs = [lengths[first : first + size] for first in range(0, len(lengths), size)]
    return {
        who: int(sum(len(some) * some.max() for some in batches))
        for who, batches in (("ours", own), ("peers", theirs))
    }


def bare(case: Case, clock: Callable[[], float]) -> float:
    """Seconds of the decoder cut behind the deepest layer on our batches; nothing is read or stored."""
    decoder = case.model.anatomy.decoder
    layers, norm = decoder.layers, decoder.norm
    cut = ours_cut(case)
    rows = case.model.template.encode(read_prompts(case.prompts))
    batches = [case.model.collate([rows[n] for n in cut[b]]) for b in range(len(cut))]
    try:
        decoder.layers = layers[: case.deepest + 1]
        decoder.norm = torch.nn.Identity()
        decoder.config.num_hidden_layers = case.deepest + 1
        started = clock()
        with torch.no_grad():
            for batch in batches:
                decoder(
                    input_ids=batch.ids,
                    attention_mask=batch.mask.long(),
                    position_ids=batch.positions,
                    use_cache=False,
                )
        return clock() - started
    finally:
        decoder.layers, decoder.norm = layers, norm
        decoder.config.num_hidden_layers = len(layers)


def peer_batches(case: Case, order: np.ndarray) -> Any:
    """Right-padded batches of a fixed number of rows, in a given order."""
    for first in range(0, len(order), case.peer_rows):
        members = order[first : first + case.peer_rows]
        width = max(len(case.ids[n]) for n in members)
        ids = torch.full((len(members), width), case.model.pad_id)
        mask = torch.zeros((len(members), width), dtype=torch.long)
        for row, n in enumerate(members):
            ids[row, : len(case.ids[n])] = torch.from_numpy(case.ids[n])
            mask[row, : len(case.ids[n])] = 1
        yield members, ids, mask, mask.sum(1) - 1


def peer(case: Case, out: Path, order: np.ndarray, read: Callable[..., list[torch.Tensor]]) -> np.ndarray:
    """Any peer: batch by batch, the last token of each stored layer into one h5py dataset a layer."""
    with h5py.File(out, "w") as file, torch.no_grad():
        made = [
            file.create_dataset(f"layer_{n}", (len(case.ids), case.model.d_model), "f4") for n in case.layers
        ]
        for members, ids, mask, last in peer_batches(case, order):
            for data, value in zip(made, read(ids, mask), strict=True):
                picked = value[torch.arange(len(members)), last].numpy()
                if np.array_equal(members, np.arange(members[0], members[0] + len(members))):  # file order
                    data[members[0] : members[-1] + 1] = picked
                    continue
                for row, n in enumerate(members):
                    data[n] = picked[row]
    with h5py.File(out) as file:
        return np.stack([file[f"layer_{n}"][:] for n in case.layers], 1)


def hugging_face(case: Case) -> Callable[..., list[torch.Tensor]]:
    """`output_hidden_states=True`; the last layer's entry is after the final norm there, so its block is read
    by a hook as users do."""
    inner, last = case.model.inner, case.model.n_layers - 1

    def read(ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        kept: list[torch.Tensor] = []
        hook = (
            case.model.anatomy.layers[last].register_forward_hook(lambda *a: kept.append(a[-1]))
            if last in case.layers
            else None
        )
        states = inner(
            input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False
        ).hidden_states
        if hook is not None:
            hook.remove()
        return [kept[0] if layer == last else states[layer + 1] for layer in case.layers]

    return read


def lens(case: Case) -> Callable[..., list[torch.Tensor]]:
    """`run_with_cache(names_filter, stop_at_layer)` of a TransformerBridge over the same weights."""
    from activations.transformer_lens_backend import TransformerLensBackend

    bridge = TransformerLensBackend().bridge(case.model)
    names = [f"blocks.{layer}.hook_out" for layer in case.layers]
    stop = case.deepest + 1 if case.deepest + 1 < case.model.n_layers else None

    def read(ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        _, cache = bridge.run_with_cache(
            ids, attention_mask=mask, names_filter=names, stop_at_layer=stop, return_cache_object=False
        )
        return [cache[name] for name in names]

    return read


def nnsight(case: Case) -> Callable[..., list[torch.Tensor]]:
    """A trace that saves each block's output and stops after the deepest."""
    from activations.nnsight_backend import NNsight

    wrapped = NNsight(case.model.inner)

    def read(ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        found = []
        with wrapped.trace(input_ids=ids, attention_mask=mask, use_cache=False) as tracer:
            for layer in case.layers:
                found.append(wrapped.model.layers[layer].output.save())
            tracer.stop()
        return found

    return read


def by_length(case: Case) -> np.ndarray:
    """Our order of rows, for the peers that are given it."""
    return np.argsort([-len(ids) for ids in case.ids], kind="stable")


def measure(
    case: Case,
    folder: Path,
    *,
    repeats: int,
    peer_repeats: int,
    with_sorted: bool,
    clock: Callable[[], float],
) -> dict[str, Any]:
    """Medians of every competitor, outputs compared with ours."""
    readers = {"transformer_lens": lens(case), "nnsight": nnsight(case), "hugging_face": hugging_face(case)}
    runs: dict[str, Callable[[Case, Path], Any]] = {"bare": lambda case, _: bare(case, clock), "ours": ours}
    for name, read in readers.items():
        runs[name] = lambda case, out, read=read: peer(case, out, np.arange(len(case.ids)), read)
    if with_sorted:
        for name, read in readers.items():
            runs[f"{name}, sorted"] = lambda case, out, read=read: peer(case, out, by_length(case), read)
    small = replace(case, prompts=case.prompts[:8], ids=case.ids[:8])
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    expected = np.zeros(0)
    differences: dict[str, float] = {}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            if turn > (1 if "sorted" in name else peer_repeats) and name not in ("bare", "ours"):
                continue  # no bar holds of sorted ones: once is enough
            out = folder / "run.h5"
            out.unlink(missing_ok=True)
            started = clock()
            values = run(case if turn else small, out)
            spent = values if name == "bare" else clock() - started
            if name == "ours":
                expected = values
            elif name != "bare":
                differences[name] = float(np.abs(values - expected).max() / np.abs(expected).max())
                assert differences[name] < 1e-4, f"{name} differs from ours by {differences[name]}"
            if turn:
                seconds[name].append(spent)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "tokens": case.tokens,
        "padded": padded(case),
        "seconds": middle,
        "spread": {name: [min(values), max(values)] for name, values in seconds.items()},
        "share_of_bare": middle["bare"] / middle["ours"],
        "times_faster_than": {
            name: middle[name] / middle["ours"] for name in middle if name not in ("bare", "ours")
        },
        "largest_relative_difference": differences,
    }


def claims(name: str, depth: str, found: dict[str, Any], *, alone: bool) -> list[Line]:
    """What one case says of each claim; no bar holds on the embedded model, or in our order of rows."""
    half, small = depth == "half depth", name == "embedded"
    bars = {"transformer_lens": 2.0, "nnsight": 3.0 if half else 2.0, "hugging_face": 4.0 if half else 2.0}
    where = "one site at half depth" if half else "all blocks"
    seconds, wide, gaps = found["seconds"], found["padded"], found["largest_relative_difference"]
    tokens = f"{found['tokens']} tokens, ours padded to {wide['ours']}, peers' to {wide['peers']}"
    made = [
        Line(
            topic="capture",
            claim=f"{where}: share of the bare truncated forward pass",
            model=lines.MODELS.get(name, name),
            ratio=found["share_of_bare"],
            compared="the same sorted batches, nothing read or stored",
            ours=seconds["ours"],
            peer=seconds["bare"],
            bar=None if small else 0.95 if alone else 0.90,
            note=tokens,
        )
    ]
    for who, ratio in found["times_faster_than"].items():
        tool, _, ordered = who.partition(", ")
        order = "our order" if ordered else "file order"
        made.append(
            Line(
                topic="capture",
                claim=f"{where}: against {PEERS[tool]} with h5py, in {order}",
                model=lines.MODELS.get(name, name),
                ratio=ratio,
                compared=f"values within {gaps[who]:.0e} of the largest",
                ours=seconds["ours"],
                peer=seconds[who],
                bar=None if small or ordered else bars[tool],
                note=tokens,
            )
        )
    return made


def main() -> int:
    """Run, print the table, write JSON; exit code 1 where a bar is missed on the 12-layer model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few prompts, one repeat: does it run?")
    parser.add_argument(
        "--embedded", default="embedded", help="the embedded model's name or folder; 'none' to leave it out"
    )
    parser.add_argument("--threads", type=int, default=None, help="torch threads; all cores by default")
    parser.add_argument("--prompts", type=int, default=160)
    parser.add_argument("--model", default=None, help="this model alone, by name or folder, all layers")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-repeats", type=int, default=None, help="as --repeats by default")
    parser.add_argument("--no-sorted", action="store_true", help="leave out peers in our order of rows")
    parser.add_argument(
        "--clock",
        choices=list(CLOCKS),
        default="wall",
        help="cpu counts our own time only, on a busy machine",
    )
    parser.add_argument("--out", type=Path, default=None)
    lines.options(parser)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    count, repeats = (16, 1) if options.quick else (options.prompts, options.repeats)
    made: list[Line] = []
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        if options.model:
            models = {options.model: activations.load(options.model, device="cpu")}
        else:
            twelve = random_llama(folder / "twelve", vocabulary=32_000, heads=(8, 4), **TWELVE)
            models = {f"random Llama, 12 blocks x 512, {count} prompts": twelve}
            if options.embedded != "none":
                models["embedded"] = activations.load(options.embedded)
        for name, model in models.items():
            rows = prompts(model, count, seed=0, longest=min(512, model.context_length))
            ids = [row.ids for row in model.rows(rows)]
            peer_rows = max(1, round(len(ids) / len(plan([len(i) for i in ids], batch_tokens=BATCH_TOKENS))))
            depths = {"all layers": list(range(model.n_layers)), "half depth": [model.n_layers // 2 - 1]}
            if options.model:
                del depths["half depth"]
            for depth, layers in depths.items():
                case = Case(model, rows, ids, layers, BATCH_TOKENS, peer_rows)
                found = measure(
                    case,
                    folder,
                    repeats=repeats,
                    peer_repeats=options.peer_repeats or repeats,
                    with_sorted=not (options.quick or options.no_sorted),
                    clock=CLOCKS[options.clock],
                )
                results[f"{name}, {depth}"] = found
                made += claims(name, depth, found, alone=bool(options.model))
                for who, spent in found["seconds"].items():
                    low, high = found["spread"][who]
                    speed = found["tokens"] / spent
                    print(f"  {who:26s} {speed:9.0f} tokens/s  {spent:7.2f} s [{low:.2f}, {high:.2f}]")
    if options.out:
        options.out.write_text(json.dumps(results, indent=2))
    lines.write(made, options.record, clock="processor" if options.clock == "cpu" else "wall")
    return 1 if any(line.judged == "missed" for line in made) and not options.quick else 0


if __name__ == "__main__":
    sys.exit(main())
