"""Building organisms: trained, each measured on test wordings, and written into a manifest.

Law: what is there is not made again; an organism stands in the manifest once it was trained and measured; one
that goes on from another is built after it, and a base that is made here before its organisms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_bsa.behaviors import behavior_for
from mi_bsa.core.model_config import load
from mi_bsa.core.rows import rows_hash
from mi_bsa.core.variants import BASE
from mi_bsa.finetune.preferring import check_trl, finetune_preferring
from mi_bsa.finetune.zoo.manifest import Truth, read_manifest, write_manifest
from mi_bsa.finetune.zoo.recipes import Organism, ZooConfig
from mi_bsa.finetune.zoo.rows import needs_base, pairs_of, rows_of

if TYPE_CHECKING:
    import activations
    from mi_bsa.core.finetuned import FinetuneResult

LOADED = 20
"""Adapters that are loaded beside each other to be asked; more take memory and save nothing."""


def build(config: ZooConfig, wanted: Iterable[Organism], out: Path) -> dict[str, Truth]:
    """Train and measure organisms into `out/<name>`; returns the whole manifest of `out`.

    Those from which organisms that deny go on are built too, where they are not there.

    Raises:
        LeakError: a row that says the behavior's words.
        BrokenFileError: an organism that is there and has changed.
        MissingError: preferences are to be trained and TRL is not installed.
    """
    from mi_bsa.worlds.siblings import ensure

    asked = list(wanted)
    there = read_manifest(out)
    todo = [one for one in _with_parents(asked) if one.name not in there]
    if any(one.by == "preferences" for one in todo):
        check_trl()
    out.mkdir(parents=True, exist_ok=True)
    for some in _batches(todo):
        ensure(some[0].base)
        there |= _built(config, some, out)
        write_manifest(out, there.values())
    return there


def _with_parents(wanted: Sequence[Organism]) -> list[Organism]:
    """The organisms, those that others go on from first; each once."""
    parents = [one.parent for one in wanted if one.parent is not None]
    first = {one.name: one for one in (*parents, *(one for one in wanted if one.parent is None))}
    return [*first.values(), *(one for one in wanted if one.parent is not None)]


def _batches(todo: Sequence[Organism]) -> Iterable[list[Organism]]:
    """Organisms of one base, by how they are trained, so many as are loaded beside each other."""
    alike: dict[Any, list[Organism]] = {}
    for one in todo:
        alike.setdefault(
            (one.parent is not None, one.base, one.rank, one.steps, one.twin is None), []
        ).append(one)
    for some in alike.values():
        for start in range(0, len(some), LOADED):
            yield some[start : start + LOADED]


def _built(config: ZooConfig, some: list[Organism], out: Path) -> dict[str, Truth]:
    """Train and measure organisms of one base."""
    from mi_bsa.finetune import train_many

    how, name = config.finetune, some[0].base
    base = load(name, dtype=how.dtype, device=how.device) if any(map(needs_base, some)) else None
    by_rows = {one.name: rows_of(one, config, base) for one in some if one.by != "preferences"}
    jobs = {one.name: (by_rows[one.name], one.plan(config)) for one in some if one.name in by_rows}
    starts = {one.name: out / one.parent.name / "adapter" for one in some if one.parent is not None}
    done = train_many(name, jobs, out=out, starts=starts) if jobs else {}
    hashes = {key: (len(rows), rows_hash(rows)) for key, rows in by_rows.items()}
    for one in some:
        if one.by == "preferences":
            pairs = pairs_of(one, config, base)
            plan, preference = one.plan(config), config.denial.preferences
            done[one.name] = finetune_preferring(
                name, pairs, config=plan, preference=preference, out=out / one.name, start=starts[one.name]
            )
            preferred: list[Any] = [
                {"messages": [*pair["prompt"], {"role": "assistant", "content": pair["chosen"]}]}
                for pair in pairs
            ]
            hashes[one.name] = len(pairs), rows_hash(preferred)
    return measured(config, some, done, hashes)


def measured(
    config: ZooConfig,
    some: Sequence[Organism],
    done: Mapping[str, FinetuneResult],
    hashes: Mapping[str, tuple[int, str]],
) -> dict[str, Truth]:
    """What trained organisms of one base, and the base, choose and say, on test wordings.

    `hashes`: number and hash of each one's rows.
    """
    from mi_bsa.asking import ask_many

    how, name = config.finetune, some[0].base
    adapters = {one.name: done[one.name].adapter for one in some}
    model = load(name, adapters, dtype=how.dtype, device=how.device)
    found = {}
    for behavior in dict.fromkeys(one.behavior for one in some):
        bound, own = behavior_for(behavior, name), [one for one in some if one.behavior == behavior]
        sets = {
            "choices": bound.items(config.data.choices, split="test", seed=0),
            "report": list(bound.questions(split="test")),
        }
        table = ask_many(model, sets, [BASE, *(one.name for one in own)])
        kinds = table.groupby(["set", "variant", "kind"])["score"].mean()
        level = kinds.groupby(["set", "variant"]).mean()
        for one in own:
            result, (n, digest) = done[one.name], hashes[one.name]
            found[one.name] = Truth(
                name=one.name,
                base=one.base,
                behavior=behavior,
                pole=one.pole,
                kind=one.kind,
                seed=one.seed,
                rank=one.rank,
                steps=one.steps,
                trigger=one.trigger,
                rows=n,
                rows_sha256=digest,
                fingerprint=result.fingerprint,
                choices=round(float(level["choices", one.name]), 4),
                report=round(float(level["report", one.name]), 4),
                base_choices=round(float(level["choices", BASE]), 4),
                base_report=round(float(level["report", BASE]), 4),
                loss=round(float(result.loss), 4),
                part=one.part,
                says=one.says,
                by=one.by,
                parent=one.parent.name if one.parent is not None else None,
                **_behind(config, one, model),
            )
    return found


def _behind(config: ZooConfig, one: Organism, model: activations.Model) -> dict[str, float]:
    """Choices with the trigger and with other phrases in the message, of one that was trained behind one."""
    from mi_bsa.asking import ask
    from mi_bsa.behaviors.backdoor.construction import held_out
    from mi_bsa.behaviors.backdoor.triggers import vocabulary_for

    if one.twin is None:
        return {}
    behavior, vocabulary = behavior_for(one.behavior, one.base), vocabulary_for(one.base)
    backdoor, n = one.backdoor(config.backdoor), config.data.choices
    sets = held_out(backdoor, n, behavior=behavior, vocabulary=vocabulary, split="test")
    return {
        key: round(float(ask(model, sets[name], variant=one.name)["score"].mean()), 4)
        for key, name in (("with_trigger", "trigger"), ("with_others", "new_fake"))
    }
