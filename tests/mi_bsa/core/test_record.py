"""The run folder: never clobbered, and enough to know the run again."""

from pathlib import Path

import pytest

from mi_bsa.core.config import Config
from mi_bsa.core.errors import MissingError, RunFolderError
from mi_bsa.core.record import RunFolder, check_free, start


class Small(Config):
    """A config for these tests."""

    rank: int = 4
    """Rank."""


def begin(path: Path, *, rank: int = 4, resume: bool = False) -> RunFolder:
    return start(
        path,
        config=Small(rank=rank),
        resume=resume,
        seeds=[0, 1],
        revisions={"model": "abc"},
        command=["/x/mi-bsa", "study", "a b.yaml"],
    )


def test_record_identifies_the_run(tmp_path: Path):
    """The record holds command, versions, seeds, revisions and hardware; the config its defaults."""
    with begin(tmp_path / "run") as run:
        record = run.record()
    assert record["command"] == "mi-bsa study 'a b.yaml'"
    assert record["seeds"] == [0, 1]
    assert record["revisions"] == {"model": "abc"}
    assert record["environment"]["versions"]["torch"]
    assert record["environment"]["hardware"]["cpus"] >= 1
    assert (run.path / "config.yaml").read_text() == "rank: 4\n"


def test_existing_folder_is_refused(tmp_path: Path):
    """A run folder that exists is refused without resume, and nothing in it changes."""
    begin(tmp_path / "run").release()
    before = (tmp_path / "run" / "record.json").read_bytes()
    with pytest.raises(RunFolderError, match="--resume"):
        begin(tmp_path / "run", rank=8)
    assert (tmp_path / "run" / "record.json").read_bytes() == before


def test_resume_keeps_old_configs(tmp_path: Path):
    """Resuming with other values keeps each older config beside the new one, and notes the invocation."""
    for rank, resume in ((4, False), (8, True), (8, True), (2, True)):
        begin(tmp_path / "run", rank=rank, resume=resume).release()
    kept = {file.name: file.read_text() for file in (tmp_path / "run").glob("config*.yaml")}
    assert kept == {"config.yaml": "rank: 2\n", "config.1.yaml": "rank: 4\n", "config.2.yaml": "rank: 8\n"}
    assert len(RunFolder.at(tmp_path / "run").record()["invocations"]) == 3


def test_a_start_that_was_killed_leaves_a_free_folder(tmp_path: Path):
    """Before its config lies there whole, a folder holds nothing to be continued or clobbered."""
    (tmp_path / "run").mkdir()
    for name in ("run.lock", ".config.yaml.d8h7j_br.part"):
        (tmp_path / "run" / name).touch()
    for resume in (True, False):
        check_free(tmp_path / "run", resume=resume)
    begin(tmp_path / "run", resume=True).release()


def test_one_process_at_a_time(tmp_path: Path):
    """A folder in use is refused, also with resume, until it is released."""
    run = begin(tmp_path / "run")
    with pytest.raises(RunFolderError, match="another process"):
        begin(tmp_path / "run", resume=True)
    run.release()
    begin(tmp_path / "run", resume=True).release()


def test_foreign_folders_are_refused(tmp_path: Path):
    """A file, and a folder with somebody's things, are not taken for runs."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFolderError, match="is a file"):
        begin(tmp_path / "file")
    with pytest.raises(RunFolderError, match="not a run folder"):
        begin(tmp_path, resume=True)
    with pytest.raises(MissingError, match="not a run folder"):
        RunFolder.at(tmp_path)


def test_metrics_survive_a_cut_line(tmp_path: Path):
    """Metrics are read back in order, without a last line that a crash cut short."""
    with begin(tmp_path / "run") as run:
        run.append_metric({"loss": 1.0})
        run.append_metric({"loss": 0.5})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"loss": 0.')
    assert run.metrics() == [{"loss": 1.0}, {"loss": 0.5}]
