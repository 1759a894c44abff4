"""Law: no input makes the toolkit fail, hang or change a number in silence.

Configs, prompts files, adapters, caches and the files of unfinished runs are changed at random (seeded, so
that a failure is seen again), and whatever reads them must either take them as what they are or refuse them
in one line with exit code 2. Slow: `pytest -m slow tests/laws/test_fuzz.py`; MI_BSA_FUZZ multiplies the
examples.
"""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import activations
from activations.errors import PromptError
from activations.prompts import read
from mi_bsa.cli.command import main
from mi_bsa.core.config import Config
from mi_bsa.study.execute import execute
from mi_bsa.study.steps import Cell, Step

pytestmark = pytest.mark.slow
MORE = int(os.environ.get("MI_BSA_FUZZ", "1"))
SECONDS = 20
CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "embedded").glob("*.yaml"))
COMMANDS = {"risk_patch": "patch", "risk_steer": "steer", "backdoor_search": "backdoor search"}
ROW = {"id": "a", "messages": [{"role": "user", "content": "take a coin ."}], "pole": 1, "g": "x"}


def fuzz(examples: int) -> Any:
    """The profile of every law here: the same examples every time."""
    return settings(
        max_examples=examples * MORE,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),  # to shrink a failure takes longer than to read it
    )


class Late(BaseException):
    """What is raised in whatever takes more than `SECONDS`; no `except Exception` takes it."""


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise Late

    before = [signal.signal(one, late) for one in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of this process, so that a busy machine is no hang
    signal.setitimer(signal.ITIMER_REAL, 10 * SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for one, handler in zip((signal.SIGPROF, signal.SIGALRM), before, strict=True):
            signal.signal(one, handler)


def run(words: list[str], folder: Path) -> tuple[int, str, str]:
    """A command in this process: its exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as around:
        around.enter_context(in_time())
        around.enter_context(contextlib.chdir(folder))
        around.enter_context(contextlib.redirect_stdout(out))
        around.enter_context(contextlib.redirect_stderr(err))
        around.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of libraries about odd files; a user sees them, they stop nothing
        with pytest.raises(SystemExit) as left:
            main(words)
    return int(left.value.code or 0), out.getvalue(), err.getvalue()


def told(words: list[str], folder: Path) -> int:
    """As `run`, and the law: success, or exit code 2 with one line."""
    code, _, said = run(words, folder)
    assert code in (0, 2), said
    assert code == 0 or len([line for line in said.split("\n") if line.startswith("mi-bsa: ")]) == 1, said
    assert "Traceback" not in said
    return code


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([10**9, -(10**9), 2**63, 10**30, 1e308, -0.0, float("inf"), float("nan")]),
    st.text(max_size=8),
    st.sampled_from(
        ["", " ", "a" * 5000, "\u2028", "\x00", "../x", "/", "embedded", "embedded/habits-0", "nan", "~"]
    ),
    st.lists(st.integers(-1, 2), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.just([[[[[[1]]]]]]),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a config but the whole."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, item in inner:
        found += places(item, (*path, key))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with one place changed."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """What is imported once is no hang of the first example."""
    import peft  # noqa: F401
    import transformers  # noqa: F401

    model = activations.load("embedded")
    model.logits("take a coin .")


@given(data=st.data())
@fuzz(150)
def test_configs(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    """A shipped config with values replaced by odd ones, keys added and dropped: dry-run, or refused."""
    path = data.draw(st.sampled_from(CONFIGS))
    config = yaml.safe_load(path.read_text())
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.sampled_from(places(config)))
        how = data.draw(st.sampled_from(["value", "value", "value", "key", "drop"]))
        if how == "value":
            config = put(config, at, data.draw(ODD))
        elif how == "key":
            config = {**config, data.draw(st.text(max_size=6)): data.draw(ODD)}
        elif len(at) == 1:
            config = {key: value for key, value in config.items() if key != at[0]}
        if not places(config):
            break
    folder = tmp_path_factory.mktemp("configs")
    (folder / "c.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
    told([*_command(path), "c.yaml", "--out", "NEW", "--dry-run"], folder)
    assert not (folder / "NEW").exists()


def _command(path: Path) -> list[str]:
    words = COMMANDS.get(path.stem, "study").split()
    return [*words, "--config"] if words[-1] == "search" else words


@given(data=st.data())
@fuzz(100)
def test_configs_as_text(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    """A shipped config with bytes changed, cut out, repeated or put in."""
    path = data.draw(st.sampled_from(CONFIGS))
    folder = tmp_path_factory.mktemp("texts")
    (folder / "c.yaml").write_bytes(changed(path.read_bytes(), data))
    told([*_command(path), "c.yaml", "--out", "NEW", "--dry-run"], folder)
    assert not (folder / "NEW").exists()


def changed(content: bytes, data: st.DataObject) -> bytes:
    """Bytes, changed in one to three ways."""
    for _ in range(data.draw(st.integers(1, 3))):
        at = int(
            data.draw(st.floats(0, 1, exclude_max=True)) * len(content)
        )  # of any length: draws stay equal
        size = data.draw(st.integers(1, 12))
        how = data.draw(st.sampled_from(["flip", "cut", "end", "repeat", "put"]))
        if how == "flip" and content:
            content = content[:at] + bytes([content[at] ^ (1 << size % 8)]) + content[at + 1 :]
        elif how == "cut":
            content = content[:at] + content[at + size :]
        elif how == "end":
            content = content[:at]
        elif how == "repeat":
            content = content[:at] + content[at : at + size] * 3 + content[at + size :]
        else:
            odd = data.draw(
                st.sampled_from(
                    [
                        b"\n",
                        b"\r",
                        b"\0",
                        b"\xff",
                        b'"',
                        b"[" * 40,
                        b"{",
                        b"\\ud83d",
                        b"\xe2\x80\xa8",
                        b"9" * 30,
                        b"- ",
                        b"&a *a",
                        b"\xef\xbb\xbf",
                        b"null",
                        b"NaN",
                    ]
                )
            )
            content = content[:at] + odd + content[at:]
    return content


@given(data=st.data())
@fuzz(600)
def test_prompts(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    """A prompts file with bytes changed is read as plain `json` reads its lines, or refused in one line."""
    rows = [{**ROW, "id": str(n), "pole": n % 2} for n in range(3)] + [
        {"id": "t", "text": "a", "pole": 1, "g": "y"}
    ]
    path = tmp_path_factory.mktemp("prompts") / "rows.jsonl"
    path.write_bytes(changed("".join(json.dumps(row) + "\n" for row in rows).encode(), data))
    fault, found = None, ()
    try:
        with in_time():
            found = read(path)
    except PromptError as error:
        fault = str(error)
    if fault is not None:
        assert "\n" not in fault
        return
    lines = [
        line.removeprefix("\ufeff").strip(" \t\r")
        for line in path.read_bytes().decode("utf-8-sig").split("\n")
    ]
    plain = [json.loads(line) for line in lines if line]
    assert len(found) == len(plain)
    for prompt, row in zip(found, plain, strict=True):
        row = {"messages": [{"role": "user", "content": row}]} if isinstance(row, str) else row
        row = {"messages": row} if isinstance(row, list) else row
        own = {"id", "messages", "text", "spans"}
        assert prompt.labels == {key: value for key, value in row.items() if key not in own}
        assert prompt.text == row.get("text")
        assert (prompt.messages is None) == ("messages" not in row)
        for message, given_ in zip(prompt.messages or (), row.get("messages", ()), strict=True):
            assert message["role"] == given_["role"]
            words = given_["content"]
            assert message["content"] == (
                words if isinstance(words, str) else "".join(p["text"] for p in words)
            )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished finetune, one that was killed behind its first state, a cache, and prompts."""
    folder = tmp_path_factory.mktemp("fuzz")
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"take {n} coins ."},
                {"role": "assistant", "content": "yes"},
            ]
        }
        for n in (1, 2)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompts = [{"text": f"take {n} coins .", "pole": n % 2, "g": f"g{n // 2}"} for n in range(8)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    code, _, said = run(finetune(folder), folder)
    assert code == 0, said
    shutil.copytree(folder / "RUN/adapters/seeking-0/adapter", folder / "foreign")
    _killed(folder)
    activations.capture(
        activations.load("embedded"),
        folder / "prompts.jsonl",
        sites=["resid_post.0", "final_norm"],
        out=folder / "c.h5",
    )
    return folder


def finetune(folder: Path, out: str = "RUN") -> list[str]:
    """The command that trains; six steps, a state every second."""
    how = [
        "--steps",
        "6",
        "--seeds",
        "0",
        "--set",
        "finetune.resume_every=2",
        "--set",
        "finetune.checkpoints=1",
    ]
    return ["finetune", "--model", "embedded", "--rows", str(folder / "rows.jsonl"), *how, "--out", out]


def _killed(folder: Path) -> None:
    """The same run, interrupted at its fifth step."""
    from mi_bsa.core.finetuned import Curve

    whole = Curve.add

    def stop(self: Curve, step: int, logs: dict[str, float]) -> None:
        if step == 5:
            raise KeyboardInterrupt
        whole(self, step, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Curve, "add", stop)
        code, _, _ = run(finetune(folder, "KILLED"), folder)
    assert code == 130
    assert list((folder / "KILLED").rglob("complete"))


def one_bit(path: Path, draw: random.Random) -> tuple[int, int]:
    content = bytearray(path.read_bytes())
    at, bit = draw.randrange(len(content)), draw.randrange(8)
    content[at] ^= 1 << bit
    path.write_bytes(content)
    return at, bit


def said_by(run: Path) -> dict[str, Any]:
    """What a finetune's result says, without its seal."""
    plain = json.loads((run / "adapters/seeking-0/finetune.json").read_text())
    names = {"loss", "steps", "fingerprint", "sha256", "adapter", "checkpoints", "n_rows"}
    return {key: value for key, value in plain.items() if key in names}


def test_every_changed_bit_of_a_finished_adapter_is_seen(trained: Path, tmp_path: Path):
    """Where a finetune of ours is gone on from, one bit of weights, config or result is refused."""
    draw = random.Random(0)
    for name in ("adapter/adapter_model.safetensors", "adapter/adapter_config.json", "finetune.json"):
        for _ in range(25 * MORE):
            shutil.rmtree(tmp_path / "RUN", ignore_errors=True)
            shutil.copytree(trained / "RUN", tmp_path / "RUN")
            where = one_bit(tmp_path / "RUN/adapters/seeking-0" / name, draw)
            code, _, said = run([*finetune(trained), "--resume"], tmp_path)
            if code == 0:  # the name of the seal, without which the file is one of an older version
                assert name == "finetune.json", where
                assert said_by(tmp_path / "RUN") == said_by(trained / "RUN"), where
            assert code in (0, 2), (name, where, said)


@given(data=st.data())
@fuzz(120)
def test_adapters_from_elsewhere(
    data: st.DataObject, trained: Path, tmp_path_factory: pytest.TempPathFactory
):
    """An adapter without hashes, damaged: taken where it still is one, refused else; never a failure."""
    folder = tmp_path_factory.mktemp("adapters")
    shutil.copytree(trained / "foreign", folder / "A")
    name = data.draw(st.sampled_from(["adapter_config.json", "adapter_model.safetensors"]))
    path = folder / "A" / name
    if name.endswith(".json") and data.draw(st.booleans()):
        config = json.loads(path.read_text())
        at = data.draw(st.sampled_from(places(config)))
        path.write_text(json.dumps(put(config, at, data.draw(ODD))))
    else:
        path.write_bytes(changed(path.read_bytes(), data))
    prompts = str(trained / "prompts.jsonl")
    told(
        [
            "cache",
            "build",
            "--model",
            "embedded",
            "--adapter",
            "A",
            "--prompts",
            prompts,
            "--sites",
            "resid_post.0",
            "--out",
            "n.h5",
        ],
        folder,
    )


def test_every_changed_bit_of_a_cache_is_seen(trained: Path, tmp_path: Path):
    """`cache check --deep` finds it, also in bytes that no read depends on."""
    draw = random.Random(1)
    unseen = []
    for _ in range(400 * MORE):
        path = tmp_path / "c.h5"
        shutil.copy(trained / "c.h5", path)
        where = one_bit(path, draw)
        code, _, said = run(["cache", "check", "--deep", "c.h5"], tmp_path)
        assert code in (0, 2), (where, said)
        if code == 0:
            unseen.append(where)
    assert unseen == []


@given(data=st.data())
@fuzz(150)
def test_caches(data: st.DataObject, trained: Path, tmp_path_factory: pytest.TempPathFactory):
    """A cache with bytes changed: every command that reads one succeeds or refuses it."""
    folder = tmp_path_factory.mktemp("caches")
    (folder / "c.h5").write_bytes(changed((trained / "c.h5").read_bytes(), data))
    told(["cache", "info", "c.h5"], folder)
    told(["cache", "check", "c.h5"], folder)
    told(["cache", "check", "--deep", "c.h5"], folder)
    told(["cache", "repack", "c.h5", "--out", "n.h5"], folder)
    told(
        [
            "probe",
            "train",
            "--cache",
            "c.h5",
            "--label",
            "pole",
            "--groups",
            "g",
            "--folds",
            "2",
            "--out",
            "p",
        ],
        folder,
    )


class Nothing(Config):
    """No field."""


def first(cell: Cell) -> float:
    """A step with a value and an output."""
    (cell.folder / "first.txt").write_text("whole\n")
    return 0.1


def second(cell: Cell) -> dict[str, float]:
    """A step that reads what came before it."""
    text = (cell.folder / "first.txt").read_text()
    (cell.folder / "second.txt").write_text(text * 2)
    return {"twice": 2 * cell.value("first")}


GRAPH = [
    Step(name="first", function=first, outputs=("first.txt",)),
    Step(name="second", function=second, after=("first",), outputs=("second.txt",)),
]


@given(data=st.data())
@fuzz(300)
def test_markers(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    """A folder of finished steps with any file changed, cut or gone ends with the values it should have."""
    folder = tmp_path_factory.mktemp("steps")
    with contextlib.redirect_stderr(io.StringIO()), in_time():
        truth = execute(GRAPH, config=Nothing(), folder=folder).values
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        path = data.draw(st.sampled_from(files))
        if data.draw(st.booleans()):
            path.write_bytes(changed(path.read_bytes(), data))
        else:
            path.unlink()
        done = execute(GRAPH, config=Nothing(), folder=folder)
    assert dict(done.values) == dict(truth)
    assert (folder / "first.txt").read_text() == "whole\n"
    assert (folder / "second.txt").read_text() == "whole\nwhole\n"


def test_unfinished_runs(trained: Path, tmp_path: Path):
    """A killed finetune with any one file changed, cut or gone: the same bytes in the end, or refused."""
    weights = "adapters/seeking-0/adapter/adapter_model.safetensors"
    truth = (trained / "RUN" / weights).read_bytes()
    result = json.loads((trained / "RUN/adapters/seeking-0/finetune.json").read_text())
    draw = random.Random(2)
    files = sorted(p.relative_to(trained / "KILLED") for p in (trained / "KILLED").rglob("*") if p.is_file())
    for turn in range(4 * len(files) * MORE):
        shutil.rmtree(tmp_path / "RUN", ignore_errors=True)
        shutil.copytree(trained / "KILLED", tmp_path / "RUN")
        path = tmp_path / "RUN" / files[turn % len(files)]
        how = ("bit", "cut", "gone", "empty")[turn // len(files) % 4]
        if how == "bit" and path.stat().st_size:
            one_bit(path, draw)
        elif how == "cut":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        elif how == "gone":
            path.unlink()
        else:
            path.write_bytes(b"")
        if told([*finetune(trained), "--resume"], tmp_path) == 0:
            assert (tmp_path / "RUN" / weights).read_bytes() == truth, (how, path.name)
            own = json.loads((tmp_path / "RUN/adapters/seeking-0/finetune.json").read_text())
            assert own == result, (how, path.name)
