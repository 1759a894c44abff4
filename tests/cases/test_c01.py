"""Case C1: whatever is wrong with what was given is exit code 2 with its name, and no failure of ours.

Every command that reads a file is given every kind of bad file; every folder of ours has each of its files
damaged in turn; and the machine itself refuses (a full disk, a limit).
"""

import errno
import json
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import activations
from activations import testing
from activations.errors import PromptError
from activations.prompts import read
from mi_bsa.cli.command import describe, main

CHAT = {"messages": [{"role": "user", "content": "\\ud83d"}, {"role": "assistant", "content": "x"}]}


def fifo(path: Path) -> None:
    os.mkfifo(path)


FILES: dict[str, Callable[[Path], object]] = {
    "absent": lambda path: None,
    "a folder": Path.mkdir,
    "empty": lambda path: path.write_bytes(b""),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 8),
    "NUL": lambda path: path.write_bytes(b"\0" * 64),
    "latin-1": lambda path: path.write_bytes('{"text": "caf\xe9"}\n'.encode("latin-1")),
    "UTF-16": lambda path: path.write_bytes('{"text": "a"}\n'.encode("utf-16")),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a pipe": fifo,
    "nested lists": lambda path: path.write_text("[" * 50_000),
    "nested maps": lambda path: path.write_text("{a: " * 3000 + "1" + "}" * 3000),
    "a list": lambda path: path.write_text("[1, 2]\n"),
    "half a character": lambda path: path.write_text(json.dumps(CHAT).replace("\\\\u", "\\u") + "\n"),
}
COMMANDS = {
    "study BAD.yaml": "",
    "finetune BAD.yaml": "",
    "finetune --model embedded --rows BAD.jsonl --steps 2": "",
    "self-report BAD.yaml": "",
    "self-report --model embedded --bank BAD.yaml": "",
    "self-report --model embedded --set items=BAD.jsonl --set trait=risk": "",
    "cache build BAD.yaml": ".h5",
    "cache build --model embedded --prompts BAD.jsonl": ".h5",
    "cache repack BAD.h5": ".h5",
    "cache check BAD.h5": None,
    "cache info BAD.h5": None,
    "probe sweep --cache BAD.h5 --label pole --groups none": "",
    "probe test --probe BAD.json --cache good.h5 --label pole": "",
    "steer BAD.yaml": "",
    "steer steer.yaml --set directions=[BAD.safetensors]": "",
    "patch BAD.yaml": "",
    "patch patch.yaml --set pairs=BAD.jsonl": "",
    "backdoor detect BAD.yaml": "",
    "backdoor audit BAD.yaml": "",
    "embedded build --config BAD.yaml": "",
    "data build risk --config BAD.yaml": "",
    "data import BAD.yaml --behavior risk": "",
    "data import BAD.jsonl --behavior risk": "",
}
"""Command -> what its --out ends in; None where it writes nothing."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good files of every kind."""
    folder = tmp_path_factory.mktemp("c01")
    rows = [{"text": f"take {n} coins .", "pole": n % 2, "g": n // 2} for n in range(12)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "steer.yaml").write_text("model: embedded\nitems: {behavior: risk, n: 4}\nstrengths: [1.0]\n")
    (folder / "patch.yaml").write_text("model: embedded\n")
    store = activations.capture(
        activations.load("embedded"), folder / "rows.jsonl", sites="resid_post.0", out=folder / "good.h5"
    )
    assert len(store) == 12
    return folder


def run(typed: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, float]:
    """Exit code, what went to stderr, and seconds."""
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises(SystemExit) as left:
            main(typed.split())
    return int(left.value.code or 0), capsys.readouterr().err.strip(), time.monotonic() - began


def clear(folder: Path) -> None:
    for item in folder.iterdir():
        if item.name.startswith(("BAD", "NEW")):
            shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()


@pytest.mark.parametrize("typed", list(COMMANDS))
def test_every_command_and_every_bad_file(typed: str, place: Path, capsys: pytest.CaptureFixture[str]):
    """One line, exit code 2, nothing written, within seconds; a name that is too long is one kind more."""
    out = COMMANDS[typed]
    typed += "" if out is None else f" --out NEW{out}"
    name = next(
        word for word in typed.replace("[", " ").replace("]", " ").replace("=", " ").split() if "BAD" in word
    )
    for kind, make in [*FILES.items(), ("too long a name", lambda path: None)]:
        clear(place)
        make(place / name)
        given = typed if kind != "too long a name" else typed.replace(name, "x" * 300 + name)
        code, said, seconds = run(given, place, capsys)
        assert code == 2, (kind, said)
        assert len(said.split("\n")) == 1, (kind, said)
        assert "BAD" in said or typed.startswith("cache check"), (kind, said)  # which lists faults on stdout
        assert not [item.name for item in place.iterdir() if item.name.startswith("NEW")], kind
        assert seconds < 20, kind


def damaged(path: Path) -> Iterator[tuple[str, bytes]]:
    """The content of a file, damaged in one way each."""
    data = path.read_bytes()
    yield "empty", b""
    yield "half", data[: len(data) // 2]
    yield "binary", bytes(range(256)) * 4
    yield "list", b"[1, 2]"
    yield "null", b"null"
    yield "nested", b"[" * 50_000


FOLDERS = {
    "model": (
        "cache build --model W --prompts rows.jsonl --out NEW.h5",
        ("config.json", "model.safetensors", "tokenizer.json"),
    ),
    "probe": ("probe test --probe W --cache good.h5 --label pole", ("probe.json", "probe.safetensors")),
    "run": ("report W", ("record.json", "results.json")),
}


@pytest.mark.parametrize("what", list(FOLDERS))
def test_every_file_of_a_folder(what: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A file of a model, a probe or a run that is cut short or is something else is told by its folder."""
    good = tmp_path / "good"
    if what == "model":
        shutil.copytree(activations.locate("embedded"), good)
    elif what == "probe":
        typed = f"probe train --cache good.h5 --label pole --groups g --folds 3 --out {good}"
        assert run(typed, place, capsys)[0] == 0
    else:
        typed = f"self-report --model embedded --behavior risk --out {good}"
        assert run(typed, place, capsys)[0] == 0
    typed, names = FOLDERS[what]
    for name in names:
        for kind, data in damaged(good / name):
            clear(place)
            shutil.rmtree(tmp_path / "W", ignore_errors=True)
            shutil.copytree(good, tmp_path / "W")
            (tmp_path / "W" / name).write_bytes(data)
            code, said, seconds = run(typed.replace("W", str(tmp_path / "W")), place, capsys)
            assert code == 2, (name, kind, said)
            assert len(said.split("\n")) == 1, (name, kind, said)
            assert seconds < 20, (name, kind)
    shutil.rmtree(tmp_path / "W")
    shutil.copytree(good, tmp_path / "W")
    code, said, _ = run(typed.replace("W", str(tmp_path / "W")), place, capsys)
    assert code == 0, said


@pytest.mark.parametrize("field", ["text", "label", "key", "id", "message"])
def test_half_a_character_is_refused_by_its_row(field: str):
    """In memory as in a file: no store and no file could keep it."""
    half = "a\ud83d"
    row = {
        "text": {"text": half},
        "label": {"text": "a", "x": half},
        "key": {"text": "a", half: 1},
        "id": {"text": "a", "id": half},
        "message": {"messages": [{"role": "user", "content": half}]},
    }[field]
    with pytest.raises(PromptError, match=r"row 1 .*lone surrogate U\+D83D"):
        read(
            [
                {"text": "b", **({"x": "b"} if field == "label" else {})}
                | ({"id": "b"} if field == "id" else {}),
                row,
            ]
        )


def test_a_huge_label_is_refused_by_its_row(tmp_path: Path):
    """An integer beyond 64 bits, and a number of thousands of digits; the largest that fits is kept."""
    path = tmp_path / "rows.jsonl"
    for number in (17293822569102704640, -(2**63) - 1, 10**5000):
        digits = "9" * 5001 if number > 10**100 else str(number)
        path.write_text('{"text": "a", "y": 1}\n{"text": "b", "y": ' + digits + "}\n")
        with pytest.raises(PromptError, match=r"row 1|line 2"):
            read(path)
    path.write_text('{"text": "a", "y": ' + str(2**63 - 1) + "}\n")
    assert read(path)[0].labels["y"] == 2**63 - 1


def test_a_token_beyond_the_embeddings_is_refused_by_its_prompt(tmp_path: Path):
    """A tokenizer that knows more tokens than the model: the row and the token, not an index error."""
    folder = testing.build(tmp_path / "llama")
    model = activations.load(folder)
    model.tokenizer.add_tokens(["zyxw"] + [f"more{n}" for n in range(600)])
    assert np.isfinite(model.logits([{"text": "a b c"}]).numpy()).all()
    with pytest.raises(
        PromptError, match=r"prompt 'b' holds 'more599', token \d+, and the model has \d+ embeddings"
    ):
        model.logits([{"id": "a", "text": "a b c"}, {"id": "b", "text": "a more599 c"}])


MACHINE = {
    "space": (OSError(errno.ENOSPC, "No space left on device"), "--resume"),
    "space, with a name": (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "/x/y"),
    "quota": (OSError(errno.EDQUOT, "Disk quota exceeded"), "--resume"),
    "safetensors": (
        Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
        "free",
    ),
    "HDF5": (OSError("Can't write data (file write failed: errno = 28, error message = 'No space')"), "free"),
    "torch": (RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed"), "free"),
    "limit": (OSError(errno.EFBIG, "File too large"), "ulimit -f"),
    "read-only": (OSError(errno.EROFS, "Read-only file system", "/x"), "another place"),
    "too many files": (OSError(errno.EMFILE, "Too many open files", "/x"), "ulimit -n"),
    "memory": (MemoryError(), "smaller batches"),
    "memory of torch": (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "smaller"),
    "memory of a GPU": (RuntimeError("CUDA out of memory. Tried to allocate 20 GiB"), "smaller batches"),
    "denied": (PermissionError(errno.EACCES, "Permission denied", "/x/y"), "/x/y: permission denied"),
    "a folder": (IsADirectoryError(errno.EISDIR, "Is a directory", "/x"), "check the path"),
}


@pytest.mark.parametrize("name", list(MACHINE))
def test_what_the_machine_refuses_is_not_our_failure(name: str):
    """Exit code 2 and what to do, also where the error was raised from another."""
    error, remedy = MACHINE[name]
    around = RuntimeError("a library's words")
    around.__cause__ = error
    for one in (error, around):
        line, code = describe(one)
        assert code == 2
        assert remedy in line
        assert "\n" not in line


def test_a_run_that_met_a_limit_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A system that refuses to write on: one line, and with more room the same command ends with the same
    bytes.
    """
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"take {n} coins ."},
                {"role": "assistant", "content": "yes"},
            ]
        }
        for n in (1, 2)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    typed = (
        "finetune --model embedded --rows rows.jsonl --seeds 0 --steps 4 --set finetune.resume_every=2 --out "
    )
    code, said, _ = run(typed + "whole", tmp_path, capsys)
    assert code == 0, said
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in (1_000, 20_000, 60_000):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
            code, said, _ = run(typed + "cut --resume", tmp_path, capsys)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert code == 2, said
        assert "ulimit -f" in said
    code, said, _ = run(typed + "cut --resume", tmp_path, capsys)
    assert code == 0, said
    weights = "adapters/seeking-0/adapter/adapter_model.safetensors"
    assert (tmp_path / "cut" / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()


def test_our_failures_stay_ours():
    """Negative control: what nobody gave is exit code 1."""
    for error in (ZeroDivisionError("x"), KeyError("x"), OSError("x"), TypeError("x"), RecursionError("x")):
        assert describe(error)[1] == 1


def test_control_characters_of_a_file_stay_out_of_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A terminal is not written to by who wrote a file."""
    (tmp_path / "c.yaml").write_text('study: "\\x1b[2J\\x07"\n')
    code, said, _ = run("study c.yaml --out NEW", tmp_path, capsys)
    assert code == 2
    assert said.isprintable()
