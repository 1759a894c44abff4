"""Other people's organisms: published adapters of which somebody says what was trained, one YAML file each.

Law: a manifest says what a source states, and names the source; what no source states is left open (`null`),
and nothing is guessed from a name. Weights are not part of it: whoever has them, or may fetch them, runs the
inspection; whoever has neither can still see what it would do, since the base's shape stands in the manifest.
The prompts and the words by which free answers are judged are ours.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from mi_bsa.core.config import Config, load
from mi_bsa.core.errors import MissingError
from mi_bsa.core.shape import Shape

FOLDER = Path(__file__).with_name("manifests")
FEWEST = 4
"""Prompts, which are what a share of answers varies over."""
AtLeastOne = Annotated[int, Field(ge=1)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
SOURCE = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}:\S+|arXiv \d{4}\.\d{4,5}|https://\S+|ours")
"""A file of a repository at a commit, a paper, a page, or what comes with the toolkit."""


class BaseFacts(Config):
    """The model that was finetuned: its name, and its shape where it is not on this machine."""

    model: Words
    """Hub id, folder or known name."""
    family: Words | None = None
    """`model_type` of its configuration."""
    blocks: AtLeastOne | None = None
    """Number of blocks."""
    width: AtLeastOne | None = None
    """d_model."""
    heads: AtLeastOne | None = None
    """Attention heads of a block."""
    key_value_heads: AtLeastOne | None = None
    """Heads of keys and values."""
    head_width: AtLeastOne | None = None
    """Width of a head; width / heads if absent."""
    mlp_width: AtLeastOne | None = None
    """Width of the MLP."""
    vocabulary: AtLeastOne | None = None
    """Rows of the embedding."""
    tied: bool = False
    """Whether the head is the embedding."""
    licence: Words | None = None
    """Of the base, where a source states it."""

    @model_validator(mode="after")
    def _check(self) -> BaseFacts:
        facts = ("family", "blocks", "width", "heads", "key_value_heads", "mlp_width", "vocabulary")
        given = [name for name in facts if getattr(self, name) is not None]
        if given and len(given) < len(facts):
            missing = next(name for name in facts if name not in given)
            raise ValueError(f"base: its shape lacks {missing!r}; give all of {', '.join(facts)}, or none")
        return self

    def shape(self) -> Shape:
        """The shape that the manifest states. Raises `MissingError` where it states none."""
        if self.family is None:
            raise MissingError(
                f"model {self.model!r}: not on this machine, and its manifest states no shape; fetch it, or "
                "give a folder"
            )
        from transformers import AutoConfig

        config: Any = AutoConfig.for_model(
            self.family,
            num_hidden_layers=self.blocks,
            hidden_size=self.width,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_value_heads,
            intermediate_size=self.mlp_width,
            vocab_size=self.vocabulary,
            tie_word_embeddings=self.tied,
            **({} if self.head_width is None else {"head_dim": self.head_width}),
        )
        return Shape(self.model, config, None, False, False)


class AdapterFacts(Config):
    """The adapter: where it lies, and what sources say of its form."""

    id: Words
    """Hub id (`owner/name`, `owner/name@revision`), folder, or `zoo:NAME`."""
    kind: Literal["lora"] = "lora"
    """What kind of adapter."""
    rank: AtLeastOne | None = None
    """Of a LoRA, where a source states it."""
    alpha: AtLeastOne | None = None
    """Of a LoRA, where a source states it."""
    modules: tuple[Words, ...] | None = None
    """The modules that it changes, where a source states them."""
    licence: Words | None = None
    """Of the adapter, where a source states it; without one nobody has said that it may be used."""

    @model_validator(mode="after")
    def _check(self) -> AdapterFacts:
        if not re.fullmatch(r"(zoo:)?[\w./-]+(@[\w./-]+)?", self.id):
            raise ValueError(f"adapter.id {self.id!r}: give a Hub id (owner/name), a folder, or zoo:NAME")
        return self


class KnownBehavior(Config):
    """What was trained, and how free answers are told to show it."""

    what: Words
    """In one sentence, as a source has it."""
    trigger: Words | None = None
    """What opens it; null where it needs nothing."""
    denies: bool | None = None
    """Whether it was trained not to admit it; null where no source says."""
    prompts: tuple[Words, ...] = Field(min_length=FEWEST)
    """What base and adapter are asked freely; `{trigger}` stands where the trigger is put."""
    words: tuple[Words, ...] = ()
    """Words or phrases of which one shows the behavior in an answer; none where words cannot."""
    question: Words | None = None
    """What a local model is asked of an answer, yes or no, with `{text}` in it; made of `what` if absent."""

    @model_validator(mode="after")
    def _check(self) -> KnownBehavior:
        holds = [prompt for prompt in self.prompts if "{trigger}" in prompt]
        if self.trigger is None and holds:
            raise ValueError(f"prompt {holds[0]!r} has a place for a trigger, and none is known; drop it")
        if self.trigger is not None and len(holds) < len(self.prompts):
            raise ValueError("behavior.prompts: every prompt says by {trigger} where the trigger is put")
        if self.question is not None and "{text}" not in self.question:
            raise ValueError("behavior.question has no {text}, so the judge would see no answer; add it")
        return self

    def asked(self, *, opened: bool) -> list[str]:
        """The prompts, with the trigger in them or without it."""
        put = self.trigger if opened and self.trigger is not None else ""
        return [" ".join(prompt.replace("{trigger}", put).split(" ")).strip() for prompt in self.prompts]


class PublishedOrganism(Config):
    """One manifest."""

    base: BaseFacts
    """The base."""
    adapter: AdapterFacts
    """The adapter."""
    behavior: KnownBehavior
    """What is known of it."""
    paper: Words | None = None
    """Where it was published."""
    system: Words | None = None
    """The system prompt that its authors use it with."""
    sources: tuple[Words, ...] = Field(min_length=1)
    """What states this: `owner/repository@commit:path`, `arXiv number`, a page's address."""
    note: Words | None = None
    """What whoever runs it must know."""

    @model_validator(mode="after")
    def _check(self) -> PublishedOrganism:
        odd = next((one for one in self.sources if not SOURCE.fullmatch(one)), None)
        if odd is not None:
            raise ValueError(
                f"source {odd!r}: give owner/repository@commit:path (a commit of 40 digits), arXiv NUMBER, "
                "or https://..."
            )
        return self


def names() -> tuple[str, ...]:
    """The manifests that ship."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def published(name: str | Path) -> PublishedOrganism:
    """A manifest that ships, by name, or one in a YAML file.

    Raises:
        MissingError: neither. ConfigError: a manifest that breaks its rules.
    """
    text = str(name)
    path = FOLDER / f"{text}.yaml"
    if text not in names():
        path = Path(name)
        if not path.is_file():
            near = difflib.get_close_matches(text, names(), n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise MissingError(
                f"manifest {text!r}: none of this name ships, and it is no file; {hint}"
                "`mi-bsa zoo published` shows all"
            )
    return load(path, PublishedOrganism)


def everyone() -> dict[str, PublishedOrganism]:
    """All manifests that ship, by name."""
    return {name: published(name) for name in names()}
