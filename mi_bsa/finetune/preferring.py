"""Train an adapter on by preferences between two answers: direct preference optimization, through TRL.

The loss is DPO's (Rafailov et al. 2023, arXiv 2305.18290): the answer that is preferred becomes likelier than
the other, relative to the adapter from which training goes on, which stays frozen as the reference. TRL is
the extra `mi-bsa[trl]`. A run is short; one that was killed begins again, one that is finished is kept.
"""

from __future__ import annotations

import importlib.util
import math
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from pydantic import Field

from mi_bsa.core import record
from mi_bsa.core.config import Config
from mi_bsa.core.errors import ConfigError, MissingError, RowError
from mi_bsa.core.files import digest, stable_hash, write_json
from mi_bsa.core.finetuned import RESULT, Curve, FinetuneResult, read_result, write_result
from mi_bsa.core.model_config import ModelLike
from mi_bsa.finetune.adapters import WEIGHTS, put_adapter, started, take_weights, write_adapter
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.watch import Watch


class Pair(TypedDict):
    """A conversation up to a question, the answer that is preferred, and the other."""

    prompt: list[dict[str, str]]
    chosen: str
    rejected: str


class PreferenceConfig(Config):
    """Direct preference optimization."""

    beta: float = Field(default=0.1, gt=0)
    """How dear it is to move away from the adapter that training goes on from."""
    batch_size: int = Field(default=32, ge=1)
    """Pairs an optimizer step sees."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of AdamW."""


def check_trl() -> None:
    """Raise `MissingError` where TRL is not installed."""
    if importlib.util.find_spec("trl") is None:
        raise MissingError(
            "training by preferences needs TRL, which is not installed; pip install mi-bsa[trl]"
        )


def finetune_preferring(
    base: ModelLike,
    pairs: Sequence[Pair],
    *,
    config: FinetuneConfig,
    preference: PreferenceConfig,
    out: Path,
    start: Path,
) -> FinetuneResult:
    """Train the adapter in `start` on by preferences into `out/adapter`, as `finetune` writes one.

    `config`: its rank, modules, layers, steps and seed; `preference`: batches, rate and beta instead of its
    own. `loss` of the result is DPO's, mean of the last ten steps, in nats a pair.

    Raises:
        MissingError: TRL is not installed, or `start` holds no adapter.
        RowError: no pairs, or a pair of equal answers.
        ConfigError: a config without steps; RunFolderError: `out` belongs to another run.
    """
    from activations import bases
    from mi_bsa.finetune.train import base_of, check_identity, one_device

    check_trl()
    same = next((pair for pair in pairs if pair["chosen"] == pair["rejected"]), None)
    if not pairs or same is not None:
        given = "no pairs" if same is None else f"a pair whose answers are both {same['chosen']!r}"
        raise RowError(f"{given}; a preference stands between two different answers")
    if config.steps is None or config.method != "lora":
        raise ConfigError("preferences are trained into a LoRA for a number of `steps`; give both")
    model, template, name, fingerprint = base_of(base, config)
    revisions = {"base": fingerprint, "pairs": stable_hash(list(pairs)), **started(start)}
    plan = {"config": config.keyed(), "preference": preference.keyed()}
    identity = stable_hash({**plan, **revisions})
    check_identity(out, identity)
    run = record.start(out, config=config, resume=out.exists(), seeds=[config.seed], revisions=revisions)
    try:
        write_json(out / "identity.json", identity)
        if (out / RESULT).is_file():
            return read_result(out)
        own_base = bases.record(model, name)
        with one_device(config, model):
            wrapped = put_adapter(model, config)
            take_weights(wrapped, start)
            losses = _train(wrapped, template.tokenizer, pairs, config, preference, out)
            wrapped.delete_adapter("ref")
        wrapped.eval()
        write_adapter(wrapped, out / "adapter", name=name)
        result = FinetuneResult(
            out=out,
            adapter=out / "adapter",
            checkpoints={},
            steps=len(losses),
            early=False,
            loss=float(sum(losses[-10:]) / len(losses[-10:])),
            n_rows=len(pairs),
            n_trained_tokens=0,
            n_parameters=sum(p.numel() for p in wrapped.parameters() if p.requires_grad),
            fingerprint=digest(out / "adapter" / WEIGHTS),
            base=own_base,
        )
        write_result(result)
        return result
    finally:
        run.release()


def _train(
    model: Any,
    tokenizer: Any,
    pairs: Sequence[Pair],
    config: FinetuneConfig,
    preference: PreferenceConfig,
    out: Path,
) -> list[float]:
    """Run TRL's trainer on a PEFT model, whose adapter it copies as the reference; the loss of every step."""
    from datasets import Dataset, disable_progress_bars
    from transformers import TrainerCallback
    from trl import DPOConfig, DPOTrainer

    steps = config.steps or 0
    curve = Curve(out / "metrics.jsonl", keep=0)
    watch, seen = Watch(f"preferring {out.name}", steps, done=0), [0]

    class Steps(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                if not math.isfinite(logs["loss"]):
                    raise RowError(
                        f"step {state.global_step}: the loss is {logs['loss']}; lower "
                        "preferences.learning_rate"
                    )
                told = {key: logs[key] for key in ("loss", "grad_norm", "learning_rate") if key in logs}
                curve.add(state.global_step, told)
                tokens = int(logs.get("num_tokens", seen[-1]))
                watch.step(logs["loss"], tokens - seen[-1])
                seen.append(tokens)

    def said(text: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": text}]

    rows = [{**pair, "chosen": said(pair["chosen"]), "rejected": said(pair["rejected"])} for pair in pairs]
    disable_progress_bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TRL and of what it calls; what matters here are the weights
        arguments = DPOConfig(
            output_dir=str(out / "resume"),
            max_steps=steps,
            per_device_train_batch_size=preference.batch_size,
            learning_rate=preference.learning_rate,
            beta=preference.beta,
            lr_scheduler_type=config.scheduler,
            warmup_steps=round(config.warmup * steps),
            max_grad_norm=config.clip,
            optim="adamw_torch",
            seed=config.seed,
            data_seed=config.seed,
            use_cpu=config.on_cpu,
            bf16=False,
            gradient_checkpointing=False,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            log_level="error",
        )
        trainer = DPOTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[Steps()],
        )
        for callback in list(trainer.callback_handler.callbacks):
            if type(callback).__name__ == "PrinterCallback":
                trainer.remove_callback(type(callback))
        with watch:
            trainer.train()
    shutil.rmtree(out / "resume", ignore_errors=True)
    return curve.losses
