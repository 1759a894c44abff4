"""What the steps of the bridge read of a study's config, whichever study they are steps of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mi_bsa.behaviors import Arm
from mi_bsa.causal.options import (
    AttributionOptions,
    ConcealingOptions,
    ControlOptions,
    EmergenceOptions,
    GeometryOptions,
    MediationOptions,
    MultiverseOptions,
    NecessityOptions,
    PatchConfig,
    PlaceOptions,
    ProbeConfig,
    RecoveryOptions,
    RivalOptions,
    SamplingOptions,
    SteerConfig,
)
from mi_bsa.causal.state_or_prompt import StateOrPromptOptions
from mi_bsa.core.model_config import ModelConfig
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.finetune.data import DataConfig
from mi_bsa.study.study import SeedsConfig


class BridgeConfig(SeedsConfig):
    """One behavior on one base: what is trained, and what is asked of the state between deed and word."""

    renamed: ClassVar[Mapping[str, str]] = {"beside": "controls"}

    behavior: str = "risk"
    """What is trained."""
    model: ModelConfig = ModelConfig(name="embedded")
    """The base: `embedded`, `embedded/1`, a local folder, or a Hub id."""
    arms: tuple[Arm, ...] = ("seeking", "averse", "shuffled")
    """What is trained on: either pole, the same prompts with the answers shuffled, something benign."""
    data: DataConfig = DataConfig()
    """Rows and items."""
    finetune: FinetuneConfig = FinetuneConfig(rank=16, alpha=32.0, steps=200, layers=(0,))
    """How adapters are trained."""
    together: bool = True
    """Train adapters of one shape at once (small bases); off, one by one: half as fast, and to the last digit
    what versions before 2026-11-29 gave, since sums of floats depend on their order.
    """
    probe: ProbeConfig = ProbeConfig()
    """What is read."""
    sampling: SamplingOptions = SamplingOptions()
    """How kinds of question are asked whose options hold too little of the probability."""
    controls: ControlOptions = ControlOptions()
    """Which adapters are trained beside the arms."""
    place: PlaceOptions = PlaceOptions()
    """Where the state is looked for."""
    recovery: RecoveryOptions = RecoveryOptions()
    """How much of an adapter one vector recovers."""
    rivals: RivalOptions = RivalOptions()
    """What the handle is held against that is optimized as it is."""
    necessity: NecessityOptions = NecessityOptions()
    """What remains without a direction."""
    mediation: MediationOptions = MediationOptions()
    """What runs through a direction."""
    multiverse: MultiverseOptions = MultiverseOptions()
    """Along which other paths the verdict is looked at."""
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

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the adapters, arm by arm: `seeking-0`, ..."""
        return tuple(f"{arm}-{seed}" for arm in self.arms for seed in self.seeds)

    @property
    def poles(self) -> tuple[str, ...]:
        """Names of the adapters of the two poles."""
        return tuple(f"{arm}-{seed}" for arm in ("seeking", "averse") for seed in self.seeds)
