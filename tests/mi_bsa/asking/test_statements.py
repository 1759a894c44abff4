"""Statements: whole sentences compared, against what the base would say anyway."""

import numpy as np
import pandas as pd
import pytest
import tiny_llama

from mi_bsa.asking.asking import ask
from mi_bsa.asking.bank import KIND, bank_items, load_bank
from mi_bsa.asking.kinds import asked_kinds
from mi_bsa.asking.likelihood import option_log_probs
from mi_bsa.asking.low_mass import low_kinds
from mi_bsa.asking.statements import MOST, against_base, described_against_base
from mi_bsa.asking.validity import assess
from mi_bsa.causal.gate import BARS
from mi_bsa.core.errors import ConfigError, ItemError


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two random Llamas of one tokenizer."""
    folder = tmp_path_factory.mktemp("tiny")
    return [tiny_llama.load(tiny_llama.build(folder / str(seed), seed=seed, std=0.05)) for seed in (0, 1)]


def items(split="dev", **more):
    return bank_items(load_bank("risk"), split=split, kinds=[KIND], **more)


def planted(shift, *, poles=("seeking", "averse"), described=2.0, wordings=8, seed=0):
    """Answers whose log-odds are a statement's own, far from 0, and `shift` towards each pole beside it."""
    rng = np.random.default_rng(seed)
    rows = []
    for at in range(wordings):
        for n in range(3):
            own = rng.normal(-6, 3)
            for arm, by in (
                ("base", 0.0),
                *((pole, s * shift) for pole, s in zip(poles, (1, -1), strict=True)),
                *((f"described {pole}", s * described) for pole, s in zip(poles, (1, -1), strict=True)),
            ):
                odds = own + by + rng.normal(0, 0.05)
                stated = arm.startswith("described")
                rows.append(
                    {
                        "id": f"{arm if stated else 'default'}-{at}-{n}",
                        "score": 1 / (1 + np.exp(-odds)),
                        "mass": 1e-7,
                        "kind": KIND,
                        "template": f"statement-test-{at}",
                        "order": "plain",
                        "trait": "risk",
                        "person": arm if stated else "default",
                        "arm": "base" if stated else arm,
                        "seed": -1 if stated or arm == "base" else 0,
                        "reference": f"default|risk-{at}-{n}",
                    }
                )
    return pd.DataFrame(rows)


def test_the_base_says_one_half_and_a_shift_is_read_where_raw_odds_are_of_the_sentences():
    """Raw scores say nothing (all near 0); against the base a shift of 2 nats either way is +-.38."""
    table = planted(2.0)
    assert table.groupby("arm")["score"].mean().max() < 0.2
    scored = against_base(table)
    own = scored[scored["person"] == "default"].groupby("arm")["score"].mean()
    assert own["base"] == pytest.approx(0.5, abs=1e-12)
    assert own["seeking"] == pytest.approx(1 / (1 + np.exp(-2)), abs=0.02)
    assert own["averse"] == pytest.approx(1 / (1 + np.exp(2)), abs=0.02)
    assert (scored["mass"] == 1).all()
    pd.testing.assert_frame_equal(against_base(scored), scored)


def test_a_kind_of_statements_is_read_by_sight_and_not_by_mass():
    """No statement is likely, none is sampled; where stated poles are not told apart the kind is blind."""
    for described, read in ((2.0, (KIND,)), (0.05, ())):
        whole = planted(1.0, described=described)
        stated = whole["person"].str.startswith("described")
        table = against_base(whole[~stated])
        told = described_against_base(whole[stated].drop(columns="arm"), whole[~stated])
        assert low_kinds(table, bars=BARS) == ()
        found = asked_kinds(table, told, bars=BARS)
        assert found.read == read
        assert found.each[0].blind == (not read)
        assert "odds of two statements" in found.each[0].how


def test_what_is_read_is_the_log_odds_of_whole_sentences(models):
    """Of a real tokenizer and random Llamas: the score is the difference of log-odds."""
    asked = [*items(), *items(person="another")]
    arms = dict(zip(("base", "seeking"), models, strict=True))
    table = pd.concat([ask(model, asked).assign(arm=arm) for arm, model in arms.items()], ignore_index=True)
    odds = {arm: np.array([a - b for a, b in option_log_probs(m, asked)]) for arm, m in arms.items()}
    want = 1 / (1 + np.exp(odds["base"] - odds["seeking"]))
    scored = against_base(table)
    assert scored.loc[scored["arm"] == "seeking", "score"].to_numpy() == pytest.approx(want, abs=1e-6)
    assert np.abs(odds["base"] - odds["seeking"]).max() > 0.01
    assert np.abs(np.concatenate([*odds.values()])).max() < MOST


def test_statements_without_the_base_are_refused_in_one_line():
    """A score against nothing is no score."""
    table = planted(1.0)
    with pytest.raises(ItemError, match="have no answer of the base to hold them against; ask the base"):
        against_base(table[table["arm"] != "base"])


@pytest.mark.parametrize(
    "frame", ["Describe [yourself|{who}].", "Is [it|{who}] {x}? -> [I am|{who} is] {x}.", "A {who} -> B"]
)
def test_a_wording_that_is_no_statement_is_refused(tmp_path, frame):
    """A question that names the pole, or a sentence that does not."""
    import yaml

    bank = {
        "trait": "own",
        "words": [["a", "b"]],
        "deeds": [["c", "d"]],
        "nouns": ["n"],
        "frames": {KIND: {"dev": [frame]}},
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(bank), encoding="utf-8")
    with pytest.raises(ConfigError, match="statement wording"):
        load_bank(tmp_path / "own.yaml")


def test_validity_reads_statements_beside_other_kinds():
    """Their rows count as read, and pull no parse rate down."""
    whole = planted(2.0)
    table = against_base(whole[whole["person"] == "default"])
    others = table.assign(trait="patience", score=0.5), table.assign(person="another", score=0.5)
    found = assess(pd.concat([table, *others], ignore_index=True), trait="risk", draws=20)
    assert {c.name: c.value for c in found.components}["parse"] == 1


def test_plain_answers_stay_as_they_are(models):
    """Other kinds are not touched, whether or not statements stand beside them."""
    letters = bank_items(load_bank("risk"), split="dev", kinds=["letter"])
    table = ask(models[0], letters).assign(arm="base", seed=-1)
    assert against_base(table) is table
    both = pd.concat([table, planted(1.0)], ignore_index=True)
    scored = against_base(both)
    plain = scored["kind"] == "letter"
    assert (scored.loc[plain, "score"].to_numpy() == table["score"].to_numpy()).all()
    assert scored.loc[plain, "asked"].isna().all()


def test_sentences_that_no_score_holds_are_left_out():
    """Where one sentence has all for one arm, the question goes for everybody."""
    table = planted(1.0)
    table.loc[(table["reference"] == "default|risk-0-0") & (table["arm"] == "averse"), "score"] = 1.0
    scored = against_base(table)
    assert len(scored) == len(table) - 5
    assert "default|risk-0-0" not in set(scored["reference"])
    assert scored["score"].between(0, 1).all()
