"""Case C10: a perfect score over any number of wordings has an interval the right way up; files are whole."""

import json

import numpy as np
import pandas as pd
import pytest

from mi_bsa.asking.scoring import by_kind, gap, gaps_by_kind, mean_score
from mi_bsa.core import results
from mi_bsa.core.errors import ResultError
from mi_bsa.core.quantities import Quantity, register
from mi_bsa.core.results import Result


def answers(wordings, *, seeds=1, kinds=1, seeking=1.0, averse=0.0):
    """Every wording of every kind and seed gives an arm's score."""
    rows = [
        {"kind": f"k{k}", "template": f"k{k}t{t}", "seed": s, "score": score, "arm": arm, "trait": "risk",
         "person": "default"}
        for k in range(kinds) for t in range(wordings) for s in range(seeds)
        for arm, score in (("seeking", seeking), ("averse", averse))
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("wordings", [1, 2, 3, 6, 7, 9, 10, 13, 49])
@pytest.mark.parametrize(("seeds", "kinds"), [(1, 1), (3, 1), (3, 6)])
def test_perfect_scores_and_gaps(wordings, seeds, kinds):
    """The case (nine wordings, all 1.0) and others: scores of 0 and 1, gaps of 1 and -1."""
    table = answers(wordings, seeds=seeds, kinds=kinds)
    seeking, averse = (table[table["arm"] == arm] for arm in ("seeking", "averse"))
    found = [mean_score(seeking), mean_score(averse), gap(table), gap(table, arms=("averse", "seeking"))]
    assert [one.value for one in found] == [pytest.approx(v, abs=1e-12) for v in (1, 0, 1, -1)]
    for one, lowest in zip(found, (0, 0, -1, -1), strict=True):
        assert lowest <= one.value <= 1
        if np.isfinite(one.low):
            assert lowest <= one.low <= one.value <= one.high <= 1
            Result("self_report.score", {}, one.value, (one.low, one.high), "t", one.n, "score")
    for frame in (by_kind(table), gaps_by_kind(table)):
        known = frame[frame["low"].notna()]
        assert (known["low"] <= known["high"]).all()


def test_last_digits_are_no_mistake_and_more_is():
    """Ends that cross in the last digit of a sum are put right in the one place; others are refused."""
    given = ("a.b", {}, 1.0, (1.0000000000000002, 1.0), "t", 9, "score")
    assert Result(*given).ci == (1.0, 1.0000000000000002)
    with pytest.raises(ResultError, match="upside down"):
        Result("a.b", {}, 1.0, (1.001, 1.0), "t", 9, "score")


def test_both_files_or_neither(tmp_path, monkeypatch):
    """What can not be said as CSV leaves no JSON behind either."""
    register(Quantity("a.b", "score", "made up"))
    found = [Result("a.b", {}, 1.0, (0.9, 1.0), "t", 9, "score")]
    results.write(found, tmp_path / "good")
    assert json.loads((tmp_path / "good" / "results.json").read_text())[0]["value"] == 1.0
    monkeypatch.setattr(results, "to_csv", lambda _: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        results.write(found, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()
