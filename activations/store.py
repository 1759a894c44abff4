"""Store: a cache of activations as one HDF5 file that plain `h5py.File(path)` reads.

    /activations/<site>/<layer>   (row, *site); sites without a layer are /activations/<site>
    /rows/{example,position,token_id}     position -1 is a mean over a span (its token_id is -1)
    /rows/log_prob                of tokens that were generated (`activations.answering`)
    /examples/{id,prompt,<labels>}
    /checksums, /plan             CRC-32 of every example at every site; the batches and their commit flags

The law: a store says which weights, adapter, tokenizer, template, number type and attention made it, and
never answers for others. bfloat16 is kept exactly, as uint16 with `dtype = "bfloat16"`, and read as float32.
Several readers may open a finished store at once.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from activations.checks import contents, datasets_of, refuse_malformed, shallow
from activations.errors import ActivationsError, StoreError, first_line
from activations.records import plain
from activations.seals import SEAL, broken, is_sealed, stamp_broken
from activations.showing import Shows
from activations.sites import Site
from activations.temporary import Held
from activations.writer import column_of, part_path, path_of

if TYPE_CHECKING:
    import pandas as pd
    from torch.utils.data import Dataset

SCHEMA_VERSION = 1
IDENTITY = (
    "base_fingerprint",
    "tokenizer_fingerprint",
    "template_hash",
    "dtype",
    "attention",
    "model_dtype",
    "layer_convention",
    "quantization",
)


def _of_hdf5(error: OSError | KeyError) -> bool:
    """Whether HDF5 met it while it read: its own words, and not those of a full disk."""
    words = str(error)
    return getattr(error, "errno", None) is None and "synchronously" in words and "write" not in words


class Store(Shows):
    """A finished cache, opened for reading.

    Attributes:
        held: the temporary folder that goes with it; None of a cache at a path of its own.

    Raises:
        StoreError: no such file, an unfinished one, one that is no cache, or a joined one whose shards are
            gone.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.held: Held | None = None
        if not self.path.is_file():
            if part_path(self.path).is_file():
                raise StoreError(
                    f"cache {str(self.path)!r} is unfinished; capture again with resume=True (--resume)"
                )
            raise StoreError(
                f"cache {str(self.path)!r} does not exist; give the path of an HDF5 file made by "
                "activations.capture (mi-bsa cache build)"
            )
        with self.open() as file:
            try:
                self._look(file)
            except ActivationsError:
                raise
            except Exception as error:  # a damaged file makes h5py raise nearly anything
                raise StoreError(
                    f"cache {str(self.path)!r} cannot be read ({first_line(error)}); restore it, or capture "
                    "it again"
                ) from None

    def _look(self, file: h5py.File) -> None:
        """What the file says about itself, refused where its parts do not fit."""
        if "schema_version" not in file.attrs or not isinstance(file.get("activations"), h5py.Group):
            raise StoreError(
                f"{str(self.path)!r} is not a cache of activations (no schema_version); give one made "
                "by 'mi-bsa cache build'"
            )
        if str(file.attrs["schema_version"]) != str(SCHEMA_VERSION):
            raise StoreError(
                f"cache {str(self.path)!r} has schema {file.attrs['schema_version']}, this toolkit "
                f"reads {SCHEMA_VERSION}; capture it again"
            )
        self.attributes: dict[str, Any] = {
            name: plain(value) for name, value in file.attrs.items() if name != SEAL
        }
        self.sealed = is_sealed(file)
        datasets = datasets_of(file, self.path)
        refuse_malformed(file, datasets, self.path)
        self.sites: tuple[Site, ...] = tuple(sorted(datasets, key=lambda site: (site.depth, str(site))))
        sources = {
            source.file_name
            for item in datasets.values()
            if item.is_virtual
            for source in item.virtual_sources()
        }
        gone = sorted(name for name in sources if not (self.path.parent / name).is_file())
        if gone:
            raise StoreError(
                f"cache {str(self.path)!r} joins shards that are gone ({', '.join(gone[:3])}): HDF5 would "
                "read zeros; put them back beside it"
            )

    def _shown(self) -> dict[str, object]:
        return {
            "": "in memory" if self.held is not None else repr(str(self.path)),
            "rows": len(self),
            "sites": _brief(self.sites),
            "variant": self.variant,
            "dtype": self.dtype,
            "labels": ", ".join(self.labels),
        }

    def __len__(self) -> int:
        return len(self.rows["example"])

    @contextmanager
    def open(self) -> Iterator[h5py.File]:
        """The plain h5py file, for reading; opened anew each time, so that it survives forks and pickles."""
        try:
            file = h5py.File(self.path, "r")
        except OSError as error:
            raise StoreError(
                f"cache {str(self.path)!r} cannot be read ({first_line(error)}); it may be cut "
                "off: capture it again"
            ) from None
        with file:
            try:
                yield file
            except (OSError, KeyError, UnicodeDecodeError) as error:
                if isinstance(error, UnicodeDecodeError) or _of_hdf5(error):
                    raise StoreError(
                        f"cache {str(self.path)!r} is broken ({' '.join(str(error).split())}); capture it "
                        "again, or restore it from a copy"
                    ) from None
                raise

    @property
    def variant(self) -> str:
        """`base`, or the adapter's name."""
        return str(self.attributes["variant"])

    @property
    def index_hash(self) -> str:
        """Equal in all variants of the same rows."""
        return str(self.attributes["index_hash"])

    @property
    def dtype(self) -> str:
        """float32, float16 or bfloat16."""
        return str(self.attributes["dtype"])

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Row table columns `example`, `position`, `token_id`, of shape (row,); `log_prob` of answers."""
        with self.open() as file:
            found = {name: item[:] for name, item in file["rows"].items()}
            n_examples = len(file["examples/id"])
        example = found["example"]
        if len(example) and not (example.min() >= 0 and example.max() < n_examples):
            raise StoreError(
                f"cache {str(self.path)!r} has rows of examples {example.min()} to {example.max()}, and "
                f"{n_examples} examples: its tables do not belong together; capture it again"
            )
        return found

    @cached_property
    def examples(self) -> dict[str, np.ndarray]:
        """Example table: `id`, `prompt`, then the labels by name, each of shape (example,)."""
        with self.open() as file:
            names = sorted(file["examples"], key=lambda name: (name not in ("id", "prompt"), name))
            columns = {name: file["examples"][name] for name in names}
            return {name: column_of(item) for name, item in columns.items()}

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the label columns."""
        return tuple(name for name in self.examples if name not in ("id", "prompt"))

    def layers(self, name: str) -> tuple[int, ...]:
        """The stored layers of a site name such as `resid_post`."""
        return tuple(site.layer for site in self.sites if site.name == name and site.layer is not None)

    def site(self, site: str | Site, layer: int | None = None) -> Site:
        """A stored site from `"resid_post.3"` or `("resid_post", 3)`.

        Raises:
            StoreError: it is not in this store.
        """
        wanted = Site.parse(site if layer is None or isinstance(site, Site) else f"{site}.{layer}")
        if wanted not in self.sites:
            raise StoreError(
                f"cache {str(self.path)!r} holds no {str(wanted)!r} (it has {_brief(self.sites)}); capture "
                "that site"
            )
        return wanted

    def read(self, site: str | Site, layer: int | None = None, *, rows: Any = None) -> np.ndarray:
        """Values of a site as (row, *site), float32 (float16 stores: float16).

        Args:
            site: `"resid_post.3"`, a `Site`, or a name together with `layer`.
            layer: the layer, if `site` is a name.
            rows: row indices, a slice, or a boolean mask; all rows where none are given.

        Raises:
            StoreError: a site that is not stored, or rows that do not exist.
        """
        wanted = self.site(site, layer)
        with self.open() as file:
            data = file[f"activations/{path_of(wanted)}"]
            if rows is None or isinstance(rows, slice):
                values = data[rows if rows is not None else slice(None)]
            else:
                index = np.asarray(rows)
                index = np.nonzero(index)[0] if index.dtype == bool else index.astype(np.int64)
                if len(index) and not (-len(data) <= index.min() and index.max() < len(data)):
                    raise StoreError(
                        f"rows {index.min()} to {index.max()} do not lie within the store's {len(data)}; "
                        "choose others"
                    )
                mapped = self._map(data)
                values = mapped[index] if mapped is not None else data[:][index]
        values = np.asarray(values)
        if self.dtype == "bfloat16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values

    def view(self, site: str | Site, layer: int | None = None) -> np.ndarray:
        """A read-only memory map of a site, nothing loaded yet; bfloat16 comes as its uint16 bits.

        Raises:
            StoreError: a joined or compressed store, which has no contiguous bytes.
        """
        wanted = self.site(site, layer)
        with self.open() as file:
            mapped = self._map(file[f"activations/{path_of(wanted)}"])
        if mapped is None:
            raise StoreError(
                f"cache {str(self.path)!r} is joined or compressed, so {str(wanted)!r} cannot be "
                "memory-mapped; use read, or repack it plain"
            )
        return mapped

    def _map(self, data: h5py.Dataset) -> np.ndarray | None:
        offset = None if data.is_virtual or data.chunks is not None else data.id.get_offset()
        if offset is None:
            return None
        return np.memmap(self.path, mode="r", dtype=data.dtype, shape=data.shape, offset=offset)

    def table(self) -> "pd.DataFrame":
        """The row table with each row's example id, prompt and labels, as a DataFrame."""
        import pandas as pd

        example = self.rows["example"]
        columns = {name: column[example] for name, column in self.examples.items()}
        return pd.DataFrame({**self.rows, **columns})

    to_dataframe = table

    def dataset(
        self, site: str | Site, layer: int | None = None, *, label: str | None = None
    ) -> "Dataset[Any]":
        """A torch `Dataset` over the rows of one site; items are (vector, label), or the vector alone.

        Raises:
            StoreError: no such site or label.
        """
        from activations.datasets import StoreDataset

        return StoreDataset(self, self.site(site, layer), label)

    def typical_norm(self, site: str | Site, layer: int | None = None) -> float:
        """Median Euclidean norm of a site's rows: the unit of `add(..., units="site")`.

        The median, since a few rows (BOS) have norms many times larger.
        """
        values = self.read(site, layer)
        return float(np.median(np.linalg.norm(values.reshape(len(values), -1).astype(np.float64), axis=1)))

    def delta(
        self, base: "Store", site: str | Site, layer: int | None = None, *, rows: Any = None
    ) -> np.ndarray:
        """h_adapter - h_base on the same rows, (row, *site), float32.

        Raises:
            StoreError: stores of other rows, weights, tokenizers, templates, number types or attention.
        """
        refuse_mixing([self, base], same_rows=True)
        own, theirs = (store.read(site, layer, rows=rows).astype(np.float32) for store in (self, base))
        return own - theirs

    def check(self, *, deep: bool = False) -> list[str]:
        """What is wrong with the file, one line each; nothing if all is well.

        Shallow: tables agree in length and every batch is committed. Deep: the seal over all attributes and
            the list of datasets, every checksum of every site, example and column, and the SHA-256 of the
            whole file. Caches of older toolkits have no seal (`sealed` is False): their attributes are not
            covered.
        """
        faults: list[str] = []
        try:
            with self.open() as file:
                if deep:
                    faults += broken(file)
                if not faults:
                    faults += shallow(file)
                if deep and not faults:
                    faults += contents(file, self.sites)
            if deep and not faults:
                faults += stamp_broken(self.path)
        except Exception as error:  # a damaged file makes h5py raise nearly anything
            faults.append(f"the file's structure cannot be read ({first_line(error)})")
        return faults


def refuse_mixing(stores: Sequence[Store], *, same_rows: bool = False) -> None:
    """Refuse stores that cannot be compared.

    Raises:
        StoreError: they differ in weights, tokenizer, template, number type, attention, or (`same_rows`) in
            their rows.
    """
    keys = (*IDENTITY, "index_hash") if same_rows else IDENTITY
    for other in stores[1:]:
        for key in keys:
            here, there = stores[0].attributes.get(key), other.attributes.get(key)
            if here != there:
                raise StoreError(
                    f"{str(stores[0].path)!r} and {str(other.path)!r} differ in {key} ({str(here)[:16]} and "
                    f"{str(there)[:16]}): they are never mixed; capture both alike"
                )


def _brief(sites: Sequence[Site]) -> str:
    counts = Counter(site.name for site in sites)
    layered = {site.name for site in sites if site.layer is not None}
    return "; ".join(f"{name} at {n} layers" if name in layered else name for name, n in counts.items())
