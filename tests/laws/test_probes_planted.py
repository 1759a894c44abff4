"""Planted truth: directions come back, nulls hold their rate, intervals cover. The full table is
docs/validity.md."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mi_bsa.asking.validity_laws import POPULATIONS, laws
from probes import sweep
from probes.validity import LAWS, leak_refused, measure, planted, render
from probes.validity.crossed_laws import crossed_laws, crossed_section, rate_of

RNG = np.random.default_rng(0)


def test_planted_directions_are_recovered():
    """Every method finds a planted direction with cosine of at least .95 at the size stated beforehand."""
    found = planted(np.random.default_rng(0))
    assert len(found) == 6
    assert all(cosine >= 0.95 for _, cosine in found), found


def test_nothing_is_found_in_noise():
    """On pure noise the choice's interval holds .5 and no cell beats the search-corrected null."""
    rows = [(s, k, p) for s in range(8) for k in range(5) for p in (0, 1)]
    table = pd.DataFrame(rows, columns=["scenario", "seed", "pole"])
    noise = {f"resid_post.{k}": RNG.normal(size=(len(table), 8)) for k in range(3)}
    found = sweep(
        noise, table, label="pole", groups=["scenario", "seed"], methods=["mean_difference"], n_shuffles=50
    )
    assert found.best.auroc.low <= 0.5 <= found.best.auroc.high
    assert found.table["p_max"].min() > 0.05


def test_planted_leak_is_refused():
    """A group planted on both sides of a split is refused."""
    assert leak_refused()


SLOW = (
    "transfer",
    "sweep",
    "nested",
    "cross-validated",
    "100 independent",
    "20 scenarios",
    "permutation between",
)
FAST = [law for law in LAWS if law.kind != "shown" and not any(word in law.name for word in SLOW)]


@pytest.mark.parametrize("law", FAST, ids=lambda law: law.name)
def test_laws_in_short(law):
    """Each law of the validity table that is quick to simulate holds within the noise of 60 simulations."""
    line = measure(law, sims=60, power=False)
    if law.kind == "error":
        assert line.passed
    else:
        assert line.high >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_laws_in_full(law):
    """Each law of the validity table holds over 3,000 simulations."""
    line = measure(law, sims=3000)
    assert line.passed, (line.rate, line.low, line.high)


def test_page_names_every_law():
    """The page docs/validity.md was made from these laws, and none fails in it."""
    page = (Path(__file__).parents[2] / "docs" / "validity.md").read_text(encoding="utf-8")
    assert "FAILS" not in page
    assert "NOT REFUSED" not in page
    names = [*(law.name for law in (*LAWS, *crossed_laws())), *(name for name, _ in laws()), *POPULATIONS]
    missing = [name for name in names if f"| {name} |" not in page]
    assert not missing
    assert "# Validity" in render([], [], 1, 0)


CROSSED = [
    law
    for law in crossed_laws()
    if law.used
    and (law.name.startswith(("gap", "level")) or "3 units x 4 items" in law.name or "3 bases" in law.name)
]


@pytest.mark.parametrize("law", CROSSED, ids=lambda law: law.name)
def test_laws_over_units_and_items_in_short(law):
    """Intervals over units x items hold within the noise of 120 simulations."""
    assert rate_of(law, 120 * law.part).high >= 0.93


def test_a_law_that_misses_is_told():
    """What is known to be too short is found so, by the interval of its rate."""
    law = next(law for law in crossed_laws() if "Fieller over units" in law.name)
    line = rate_of(law, 120)
    assert line.verdict == "not used here: too short"
    assert not line.fails
    assert line.verdict in crossed_section([line])[-2]
