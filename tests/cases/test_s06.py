"""Case S6: rows said to be independent that are of one example are refused, also over joined caches."""

import numpy as np
import pandas as pd
import pytest

import probes
from probes.source import Arrays

ARGUMENTS = {"label": "pole", "methods": ["mean_difference"], "n_shuffles": 2, "controls": False}


def rows(examples=20, positions=12, *, names=None, words=None):
    """Coin-flip labels by prompt, several positions of each, as a store's table has them."""
    rng = np.random.default_rng(0)
    example = np.repeat(np.arange(examples), positions)
    pole = np.repeat(rng.permutation(examples) % 2, positions)
    table = pd.DataFrame({"example": example, "position": np.tile(np.arange(positions), examples)})
    table["id"] = [(names or [f"q{n}" for n in range(examples)])[n] for n in example]
    table["prompt"] = [(words or [f"prompt {n}" for n in range(examples)])[n] for n in example]
    table["pole"] = pole
    x = rng.normal(size=(examples, 6))[example] + 0.1 * rng.normal(size=(len(table), 6))
    return {"resid_post.0": x.astype(np.float32)}, table


def test_an_example_of_several_rows():
    """The case: `last:12` without groups is refused, and the column to give is named."""
    with pytest.raises(probes.GroupError, match=r"not independent.*groups=\['example'\]"):
        probes.sweep(*rows(), groups=None, **ARGUMENTS)
    found = probes.sweep(*rows(), groups=["example"], **ARGUMENTS)
    assert found.best.auroc.low < 0.5 < found.best.auroc.high


def test_one_row_an_example_is_fine():
    """One position each, or one position at a time: nothing repeats."""
    assert probes.sweep(*rows(40, 1), groups=None, **ARGUMENTS).table["auroc"].notna().all()
    found = probes.sweep(*rows(40, 2), groups=None, by_position="position", **ARGUMENTS)
    assert len(found.table) == 2


@pytest.mark.parametrize("keep", [["example"], ["id"], ["prompt"], ["id", "prompt"]])
def test_each_column_tells(keep):
    """A table that has only some of a store's own columns is judged by those."""
    xs, table = rows()
    with pytest.raises(probes.GroupError, match=rf"groups=\['{keep[0]}'\]"):
        probes.sweep(xs, table[[*keep, "pole"]], groups=None, **ARGUMENTS)


def test_a_prompt_given_twice_under_two_ids():
    """Near duplicates: the same text under two ids is one row seen twice; `prompt` is the column to give."""
    xs, table = rows(40, 1, words=[f"prompt {n // 2}" for n in range(40)])
    with pytest.raises(probes.GroupError, match=r"groups=\['prompt'\]"):
        probes.sweep(xs, table, groups=None, **ARGUMENTS)
    xs, table = rows(20, 3, words=[f"prompt {n // 2}" for n in range(20)])
    with pytest.raises(probes.GroupError, match=r"groups=\['prompt'\]"):
        probes.sweep(xs, table, groups=None, **ARGUMENTS)


def joined(first, second, **more):
    return probes.Joined({"a": Arrays(*first), "b": Arrays(*second)}, **more)


def without_pole(source):
    return source[0], source[1].drop(columns="pole")


FACTS = {"a": {"pole": 0}, "b": {"pole": 1}}


def test_across_a_join():
    """Two variants of one index: each example stands once in each cache, twice in all."""
    one = without_pole(rows(40, 1))
    both = joined(one, one, columns=FACTS)
    assert both.table()["example"].tolist() == [*range(40), *range(40)]
    with pytest.raises(probes.GroupError, match=r"groups=\['example'\]"):
        probes.sweep(both, groups=None, **ARGUMENTS)
    probes.sweep(both, groups=["example"], **ARGUMENTS)


def test_across_a_join_of_other_prompts():
    """Numbers that stand for an id say nothing over other prompts; names do, and examples are told apart."""
    other = [f"another prompt {n}" for n in range(40)]
    numbers = [str(n) for n in range(40)]
    both = joined(
        without_pole(rows(40, 1, names=numbers)), without_pole(rows(40, 1, names=numbers, words=other)),
        columns=FACTS,
    )  # fmt: skip
    assert both.table()["example"].nunique() == 80
    probes.sweep(both, groups=None, **ARGUMENTS)
    named = joined(without_pole(rows(40, 1)), without_pole(rows(40, 1, words=other)), columns=FACTS)
    with pytest.raises(probes.GroupError, match=r"groups=\['id'\]"):
        probes.sweep(named, groups=None, **ARGUMENTS)


def test_transfer_over_sets():
    """A test set of the training prompts is not independent of them."""
    one, two = rows(40, 1), rows(40, 1)
    given = {"site": "resid_post.0", "label": "pole", "method": "mean_difference", "n_shuffles": 2}
    with pytest.raises(probes.GroupError, match="not independent"):
        probes.transfer(
            {"a": (one[0]["resid_post.0"], one[1])},
            {"b": (two[0]["resid_post.0"], two[1])},
            groups=None,
            **given,
        )
    other = rows(40, 1, names=[f"r{n}" for n in range(40)], words=[f"other {n}" for n in range(40)])
    probes.transfer(
        {"a": (one[0]["resid_post.0"], one[1])},
        {"b": (other[0]["resid_post.0"], other[1])},
        groups=None,
        **given,
    )


def test_arrays_without_such_columns_are_taken_at_their_word():
    """Where a caller gives no ids it can not be known: `groups=None` is their statement."""
    xs, table = rows(40, 2)
    probes.sweep(xs, table[["pole"]], groups=None, **ARGUMENTS)
