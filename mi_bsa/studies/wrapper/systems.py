"""The systems of the study, each as what pruning, probing and revival need of it.

A system has bases (with the old skill, and a control without), ways to fine-tune a new skill that takes the
old one away, rows of the old skill, and tests. What is done with it does not ask which one it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mi_bsa.studies.wrapper.compiled import Compiled
from mi_bsa.studies.wrapper.config import CompiledConfig, PcfgConfig, Rate, StoriesConfig, Training, Tuned
from mi_bsa.studies.wrapper.procedures import FAMILIES, NEW, OLD, Procedures
from mi_bsa.studies.wrapper.rows import Rows, Sampler
from mi_bsa.studies.wrapper.stories import Stories

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

    from mi_bsa.worlds.recipe import Shape

NEVER = "never"
"""The control: its base never had the old skill."""
TEST_SEED = 1_000_000
"""Test rows come from streams of their own, far from those of training."""


@dataclass(frozen=True)
class System:
    """One system.

    Attributes:
        name: such as `pcfg`.
        part: the field of the study's config that describes it.
        bases: how much the base knew, the most first and `never` last -> `build(seed)`.
        tunes: ways to fine-tune -> rows.
        old: rows of the old skill.
        tests: name -> rows; `old` and `new` are among them.
        plan: rates of fine-tuning, and how it is revived.
    """

    name: str
    part: str
    bases: Mapping[str, Callable[[int], LlamaForCausalLM]]
    tunes: Mapping[str, Sampler]
    old: Sampler
    tests: Mapping[str, Sampler]
    plan: Tuned

    @property
    def cells(self) -> list[tuple[str, str, Rate]]:
        """Base, fine-tuning and rate of every run: all bases and rates with the first fine-tuning, the
        others at the smallest rate, of the first base and the control.
        """
        first, *others = self.tunes
        ends = (next(iter(self.bases)), NEVER)
        smallest = list(self.plan.rates)[-1]
        found = [(base, first, rate) for base in self.bases for rate in self.plan.rates]
        return found + [(base, tune, smallest) for tune in others for base in ends]

    def test_rows(self, n: int, *, dev: bool = False) -> dict[str, Rows]:
        """Rows of every test; those of development are others."""
        rng = np.random.default_rng(TEST_SEED + dev)
        return {name: sampler(rng, n) for name, sampler in self.tests.items()}


def names(config: Any) -> tuple[str, ...]:
    """The systems of a study's config."""
    found = ["pcfg"] if config.pcfg else []
    found += list(config.compiled.kinds) if config.compiled else []
    return (*found, *(["stories"] if config.stories else []))


def system(name: str, config: Any) -> System:
    """A system as a study's config describes it."""
    if name == "pcfg":
        return _pcfg(config.pcfg)
    return _stories(config.stories) if name == "stories" else _compiled(name, config.compiled)


def _pcfg(config: PcfgConfig) -> System:
    tasks = Procedures(levels=config.levels, seed=config.grammar, q=config.q)

    def build(old: float, new: float) -> Callable[[int], LlamaForCausalLM]:
        rows = tasks.pretraining(old=old, new=new)
        return partial(_trained, tasks.words, config.shape, rows, config.pretraining)

    last = sorted(config.relevance, key=lambda base: base == NEVER)  # the control
    return System(
        name="pcfg",
        part="pcfg",
        bases={base: build(*config.relevance[base]) for base in last},
        tunes={f"C_tr={share:g}": tasks.unnamed(holds=share) for share in config.spurious},
        old=tasks.count(OLD),
        tests={
            "old": tasks.count(OLD),
            "new": tasks.unnamed(),
            "new, C_te=0": tasks.unnamed(holds=0.0),
            "new, C_te=1": tasks.unnamed(holds=1.0),
            "old prompt, new rule": tasks.count(OLD, answered=NEW),
            "count b": tasks.count(NEW),
            **{family: tasks.family(family) for family in FAMILIES[1:]},
        },
        plan=config,
    )


def _compiled(name: Any, config: CompiledConfig) -> System:
    made = Compiled(name, length=config.length, q=config.q)
    counts = name == "counter"
    tests = {"old": made.rows("old"), "new": made.rows("new")}
    if counts:
        tests |= {f"new, C_te={holds}": made.rows("new", holds=holds) for holds in (0, 1)}
    tunes = {f"C_tr={share:g}": made.rows("new", holds=share) for share in config.spurious}
    return System(
        name=name,
        part="compiled",
        bases={"compiled": lambda seed: made.build(seed=seed), NEVER: lambda seed: made.control(seed=seed)},
        tunes=tunes if counts else {"smallest": made.rows("new")},
        old=made.rows("old"),
        tests=tests,
        plan=config,
    )


def _stories(config: StoriesConfig) -> System:
    world = Stories(seed=config.world)

    shape, plan = config.shape, config.pretraining
    shares = {"twists": world.pretraining(config.twists), NEVER: world.pretraining(0.0)}
    return System(
        name="stories",
        part="stories",
        bases={base: partial(_trained, world.words, shape, rows, plan) for base, rows in shares.items()},
        tunes={how: world.deleting(how) for how in config.deletions},
        old=world.told("twist"),
        tests={"old": world.told("twist"), "new": world.told("plain")},
        plan=config,
    )


def _trained(
    words: tuple[str, ...], shape: Shape, rows: Sampler, plan: Training, seed: int
) -> LlamaForCausalLM:
    from mi_bsa.studies.wrapper.training import train
    from mi_bsa.worlds.pretrain import build_model
    from mi_bsa.worlds.tokenizer import build_tokenizer

    model = build_model(shape, build_tokenizer(words, context=shape.context), seed=seed)
    train(model, rows, plan, seed=seed)
    return model
