"""Pretraining of the embedded Llama: small packed batches, many steps, answers weighted above questions.

Law: a seed at a fixed number of threads gives the same weights, also when the run was killed and resumed.
What was measured (docs/embedded-model.md): the circuit from persona to answer appears in a phase change
that wants many small steps, and comes much sooner when described personas are read first.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from mi_bsa.worlds import worlds
from mi_bsa.worlds.corpus import ASSISTANT, BOS, END, PAD
from mi_bsa.worlds.recipe import Recipe, Shape
from mi_bsa.worlds.tokenizer import SPECIAL, build_tokenizer
from mi_bsa.worlds.worlds import Documents

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

CHECKPOINT_EVERY = 500
EMBEDDINGS = "model.embed_tokens.weight"
BYTES = 256
"""Tokens of the tokenizer behind the special ones and before the words."""


@dataclass(frozen=True)
class Batch:
    """Packed rows.

    `ids`, `positions` (restart with each document), `weights` (of the loss): (row, pos); `bias`: (row, 1,
    pos, pos), 0 where a token may look and -1e9 elsewhere.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    bias: torch.Tensor
    weights: torch.Tensor


def raise_malloc_thresholds() -> None:
    """Keep small tensors on the heap (glibc): page faults otherwise dominate training of so small a model."""
    with contextlib.suppress(OSError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 1 << 30)
        libc.mallopt(-1, 1 << 30)


def pack(
    corpus: Documents, tokenizer: PreTrainedTokenizerFast, recipe: Recipe
) -> Iterator[list[list[list[int]]]]:
    """Batches of documents as token ids: [row][document][token]. A document never crosses a row."""
    stream = iter(corpus)
    pool: list[list[int]] = []
    while True:
        if len(pool) < 400:
            texts = list(itertools.islice(stream, 2000))
            encodings = tokenizer.backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            pool += [e.ids for e in encodings if len(e.ids) <= recipe.row]
        rows = []
        for _ in range(recipe.rows):
            row: list[list[int]] = []
            filled, misses = 0, 0
            while misses < 12:
                if filled + len(pool[-1]) > recipe.row:
                    pool.insert(0, pool.pop())
                    misses += 1
                    continue
                row.append(pool.pop())
                filled += len(row[-1])
            rows.append(row)
        yield rows


def to_batch(rows: list[list[list[int]]], tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> Batch:
    """Documents as tensors: no document sees its neighbors, answers (up to their end token) weigh 1."""
    vocabulary_ids = tokenizer.get_vocab()
    bos, assistant, end, pad = (vocabulary_ids[t] for t in (BOS, ASSISTANT, END, PAD))
    shape = (len(rows), recipe.row)
    ids = np.full(shape, pad, dtype=np.int64)
    document = np.full(shape, -1, dtype=np.int64)
    for r, row in enumerate(rows):
        at = 0
        for n, tokens in enumerate(row):
            ids[r, at : at + len(tokens)] = tokens
            document[r, at : at + len(tokens)] = n
            at += len(tokens)
    columns = np.arange(recipe.row)
    starts = ids == bos
    positions = columns - np.maximum.accumulate(np.where(starts, columns, 0), axis=1)
    is_answer = np.zeros(shape, dtype=bool)
    opened = np.zeros(len(rows), dtype=bool)
    for c in range(recipe.row):
        is_answer[:, c] = opened
        opened = np.where(ids[:, c] == assistant, True, np.where(ids[:, c] == end, False, opened))
    weights = np.where(is_answer, 1.0, recipe.other_weight) * (document >= 0) * ~starts
    visible = (document[:, :, None] == document[:, None, :]) & (columns[:, None] >= columns[None, :])
    bias = np.where(visible, 0.0, -1e9).astype(np.float32)[:, None]
    return Batch(*(torch.from_numpy(x) for x in (ids, positions, bias, weights.astype(np.float32))))


def build_model(shape: Shape, tokenizer: PreTrainedTokenizerFast, *, seed: int) -> LlamaForCausalLM:
    """A fresh `LlamaForCausalLM` with tied embeddings, float32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.width,
            intermediate_size=shape.mlp,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            max_position_embeddings=shape.context,
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
            initializer_range=shape.init_std,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def take_over(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, start: str, *, seed: int) -> None:
    """Put the weights of another embedded model into a fresh one. Embeddings go by word; those of words that
    it does not know are drawn, as spread as those of the words that it does.

    Raises:
        WorldError: a model of another shape, or none that is here.
    """
    from safetensors.torch import load_file

    from mi_bsa.core.errors import WorldError
    from mi_bsa.core.model_config import tokenizer_of
    from mi_bsa.worlds.weights import folder_of

    given = load_file(folder_of(start) / "model.safetensors")
    before, now = tokenizer_of(start).get_vocab(), tokenizer.get_vocab()
    known = [(before[word], own) for word, own in now.items() if word in before]
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name not in given or (name != EMBEDDINGS and given[name].shape != weight.shape):
                raise WorldError(
                    f"recipe.start {start!r} has another shape than this model ({name}); give a model of the "
                    "same shape, or start from nothing"
                )
            if name != EMBEDDINGS:
                weight.copy_(given[name])
                continue
            words = given[name][[old for old, _ in known if old > len(SPECIAL) + BYTES]]
            drawn = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
            weight.copy_(drawn * words.std())
            weight[[own for _, own in known]] = given[name][[old for old, _ in known]]


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warmup, constant, linear decay to 3 %; the same again after every restart."""
    edges = (0, *sorted(recipe.restarts), recipe.steps)
    start, end = next((a, b) for a, b in itertools.pairwise(edges) if step < b)
    done = (step - start) / (end - start)
    tail = 1.0 if done < recipe.decay_from else max(0.03, (1 - done) / (1 - recipe.decay_from))
    return recipe.lr * min(1.0, (step - start + 1) / recipe.warmup) * tail


def loss_of(model: LlamaForCausalLM, batch: Batch) -> tuple[torch.Tensor, float]:
    """Weighted next-token loss (nats), and the plain mean over answer tokens."""
    logits = model(
        input_ids=batch.ids, position_ids=batch.positions, attention_mask=batch.bias, use_cache=False
    ).logits[:, :-1]
    losses = F.cross_entropy(logits.flatten(0, 1), batch.ids[:, 1:].flatten(), reduction="none")
    weights = batch.weights[:, 1:].flatten()
    loss = (losses * weights).sum() / weights.sum()
    return loss, float(losses.detach()[weights == 1.0].mean())


def pretrain(
    shape: Shape,
    recipe: Recipe,
    *,
    seed: int,
    each: Callable[[int, float, LlamaForCausalLM], None] | None = None,
    checkpoints: Path | None = None,
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Train one base. `each(step, answer_loss, model)` is called after every step.

    `checkpoints`: a folder for the state to resume from; a run that finds one there goes on from it.
    """
    raise_malloc_thresholds()
    kind = worlds.kind(recipe.world)
    world = kind.make(recipe)
    tokenizer = build_tokenizer(kind.vocabulary(world), context=shape.context)
    model = build_model(shape, tokenizer, seed=seed).train()
    if recipe.start is not None:
        take_over(model, tokenizer, recipe.start, seed=seed)
    corpus = kind.corpus(world, recipe.mixture(0), seed=random.Random(seed).getrandbits(32))
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=recipe.lr,
        betas=recipe.betas,
        fused=True,
    )
    done = _restore(checkpoints, model, optimizer) if checkpoints is not None else 0
    batches = pack(corpus, tokenizer, recipe)
    for step in range(recipe.steps):
        # The stream is drawn also for steps that a resumed run skips: it is what makes both runs one.
        corpus.mixture = recipe.mixture(step)
        rows = next(batches)
        if step < done:
            continue
        if step in recipe.restarts:
            optimizer.state.clear()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        loss, answer_loss = loss_of(model, to_batch(rows, tokenizer, recipe))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        if checkpoints is not None and (step + 1) % CHECKPOINT_EVERY == 0:
            _keep(checkpoints, model, optimizer, step + 1)
        if each is not None:
            each(step + 1, answer_loss, model)
    return model.eval(), tokenizer


def _keep(folder: Path, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, step: int) -> None:
    from safetensors.torch import save_file

    tensors = {}
    for name, parameter in model.named_parameters():
        tensors[f"model.{name}"] = parameter.detach()
        tensors |= {f"optimizer.{name}.{key}": value for key, value in optimizer.state[parameter].items()}
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "state.partial"
    save_file(tensors, partial, metadata={"step": json.dumps(step)})
    os.replace(partial, folder / "state.safetensors")


def _restore(folder: Path, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer) -> int:
    """Load the kept state in place; the number of steps it has behind it (0 where there is none)."""
    from safetensors import safe_open

    path = folder / "state.safetensors"
    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as kept, torch.no_grad():
        names = list(kept.keys())
        for name, parameter in model.named_parameters():
            parameter.copy_(kept.get_tensor(f"model.{name}"))
            prefix = f"optimizer.{name}."
            optimizer.state[parameter] = {
                n.removeprefix(prefix): kept.get_tensor(n) for n in names if n.startswith(prefix)
            }
        return int(json.loads(kept.metadata()["step"]))
