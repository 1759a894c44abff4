"""`mi-bsa cache build|check|repack|info`: activation caches from the command line.

The law: a cache is planned before it is made, never overwritten, resumed exactly, and checked down to the
byte. A folder of caches is a run folder; the run folder of one file `X.h5` is `X.run` beside it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click
from pydantic import Field, model_validator

from mi_bsa.cli.options import config_options, resume_option
from mi_bsa.core.config import Config
from mi_bsa.core.errors import ConfigError, RunFolderError
from mi_bsa.core.model_config import ModelConfig, load, moved

if TYPE_CHECKING:
    from activations import Model, Store
    from mi_bsa.core.results import Result


READ, RUN = ("sites", "positions", "dtype", "batch_tokens"), ("backend", "remote", "parity")
"""Fields that `activations.capture` calls by the same name; a dry run needs the first of them alone."""
BESIDE = {
    "adapter": "adapters",
    "revision": "revision",
    "model_dtype": "dtype",
    "device": "device",
    "attention": "attention",
}
"""What a config may say beside its model instead of in it: key -> the model's."""


class CacheConfig(Config):
    """What `mi-bsa cache build` reads and stores."""

    same: ClassVar[tuple[tuple[str, ...], ...]] = tuple((f"model.{new}", old) for old, new in BESIDE.items())

    model: ModelConfig
    """The model, with its adapters, and how it is loaded. `adapter` (a folder, or several by name),
    `revision`, `model_dtype`, `device` and `attention` may stand beside it as well.
    """
    prompts: Path
    """JSONL file of `{"id", "messages" | "text", labels}` rows."""
    sites: list[str] = ["resid_post"]
    """Sites: a name for all layers, `resid_post.3`, `resid_post.4:8`, `resid_post.50%`, TransformerLens hook
    names."""
    positions: str = "last"
    """Position rule: last, last:K, all, answer, slot, response, response:I, option:A, span:NAME,
    last_user, message:I, mean:<any>."""
    variants: list[str] | None = None
    """Variants for a folder: `base`, an adapter's name, `name@alpha`. All of the model where none are
    given."""
    dtype: str | None = None
    """Stored type; the model's where none is given."""
    backend: str = "hooks"
    """hooks, nnsight or transformer_lens."""
    remote: bool | str = False
    """With nnsight: true runs on NDIF, `local` through the same serialization here."""
    batch_tokens: int = 4096
    """Padded tokens in a batch."""
    parity: int = 0
    """Number of prompts on which the other backends are compared first; the receipt is kept in the store."""
    answer_tokens: int = Field(default=0, ge=0)
    """Longest answer, in tokens, that is generated to each prompt and captured on the way; 0 captures prompts
    as they are. Positions are then response (the default here), response:I, answer, slot, mean:<one>.
    """
    temperature: float = Field(default=0.0, ge=0)
    """Of these answers; 0 takes the likeliest token."""
    seed: int | None = None
    """Of these answers, where they are drawn."""

    @model_validator(mode="before")
    @classmethod
    def _said_beside(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("adapter"), str | Path):
            data = {**data, "adapter": {"adapter": data["adapter"]}}
        if isinstance(data, Mapping) and data.get("answer_tokens"):
            data = {"positions": "response", **data}
        return moved(data, BESIDE)

    @model_validator(mode="after")
    def _check(self) -> "CacheConfig":
        if self.answer_tokens and (self.backend != "hooks" or self.parity):
            raise ValueError("answers are captured through hooks alone: drop `backend` and `parity`")
        return self


@click.group()
def cache() -> None:
    """Build, check, repack or describe an activation cache."""


@cache.command()
@config_options(CacheConfig, adapters=True)
@click.option(
    "--shard", default=None, metavar="I/N", help="Read part I of N (from 0); the last one joins them."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="X.h5 for one variant, with its record in X.run; a folder for several.",
)
@resume_option
@click.option("--dry-run", is_flag=True, help="Show rows, bytes, time and three examples; store nothing.")
def build(settings: CacheConfig, out: Path, resume: bool, dry_run: bool, shard: str | None) -> None:
    """Run prompts through a model and store activations."""
    part = _shard(shard)
    import activations
    from mi_bsa.core.progress import Progress

    if not dry_run:
        _check_free(out)
    model = load(settings.model)
    single = out.suffix == ".h5"
    if single and settings.variants is not None and len(settings.variants) > 1:
        raise ConfigError(
            f"--out {out} is one file but {len(settings.variants)} variants are asked for; give a folder"
        )
    chosen = settings.variants or ([model.active_name] if single else list(model.variants))
    common: dict[str, Any] = {key: getattr(settings, key) for key in READ} | {"shard": part}
    ends = {name: out if single else out / f"{name}.h5" for name in chosen}
    if settings.answer_tokens and (dry_run or part):
        raise ConfigError(
            "how many rows an answer has is known when it is made: drop --dry-run and --shard, or "
            "--answer-tokens"
        )
    if dry_run:
        for name in chosen:
            with model.variant(name):
                click.echo(f"{name}: {activations.dry_run(model, settings.prompts, **common)}")
        return
    with Progress("reading", 1.0, interval=2.0) as bar:
        shown = 0.0

        def advance(done: int, total: int) -> None:
            nonlocal shown
            now = done / total / len(chosen)
            bar.advance(now - shown, f"{done} of {total} prompts")
            shown = 0.0 if done == total else now

        more: dict[str, Any] = {key: getattr(settings, key) for key in RUN}
        more |= {"resume": resume, "progress": advance}
        if settings.answer_tokens:
            stores = _answers(settings, model, ends, resume=resume, progress=advance)
        elif single:
            with model.variant(chosen[0]):
                stores = {chosen[0]: activations.capture(model, settings.prompts, out=out, **common, **more)}
        else:
            stores = activations.capture(model, settings.prompts, out=out, variants=chosen, **common, **more)
    for store in stores.values():
        size = f"{len(store)} rows x {len(store.sites)} sites"
        click.echo(f"{store.path}: {size}, variant {store.variant}, {store.dtype}")
    if all(store.path == ends[name] for name, store in stores.items()):  # else another part is missing
        _record(settings, out, model, stores)


@cache.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--deep", is_flag=True, help="Read every byte and compare checksums.")
def check(paths: Sequence[Path], deep: bool) -> None:
    """Say whether caches are complete, and with --deep whether every byte is as it was written."""
    from activations.checks import survey
    from activations.errors import StoreError

    faults = 0
    for path in paths:
        broken, sealed = survey(path, deep=deep)
        faults += len(broken)
        for fault in broken:
            click.echo(f"{path}: {fault}")
        if not broken:
            click.echo(f"{path}: {'every byte' if deep else 'structure'} is as it should be")
        if deep and not sealed:
            click.echo(f"{path}: made before caches were sealed, so its attributes are not covered")
    if faults:
        raise StoreError(
            f"{faults} faults in {len(paths)} caches; restore them from a copy, or build them again"
        )


@cache.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new file.")
@click.option(
    "--compression", default="gzip", show_default=True, help="gzip, lzf, or none for one plain file."
)
def repack(source: Path, out: Path, compression: str) -> None:
    """Copy a cache into one file, compressed or plain; every bit is compared."""
    from activations.repack import repack as run

    store = run(source, out, compression=compression)
    click.echo(
        f"{store.path}: {out.stat().st_size / 1e6:.2f} MB of {source.stat().st_size / 1e6:.2f} MB, every "
        "byte checked"
    )


@cache.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def info(path: Path, as_json: bool) -> None:
    """Describe a cache: what made it, sites, rows, labels, parity."""
    from activations.store import Store

    store = Store(path)
    sites = {name: list(store.layers(name)) for name in dict.fromkeys(site.name for site in store.sites)}
    facts = {
        **store.attributes,
        "rows": len(store),
        "examples": len(store.examples["id"]),
        "labels": list(store.labels),
        "sites": sites,
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2, sort_keys=True))
        return
    for key, value in facts.items():
        if key == "sites":
            for name, layers in sites.items():
                shown = f"layers {', '.join(map(str, layers))}" if layers else "no layer"
                click.echo(f"site {name}: {shown}")
        elif key == "parity":
            for backend, entries in json.loads(value)["backends"].items():
                worst = max(entry["max"] for entry in entries.values())
                click.echo(f"parity with {backend}: largest difference {worst:.2g} over {len(entries)} sites")
        else:
            click.echo(f"{key}: {', '.join(value) if isinstance(value, list) else value}")


def _answers(
    settings: CacheConfig, model: "Model", ends: Mapping[str, Path], *, resume: bool, progress: Any
) -> "dict[str, Store]":
    """Every variant's answers, each in a file of its own."""
    import activations

    how: dict[str, Any] = {key: getattr(settings, key) for key in (*READ, "temperature", "seed")}
    how |= {"max_new_tokens": settings.answer_tokens, "resume": resume, "progress": progress}
    stores = {}
    for name, path in ends.items():
        with model.variant(name):
            stores[name] = activations.capture_answers(model, settings.prompts, out=path, **how)
    return stores


def _run_folder(out: Path) -> Path:
    return out.with_suffix(".run") if out.suffix == ".h5" else out


def _check_free(out: Path) -> None:
    """Refuse a folder that somebody else's files are in; caches of an older version may be.

    Raises:
        RunFolderError: names the first file that is none of ours.
    """
    from mi_bsa.core.record import check_free

    folder = _run_folder(out)
    if folder.is_file():
        raise RunFolderError(f"{folder}: exists and is a file; give another --out")
    ours = (".h5", ".part", ".lock")
    if folder.is_dir() and any(item.suffix not in ours for item in folder.iterdir()):
        check_free(folder, resume=True)


def _record(settings: CacheConfig, out: Path, model: "Model", stores: Mapping[str, "Store"]) -> None:
    """Config, record and results of the caches that are whole."""
    from mi_bsa.core import model_config, record, results

    indices = {f"{name}, index": str(store.attributes["index_hash"]) for name, store in stores.items()}
    revisions = model_config.facts(model) | indices
    folder = _run_folder(out)
    with record.start(
        folder, config=settings, resume=True, seeds=(), revisions=revisions, checked=True
    ) as run:
        kept = results.read(run.path) if (run.path / "results.json").is_file() else []
        kept = [result for result in kept if result.where.get("variant") not in stores]
        results.write([*kept, *(result for pair in stores.items() for result in _numbers(*pair))], run.path)


def _numbers(variant: str, store: "Store") -> "list[Result]":
    """How many rows a cache holds, and how far the other backends were from it."""
    from mi_bsa.core.results import Place, Result

    examples = len(store.examples["id"])
    where: dict[str, Place] = {"variant": variant}
    rows = [Result("cache.rows", where, len(store), None, "none: a count", examples, "rows")]
    if "parity" not in store.attributes:
        return rows
    receipt = json.loads(store.attributes["parity"])
    for backend, entries in receipt["backends"].items():
        worst = max(entries, key=lambda site: entries[site]["max"])
        place, value = {**where, "method": f"hooks, {backend}"}, entries[worst]["max"]
        reason, unit = "none: a largest difference", "absolute difference"
        notes = f"largest over {len(entries)} sites, at {worst}"
        n = receipt["prompts"]
        rows.append(Result("cache.parity", place, value, None, reason, n, unit, notes=notes))
    return rows


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    part, slash, parts = text.partition("/")
    if not slash or not part.isdigit() or not parts.isdigit():
        raise ConfigError(f"--shard {text!r} is not I/N; write e.g. 0/4 for the first of four")
    return int(part), int(parts)
