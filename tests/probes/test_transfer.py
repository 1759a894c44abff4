"""Transfer finds a shared direction, misses a separate one, and never lets a seed stand on both sides."""

import numpy as np
import pytest

import probes
from probes.shuffles import Shuffler, labelings


@pytest.fixture(scope="module")
def found(planted, make_planted):
    """Behavior to a report that shares the direction, and to one that does not."""
    other = make_planted(1)
    report = other.table.assign(scenario=other.table["scenario"] + 100)
    return probes.transfer(
        {"behavior": (planted.arrays["resid_post.3"], planted.table)},
        {
            "shared": (other.arrays["resid_post.2"], report),
            "separate": (np.roll(other.arrays["resid_post.2"], 5, 1), report),
        },
        site="resid_post.3",
        label="pole",
        groups=["scenario", "seed"],
    )


def test_shared_direction_transfers_and_separate_one_does_not(found):
    """Both reports have a high ceiling, but only the shared one is read by the behavior probe."""
    assert found.cell("behavior", "shared")["low"] > 0.8
    separate = found.cell("behavior", "separate")
    assert separate["low"] < 0.5 < separate["high"]
    assert separate["ceiling_low"] > 0.7


def test_floor_and_ceiling_stand_beside_each_cell(found):
    """Every line has its ceiling, its floor, n, units and the smallest possible p."""
    needed = ["auroc", "low", "high", "ceiling", "floor_mean", "floor_high", "n", "units", "p", "p_floor"]
    assert found.table[needed].notna().all().all()
    assert set(found.matrix().columns) == {"behavior", "shared", "separate"}
    assert found.probes["behavior"].direction.site == "resid_post.3"


def test_seed_memory_does_not_transfer(make_planted):
    """A signature of each adapter, which a leaky split would read perfectly, gives nothing."""
    rng = np.random.default_rng(0)
    world = make_planted(2, strength=0.0)
    signature = 5 * rng.normal(size=(10, 16))
    x = world.arrays["resid_post.3"] + signature[world.table["adapter"]]
    report = world.table.assign(scenario=world.table["scenario"] + 100)
    z = make_planted(3, strength=0.0).arrays["resid_post.3"] + signature[report["adapter"]]
    line = probes.transfer(
        {"behavior": (x, world.table)},
        {"report": (z, report)},
        site="resid_post.3",
        label="pole",
        groups=["scenario", "seed"],
        n_shuffles=0,
    ).cell("behavior", "report")
    assert line["low"] < 0.5 < line["high"]
    leaky = probes.LogisticProbe(C=0.1).fit(x, world.table["pole"]).decision_function(z)
    assert probes.auroc(report["pole"], leaky).value > 0.95


def test_bad_sets(planted):
    """Other widths, constant labels and repeated names are refused with the remedy."""
    good = (planted.arrays["resid_post.3"], planted.table)
    common = {"site": "resid_post.3", "label": "pole", "groups": ["scenario", "seed"]}
    with pytest.raises(probes.SourceError, match="one site of one model"):
        probes.transfer({"a": good}, {"b": (good[0][:, :4], good[1])}, **common)
    with pytest.raises(probes.LabelError, match="constant in set 'b'"):
        probes.transfer({"a": good}, {"b": (good[0], good[1].assign(pole=1))}, **common)
    with pytest.raises(probes.SourceError, match="leave it out of tests"):
        probes.transfer({"a": good}, {"a": good}, **common)
    single = (good[0], good[1].assign(scenario=-1))
    with pytest.raises(probes.GroupError, match="no fold keeps rows of 'a'"):
        probes.transfer({"a": single}, {"b": good}, **common)


def test_shuffles_keep_what_binds_rows(planted):
    """Labels move with their adapter, or change names inside a seed; never row by row."""
    y = planted.table["pole"].to_numpy()
    by_adapter = Shuffler(y, planted.table, planted.groups, unit="adapter").draw(50, [], seed=0)
    inside = Shuffler(y, planted.table, planted.groups)
    draws = inside.draw(50, [], seed=0)
    assert inside.how == "classes renamed inside levels of seed"
    for drawn in (*by_adapter, *draws):
        assert all(len(set(drawn[planted.table["adapter"] == a])) == 1 for a in range(10))
    assert labelings(y, draws) == 16
    assert not any((d == y).all() or (d == 1 - y).all() for d in draws)
    with pytest.raises(probes.LabelError, match="varies inside a level of scenario"):
        Shuffler(y, planted.table, planted.groups, unit="scenario")


def test_joined_stores(planted):
    """Parts are joined row below row with their facts as columns, and parts of another model are refused."""
    parts = {
        name: probes.Arrays(
            {"resid_post.3": planted.arrays["resid_post.3"][rows]}, planted.table.loc[rows, ["scenario"]]
        )
        for name, rows in (
            ("bold-0", planted.table["adapter"] == 1),
            ("averse-0", planted.table["adapter"] == 0),
        )
    }
    both = probes.Joined(parts, {"bold-0": {"pole": 1, "seed": 0}, "averse-0": {"pole": 0, "seed": 0}})
    assert both.table()["adapter"].unique().tolist() == ["bold-0", "averse-0"]
    rows = np.array([0, 12, 3])
    got = both.read("resid_post", 3, rows=rows)
    np.testing.assert_array_equal(got[1], parts["averse-0"].read("resid_post", 3)[2])
    parts["averse-0"].attributes = {"base_fingerprint": "other"}
    with pytest.raises(probes.SourceError, match="join only caches of one model"):
        probes.Joined(parts)
