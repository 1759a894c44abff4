"""Streaming: from prompts through a model into a store; plan first, then batches, each committed as it is
done.

The law: a run that is killed and resumed leaves the same file as one that was not. The batches are planned
from lengths alone and stored with the file; a batch is committed whole; no committed row is computed again.
On a GPU the copy of one batch overlaps the computation of the next: pinned memory, one event a batch, read
only behind it.
"""

import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack, overload

import numpy as np
import torch
from torch import Tensor

from activations import sharding
from activations.errors import StoreError
from activations.models import Model, variant_name
from activations.positions import Positions
from activations.progress import Shown, Told
from activations.prompts import Prompts
from activations.request import Request, SiteLike
from activations.selection import gather
from activations.sites import ADAPTER, Site
from activations.store import Store
from activations.temporary import Held, hold
from activations.writer import Layout, Writer, create, exclusive, part_path, refuse_difference

PathLike = str | os.PathLike[str]
SYNC_SECONDS = 5.0
"""Between two flushes to the disk, of which each costs milliseconds."""


class How(TypedDict, total=False):
    """What `capture` may be given besides; see there."""

    positions: str | Positions
    dtype: str | None
    batch_tokens: int
    backend: str
    remote: bool | str
    resume: bool
    shard: tuple[int, int] | None
    parity: int
    progress: Told


@overload
def capture(
    model: Model,
    prompts: Prompts,
    *,
    sites: SiteLike,
    out: PathLike | None = None,
    variants: None = None,
    **how: Unpack[How],
) -> Store: ...
@overload
def capture(
    model: Model,
    prompts: Prompts,
    *,
    sites: SiteLike,
    out: PathLike | None = None,
    variants: Sequence[str],
    **how: Unpack[How],
) -> dict[str, Store]: ...
def capture(
    model: Model,
    prompts: Prompts,
    *,
    sites: SiteLike,
    positions: str | Positions = "last",
    out: PathLike | None = None,
    variants: Sequence[str] | None = None,
    dtype: str | None = None,
    batch_tokens: int = 4096,
    backend: str = "hooks",
    remote: bool | str = False,
    resume: bool = False,
    shard: tuple[int, int] | None = None,
    parity: int = 0,
    progress: Told = None,
) -> Store | dict[str, Store]:
    """Run prompts through a model and store activations.

    Args:
        model: from `activations.load`.
        prompts: a JSONL file, or a list of rows.
        sites: what `Model.sites` reads, e.g. `"resid_post"` (all layers), `["resid_post.50%", "head_z.3"]`.
        positions: which tokens of each prompt; see `activations.positions`.
        out: the cache `X.h5`; with `variants`, a folder that gets one `<variant>.h5` each. Without it, caches
            are in memory where there is room, else in a temporary file, and are gone with their stores.
        variants: e.g. `["base", "adapter", "adapter@0.5"]`, read on the same rows; the active one where none
            are given. The base has no adapter sites; they are left out of its file.
        dtype: stored type, float32, float16 or bfloat16; float32 or the model's own 16 bits where none is
            given.
        batch_tokens: padded tokens in a batch.
        backend: `hooks`, `nnsight` or `transformer_lens`.
        remote: with nnsight, `True` runs on NDIF, `"local"` through the same serialization here.
        resume: go on with an unfinished cache; a finished one is checked to be the same and returned.
        shard: (i, n) reads the i-th of n parts and joins them when all are there; from RANK and WORLD_SIZE
            where none is given.
        parity: compare this many prompts with the other backends first, and keep the receipt in the store.
        progress: called with (committed, all) examples; False is silent, and None the default of
            `activations.progress`.

    Returns:
        The store; with `variants`, a store each. A rank that is not the last returns its own shard.

    Raises:
        StoreError: the cache exists or is in use, was made differently, or there is no space.
        PromptError, SiteError, ModelError: see there.
    """
    folder_or_file = Path("model.h5" if variants is None else "") if out is None else Path(out)
    if variants is None:
        if folder_or_file.suffix != ".h5":
            raise StoreError(
                f"out {str(folder_or_file)!r} is not an .h5 file: one variant is one file; add the suffix, "
                "or name variants for a folder"
            )
        wanted = {model.active_name: folder_or_file}
    else:
        if folder_or_file.suffix == ".h5":
            raise StoreError(
                f"out {str(folder_or_file)!r} is one file but variants are several: give a folder"
            )
        named = [variant_name(*model.parse_variant(name)) for name in variants]
        wanted = {name: folder_or_file / f"{name}.h5" for name in named}
    model.check()
    request = Request.make(
        model,
        prompts,
        sites=sites,
        positions=positions,
        dtype=dtype,
        batch_tokens=batch_tokens,
        backend=backend,
        remote=remote,
        shard=shard,
        variants=variants,
        head=max(3, parity),
    )
    held = None if out is not None else _held(model, request, wanted, resume=resume)
    stores = {}
    for name, path in wanted.items():
        path = path if held is None else held.path / path
        with model.variant(name):
            stores[name] = _capture_one(model, request, path, resume=resume, parity=parity, progress=progress)
        stores[name].held = held
    return stores if variants is not None else next(iter(stores.values()))


def _held(model: Model, request: Request, names: Collection[str], *, resume: bool) -> Held:
    """A folder for caches that were given none. Raises `StoreError` where there is nothing to share."""
    if resume or request.shard[1] > 1:
        raise StoreError("a cache without out is of one process and is not resumed; give out=, a path")
    size = 0
    for name in names:
        with model.variant(name):
            size += request.layout(model, {}).n_bytes
    return hold(size)


def _capture_one(
    model: Model, request: Request, out: Path, *, resume: bool, parity: int, progress: Told
) -> Store:
    """One variant into one file, or into this rank's shard of it."""
    extra: dict[str, Any] = {}
    if parity:
        from activations.parity import receipt

        extra["parity"] = receipt(
            model, request.index.head[:parity], [s for s in request.sites if s.kind not in ADAPTER]
        )
    layout = request.layout(model, extra)
    part, parts = request.shard
    path = out if parts == 1 else sharding.path(out, part, parts)
    if not resume:
        _refuse_existing(out)
    with exclusive(path):
        if not resume:
            _refuse_existing(path)
        if path.exists():
            refuse_difference(path, layout)
        else:
            if part_path(path).exists():
                if not resume:
                    raise StoreError(
                        f"cache {str(path)!r} was begun and not finished; go on with resume=True (--resume), "
                        f"or delete {part_path(path).name!r}"
                    )
                refuse_difference(part_path(path), layout)
            else:
                create(path, layout, created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
            title = f"reading {layout.attributes['variant']}"
            with Writer(path, layout) as writer, Shown(progress, title, "prompts") as tell:
                _stream(model, request, layout, writer, tell)
                writer.finish()
    if parts > 1:
        return sharding.join_if_complete(out, parts) or Store(path)
    return Store(path)


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise StoreError(
            f"cache {str(out)!r} exists: a cache is never overwritten; read it with resume=True (--resume), "
            "delete it, choose another out (--out), or leave out= away for a cache in memory"
        )


def _stream(model: Model, request: Request, layout: Layout, writer: Writer, tell: Shown) -> None:
    """Compute and commit every batch that is not committed yet."""
    first = int(layout.attributes["first_example"])
    longest = request.index.longest
    names = request.index.names
    sites = tuple(layout.shapes)
    sizes = np.diff(layout.plan.starts)
    done = int(sizes[writer.done.astype(bool)].sum())
    tell.begin(done, int(sizes.sum()))
    tell(done, int(sizes.sum()))
    pending: list[tuple[int, np.ndarray, dict[Site, Tensor], Any]] = []
    synced = time.monotonic()

    def settle() -> None:
        nonlocal done, synced
        number, members, values, event = pending.pop(0)
        if event is not None:
            event.synchronize()
        for site in sites:
            writer.put(site, members, numbers(values[site], request.dtype, site))
        if time.monotonic() - synced > SYNC_SECONDS:
            writer.sync()
            synced = time.monotonic()
        writer.commit(number)
        done += len(members)
        tell(done, int(sizes.sum()))

    for number in range(len(layout.plan)):
        if writer.done[number]:
            continue
        members = layout.plan[number]
        batch = request.index.batch(model, members + first)
        copy = gather(request.selection, batch, longest=longest)
        with model._rows_are(members + first, names):
            values = request.reader.read(model, batch, sites, copy)
        moved, event = _to_host(values)
        pending.append((number, members, moved, event))
        if len(pending) > (1 if event is not None else 0):  # one batch is copied while the next is computed
            settle()
    while pending:
        settle()


def _to_host(values: dict[Site, Tensor]) -> tuple[dict[Site, Tensor], Any]:
    """Start the copy to the host; the event tells when it may be read. On the CPU there is nothing to wait
    for."""
    if all(value.device.type != "cuda" for value in values.values()):
        return {site: value.cpu() for site, value in values.items()}, None
    moved = {}
    for site, value in values.items():
        host = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
        host.copy_(value, non_blocking=True)
        moved[site] = host
    event = torch.cuda.Event()
    event.record()
    return moved, event


def numbers(value: Tensor, dtype: str, site: Site) -> np.ndarray:
    """A tensor as it is stored: float32, float16, or bfloat16's bits in uint16.

    Raises:
        StoreError: a value beyond float16.
    """
    if dtype == "bfloat16":
        return value.contiguous().view(torch.int16).numpy().view(np.uint16)
    if dtype == "float16":
        small = value.to(torch.float16)
        over = ~torch.isfinite(small) & torch.isfinite(value)
        if bool(over.any()):
            raise StoreError(
                f"{site} reaches {float(value.abs().max()):.3g}, beyond float16's 65504: it would become "
                "infinite; store it as float32 or bfloat16"
            )
        return small.numpy()
    return value.to(torch.float32).numpy()
