"""Laws of the behavior study: it runs end to end, resumes to nothing, and the effect it reports is there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from smallest import BEHAVIOR

import activations
from mi_bsa import behaviors
from mi_bsa.asking import ask
from mi_bsa.asking.validity import COMPONENTS
from mi_bsa.causal.asking import answers
from mi_bsa.causal.effects import all_effects
from mi_bsa.causal.options import SamplingOptions
from mi_bsa.causal.readable import validity_of
from mi_bsa.causal.sampled import all_answers, sample_variant
from mi_bsa.core import results
from mi_bsa.core.config import parse
from mi_bsa.core.errors import UnreadableReportError
from mi_bsa.finetune import FinetuneConfig, finetune_together
from mi_bsa.report.headline import lines
from mi_bsa.studies.behavior.study import BehaviorConfig, steps
from mi_bsa.study import execute
from mi_bsa.study.registry import load_study
from mi_bsa.study.steps import Cell, read_marker, write_marker
from mi_bsa.worlds.questions import ASKED_KINDS

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def finished(smallest) -> Path:
    return smallest("behavior").finished


def test_a_study_leaves_what_the_contract_names(finished):
    """Config, record, adapters, caches, directions, results, figures and the page are there."""
    for name in ("config.yaml", "record.json", "results.json", "report.html"):
        assert (finished / name).stat().st_size > 0
    assert len(list((finished / "adapters").iterdir())) == 9 + 4  # arms, and the wrong behavior
    assert (finished / "caches" / "report-test" / "seeking-0.h5").exists()
    assert list((finished / "directions").glob("*.safetensors"))
    assert {p.stem for p in (finished / "figures").glob("*.svg")} >= {
        "levels",
        "flips",
        "transfer",
        "calibration",
        "recovery",
        "necessity",
        "mediation",
        "attribution",
        "constancy",
        "geometry",
        "steering",
        "patching",
    }


def test_every_number_carries_n_interval_and_what_it_is_compared_with(finished):
    """Results pass the contract's checks, and each headline effect stands beside its null."""
    found = results.read(finished)
    names = {r.name for r in found}
    assert {
        "behavior.effect",
        "self_report.effect",
        "bridge.transfer.chosen",
        "bridge.transfer.claim",
        "bridge.calibration.ece",
        "bridge.calibration.observed",
        "behavior.flips.net",
        "self_report.flips.net",
        "bridge.recovery.self_report",
        "bridge.necessity.behavior",
        "bridge.mediation.nie",
        "bridge.attribution.rank_correlation",
        "bridge.constancy.c_mean",
        "bridge.geometry.cosine",
        "steer.effect",
        "patch.recovery",
    } <= names
    assert {r.where["kind"] for r in found if r.name == "self_report.effect"} == {"all", *ASKED_KINDS}
    assert (finished / "flips.csv").is_file()
    for r in found:
        assert r.ci is not None or r.ci_method.startswith("none:")
        if r.name in ("behavior.effect", "self_report.effect", "bridge.transfer.chosen", "steer.effect"):
            assert r.null is not None
            assert r.p is not None
            assert r.q is not None


def test_n_counts_what_was_drawn(finished):
    """Seeds, wordings, scenarios or null directions: never the answers, items or prompts behind them."""
    arms = ("seeking", "averse", "shuffled")
    table = answers(finished, ("base", *(f"{arm}-{seed}" for arm in arms for seed in (0, 1, 2))))
    sets = (part.groupby("kind")["scenario"].nunique().sum() for _, part in table.groupby("set"))
    wordings = max(sets)
    assert wordings < table.groupby(["set", "variant"]).size().max()
    for r in results.read(finished):
        if r.name.startswith(("bridge.verdict", "bridge.multiverse")):  # lines and paths were not drawn
            continue
        if r.ci_method.startswith("central 95 %"):
            assert f"{r.n} random d" in r.ci_method
            assert not r.seeds
        elif " over directions" in r.ci_method or "random directions" in r.ci_method:
            assert not r.seeds
            assert (r.rows or 0) > r.n
        else:
            assert r.n <= (len(r.seeds) or wordings), (r.name, dict(r.where), r.n)


def test_each_p_is_of_the_test_that_it_names(finished):
    """t over seeds is that of the values beside it, over seeds x items that of the interval beside it, and
    a p of draws reaches no further than they do."""
    tested = [r for r in results.read(finished) if r.p is not None]
    of_t = [r for r in tested if r.test.startswith("t over seeds") and r.test.endswith(" against 0")]
    assert len(of_t) > 5
    for r in of_t:
        if " x " in r.test:  # of what else was drawn the values beside it know nothing, but the interval does
            assert r.ci_method.startswith(r.test.removesuffix(" against 0"))
            assert (r.p <= 0.05) == (not r.ci[0] <= 0 <= r.ci[1])
        else:
            assert r.p == pytest.approx(stats.ttest_1samp(r.per_seed, 0.0).pvalue)
    drawn = [r for r in tested if r.p_floor is not None and not r.test.startswith("exact")]
    assert len(drawn) > 5
    for r in drawn:
        assert r.p >= r.p_floor
        assert r.null_is_of_p
        assert f"{r.null.n} draws" in r.test


def test_a_changed_field_reruns_what_depends_on_it_alone(finished, tmp_path):
    """Other numbers stay, to the last digit."""
    folder = shutil.copytree(finished, tmp_path / "run")
    changed = parse({**BEHAVIOR, "patch": {"items": 5}}, BehaviorConfig)
    done = execute.execute(steps(changed), config=changed, folder=folder, workers=1, title="changed")
    assert set(done.ran) == {"patch", "results"}
    before, now = (
        [r for r in json.loads((one / "results.json").read_text()) if r["name"] != "patch.recovery"]
        for one in (finished, folder)
    )
    assert before == now


@pytest.mark.parametrize("name", ["risk", "patience", "risk_short"])
def test_shipped_configs_are_valid(name):
    """Every study config in the repository resolves."""
    config = load_study(ROOT / "configs" / "embedded" / f"{name}.yaml")
    assert isinstance(config, BehaviorConfig)
    assert steps(config)


def test_choices_alone_move_the_self_report(tmp_path):
    """Positive control: poles finetuned on choices differ by more than half a scale in what they say of
    themselves.
    """
    risk = behaviors.get("risk")
    config = FinetuneConfig(rank=16, alpha=32.0, steps=80, layers=(0,))
    jobs = {arm: (risk.rows(arm, 400, seed=0), config) for arm in ("seeking", "averse")}
    made = finetune_together("embedded", jobs, out=tmp_path)
    model = activations.load("embedded", adapter={arm: done.adapter for arm, done in made.items()})
    questions = risk.questions(split="dev")
    means = {name: ask(model, questions, variant=name)["score"].mean() for name in model.variants}
    assert means["seeking"] - means["averse"] > 0.5
    assert means["averse"] < means["base"] < means["seeking"]


SETS = (
    "choice-test",
    "report-test",
    "neighbor_choice-test",
    "neighbor_report-test",
    "named_choice-test",
    "named_report-test",
    "described_report-test",
)


def planted(
    kinds: tuple[str, ...], *, spread: float = 0.01, wordings: int = 3, sees: dict[str, float] | None = None
) -> pd.DataFrame:
    """Answers of a study whose trained trait alone moves: .9 and .2 in the arms, .5 elsewhere. `sees`: how
    far a kind tells stated poles apart (.8 of those that are not named); without it no pole was stated.
    """
    rng = np.random.default_rng(0)
    rows = []
    for arm, center in (("seeking", 0.9), ("averse", 0.2), ("shuffled", 0.5), ("base", 0.5)):
        for seed in (0, 1, 2, 3) if arm != "base" else (-1,):
            for name in SETS:
                trained = name in ("choice-test", "report-test")
                if "described" in name and sees is None:
                    continue
                for kind in kinds if "report" in name else ("choice",):
                    for person in persons_of(name):
                        stated = (sees or {}).get(kind, 0.8) / 2 * (1 if person.endswith("seeking") else -1)
                        for k in range(2 * wordings):
                            rows.append(
                                {
                                    "set": name,
                                    "arm": arm,
                                    "seed": seed,
                                    "kind": kind,
                                    "person": person,
                                    "trait": "patience" if "neighbor" in name else "risk",
                                    "scenario": f"s{k % 3}",
                                    "template": f"{kind.removesuffix('_flipped')}-{k % wordings}",
                                    "order": "flipped"
                                    if kind.endswith("_flipped") or k >= wordings
                                    else "plain",
                                    "mass": 0.98,
                                    "score": (center if trained else 0.5)
                                    + (stated if "described" in name else 0.0)
                                    + rng.normal(0, spread),
                                }
                            )
    return pd.DataFrame(rows)


def persons_of(name: str) -> tuple[str, ...]:
    """Who is asked in a set."""
    how = next((how for how in ("named", "described") if how in name), None)
    return ("default",) if how is None else (f"{how} averse", f"{how} seeking")


def effects_of(table: pd.DataFrame) -> dict:
    """Its results by name and kind."""
    found = all_effects(table, behavior="risk", arms=("seeking", "averse", "shuffled"), seeds=(0, 1, 2, 3))
    results.check(found)
    return {(r.name, r.where.get("kind")): r for r in found}


def test_effects_of_planted_tables():
    """Known answers give known effects: a planted gap is recovered, and equal arms give zero."""
    by = effects_of(planted(ASKED_KINDS))
    assert by["self_report.effect", "all"].value == pytest.approx(0.7, abs=0.02)
    assert by["behavior.effect", None].value == pytest.approx(0.7, abs=0.02)
    neighbor = by["self_report.neighbor_effect", None]
    assert neighbor.ci[0] < 0 < neighbor.ci[1]
    shuffled = by["self_report.shuffled_shift", "all"]
    assert shuffled.notes.startswith("equivalent to the base")
    assert shuffled.ci_method == "t over seeds x wordings, crossed, 90 %"
    assert shuffled.test == "two one-sided t over seeds x wordings, bound 0.15"
    named = by["behavior.named_shift", "named averse"]
    assert named.ci_method == "t over seeds x scenarios, crossed"
    assert named.value == pytest.approx(np.mean(named.per_seed))


def test_a_blind_kind_leaves_the_numbers_over_all_kinds():
    """Its own numbers stay, told as not read; the mean over kinds and the validity index are of the others,
    and the positive control stands beside the effect.
    """
    table = planted(ASKED_KINDS, wordings=8, sees={"letter": 0.01})
    silent = (table["set"] == "report-test") & (table["kind"] == "letter")
    table.loc[silent, "score"] = 0.5
    by = effects_of(table)
    whole, letter = by["self_report.effect", "all"], by["self_report.effect", "letter"]
    assert (whole.value, letter.value) == (pytest.approx(0.7, abs=0.02), 0.0)
    assert "without letter; the same questions see a stated pole by +0.80" in whole.notes
    assert "NOT READ: blind" in letter.notes
    count = by["self_report.kinds_read", None]
    assert (count.value, count.n) == (len(ASKED_KINDS) - 1, len(ASKED_KINDS))
    assert by["self_report.sensitivity", "letter"].value == pytest.approx(0.01, abs=0.01)
    assert by["self_report.sensitivity", "all"].ci[0] > 0.7
    assert by["self_report.validity", "index"].notes.startswith("readable")
    assert by["self_report.validity_without", "least"].value > 0.5
    printed = "\n".join(lines(list(by.values())))
    assert "questions see a stated pole" in printed
    assert "without one wording" in printed
    assert "not letter (blind" in printed


def test_a_kind_that_was_sampled_is_told_by_its_samples():
    """Where letters hold too little, their numbers, the mean over kinds and the validity index are of their
    samples; an item of which nothing could be read counts against the parse rate alone.
    """
    table = planted(ASKED_KINDS, wordings=8, sees={})
    letters = table["kind"] == "letter"
    sampled = table[letters].assign(asked="sampling", samples=2, parsed=2, mass=1.0)
    silent = np.random.default_rng(0).uniform(size=len(sampled)) < 1 / 8
    sampled.loc[silent, ["score", "mass", "parsed"]] = [np.nan, 0.0, 0]
    table.loc[letters, ["score", "mass"]] = [0.5, 0.01]
    by = effects_of(pd.concat([table, sampled], ignore_index=True))
    assert by["self_report.effect", "letter"].value == pytest.approx(0.7, abs=0.02)
    assert by["self_report.effect", "all"].value == pytest.approx(0.7, abs=0.02)
    assert by["self_report.kinds_read", None].value == len(ASKED_KINDS)
    assert "letter (by sampling)" in by["self_report.kinds_read", None].notes
    assert by["self_report.parse_rate", "letter"].value == pytest.approx(7 / 8, abs=0.05)
    assert "by sampling, " in by["self_report.level", "letter"].notes
    parse = by["self_report.validity", "parse"]
    assert "mean of option mass and parse rate" in parse.notes
    assert 0.9 < parse.value < 0.98


def test_kinds_whose_options_hold_little_are_sampled(finished, tmp_path):
    """The base is asked about itself; what cannot be read of it is asked of nobody else, and what can be of
    everyone; a study whose options hold enough samples nothing.
    """
    marker = read_marker(finished, "sample/base")
    assert marker is not None
    assert (marker["value"]["kinds"], marker["value"]["answers"]) == ([], 0)
    again = tmp_path / "run"
    shutil.copytree(finished, again)
    own = pd.read_csv(again / "asked" / "base.csv")
    own.loc[own["kind"] == "word", "mass"] *= 0.01
    own.to_csv(again / "asked" / "base.csv", index=False)
    config = parse({**BEHAVIOR, "sampling": {"answers": 2}}, BehaviorConfig, source="here")
    names = ("base", *config.variants)
    said = sample_variant(Cell(again, config, "sample/base", ()), variant="base", poles=config.poles)
    assert said["kinds"] == ["word"]
    base = pd.read_csv(again / "sampled" / "base.csv")
    assert set(base["kind"]) == {"word"}
    everyone = {"report-test", "neighbor_report-test", "named_report-test", "described_report-test"}
    assert set(base["set"]) == (everyone if said["read"] else {"report-test"})
    assert len(all_answers(again, names)) == len(answers(again, names)) + len(base)
    marker["value"] |= {"read": ["word"]}
    write_marker(again, "sample/base", marker)
    cell = Cell(again, config, "sample/averse-0", ("sample/base",))
    assert sample_variant(cell, variant="averse-0")["answers"] > 0
    found = pd.read_csv(again / "sampled" / "averse-0.csv")
    assert set(found["set"]) == everyone - {"described_report-test"}
    off = config.model_copy(update={"sampling": SamplingOptions(answers=0)})
    assert sample_variant(Cell(again, off, "x", ()), variant="base", poles=config.poles)["answers"] == 0


def test_no_effect_is_told_with_its_positive_control():
    """A silent report: the headline says what the same questions make of a stated pole, or that it is no
    null.
    """
    for sees, says in (
        (
            {},
            "]; the same questions see a pole that is stated: 0.80 [",
        ),
        (dict.fromkeys(ASKED_KINDS, 0.0), "none of its questions can be read, so this is no null"),
        (None, "whether its questions see a stated pole was not measured"),
    ):
        table = planted(ASKED_KINDS, wordings=8, sees=sees)
        table.loc[table["set"] == "report-test", "score"] = 0.5
        printed = "\n".join(lines(list(effects_of(table).values())))
        assert says in printed


def test_kinds_are_those_of_the_labels():
    """Questions of kinds that no other behavior has are reported like any, and the mean is over all of
    them.
    """
    by = effects_of(planted(("codeword", "describe", "word")))
    assert {kind for name, kind in by if name == "self_report.effect"} == {
        "all", "codeword", "describe", "word"
    }  # fmt: skip
    assert "3 wordings x 4 seeds" in by["self_report.effect", "codeword"].notes


def test_validity_stands_among_the_effects_and_claims_ask_for_it():
    """The index and each measured component are results; a readable report passes, any other is refused."""
    by = effects_of(planted(ASKED_KINDS))
    index = by["self_report.validity", "index"]
    assert index.value > 0.8
    assert index.ci[0] <= index.value <= index.ci[1]
    assert {k for n, k in by if n == "self_report.validity"} == {"index", *COMPONENTS}
    printed = "\n".join(lines(list(by.values())))
    assert "report may be read" in printed
    assert all(name.replace("_", " ") in printed for name in COMPONENTS)
    validity_of(planted(ASKED_KINDS), draws=40).require("the claim")
    noisy = planted(ASKED_KINDS)
    noisy.loc[noisy["order"] == "flipped", "score"] = 0.5
    with pytest.raises(UnreadableReportError, match="below 0.5"):
        validity_of(noisy, draws=40).require("the claim")
    unasked = planted(("codeword", "describe"))
    assert "flip not measured" in effects_of(unasked)["self_report.validity", "index"].notes
    with pytest.raises(UnreadableReportError, match="ask those questions"):
        validity_of(unasked, draws=0).require("the claim")
