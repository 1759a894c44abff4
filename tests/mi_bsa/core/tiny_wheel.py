"""A tiny model in a tiny wheel that pip finds, for tests of `mi-bsa model get`: an index in a folder,
the same over HTTP where a download can be stopped, and the command in a process of its own.
"""

import http.server
import json
import os
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
from mi_bsa.core.files import digest
from mi_bsa.core.named_models import catalog, conversion
from mi_bsa.core.named_models.gguf_source import Source

ROOT = Path(__file__).parents[3]
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
        "license": "MIT",
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
