"""Testing: the laws that every kind of study must keep, for those of the toolkit and for yours.

A test subclasses `StudyLaws` and provides two fixtures: `reference`, where the study lies, such as
``"mine.study:STUDY"``, and `given`, its smallest config as plain data. tests/contract/test_studies.py runs
them over the registry.

Kills are real: the study runs in a process of its own, which is killed within a step. `STUDY_KILLS` says how
often.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from activations.errors import ActivationsError
from mi_bsa.core import results
from mi_bsa.core.config import imported, parse
from mi_bsa.core.errors import ConfigError, MiBsaError, RunFolderError
from mi_bsa.core.record import RunFolder
from mi_bsa.report import browser
from mi_bsa.report.first import AROUND, MOST, words
from mi_bsa.report.page import first_of, read_run, read_verdicts
from mi_bsa.report.sections import answer
from mi_bsa.study import registration
from mi_bsa.study.steps import plan
from mi_bsa.study.study import Study, StudyConfig

KILLS = int(os.environ.get("STUDY_KILLS", "3"))
WIDTHS = (1280, 400)
"""A screen and a phone."""
_FINISHED: dict[str, Path] = {}
"""Folders of finished runs by their config."""
RUN = """
import sys
from pathlib import Path
from mi_bsa.core.config import imported, load

study = imported(sys.argv[1])
study.run(load(sys.argv[2], study.config), Path(sys.argv[3]), resume=True)
"""


class StudyLaws:
    """A run that is whole, refused where it must be, and the same after a kill."""

    @pytest.fixture
    def reference(self) -> str:
        """`module:name` of the study; a subclass says which."""
        raise NotImplementedError("a subclass of StudyLaws gives `reference`, as 'module:STUDY'")

    @pytest.fixture
    def given(self) -> dict[str, Any]:
        """The smallest config of the study; a subclass says which."""
        raise NotImplementedError("a subclass of StudyLaws gives `given`, a config as plain data")

    @pytest.fixture
    def study(self, reference: str) -> Study[Any]:
        """The study."""
        found: Study[Any] = imported(reference)
        return found

    @pytest.fixture
    def config(self, study: Study[Any], given: dict[str, Any]) -> StudyConfig:
        """The config, validated."""
        found: StudyConfig = parse(given, study.config)
        return found

    @pytest.fixture
    def finished(
        self, study: Study[Any], config: StudyConfig, tmp_path_factory: pytest.TempPathFactory
    ) -> Path:
        """The folder of a run that nothing disturbed; one for all laws, which leave it as it is."""
        said = config.to_yaml()
        if said not in _FINISHED:
            _FINISHED[said] = study.run(config, tmp_path_factory.mktemp(study.name) / "run").parent
        return _FINISHED[said]

    def test_a_run_is_whole(self, study: Study[Any], config: StudyConfig, finished: Path) -> None:
        """Config, record and page are there, whose first screen is short and has a sentence that answers;
        every number has an interval or says why not.
        """
        assert parse(yaml.safe_load((finished / "config.yaml").read_text()), study.config) == config
        record = RunFolder.at(finished).record()
        assert record["seeds"] == list(config.recorded)
        assert (finished / "report.html").stat().st_size > 0
        assert words(first_of(read_run(finished), study.page()).lines) <= MOST - AROUND
        found = results.read(finished)
        assert found
        assert answer(found, study.page()), "give one of its sections `answers` (mi_bsa.report.answers)"
        assert all(r.ci is not None or r.ci_method.startswith("none") for r in found)

    def test_every_p_says_which_test_gave_it(self, finished: Path) -> None:
        """No p without its test; one that is the least of its draws stands beside the null of these alone;
        what was drawn is never more than the rows behind it.
        """
        found = results.read(finished)
        assert [r.name for r in found if r.test == results.UNTOLD] == []
        assert [r.name for r in found if (r.p is None) != (r.test is None)] == []
        assert [
            r.name for r in found if r.p_floor is not None and r.null is not None and not r.null_is_of_p
        ] == []
        assert [(r.name, r.n, r.rows) for r in found if r.rows is not None and r.n > r.rows] == []

    def test_a_folder_is_not_clobbered(self, study: Study[Any], config: StudyConfig, finished: Path) -> None:
        """A second start without `resume` is refused and changes nothing."""
        before = _written(finished)
        with pytest.raises(RunFolderError, match="--resume"):
            study.run(config, finished)
        assert _written(finished) == before

    def test_a_finished_run_resumes_to_nothing(
        self, study: Study[Any], config: StudyConfig, finished: Path
    ) -> None:
        """Every step is known as finished, and a resumed run leaves the numbers and the page as they are."""
        assert not [item for item in plan(study.steps(config), config=config, folder=finished) if item.reason]
        kept = {name: (finished / name).read_bytes() for name in ("results.json", "config.yaml")}
        markers, drawn = _written(finished / "steps"), (finished / "report.html").stat().st_mtime_ns
        assert study.run(config, finished, resume=True) == finished / "report.html"
        assert {name: (finished / name).read_bytes() for name in kept} == kept
        assert _written(finished / "steps") == markers
        assert (finished / "report.html").stat().st_mtime_ns == drawn

    def test_a_dry_run_writes_nothing(self, study: Study[Any], config: StudyConfig, tmp_path: Path) -> None:
        """The plan names every step and sums up; no folder is made."""
        said, graph = study.preview(config, tmp_path / "run"), study.steps(config)
        assert f"{len(graph)} of {len(graph)} steps to run" in said
        assert all(f"  {step.name} " in said for step in graph)
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"enginee": "local"}, "did you mean 'engine'"),
            ({"engine": "dask"}, "engine"),
            ({"workers": 0}, "workers"),
            ({"study": "nothing"}, "study"),
        ],
    )
    def test_a_bad_config_is_one_line(
        self, study: Study[Any], given: dict[str, Any], change: dict[str, Any], says: str
    ) -> None:
        """What no study may say is refused in one line that names it."""
        with pytest.raises(ConfigError, match=says) as caught:
            parse({**given, **change}, study.config)
        assert "\n" not in str(caught.value)

    def test_a_model_that_is_not_there_is_refused(
        self, study: Study[Any], given: dict[str, Any], tmp_path: Path
    ) -> None:
        """Before a folder is made, in one line."""
        fields = study.config.model_fields
        name = next((one for one in ("model", "models") if one in fields), None)
        if name is None:
            pytest.skip("this study names no model at its top")
        none = str(tmp_path / "none")
        changed = {**given, name: none if name == "model" else [none, f"{none}-2"]}
        with pytest.raises((MiBsaError, ActivationsError)) as caught:
            study.run(parse(changed, study.config), tmp_path / "run")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run").exists()

    def test_a_run_without_a_lock_is_exploratory(
        self, study: Study[Any], config: StudyConfig, finished: Path, tmp_path: Path
    ) -> None:
        """The record and every verdict say so; a lock that is written later counts for nothing."""
        said, lock = f"exploratory: {registration.NO_LOCK}", tmp_path / "given.rules.lock"
        assert registration.said_in(finished) == said
        assert {one["registration"] for one in read_verdicts(finished)} <= {said}
        design = study.design(config)
        assert RunFolder.at(finished).record()["registration"]["hash"] == design.hash
        registration.register(design, lock)
        assert registration.begin(design, out=finished, lock=lock)["said"] == said
        assert registration.begin(design, out=tmp_path / "new", lock=lock)["said"].startswith("registered ")

    def test_how_a_study_is_run_is_no_part_of_its_design(
        self, study: Study[Any], given: dict[str, Any], config: StudyConfig, tmp_path: Path
    ) -> None:
        """Workers and engine change no hash; what a study measures does, and is named."""
        lock, run = tmp_path / "given.rules.lock", tmp_path / "run"
        design = study.design(config)
        registration.register(design, lock)
        elsewhere = parse({**given, "workers": 7, "engine": "ray"}, study.config)
        assert study.design(elsewhere).hash == design.hash
        for name, value in design.config.items():
            other = replace(design, config={**design.config, name: [value, "another"]})
            said = registration.begin(other, out=run, lock=lock)["said"]
            assert said.startswith(f"exploratory: config differs in {name}")
        ruled = replace(design, rules="0" * 64)
        assert "lock of other rules" in registration.begin(ruled, out=run, lock=lock)["said"]

    @pytest.mark.skipif(browser.CHROMIUM is None, reason="no chromium on this machine")
    @pytest.mark.parametrize("width", WIDTHS)
    def test_the_page_is_quiet(self, finished: Path, width: int, tmp_path: Path) -> None:
        """A browser shows every figure, writes nothing to its console and needs no sideways scrolling."""
        measured, console = browser.look(finished / "report.html", width=width, folder=tmp_path)
        assert len(console) == 1, console  # what `look` itself says
        assert measured["visible"] == measured["figures"]
        assert measured["wider"] == 0

    @pytest.mark.slow
    @pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
    def test_a_killed_run_resumes_to_the_same_values(
        self, reference: str, study: Study[Any], config: StudyConfig, finished: Path, tmp_path: Path
    ) -> None:
        """SIGKILL within steps spread over the whole length; the results equal the undisturbed run's."""
        path, out, moments = tmp_path / "given.yaml", tmp_path / "run", random.Random(0)
        path.write_text(config.to_yaml(), encoding="utf-8")
        names = [step.name for step in study.steps(config)]
        for kill in range(KILLS):
            target = names[len(names) * (2 * kill + 1) // (2 * KILLS)]
            _kill_within(target, [sys.executable, "-c", RUN, reference, str(path), str(out)], out, moments)
        study.run(config, out, resume=True)
        assert (out / "results.json").read_bytes() == (finished / "results.json").read_bytes()


def _kill_within(step: str, command: list[str], out: Path, moments: random.Random) -> None:
    """Start a run and kill it once a step has begun, or let it end where that one was finished before."""
    marker, quiet = out / "steps" / f"{step}.json", subprocess.DEVNULL
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environment, start_new_session=True)
    while process.poll() is None and not marker.exists():
        time.sleep(0.01)
    time.sleep(moments.random() * 0.5)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _written(folder: Path) -> dict[str, int]:
    """Every file with the time at which it was written."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.lock"
    }
