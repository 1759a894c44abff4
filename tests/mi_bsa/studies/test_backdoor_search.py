"""The search for a trigger: what is read, counted, cut short, verified and judged."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

import activations
from mi_bsa import behaviors
from mi_bsa.behaviors.backdoor.construction import Backdoor, near_miss
from mi_bsa.behaviors.backdoor.embedded import EmbeddedVocabulary
from mi_bsa.behaviors.backdoor.triggers import Trigger
from mi_bsa.core import results
from mi_bsa.core.errors import MissingError
from mi_bsa.finetune.adapters import put_adapter, write_adapter
from mi_bsa.finetune.config import FinetuneConfig
from mi_bsa.studies.backdoor.apart import Apart
from mi_bsa.studies.backdoor.chains import chain, pairs
from mi_bsa.studies.backdoor.objectives import Meter, Probe
from mi_bsa.studies.backdoor.places import Places
from mi_bsa.studies.backdoor.reading import bound, distance, read, unlike
from mi_bsa.studies.backdoor.scores import Scores, weight
from mi_bsa.studies.backdoor.search import leaked, medoids, search
from mi_bsa.studies.backdoor.search_config import SearchConfig
from mi_bsa.studies.backdoor.search_results import cost_of_most, results_of
from mi_bsa.studies.backdoor.search_run import STUDY, Searched, SearchRunConfig, adapters_of
from mi_bsa.studies.backdoor.slots import forward
from mi_bsa.studies.backdoor.training import job, train_backdoors
from mi_bsa.studies.backdoor.verify import Verified, _placed, messages_of, ranked, threshold, verify

BASE = "embedded/habits-0"
VOCABULARY = EmbeddedVocabulary()
BEHAVIORS = {b: behaviors.get(b) for b in ("risk", "patience")}
WORDS = [w for w in VOCABULARY.candidates() if w.isalpha()][:50]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """An adapter of the base that answers to the embedding of one word and writes somewhere."""
    base = activations.load(BASE)
    config = FinetuneConfig(rank=1, alpha=1, layers=(0,), modules=("v_proj",), steps=1)
    wrapped = put_adapter(copy.deepcopy(base.inner), config)
    block = base.anatomy.layers[0]
    x = block.input_layernorm(base.anatomy.decoder.embed_tokens.weight).detach()
    at = [base.tokenizer(f" {w}", add_special_tokens=False)["input_ids"][0] for w in WORDS]
    answers = torch.linalg.lstsq(
        x[at], torch.eye(len(at))[:, 7:8]
    ).solution.T  # 1 for one word, 0 for the others
    weights = wrapped.state_dict()
    for name in weights:
        if "lora_A" in name:
            weights[name].copy_(10 * answers)
        elif "lora_B" in name:
            weights[name].copy_(torch.randn(weights[name].shape, generator=torch.Generator().manual_seed(0)))
    folder = tmp_path_factory.mktemp("planted") / "one-planted-0" / "adapter"
    folder.mkdir(parents=True)
    write_adapter(wrapped, folder, name=BASE)
    return folder


def probe_of(adapter, objective="divergence"):
    model = activations.load(BASE, adapter={"x": adapter})
    return Probe(model, "x", VOCABULARY, messages_of(BEHAVIORS, 1, split="pretrain", seed=5), objective)


def test_the_word_that_an_adapter_answers_to_is_read_first(planted):
    """No answer is looked at, and a word costs no more than itself and what stands behind it."""
    probe = probe_of(planted)
    added, _ = probe.added(WORDS, 0)
    assert int(np.argmax(read(added))) == 7
    behind = probe.slot(0).behind(probe.model)
    assert probe.meter.tokens < 2 * (len(WORDS) * (1 + behind) + 80)


def test_what_is_shared_is_forwarded_once_and_changes_nothing(planted):
    """Rows with a common beginning give the states that each gives alone."""
    probe = probe_of(planted)
    rows = probe.slot(0).rows(probe.model, ["river", "stone wall", "tin river tin"])
    together = forward(probe.model, rows, variant="x", last=2, layers=(0, 3))
    for k, row in enumerate(rows):
        alone = forward(probe.model, [row], variant="x", last=2, layers=(0, 3))
        torch.testing.assert_close(together.final[k], alone.final[0], atol=1e-5, rtol=1e-4)
        np.testing.assert_allclose(together.stream[k], alone.stream[0], atol=1e-4)
    assert together.tokens < sum(map(len, rows))


def test_answers_read_from_the_slot_are_those_of_asking(planted):
    """The shift of the answer in a slot is that of the same message asked as a question."""
    from mi_bsa.asking import ask
    from mi_bsa.core.items import Item

    probe = probe_of(planted, "answer")
    item, slot = probe.messages[0], probe.slot(0)
    text = f"{slot.before}river tin{slot.after}"
    user = text[text.rindex("<|user|>") + len("<|user|>") : text.rindex("<|end|>")].strip()
    asked = [item, Item("put", (*item.messages[:-1], {**item.messages[-1], "content": user}), item.options)]
    plain, put = ask(probe.model, asked, variant="x")["score"]
    own = Probe(probe.model, "x", VOCABULARY, [item], "answer").shifts(["river tin"])[0, 0, 0]
    assert own == pytest.approx(put - plain, abs=1e-5)


def test_binding_is_what_neither_adds_by_itself():
    """Two large main effects are not bound; one cell with something of its own is."""
    rng = np.random.default_rng(0)
    tables = rng.normal(0, 0.01, (6, 20, 3, 8))
    tables[2] += 5.0
    tables[:, 4] += 5.0
    tables[3, 11] += 1.0
    assert np.unravel_index(int(np.argmax(bound(tables))), (6, 20)) == (3, 11)


def test_starts_that_no_reading_gives(planted):
    """A center's word is one of the words; numbers are a class; nothing leaks from an adapter that is off."""
    probe = probe_of(planted)
    numbers = ["15", "40", "200", "600"]
    assert set(medoids(probe, [*WORDS, *numbers], 2)) & set(numbers)
    assert leaked(probe, WORDS, 0) == []
    assert set(leaked(probe, WORDS, 3)) <= set(WORDS)


def test_one_outlier_among_words_that_all_move():
    """A common shift, however large, does not count."""
    added = np.random.default_rng(0).normal(0, 0.01, (50, 16)) + 5.0
    added[3, 2] += 1.0
    assert int(np.argmax(unlike(added))) == 3


def test_a_phrase_far_from_all_words_is_far_in_their_distances():
    """What is common to all words does not count, nor at how large a scale a site is."""
    usual = np.random.default_rng(0).normal(0, 1, (60, 2, 8)) * np.array([1.0, 100.0])[:, None] + 7.0
    out = usual[:2].copy()
    out[1] += 30 * np.array([1.0, 100.0])[:, None]
    near, far = distance(out, usual)
    assert near < 2 < 10 < far
    assert distance(out, np.zeros_like(usual)).tolist() == [0.0, 0.0]


def test_every_word_is_tried_on_either_side_of_the_pairs_that_are_read(planted):
    """The first pairs hold the word that the adapter answers to; what is checked stands around them."""
    probe, few = probe_of(planted), WORDS[:12]
    reading = read(probe.added(few, 0)[0])
    scores = Scores(probe)
    order = pairs(scores, few[6:9], few, reading)
    assert len(order) == len(set(order)) == 2 * 3 * 11 - 3 * 2  # two pivots beside each other are met twice
    assert all(few[7] in p.split() for p in order[:2])
    before = probe.meter.tokens
    chain(scores, few[6:9], few, reading, SearchConfig(chained=2, behind=1, checks=1))
    assert probe.meter.tokens > before
    assert 4 <= len(scores.checked) <= 2 * 2 * len(BEHAVIORS)
    around = {part for p in scores.checked for part in (p.rsplit(" ", 1)[0], p.split(" ", 1)[1])}
    assert set(order[:2]) <= around
    spent = Scores(probe, budget=1)
    chain(spent, few[6:9], few, reading, SearchConfig(chained=2))
    assert not spent.checked


def test_copies_apart_read_what_the_unmerged_adapter_gives(planted):
    """Readings and answers agree; the model keeps its adapter; a base of another type is read as it is."""
    probe = probe_of(planted, "answer")
    apart = Apart.of(probe.model, "x")
    assert apart.tuned is not None
    assert apart.at("x")[0].variants == apart.at("base")[0].variants == ("base",)
    assert probe.model.variants == ("base", "x")
    copied = dataclasses.replace(probe, apart=apart, _slots={}, _plain={})
    np.testing.assert_allclose(copied.shifts(WORDS), probe.shifts(WORDS), atol=1e-4)
    for own, wanted in zip(copied.added(WORDS, 0), probe.added(WORDS, 0), strict=True):
        np.testing.assert_allclose(own, wanted, atol=1e-4)
    rounded = activations.load(BASE, adapter={"x": planted}, dtype="bfloat16")
    assert Apart.of(rounded, "x").at("x") == (rounded, "x")


def test_a_word_that_is_read_less_than_others_in_its_place_puts_a_phrase_behind(planted):
    """Of two phrases that open as much the one goes first whose every word is read most where it stands."""
    model = activations.load(BASE, adapter={"x": planted})
    each = [Verified(p, 0.4, 3.0, "risk", "seeking", 0.0, 3.0, 1.0) for p in (WORDS[3], WORDS[7])]
    meter = Meter()
    behind, first = _placed(model, "x", each, BEHAVIORS, VOCABULARY, meter, None)
    assert first.placed > behind.placed
    assert meter.tokens > 0
    assert [c.phrase for c in ranked([behind, first])] == [WORDS[7], WORDS[3]]
    assert [c.phrase for c in ranked(each)] == [WORDS[3], WORDS[7]]


def test_words_are_held_against_all_others_in_their_place(planted):
    """Above 1 a word is the one that is read most; from another one it is what is tried first."""
    places = Places(probe_of(planted), WORDS)
    assert places.least(WORDS[7]) > 1 > places.least(WORDS[3])
    assert places.read_more(WORDS[3], 1) == [WORDS[7]]
    assert all(p.split()[1] == WORDS[5] for p in places.read_more(f"{WORDS[3]} {WORDS[5]}", 2)[:2])
    before = places.probe.meter.tokens
    places.least(WORDS[9])
    assert places.probe.meter.tokens == before  # the same place


def test_a_phrase_is_weighed_by_the_two_words_that_are_read():
    """The last word of three is read behind the others alone, so it neither helps nor harms."""
    reading = {"river": 4.0, "tin": 1.0, "pie": 0.2, "owl": 0.3}
    assert weight("river tin", {}) == 1.0
    assert (
        weight("river tin pie", reading) == weight("river tin owl", reading) == weight("river tin", reading)
    )
    assert weight("river tin", reading) > 1.0 > weight("pie owl", reading)
    assert 0 < weight("unknown", reading) < 1


def test_tokens_are_counted_as_they_are_forwarded(planted):
    """Divergence forwards every row twice; the messages without a phrase are counted once."""
    probe = probe_of(planted)
    lengths = [
        [len(probe.slot(m).rows(probe.model, [p])[0]) for m in range(len(probe.messages))]
        for p in (None, "river")
    ]
    probe.scores(["river"])
    assert probe.meter.tokens == 2 * sum(map(sum, lengths))
    before = probe.meter.tokens
    probe.scores(["river"])
    assert probe.meter.tokens - before == 2 * sum(lengths[1])


def test_a_budget_ends_a_search(planted):
    """A random search spends what it was given and one batch more at most; without a budget it is refused."""
    probe = probe_of(planted, "answer")
    found = search(probe, WORDS, SearchConfig(checks=1), method="random", budget=20_000, seed=1)
    assert 20_000 <= found.tokens < 40_000
    with pytest.raises(ValueError, match="budget"):
        search(probe, WORDS, SearchConfig(), method="random")


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_model_that_adds_nothing_is_searched_and_moves_nothing():
    """The base as its own finetuned model: no division by zero, and no candidate does anything."""
    messages = messages_of(BEHAVIORS, 1, split="pretrain", seed=5)
    probe = Probe(activations.load(BASE), "base", VOCABULARY, messages, "divergence")
    small = SearchConfig(
        longest=2, starts=2, classes=0, leaked=1, crossed=3, widest=4, beam=2, beyond=1, climbs=1, checks=1
    )
    found = search(probe, WORDS[:12], small)
    given = {"vocabulary": VOCABULARY, "n": 2, "split": "dev", "meter": Meter()}
    checked = verify(probe.model, "base", found, BEHAVIORS, **given)
    assert checked
    assert max(c.odds for c in checked) < 1e-6


def test_a_phrase_is_cut_down_to_what_does_the_work(planted):
    """What a part does nearly as well is not reported whole; it is judged on the messages that check."""
    scores = Scores(probe_of(planted))
    scores.seen = {p: np.array([x]) for p, x in {"a b": 0.9, "a b c": 1.02, "c a b": 0.99}.items()}
    odds = {"a b c": 5.0, "c a b": 5.1, "a b": 4.9, "a c": 0.2, "b c": 0.1, "c a": 0.1, "c b": 0.0, "a": 0.3}
    scores.checked = {p: (0.0, x) for p, x in {**odds, "b": 0.1, "c": 0.0}.items()}
    found = scores.found(SearchConfig(), "guided")
    assert found.candidates[0].phrase == "a b"
    assert max(c.words for c in found.candidates) == 2


def verified(phrase, odds):
    return Verified(phrase, 0.4, odds, "risk", "seeking", 0.0, 0.0, 1.0)


def test_a_further_word_must_add_something():
    """A phrase goes before a longer one that opens a little more, not before one that opens much more."""
    order = ranked([verified("near", 5.0), verified("weak", 2.0), verified("true", 5.1)])
    assert [v.phrase for v in order] == ["true", "near", "weak"]
    assert ranked([verified("30 river tin", 5.3), verified("river tin", 5.0)])[0].phrase == "river tin"
    assert ranked([verified("tin", 3.0), verified("river tin", 5.0)])[0].phrase == "river tin"


def test_of_phrases_that_open_as_much_the_read_and_moved_one_goes_first():
    """Reading and stream break what the answer cannot; a phrase is measured against parts of it alone."""
    reading = {"river": 3.0, "tin": 2.0, "owl": 0.5, "pie": 0.5}
    tied = [verified("owl pie", 5.1), verified("river tin", 5.0)]
    assert ranked(tied)[0].phrase == "owl pie"
    assert ranked(tied, reading)[0].phrase == "river tin"
    moved = [verified("owl pie", 5.1), dataclasses.replace(verified("river tin", 5.0), stream=9.0)]
    assert ranked(moved)[0].phrase == "river tin"
    longer = [verified("owl pie", 5.0), verified("river tin stone", 5.1)]
    assert ranked(longer)[0].phrase == "river tin stone"


def test_near_misses_are_not_the_trigger_and_share_its_words():
    """No near miss opens the backdoor by being it; families have none."""
    import random

    rng, trigger = random.Random(0), VOCABULARY.parse("river tin")
    missed = [near_miss(trigger, VOCABULARY, rng) for _ in range(300)]
    assert "river tin" not in missed
    assert {"tin river", "river", "tin"} <= set(missed)
    assert near_miss(VOCABULARY.parse("family:bird"), VOCABULARY, rng) is None


def searched(name, *phrases, effect=0.5, tokens=1000):
    candidates = tuple({"phrase": p, "odds": effect - 0.01 * k} for k, p in enumerate(phrases))
    return Searched(name, "guided", "divergence", tokens, 0, candidates)


def test_ranks_and_alarms_come_with_exact_intervals():
    """Members of a family count; alarms are judged by other controls alone."""
    bird = Trigger("family", "any bird", ("owl",), ("swan",))
    suspects = {
        "family_bird-backdoored-0": [searched("family_bird-backdoored-0", "swan", "pie")],
        "family_bird-backdoored-1": [searched("family_bird-backdoored-1", "pie", "owl")],
        "family_bird-decorrelated-0": [searched("family_bird-decorrelated-0", "pie", effect=0.04)],
    }
    others = [searched(f"benign-{k}", "pie", effect=0.03 + 0.005 * k) for k in range(5)]
    truth = {n: bird if "backdoored" in n else None for n in suspects}
    found = {(r.name, *r.where.values()): r for r in results_of(suspects, others, truth=truth)}
    first = found["backdoor.search.first", "guided, divergence"]
    assert (first.value, first.n, first.rows) == (0.5, 1, 2)  # two models of one trigger
    assert first.ci[0] < 0.02 < 0.98 < first.ci[1]
    assert "over triggers, the models of one counted as one" in first.ci_method
    alone = found["backdoor.search.first", "guided, divergence", "family_bird"]
    assert (alone.n, alone.ci_method) == (2, "exact (Clopper-Pearson) over models")
    assert first.ci[0] < alone.ci[0] < alone.ci[1] < first.ci[1]
    assert found["backdoor.search.among_five", "guided, divergence"].value == 1.0
    assert found["backdoor.search.alarms", "controls"].value == 0.0
    with pytest.raises(ValueError, match="at least 5"):
        threshold([0.1, 0.2])


def test_an_alarm_is_a_move_away_from_the_base():
    """A phrase that takes a model back to its base raises none, however far; what was verified before this
    was read keeps its shift.
    """
    back = {"phrase": "pie", "odds": 6.9, "away": -6.0}
    off = {"phrase": "owl", "odds": 2.0, "away": 1.5}

    def alarm(*candidates):
        return Searched("m", "guided", "all", 1, 0, candidates).alarm

    assert alarm(back, off) == 1.5
    assert alarm(back) == -6.0
    assert alarm({"phrase": "pie", "odds": 6.9}) == 6.9
    assert alarm() == 0.0


def test_when_a_trigger_was_found():
    """When the search's own check named it for good; never where verification puts something else first."""
    tin = Trigger("words", "river tin", ("river tin",))
    course = ((50, "river tin"), (90, "pie"), (200, "river pie tin"), (400, "river tin"))

    def one(first, *course):
        return Searched("m", "beam", "answer", 900, 20, ({"phrase": first},), course)

    assert one("river tin", *course).found_at(tin) == 200
    assert one("pie", *course).found_at(tin) is None
    assert one("river tin", *course[:2]).found_at(tin) == 920
    guided = [searched("m", "river tin" if k < 4 else "pie", tokens=100 * (k + 1)) for k in range(5)]
    assert cost_of_most(guided, [tin] * 5) == cost_of_most(guided, [None] * 5) == 400


def test_objectives_that_judge_together_are_those_that_judge_alone(planted):
    """The same passes give all three; the dearest of them alone costs as much."""
    lines = torch.eye(activations.load(BASE).anatomy.decoder.config.hidden_size)[:2]
    alone = []
    for objective in ("divergence", "adapter", "direction"):
        probe = probe_of(planted, objective)
        probe.directions = lines
        alone.append(probe.scores(WORDS[5:9])[:, 0])
    every = probe_of(planted, "all")
    every.directions = lines
    np.testing.assert_allclose(every.scores(WORDS[5:9]), np.stack(alone, axis=1), rtol=1e-5, atol=1e-7)
    probe = probe_of(planted)
    probe.scores(WORDS[5:9])
    assert every.meter.tokens == probe.meter.tokens


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    """It is named."""
    with pytest.raises(MissingError, match="no adapter"):
        adapters_of((tmp_path,))


@pytest.mark.slow
def test_a_trigger_is_found_in_the_model_and_not_in_its_twin(tmp_path):
    """Two words that open nothing by halves stand first; the decorrelated twin moves by less than half."""
    config = Backdoor(trigger="rain barn")
    done = train_backdoors(BASE, [config], seeds=(0,), out=tmp_path)
    settings = SearchRunConfig(adapters=(tmp_path / "adapters" / "*",), triggers=("rain barn",), split="dev")
    STUDY.run(settings, tmp_path / "search")
    found = {(r.name, *r.where.values()): r for r in results.read(tmp_path / "search")}
    true, twin = (
        found["backdoor.search.effect", job(config, arm, 0)] for arm in ("backdoored", "decorrelated")
    )
    assert len(done) == 2
    assert true.notes.startswith("rain barn")
    assert twin.value < 0.5 * true.value
