"""`mi-bsa patch`: one run's activations put into another over layer x position, as maps, tables and figures.

The law: what one gradient estimates is held against exact patching on its top cells, and a map whose gap
between the two runs may be 0 says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import activations
from activations import adapter_comparison, adapter_constancy, adapter_gates, attribution, maps, metrics
from mi_bsa.asking.readouts import Readout
from mi_bsa.causal.config import PatchRun
from mi_bsa.causal.figures.patch_map import draw_patch_map
from mi_bsa.causal.given_items import items_of, pairs_of
from mi_bsa.core import model_config, record, results
from mi_bsa.core.errors import SteeringError
from mi_bsa.core.results import Place, Result
from mi_bsa.finetune import preflight
from mi_bsa.report.svg import save

if TYPE_CHECKING:
    from activations import Model, PatchMap

Say = Callable[[str], None]
WORTH_READING = 0.5
"""Rank correlation with exact patching below which an estimate says little of which cells matter."""


def rehearse(settings: PatchRun) -> list[str]:
    """What `--dry-run` does first: load the model where it is small, and pair what would be patched."""
    lines, loaded = preflight.rehearse(settings), preflight.loaded_small(settings.model)
    if loaded is not None:
        _variants(settings, loaded)
        read = _read_outs(settings, loaded)
        counted = ", ".join(f"{name}: {len(pairs)} pairs" for name, (pairs, _, _) in read.items())
        return [*lines, f"would patch {counted}"]
    if settings.pairs is not None:
        pairs_of(settings.pairs)
    elif settings.items is not None:
        for items in items_of(settings.items, split=settings.split, model=settings.model).values():
            if preflight.is_here(settings.model):
                preflight.encode_items(settings.model, items)
    return lines


def run(settings: PatchRun, out: Path, *, resume: bool, say: Say) -> None:
    """Write maps, tables, results and figures into a run folder; `say` is told what was found."""
    model = preflight.ready(settings, out, resume=resume)
    source, target = _variants(settings, model)
    read_outs = _read_outs(settings, model)
    found: list[Result] = []
    with record.start(
        out, config=settings, resume=resume, seeds=(), revisions=model_config.facts(model)
    ) as folder:
        for name, (pairs, metric, behavior) in read_outs.items():
            common: dict[str, Any] = {
                "metric": metric,
                "sites": settings.site,
                "source": source,
                "target": target,
                "align": settings.align,
                "positions": settings.positions,
                "by_head": settings.by_head,
                "mode": settings.mode,
            }
            patched = activations.patch_map(model, pairs, **common)
            patched.to_dataframe().to_csv(folder.path / f"patch_{name}.csv", index=False)
            say(f"{name}: {patched}; {_counted(patched)}")
            if not patched.readable:
                say(
                    f"{name}: the interval of the mean gap between the two runs holds 0, so recoveries are "
                    "ratios to nothing"
                )
            columns = ["site", "layer", "position", "role", "head", "recovery", "low", "high", "n"]
            say(patched.top(8)[columns].round(3).to_string(index=False))
            found += _cells(patched, name, behavior, settings, source, target)
            if settings.attribution:
                found += _agreement(model, pairs, patched, common, name, behavior, settings, say)
        if settings.gates is not None:
            found += _gates(settings, model, source, folder.path, say)
        results.write(found, folder.path)
        _draw(found, folder.path)
        say(f"written to {folder.path}")


def _variants(settings: PatchRun, model: Model) -> tuple[str, str]:
    adapters = [name for name in model.variants if name != "base"]
    source = settings.source or (adapters[0] if len(adapters) == 1 else None)
    if source is None and settings.pairs is not None:
        source = "base"
    if source is None:
        raise SteeringError(
            f"source is not given and the model has {len(adapters)} adapters; set source to one of base, "
            f"{', '.join(adapters)}"
        )
    target = settings.target or (source if settings.pairs is not None else "base")
    if settings.pairs is None and source == target:
        raise SteeringError(
            f"source and target are both {source!r} on the same prompts, so nothing differs; give two "
            "variants, or pairs"
        )
    return source, target


def _read_outs(settings: PatchRun, model: Model) -> dict[str, tuple[list[Any], Any, str]]:
    """{read-out: (pairs, metric, behavior)}."""
    if settings.pairs is not None:
        pairs, answers, others = pairs_of(settings.pairs)
        ids = [
            metrics.answer_tokens(model, [target for _, target in pairs], words)
            for words in (answers, others)
        ]
        by_name = {
            "log_odds": lambda: metrics.logit_difference(*ids),
            "probability": lambda: metrics.probability(ids[0]),
            "kl": metrics.kl,
        }
        return {"pairs": (list(pairs), by_name[settings.metric](), settings.pairs.stem)}
    assert settings.items is not None
    found = {}
    own = items_of(settings.items, split=settings.split, model=settings.model, reader=model)
    for name, items in own.items():
        readout = Readout.of(model, items, name=name, first_token=settings.items.first_token)
        metric = readout.metric() if settings.metric == "log_odds" else metrics.kl()
        found[name] = (list(readout.prompts), metric, settings.items.behavior or "items")
    return found


def _counted(found: PatchMap) -> str:
    c = found.counts
    idle = f"{c['equal']} equal and {c['unreachable']} out of reach, filled in"
    return f"{c['cells']} cells, {c['run']} run, {idle}"


def _cells(
    found: PatchMap, name: str, behavior: str, settings: PatchRun, source: str, target: str
) -> list[Result]:
    rows = []
    warning = "" if found.readable else "; the interval of the gap holds 0: a ratio to nothing"
    for cell in found.to_dataframe().itertuples():
        if cell.n < 2:
            continue
        where: dict[str, Place] = {
            "behavior": behavior,
            "variant": f"{source} -> {target}",
            "site": cell.site,
            "layer": int(cell.layer),
            "position": str(cell.position),
            "kind": name,
            "split": settings.split,
        }
        if found.heads:
            where["site"] = f"{cell.site} head {int(cell.head)}"
        rows.append(
            Result(
                "patch.recovery",
                where,
                cell.recovery,
                (cell.low, cell.high),
                cell.ci_method,
                cell.n,
                "recovery",
                notes=f"{found.metric}, {found.mode}; role {cell.role}; "
                f"{cell.filled:.0%} of examples filled in as equal{warning}",
            )
        )
    return rows


def _agreement(
    model: Model,
    pairs: list[Any],
    patched: PatchMap,
    common: dict[str, Any],
    name: str,
    behavior: str,
    settings: PatchRun,
    say: Say,
) -> list[Result]:
    if sum(patched.counts[key] for key in ("run",)) < 3 or patched.patched[0].size < 3 or len(pairs) < 3:
        return []
    estimate = attribution.attribute(model, pairs, **common)
    same = maps.agreement(estimate, patched, top=20)
    say(
        f"{name}: attribution by gradients against exact patching on the top {same.cells} cells: "
        f"rank correlation {same.spearman:.2f} [{same.low:.2f}, {same.high:.2f}], {same.overlap:.0%} of the "
        "top cells shared"
    )
    if same.spearman < WORTH_READING:
        say(
            f"{name}: one gradient does not order these cells; read the exact map, or estimate with "
            "activations.attribute(..., method='integrated')"
        )
    where = {
        "behavior": behavior,
        "site": patched.sites[0].name,
        "method": "gradient",
        "kind": name,
        "split": settings.split,
    }
    return [
        Result(
            "patch.attribution_agreement",
            where,
            same.spearman,
            (same.low, same.high),
            same.ci_method,
            same.n,
            "rank correlation",
            notes=f"top {same.cells} cells; {same.overlap:.0%} of the top cells shared",
        )
    ]


def _gates(settings: PatchRun, model: Model, source: str, folder: Path, say: Say) -> list[Result]:
    assert settings.gates is not None
    read = _read_outs(settings, model)
    behavior = next(iter(read.values()))[2]
    profiles = adapter_gates.profiles(
        model,
        {name: (pairs, metric) for name, (pairs, metric, _) in read.items()},
        adapter=source,
        seed=settings.gates.seed,
        n_permutations=settings.gates.permutations,
    )
    table = pd.concat([one.to_dataframe() for one in profiles.values()], ignore_index=True)
    table.to_csv(folder / "gates.csv", index=False)
    say(table[table["method"] == "shapley"].round(3).to_string(index=False))
    found = [
        Result(
            "attribution.module",
            {
                "behavior": behavior,
                "variant": source,
                "site": row.module,
                "layer": int(row.layer),
                "method": row.method,
                "kind": row.read_out,
                "split": settings.split,
            },
            row.value,
            (row.low, row.high),
            row.ci_method,
            row.n,
            "log-odds",
        )
        for row in table.itertuples()
        if row.n > 1
    ]
    if len(profiles) == 2 and len(next(iter(profiles.values())).modules) >= 3:
        first, second = profiles.values()
        both = adapter_comparison.compare(first, second, seed=settings.gates.seed)
        both.table.to_csv(folder / "dissociation.csv", index=False)
        say(
            f"profiles of the two read-outs: rank correlation {both.spearman:.2f} [{both.low:.2f}, "
            f"{both.high:.2f}]"
        )
        say(both.table.round(3).to_string(index=False))
        found.append(
            Result(
                "bridge.attribution.rank_correlation",
                {"behavior": behavior, "variant": source, "method": "shapley", "split": settings.split},
                both.spearman,
                (both.low, both.high),
                both.ci_method,
                len(both.table),
                "rank correlation",
            )
        )
    if settings.gates.constancy and settings.items is not None and settings.items.behavior is not None:
        for name, (pairs, metric, _) in read.items():
            fit = [
                item.prompt()
                for item in items_of(
                    settings.items,
                    split="dev" if settings.split == "test" else "test",
                    model=settings.model,
                )[name]
            ]
            report = adapter_constancy.constancy(model, fit, pairs, metric=metric, adapter=source)
            report.to_dataframe().to_csv(folder / f"constancy_{name}.csv", index=False)
            report.replacement.to_csv(folder / f"constancy_{name}_kept.csv", index=False)
            say(f"{name}: constancy of each module, and what is kept when it is replaced by its constant")
            say(report.to_dataframe().round(3).to_string(index=False))
            say(report.replacement.round(3).to_string(index=False))
    return found


def _draw(found: list[Result], folder: Path) -> None:
    shown = [one for one in found if one.name == "patch.recovery"]
    if shown:
        save(draw_patch_map(shown), folder / "figures", "patch_map")
