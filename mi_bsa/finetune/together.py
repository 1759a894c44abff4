"""Many finetunes of one base at once: the adapters stand side by side along a seed axis.

The law: each run's loss curve is the one that it would have had alone (to 1e-4 where products are float32),
because nothing is shared but the frozen base. A step goes through several runs' rows at once (`stacked`);
losses, gradient norms and clipping are kept apart by run. What is saved is process starts, small operations,
tokens that rows of a run begin with alike, the vocabulary at tokens that carry no loss, blocks below the
lowest adapted one, and where the processor multiplies bfloat16 (`compute`) half of every product.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.core import record
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.files import digest, stable_hash, write_json
from mi_bsa.core.finetuned import RESULT, Curve, FinetuneResult, read_result, write_result
from mi_bsa.core.model_config import ModelLike
from mi_bsa.core.rows import Encoded, TrainingRow, encode_rows, read_rows, row_order, rows_hash
from mi_bsa.finetune import trackers
from mi_bsa.finetune.adapters import WEIGHTS, put_adapter, started, take_weights, tidy, weights_of
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.plan import longest_row
from mi_bsa.finetune.train import base_of, check_identity, one_device

if TYPE_CHECKING:
    import torch

    import activations

PREFIX = "base_model.model."
"""What PEFT writes before a module's path."""

Job = tuple[str | Path | Sequence[TrainingRow], FinetuneConfig]


def finetune_together(
    base: ModelLike | activations.Model,
    jobs: Mapping[str, Job],
    *,
    out: str | Path,
    resume: bool = False,
    starts: Mapping[str, Path] | None = None,
) -> dict[str, FinetuneResult]:
    """Train one adapter a job (name -> rows and config), all at once, each into `out/<name>` as `finetune`
    would.

    The configs may differ in nothing but their seed, and all must take the same number of steps; dropout,
    early stop and accumulation are for runs on their own. `resume`: finished jobs are kept, the others go on
    from their last common state, to the same result. `starts`: by job, an adapter folder from whose weights
    its training goes on. Raises what `finetune` raises, and `ConfigError` for jobs that cannot stand side by
    side.
    """
    from activations import devices
    from activations.anatomy import context_length
    from mi_bsa.finetune.compute import dtype_of

    out = Path(out)
    if not jobs:
        raise ConfigError("no jobs to train; give at least one name -> (rows, config)")
    config = _common([config for _, config in jobs.values()])
    trackers.check(config.report_to)
    with warnings.catch_warnings():  # products are made in `compute`, whatever the base is loaded in
        warnings.simplefilter("ignore", devices.DeviceWarning)
        model, template, name, fingerprint = base_of(base, config)
    model = model.to(devices.parse(config.device)).requires_grad_(False).eval()
    compute = dtype_of(config, model)
    limit = longest_row(config, context_length(model.config))
    done: dict[str, FinetuneResult] = {}
    waiting: dict[str, tuple[list[Encoded], FinetuneConfig]] = {}
    runs: dict[str, record.RunFolder] = {}
    known: dict[str, Encoded] = {}  # arms of one seed share the rows that say what stays
    try:
        for job, (rows, own) in jobs.items():
            given = read_rows(rows)
            start = (starts or {}).get(job)
            revisions = {"base": fingerprint, "rows": rows_hash(given), **started(start)}
            identity = stable_hash({"config": own.keyed(), **revisions})
            folder = out / job
            if resume:
                check_identity(folder, identity)
                if (folder / RESULT).is_file():
                    done[job] = read_result(folder)
                    continue
            waiting[job] = (encode_rows(template, given, max_length=limit, turns=own.turns, known=known), own)
            noted = {**revisions, "products": str(compute).removeprefix("torch.")}
            runs[job] = record.start(folder, config=own, resume=resume, seeds=[own.seed], revisions=noted)
            write_json(folder / "identity.json", identity)
        if waiting:
            with one_device(config, model):
                done |= _train(model, waiting, out, name=name, starts=starts or {}, compute=compute)
    finally:
        for run in runs.values():
            run.release()
    return {job: done[job] for job in jobs}


def _common(configs: Sequence[FinetuneConfig]) -> FinetuneConfig:
    first = configs[0]
    for other in configs[1:]:
        if other.model_copy(update={"seed": first.seed}) != first:
            raise ConfigError(
                "jobs trained together may differ in their seed only; train the others on their own"
            )
    if first.alone_because is not None:
        raise ConfigError(first.alone_because)
    return first


def _train(
    model: Any,
    jobs: Mapping[str, tuple[list[Encoded], FinetuneConfig]],
    out: Path,
    *,
    name: str,
    starts: Mapping[str, Path],
    compute: torch.dtype,
) -> dict[str, FinetuneResult]:
    import torch
    from transformers import get_scheduler

    from activations import bases
    from mi_bsa.finetune.packed import Table
    from mi_bsa.finetune.stacked import Stacked
    from mi_bsa.finetune.states import States
    from mi_bsa.finetune.watch import Watch

    own_base = bases.record(model, name)
    config = next(iter(jobs.values()))[1]
    totals = {config.total_steps(len(rows)) for rows, _ in jobs.values()}
    if len(totals) > 1:
        raise ConfigError(
            f"jobs take {sorted(totals)} steps; jobs trained together take equally many: set finetune.steps"
        )
    steps = totals.pop()
    adapters, model = first_weights(model, {job: own for job, (_, own) in jobs.items()}, starts)
    stacked = Stacked(model, adapters, _scaling(config), dtype=compute)
    carrier = _shell(model, config)
    orders = [row_order(len(rows), steps * config.batch_size, seed=own.seed) for rows, own in jobs.values()]
    tables = [Table.of(rows) for rows, _ in jobs.values()]
    lengths = [np.array([len(row.ids) for row in rows]) for rows, _ in jobs.values()]
    weights = list(stacked.weights.values())
    optimizer = torch.optim.AdamW(
        weights, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    states = States([out / job for job in jobs], stacked.weights)
    taken = states.load(optimizer)
    schedule = get_scheduler(
        config.scheduler, optimizer, num_warmup_steps=round(config.warmup * steps), num_training_steps=steps
    )
    if not taken:
        for folder in (out / job for job in jobs):
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    curves = [Curve(out / job / "metrics.jsonl", keep=taken) for job in jobs]
    kept = set(config.kept_steps(steps))
    left = [order[taken * config.batch_size :] for order in orders]
    stacked.keep(tables, left, out)
    with warnings.catch_warnings(), Watch(f"training {', '.join(jobs)}", steps, done=taken) as watch:
        # torch cannot know that the steps before were taken by another process
        warnings.filterwarnings("ignore", message=r".*lr_scheduler\.step\(\).* before .*optimizer\.step")
        for _ in range(taken):
            schedule.step()
        for step in range(taken, steps):
            chosen = [order[step * config.batch_size : (step + 1) * config.batch_size] for order in orders]
            losses = stacked.backward(tables, chosen)
            norms = _clip(weights, config.clip)
            rate = optimizer.param_groups[0]["lr"]
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=False)
            for curve, loss, norm in zip(curves, losses.tolist(), norms, strict=True):
                if not np.isfinite(loss):
                    raise ConfigError(
                        f"step {step + 1}: a run's loss is {loss}; lower finetune.learning_rate"
                    )
                curve.add(step + 1, {"loss": loss, "grad_norm": norm, "learning_rate": rate})
            if step + 1 in kept:
                for k, job in enumerate(jobs):
                    _save(
                        carrier, stacked.of(k), out / job / "checkpoints" / f"step-{step + 1:06d}", name=name
                    )
            if (step + 1) % config.resume_every == 0 and step + 1 < steps:
                states.save(step + 1, optimizer, curves)
            tokens = sum(int(own[rows].sum()) for own, rows in zip(lengths, chosen, strict=True))
            watch.step(float(losses.mean()), tokens)
    done = {}
    for k, (job, (encoded, _)) in enumerate(jobs.items()):
        folder = _save(carrier, stacked.of(k), out / job / "adapter", name=name)
        done[job] = FinetuneResult(
            out=out / job,
            adapter=folder,
            checkpoints={s: out / job / "checkpoints" / f"step-{s:06d}" for s in sorted(kept)},
            steps=steps,
            early=False,
            loss=float(np.mean(curves[k].losses[-10:])),
            n_rows=len(encoded),
            n_trained_tokens=sum(sum(row.trained) for row in encoded),
            n_parameters=sum(w[k].numel() for w in weights),
            fingerprint=digest(folder / WEIGHTS),
            base=own_base,
        )
        write_result(done[job])
    states.clear()
    for k, job in enumerate(jobs):
        trackers.send(curves[k], config, out / job)
    return done


def _clip(parameters: Sequence[torch.Tensor], limit: float) -> list[float]:
    """Clip each run's gradient to its own norm, as `clip_grad_norm_` does for one run; returns the norms
    before.
    """
    import torch

    grads = [p.grad for p in parameters if p.grad is not None]
    norms = torch.stack([grad.flatten(1).norm(dim=1) for grad in grads]).norm(dim=0)
    if limit > 0:
        factor = (limit / (norms + 1e-6)).clamp(max=1.0)
        for grad in grads:
            grad.mul_(factor.view(-1, *(1,) * (grad.ndim - 1)))
    found: list[float] = norms.tolist()
    return found


def first_weights(
    model: Any, configs: Mapping[str, FinetuneConfig], starts: Mapping[str, Path]
) -> tuple[list[dict[str, torch.Tensor]], Any]:
    """Every run's first weights, drawn as `finetune` draws them or taken from where it goes on, and the
    model, as it was.
    """
    found = []
    for job, config in configs.items():
        wrapped = put_adapter(model, config)
        if job in starts:
            take_weights(wrapped, starts[job])
        found.append(
            {key.removeprefix(PREFIX): value.detach().clone() for key, value in weights_of(wrapped).items()}
        )
        model = wrapped.unload()
    return found, model


def _shell(model: Any, config: FinetuneConfig) -> Any:
    """A PEFT model without memory, to save adapters with."""
    import torch

    with torch.device("meta"):
        return put_adapter(type(model)(model.config), config)


def _scaling(config: FinetuneConfig) -> float:
    return float(config.alpha / (config.rank**0.5 if config.rslora else config.rank))


def _save(carrier: Any, weights: Mapping[str, torch.Tensor], folder: Path, *, name: str) -> Path:
    state = {PREFIX + key: value.cpu() for key, value in weights.items()}
    carrier.save_pretrained(str(folder), state_dict=state, save_embedding_layers=False)
    return tidy(folder, name=name)
