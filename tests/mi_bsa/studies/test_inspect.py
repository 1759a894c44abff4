"""`mi-bsa inspect`: what was planted in an adapter is told, what was not is not; what is no finetune of the
base is refused in one line.
"""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_llama
import torch
import yaml

import activations
from activations import testing
from activations.differences import activation_differences
from activations.lens import Nulls
from mi_bsa.asking import ask
from mi_bsa.asking.readouts import readable
from mi_bsa.causal.through_base import first_site, through_base
from mi_bsa.cli.command import main
from mi_bsa.core import results
from mi_bsa.core.config import parse
from mi_bsa.core.errors import BankError, ConfigError
from mi_bsa.core.results import Null, Result
from mi_bsa.studies.inspect.choices import choice_results, choices, moved_results, moved_to
from mi_bsa.studies.inspect.config import InspectConfig, ReportsConfig, given_in
from mi_bsa.studies.inspect.damage import damage
from mi_bsa.studies.inspect.headline import headline
from mi_bsa.studies.inspect.traits import OURS, questions, traits_in
from mi_bsa.studies.inspect.traits import stated as stated_questions

FEW = ("--set", "lens.n_texts=8", "--set", "lens.nulls=19", "--set", "lens.top=5", "--vectors", "1")


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(["inspect", *map(str, arguments)])
    said = capsys.readouterr()
    return left.value.code, said.out + said.err


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny Llama that reads English, two adapters of it, one of another base, a merged one, a finetune."""
    path = tmp_path_factory.mktemp("inspect")
    tiny_llama.build(path / "base", context=512)
    tiny_llama.build(path / "other", seed=1, context=512, width=48)
    testing.build_adapter(path / "a" / "adapter", path / "base", modules=("v_proj", "down_proj"))
    testing.build_adapter(path / "b", path / "base", seed=1, modules=("v_proj", "down_proj"))
    testing.build_adapter(path / "foreign", path / "other", modules=("v_proj",))
    model = activations.load(path / "base", adapter=path / "b")
    merged = model.module.merge_and_unload()
    merged.save_pretrained(path / "full")
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (path / "base" / file).is_file():
            shutil.copy(path / "base" / file, path / "full" / file)
    traits = {"risk": {"words": ["bold", "cautious"], "deeds": ["gamble", "wait"], "noun": "risk"}}
    traits["order"] = {"words": ["yes", "no"], "deeds": ["take", "leave"], "noun": "coins"}
    (path / "traits.yaml").write_text(yaml.safe_dump(traits))
    return path


def test_an_adapter_of_higher_blocks_alone_is_inspected(folder, tmp_path, capsys):
    """Below the lowest block that it changes it adds nothing: these sites are left out, not refused."""
    from safetensors.torch import load_file, save_file

    high = tmp_path / "high"
    shutil.copytree(folder / "b", high)
    weights = load_file(high / "adapter_model.safetensors")
    save_file(
        {
            name: 0 * one if ".layers.0." in name and "lora_B" in name else one
            for name, one in weights.items()
        },
        high / "adapter_model.safetensors",
    )
    few = ("--parts", "lenses", "--through-base", "no")
    code, said = run(capsys, folder / "base", high, *FEW, *few, "--out", tmp_path / "out")
    assert code == 0, said
    words = pd.read_csv(tmp_path / "out" / "words.csv")
    assert set(words["site"]) == {"resid_post.1"}
    beside = ("--control", "b", *few)
    code, said = run(capsys, folder / "base", high, folder / "b", *FEW, *beside, "--out", tmp_path / "two")
    assert code == 0, said
    assert "What it adds, beyond b, to texts" in said
    code, said = run(
        capsys, folder / "base", folder / "full", folder / "b", *beside, "--out", tmp_path / "no"
    )
    assert code == 2
    assert "inspect adapters alone" in said
    words = pd.read_csv(tmp_path / "two" / "words.csv")
    assert set(words.loc[words["adapter"] == "high", "site"]) == {"resid_post.0", "resid_post.1"}


def test_several_finetunes_stand_side_by_side(folder, tmp_path, capsys):
    """Two adapters and a full finetune of one base: sentences on each, tables, results and the page."""
    out = tmp_path / "out"
    own = ("--set", f"reports.traits={folder / 'traits.yaml'}", "--set", "reports.wordings=2")
    code, said = run(
        capsys, folder / "base", folder / "a", folder / "b", folder / "full", *FEW, *own, "--out", out
    )
    assert code == 0, said
    found = json.loads((out / "inspect.json").read_text())
    assert list(found) == ["a", "b", "full"]
    assert [found[name]["full"] for name in found] == [False, False, True]
    for name in found:
        sentences = found[name]["headline"]
        assert len(sentences) == 5
        assert "No trigger search was run" in sentences[-1]["sentence"]
        assert all(sentence["sentence"] in said for sentence in sentences)
    numbers = results.read(out)
    names = {one.name for one in numbers}
    assert {"inspect.size", "inspect.share", "lens.first", "inspect.kl", "inspect.report_shift"} <= names
    # a merged adapter is the adapter: the difference of checkpoints tells what its factors told
    size = {one.where["variant"]: one.value for one in numbers if one.name == "inspect.kl"}
    assert size["full"] == pytest.approx(size["b"], rel=1e-3)
    shares = {
        name: {
            one.where["site"]: one.value
            for one in numbers
            if one.name == "inspect.share" and one.where["variant"] == name and "site" in one.where
        }
        for name in ("b", "full")
    }
    for module, share in shares["b"].items():
        assert shares["full"][module] == pytest.approx(share, rel=1e-3)
    first = {
        (one.where["variant"], one.where["layer"]): one.notes for one in numbers if one.name == "lens.first"
    }
    assert first["b", 1] == first["full", 1]
    assert "What did each finetune change?" in (out / "report.html").read_text()
    assert set(pd.read_csv(out / "words.csv")["adapter"]) == {"a", "b", "full"}


@pytest.mark.filterwarnings("ignore::activations.errors.AdapterWarning")
def test_what_is_no_finetune_of_the_base_is_refused(folder, tmp_path, capsys):
    """In one line that says what to give; no folder is made."""
    base = folder / "base"
    for given, says in (
        ((base,), "nothing to inspect"),
        ((base, tmp_path), "no finetune here"),
        ((base, folder / "foreign"), "fit this model"),
        ((base, folder / "other"), "no finetune of it"),
        ((base, base), "bit for bit"),
        ((base, folder / "b", folder / "b"), "given twice"),
        ((base, folder / "b", "--others", folder / "a"), "add --triggers"),
        ((base, folder / "b", "--set", f"searched={tmp_path}"), "no results here"),
        ((base, folder / "b", "--set", "reports.traits=none.yaml"), "no such file"),
    ):
        code, said = run(capsys, *given, "--out", tmp_path / "out")
        assert code == 2, said
        assert says in said
        assert len(said.strip().splitlines()) == 1
        assert not (tmp_path / "out").exists()


def test_names_set_adapters_apart(tmp_path):
    """By as many folders as are needed, `adapter` left out."""
    for name in ("risk/adapters/seeking-0/adapter", "apples/adapters/seeking-0/adapter", "risk/plain"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "adapter_config.json").write_text("{}")
    every = InspectConfig(adapters=(tmp_path / "risk/adapters/*", tmp_path / "risk/plain"))
    assert [one.name for one in given_in(every)] == ["seeking-0", "plain"]
    twins = InspectConfig(
        adapters=(tmp_path / "risk/adapters/seeking-0", tmp_path / "apples/adapters/seeking-0/adapter")
    )
    assert [one.name for one in given_in(twins)] == ["risk-seeking-0", "apples-seeking-0"]
    with pytest.raises(ConfigError, match="nothing to inspect"):
        given_in(InspectConfig())
    (named,) = given_in(InspectConfig(adapters=(Path("zoo:risk-averse-0"),)))
    assert named.name.endswith("risk-averse-0")
    assert (named.path / "adapter_config.json").is_file()


def test_the_bank_has_forty_traits_in_two_orders():
    """Each asked in every kind, both orders and all wordings; scores turn with the order, which statements
    have not. The control asks the same, with either pole stated.
    """
    traits = traits_in(OURS)
    assert len(traits) >= 40
    config = ReportsConfig()
    items = questions(config, parse({"model": "none/none"}, InspectConfig).model)
    table = pd.DataFrame([{**item.labels, "first": item.options[0][1]} for item in items])
    counts = table.groupby(["trait", "kind"]).size()
    assert set(counts) == {2 * config.wordings}
    named = table[table["kind"] != "statement"]
    assert (named.groupby("trait")["first"].mean() == 0.5).all()
    control = stated_questions(config, parse({"model": "none/none"}, InspectConfig).model)
    assert len(control) == 2 * len(items)
    by_pole = {item.labels["person"] for item in control}
    assert by_pole == {"described seeking", "described averse"}
    assert control[0].messages[0]["content"] == "You are bold."
    assert len({item.id for item in control}) == len(control)
    worded = [word for said in traits.values() for word in said["words"]]
    assert len(set(worded)) == len(worded)


def test_traits_that_are_none_are_refused(tmp_path):
    """With the form that they have."""
    (tmp_path / "traits.yaml").write_text("risk: {words: [bold]}\n")
    with pytest.raises(BankError, match="write it so"):
        traits_in(tmp_path / "traits.yaml")


def test_damage_is_what_the_two_models_say(folder):
    """KL, loss and flips against transformers' own logits, text by text; an adapter of scale 0 does none."""
    model = activations.load(folder / "base", adapter={"a": folder / "a" / "adapter"})
    texts = ["You are given two offers.", "Today Date: 26 Jul 2024 yes no risk", "how much", "one word"]
    found = damage(model, texts, variant="a", batch_tokens=40)
    for n, text in enumerate(texts):
        (row,) = model.rows([{"text": text}])
        batch = model.collate([row])
        logs = []
        for variant in ("base", "a"):
            with model.variant(variant), torch.no_grad():
                logs.append(model.inner(**batch.inputs).logits[0].log_softmax(-1))
        real = slice(row.n_bos, None)
        kl = (logs[0].exp() * (logs[0] - logs[1])).sum(-1)[real].mean()
        assert found.kl[n] == pytest.approx(float(kl), rel=1e-3, abs=1e-5)
        flips = (logs[0].argmax(-1) != logs[1].argmax(-1))[real].float().mean()
        assert found.flipped[n] == pytest.approx(float(flips))
        ids = batch.ids[0, max(row.n_bos, 1) :]
        loss = -logs[1][max(row.n_bos, 1) - 1 : -1].gather(-1, ids[:, None]).mean()
        assert found.loss[1][n] == pytest.approx(float(loss), rel=1e-3)
    none = damage(model, texts, variant="a@0")
    assert none.kl.max() == pytest.approx(0, abs=1e-6)
    assert none.depth.max() == 0


def test_the_base_is_asked_under_the_difference_alone(folder):
    """Against the same questions in an edited pass; null vectors stand in the same place."""
    model = activations.load(folder / "base", adapter={"a": folder / "a" / "adapter"})
    texts = ["You are given two offers.", "how much", "one word", "Today Date: 26 Jul 2024"]
    site = first_site(model, "a", full=False)
    assert site == "resid_post.0"
    difference = activation_differences(model, texts, sites=site, after="a")[site]
    nulls = Nulls.draw(model.d_model, difference.states, n=19, seed=0)
    config = ReportsConfig(traits=folder / "traits.yaml", wordings=2, kinds=("letter", "yes_no"))
    items = questions(config, parse({"model": str(folder / "base")}, InspectConfig).model)
    found = through_base(model, difference, nulls, items)
    items = readable(model, items)  # the tiny tokenizer has no word for yes
    with model.variant("base"):
        plain = ask(model, items).groupby("trait")["score"].mean()
        with activations.edit(model, activations.add(difference, units="raw")):
            moved = ask(model, items).groupby("trait")["score"].mean()
    assert {row["trait"] for row in found} == {"risk", "order"}
    for row in found:
        assert row["shift"] == pytest.approx(float(moved[row["trait"]] - plain[row["trait"]]), abs=1e-5)
        assert row["null"]["n"] == 38
        assert 1 / 39 <= row["p"] <= 1


def chosen(shift, *, scenarios=6, seed=0):
    """Choices of a base and a finetune that moves the first of two behaviors."""
    rng = np.random.default_rng(seed)
    rows = []
    for behavior in ("t0", "t1"):
        for scenario in range(scenarios):
            for arm in ("base", "k"):
                moved = shift if arm == "k" and behavior == "t0" else 0.0
                score = float(np.clip(0.5 + moved + rng.normal(0, 0.02), 0, 1))
                rows.append(
                    {"trait": behavior, "scenario": f"s{scenario}", "arm": arm, "score": score, "mass": 0.9}
                )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("shift", [0.4, -0.4, 0.0])
def test_what_it_chooses_stands_before_what_it_says(shift):
    """A planted shift of choices is told by the word of its pole, upwards, in the sentence on reports; where
    none is, that is said.
    """
    found, rows = choice_results("k", chosen(shift), fdr=0.05, least=0.1)
    poles = {"t0": ("high", "low"), "t1": ("more", "less")}
    first = next(one for one in found if one.where["behavior"] == "t0")
    assert first.value == pytest.approx(shift, abs=0.03)
    assert first.n == 6
    moved = moved_results(found, moved_to(rows, poles, "behavior"))
    word = {0.4: "high", -0.4: "low", 0.0: None}[shift]
    assert [(one.name, one.where["kind"]) for one in moved] == (
        [("inspect.chooses_more", word)] if word else []
    )
    unread = [{**row, "validity": 0.1} for row in rows]
    assert moved_to(unread, poles, "behavior") == {}
    for one in moved:
        assert one.value == pytest.approx(0.4, abs=0.03)
        assert one.ci[0] < one.value < one.ci[1]
    (sentence, _) = headline(
        "k",
        found,
        looked={"reports": {}},
        reports=[],
        choices=rows,
        poles=poles,
        search=None,
        searched_as="k",
    )
    start = f"It chooses what is more {word}; " if word else "Of 2 behaviors no choices moved; "
    assert sentence.sentence.startswith(start)


def test_an_adapter_is_asked_for_choices_in_the_words_of_its_base():
    """One behavior a trait that the base's world has, in English those of two offers; none where none is
    asked for.
    """
    config = InspectConfig(adapters=(Path("x"),))
    embedded = choices(config.reports, config.model)
    assert Counter(item.labels["trait"] for item in embedded) == {"risk": 24, "patience": 24}
    none = config.reports.model_copy(update={"choices": 0})
    assert choices(none, config.model) == []


def test_an_alarm_is_raised_only_beyond_controls():
    """Without controls no trigger is called one; with them the threshold decides."""
    effect = ("backdoor.search.effect", {"variant": "k"}, 4.0, None, "none: one model", 1, "log odds")
    alarm = Result(*effect, notes="river tin 4.00, apple .30")
    why = "none: mean and 4 standard deviations of other controls"

    def said(search):
        return headline("k", [], looked={}, reports=[], poles={}, search=search, searched_as="k")[0].sentence

    assert "no alarm" in said([alarm])
    for limit, words in ((2.0, "'river tin'"), (5.0, "No trigger was found")):
        bar = Result("backdoor.search.threshold", {}, limit, None, why, 9, "log odds")
        assert words in said([alarm, bar])
    assert "No trigger search was run" in said(None)


def test_a_word_that_does_not_stand_out_is_not_spoken_of():
    """The rule takes p of the first word, times the readings that it chose from."""
    null = {"n": 128, "mean": 1.0, "low": 0.5, "high": 1.5}
    word = {"site": "resid_post.1", "lens": "logit", "promoted": ["tea"], "kinds": ["random"], "null": null}

    def said(p):
        looked = {"lenses": {"words": [{**word, "p_promoted": p, "headline": True}] * 2}}
        return headline("k", [], looked=looked, reports=[], poles={}, search=None, searched_as="k")[
            0
        ].sentence

    assert "speaks of tea" in said(0.02)
    assert "no word that stands out" in said(0.03)
    assert Null.of("x", [1.0]).n == 1


def test_the_null_beside_a_report_is_that_reports_own():
    """The shifts of the others stand beside the report that is told, not those of the first trait asked."""

    def shift(trait, value, others):
        where, null = {"behavior": trait, "variant": "k"}, Null.of("shifts of the other traits", [others])
        return Result(
            "inspect.report_shift", where, value, (value, value), "t over wordings", 9, "score", null=null
        )

    moved = Result("inspect.moved", {"variant": "k"}, 0.5, None, "none: a count", 2, "share", notes="1 of 2")
    found = [moved, shift("risk", 0.03, -0.47), shift("patience", -0.47, 0.03)]
    row = {"base": 0.5, "now": 0.1, "q": 0.0, "validity": 0.9, "weakest": "flip"}
    rows = [{**row, "trait": "risk", "shift": 0.03, "moved": False}]
    rows += [{**row, "trait": "patience", "shift": -0.47, "moved": True}]
    poles = {"risk": ("bold", "careful"), "patience": ("patient", "hasty")}
    told = headline(
        "k", found, looked={"reports": {}}, reports=rows, poles=poles, search=None, searched_as="k"
    )[0]
    assert "more hasty" in told.sentence
    assert "0.03 (n = 1)" in told.null


def test_the_folder_of_a_search_is_read(folder, tmp_path, capsys):
    """A finished search's largest shift stands in the last sentence."""
    search = tmp_path / "searched"
    search.mkdir()
    effect = ("backdoor.search.effect", {"variant": "b"}, 1.0, None, "none: one model", 1, "log odds")
    results.write([Result(*effect, notes="river 1.00")], search)
    only = ("--parts", "weights", "--set", f"searched={search}")
    code, said = run(capsys, folder / "base", folder / "b", *FEW, *only, "--out", tmp_path / "out")
    assert code == 0, said
    assert "without other adapters as controls" in said
    assert Path(tmp_path / "out" / "inspect.json").is_file()


def test_a_search_for_triggers_is_planned_beside_it(folder, tmp_path, capsys):
    """A dry run shows the steps of both and writes nothing."""
    said = ("--triggers", "--others", folder / "a", "--dry-run", "--out", tmp_path / "out")
    code, told = run(capsys, folder / "base", folder / "b", "--parts", "weights", *said)
    assert code == 0, told
    assert "search/b" in told
    assert "weights/b" in told
    assert not any(tmp_path.iterdir())
