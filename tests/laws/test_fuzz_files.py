"""Law: no changed adapter, cache or marker makes the toolkit fail, hang or change a number in silence.

See `test_fuzz.py`. Slow: `pytest -m slow tests/laws/test_fuzz_files.py`; MI_BSA_FUZZ multiplies the examples.
"""

import contextlib
import io
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from fuzzing import MORE, ODD, changed, fuzz, in_time, places, put, run, told, warm
from hypothesis import given
from hypothesis import strategies as st

import activations
from mi_bsa.core.config import Config
from mi_bsa.study.execute import execute
from mi_bsa.study.steps import Cell, Step

pytestmark = pytest.mark.slow


__all__ = ["warm"]  # a fixture of every test here


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
