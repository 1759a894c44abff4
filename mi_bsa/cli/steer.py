"""`mi-bsa steer`: dose curves of a direction on behavior and self-report, against null directions."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mi_bsa.causal.config import SteerRun
from mi_bsa.cli.options import config_options, run_options
from mi_bsa.cli.running import ready

if TYPE_CHECKING:
    from activations import Model
    from mi_bsa.core.items import Item
    from probes import Direction


@click.command()
@config_options(SteerRun, adapters=True)
@run_options
def steer(settings: SteerRun, out: Path, resume: bool, dry_run: bool) -> None:
    """Add a direction at growing strength and read behavior and self-report; layer and strength chosen on
    development items.

    CONFIG is a YAML file such as configs/embedded/risk_steer.yaml: model, items, directions or contrast,
    strengths.
    OUT gets results.json, development.csv, curve.csv, items.csv, matched.csv and figures.
    """
    if dry_run:
        for line in _rehearse(settings):
            click.echo(line)
        click.echo(settings.to_yaml().rstrip())
        return
    _run(settings, out, resume)


def _rehearse(settings: SteerRun) -> list[str]:
    """What `--dry-run` does first: load the model where it is small, the directions, and the items."""
    from mi_bsa.causal.given_items import items_of, neutral_of
    from mi_bsa.finetune import preflight

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


def _run(settings: SteerRun, out: Path, resume: bool) -> None:
    from mi_bsa.causal import steering
    from mi_bsa.causal.given_items import items_of, neutral_of
    from mi_bsa.core import model_config, record, results
    from mi_bsa.report.figures import draw_doses
    from mi_bsa.report.svg import save

    model = ready(settings, out, resume=resume)
    early, late = (
        items_of(settings.items, split="dev", model=settings.model, reader=model),
        items_of(settings.items, split="test", model=settings.model, reader=model),
    )
    neutral = neutral_of(settings.items, settings.model)
    directions, others = _directions(settings, model, early), _others(settings)
    with record.start(
        out, config=settings, resume=resume, seeds=[settings.seed], revisions=model_config.facts(model)
    ) as run:
        for one in directions:
            run.directions.mkdir(exist_ok=True)
            if not (run.directions / f"{one.site}.safetensors").exists():
                one.save(run.directions / f"{one.site}.safetensors")
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
            progress=lambda stage: click.echo(f"{stage} ..."),
        )
        for name in ("development", "curve", "items", "matched", "others"):
            getattr(found, name).to_csv(run.path / f"{name}.csv", index=False)
        method = "mean_difference" if settings.contrast else "direction"
        numbers = found.results(
            behavior=settings.items.behavior or "items", variant=settings.variant, method=method
        )
        results.write(numbers, run.path)
        save(draw_doses([one for one in numbers if one.name == "steer.level"]), run.path / "figures", "doses")
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
        click.echo(found.curve[columns].round(3).to_string(index=False))
        chosen = f"chosen on development items: {found.chosen.site} at strength {found.strength:g}"
        said = ", ".join(
            f"{name} p = {p:.3g} (of {settings.n_test} random directions)" for name, p in found.p.items()
        )
        click.echo(f"{chosen}; {said}")
        click.echo(f"written to {run.path}")


def _directions(
    settings: SteerRun, model: "Model | None", early: "dict[str, list[Item]]"
) -> "list[Direction]":
    from probes import Direction

    if settings.directions:
        return [Direction.load(path) for path in settings.directions]
    assert settings.contrast is not None
    assert model is not None
    from mi_bsa.causal.contrasts import contrast_directions

    return contrast_directions(model, early[settings.choose_by], settings.contrast, site=settings.site)


def _others(settings: SteerRun) -> "dict[str, list[Direction]]":
    from probes import Direction

    return {name: [Direction.load(path) for path in paths] for name, paths in settings.others.items()}
