"""The store when things go wrong: interruptions, kills, flipped bytes, full disks, several writers, ranks."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import activations
from activations import faults, hooks, testing
from activations.errors import StoreError
from activations.repack import repack
from activations.writer import exclusive, part_path

ALL = (
    "embed,resid_pre,resid_mid,resid_post,attn_out,mlp_out,head_z,mlp_act,final_norm,"
    "lora_a.q_proj,lora_out.down_proj"
)
ROWS = testing.prompts(11)


@pytest.fixture
def store(model: activations.Model, tmp_path: Path) -> activations.Store:
    """A small cache of the last token at every kind of site."""
    return activations.capture(model, ROWS, sites=ALL, out=tmp_path / "acts.h5", batch_tokens=200)


class _Interrupted(Exception):
    pass


def test_an_interrupted_capture_resumes_without_recomputing(
    model: activations.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Committed batches are not run again, and the file is that of an uninterrupted run."""
    request = {"sites": "resid_post", "positions": "all", "batch_tokens": 100}
    whole = activations.capture(model, ROWS, out=tmp_path / "whole.h5", **request)

    def stop_after_three(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) == 4:
            raise _Interrupted

    calls: list[int] = []
    with pytest.raises(_Interrupted):
        activations.capture(model, ROWS, out=tmp_path / "part.h5", progress=stop_after_three, **request)
    assert not (tmp_path / "part.h5").exists()
    with pytest.raises(StoreError, match="capture again with resume=True"):
        activations.Store(tmp_path / "part.h5")
    with pytest.raises(StoreError, match="begun and not finished"):
        activations.capture(model, ROWS, out=tmp_path / "part.h5", **request)
    committed = calls[-1]
    seen: list[int] = []
    original = hooks.read
    monkeypatch.setattr(
        hooks, "read", lambda m, batch, s, g: seen.extend(batch.examples.tolist()) or original(m, batch, s, g)
    )
    resumed = activations.capture(model, ROWS, out=tmp_path / "part.h5", resume=True, **request)
    assert len(seen) == len(ROWS) - committed
    assert faults.same_cache(whole.path, resumed.path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part.h5", "whole.h5"]


def test_two_writers_are_refused_and_several_readers_are_not(
    model: activations.Model, tmp_path: Path, store: activations.Store
) -> None:
    """The lock is another process's; two open readers are fine."""
    with exclusive(tmp_path / "busy.h5"), pytest.raises(StoreError, match="two writers are refused"):
        activations.capture(model, ROWS, sites="resid_post", out=tmp_path / "busy.h5")
    with store.open() as one, store.open() as two:
        assert np.array_equal(one["activations/resid_post/0"][:], two["activations/resid_post/0"][:])


def test_shards_join_into_one_cache(
    model: activations.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Job-array parts and ranks of a launcher; the joined rows are those of one run, and a missing shard is
    an error."""
    request = {"sites": "resid_post,head_z.1", "positions": "last:2", "batch_tokens": 100}
    whole = activations.capture(model, ROWS, out=tmp_path / "whole.h5", **request)
    parts = [
        activations.capture(model, ROWS, out=tmp_path / "acts.h5", shard=(n, 3), **request) for n in (2, 0, 1)
    ]
    assert [part.path.name for part in parts] == ["acts.shard-2-of-3.h5", "acts.shard-0-of-3.h5", "acts.h5"]
    joined = parts[-1]
    assert joined.check(deep=True) == []
    assert joined.index_hash == whole.index_hash
    assert joined.table().equals(whole.table())
    for site in whole.sites:
        assert np.allclose(joined.read(site), whole.read(site), atol=1e-5)
    with pytest.raises(StoreError, match="repack it plain"):
        joined.view("resid_post", 0)
    plain = repack(joined.path, tmp_path / "plain.h5", compression="none")
    assert np.array_equal(plain.view("resid_post", 0), joined.read("resid_post", 0))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    ranked = activations.capture(model, ROWS, out=tmp_path / "rank.h5", **request)
    assert ranked.path.name == "rank.shard-1-of-2.h5"
    (tmp_path / "acts.shard-1-of-3.h5").unlink()
    with pytest.raises(StoreError, match="put them back"):
        activations.Store(tmp_path / "acts.h5")
    with pytest.raises(StoreError, match="does not exist"):
        activations.capture(model, ROWS, out=tmp_path / "x.h5", shard=(3, 3), **request)


@pytest.mark.parametrize("count", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_flipped_bytes_are_found(model: activations.Model, tmp_path: Path, count: int) -> None:
    """Random flips in data (values, tables, checksums): every one is reported by the deep check."""
    store = activations.capture(
        model, ROWS, sites="resid_post.1,head_z.0", positions="last:2", out=tmp_path / "acts.h5"
    )
    flips = faults.flip_bytes(store.path, count=count, seed=0)
    assert [flip for flip in flips if not flip.reported] == []
    assert len(flips) == count
    assert store.check(deep=True) == []


def test_a_folder_that_cannot_be_written_is_one_line(model: activations.Model) -> None:
    """/proc takes no files, not even root's."""
    with pytest.raises(StoreError, match="choose a folder that can be written"):
        activations.capture(model, ROWS, sites="resid_post", out="/proc/acts.h5")


def test_a_full_disk_is_one_line_and_loses_nothing(model: activations.Model, tmp_path: Path) -> None:
    """A size limit stands for a full disk: refused before any forward pass; hit later, what is committed is
    kept and resumed."""
    request = {"sites": "resid_post", "batch_tokens": 100}

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        with pytest.raises(StoreError, match="the disk is full") as error:
            activations.capture(model, testing.prompts(200), out=tmp_path / "full.h5", **request)
        assert "\n" not in str(error.value)

    assert faults.in_child(limited) == 0
    assert list(tmp_path.iterdir()) == []

    def filled_up(done: int, total: int) -> None:
        if done > 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    def later() -> None:
        with pytest.raises(StoreError, match="free space and resume"):
            activations.capture(model, ROWS, out=tmp_path / "late.h5", progress=filled_up, **request)

    assert faults.in_child(later) == 0
    whole = activations.capture(model, ROWS, out=tmp_path / "whole.h5", **request)
    late = activations.capture(model, ROWS, out=tmp_path / "late.h5", resume=True, **request)
    assert faults.same_cache(whole.path, late.path) == []


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_a_killed_capture_resumes_to_the_same_bits(
    model: activations.Model, tmp_path: Path, kills: int
) -> None:
    """SIGKILL at random moments, each resumed: all datasets and attributes equal an uninterrupted run's."""
    rows = testing.prompts(40, longest=40)
    request = {"sites": "resid_post,head_z.1,lora_out.down_proj", "positions": "all", "batch_tokens": 64}

    def run(out: Path) -> None:
        torch.set_num_threads(1)
        activations.capture(model, rows, out=out, resume=True, **request)

    start = time.monotonic()
    assert faults.in_child(lambda: run(tmp_path / "whole.h5")) == 0
    seconds = time.monotonic() - start
    generator = np.random.default_rng(kills)
    midway = 0
    for n in range(kills):
        out = tmp_path / f"killed-{n}.h5"
        hit = faults.in_child(lambda out=out: run(out), kill_after=float(generator.uniform(0, seconds)))
        midway += hit == -9 and part_path(out).exists()
        assert faults.in_child(lambda out=out: run(out)) == 0
        assert faults.same_cache(tmp_path / "whole.h5", out) == []
        assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, "whole.h5"]
        out.unlink()
    assert midway >= kills // 4, f"only {midway} of {kills} kills hit a capture that was under way"


@pytest.mark.slow
def test_ranks_of_accelerate_launch_write_one_cache(tmp_path: Path) -> None:
    """Two ranks of `accelerate launch` write a shard each, and the joined cache is that of one process."""
    prompts = tmp_path / "prompts.jsonl"
    rows = [json.dumps({"id": str(n), "text": f"{n} coins"}) for n in range(40)]
    prompts.write_text("\n".join(rows))
    words = ["-m", "mi_bsa.cli", "cache", "build", "--model", "embedded", "--prompts", str(prompts)]
    launch = [
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
    ]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    for launcher, name in (([], "one.h5"), (launch, "two.h5")):
        command = [sys.executable, *launcher, *words, "--sites", "resid_post", "--out", str(tmp_path / name)]
        subprocess.run(command, check=True, timeout=300)
    one, two = (activations.Store(tmp_path / name) for name in ("one.h5", "two.h5"))
    assert sorted(path.name for path in tmp_path.glob("two.shard*"))
    assert two.check(deep=True) == []
    assert two.index_hash == one.index_hash
    assert two.table().equals(one.table())
    for site in one.sites:
        assert np.allclose(two.read(site), one.read(site), rtol=1e-5, atol=1e-4)
