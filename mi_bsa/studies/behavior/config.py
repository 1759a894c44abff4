"""The config of a behavior study: what `configs/*/risk.yaml` may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from mi_bsa.behaviors import vocabulary_of
from mi_bsa.causal.bridge_config import BridgeConfig
from mi_bsa.causal.introspection.options import IntrospectionOptions
from mi_bsa.causal.turns.options import TurnsOptions
from mi_bsa.core.model_config import ModelConfig, settle
from mi_bsa.core.variants import POLES, Variant
from mi_bsa.finetune.config import EMBEDDINGS

INTROSPECTION = "introspection"
FEWEST_BASES = 2
"""Of a list; a verdict over bases needs three (`mi_bsa.causal.lines.FEWEST_SEEDS`)."""


class BehaviorConfig(BridgeConfig):
    """One behavior, end to end: finetune, ask, read, steer, patch; on one base, or on each of several.

    With a list of models (`model: [embedded/0, embedded/1, embedded/2]`) every base runs the whole study by
    itself, and verdicts are drawn over bases too: `bases` holds the list, `model` the first of it.
    """

    study: Literal["behavior"] = "behavior"
    """Which kind of study this is."""
    introspection: IntrospectionOptions | None = None
    """Introspection controls: does the report read the state, or follow the input, notice what is odd, guess?
    Given, or `controls: introspection`, they are a section of the study; a config without them says nothing.
    """
    turns: TurnsOptions | None = None
    """Report and state turn by turn, in conversations in which the model acts; given (`turns: {}`), a section
    of the study. A config without it says nothing.
    """
    workers: int = Field(default=2, ge=1)
    """Processes that work side by side."""
    bases: tuple[ModelConfig, ...] = ()
    """Filled by a list in `model`, and written as that list: a factor of the study."""

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, data: Any) -> Any:
        """A list of models is the bases; `controls: introspection` asks for that section."""
        if not isinstance(data, Mapping):
            return data
        if data.get("controls") == INTROSPECTION:
            rest = {key: value for key, value in data.items() if key != "controls"}
            data = {INTROSPECTION: {}, **rest}
        if "bases" in data:
            raise _refused("bases: give them as a list in `model`")
        listed = data.get("model")
        if not isinstance(listed, list | tuple):
            return data
        if len(listed) < FEWEST_BASES:
            raise _refused(
                f"model is a list of {len(listed)}: give {FEWEST_BASES} bases or more, or one model itself"
            )
        for k, one in enumerate(listed):
            if not isinstance(one, str | Mapping | ModelConfig):
                raise _refused(f"model.{k}: a base is a name, or a model with its options (given: {one!r})")
        return {**data, "model": listed[0], "bases": tuple(listed)}

    @model_serializer(mode="wrap")
    def _as_listed(self, handler: Any, info: Any) -> Any:
        del info
        values = handler(self)
        bases = values.pop("bases")
        for name in (INTROSPECTION, "turns"):
            if values.get(name, 0) is None:
                values.pop(name)
        return values | {"model": bases} if bases else values

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> Any:
        """`model` is one or a list; `bases` is not said."""
        found = handler(core_schema)
        fields = handler.resolve_ref_schema(found)["properties"]
        fields.pop("bases")
        one = fields["model"]
        told = {key: one.pop(key) for key in ("description", "default") if key in one}
        several = {"type": "array", "items": one, "minItems": FEWEST_BASES}
        fields["model"] = {**told, "anyOf": [one, several]}
        return found

    def part(self, name: str) -> BehaviorConfig:
        """The study of one base, by the name of its part (`base-0`)."""
        return self.parts[name]

    @property
    def parts(self) -> dict[str, BehaviorConfig]:
        """Part -> the study of its base; none where the study is of one base."""
        said = self.dump()
        return {
            f"base-{k}": type(self).model_validate(said | {"model": said["model"][k]})
            for k in range(len(self.bases))
        }

    @model_validator(mode="after")
    def _check(self) -> BehaviorConfig:
        settle(self, "model", "finetune")
        if self.bases:
            self._check_bases()
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
        parts = ("controls", "attribution", "concealing", "emergence")
        above = [f"{part}.seeds" for part in parts if getattr(self, part).seeds > len(self.seeds)]
        if above:
            raise ValueError(f"{', '.join(above)}: more than there are seeds; lower it")
        if self.patch.seeds > len(self.seeds):
            raise ValueError(f"patch.seeds is {self.patch.seeds}, more than there are seeds; lower it")
        return self

    def _check_bases(self) -> None:
        """No base twice, one vocabulary, and every one of them a study by itself."""
        settle(self, "bases", "finetune")
        names = [str(model) for model in self.bases]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"model lists {twice} twice: a base is a unit, name each once")
        read = {vocabulary_of(model): str(model) for model in self.bases}
        if len(read) > 1:
            both = " and ".join(f"{name} ({kind})" for kind, name in read.items())
            raise ValueError(f"model lists {both}: bases of one study are asked the same questions")

    @property
    def controlled(self) -> dict[str, dict[str, Any]]:
        """Arms trained beside the study's own: name -> {`rows`: arm whose rows are taken, `change`: fields of
        `finetune` that differ}.
        """
        found: dict[str, dict[str, Any]] = {}
        if self.controls.wrong_behavior:
            found |= {Variant(pole, apart="wrong").arm: {} for pole in POLES}
        if self.controls.benign and "benign" not in self.arms:
            found["benign"] = {}
        for rank in self.controls.ranks:
            change = {"rank": rank, "alpha": self.finetune.alpha * rank / self.finetune.rank}
            found |= {
                Variant(pole, apart=f"rank{rank}").arm: {"rows": pole, "change": change} for pole in POLES
            }
        if self.controls.all_layers and self.finetune.layers != "all":
            found |= {
                Variant(pole, apart="all").arm: {"rows": pole, "change": {"layers": "all"}} for pole in POLES
            }
        return found

    @property
    def control_seeds(self) -> tuple[int, ...]:
        """Seeds of the arms beside."""
        return self.seeds[: self.controls.seeds]

    @property
    def floors(self) -> tuple[str, ...]:
        """Arms that are floors of transfer."""
        beside = tuple(arm for arm in self.controlled if arm == "benign" or Variant.of(arm).apart == "wrong")
        return beside + ("benign",) * ("benign" in self.arms)

    def floor_seeds(self, arm: str) -> tuple[int, ...]:
        """The seeds of a floor."""
        return self.seeds if arm in self.arms else self.control_seeds


def _refused(text: str) -> PydanticCustomError:
    return PydanticCustomError("bases", "{text}", {"text": text})
