"""What each step of a behavior study puts through its model, counted from the config: for the plan's time.

Counts are of prompts, each as long as the study's questions are in the mean; the most that a step can ask,
since items that cannot be read are left out when it runs. Nulls, which take most of the time, are
`sizes.null_passes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mi_bsa.behaviors import behavior_for
from mi_bsa.core.shape import shape_of
from mi_bsa.finetune.work import item_tokens, row_tokens
from mi_bsa.studies.behavior.config import BehaviorConfig
from mi_bsa.study.pace import Work
from mi_bsa.study.steps import Step

NEUTRAL, BACKWARD, WHOLE = 16, 3, 2
"""Neutral prompts of a coherence gate; what a trained vector's step costs in edited passes; what a pass from
the first block on costs in edited ones, which begin in the middle."""

ALONE = 2
"""Tokens that an edit of the answer slot alone costs: one, which by itself takes as long as two in a row
(SmolLM2 on AMX: 1,035 tokens a second against 2,000)."""

POOL = 300
"""Wordings of an embedded model's pool; a larger vocabulary has about a hundred."""


def works(config: BehaviorConfig) -> Mapping[str, Work]:
    """Step, or kind of step -> its work."""
    behavior = behavior_for(config.behavior, config.model)
    data, model = config.data, config.model
    sets = behavior.study_sets(choices=data.choices, others=data.others)
    items = [item for own in sets.values() for item in own]
    rows = behavior.rows("seeking", data.rows, seed=0, anchors=data.anchors, undecided=data.undecided)
    each, one = item_tokens(model, items), row_tokens(model, rows)
    from mi_bsa.studies.behavior.sizes import null_passes

    nulls, blocks, few = null_passes(config), shape_of(model).blocks, config.place.items
    adapters, recovery, needed = len(config.poles), config.recovery, config.necessity
    steps = recovery.train_steps * recovery.train_batch * BACKWARD
    dosed = len(recovery.strengths) * (few + NEUTRAL) + 2 * few
    kinds = len(recovery.kinds) + 1  # and the report's own vector
    layers: Sequence[int] = range(blocks)
    if config.finetune.layers == "first_half":
        layers = range(blocks // 2)
    elif isinstance(config.finetune.layers, tuple):
        layers = config.finetune.layers
    modules, above = len(layers) * len(config.finetune.module_names), WHOLE * (1 - min(layers) / blocks)
    attributed, geometry, asked = config.attribution, config.geometry, config.state_or_prompt
    places = blocks * len(config.place.scopes) * few
    # prompts that are edited at the place, and those that are whatever the place is
    intro, turns = config.introspection, config.turns
    placed = {
        "vectors": adapters * (2 * 2 * places + 2 * steps),
        "recovery": nulls["recovery"] + adapters * (kinds * dosed + steps),
        "rivals": adapters * (config.rivals.shuffles + 1) * (steps + dosed),
        "necessity": nulls["necessity"] + adapters * 8 * few * len(needed.kinds),
        "mediation": nulls["mediation"] + adapters * 8 * few * len(config.mediation.kinds),
        "prompts": nulls["prompts"],
        "introspection": (2 * intro.random + 2 * adapters) * intro.items if intro else 0,
        "multiverse/levels": adapters * (kinds * dosed + 4 * few) * (1 + config.multiverse.places),
    }
    whole = {
        "vectors": 4 * adapters * few,
        "recovery": above * adapters * (len(layers) + 6) * few,
        "rivals": 4 * adapters * few,
        "necessity": needed.everywhere * WHOLE * adapters * few * 4 * (needed.beside + len(needed.kinds)),
        "mediation": 4 * adapters * few,
        # a block runs once for settings of gates that are alike up to it: half of them, of many blocks
        "attribution": 4
        * attributed.seeds
        * attributed.items
        * attributed.permutations
        * modules
        * above
        * (len(layers) + 1)
        / (2 * len(layers))
        + 2 * adapters * few * (blocks + 2 * len(layers)),
        # each module's additions are replaced in two ways, from its block on
        "geometry": WHOLE
        * adapters
        * geometry.items
        * (4 * modules * (1 - sum(layers) / len(layers) / blocks) + 4 * len(geometry.kinds)),
        "prompts": adapters * asked.items * (8 + asked.in_context),
        "steer": 2 * config.steer.items * (config.steer.test_random + blocks * len(config.steer.scales) * 2)
        + config.steer.items * len(config.steer.scales) * (config.steer.random + config.steer.differences),
        # the pool's prompts, and conversations of every run in both splits, with the adapter and without
        "introspection": POOL * intro.matched + 4 * adapters * intro.items * sum(1 + n for n in intro.acts)
        if intro
        else 0,
        # choices and reports of every turn; a turn later prompts are a turn longer
        "turns": turns.conversations
        * turns.turns
        * (turns.turns + 1)
        * (2 * adapters + adapters + turns.random)
        if turns
        else 0,
        "patch": 4 * config.patch.seeds * config.patch.items * blocks * each / 2,
    }
    at_place = min(ALONE, each) if set(config.place.scopes) == {"slot"} else each
    if set(config.place.scopes) == {"slot"}:
        placed["steer"] = round(whole.pop("steer"))
    edited = {name: at_place * placed.get(name, 0) + each * whole.get(name, 0) for name in {*placed, *whole}}
    # loading the adapters and the statistics: 1 s of processor with six, on the embedded model
    found = {name: Work(edited=n, seconds=0.7 + 0.05 * adapters) for name, n in edited.items()}
    usual, probe = type(config.probe)(), config.probe
    shuffled = (probe.shuffles + probe.test_shuffles) / (usual.shuffles + usual.test_shuffles)
    cached = config.probe.prompts * (1 + len(config.poles))
    total = config.finetune.total_steps(len(rows)) * config.finetune.batch_size
    found |= {
        "ask": Work(asked=each * len(items), seconds=0.2),
        "cache": Work(read=each * cached, seconds=0.2),
        "transfer": Work(seconds=1 + 19 * shuffled),
        "finetune": Work(trained=one * total, fits=1),
        "rows": Work(seconds=0.3),
    }
    if config.emergence.checkpoints:
        reached = len(config.arms) * config.emergence.seeds
        found["emergence"] = Work(
            trained=one * total * reached, asked=each * len(items) * reached * config.emergence.checkpoints
        )
    return found


def work_of(config: BehaviorConfig) -> Callable[[Step], Work]:
    """The work of every step that is counted here; others keep their seconds, as work beside the model."""
    alone = config.parts or {"": config}
    parts: dict[str, Mapping[str, Work]] = {part: works(one) for part, one in alone.items()}

    def own(step: Step) -> Work:
        known, name = parts.get(step.part, {}), step.own(step.name)
        kind = name.partition("/")[0]
        if kind == "train":  # several at once, each of which then only says that it is there
            jobs = len(step.outputs)
            one = known["finetune"]
            return Work(trained=jobs * one.trained, fits=jobs)
        if kind == "finetune" and not step.outputs:
            return Work()
        return known.get(name, known.get(kind, Work(seconds=step.seconds)))

    return own
