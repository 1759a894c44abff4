"""Case R4: Gemma 2 caps its attention scores, so it runs eager: found by itself, and refused under sdpa."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import activations
from activations import testing
from activations.errors import ModelError
from mi_bsa.cli.command import main
from mi_bsa.core.model_config import ModelConfig, load

REMEDY = "set model.attention to eager, or to auto"
FAMILIES = {"gemma2": "eager", "llama": "sdpa", "mistral": "sdpa", "qwen2": "sdpa", "gemma3_text": "sdpa"}
"""Family -> the attention that `auto` means for it."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Gemma 2, rows to train it on, and items to ask it."""
    folder = tmp_path_factory.mktemp("gemma2")
    testing.build(folder / "base", family="gemma2")
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"pick {n}"},
                {"role": "assistant", "content": "A" if n % 2 else "B"},
            ]
        }
        for n in range(8)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    items = [
        {
            "id": f"{kind}-{n}",
            "messages": [{"role": "user", "content": f"which {n} ?"}],
            "options": [["A", 1.0], ["B", 0.0]],
            "trait": "risk",
            "person": "default",
            "kind": kind,
            "template": n,
            "order": "AB",
        }
        for kind in ("pair", "scale")
        for n in range(3)
    ]
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    """A command as a user types it."""
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    said = capsys.readouterr()
    assert isinstance(left.value.code, int)
    return left.value.code, said.out, said.err


def commands(work: Path, tmp_path: Path) -> dict[str, list[str | Path]]:
    """Every command that loads a model, on it."""
    base = work / "base"
    patch, steer, study = ({"model": {"name": str(base)}} for _ in range(3))
    pair = {"id": "1", "answer": "A", "other": "B"}
    pair |= {side: [{"role": "user", "content": f"{side} ?"}] for side in ("source", "target")}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    files = {
        "files": {"behavior": str(work / "items.jsonl")},
        "development": {"behavior": str(work / "items.jsonl")},
    }
    (tmp_path / "neutral.jsonl").write_text(json.dumps({"id": "1", "text": "hello"}) + "\n")
    configs: dict[str, dict[str, Any]] = {
        "patch": patch | {"pairs": str(tmp_path / "pairs.jsonl")},
        "steer": steer
        | {"items": files | {"neutral": str(tmp_path / "neutral.jsonl")}, "contrast": ["base", "base"]},
        "study": study | {"study": "behavior", "finetune": {"steps": 2}, "behavior": "risk"},
    }
    for name, data in configs.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(data))
    items: list[str | Path] = ["--set", f"items={work / 'items.jsonl'}", "--set", "trait=risk"]
    return {
        "finetune": [
            "finetune",
            "--model",
            base,
            "--rows",
            work / "rows.jsonl",
            "--steps",
            "2",
            "--set",
            "finetune.batch_size=4",
        ],
        "self-report": ["self-report", "--model", base, *items],
        **{name: [name, tmp_path / f"{name}.yaml"] for name in configs},
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_auto_is_what_the_family_needs(family: str, tmp_path: Path):
    """sdpa where it is right, eager where it is not; said by the loaded model."""
    base = testing.build(tmp_path, family=family)
    config = ModelConfig(name=str(base))
    assert config.attention_used == FAMILIES[family]
    assert load(config).attention == FAMILIES[family]
    eager = ModelConfig(name=str(base), attention="eager")
    assert load(eager).attention == "eager"


def test_sdpa_is_refused_with_the_remedy(work: Path):
    """The model would be computed without its caps."""
    with pytest.raises(ModelError, match=REMEDY):
        load(ModelConfig(name=str(work / "base"), attention="sdpa"))


@pytest.mark.parametrize("name", ["finetune", "self-report", "patch", "steer", "study"])
def test_a_dry_run_refuses_what_the_run_would(
    name: str, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Under sdpa: exit 2 and the remedy, dry or not; no folder."""
    words = commands(work, tmp_path)[name]
    sdpa = ["--set", "model.attention=sdpa"]
    for more in (["--dry-run"], []) if name != "study" else (["--dry-run"],):
        code, _, said = run(capsys, *words, *sdpa, *more, "--out", tmp_path / "out")
        assert (code, len(said.splitlines())) == (2, 1), said
        assert REMEDY in said
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["finetune", "self-report", "patch"])
def test_it_runs(name: str, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Without a word about attention the dry run says eager, and the run ends well."""
    words = commands(work, tmp_path)[name]
    code, said, error = run(capsys, *words, "--out", tmp_path / "out", "--dry-run")
    assert code == 0, error
    assert "attention eager" in said
    assert not (tmp_path / "out").exists()
    code, said, error = run(capsys, *words, "--out", tmp_path / "out")
    assert code == 0, error
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    if name != "finetune":
        assert record["revisions"]["base attention"] == "eager"
        assert record["revisions"]["base dtype"] == "float32"
    else:
        adapter = next((tmp_path / "out" / "adapters").glob("*/adapter"))
        record = json.loads((adapter.parent / "record.json").read_text())
        assert record["revisions"]["base attention"] == "eager"
        tuned = load(ModelConfig.model_validate({"name": str(work / "base"), "adapters": {"k": adapter}}))
        assert tuned.variants == ("base", "k")


def test_what_it_computes_is_eager(work: Path):
    """The shared loader's numbers are those of the model loaded eager by hand."""
    prompts = testing.prompts(2)
    by_hand = activations.load(work / "base", attention="eager").logits(prompts)
    assert (load(str(work / "base")).logits(prompts) == by_hand).all()
