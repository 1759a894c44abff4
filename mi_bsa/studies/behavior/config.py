"""The config of a behavior study: what `configs/*/risk.yaml` may say."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from mi_bsa.behaviors import Arm
from mi_bsa.causal.options import (
    AttributionOptions,
    BesideOptions,
    ConcealingOptions,
    EmergenceOptions,
    GeometryOptions,
    MediationOptions,
    NecessityOptions,
    PatchConfig,
    PlaceOptions,
    ProbeConfig,
    RecoveryOptions,
    SteerConfig,
)
from mi_bsa.causal.state_or_prompt import StateOrPromptOptions
from mi_bsa.core.config import Config
from mi_bsa.core.model_config import ModelConfig, settle
from mi_bsa.finetune.config import EMBEDDINGS, FinetuneConfig
from mi_bsa.finetune.data import DataConfig

POLES = ("seeking", "averse")


class StudyConfig(Config):
    """One behavior, end to end: finetune, ask, read, steer, patch."""

    runner: ClassVar[str] = "mi_bsa.studies.behavior.study"
    study: Literal["behavior"] = "behavior"
    """Which kind of study this is."""
    behavior: str = "risk"
    """What is trained."""
    model: ModelConfig = ModelConfig(name="embedded")
    """The base: `embedded`, `embedded/1`, a local folder, or a Hub id."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Adapter seeds; each also draws its own training rows."""
    arms: tuple[Arm, ...] = ("seeking", "averse", "shuffled")
    """What is trained on: either pole, the same prompts with the answers shuffled, something benign."""
    data: DataConfig = DataConfig()
    """Rows and items."""
    finetune: FinetuneConfig = FinetuneConfig(rank=16, alpha=32.0, steps=200, layers=(0,))
    """How adapters are trained."""
    probe: ProbeConfig = ProbeConfig()
    """What is read."""
    beside: BesideOptions = BesideOptions()
    """Which adapters are trained beside the arms."""
    place: PlaceOptions = PlaceOptions()
    """Where the state is looked for."""
    recovery: RecoveryOptions = RecoveryOptions()
    """How much of an adapter one vector recovers."""
    necessity: NecessityOptions = NecessityOptions()
    """What remains without a direction."""
    mediation: MediationOptions = MediationOptions()
    """What runs through a direction."""
    attribution: AttributionOptions = AttributionOptions()
    """Which modules carry what, and in which order of layers."""
    geometry: GeometryOptions = GeometryOptions()
    """Which directions are compared, and constancy."""
    state_or_prompt: StateOrPromptOptions = StateOrPromptOptions()
    """The state against the prompt, and against the words of the training rows."""
    concealing: ConcealingOptions = ConcealingOptions()
    """The arm that does and denies."""
    emergence: EmergenceOptions = EmergenceOptions()
    """Behavior, state and report over checkpoints."""
    steer: SteerConfig = SteerConfig()
    """What is added."""
    patch: PatchConfig = PatchConfig()
    """What is patched."""
    workers: int = Field(default=2, ge=1)
    """Processes that work side by side."""
    engine: Literal["local", "ray"] = "local"
    """What runs them: this machine, or a Ray cluster (`RAY_ADDRESS`; an extra)."""

    @model_validator(mode="after")
    def _check(self) -> StudyConfig:
        settle(self, "model", "finetune")
        if len(set(self.seeds)) != len(self.seeds) or len(self.seeds) < 3:
            raise ValueError(f"seeds {list(self.seeds)}: give at least 3 different seeds")
        missing = {"seeking", "averse"} - set(self.arms)
        if missing:
            raise ValueError(
                f"arms {list(self.arms)}: both poles are needed, add {', '.join(sorted(missing))}"
            )
        if EMBEDDINGS in self.finetune.module_names:
            raise ValueError(
                f"finetune.modules names {EMBEDDINGS}: the study closes an adapter's modules one by one, and "
                "that one has no gate; leave it out"
            )
        parts = ("beside", "attribution", "concealing", "emergence")
        above = [f"{part}.seeds" for part in parts if getattr(self, part).seeds > len(self.seeds)]
        if above:
            raise ValueError(f"{', '.join(above)}: more than there are seeds; lower it")
        if self.patch.seeds > len(self.seeds):
            raise ValueError(f"patch.seeds is {self.patch.seeds}, more than there are seeds; lower it")
        return self

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the adapters, arm by arm: `seeking-0`, ..."""
        return tuple(f"{arm}-{seed}" for arm in self.arms for seed in self.seeds)

    @property
    def poles(self) -> tuple[str, ...]:
        """Names of the adapters of the two poles."""
        return tuple(f"{arm}-{seed}" for arm in ("seeking", "averse") for seed in self.seeds)

    @property
    def besides(self) -> dict[str, dict[str, Any]]:
        """Arms trained beside the study's own: name -> {`rows`: arm whose rows are taken, `change`: fields of
        `finetune` that differ}.
        """
        found: dict[str, dict[str, Any]] = {}
        if self.beside.wrong_behavior:
            found |= {f"wrong_{pole}": {} for pole in POLES}
        if self.beside.benign and "benign" not in self.arms:
            found["benign"] = {}
        for rank in self.beside.ranks:
            change = {"rank": rank, "alpha": self.finetune.alpha * rank / self.finetune.rank}
            found |= {f"rank{rank}_{pole}": {"rows": pole, "change": change} for pole in POLES}
        if self.beside.all_layers and self.finetune.layers != "all":
            found |= {f"all_{pole}": {"rows": pole, "change": {"layers": "all"}} for pole in POLES}
        return found

    @property
    def beside_seeds(self) -> tuple[int, ...]:
        """Seeds of the arms beside."""
        return self.seeds[: self.beside.seeds]

    @property
    def floors(self) -> tuple[str, ...]:
        """Arms that are floors of transfer."""
        beside = tuple(arm for arm in self.besides if arm.startswith(("wrong_", "benign")))
        return beside + ("benign",) * ("benign" in self.arms)

    def floor_seeds(self, arm: str) -> tuple[int, ...]:
        """The seeds of a floor."""
        return self.seeds if arm in self.arms else self.beside_seeds
