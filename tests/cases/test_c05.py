"""Case C5: `yes | mi-bsa cache build --model DIR` ran the code that DIR brought. No code of a folder is ever
run, no question is asked, and no pickled weights are opened, anywhere in the three packages.
"""

import ast
import contextlib
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import activations
from activations import folders, testing
from activations.errors import ActivationsError, AdapterError, ModelError

ROOT = Path(activations.__file__).parent.parent


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama."""
    return testing.build(tmp_path_factory.mktemp("c05") / "base")


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def infected(base: Path, folder: Path, mark: Path, *, model_type: str) -> Path:
    """A copy of a model with code of its own for everything that can have some."""
    shutil.copytree(base, folder)
    code = f"from pathlib import Path\nPath({str(mark)!r}).touch()\n" + "".join(
        f"class {name}:\n    pass\n" for name in ("Config", "Words", "Causal")
    )
    for name in ("own.py", "custom_generate/generate.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": model_type,
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Causal"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    words = json.loads((folder / "tokenizer_config.json").read_text())
    words |= {"auto_map": {"AutoTokenizer": ["own.Words", "own.Words"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(words))
    return folder


def test_code_of_a_folder_is_never_run_nor_asked_for(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A family of its own is refused; a known one loads with transformers' own code. Nobody is asked."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
    mark = tmp_path / "mark"
    foreign = infected(base, tmp_path / "foreign", mark, model_type="mine")
    with pytest.raises(ModelError, match="never done here") as error:
        activations.load(foreign)
    assert "\n" not in str(error.value)
    assert "trust_remote_code" not in str(error.value)
    for read in (folders.read_config, folders.read_tokenizer):
        with contextlib.suppress(ActivationsError):
            read(foreign)
    known = infected(base, tmp_path / "known", mark, model_type="llama")
    assert activations.load(known).fingerprint == activations.load(base).fingerprint
    assert activations.load(known).generate("hello", max_new_tokens=2) is not None
    assert not mark.exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_pickled_weights_are_refused_unopened(base: Path, tmp_path: Path, name: str) -> None:
    """With what to do instead."""
    folder = shutil.copytree(base, tmp_path / "pickled")
    torch.save(load_file(folder / "model.safetensors"), folder / name)
    assert activations.load(folder).dtype == "float32"  # beside safetensors it is not looked at
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Bomb(tmp_path / "mark")))
    with pytest.raises(ModelError, match="pickled weights only") as error:
        activations.load(folder)
    assert "save_pretrained" in str(error.value)
    assert not (tmp_path / "mark").exists()


def test_pickled_adapters_are_refused_unopened(base: Path, tmp_path: Path) -> None:
    """adapter_model.bin."""
    folder = testing.build_adapter(tmp_path / "one", base)
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "mark")))
    with pytest.raises(AdapterError, match=r"pickled weights only .adapter_model\.bin"):
        activations.load(base, adapter=folder)
    assert not (tmp_path / "mark").exists()


def test_an_adapter_beside_a_model_is_not_put_on_it_in_silence(base: Path, tmp_path: Path) -> None:
    """transformers would fetch that adapter's base, or add it."""
    folder = shutil.copytree(base, tmp_path / "both")
    testing.build_adapter(folder, base)
    with pytest.raises(ModelError, match="as adapter="):
        activations.load(folder)


def test_every_call_in_the_packages_says_so() -> None:
    """Each `from_pretrained` and `from_config` of an Auto class forbids foreign code."""
    loose = []
    for path in sorted(
        p for name in ("activations", "probes", "mi_bsa") for p in (ROOT / name).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = ast.unparse(node.func.value)
            if node.func.attr != "from_pretrained" or not owner.startswith("Auto"):
                continue
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if given.get("trust_remote_code") != "False" and given.get(None) != "SAFE":
                loose.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not loose
    assert folders.SAFE["trust_remote_code"] is False


@pytest.mark.slow
def test_yes_on_the_terminal_changes_nothing(base: Path, tmp_path: Path) -> None:
    """The command of the case: exit code 2, one line, no mark."""
    folder = infected(base, tmp_path / "foreign", tmp_path / "mark", model_type="mine")
    (tmp_path / "prompts.jsonl").write_text('{"id": "a", "text": "hello"}\n')
    done = subprocess.run(
        [sys.executable, "-m", "mi_bsa.cli", "cache", "build", "--model", str(folder), "--prompts",
         str(tmp_path / "prompts.jsonl"), "--sites", "resid_post", "--out", str(tmp_path / "a.h5")],
        capture_output=True, text=True, input="yes\n" * 50, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("mi-bsa: ")] == [
        done.stderr.strip().splitlines()[-1]
    ]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "mark").exists()
