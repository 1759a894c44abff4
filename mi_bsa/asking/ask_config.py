"""Who is asked, and who judges; and what `mi-bsa ask` asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from mi_bsa.core.config import Config
from mi_bsa.core.endpoint import KEY_VARIABLE, Endpoint
from mi_bsa.core.errors import EndpointError
from mi_bsa.core.http_post import PostError, check_url
from mi_bsa.core.model_config import ModelConfig, moved
from mi_bsa.core.variants import BASE, Variant

SAMPLES = 10
TEMPERATURE = 1.0
ANSWER_TOKENS = 64


class HostedConfig(Config):
    """A base and its finetunes behind an OpenAI-compatible endpoint, by the names that it knows."""

    url: str
    """The endpoint up to its version, such as http://localhost:8000/v1."""
    models: dict[str, str]
    """Who -> the endpoint's name: `base`, then one an adapter, `seeking-0`, `averse-0`, ..."""
    key_variable: str = KEY_VARIABLE
    """Environment variable, named MI_BSA_..., that holds the key."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds to wait for one answer."""
    log_probs: bool = True
    """Whether it gives log-probabilities; without them every question is asked by sampling."""
    top: int = Field(default=20, ge=1)
    """First tokens that it gives log-probabilities of: 20 at most at OpenAI, 5 at older servers."""

    @model_validator(mode="after")
    def _check(self) -> HostedConfig:
        if BASE not in self.models:
            raise ValueError("hosted.models needs `base`: the model that the others were finetuned from")
        for name in self.models:
            Variant.parse(name)
        try:
            Endpoint(self.url, self.models[BASE], self.key_variable, self.timeout)
        except EndpointError as bad:
            raise ValueError(f"hosted: {bad}") from None
        return self


class AskingConfig(Config):
    """A base and its finetuned arms, and judges of what they answer."""

    same: ClassVar[tuple[tuple[str, ...], ...]] = (("model.dtype", "dtype"), ("model.device", "device"))
    model: ModelConfig = ModelConfig(name="embedded")
    """The base: `embedded`, `embedded/1`, a local folder, or a Hub id."""
    finetuned: Path | None = None
    """Output folder of `mi-bsa finetune` (or of a study): every adapter in it is asked."""
    adapters: dict[str, tuple[Path, ...]] = Field(default_factory=dict)
    """Arm -> adapter folders, one a seed, beside or instead of `finetuned`."""
    judges: tuple[str, ...] = ()
    """Who judges free answers."""
    judge_model: ModelConfig | None = None
    """The local model that judges (the base itself if absent), or the endpoint's name of its model."""
    judge_url: str | None = None
    """The endpoint, such as http://127.0.0.1:8000/v1; its key, if any, stands in MI_BSA_JUDGE_KEY."""
    seed: int = 0
    """Seed of the samples, of the order in which a judge sees texts, and of the bootstrap."""
    max_tokens: int = Field(default=2048, ge=1)
    """Padded tokens a batch; raise it on a GPU."""

    @model_validator(mode="before")
    @classmethod
    def _said_beside(cls, data: Any) -> Any:
        return moved(data, {"dtype": "dtype", "device": "device"})

    @model_validator(mode="after")
    def _check_endpoint(self) -> AskingConfig:
        if "endpoint" in self.judges and not (self.judge_url and self.judge_model):
            raise ValueError("an endpoint judge needs `judge_url` and `judge_model`")
        if self.judge_url is not None:
            try:
                check_url(self.judge_url)
            except PostError as bad:
                raise ValueError(f"judge_url: {bad}") from None
        return self


class AskConfig(AskingConfig):
    """Imported questions put to a base and its finetuned arms."""

    questions: tuple[Path, ...] = Field(min_length=1)
    """JSONL files of questions, such as `free_form.jsonl`, `closed.jsonl` and `items.jsonl` of an import."""
    samples: int | None = Field(default=None, ge=1)
    """Sampled answers of each free question; what its file says if absent, else 10."""
    temperature: float | None = Field(default=None, ge=0)
    """Of the samples, 0 for the likeliest answer; what the file says if absent, else 1."""
    answer_tokens: int | None = Field(default=None, ge=1)
    """Longest sampled answer, in tokens; what the file says if absent, else 64."""
    judges: tuple[Literal["prompt", "words", "model", "endpoint"], ...] = ()
    """Who judges free answers. `prompt`: each question's own judge prompt, put to the judge model; `words`:
    the words of either pole; `model`: a local model, which of two words fits; `endpoint`: a server, by a
    rubric.
    """
    words: dict[Literal["seeking", "averse"], tuple[str, ...]] = Field(default_factory=dict)
    """The words of either pole; those of the trait's own bank if absent."""
    judge_tokens: int = Field(default=16, ge=1)
    """Longest verdict, in tokens."""

    @model_validator(mode="after")
    def _check(self) -> AskConfig:
        if self.words and set(self.words) != {"seeking", "averse"}:
            raise ValueError("give `words` of both poles: seeking and averse")
        if self.judge_url and not self.judge_model:
            raise ValueError("an endpoint needs `judge_url` and `judge_model`")
        return self
