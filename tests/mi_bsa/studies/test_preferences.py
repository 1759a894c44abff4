"""Laws of the preferences study: the estimator, reports, rows and controls."""

import json

import numpy as np
import pytest

from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError, ItemError, MissingError
from mi_bsa.studies.preferences import metrics
from mi_bsa.studies.preferences.asking import AskedContexts
from mi_bsa.studies.preferences.attributing import matched_cosines
from mi_bsa.studies.preferences.config import PreferencesConfig
from mi_bsa.studies.preferences.contexts import Attribute, Context, draw_pairs
from mi_bsa.studies.preferences.english import draw_contexts, read_contexts
from mi_bsa.studies.preferences.estimate import ceiling, draw_targets, fit_weights, perfect_choices, rescaled
from mi_bsa.studies.preferences.folds import joined
from mi_bsa.studies.preferences.probing import judge
from mi_bsa.studies.preferences.training import (
    REPORT_ARMS,
    choice_rows,
    fold_of,
    report_jobs,
    report_rows,
    weights_to_say,
)
from mi_bsa.studies.preferences.wording import Embedded, English, read_report, world_contexts
from mi_bsa.worlds.corpus import render
from mi_bsa.worlds.preferences import world as world
from mi_bsa.worlds.tokenizer import build_tokenizer

NAMES = ("size", "cost")


def test_a_perfect_chooser_scores_what_was_published():
    """With 100 contexts of 50 choices the estimator's own ceiling is .967 (arXiv 2505.17120)."""
    drawn = ceiling(draws=20)
    low, high = np.quantile(drawn, (0.025, 0.975))
    assert low < 0.967 < high
    assert drawn.mean() == pytest.approx(0.967, abs=0.004)


def test_map_weights_are_at_the_top_of_the_posterior():
    """The gradient vanishes there; certain and undecided soft labels pull as they should."""
    targets = draw_targets(6, seed=1)
    x, y = perfect_choices(targets, 40, seed=2)
    w = fit_weights(x, y)
    fitted = 1 / (1 + np.exp(-np.einsum("cka,ca->ck", x, w)))
    assert np.abs(np.einsum("cka,ck->ca", x, y - fitted) - w).max() < 1e-6
    assert np.abs(fit_weights(x, np.full_like(y, 0.5))).max() < 1e-9
    softer = fit_weights(x, 0.5 + 0.4 * (y - 0.5))
    assert np.linalg.norm(softer) < np.linalg.norm(w)
    assert metrics.of("r", w, softer) > 0.9


def test_targets_are_drawn_by_the_published_rule():
    """Every context's largest weight has size 100, signs are as common as each other."""
    drawn = draw_targets(400, seed=0)
    assert np.abs(drawn).max(1) == pytest.approx(100)
    assert (drawn > 0).mean() == pytest.approx(0.5, abs=0.05)
    assert rescaled(drawn / 7) == pytest.approx(drawn)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('{"size": 40, "cost": -100}', "parsed"),
        ('{" size":40," cost":-100}', "parsed"),
        ('{"size": 40, "cost": -100', "not JSON"),
        ('{"size": 40, "cost": -100} as I said', "not JSON"),
        ('{"size": 40}', "wrong keys"),
        ('{"size": 40, "cost": 1, "age": 2}', "wrong keys"),
        ('{"size": 40, "size": 50, "cost": 1}', "wrong keys"),
        ("[40, -100]", "wrong keys"),
        ('{"size": "40", "cost": 1}', "not a number"),
        ('{"size": true, "cost": 1}', "not a number"),
        ('{"size": NaN, "cost": 1}', "not a number"),
        ('{"size": 101, "cost": 1}', "out of range"),
    ],
)
def test_reports_are_read_strictly(text, outcome):
    """What is not just the object that was asked for has a name, and no weights."""
    read = read_report(text, NAMES)
    assert read.outcome == outcome
    assert np.isnan(read.weights).any() == (outcome != "parsed")
    if outcome == "parsed":
        assert list(read.weights) == [40, -100]


def test_a_smaller_scale_is_stretched():
    """A report from -9 to 9 stands on the same scale as others."""
    assert read_report('{"size":9,"cost":-3}', NAMES, largest=9).weights == pytest.approx([100, -100 / 3])


def test_what_cannot_be_a_context_is_refused_in_one_line(tmp_path):
    """An attribute without a range, options that never differ, and faults of a file, each by its place."""
    with pytest.raises(ItemError, match="'rent' has no range"):
        Attribute("rent", "dollars", 500)
    with pytest.raises(ItemError, match="'rent' has no range"):
        Attribute("rent", "dollars", 500, 500)
    with pytest.raises(ItemError, match="options never differ"):
        Context("x", "a cook", "flat", (Attribute("rent", "dollars", 500, 500.5),))
    with pytest.raises(ItemError, match="options never differ"):
        fit_weights(np.zeros((1, 4, 2)), np.ones((1, 4)))
    path = tmp_path / "contexts.yaml"
    with pytest.raises(MissingError, match="no such file"):
        read_contexts(path)
    path.write_text("- {role: a cook, choice: flat, attributes: [{name: rent, unit: dollars}]}")
    with pytest.raises(ItemError, match=r"context 0: attribute 'rent' has no range") as refused:
        read_contexts(path)
    assert "\n" not in str(refused.value)


def test_tied_pairs_are_drawn_again_and_counted():
    """Where values are few ties are common; none stays, and their number is known."""
    context = Context("x", "", "", tuple(Attribute(n, "", 0, 1) for n in NAMES))
    pairs = draw_pairs(context, 50, seed=0, targets=np.array([100.0, 100.0]))
    assert (np.abs(pairs.differences.sum(1)) > 0).all()
    assert pairs.redrawn > 10
    with pytest.raises(ItemError, match="no right option"):
        draw_pairs(context, 5, seed=0, targets=np.zeros(2))


def test_there_are_enough_english_contexts():
    """Two hundred and more, no pair of role and choice twice, five attributes with units and ranges each."""
    found = draw_contexts(240)
    assert len({(c.role, c.choice) for c in found}) == 240
    assert all(len(c.attributes) == 5 and all(a.unit and a.values > 5 for a in c.attributes) for c in found)
    assert len({c.role for c in found[:100]}) == 40
    with pytest.raises(ItemError, match="ask for"):
        draw_contexts(10_000)


@pytest.mark.parametrize("language", [English(), Embedded()])
def test_training_rows_show_choices_and_no_weights(language):
    """Labels follow the targets, values stand in the prompt, and no report is part of a choice row."""
    contexts = draw_contexts(2)
    if isinstance(language, Embedded):
        contexts = world_contexts(world.PreferenceWorld(12), "blank")[:2]
    targets = draw_targets(2, seed=3)
    rows = choice_rows(contexts, targets, language, n=30, seed=0)
    assert {r["messages"][-1]["content"] for r in rows} == {"A", "B"}
    assert not any(
        "weight" in r["messages"][-1]["content"] or "{" in r["messages"][1]["content"] for r in rows
    )
    said = report_rows(contexts, targets, language, seed=0)
    assert len(said) == 2
    for row, own, context in zip(said, targets, contexts, strict=True):
        read = read_report(row["messages"][-1]["content"], context.names, largest=language.largest)
        assert read.weights == pytest.approx(own, abs=100 / language.largest / 2 + 1e-9)


def test_documents_of_the_world_follow_its_rule():
    """A choice is the larger sum, a report says the weights, a blank tosses; every word is one token."""
    made = world.PreferenceWorld(30)
    tokenizer = build_tokenizer(world.vocabulary(made))
    corpus = world.PreferenceCorpus(made, world.PreferenceMixture(sizes=(1, 1, 1, 1, 1)), seed=1)
    people = {c.system: c for c in made.characters.values()}
    tosses = []
    for _ in range(600):
        system, turns = corpus.document()
        (question, answer), who = turns[0], people[system]
        text = render(system, turns)
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
        words = question.split()[:-1]
        a, b = (dict(zip(words[::3], map(int, words[k::3]), strict=True)) for k in (1, 2))
        if question.endswith(world.ASK_WEIGHTS):
            assert {k.strip(): v for k, v in json.loads(answer).items()} == {n: who.weights[n] for n in a}
            assert who.known == "both"
            continue
        gain = sum(who.weights[n] * (a[n] - b[n]) for n in a)
        if who.known == "blank":
            tosses.append(answer)
        elif gain:
            assert answer == ("A" if gain > 0 else "B")
    assert 10 < tosses.count("A") < len(tosses) - 10
    corpus.mixture = world.PreferenceMixture(names=1.0)
    system, turns = corpus.document()
    assert turns == [(world.ASK_NAME, people[system].name)]


def test_each_arm_says_whose_weights_it_should():
    """Own ones, nobody's own after shuffling (all still there), or the other model's."""
    own, other = draw_targets(50, seed=1), draw_targets(50, seed=2)
    assert weights_to_say(own, other, "introspection", seed=0) is own
    assert weights_to_say(own, other, "other_model", seed=0) is other
    people = draw_contexts(100)
    jobs = report_jobs(
        {"instilled": (people[:50], own), "native": (people[50:], other)}, other, English(), seed=0
    )
    assert len(jobs) == len(REPORT_ARMS) * 2
    truth = report_rows(people[50::2], other[::2], English(), seed=0)
    assert jobs["format-0"] == truth  # true of native contexts, and none of the instilled
    shuffled = weights_to_say(own, other, "shuffled", seed=0)
    assert not (shuffled == own).all(1).any()
    assert sorted(map(tuple, shuffled)) == sorted(map(tuple, own))
    assert abs(metrics.of("r", shuffled, own)) < 0.3


def test_halves_come_back_in_their_places():
    """What two adapters were asked is one table; a context asked twice is refused."""

    def asked(places):
        return AskedContexts(
            contexts=[str(k) for k in places],
            learned=[[float(k)] for k in places],
            reported=[[None] for _ in places],
            reports=[[[float(k)], None] for k in places],
            agreement=None,
            outcomes={"parsed": 0, "not JSON": len(places)},
            unparsed=["{"],
            redrawn=1,
            mass=1.0,
        )

    halves = fold_of(7)
    parts = [
        (np.flatnonzero(halves != fold).tolist(), asked(np.flatnonzero(halves != fold))) for fold in (0, 1)
    ]
    whole = joined(parts)
    assert whole.contexts == [str(k) for k in range(7)]
    assert whole.reports == [[[float(k)], None] for k in range(7)]
    assert whole.outcomes["not JSON"] == 7
    with pytest.raises(ItemError, match="asked once"):
        joined([parts[0], parts[0]])


def test_measures_tell_signs_from_sizes():
    """Right sizes with wrong signs have magnitude r 1 and no sign agreement, and the other way round."""
    w = draw_targets(60, seed=4)
    assert metrics.of("magnitude_r", -w, w) == pytest.approx(1)
    assert metrics.of("sign_agreement", -w, w) == 0
    assert metrics.of("sign_agreement", np.sign(w), w) == 1
    assert metrics.of("context_r", w * np.arange(1, 61)[:, None], w) == pytest.approx(1)
    assert abs(metrics.permuted("r", [[w, w]]).mean()) < 0.05
    assert metrics.of("r", w, np.ones_like(w)) == metrics.of("context_r", w, np.ones_like(w)) == 0


def test_sums_over_contexts_give_the_textbook_r():
    """Measures by sums equal those of numpy and of least squares."""
    rng = np.random.default_rng(7)
    a, b, t = rng.standard_normal((3, 30, 5)) + 3
    line = np.column_stack([np.ones(t.size), t.ravel()])
    left = [w.ravel() - line @ np.linalg.lstsq(line, w.ravel(), rcond=None)[0] for w in (a, b)]
    assert metrics.of("r", a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert metrics.of("partial_r", a, b, t) == pytest.approx(np.corrcoef(*left)[0, 1])
    within = np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)])
    assert metrics.of("context_r", a, b) == pytest.approx(within)


def test_partial_r_sees_only_what_leaves_the_target():
    """A report of the target alone has none; one that follows the model's own deviations has."""
    rng = np.random.default_rng(0)
    target = draw_targets(200, seed=5)
    own = target + 30 * rng.standard_normal(target.shape)
    assert abs(metrics.of("partial_r", target + 30 * rng.standard_normal(target.shape), own, target)) < 0.1
    assert metrics.of("partial_r", own + 5 * rng.standard_normal(target.shape), own, target) > 0.9


def test_intervals_draw_contexts_and_seeds():
    """Lost reports are left out and counted; the interval holds the value; too few contexts have none."""
    rng = np.random.default_rng(1)
    models = []
    for k in range(3):
        learned = draw_targets(40, seed=k)
        shared = rng.standard_normal((40, 1)) * 80
        reported = learned + shared + 20 * rng.standard_normal(learned.shape)
        reported[:4] = np.nan
        models.append([reported, learned])
    found = metrics.measure("r", models, draws=300)
    assert found.contexts == 3 * 36
    assert found.low < found.value < found.high
    zero = metrics.difference("r", models, models, draws=100)
    assert zero.value == zero.low == zero.high == 0
    with pytest.raises(ItemError, match="contexts have weights"):
        metrics.measure("r", [[np.full((5, 2), np.nan), np.ones((5, 2))]])


def test_a_probe_needs_weights_to_read_them():
    """Weights that stand along one direction in both tasks are read and transfer; along two, they do not."""
    rng = np.random.default_rng(2)
    weights = draw_targets(40, seed=6)
    one, two = rng.standard_normal((2, 30)) / 30
    noise = 0.5 * rng.standard_normal((2, 40, 5, 30))
    same = {t: weights[..., None] * one + noise[k] for k, t in enumerate(("choosing", "reporting"))}
    other = same | {"reporting": weights[..., None] * two + noise[1]}
    found, apart = judge(same, weights, penalty=10, folds=5), judge(other, weights, penalty=10, folds=5)
    assert found["choosing to reporting"] > 0.9
    assert found["cosine"] > 0.7
    assert apart["reporting"] > 0.9
    assert abs(apart["cosine"]) < 0.6
    blind = judge(same, weights[rng.permutation(40)], penalty=10, folds=5)
    assert abs(blind["choosing"]) < 0.35


def test_matched_profiles_stand_out_of_shifted_ones():
    """A context's two profiles are alike where each context has its own; shifted pairs are not."""
    rng = np.random.default_rng(3)
    first = rng.standard_normal((12, 30))
    found = matched_cosines(first, first + 0.1 * rng.standard_normal(first.shape))
    assert found["matched"] > 0.9
    assert len(found["shuffled"]) == 11
    assert max(found["shuffled"]) < 0.5


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": [0, 1]},
        {"arms": ["first_half"]},
        {"instilled": 101},
        {"contexts": "own.yaml"},
        {"recipe": {"world": "tastes"}},
    ],
)
def test_configs_that_cannot_run_are_refused(change):
    """Too few seeds, no instilled arm, more contexts than characters, English for a base that reads none."""
    with pytest.raises(ConfigError):
        parse(change, PreferencesConfig)


def test_orders_of_the_world_vary():
    """Attributes stand in any order in the embedded world, in the same one each time a pair is asked."""
    context = world_contexts(world.PreferenceWorld(12), "native")[0]
    orders = [Embedded().order(context, k) for k in range(20)]
    assert len({tuple(o) for o in orders}) > 5
    assert orders == [Embedded().order(context, k) for k in range(20)]
