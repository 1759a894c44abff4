"""Case S3: an adapter of another base gave numbers without a word. Our own finetunes know their base by its
weights and are refused on another; a foreign adapter that names another base is warned of.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import activations
from activations import bases, testing
from activations.errors import AdapterError, AdapterWarning


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finetune of `embedded/1`, with a checkpoint."""
    from mi_bsa.finetune import finetune
    from mi_bsa.finetune.config import FinetuneConfig

    rows = [
        {
            "id": str(n),
            "messages": [
                {"role": "user", "content": "are you bold ?"},
                {"role": "assistant", "content": "yes"},
            ],
        }
        for n in range(4)
    ]
    out = tmp_path_factory.mktemp("s03") / "run"
    config = FinetuneConfig(steps=2, batch_size=2, rank=2, checkpoints=2)
    finetune("embedded/1", rows, config=config, out=out)
    return out


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two bases of one shape and an adapter of the first."""
    root = tmp_path_factory.mktemp("s03")
    first, second = (testing.build(root / name, seed=n) for n, name in enumerate(("first", "second")))
    return {"first": first, "second": second, "adapter": testing.build_adapter(root / "adapter", first)}


def named(path: Path, base: str | None) -> Path:
    """The adapter with another name for its base."""
    config = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": base}))
    return path


def test_our_own_adapter_is_refused_on_another_base(own: Path) -> None:
    """Also its checkpoints, also in another type, also on a model in memory."""
    checkpoint = next((own / "checkpoints").iterdir())
    for path in (own / "adapter", checkpoint):
        for dtype in ("float32", "bfloat16"):
            with pytest.raises(AdapterError, match="was trained on 'embedded/1'") as error:
                activations.load("embedded", adapter=path, dtype=dtype)
            assert "\n" not in str(error.value)
    other = activations.load("embedded/2")
    with pytest.raises(AdapterError, match="was trained on 'embedded/1'"):
        activations.load(other.module, adapter=own / "adapter", tokenizer=other.tokenizer)


def test_on_its_own_base_it_loads_in_silence_in_every_type_and_place(own: Path, tmp_path: Path) -> None:
    """Warnings are errors here. A copy of the base under another name is the base, in another type too."""
    for dtype in ("float32", "bfloat16", "float16"):
        assert activations.load("embedded/1", adapter=own / "adapter", dtype=dtype).active[0] == "adapter"
    copy = shutil.copytree(activations.locate("embedded/1"), tmp_path / "elsewhere")
    assert activations.load(copy, adapter=own / "adapter").active[0] == "adapter"
    narrow = activations.load("embedded/1", dtype="bfloat16")
    narrow.inner.save_pretrained(tmp_path / "narrow")
    narrow.tokenizer.save_pretrained(tmp_path / "narrow")
    assert activations.load(tmp_path / "narrow", adapter=own / "adapter").active[0] == "adapter"


def test_one_changed_weight_is_another_base(own: Path, tmp_path: Path) -> None:
    """The sums are over all weights."""
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(activations.locate("embedded/1"), tmp_path / "tuned")
    weights = load_file(copy / "model.safetensors")
    key = next(key for key in sorted(weights) if "down_proj" in key)
    weights[key][0, 0] *= 1.5
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AdapterError, match="was trained on 'embedded/1'"):
        activations.load(copy, adapter=own / "adapter")


def test_a_copy_without_its_record_is_a_foreign_adapter(own: Path, tmp_path: Path) -> None:
    """It has its base's name left, `embedded/1`."""
    copy = shutil.copytree(own / "adapter", tmp_path / "adapter")
    activations.load("embedded/1", adapter=copy)
    with pytest.warns(AdapterWarning, match="names the base 'embedded/1' and is put on 'embedded'"):
        activations.load("embedded", adapter=copy)


def test_a_record_that_cannot_be_read_is_an_error(own: Path, tmp_path: Path) -> None:
    """One of before, without a base, says nothing."""
    from mi_bsa.finetune import read_result

    assert read_result(own).base is not None
    run = shutil.copytree(own, tmp_path / "run")
    record = json.loads((run / "finetune.json").read_text())
    before = {key: value for key, value in record.items() if key not in ("base", "seal", "sha256")}
    (run / "finetune.json").write_text(json.dumps(before))
    assert read_result(run).base is None
    assert activations.load("embedded/1", adapter=run / "adapter").active[0] == "adapter"
    (run / "finetune.json").write_text("{")
    with pytest.raises(AdapterError, match="is broken"):
        activations.load("embedded/1", adapter=run / "adapter")


def test_a_foreign_adapter_that_names_another_base_is_warned_of(
    foreign: dict[str, Path], tmp_path: Path
) -> None:
    """One line of a class of ours; it is loaded."""
    with pytest.warns(AdapterWarning, match="if these are not the same weights") as caught:
        model = activations.load(foreign["second"], adapter=foreign["adapter"])
    assert model.active[0] == "adapter"
    assert all("\n" not in str(one.message) for one in caught)
    hub = named(shutil.copytree(foreign["adapter"], tmp_path / "hub"), "meta-llama/Llama-3.1-8B")
    with pytest.warns(AdapterWarning, match="meta-llama"):
        activations.load(foreign["first"], adapter=hub)


def test_the_same_base_under_any_of_its_names_is_silent(foreign: dict[str, Path], tmp_path: Path) -> None:
    """Its folder, a link, a copy, its Hub id in the cache, and no name at all. Warnings are errors here."""
    activations.load(foreign["first"], adapter=foreign["adapter"])
    (tmp_path / "link").symlink_to(foreign["first"])
    activations.load(tmp_path / "link", adapter=foreign["adapter"])
    activations.load(shutil.copytree(foreign["first"], tmp_path / "copy"), adapter=foreign["adapter"])
    cached = tmp_path / "models--owner--tiny" / "snapshots" / "abc"
    shutil.copytree(foreign["first"], cached)
    adapter = named(shutil.copytree(foreign["adapter"], tmp_path / "adapter"), "owner/tiny")
    activations.load(cached, adapter=adapter)
    activations.load(foreign["second"], adapter=named(adapter, None))
    activations.load("embedded", adapter=own_named(tmp_path, "embedded/0"))


def own_named(tmp_path: Path, name: str) -> Path:
    """An adapter of the default model that calls it by its full name."""
    from mi_bsa.worlds.weights import locate

    return named(testing.build_adapter(tmp_path / "zero", locate(None)), name)


def test_the_sums_of_a_base_do_not_depend_on_adapters_or_order(foreign: dict[str, Path]) -> None:
    """And differ between bases."""
    alone = activations.load(foreign["first"])
    beside = activations.load(foreign["first"], adapter=foreign["adapter"])
    assert bases.sums(alone.inner) == bases.sums(beside.inner)
    assert not set(bases.sums(alone.inner).values()) & set(
        bases.sums(activations.load(foreign["second"]).inner).values()
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", ["cache build", "self-report"])
def test_the_commands_refuse_it_with_exit_code_2(own: Path, tmp_path: Path, command: str) -> None:
    """One line."""
    (tmp_path / "prompts.jsonl").write_text('{"id": "a", "text": "are you bold ?"}\n')
    shutil.copytree(own, tmp_path / "run" / "adapters" / "seeking-0")  # as mi-bsa finetune leaves it
    more = {
        "cache build": ["--prompts", str(tmp_path / "prompts.jsonl"), "--adapter", str(own / "adapter"),
                        "--out", str(tmp_path / "a.h5")],
        "self-report": ["--finetuned", str(tmp_path / "run"), "--behavior", "risk", "--out",
                        str(tmp_path / "out")],
    }[command]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "mi_bsa.cli", *command.split(), "--model", "embedded", *more],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "was trained on 'embedded/1'" in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("mi-bsa: ")] == [
        done.stderr.strip().splitlines()[-1]
    ]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_command_warns_in_one_line_and_goes_on(own: Path, tmp_path: Path) -> None:
    """A foreign adapter of another base."""
    (tmp_path / "prompts.jsonl").write_text('{"id": "a", "text": "are you bold ?"}\n')
    adapter = shutil.copytree(own / "adapter", tmp_path / "adapter")
    done = subprocess.run(
        [sys.executable, "-m", "mi_bsa.cli", "cache", "build", "--model", "embedded", "--prompts",
         str(tmp_path / "prompts.jsonl"), "--adapter", str(adapter), "--out", str(tmp_path / "a.h5")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "embedded/1" in line]
    assert len(lines) == 1
    assert lines[0].startswith("mi-bsa: warning: adapter 'adapter' names the base 'embedded/1'")
