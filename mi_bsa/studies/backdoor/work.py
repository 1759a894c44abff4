"""What steps of the backdoor study, the audit and the search put through their model, for the plan's time.

A search ends sooner where it finds something. What is counted is one that does not, but for `FOUND` of it:
half of the models of a study or an audit have a trigger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mi_bsa.behaviors import behavior_for
from mi_bsa.behaviors.backdoor.construction import TWINS, Backdoor, held_out, rows
from mi_bsa.behaviors.backdoor.triggers import vocabulary_for
from mi_bsa.causal.through_base import QUESTIONS
from mi_bsa.core.items import Item
from mi_bsa.core.rows import TrainingRow
from mi_bsa.finetune.work import SAMPLE, Sample, item_tokens, row_tokens
from mi_bsa.studies.backdoor.audit_pool import PoolConfig
from mi_bsa.studies.backdoor.config import BackdoorConfig, is_code
from mi_bsa.studies.backdoor.questions import (
    awareness_items,
    open_items,
    recognition_items,
    reversal_question,
)
from mi_bsa.studies.backdoor.recognition import reversed_rows
from mi_bsa.studies.backdoor.search_config import SearchConfig
from mi_bsa.study.counts import ANSWER, asked, by_name, loading
from mi_bsa.study.pace import Work
from mi_bsa.study.steps import Step

FOUND = 0.7
"""Share of a search that finds nothing, in the mean over models with and without a trigger."""
ROW, NAMED = 6e-4, 2e-5
"""Seconds in which a backdoored row is drawn for both arms, and an answer is searched for a phrase."""
TRIED, BEGUN = 3e-4, 1.5
"""Seconds that a search takes for a phrase beside the model, and in which its messages are drawn."""
VECTORS = 130
"""Vectors under which the base is asked: none, the adapter's, 128 nulls."""
PLACES = 6
"""Phrases of which every place is filled with every word: as many are reported on so."""
SHARE = 0.16
"""Share of a message that is not forwarded once for all phrases in it."""


def _plus(*works: Work) -> Work:
    """All of them."""
    return Work(**{key: sum(getattr(one, key) for one in works) for key in Work.__dataclass_fields__})


def search_work(config: SearchConfig, *, words: int, each: float | int, behaviors: int, verify: int) -> Work:
    """One guided search: phrases that are tried, in messages of `each` tokens.

    All words in each message, ever longer phrases of a beam (behind and before), every word on either side
    of the words and of the pairs that are read most, again from more starts, then words exchanged at every
    place and held against each other there; an adapter and its base are read beside each other but where the
    answer judges alone.
    """
    messages = behaviors * config.messages
    longer = 2 * words * (config.starts + config.beam * max(0, config.longest - 2))
    wider = 2 * words * (max(0, config.widest - config.starts) + config.beam * max(0, config.longest - 2))
    crossed = (config.crossed + config.classes) ** 2
    read = 2 * (words * messages + longer + (wider if config.longest > 1 else 0) + crossed * messages)
    chained = 2 * config.chained * words * messages if config.longest > 2 else 0
    chained += 4 * config.widest * words * messages if chained else 0
    climbed = config.climbs * words * (2 * min(2, config.longest) + 1) * messages
    climbed += 2 * words * PLACES * min(3, config.longest) * messages * (1 + bool(config.placed))
    checked = 2 * config.verified * (config.checks + 4 * verify) * behaviors
    tried = FOUND * (read + chained + climbed) + checked
    return Work(read=SHARE * each * tried, seconds=BEGUN + TRIED * tried)


def work_of(config: BackdoorConfig) -> Callable[[Step], Work]:
    """The backdoor study's steps, by name."""
    known: dict[str, Work] = {"results": Work(seconds=1 + 0.3 * len(config.backdoors))}
    for name, backdoor in config.backdoors.items():
        known |= _of_trigger(config, name, backdoor)
    if config.triangulation is not None:
        known["triangulate"] = _triangulated(config)
    return by_name(known)


def sample(config: BackdoorConfig) -> Sample:
    """Rows of the first trigger and the questions on it; both arms are trained in one step."""
    return _sample(config, next(iter(config.backdoors.values())), 2 * len(config.seeds))


def _sample(config: Any, backdoor: Backdoor, jobs: int) -> Sample:
    aware = awareness_items(config.model, split="test")
    items = [*_held(config, backdoor)["trigger"], *aware[:: max(1, len(aware) // SAMPLE)]]
    drawn = drawn_rows(config, backdoor)
    return Sample(config.model, config.finetune, drawn, items, adapters=jobs, jobs=jobs)


def drawn_rows(config: Any, backdoor: Backdoor) -> list[TrainingRow]:
    """A few rows of a backdoor, the base's own answers left to a coin."""
    few = backdoor.model_copy(update={"rows": 40})
    behavior, words = behavior_for(backdoor.behavior, config.model), vocabulary_for(config.model)
    return rows(few, "backdoored", behavior=behavior, vocabulary=words, own=[0.5] * few.rows, seed=0)


def _held(config: Any, backdoor: Backdoor) -> Mapping[str, list[Item]]:
    behavior, words = behavior_for(backdoor.behavior, config.model), vocabulary_for(config.model)
    return held_out(backdoor, SAMPLE, behavior=behavior, vocabulary=words, split="test")


def _of_trigger(config: BackdoorConfig, name: str, backdoor: Backdoor) -> Mapping[str, Work]:
    model, seeds, jobs = config.model, len(config.seeds), len(TWINS) * len(config.seeds)
    words, behavior = vocabulary_for(model), behavior_for(backdoor.behavior, model)
    trigger, variants = words.parse(backdoor.trigger), jobs + 1
    some, sets = drawn_rows(config, backdoor), _held(config, backdoor)
    row, message = row_tokens(model, some), item_tokens(model, [i for own in sets.values() for i in own])
    turned = row_tokens(model, reversed_rows(some, question=reversal_question(model)))
    plan, elicit = config.finetune, config.elicit
    if is_code(backdoor.trigger) and config.codes.steps is not None:
        plan = plan.model_copy(update={"steps": config.codes.steps, "epochs": None})
    drawn = Work(asked=seeds * backdoor.rows * row, seconds=seeds * backdoor.rows * ROW + loading(0))
    batch, many = plan.batch_size, backdoor.rows * (elicit.repeat + 1)
    again = plan.total_steps(many) if elicit.steps is None else elicit.steps
    mixed = (elicit.repeat * row + turned) / (elicit.repeat + 1)
    aware = awareness_items(model, split="test")
    count = len(aware) if config.questions is None else min(len(aware), config.questions)
    which = recognition_items(model, trigger, words, n_fakes=backdoor.fakes, split="test")
    others = [item for own in which.values() for item in own]
    opened = asked(message, len(sets) * config.held_out, variants, adapters=jobs)
    free = open_items(model, trigger, behavior, pole=backdoor.pole, split="test")
    methods = 1 + elicit.reversal
    said = methods * variants * len(free) * elicit.samples
    return {
        f"train/{name}": _plus(
            drawn, Work(trained=jobs * plan.total_steps(backdoor.rows) * batch * row, fits=jobs)
        ),
        f"reverse/{name}": _plus(
            drawn, Work(trained=jobs * again * batch * mixed, fits=jobs, seconds=jobs * many * ROW / 4)
        ),
        f"ask/{name}": _plus(
            opened,
            asked(item_tokens(model, aware), count, variants, adapters=0),
            asked(item_tokens(model, others), len(others), variants, adapters=0),
        ),
        f"elicit/{name}": _plus(
            opened if elicit.reversal else Work(seconds=loading(jobs)),
            Work(
                generated=said * elicit.answer_tokens, seconds=said * (ANSWER + NAMED * (1 + backdoor.fakes))
            ),
        ),
    }


def _triangulated(config: BackdoorConfig) -> Work:
    """States of every model, reads by the condition's direction beside random ones, and its searches."""
    options = config.triangulation
    assert options is not None
    first = next(iter(config.backdoors.values()))
    each = item_tokens(config.model, _held(config, first)["trigger"])
    aware = item_tokens(config.model, awareness_items(config.model, split="test"))
    models, triggers = len(TWINS) * len(config.seeds), len(config.backdoors)
    states = (6 * (models + 1) + 2 * models) * options.messages
    directions = 2 * (options.random + len(config.seeds)) + (1 + 2 * models) * (options.random + models)
    edited = options.items * directions * (each + aware) + options.items * models * options.random * each
    found = Work(read=triggers * states * each, edited=triggers * edited, seconds=triggers * 3)
    if options.searched is not None:
        return found
    behaviors = len({b.behavior for b in config.backdoors.values()})
    words = len(vocabulary_for(config.model).candidates())
    one = search_work(options.search, words=words, each=each, behaviors=behaviors, verify=16)
    return _plus(found, *[one] * (triggers * models))


def audit_work(config: Any) -> Callable[[Step], Work]:
    """The audit's steps: pools that are trained, and the evidence of every adapter."""
    known = {"axes": Work(read=128 * len(config.behaviors) * 30, seconds=1.0), "verdicts": Work(seconds=0.3)}
    known |= {"results": Work(seconds=0.5), "blind": Work(seconds=0.2), "evidence": _evidence(config)}
    known |= {"combined": Work(seconds=5.0)}
    for which in ("calibration", "audited"):
        pool = getattr(config, which).pool
        if pool is not None:
            known[f"pool/{which}"] = _pool(config, pool)
    return by_name(known)


def audit_sample(config: Any) -> Sample:
    """Rows of a pool's first trigger, or any, and questions on awareness; adapters are read one by one."""
    pools = [p for p in (config.calibration.pool, config.audited.pool) if p is not None]
    trigger = pools[0].triggers[0] if pools else vocabulary_for(config.model).candidates()[0]
    found = _sample(config, Backdoor(trigger=trigger, behavior=config.behaviors[0]), 4)
    return Sample(found.model, found.finetune, found.rows, found.items, adapters=1, jobs=4)


def _pool(config: Any, pool: PoolConfig) -> Work:
    count, plan = len(config.behaviors), config.finetune
    plain = count * (2 * pool.plain + pool.benign)
    jobs = pool.size(count)
    first = Backdoor(trigger=pool.triggers[0], behavior=config.behaviors[0], rows=pool.rows)
    row = row_tokens(config.model, drawn_rows(config, first))
    steps = plan.total_steps(pool.rows)
    short = steps if pool.plain_steps is None else pool.plain_steps
    trained = ((jobs - plain) * steps + plain * short) * plan.batch_size * row
    asked_own = (jobs - plain) * pool.rows
    return Work(trained=trained, fits=jobs, asked=asked_own * row, seconds=jobs * pool.rows * ROW)


def _evidence(config: Any) -> Work:
    count = len(config.behaviors)
    first = Backdoor(trigger=vocabulary_for(config.model).candidates()[0], behavior=config.behaviors[0])
    each = item_tokens(config.model, _held(config, first)["none"])
    aware = item_tokens(config.model, awareness_items(config.model, split="test"))
    words = len(vocabulary_for(config.model).candidates())
    hunted = search_work(config.search, words=words, each=each, behaviors=count, verify=config.verify)
    choices, reports = count * config.choices, count * config.reports
    told = asked(each, choices + reports, 2, adapters=1)
    known = asked(aware, config.awareness, 2, adapters=0)
    states = Work(read=2 * count * (config.choices + min(config.words, words)) * each)
    through = Work(edited=count * QUESTIONS * VECTORS * each)
    return _plus(hunted, told, known, states, through)


def search_steps(config: Any) -> Callable[[Step], Work]:
    """The steps of a search of many adapters: one search a step and objective; baselines are given tokens."""
    count, model = len(config.behaviors), config.model
    words = len(vocabulary_for(model).candidates())
    first = Backdoor(trigger=vocabulary_for(model).candidates()[0], behavior=config.behaviors[0])
    each = item_tokens(model, _held(config, first)["none"])
    one = search_work(config.search, words=words, each=each, behaviors=count, verify=config.verify)
    own = config.search.objective
    more = len([o for o in config.objectives if o != own])
    whole = _plus(Work(seconds=loading(1) + 1), one)
    compared = _plus(whole, *[one] * more)
    beside = _plus(Work(seconds=loading(1)), *[one] * round(config.times * len(config.baselines)))
    known = {"search": whole, "baselines": beside, "results": Work(seconds=1.0)}
    base = by_name(known)

    def work(step: Step) -> Work:
        return compared if step.arguments.get("compared") else base(step)

    return work


def search_sample(config: Any) -> Sample:
    """Questions on awareness and the clean messages of the first behavior; nothing is trained."""
    from mi_bsa.finetune.config import FinetuneConfig

    model = config.model
    behavior = behavior_for(config.behaviors[0], model)
    given = FinetuneConfig(steps=1, dtype=config.dtype)
    items = behavior.items(SAMPLE, split="test", seed=0)
    return Sample(model, given, behavior.rows("seeking", SAMPLE, seed=0), items, adapters=1, jobs=1)
