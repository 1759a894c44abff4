"""A torch view of a store: rows of one site as a map-style `Dataset`, safe with worker processes (opened anew
in each)."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from activations.errors import StoreError
from activations.records import plain
from activations.sites import Site

if TYPE_CHECKING:
    from activations.store import Store


class StoreDataset(Dataset[Any]):
    """Rows of a site as float32 tensors; with a label column, (vector, label) pairs.

    Raises:
        StoreError: no such label.
    """

    def __init__(self, store: "Store", site: Site, label: str | None) -> None:
        if label is not None and label not in store.labels:
            raise StoreError(
                f"cache {str(store.path)!r} has no label {label!r} (it has "
                f"{', '.join(store.labels) or 'none'}); choose one of these"
            )
        self.store, self.site = store, site
        self.label = None if label is None else store.examples[label][store.rows["example"]]

    def __len__(self) -> int:
        return len(self.store)

    def __getitems__(self, rows: list[int]) -> list[Any]:
        values = torch.from_numpy(self.store.read(self.site, rows=np.asarray(rows)).astype(np.float32))
        return [
            value if self.label is None else (value, plain(self.label[row]))
            for row, value in zip(rows, values, strict=True)
        ]

    def __getitem__(self, row: int) -> Tensor | tuple[Tensor, Any]:
        return self.__getitems__([row])[0]
