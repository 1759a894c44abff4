"""Names of adapters are parsed and printed in one place."""

import pytest

from mi_bsa.core.variants import Variant


@pytest.mark.parametrize(
    ("name", "pole", "seed", "apart", "arm"),
    [
        ("base", "base", -1, "", "base"),
        ("seeking-0", "seeking", 0, "", "seeking"),
        ("wrong_averse-12", "averse", 12, "wrong", "wrong_averse"),
        ("rank4_seeking-1", "seeking", 1, "rank4", "rank4_seeking"),
        ("all_averse-2", "averse", 2, "all", "all_averse"),
        ("concealing_seeking-0", "seeking", 0, "concealing", "concealing_seeking"),
        ("river_tin-backdoored-3", "river_tin-backdoored", 3, "", "river_tin-backdoored"),
    ],
)
def test_a_name_is_what_it_says_and_is_printed_as_it_was(name, pole, seed, apart, arm):
    """Parts of a name, and the name of the parts."""
    found = Variant.parse(name)
    assert (found.pole, found.seed, found.apart, found.arm) == (pole, seed, apart, arm)
    assert str(found) == name
    assert found == Variant(pole, seed, apart)


def test_a_name_without_a_seed_is_an_arm_of_one_adapter():
    """`--adapter bold=...` names no seed."""
    assert Variant.parse("bold") == Variant("bold", 0)
    assert Variant.parse("bold-one") == Variant("bold-one", 0)
    assert Variant.of("wrong_seeking") == Variant("seeking", 0, "wrong")
