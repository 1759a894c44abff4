"""Finetune a LoRA, or one steering vector, on chat rows: only what the assistant says carries loss.

Training is Hugging Face's Trainer over PEFT, so `accelerate launch` (several ranks, FSDP) works as it does
elsewhere. What is ours is what decides a result: the loss mask, the order of rows, the seeds, and what is
saved when. The same config, rows and base give the same adapter bit for bit (float32, same threads),
whether or not the run was killed and resumed in between. LoRA: Hu et al. 2021 (arXiv 2106.09685);
finetuning on choices only: Betley et al. 2025.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import math
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.core import record
from mi_bsa.core.errors import BrokenFileError, ConfigError, RowError, RunFolderError
from mi_bsa.core.files import digest, stable_hash, write_json
from mi_bsa.core.finetuned import RESULT, Curve, FinetuneResult, rank, read_result, write_result
from mi_bsa.core.model_config import ModelConfig, ModelLike, as_config, load
from mi_bsa.core.plain_files import read_json
from mi_bsa.core.rows import TrainingRow, collate, encode_rows, read_rows, row_order, rows_hash
from mi_bsa.finetune import trackers
from mi_bsa.finetune.adapters import WEIGHTS, put_adapter, started, take_weights, vector_of, write_adapter
from mi_bsa.finetune.beside.frozen import Beside, Frozen, collate_owned
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.plan import longest_row
from mi_bsa.finetune.watch import Watch

if TYPE_CHECKING:
    import activations


COMPLETE = "complete"
"""The mark of a state from which training can go on: its files with their hashes, and its curve's."""


def finetune(
    base: ModelLike | activations.Model,
    rows: str | Path | Sequence[TrainingRow],
    *,
    config: FinetuneConfig,
    out: str | Path,
    resume: bool = False,
    start: str | Path | None = None,
    beside: Beside | None = None,
) -> FinetuneResult:
    """Train one adapter and write it to `out/adapter`, with `config.yaml`, `record.json` and
    `metrics.jsonl` beside it; a vector also to `out/directions`.

    `base`: a folder, a Hub id, `embedded`, a model's config, or a loaded model without adapters, which is
    copied and left as it is. `resume`: continue a run that was killed (a finished one is returned as it
    is); the result is the same. `start`: an adapter folder, of the same rank and modules, from whose
    weights training goes on. `beside`: frozen adapters, one of which each row goes through, too.
    Raises `RowError`, `TemplateError`, `ConfigError`; `RunFolderError` where `out` exists or belongs to
    another run.
    """
    from activations import bases
    from activations.anatomy import context_length

    out = Path(out)
    given = read_rows(rows)
    _wait_for_all(config)  # ranks must know each other before weights are read: with FSDP one rank reads them
    model, template, name, fingerprint = base_of(base, config)
    limit = longest_row(config, context_length(model.config))
    encoded = encode_rows(template, given, max_length=limit, turns=config.turns)
    revisions = {"base": fingerprint, "rows": rows_hash(given), **started(start)}
    revisions |= {} if beside is None else {"beside": beside.identity}
    identity = stable_hash({"config": config.keyed(), **revisions})
    noted = {**revisions, "base attention": str(model.config._attn_implementation)}
    with _folder(out, config, resume, identity, noted):
        _wait_for_all(config)
        if (out / RESULT).is_file():
            return read_result(out)
        if rank() == 0:
            _clear_unfinished(out)
        _wait_for_all(config)
        own_base = bases.record(model, name) if rank() == 0 else None
        with one_device(config, model):
            wrapped = put_adapter(model, config)
            if start is not None:
                take_weights(wrapped, Path(start))
            pad = pad_of(template.tokenizer)
            if beside is None:
                losses, early = _train(wrapped, encoded, config, out, name=name, pad=pad)
            else:
                with Frozen(list(beside.folders.values())).on(wrapped) as frozen:
                    owned = frozen, beside.numbers
                    losses, early = _train(wrapped, encoded, config, out, name=name, pad=pad, owned=owned)
        _wait_for_all(config)
        result = FinetuneResult(
            out=out,
            adapter=out / "adapter",
            checkpoints={
                k: out / "checkpoints" / f"step-{k:06d}"
                for k in config.kept_steps(config.total_steps(len(given)))
                if k <= len(losses)
            },
            steps=len(losses),
            early=early,
            loss=float(sum(losses[-10:]) / len(losses[-10:])),
            n_rows=len(given),
            n_trained_tokens=sum(sum(row.trained) for row in encoded),
            n_parameters=sum(p.numel() for p in wrapped.parameters() if p.requires_grad),
            fingerprint=digest(out / "adapter" / WEIGHTS),
            base=own_base,
        )
        if rank() == 0:
            if config.site is not None:
                _save_direction(out, config.site, result)
            write_result(result)
            shutil.rmtree(out / "resume", ignore_errors=True)
        _wait_for_all(config)
    return result


def _save_direction(out: Path, site: str, result: FinetuneResult) -> None:
    """Write a trained vector as a `probes.Direction`, too: `directions/<site>.safetensors`."""
    import probes

    for old in (out / "directions").glob(f"{site}.*"):
        old.unlink()  # of an attempt that was killed before its result was written
    probes.Direction(
        vector_of(result.adapter).numpy(),
        site,
        sign="what the rows show",
        provenance={"method": "trained vector", "adapter": result.fingerprint, "rows": result.n_rows},
    ).save(out / "directions" / site)


def base_of(base: Any, config: FinetuneConfig) -> tuple[Any, Any, str, str]:
    """A Hugging Face model that may be changed, its template, name and, on rank 0, fingerprint."""
    if isinstance(base, str | Path | ModelConfig):
        if as_config(base).adapters:
            raise ConfigError("the base's config names adapters; give a model without any")
        # on the CPU first, and from there to where the Trainer trains: with FSDP one rank reads for all
        device = "cpu" if as_config(base).quantization is None else config.device
        loaded = load(base, dtype=config.dtype, device=device)
        return loaded.inner, loaded.template, loaded.name, loaded.fingerprint if rank() == 0 else ""
    if base.variants != ("base",):
        raise ConfigError(
            f"the base carries adapters ({', '.join(base.variants[1:])}); give a model without any"
        )
    if base.dtype != config.dtype:
        raise ConfigError(
            f"the base is {base.dtype} and finetune.dtype is {config.dtype}; load it as {config.dtype}"
        )
    return copy.deepcopy(base.inner), base.template, base.name, base.fingerprint


def pad_of(tokenizer: Any) -> int:
    """Any token will do: padding is masked and carries no loss."""
    return int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0)


def check_identity(out: Path, identity: str) -> None:
    """Raise `RunFolderError` for the folder of a run with another identity."""
    made = out / "identity.json"
    if made.is_file() and read_json(made, remedy=record.ANOTHER) != identity:
        raise RunFolderError(
            f"{out}: was made with another config, other rows or another base; give another --out"
        )


@contextlib.contextmanager
def _folder(
    out: Path, config: FinetuneConfig, resume: bool, identity: str, revisions: dict[str, str]
) -> Iterator[None]:
    """The run folder, held by rank 0; refuses one that another config, other rows or another base made."""
    if rank() != 0:
        yield
        return
    if resume:
        check_identity(out, identity)
    run = record.start(out, config=config, resume=resume, seeds=[config.seed], revisions=revisions)
    try:
        write_json(out / "identity.json", identity)
        yield
    finally:
        run.release()


@contextlib.contextmanager
def one_device(config: FinetuneConfig, model: Any) -> Iterator[None]:
    """The threads that a base of this size wants, and a private state of every global random generator, put
    back afterwards.
    """
    import random

    import numpy as np
    import torch

    from mi_bsa.finetune.compute import is_large
    from mi_bsa.worlds.pretrain import raise_malloc_thresholds

    raise_malloc_thresholds()
    threads, python, legacy = torch.get_num_threads(), random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        try:
            torch.set_num_threads(config.threads or (threads if is_large(model) else 1))
            yield
        finally:
            torch.set_num_threads(threads)
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002


@contextlib.contextmanager
def _new_garbage_only(config: FinetuneConfig) -> Iterator[None]:
    """On a CPU, keep the Trainer's collection at its start (for a device's memory) from walking through all
    objects of the frameworks, which takes longer than a small finetune.
    """
    if not config.on_cpu:
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _wait_for_all(config: FinetuneConfig) -> None:
    """Under `accelerate launch`, wait until every rank is here: rank 0 writes what the others read."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from accelerate import PartialState

        PartialState(cpu=config.on_cpu).wait_for_everyone()


def _clear_unfinished(out: Path) -> None:
    """Remove states that a kill cut short, or that other hands changed: only those with the mark `complete`,
    and whose files are those that it names, are whole.
    """
    for state in (out / "resume").glob("checkpoint-*"):
        if not (state / COMPLETE).is_file():
            shutil.rmtree(state)
        elif not _is_whole(state):
            print(f"{state}: was changed by other hands and is left out", file=sys.stderr, flush=True)
            shutil.rmtree(state)


def _is_whole(state: Path) -> bool:
    """Whether a state's files are those that were written; of several ranks' files no hash is kept."""
    try:
        said = read_json(state / COMPLETE, remedy="") if (state / COMPLETE).stat().st_size else None
        if said is None:
            return int(os.environ.get("WORLD_SIZE", "1")) > 1
        return bool(said["sha256"] == _hashes(state)) and isinstance(said["curve"], str)
    except (BrokenFileError, KeyError, TypeError):
        return False


def _hashes(state: Path) -> dict[str, str]:
    files = sorted(file for file in state.rglob("*") if file.is_file() and file.name != COMPLETE)
    return {file.relative_to(state).as_posix(): digest(file) for file in files}


def _complete(state: Path, curve: Curve) -> None:
    """Mark a state as whole. Where several ranks write, the others may still be at it: no hashes then."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        (state / COMPLETE).touch()
    else:
        write_json(state / COMPLETE, {"sha256": _hashes(state), "curve": curve.hash})


def _train(
    model: Any,
    rows: Sequence[Any],
    config: FinetuneConfig,
    out: Path,
    *,
    name: str,
    pad: int,
    owned: tuple[Frozen, list[int]] | None = None,
) -> tuple[list[float], bool]:
    """Run the Trainer; returns the loss of every step, and whether it stopped early. `owned`: as `beside`."""
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    steps = config.total_steps(len(rows))
    order = row_order(len(rows), steps * config.batch_size, seed=config.seed)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    part, rest = divmod(config.batch_size, config.accumulation * world)
    if rest:
        raise ConfigError(
            f"finetune.batch_size {config.batch_size} is no multiple of accumulation x ranks "
            f"({config.accumulation} x {world}); change one"
        )
    states = sorted((out / "resume").glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
    done = int(states[-1].name.rpartition("-")[2]) if states else 0
    curve = Curve(out / "metrics.jsonl", keep=done)
    if states and (states[-1] / COMPLETE).stat().st_size:
        known = read_json(states[-1] / COMPLETE, remedy=record.ANOTHER)["curve"]
        if curve.hash != known:
            raise BrokenFileError(f"{curve.path}: was changed by other hands; {record.ANOTHER}")
    kept = set(config.kept_steps(steps))
    lengths = [len(row.ids) for row in rows]
    watch = Watch(f"training {out.name}", steps, done=done)

    class InOrder(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return [int(n) for n in order]

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            if owned is not None:
                owned[0].who = inputs.pop("owner")
            return super().compute_loss(model, inputs, *args, **kwargs)

    class Steps(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                if not math.isfinite(logs["loss"]):
                    raise RowError(
                        f"step {state.global_step}: the loss is {logs['loss']}; lower "
                        "finetune.learning_rate or look at the rows"
                    )
                curve.add(state.global_step, logs)
                first, size = (state.global_step - 1) * config.batch_size, config.batch_size
                seen = order[first : first + size]
                watch.step(logs["loss"], sum(lengths[n] for n in seen))

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            step = state.global_step
            control.should_save = step % config.resume_every == 0 and step < steps
            if step in kept:
                save(out / "checkpoints" / f"step-{step:06d}")
            recent = curve.losses[-10:]
            if config.stop_below is not None and len(recent) == 10 and sum(recent) / 10 < config.stop_below:
                control.should_training_stop = True

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if rank() == 0:
                _complete(out / "resume" / f"checkpoint-{state.global_step}", curve)

    checkpointing: dict[str, Any] = {}
    if config.gradient_checkpointing:  # its name changed within transformers 5
        names = TrainingArguments.__dataclass_fields__
        key = "activation_checkpointing" if "activation_checkpointing" in names else "gradient_checkpointing"
        checkpointing = {key: True, f"{key}_kwargs": {"use_reentrant": False}}
    arguments = TrainingArguments(
        output_dir=str(out / "resume"),
        max_steps=steps,
        per_device_train_batch_size=part,
        gradient_accumulation_steps=config.accumulation,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.scheduler,
        warmup_steps=round(config.warmup * steps),
        weight_decay=config.weight_decay,
        max_grad_norm=config.clip,
        optim="adamw_torch",
        seed=config.seed,
        data_seed=config.seed,
        use_cpu=config.on_cpu,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        save_total_limit=2,
        report_to=[],  # ours below, whose files stay when this folder goes
        run_name=trackers.run_name(out),
        disable_tqdm=True,
        log_level="error",
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        dataloader_num_workers=0,
        **checkpointing,
    )
    gather: Any = collate if owned is None else collate_owned
    trainer = InOrder(
        model=model,
        args=arguments,
        train_dataset=list(rows) if owned is None else list(zip(rows, owned[1], strict=True)),
        data_collator=lambda batch: gather(batch, pad=pad),
        callbacks=[Steps(), *trackers.callbacks(config, out)],
    )
    for callback in list(trainer.callback_handler.callbacks):
        if type(callback).__name__ == "PrinterCallback":
            trainer.remove_callback(type(callback))

    def save(folder: Path) -> None:
        write_adapter(model, folder, name=name)

    with warnings.catch_warnings():  # PEFT takes a vector, one axis long, for a shard that was not gathered
        warnings.filterwarnings("ignore", message=".*LoRA tensor.*invalid shape.*")
        with _new_garbage_only(config), watch:
            trainer.train(resume_from_checkpoint=str(states[-1]) if states else None)
    trackers.end(config)
    save(out / "adapter")
    model.eval()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return curve.losses, len(curve.losses) < steps
