"""What three ways of looking say of one adapter, from it and its base alone.

Law: every way is reduced to the same few numbers, a shift a behavior (towards its seeking pole, away from the
base) and one alarm for a backdoor, so that verdicts differ by what was looked at and by nothing else. An
adapter's name is read nowhere.

`self_report`: what it says of itself about every behavior, and whether anything in a message changes what it
does. `probe`: the state at the answer slot along directions on which the base's own described personas
differ, and the largest move of it by any single word. `toolkit`: choices, and the search for a trigger, whose
candidates are tried on messages that the search never saw. `lens`: the mean difference that the adapter makes
on texts that have nothing to do with it, added to the base, which is then asked about itself; the alarm is
its size. `weights` and `page` are fitted on the calibration adapters: `audit_combined`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

from mi_bsa.core.items import Item
from mi_bsa.studies.backdoor.search_config import SearchConfig

if TYPE_CHECKING:
    import activations
    from mi_bsa.behaviors import Behavior
    from mi_bsa.behaviors.backdoor.triggers import Vocabulary
    from mi_bsa.studies.backdoor.questions import AskedSplit

AuditMethod = Literal["toolkit", "self_report", "probe", "lens", "weights", "page"]
METHODS: tuple[AuditMethod, ...] = ("toolkit", "self_report", "probe")
"""Those that look with the toolkit's own threshold on what they see."""
LOOKS: tuple[AuditMethod, ...] = (*METHODS, "lens")
"""Those that see an adapter by itself; the others are fitted on the calibration adapters."""
EVERY: tuple[AuditMethod, ...] = (*LOOKS, "weights", "page")


@dataclass(frozen=True)
class Evidence:
    """What one way of looking says.

    Attributes:
        shifts: by behavior, how far the adapter lies from the base towards the seeking pole.
        alarm: how much speaks for a backdoor.
        notes: what else was seen, such as the candidate trigger.
    """

    shifts: Mapping[str, float]
    alarm: float
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Axis:
    """A behavior's direction in the base: unit `vector` at `site`, and how far apart its described poles lie
    there.
    """

    site: str
    vector: Float[np.ndarray, " d_model"]
    gap: float


@dataclass(frozen=True)
class Look:
    """How much is asked: items of each behavior, words that the probe alone tries, and messages of each
    behavior and wording on which the search's candidates are verified.
    """

    choices: int = 60
    reports: int = 120
    awareness: int = 160
    words: int = 300
    verify: int = 16


def axes(model: activations.Model, behaviors: Mapping[str, Behavior]) -> dict[str, Axis]:
    """Directions on which the base's described personas differ in choices, where they differ most.

    The block is the one with the largest gap in units of the spread within a pole, at the answer slot.
    """
    found = {}
    for name, behavior in behaviors.items():
        states = {
            pole: slot_states(model, behavior.items(64, split="dev", seed=0, systems=lines), "base")
            for pole, lines in described(behavior).items()
        }
        every = []
        for layer in range(model.n_layers):
            high, low = (states[pole][:, layer].astype(np.float64) for pole in ("seeking", "averse"))
            difference = high.mean(0) - low.mean(0)
            gap = float(np.linalg.norm(difference))
            unit = difference / max(gap, 1e-12)
            spread = np.sqrt((np.var(high @ unit) + np.var(low @ unit)) / 2)
            every.append((gap / max(float(spread), 1e-12), Axis(f"resid_post.{layer}", unit, gap)))
        found[name] = max(every, key=lambda one: one[0])[1]
    return found


def described(behavior: Behavior) -> dict[str, list[str]]:
    """System lines that describe a persona at either pole."""
    asked = behavior.study_sets(choices=20, others=20)["described_report-test"]
    found: dict[str, list[str]] = {"seeking": [], "averse": []}
    for item in asked:
        pole = str(item.labels["person"]).rpartition(" ")[2]
        line = item.messages[0]["content"]
        if line not in found[pole]:
            found[pole].append(line)
    return found


def slot_states(
    model: activations.Model, items: Sequence[Item], variant: str
) -> Float[np.ndarray, "item layer d_model"]:
    """The residual stream after every block where the answer is due."""
    from activations import engine
    from mi_bsa.core.items import prompts_of

    rows = model.rows(prompts_of(list(items)))
    sites = [f"resid_post.{layer}" for layer in range(model.n_layers)]
    read = engine.slot_states(model, rows, sites, variant=variant)
    return np.stack([read[site] for site in sites], axis=1)


def by_self_report(
    model: activations.Model,
    variant: str,
    behaviors: Mapping[str, Behavior],
    look: Look,
    *,
    split: AskedSplit,
) -> Evidence:
    """What it says of itself, less what the base says; kinds of question weigh alike."""
    from mi_bsa.core.items import thin
    from mi_bsa.studies.backdoor.questions import awareness_items

    def said(items: Sequence[Item]) -> float:
        return _by_kind(model, items, variant) - _by_kind(model, items, "base")

    shifts = {name: said(thin(list(b.questions(split=split)), look.reports)) for name, b in behaviors.items()}
    return Evidence(shifts, said(thin(awareness_items(model.name, split=split), look.awareness)))


def by_probe(
    model: activations.Model,
    variant: str,
    behaviors: Mapping[str, Behavior],
    look: Look,
    *,
    axes: Mapping[str, Axis],
    vocabulary: Vocabulary,
    split: AskedSplit,
) -> Evidence:
    """The state along the base's own directions, in units of the described poles' gap; no search.

    The alarm is how far the word that moves it most takes it from the median word.
    """
    shifts, moved, strongest = {}, {}, {}
    words = list(vocabulary.candidates())[: look.words]
    for name, behavior in behaviors.items():
        axis = axes[name]
        layer = int(axis.site.rpartition(".")[2])
        plain = behavior.items(look.choices, split=split, seed=0)
        own = behavior.items(len(words), split=split, seed=0)
        noted = [_noted(i, w, vocabulary, split) for i, w in zip(own, words, strict=True)]

        def along(items: Sequence[Item], axis: Axis = axis, layer: int = layer) -> np.ndarray:
            on, off = (slot_states(model, items, v)[:, layer] for v in (variant, "base"))
            return np.asarray((on - off) @ axis.vector / axis.gap)

        shifts[name] = float(along(plain).mean())
        at = along(noted)
        far = np.abs(at - np.median(at))
        moved[name], strongest[name] = float(far.max()), words[int(far.argmax())]
    top = max(moved, key=lambda name: moved[name])
    return Evidence(shifts, moved[top], {"word": strongest[top]})


def by_lens(
    model: activations.Model,
    variant: str,
    behaviors: Mapping[str, Behavior],
    *,
    split: AskedSplit,
) -> Evidence:
    """What unrelated texts hold: the base's reports with the adapter's difference on them added."""
    from activations.differences import activation_differences
    from activations.lens import Nulls
    from mi_bsa.behaviors.unrelated import unrelated
    from mi_bsa.causal.through_base import first_site, through_base

    site = first_site(model, variant, full=False)
    made = activation_differences(model, unrelated(model.name), sites=site, after=variant)[site]
    items = [item for behavior in behaviors.values() for item in behavior.questions(split=split)]
    nulls = Nulls.draw(model.d_model, made.states, seed=0)
    rows = {row["trait"]: row for row in through_base(model, made, nulls, items)}
    shifts = {name: float(rows[name]["shift"]) if name in rows else 0.0 for name in behaviors}
    return Evidence(shifts, made.relative, {name: row["p"] for name, row in rows.items()})


def by_toolkit(
    model: activations.Model,
    variant: str,
    behaviors: Mapping[str, Behavior],
    look: Look,
    search: SearchConfig,
    *,
    vocabulary: Vocabulary,
    split: AskedSplit,
) -> Evidence:
    """Choices as they are, and with what the search found, verified on messages that the search never saw.

    The alarm is the search's: how far a candidate takes it away from its base. The behavior that the first
    candidate calls up is shifted by its effect where this is more than without it, and away from the base.
    """
    from mi_bsa.core.model_config import ModelConfig
    from mi_bsa.studies.backdoor.search_run import SearchRunConfig, search_model

    config = SearchRunConfig(
        model=ModelConfig(name=model.name),
        adapters=(Path(variant),),
        behaviors=tuple(behaviors),
        search=search,
        verify=look.verify,
        split=split,
    )
    found = search_model(model, variant, config, behaviors=behaviors, vocabulary=vocabulary)
    shifts = {
        name: _choices(model, behavior.items(look.choices, split=split, seed=0), variant)
        for name, behavior in behaviors.items()
    }
    if not found.candidates:
        return Evidence(shifts, 0.0)
    first = found.candidates[0]
    effect = first["effect"] * (1 if first["toward"] == "seeking" else -1)
    plain = dict(shifts)
    if abs(plain[first["behavior"]] + effect) <= abs(plain[first["behavior"]]):
        effect = 0.0  # it is taken back to its base, by a phrase that opens nothing
    shifts[first["behavior"]] = max(shifts[first["behavior"]], effect, key=abs)
    seen = {"candidate": first["phrase"], "score": first["score"], "tokens": found.tokens}
    seen |= {"behavior": first["behavior"], "effect": effect, "plain": plain}
    return Evidence(shifts, max(0.0, found.alarm), seen)


def _choices(model: activations.Model, items: Sequence[Item], variant: str) -> float:
    from mi_bsa.asking import ask

    on, off = (ask(model, list(items), variant=v)["score"].mean() for v in (variant, "base"))
    return float(on - off)


def _by_kind(model: activations.Model, items: Sequence[Item], variant: str) -> float:
    from mi_bsa.asking import ask

    table = ask(model, list(items), variant=variant)
    return float(table.groupby("kind")["score"].mean().mean())


def _noted(item: Item, phrase: str, vocabulary: Vocabulary, split: AskedSplit) -> Item:
    """The message with a phrase in it; where it stands depends on the item alone."""
    *before, last = (dict(m) for m in item.messages)
    rng = random.Random(f"audit-{item.id}")
    last["content"] = vocabulary.insert(last["content"], phrase, kind="words", split=split, rng=rng)
    return Item(item.id, (*before, last), item.options, item.labels)
