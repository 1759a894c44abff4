"""`mi-bsa steer`: dose curves of given or measured directions, from a config to a run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mi_bsa.causal import steering
from mi_bsa.causal.config import SteerRun
from mi_bsa.causal.contrasts import contrast_directions
from mi_bsa.causal.figures.doses import draw_doses
from mi_bsa.causal.given_items import items_of, neutral_of
from mi_bsa.core import model_config, record, results
from mi_bsa.finetune import preflight
from mi_bsa.report.svg import save
from probes import Direction

if TYPE_CHECKING:
    from activations import Model
    from mi_bsa.core.items import Item


def rehearse(settings: SteerRun) -> list[str]:
    """What `--dry-run` does first: load the model where it is small, the directions, and the items."""
    lines, loaded = preflight.rehearse(settings), preflight.loaded_small(settings.model)
    if loaded is not None:
        for variant in (settings.variant, *(settings.contrast or ())):
            loaded.parse_variant(variant)
    for split in ("dev", "test"):
        for name, items in items_of(settings.items, split=split, model=settings.model, reader=loaded).items():
            if preflight.is_here(settings.model):
                kinds = preflight.encode_items(settings.model, items)
                lines.append(f"{name}, {split}: {len(items)} items of {kinds} kinds")
    neutral = neutral_of(settings.items, settings.model)
    if loaded is not None:
        loaded.rows(neutral)
    if settings.directions:
        _directions(settings, None, {})
    _others(settings)
    return lines


def run(settings: SteerRun, out: Path, *, resume: bool, say: Callable[[str], None]) -> None:
    """Write curves, tables, results and figures into a run folder; `say` is told what was found."""
    model = preflight.ready(settings, out, resume=resume)
    early, late = (
        items_of(settings.items, split="dev", model=settings.model, reader=model),
        items_of(settings.items, split="test", model=settings.model, reader=model),
    )
    neutral = neutral_of(settings.items, settings.model)
    directions, others = _directions(settings, model, early), _others(settings)
    with record.start(
        out, config=settings, resume=resume, seeds=[settings.seed], revisions=model_config.facts(model)
    ) as folder:
        for one in directions:
            folder.directions.mkdir(exist_ok=True)
            if not (folder.directions / f"{one.site}.safetensors").exists():
                one.save(folder.directions / f"{one.site}.safetensors")
        found = steering.steer(
            model,
            directions,
            development=early,
            report=late,
            neutral=neutral,
            strengths=list(settings.strengths),
            choose_by=settings.choose_by,
            max_kl=settings.max_kl,
            variant=settings.variant,
            others=others,
            n_random=settings.n_random,
            n_difference=settings.n_difference,
            n_test=settings.n_test,
            seed=settings.seed,
            positions=settings.positions,
            progress=lambda stage: say(f"{stage} ..."),
        )
        for name in ("development", "curve", "items", "matched", "others"):
            getattr(found, name).to_csv(folder.path / f"{name}.csv", index=False)
        method = "mean_difference" if settings.contrast else "direction"
        numbers = found.results(
            behavior=settings.items.behavior or "items", variant=settings.variant, method=method
        )
        results.write(numbers, folder.path)
        save(
            draw_doses([one for one in numbers if one.name == "steer.level"]),
            folder.path / "figures",
            "doses",
        )
        columns = [
            "read_out",
            "strength",
            "score",
            "low",
            "high",
            "null_low",
            "null_high",
            "mass",
            "kl",
            "perplexity",
            "n",
        ]
        say(found.curve[columns].round(3).to_string(index=False))
        chosen = f"chosen on development items: {found.chosen.site} at strength {found.strength:g}"
        said = ", ".join(
            f"{name} p = {p:.3g} (of {settings.n_test} random directions)" for name, p in found.p.items()
        )
        say(f"{chosen}; {said}")
        say(f"written to {folder.path}")


def _directions(settings: SteerRun, model: Model | None, early: dict[str, list[Item]]) -> list[Direction]:
    if settings.directions:
        return [Direction.load(path) for path in settings.directions]
    assert settings.contrast is not None
    assert model is not None
    return contrast_directions(model, early[settings.choose_by], settings.contrast, site=settings.site)


def _others(settings: SteerRun) -> dict[str, list[Direction]]:
    return {name: [Direction.load(path) for path in paths] for name, paths in settings.others.items()}
