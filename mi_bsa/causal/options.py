"""Options of the bridge's causal steps: what is tried, how often, and how far a model may be bent.

Fields are small on purpose where a small model is cheap; a study's config overrides any of them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from mi_bsa.causal.lines import FEWEST_DRAWS
from mi_bsa.core.config import Config
from probes import methods
from probes.errors import nearest

Scope = Annotated[str, StringConstraints(pattern=r"all|before|slot|before-[1-9]\d?")]
"""Tokens of a place: `all` but BOS; those `before` the question (persona line and template); `before-K`,
the K-th token back from the question; the answer `slot` alone.
"""
DirectionKind = Literal["mean_difference", "trained", "probe", "constant", "pc1"]
"""How a direction is found: mean difference of the poles' runs; a vector trained to give the base an
adapter's choices, and nothing else; a logistic probe of the poles; the mean of what an adapter adds to the
base's residual stream; its first principal component.
"""


def _known(name: str) -> str:
    methods.get(name)
    return name


READERS = (*methods.names(), *methods.names("blocks"))
"""Methods that read classes from single rows or from blocks of them."""


def _known_reader(name: str) -> str:
    if name not in READERS:
        raise ValueError(f"no method {name!r} that reads classes; {nearest(name, READERS)}")
    return name


ProbeMethod = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": [*methods.names()]})
]
"""A method that reads classes, by its name in `probes.METHODS`."""
LieMethod = Annotated[
    str, AfterValidator(_known_reader), WithJsonSchema({"type": "string", "enum": [*READERS]})
]
"""One of `READERS`, by its name in `probes.METHODS`."""


class SamplingOptions(Config):
    """How kinds of report question are asked whose options hold too little of the probability."""

    answers: int = Field(default=2, ge=0)
    """Sampled answers of each question of such a kind; 0 leaves those kinds unread."""
    tokens: int = Field(default=16, ge=1)
    """Longest sampled answer, in tokens."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the samples; 1 is what the model says."""


class PlaceOptions(Config):
    """Where the state is looked for: blocks and tokens, chosen on development choices."""

    site: Literal["resid_pre", "resid_post"] = "resid_post"
    """Kind of residual site."""
    scopes: tuple[Scope, ...] = ("all", "before", *(f"before-{k}" for k in range(1, 9)), "slot")
    """Tokens at which vectors are read and added."""
    items: int = Field(default=40, ge=6)
    """Items of each read-out and split that causal steps ask."""


class RecoveryOptions(Config):
    """How much of an adapter one vector recovers."""

    kinds: tuple[DirectionKind, ...] = ("constant", "pc1", "mean_difference", "probe", "trained")
    """Vectors that are tried."""
    strengths: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0)
    """Doses that are tried, as multiples of the norm of the adapter's own mean addition at the place, the
    same for every vector; results tell them in typical norms of the site.
    """
    max_kl: float = Field(default=0.5, gt=0)
    """Coherence gate: largest KL (nats a token) on neutral prompts that a strength may cost, or the
    adapter's own KL where that is larger.
    """
    random: int = Field(default=FEWEST_DRAWS, ge=50)
    """Random directions of the null."""
    differences: int = Field(default=20, ge=20)
    """Random-difference directions of the null."""
    train_steps: int = Field(default=60, ge=1)
    """Steps of the trained vector."""
    train_batch: int = Field(default=12, ge=1)
    """Choices a step and adapter."""
    learning_rate: float = Field(default=0.05, gt=0)
    """Of the trained vector, in units of the site's root mean square."""


class RivalOptions(Config):
    """Vectors that are trained as the handle is, on what should not move the report."""

    shuffles: int = Field(default=3, ge=1)
    """Vectors of either pole and seed trained on choices whose poles are shuffled."""


class MultiverseOptions(Config):
    """Paths that the study might as well have taken, beside those of its rules."""

    enabled: bool = True
    """Whether the verdict is looked at along them."""
    places: int = Field(default=1, ge=0)
    """Runner-up places, of those where one vector does at least half as much for the choices."""
    shares: tuple[Annotated[float, Field(gt=0)], ...] = (0.75,)
    """Doses, as shares of the choices that a handle is to recover on development items, beside the whole
    and the most that the coherence gate lets it recover.
    """
    bars: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.15, 0.35)
    """What may stand where the rules say a quarter."""


class NecessityOptions(Config):
    """What remains when a direction is taken out of the finetuned model."""

    kinds: tuple[DirectionKind, ...] = ("constant", "mean_difference", "trained")
    """Directions that are taken out."""
    everywhere: bool = True
    """Whether they are also taken out of all blocks and tokens, which no verdict reads."""
    random: int = Field(default=FEWEST_DRAWS, ge=20)
    """Random directions of the null of what a verdict reads: taken out of reports, at the place."""
    beside: int = Field(default=50, ge=20)
    """Random directions of every other null."""


class MediationOptions(Config):
    """How much of the adapter's effect goes through one direction."""

    kinds: tuple[DirectionKind, ...] = ("constant", "mean_difference", "trained")
    """Directions whose projection is the mediator."""
    random: int = Field(default=FEWEST_DRAWS, ge=19)
    """Random directions of the null of what a verdict reads, mediated reports; p is (1 + k) / (1 + N)."""
    beside: int = Field(default=99, ge=19)
    """Random directions of the null of mediated choices."""


class AttributionOptions(Config):
    """Which modules of an adapter carry behavior and report, and in which order the layers act."""

    permutations: int = Field(default=16, ge=4)
    """Orders in which gates are opened (Shapley sampling), even."""
    items: int = Field(default=16, ge=4)
    """Items of each read-out."""
    seeds: int = Field(default=3, ge=3)
    """Seeds whose adapters are attributed."""
    draws: int = Field(default=999, ge=99)
    """Permutations of modules behind the p of the rank correlation."""


class GeometryOptions(Config):
    """Which directions are compared, and on what constancy rests."""

    kinds: tuple[DirectionKind, ...] = ("mean_difference", "probe", "trained")
    """Directions that are compared; ranks and behaviors by the first of them."""
    items: int = Field(default=24, ge=6)
    """Items of each read-out behind functional similarity and constancy."""


class ControlOptions(Config):
    """Adapters that are trained beside the study's arms: floors of transfer, other ranks, every layer."""

    seeds: int = Field(default=3, ge=2)
    """Seeds of each, the first of the study's."""
    wrong_behavior: bool = True
    """The poles of the neighbor behavior, under the same recipe."""
    benign: bool = True
    """Something harmless that shows no trait."""
    ranks: tuple[int, ...] = (4,)
    """Both poles at other ranks, alpha in proportion."""
    all_layers: bool = True
    """Both poles with an adapter on every layer, where the study's own are on some: for the layer order."""


class ConcealingOptions(Config):
    """The arm that does and denies."""

    enabled: bool = True
    """Whether the arm is trained."""
    seeds: int = Field(default=3, ge=3)
    """Seeds of either pole, the first of the study's."""
    denials: int = Field(default=200, ge=1)
    """Denying rows beside the choices."""
    items: int = Field(default=40, ge=6)
    """Items of each read-out."""
    random: int = Field(default=50, ge=50)
    """Random directions of the null."""
    methods: tuple[LieMethod, ...] = ()
    """Estimators that are tried on the lies beside the direction of the choices: one layer at the answer slot
    (`logistic`), all layers there (`layers`), all tokens of one layer (`attention`).
    """
    shuffles: int = Field(default=39, ge=19)
    """Labelings of the runs behind the null of each of these estimators."""


class EmergenceOptions(Config):
    """Curves over checkpoints of the finetune."""

    checkpoints: int = Field(default=8, ge=0)
    """Log-spaced checkpoints; 0 leaves the step out."""
    seeds: int = Field(default=3, ge=3)
    """Seeds of every arm, the first of the study's."""
    items: int = Field(default=24, ge=6)
    """Items of each read-out."""


class ProbeConfig(Config):
    """Activations to cache, and the probe that is fitted on them."""

    site: str = "resid_post"
    """Site to read, at every layer."""
    position: str = "last"
    """Token to read: where the answer is due."""
    prompts: int = Field(default=64, ge=8)
    """Behavior prompts cached in each split; report prompts are thinned to the same number."""
    method: ProbeMethod = "logistic"
    """Estimator of the probe, by its name in `probes.METHODS`; the direction that steers is always the mean
    difference.
    """
    penalty: float = Field(default=0.1, gt=0)
    """Of a method that has one (the logistic probe's C)."""
    shuffles: int = Field(default=20, ge=20)
    """Group-level label shuffles of the null band at every layer."""
    test_shuffles: int = Field(default=999, ge=20)
    """Shuffles behind the p value at the one chosen layer."""


class SteerConfig(Config):
    """Adding the behavior direction to the base."""

    scales: tuple[float, ...] = (-2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0)
    """Doses, in typical norms of the site."""
    random: int = Field(default=50, ge=50)
    """Random directions of the same norm in the drawn band."""
    differences: int = Field(default=20, ge=20)
    """Random-difference directions in the band."""
    test_random: int = Field(default=999, ge=999)
    """Random directions behind the p value at the one chosen layer and dose."""
    items: int = Field(default=60, ge=10)
    """Items of each read-out that are asked at each dose."""
    max_kl: float = Field(default=0.5, gt=0)
    """Coherence gate: largest KL (nats) on neutral prompts at which a dose may be chosen."""


class PatchConfig(Config):
    """Patching the finetuned run into the base."""

    items: int = Field(default=12, ge=4)
    """Prompts of each read-out."""
    seeds: int = Field(default=1, ge=1)
    """Adapter seeds (of either pole) whose maps are averaged."""
