"""`mi-bsa lens` in steps: the model, the vectors, their readings, tables and results in a run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activations.errors import SiteError
from mi_bsa.core import model_config, record, results
from mi_bsa.core.errors import ConfigError
from mi_bsa.core.model_config import load
from mi_bsa.finetune import preflight
from mi_bsa.studies.inspect.lens_config import LensRun

if TYPE_CHECKING:
    from activations import Model
    from mi_bsa.core.results import Result

SHOWN = 8
"""Words of a vector that are printed; all stand in words.csv."""


def rehearse(settings: LensRun) -> list[str]:
    """What `--dry-run` does: load the model where it is small, read the texts, name the vectors."""
    from mi_bsa.studies.inspect.lenses import texts_of

    texts = texts_of(settings, settings.model)
    through = ", ".join(settings.lenses)
    said = f"{len(texts)} unrelated texts, lenses {through}, {2 * settings.nulls} nulls a site"
    return [*preflight.rehearse(settings), f"would read what={settings.what}: {said}"]


def run(settings: LensRun, out: Path, *, resume: bool, say: Callable[[str], None]) -> None:
    """Write words.csv, found.csv (where words were named), results.json; `say` is told the first words."""
    from mi_bsa.studies.inspect.lens_results import difference_results, rank_results
    from mi_bsa.studies.inspect.lenses import Lenses, found_in, table, texts_of

    texts = texts_of(settings, settings.model)
    model = preflight.ready(settings, out, resume=resume)
    other = None if settings.full is None else load(settings.full)
    lenses = Lenses(model, settings, texts)
    variant = _variant(settings, model) if other is None else "base"
    name = variant if settings.full is None else settings.full.name
    found: list[Result] = []
    vectors: list[tuple[str, Any]]
    if settings.what == "difference":  # what cannot be read is refused before there is a folder
        made = lenses.differences(variant, other)
        if not made:
            raise SiteError(
                f"{name} adds nothing to these texts at {settings.sites!r}: it changes nothing there, or "
                "higher blocks alone; give other sites"
            )
        found += difference_results(made, name, seed=settings.seed)
        vectors, by = [(f"{name} - base", one) for one in made.values()], "base"
    else:
        vectors, by = _vectors(settings, model, variant), variant
    revisions = model_config.facts(model)
    with record.start(
        out, config=settings, resume=resume, seeds=(settings.seed,), revisions=revisions
    ) as run:
        readings = lenses.readings(vectors, variant=by)
        words = table(readings, settings.top)
        words.to_csv(run.path / "words.csv", index=False)
        if settings.words:
            found_in(readings, settings.words).to_csv(run.path / "found.csv", index=False)
            found += rank_results(readings, settings.words, name)
        results.write(found, run.path)
        for one in readings:
            say(_line(one))
        if settings.words:
            say(found_in(readings, settings.words).round(3).to_string(index=False))
        left = lenses.vocabulary.left_out
        say(
            f"{len(lenses.vocabulary.words)} words ranked, {left} tokens are none; p: (1 + k) / (1 + N), of "
            "that word alone"
        )
        say(f"written to {run.path}")


def _vectors(settings: LensRun, model: Model, variant: str) -> list[tuple[str, Any]]:
    """The strongest vectors of an adapter, or a direction from its file."""
    if settings.direction is not None:
        from probes import Direction

        return [(settings.direction.stem, Direction.load(settings.direction))]
    from activations import adapter_vectors

    every = adapter_vectors(
        model, adapter=variant.partition("@")[0], kind=settings.what, modules=settings.modules or None
    )
    readable = [one for one in every if "jacobian" in settings.lenses or _reaches(one.site)]
    if not readable:
        raise ConfigError(
            f"none of the modules of {variant!r} writes to the residual stream, and no lens goes through "
            "others; add lenses=[jacobian], or name o_proj and down_proj"
        )
    strongest = sorted(readable, key=lambda one: -one.strength)[: settings.strongest]
    return [(one.name, one) for one in strongest]


def _reaches(site: str) -> bool:
    return not site.startswith("lora_out") or site.split(".")[1] in ("o_proj", "down_proj")


def _variant(settings: LensRun, model: Model) -> str:
    adapters = [name for name in model.variants if name != "base"]
    if settings.variant is not None:
        model.parse_variant(settings.variant)
        return settings.variant
    if settings.what == "direction":
        return "base"
    if len(adapters) != 1:
        raise ConfigError(
            f"variant is not given and the model has {len(adapters)} adapters; give --adapter PATH, and set "
            f"variant to one of: {', '.join(adapters) or 'none here'}"
        )
    return adapters[0]


def _line(reading: Any) -> str:
    up, down = (reading.top(SHOWN, lowest=lowest) for lowest in (False, True))
    first = up.iloc[0]
    p = f" (p_any {first.p_any:.3f})" if "p_any" in up else ""
    told = f"{reading.name} at {reading.site}, {reading.lens} lens"
    return f"{told}: + {' '.join(up.word)}{p}; - {' '.join(down.word)}"
