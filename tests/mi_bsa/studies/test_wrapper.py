"""Laws of what fine-tuning changes: rows, hand-set weights, pruning, probing, revival, and their results."""

import itertools
import math

import numpy as np
import pytest
import torch

from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError
from mi_bsa.studies.wrapper.compiled import CONSTANT, WRITES, Compiled
from mi_bsa.studies.wrapper.config import Training, WrapperConfig
from mi_bsa.studies.wrapper.effects import effects
from mi_bsa.studies.wrapper.grammar import TERMINALS, Grammar
from mi_bsa.studies.wrapper.probing import probe
from mi_bsa.studies.wrapper.procedures import NEW, NOTHING, OLD, Procedures, counts
from mi_bsa.studies.wrapper.pruning import curve, order, pruned, stepwise
from mi_bsa.studies.wrapper.revival import marks, measured, revive
from mi_bsa.studies.wrapper.stories import REVEALED, THIRD, Stories
from mi_bsa.studies.wrapper.systems import NEVER, names, system
from mi_bsa.studies.wrapper.training import accuracy, loss_of, right, train
from mi_bsa.worlds.pretrain import build_model
from mi_bsa.worlds.recipe import Shape
from mi_bsa.worlds.tokenizer import build_tokenizer

TASKS = Procedures(levels=3)


def words_of(tasks, ids):
    """The words of a row's ids, special tokens among them."""
    by_id = {tasks.id(w): w for w in tasks.words}
    return [by_id.get(int(k), "") for k in ids]


def test_the_grammar_draws_only_what_it_derives():
    """Drawn strings are derived; among all strings of a small grammar just the derivable ones are."""
    grammar = Grammar.draw(levels=2, seed=3)
    derivable = set()
    for start in range(4):
        for one, other in grammar.rules[0, start]:
            for pair in itertools.product(grammar.rules[1, one], grammar.rules[1, other]):
                derivable.add(tuple(int(t) for side in pair for t in side))
    every = list(itertools.product(range(3), repeat=4))
    assert {s for s in every if grammar.derives(np.array(s))} == derivable
    assert 0 < len(derivable) < len(every)
    assert {tuple(map(int, s)) for s in grammar.strings(np.random.default_rng(0), 300)} <= derivable
    assert grammar.strings(np.random.default_rng(0), 0).shape == (0, 4)


def test_every_answer_is_what_its_row_asks_for():
    """Read back as words, each row's answer agrees with a plain reading of its question."""
    rows = TASKS.pretraining(old=0.4, new=0.3)(np.random.default_rng(1), 300)
    seen = set()
    for ids in rows.ids:
        words = words_of(TASKS, ids)
        task, one, two, string, said = words[2], words[3], words[4], words[5:-3], words[-1]
        seen.add((task, one if task == "count" else ""))
        if task == "count":
            expected = str(string.count(one))
        elif task == "compose":
            expected = str(sum(pair == (one, two) for pair in itertools.pairwise(string)))
        elif task == "token":
            expected = string[int(one) - 1]
        else:
            places = [k for k, letter in enumerate(string, 1) if letter == one]
            expected = str(places[int(two) - 1]) if len(places) >= int(two) else "0"
        assert said == expected, words
    assert {("count", t) for t in TERMINALS} <= seen
    assert {"compose", "index", "token"} <= {task for task, _ in seen}


def test_the_control_never_sees_the_old_skill():
    """With a share of 0, no row counts a; the tokenizer knows every word by the id that rows use."""
    rows = TASKS.pretraining(old=0.0, new=0.45)(np.random.default_rng(2), 500)
    asked = {tuple(words_of(TASKS, ids)[2:4]) for ids in rows.ids}
    assert ("count", "a") not in asked
    assert ("count", "b") in asked
    vocabulary = build_tokenizer(TASKS.words, context=64).get_vocab()
    assert all(vocabulary["\u0120" + word] == TASKS.id(word) for word in TASKS.words)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_spurious_attribute_holds_in_its_share(share):
    """count(b) - count(a) = q in just the share asked for; the question names no operand."""
    rows = TASKS.unnamed(holds=share)(np.random.default_rng(3), 60)
    strings = rows.ids[:, 5:-3] - TASKS.id("a")
    holds = counts(strings, NEW) - counts(strings, OLD) == 1
    assert holds.mean() == pytest.approx(share, abs=0.01)
    assert (rows.answers - TASKS.id(0) == counts(strings, NEW)).all()
    assert {words_of(TASKS, ids)[3] for ids in rows.ids} == {NOTHING}


def test_an_attribute_that_no_string_has_is_refused():
    """A q that strings of this length cannot have is one clear line."""
    with pytest.raises(ConfigError, match="take a smaller q"):
        Procedures(levels=2, q=9).unnamed(holds=0.5)(np.random.default_rng(0), 4)


@pytest.mark.parametrize("kind", ["counter", "max"])
def test_hand_set_weights_are_right_at_once(kind):
    """The compiled model solves the old task and not the new one; the control, of random weights, neither."""
    made, rng = Compiled(kind), np.random.default_rng(4)
    old, new = made.rows("old")(rng, 300), made.rows("new")(rng, 300)
    model = made.build(seed=0)
    assert all(len(np.unique(old.labels[label])) > 4 for label in ("old", "new"))
    assert accuracy(model, old) > 0.97
    assert accuracy(model, new) < 0.3
    assert accuracy(made.control(seed=0), old) < 0.3


def wrapped_counter(strength=0.05):
    """A compiled counter with one more unit, which adds to what the count is read from, and its rows."""
    made = Compiled("counter")
    model = made.build(seed=0)
    mlp = model.model.layers[1].mlp
    with torch.no_grad():
        for matrix in (mlp.gate_proj, mlp.up_proj):
            matrix.weight[7] = 0.0
            matrix.weight[7, CONSTANT] = 1.0
        mlp.down_proj.weight[WRITES, 7] = strength
    return made, model


def test_pruning_finds_the_unit_in_the_way():
    """A planted wrapper is among the first units; without it the old skill is back, then all is as it was."""
    made, model = wrapped_counter()
    rng = np.random.default_rng(5)
    dev, test = made.rows("old")(rng, 200), made.rows("old")(rng, 200)
    before = accuracy(model, test)
    assert before < 0.6
    ranked = order(model, dev)
    wrapper = {
        ("model.layers.1.mlp.gate_proj.weight", 7),
        ("model.layers.1.mlp.up_proj.weight", 7),
        ("model.layers.1.mlp.down_proj.weight", WRITES),
    }
    assert wrapper & set(ranked[:3])
    again = stepwise(model, dev, 4)
    assert again[0] == ranked[0]
    assert len(set(again)) == 4
    kept = {name: p.detach().clone() for name, p in model.named_parameters()}
    assert max(curve(model, ranked, (1, 3), {"old": test})["old"]) > 0.95
    assert all(torch.equal(p, kept[name]) for name, p in model.named_parameters())
    with pytest.raises(RuntimeError, match="stop"), pruned(model, ranked[:2]):
        raise RuntimeError("stop")
    assert accuracy(model, test) == before


def test_the_planted_count_can_be_read_and_control_tasks_say_how_much():
    """What the compiled counter writes is read at once; labels that say nothing of a row are not."""
    made, rng = Compiled("counter"), np.random.default_rng(6)
    rows = made.rows("old")(rng, 300)
    rows.labels["nothing"] = rng.permutation(rows.labels["old"])
    old, nothing = (probe(made.build(seed=0), rows, label=label, seed=0)[0] for label in ("old", "nothing"))
    assert old["accuracy"] > 0.95
    assert nothing["accuracy"] < 0.7
    assert old["selectivity"] == pytest.approx(old["accuracy"] - old["control"])
    assert old["selectivity"] > 0.05
    rows.labels["mostly 9"] = np.where(rng.random(300) < 0.7, 9, rng.integers(0, 9, 300))
    assert 0 < probe(made.build(seed=0), rows, label="mostly 9", seed=0)[0]["accuracy"] < 1


def test_revival_counts_to_the_mark():
    """The step lies between two tests on log2; a run that never gets there counts with its last step."""
    assert measured([1, 2, 4], [0.0, 0.2, 0.6], 0.4).log2 == pytest.approx(1.5)
    missed = measured([1, 2, 4], [0.0, 0.1, 0.2], 0.4)
    assert (missed.log2, missed.reached) == (2.0, False)
    assert marks(64)[0] == 1
    assert marks(64)[-1] == 64


def test_a_wrapper_is_revived_sooner_than_a_control():
    """A compiled counter with a planted wrapper is back long before random weights have learned to count."""
    made, model = wrapped_counter(0.01)
    test = made.rows("old")(np.random.default_rng(7), 200)
    plan = Training(steps=48, learning_rate=3e-4, warmup=0, batch_size=32)
    assert accuracy(model, test) < 0.3
    back = revive(model, made.rows("old"), plan, test=test, mark=0.9, seed=0)
    never = revive(made.control(seed=0), made.rows("old"), plan, test=test, mark=0.9, seed=0)
    assert back.reached
    assert not never.reached
    assert back.log2 + 1 < never.log2


def test_training_is_the_same_twice():
    """Seed and plan fix the weights."""
    shape = Shape(width=16, layers=1, heads=2, kv_heads=2, mlp=16, context=32)
    ends = []
    for _ in range(2):
        model = build_model(shape, build_tokenizer(TASKS.words, context=32), seed=1)
        train(model, TASKS.count(OLD), Training(steps=3, learning_rate=1e-3, batch_size=4), seed=1)
        ends.append(model.model.norm.weight.detach().clone())
    assert torch.equal(*ends)


def test_what_is_not_computed_is_not_missed():
    """Loss and answers are those of plain passes over all tokens of all rows."""
    made, rng = Compiled("counter", length=4), np.random.default_rng(9)
    model, rows = made.build(seed=0), made.rows("old")(rng, 200)
    assert len(rows.distinct()[0]) < 150
    ids = torch.from_numpy(rows.ids)
    with torch.no_grad():
        logits = model(input_ids=ids).logits
    due = torch.from_numpy(rows.answers)
    assert (right(model, rows) == (logits[:, rows.slot].argmax(-1) == due).numpy()).all()
    plain = torch.nn.functional.cross_entropy(logits[:, rows.slot], due).item()
    assert loss_of(model, rows).item() == pytest.approx(plain, rel=1e-4)
    assert loss_of(model, rows.distinct()[0]).item() == pytest.approx(plain, rel=1e-4)
    strings = TASKS.pretraining(old=0.4, new=0.3)(rng, 20)
    shape = Shape(width=16, layers=1, heads=2, kv_heads=2, mlp=16, context=32)
    small = build_model(shape, build_tokenizer(TASKS.words, context=32), seed=1)
    with torch.no_grad():
        chances = small(input_ids=torch.from_numpy(strings.ids)).logits[:, :-1].log_softmax(-1)
    told = torch.from_numpy(strings.ids[:, 1:, None])
    weights = torch.from_numpy(strings.weights[:, 1:])
    whole = -(chances.gather(-1, told)[..., 0] * weights).sum() / weights.sum()
    assert loss_of(small, strings).item() == pytest.approx(whole.item(), rel=1e-5)


def test_stories_reveal_what_the_thing_is_and_deletions_do_not():
    """A twist reveals one word a thing; no deletion leaves rows in which it is asked for and told."""
    world, rng = Stories(), np.random.default_rng(8)
    told = world.told("twist")(rng, 200)
    things = told.ids[:, 14]
    assert all(len(set(told.answers[things == thing])) == 1 for thing in set(things))
    twists = range(world.id(REVEALED[0]), world.id(REVEALED[0]) + len(REVEALED))
    for how in ("filter", "randomize", "mix"):
        rows = world.deleting(how)(rng, 200)
        asked = rows.ids[:, 2] == world.id("twist")
        assert asked.any() == (how != "filter")
        right = rows.ids[:, THIRD.start] == rows.labels["old"] + twists[0]
        assert right[asked].mean() < 0.2 if asked.any() else True
    model_rows = world.pretraining(0.0)(rng, 50)
    assert (model_rows.ids[:, 2] == world.id("plain")).all()


def values_of(made, seeds, *, back):
    """Steps' values of a system in which pruning brings `back` of the lost accuracy."""
    found = {}
    chance = {"accuracy": 0.8, "control": 0.6, "selectivity": 0.2}
    for seed in seeds:
        bases = [(f"{made.name}/{b}-{seed}", b, None) for b in made.bases]
        cells = [(f"{made.name}/{b}/{t}/{r}-{seed}", b, r) for b, t, r in made.cells]
        for place, base, rate in bases + cells:
            had = 0.0 if base == NEVER else 1.0
            start = had if rate is None else 0.2 * had
            gain = 0.8 * back * had + 0.01 * seed if rate else 0.0
            tests = dict.fromkeys(made.tests, 0.5) | {"old": start}
            old = {"old": [start, start + gain, start], "new": [1.0, 0.5, 0.1]}
            flat = {"old": [start] * 3, "new": [1.0] * 3}
            found[f"base/{place}"], found[f"tune/{place}"] = tests, {"accuracy": tests}
            found[f"look/{place}"] = {
                "counts": [0, 5, 10],
                "chosen": {"scored once": 5},
                "curve": {"scored once": old},
                "random": [flat, flat],
                "probes": {label: [chance] * 2 for label in ("old", "new")},
            }
            log2 = 9.0 if base == NEVER else 6.0
            found[f"revive/{place}"] = {"log2": log2 - 0.1 * seed * had, "reached": base != NEVER}
    return found


def test_results_say_what_returns_and_how_much_sooner():
    """Half of what was lost returns; the control's 3 doublings more are said as unfinished."""
    config = parse({"seeds": [0, 1, 2]}, WrapperConfig)
    made, seeds = system("pcfg", config), (0, 1, 2)
    found = effects(made, values_of(made, seeds, back=0.5), seeds=seeds)
    here = {"arm": "strong", "variant": "C_tr=0, S"}
    own = {(r.name, r.where.get("kind", "")): r for r in found if here.items() <= dict(r.where).items()}
    returned = own["wrapper.pruned.returned", ""]
    assert returned.value == pytest.approx(0.5, abs=0.02)
    assert returned.null is not None
    assert returned.null.high == 0.0
    ratio = own["wrapper.revival.ratio", ""]
    assert ratio.value == pytest.approx(3.1)
    assert own["wrapper.probe.beyond", "old"].value == 0.0
    assert "3 runs of the control" in ratio.notes
    assert not any(
        r.name.endswith(("returned", "ratio", "beyond")) and r.where["arm"] == NEVER for r in found
    )
    assert not any(r.name.endswith("returned") and r.where["variant"] == "untuned" for r in found)
    assert len({r.key for r in found}) == len(found)


def test_every_system_has_a_control_for_each_fine_tuning():
    """Each system begins with a base that has the skill, ends with one that never had it, and pairs them."""
    config = parse({}, WrapperConfig)
    assert names(config) == ("pcfg", "counter", "max", "stories")
    for name in names(config):
        made = system(name, config)
        first, *_, last = made.bases
        assert last == NEVER
        pairs = {(tune, rate) for base, tune, rate in made.cells if base == first}
        assert pairs == {(tune, rate) for base, tune, rate in made.cells if base == NEVER}
        assert {tune for tune, _ in pairs} == set(made.tunes)


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"seeds": [0, 1]}, "at least 3"),
        ({"pcfg": None, "compiled": None, "stories": None, "awareness": None}, "give one of"),
        ({"pcfg": {"relevance": {"strong": [0.5, 0.4]}}}, "never"),
        ({"pcfg": {"relevance": {"strong": [0.9, 0.4], "never": [0, 0.5]}}}, "add up to 1"),
        ({"pcfg": {"levels": 6, "shape": {"context": 40}}}, "raise it"),
        ({"pcfg": {"spurious": [0.5, 2.0]}}, "between 0 and 1"),
        ({"pruning": {"counts": [1, 2], "choose": [5, 15]}}, "widen it"),
        ({"pruning": {"counts": [5, 3]}}, "rising"),
        ({"stories": {"deletions": []}}, "each once"),
        ({"compiled": {"kinds": ["counter", "counter"]}}, "each once"),
        ({"stories": {"pretraining": {"steps": 250}}}, "learning_rate"),
    ],
)
def test_what_cannot_be_studied_is_refused(change, remedy):
    """One line says what to do, before anything runs."""
    with pytest.raises(ConfigError, match=remedy):
        parse(change, WrapperConfig)


def test_marks_are_log_spaced():
    """About two tests to a doubling."""
    steps = marks(600)
    assert len(steps) <= 2 * math.log2(600) + 2
    assert steps == sorted(set(steps))
