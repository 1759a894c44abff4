"""How an adapter or a steering vector is trained: one frozen config, checked before anything is loaded."""

import re
from typing import Any, Literal

from pydantic import Field, model_serializer, model_validator

from activations.sites import ATTENTION_MODULES, MLP_MODULES, MODULES
from mi_bsa.core.config import Config
from mi_bsa.core.model_config import Device, on_cpu

GROUPS: dict[str, tuple[str, ...]] = {
    "attention": ATTENTION_MODULES,
    "mlp": MLP_MODULES,
    "all": MODULES,
}

EMBEDDINGS = "embed_tokens"
"""The token embeddings, the one module outside the blocks that may get an adapter."""

VECTOR_SITES: dict[str, str] = {
    "attn_out": "o_proj",
    "resid_mid": "o_proj",
    "mlp_out": "down_proj",
    "resid_post": "down_proj",
}
"""Sites at which a steering vector may be trained, and the module to whose output it is added there."""


class FinetuneConfig(Config):
    """Finetuning with the loss on what the assistant says, and on nothing else."""

    method: Literal["lora", "vector"] = "lora"
    """What is trained: low-rank adapters of linear modules, or one steering vector and nothing else."""
    site: str | None = None
    """With method `vector`: where it is added, at every token: `resid_post.L`, `resid_mid.L`, `mlp_out.L` or
    `attn_out.L`. A vector has no rank, alpha, dropout, modules or layers; those fields are LoRA's.
    """
    rank: int = Field(default=4, ge=1)
    """Rank of the LoRA."""
    alpha: float = Field(default=8.0, gt=0)
    """LoRA alpha: the adapter is scaled by alpha / rank, or by alpha / sqrt(rank) with `rslora`."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank) (rank-stabilized LoRA, arXiv 2312.03732)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """LoRA dropout while training; an adapter is always saved and used without."""
    modules: Literal["all", "attention", "mlp"] | tuple[str, ...] = "all"
    """Which modules get an adapter: a group of linear ones, or a list of groups and names (`q_proj`,
    `down_proj`, ..., `embed_tokens`). An adapter of the embeddings acts where tokens are read; where the
    output layer shares their weights, it keeps its own.
    """
    layers: Literal["all", "first_half"] | tuple[int, ...] = "all"
    """Which blocks get an adapter, counted from 0; embeddings belong to none and get theirs in any case."""
    turns: Literal["all", "last"] = "all"
    """Whether every assistant turn of a row is trained on, or its last one only."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """Peak learning rate of AdamW."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warmup."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of all steps over which the learning rate rises from 0."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's weight decay on the adapter."""
    clip: float = Field(default=1.0, ge=0)
    """Largest norm of the gradient; 0 does not clip."""
    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps; give either this or `epochs`."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over the rows; give either this or `steps`."""
    batch_size: int = Field(default=32, ge=1)
    """Rows an optimizer step sees, over all ranks and accumulated parts."""
    accumulation: int = Field(default=1, ge=1)
    """Parts into which a batch is cut, one after the other, to save memory."""
    max_length: int | None = Field(default=None, ge=2)
    """Longest row in tokens (the model's context if absent); longer rows are refused, never truncated."""
    seed: int = 0
    """Seed of the adapter's first weights, of dropout and of the order of rows."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the base's weights (in a study, of every step), which `model.dtype` says as well; an adapter
    itself is trained in float32.
    """
    compute: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type of products in stacked training; factors, their gradients, norms and the residual stream are
    float32 in any case. `auto` is bfloat16 where the processor has instructions for it and the base more than
    50 million parameters, and on an accelerator the base's own type. A record says which it was.
    """
    device: Device = None
    """Where to train, and in a study to run: `cpu`, `cuda`; the accelerator where there is one, if absent.
    Under `accelerate launch` each rank has its own. `model.device` says the same.
    """
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; the same number gives the same adapter bit for bit. If absent, one for a base of up to 50
    million parameters, which wants no more, and else as many as this process may use (OMP_NUM_THREADS).
    """
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass, to save memory."""
    checkpoints: int = Field(default=0, ge=0)
    """How many adapters to keep along the way, at log-spaced steps (for curves of emergence)."""
    resume_every: int = Field(default=50, ge=1)
    """Steps between the states from which a killed run resumes."""
    stop_below: float | None = Field(default=None, gt=0)
    """Stop early when the loss, averaged over the last ten steps, falls below this."""
    report_to: tuple[Literal["wandb", "tensorboard", "mlflow"], ...] = ()
    """Trackers that are sent the loss curve too, by the Trainer's own callbacks, which their usual variables
    set up (`WANDB_PROJECT`, `TENSORBOARD_LOGGING_DIR`, `MLFLOW_TRACKING_URI`): step by step where an adapter
    is trained by itself, when it is done where it is trained beside others. No number depends on it.
    """

    @model_validator(mode="after")
    def _check(self) -> "FinetuneConfig":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either `steps` or `epochs`, one of them")
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of accumulation {self.accumulation}; change one"
            )
        if isinstance(self.layers, tuple) and (not self.layers or min(self.layers) < 0):
            raise ValueError(f"layers {list(self.layers)}: name at least one block, counted from 0")
        if not self.modules:
            raise ValueError("modules is empty: name at least one linear module, or a group such as 'all'")
        if self.method == "lora" and self.module_names == (EMBEDDINGS,) and self.layers != "all":
            raise ValueError(
                f"layers {self.layers!r} chooses blocks, and modules names the embeddings alone: leave it "
                "out, or name linear modules too"
            )
        if (self.method == "vector") != (self.site is not None):
            raise ValueError("method 'vector' needs `site`, such as resid_post.0, and method 'lora' has none")
        if self.site is not None and not re.fullmatch(rf"({'|'.join(VECTOR_SITES)})\.\d+", self.site):
            raise ValueError(
                f"site {self.site!r}: write one of {', '.join(VECTOR_SITES)} with a block: resid_post.0"
            )
        return self

    @model_serializer(mode="wrap")
    def _short(self, handler: Any, info: Any) -> Any:
        """In keys: as fields were before there was this default, or this field."""
        values = handler(self)
        if (info.context or {}).get("keys"):
            values |= {"threads": values["threads"] or 1}
            del values["report_to"]
            if values["compute"] == "auto":
                del values["compute"]
        return values

    @property
    def module_names(self) -> tuple[str, ...]:
        """The names of the modules that get an adapter, groups written out."""
        if self.site is not None:
            return (VECTOR_SITES[self.site.partition(".")[0]],)
        given = (self.modules,) if isinstance(self.modules, str) else self.modules
        return tuple(dict.fromkeys(name for one in given for name in GROUPS.get(one, (one,))))

    @property
    def on_cpu(self) -> bool:
        """Whether it trains on the processor: told to, or nothing else is here."""
        return on_cpu(self.device)

    @property
    def alone_because(self) -> str | None:
        """Why a run with this config cannot be trained beside others; None where it can."""
        for name in ("dropout", "stop_below", "gradient_checkpointing"):
            if getattr(self, name):
                return f"finetune.{name} is set, which runs trained together cannot have; train one by one"
        if self.method != "lora":
            return "finetune.method is vector; only LoRAs are trained together, train it one by one"
        if self.accumulation != 1:
            return "finetune.accumulation is above 1; runs trained together take whole batches, set it to 1"
        return None

    @property
    def scheduler(self) -> str:
        """What transformers calls the schedule."""
        return "constant_with_warmup" if self.schedule == "constant" else self.schedule

    def total_steps(self, rows: int) -> int:
        """Optimizer steps over that many rows."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, -int(-self.epochs * rows // self.batch_size))

    def kept_steps(self, total: int) -> tuple[int, ...]:
        """The log-spaced steps whose adapters are kept, the last step among them."""
        if self.checkpoints == 0:
            return ()
        if self.checkpoints == 1:
            return (total,)
        ratio = total ** (1 / (self.checkpoints - 1))
        return tuple(sorted({min(total, round(ratio**k)) for k in range(self.checkpoints)}))
