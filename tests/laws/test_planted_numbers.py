"""Six places where a wrong rule once gave plausible numbers and no test saw it; each on numbers worked out by
hand.
"""

import numpy as np
import pandas as pd
import pytest

from mi_bsa.causal import effects
from mi_bsa.causal.emergence import emergence
from mi_bsa.core.results import Result, with_q
from mi_bsa.studies.grid.correlation import measures
from probes import StatisticsError, statistics


def planted(name: str, kind: str, p: float) -> Result:
    return Result(name, {"kind": kind}, 0.5, None, "none: planted", 3, "share", p=p, test="planted")


def test_a_family_of_tests_is_one_name():
    """Benjamini-Hochberg within each name: two tests double the smaller p; the other name's five do not
    count. Over one family of seven, q would be .035 and .14."""
    few = [planted("planted.few", kind, p) for kind, p in (("a", 0.005), ("b", 0.04))]
    many = [planted("planted.many", str(k), 0.9) for k in range(5)]
    found = {(one.name, one.where["kind"]): one.q for one in with_q([*few, *many])}
    assert found["planted.few", "a"] == pytest.approx(0.01)
    assert found["planted.few", "b"] == pytest.approx(0.04)
    assert found["planted.many", "0"] == pytest.approx(0.9)


def test_a_kind_with_many_questions_counts_as_one_kind():
    """Nine letters at 1 and one scale at 0 are a report of .5, not of .9."""
    rows = [("letters", 1.0)] * 9 + [("scale", 0.0)]
    table = pd.DataFrame(
        [
            {
                "set": "report-test",
                "arm": "seeking",
                "seed": 0,
                "kind": kind,
                "template": f"{kind}-{n}",
                "score": score,
            }
            for n, (kind, score) in enumerate(rows)
        ]
    )
    assert effects.score(table, "report-test", "all")["seeking", 0] == pytest.approx(0.5)
    assert effects.score(table, "report-test", "letters")["seeking", 0] == pytest.approx(1.0)


def test_the_shuffled_null_is_either_way_round():
    """Three runs at 0, .1 and .4: six ordered differences, so the band is symmetric about 0."""
    index = pd.MultiIndex.from_tuples([("shuffled", seed) for seed in range(3)])
    null = effects.shuffled_null(pd.Series([0.0, 0.1, 0.4], index=index), [0, 1, 2])
    assert null.n == 6
    assert null.low == pytest.approx(-null.high)
    assert null.high == pytest.approx(np.quantile([0.1, -0.1, 0.3, -0.3, 0.4, -0.4], 0.975))


def test_the_emergence_band_is_mirrored():
    """Which of two shuffled runs comes first is arbitrary: pairs at .1, .2 and .3 draw a band about 0."""
    rows = []
    for step in (1, 2):
        for seed, value in enumerate((0.5, 0.6, 0.7)):
            rows.append(("poles", seed, step, value))
        for seed, value in enumerate((0.1, 0.2, 0.3)):
            rows.append(("shuffled", seed, step, value))
    table = pd.DataFrame(rows, columns=["arm", "seed", "step", "value"]).assign(kind="behavior")
    curves = [r for r in emergence(table, behavior="x", seeds=[0, 1, 2]) if r.name.endswith(".curve")]
    assert len(curves) == 2
    for one in curves:
        assert one.null is not None
        assert one.null.low == pytest.approx(-one.null.high)
        assert one.null.high == pytest.approx(np.quantile([0.1, 0.2, 0.3, -0.1, -0.2, -0.3], 0.975))
        assert (one.null.n, one.null.mean) == (6, pytest.approx(0.0, abs=1e-12))


def test_within_base_leaves_the_dose_in():
    """Two bases, two doses: reports follow the dose and nothing else. Within a base r is near 1, since doses
    are compared there; within base and dose it is 0."""
    noise = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])
    rows = []
    for base, level in (("one", 0.2), ("two", 0.5)):
        for dose, shift in (("low", 0.0), ("high", 0.3)):
            for seed, actual in enumerate(noise):
                # within a cell reports are orthogonal to actual degrees: (-1, 2, 0, -2, 1) . noise = 0
                reported = 0.01 * (-1, 2, 0, -2, 1)[seed]
                for name, value in (("actual", actual), ("reported", reported)):
                    rows += [
                        {
                            "set": name,
                            "place": f"{base}/{dose}",
                            "arm": "seeking",
                            "rows": "r",
                            "seed": seed,
                            "kind": "letters",
                            "template": template,
                            "scenario": template,
                            "score": level + shift + value,
                        }
                        for template in ("t0", "t1")
                    ]
    found, _ = measures(
        pd.DataFrame(rows), behavior="x", arms=["seeking"], split="test", draws=50, shuffles=20
    )
    r = {
        one.where["method"]: one.value
        for one in found
        if one.name == "faithfulness.r" and one.where["kind"] == "all"
    }
    assert r["within base"] > 0.98
    assert r["within base and dose"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("spread", [0.45, 0.6])
def test_fieller_refuses_as_soon_as_the_denominator_may_be_zero(spread):
    """Denominators whose t interval just holds 0 (g a little above 1) have no bounded ratio; a rule that
    waits for g >= 2 would give one.
    """
    bottom = 1 + spread * np.array([-1.0, 0.0, 1.0]) * 1.0
    t = statistics.t_interval(bottom)
    g = ((t.high - t.value) / t.value) ** 2
    assert 1 < g < 2.3
    with pytest.raises(StatisticsError, match="holds 0"):
        statistics.fieller(0.5 * bottom, bottom)
    inside = 1 + 0.3 * np.array([-1.0, 0.0, 1.0])
    assert statistics.fieller(0.5 * inside, inside).value == pytest.approx(0.5)
