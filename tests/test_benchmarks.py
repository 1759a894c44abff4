"""The record of benchmarks, and the page that is made from it."""

import importlib
import json
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
NO_CLAIM = {
    "embedded_model.py": "prints tables of finished studies",
    "fitting.py": "fits exponents",
    "lens_words.py": "counts what a lens finds, and no cost",
    "llamas.py": "makes models",
    "page.py": "makes the page",
    "peer_probes.py": "runs in a peer's environment",
    "peers.py": "starts peers",
    "plans.py": "compares what dry runs say with what then happens",
    "real_facts.py": "writes prompts",
    "real_learning.py": "measures what is learned and no cost",
    "real_short.py": "draws a finished run",
    "real_steering.py": "measures an effect and no cost",
    "trigger_strings.py": "draws triggers and trains adapters behind them",
}


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a script of `benchmarks/` by name."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))

    def found(name: str) -> ModuleType:
        sys.modules.pop(name, None)
        return importlib.import_module(name)

    return found


def test_page_is_what_the_record_makes(scripts: Any) -> None:
    """docs/benchmarks.md is written from docs/benchmarks.jsonl and not by hand."""
    found = scripts("lines").read(ROOT / "docs" / "benchmarks.jsonl")
    assert (ROOT / "docs" / "benchmarks.md").read_text() == scripts("page").text(found), (
        "python benchmarks/page.py"
    )


def test_verdict_follows_from_ratio_and_bar(scripts: Any, tmp_path: Path) -> None:
    """A ratio meets a lower bar from it on and an upper one up to it; another verdict is refused."""
    lines = scripts("lines")
    line = lines.Line("capture", "claim", "model", 2.0, "values equal", bar=2.0, kind="AMX")
    assert line.judged == "met"
    assert replace(line, bar=2.1).judged == "missed"
    assert replace(line, bar=2.1, at_most=True).judged == "met"
    assert replace(line, bar=None).judged == "no bar"
    assert replace(line, ratio=None).judged == "missed"
    record = tmp_path / "record.jsonl"
    record.write_text(json.dumps(asdict(replace(line, verdict="missed"))) + "\n")
    with pytest.raises(ValueError, match=r"line 1: machine 'AMX' and verdict 'missed'"):
        lines.read(record)


def test_run_appends_and_page_shows_the_newest(scripts: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Two runs of a claim are two lines of the record, with machine and command, and one row of the page."""
    lines, page, record = scripts("lines"), scripts("page"), tmp_path / "record.jsonl"
    monkeypatch.setattr(sys, "argv", ["benchmarks/x.py", "--record", str(record), "peer=/a/b/bin/python"])
    for ratio in (1.5, 2.5):
        made = lines.Line(
            "patch map", "map", "a model", ratio, "values within 1e-6", bar=2, ours=1, peer=ratio
        )
        lines.write([made], record, clock="processor")
    found = lines.read(record)
    assert [line.verdict for line in found] == ["missed", "met"]
    assert all(line.kind in lines.KINDS and line.date for line in found)
    assert found[0].command.endswith("python benchmarks/x.py peer=ENVIRONMENT/bin/python")
    shown = page.text(found)
    assert "2.5x" in shown
    assert "1.5x" not in shown
    assert len(page.drawn(found).axes[0].get_yticks()) == 1


def test_exponent_of_a_power_is_found(scripts: Any) -> None:
    """Costs that grow as size^1.5 have the exponent 1.5 with no error; noise gives one that covers it."""
    exponent = scripts("fitting").exponent
    sizes = [100, 200, 400, 800]
    slope, error = exponent(sizes, [size**1.5 for size in sizes])
    assert slope == pytest.approx(1.5)
    assert error == pytest.approx(0, abs=1e-9)
    slope, error = exponent(sizes, [1.1 * 100**1.5, 0.9 * 200**1.5, 1.1 * 400**1.5, 0.9 * 800**1.5])
    assert 0 < abs(slope - 1.5) < 2 * error


def test_curves_are_drawn_from_the_record(scripts: Any) -> None:
    """A line with points is a curve of the figure of costs, from 1 on both axes."""
    lines, page = scripts("lines"), scripts("page")
    points = ((100.0, 2.0), (200.0, 4.0), (400.0, 9.0), (800.0, 16.0))
    made = lines.Line(
        "cost curves", "time against prompts", "a model", 1.02, "prompts", points=points, kind="AMX"
    )
    time_axes, memory_axes = page.curves([made]).axes
    assert time_axes.lines[0].get_xdata().tolist() == [1, 2, 4, 8]
    assert time_axes.lines[0].get_ydata().tolist() == [1, 2, 4.5, 8]
    assert len(memory_axes.lines) == 2  # the gray slopes alone


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"topic": "x"}', '{"unknown": 1}'])
def test_broken_line_is_named(scripts: Any, tmp_path: Path, text: str) -> None:
    """A line of the record that is none is refused with its number."""
    record = tmp_path / "record.jsonl"
    record.write_text(text + "\n")
    with pytest.raises(ValueError, match="line 1"):
        scripts("lines").read(record)


def test_every_benchmark_records_its_lines() -> None:
    """Each script either records what it found or has a reason not to."""
    for script in sorted(set((ROOT / "benchmarks").glob("*.py")) - {ROOT / "benchmarks" / "lines.py"}):
        text = script.read_text()
        records = bool(re.search(r"lines\.options\(parser\)", text) and re.search(r"lines\.write\(", text))
        assert records != (script.name in NO_CLAIM), script.name
