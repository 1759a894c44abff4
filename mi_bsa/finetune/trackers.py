"""Loss curves sent to trackers while or after an adapter is trained: W&B, TensorBoard, MLflow.

The law: a tracker gets the lines of `metrics.jsonl`, an adapter is a run of its own there, and no number, key
or lock depends on it. It is the Trainer's own callback that sends (its `report_to`), so each
tracker is set up by its usual variables: `WANDB_PROJECT`, `WANDB_MODE`, `TENSORBOARD_LOGGING_DIR`,
`MLFLOW_TRACKING_URI`, `MLFLOW_EXPERIMENT_NAME`. Where nothing says where TensorBoard's files go, they stand
beside the adapter, in `tensorboard/`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.core.errors import ConfigError
from mi_bsa.finetune.config import FinetuneConfig

if TYPE_CHECKING:
    from mi_bsa.core.finetuned import Curve


def check(names: Sequence[str]) -> None:
    """Raise `ConfigError` where a tracker's package is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise ConfigError(
                f"finetune.report_to names {name}, which is not installed; "
                f"pip install {name}, or leave it out"
            )


def callbacks(config: FinetuneConfig, out: Path) -> list[Any]:
    """The Trainer's callbacks for the trackers of a config; TensorBoard's files go where `out` says."""
    if not config.report_to:
        return []
    check(config.report_to)
    from transformers.integrations import get_reporting_integration_callbacks

    found = [kind() for kind in get_reporting_integration_callbacks(list(config.report_to))]
    for one in found:
        if hasattr(one, "tb_writer"):  # TensorBoard; a folder that is named is shared by all runs
            shared = one.logging_dir
            one.logging_dir = str(Path(shared) / run_name(out) if shared else out / "tensorboard")
    return found


def run_name(out: Path) -> str:
    """What a run is called there: its folder and the one of the whole command or study."""
    parts = [part for part in out.absolute().parts if part != "adapters"]
    return "-".join(parts[-2:])


def end(config: FinetuneConfig) -> None:
    """Close a run in trackers that keep one open in a process, so that the next has one of its own."""
    if "wandb" in config.report_to:
        import wandb

        wandb.finish()


def send(curve: Curve, config: FinetuneConfig, out: Path) -> None:
    """Send a whole curve at once: of an adapter that was trained beside others, and is written; that it
    could not be sent is a warning.
    """
    if not config.report_to:
        return
    try:
        _send(curve, config, out)
    except Exception as error:  # of a tracker's own, a lost connection mostly
        told = f"{type(error).__name__}: {error}"
        warnings.warn(f"{out}: its loss curve was not sent ({told}); metrics.jsonl holds it", stacklevel=2)


def _send(curve: Curve, config: FinetuneConfig, out: Path) -> None:
    from transformers import TrainerControl, TrainerState, TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(out),
        run_name=run_name(out),
        max_steps=len(curve.rows),
        learning_rate=config.learning_rate,
        seed=config.seed,
        use_cpu=True,
        report_to=[],
    )
    state, control = TrainerState(max_steps=len(curve.rows)), TrainerControl()
    for one in callbacks(config, out):
        one.on_train_begin(arguments, state, control, model=None)
        for row in curve.rows:
            state.global_step = int(row["step"])
            one.on_log(arguments, state, control, logs={k: v for k, v in row.items() if k != "step"})
        one.on_train_end(arguments, state, control)
    end(config)
