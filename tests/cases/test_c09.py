"""Case C9: wide tables and long pages take seconds; the time grows with the size and not with its square."""

import time

import h5py
import numpy as np
import pytest
from small_cache import write

from activations.store import Store
from mi_bsa.core import results
from mi_bsa.core.config import Config
from mi_bsa.core.quantities import Quantity, register
from mi_bsa.core.results import Result
from mi_bsa.report import page
from mi_bsa.report.section import MOST_DRAWN, MOST_ROWS


def test_a_table_of_many_labels(tmp_path):
    """2,000 label columns: one frame, of one block for each type."""
    path = write(tmp_path / "wide.h5")
    with h5py.File(path, "r+") as file:
        for n in range(2000):
            file[f"examples/label{n}"] = np.full(6, n)
    store = Store(path)
    assert len(store.examples) == 2004  # read from the file once
    start = time.process_time()
    frame = store.table()
    assert time.process_time() - start < 1  # .7 s a thousand columns before, and more than twice that for two
    assert frame["label7"].tolist() == [7] * 12
    assert frame["topic"].tolist() == [f"topic {n % 3}" for n in range(6) for _ in (0, 1)]


class Nothing(Config):
    """The config of a run that was made up."""

    study: str = "behavior"
    """Which study."""


def numbers(n, kind):
    """Results of one section."""
    name = {"level": "behavior.level", "validity": "self_report.validity", "more": "mine.number"}[kind]
    return [
        Result(
            name, {"behavior": "risk", "arm": "seeking", "kind": f"k{k}"}, 0.5, (0.4, 0.6), "t", 5, "share"
        )
        for k in range(n)
    ]


@pytest.mark.parametrize("kind", [pytest.param("level", marks=pytest.mark.slow), "validity", "more"])
def test_a_page_of_many_results(kind, tmp_path):
    """Figures show so many results and say so; the table has all."""
    from mi_bsa.core.record import start

    register(Quantity("mine.number", "share", "made up"))
    with start(tmp_path / "run", config=Nothing(), resume=False, seeds=[0], revisions={}) as run:
        results.write(numbers(600, kind), run.path)
    begun = time.process_time()
    text = page.render(tmp_path / "run").read_text()
    assert time.process_time() - begun < 30  # 600 levels took a minute before
    most = MOST_DRAWN if kind == "level" else MOST_ROWS
    assert f"The figure shows the first {most} of 600; the table has all." in text
    assert "k599" in text
