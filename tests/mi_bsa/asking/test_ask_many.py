"""Everybody is asked in one place; each answers as when asked alone."""

import pandas as pd
import pytest
import tiny_llama

import activations
from mi_bsa.asking import ask, ask_many
from mi_bsa.core.items import Item
from mi_bsa.core.variants import Variant
from mi_bsa.finetune import FinetuneConfig, train_many


def item(name, text):
    return Item(name, ({"role": "user", "content": text},), (("A", 0.0), ("B", 1.0)))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    base = tiny_llama.build(folder / "base")
    rows = [{"messages": [{"role": "user", "content": "A or B?"}, {"role": "assistant", "content": "B"}]}] * 4
    how = FinetuneConfig(steps=2, warmup=0.0, batch_size=4)
    jobs = {
        name: (rows, how.model_copy(update={"seed": seed}))
        for seed, name in enumerate(("seeking-1", "wrong_averse-2"))
    }
    done = train_many(str(base), jobs, out=folder / "adapters")
    return activations.load(base, adapter={name: run.adapter for name, run in done.items()})


SETS = {"one": [item("a", "A or B?")], "two": [item("b", "B or A?"), item("c", "Which?")]}


def test_rows_are_those_of_ask_with_who_answers(model):
    """One row an item, set and variant, in order; scores are `ask`'s."""
    table = ask_many(model, SETS, ("base", "seeking-1", "wrong_averse-2"))
    assert table["id"].tolist() == ["a", "b", "c"] * 3
    assert table["set"].tolist() == ["one", "two", "two"] * 3
    who = table[["variant", "arm", "seed"]].drop_duplicates().to_numpy().tolist()
    assert who == [["base", "base", -1], ["seeking-1", "seeking", 1], ["wrong_averse-2", "wrong_averse", 2]]
    for variant, own in table.groupby("variant"):
        alone = pd.concat([ask(model, items, variant=variant) for items in SETS.values()])
        assert own["score"].tolist() == pytest.approx(alone["score"].tolist(), abs=1e-6)


def test_one_list_has_no_column_of_sets_and_names_may_say_otherwise(model):
    """A plain list of items; who a variant is can be said beside its name."""
    table = ask_many(model, SETS["two"], {"seeking-1": Variant("backdoored", 7)})
    assert "set" not in table
    assert table[["variant", "arm", "seed"]].to_numpy().tolist() == [["seeking-1", "backdoored", 7]] * 2
