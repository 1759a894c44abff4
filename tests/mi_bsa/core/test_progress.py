"""Progress in plain lines, and times as people say them."""

import time

import pytest

from activations import progress as parts
from activations.progress import Shown
from mi_bsa.core.progress import Progress, duration


def test_plain_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]):
    """Without a terminal each advance is one line with the share done and the time left."""
    with Progress("study", 4.0) as progress:
        progress.start("never shown")
        progress.advance(1.0, "first")
        progress.advance(3.0, "second")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("[ 25 %, about ")
    assert lines[1] == "[100 %] second"


def test_no_end_is_told_of_what_comes_first(capsys: pytest.CaptureFixture[str]):
    """A hundredth that took seconds, most of them for libraries, says nothing of the rest."""
    with Progress("study", 100.0) as progress:
        for amount in (1.0, 3.0, 6.0):
            progress.advance(amount, "rows")
    assert [line[:12] for line in capsys.readouterr().err.splitlines()] == [
        "[  1 %] rows",
        "[  4 %] rows",
        "[ 10 %, abou",
    ]


def test_what_is_at_work_counts_while_it_is(monkeypatch: pytest.MonkeyPatch):
    """Two steps of an hour beside each other, half done: an hour and a half is left of four, not a day; a
    step that takes longer than was thought counts for most of its time, one of unknown time for nothing.
    """
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = Progress("study", 4 * 3600.0 + 1)
    progress.advance(1.0, "rows")
    progress.start("train/0", 3600.0)
    progress.start("train/1", 3600.0)
    progress.start("unknown", float("nan"))
    now[0] = 1800.0
    left = progress.left()
    assert left is not None
    assert left == pytest.approx(3 * 1800, rel=0.01)
    now[0] = 7200.0
    left = progress.left()
    assert left is not None
    assert left == pytest.approx(7200 * (4 - 1.8) / 1.8, rel=0.01)


def test_interval_limits_lines(capsys: pytest.CaptureFixture[str]):
    """Lines closer together than the interval are left out, but not the last."""
    with Progress("study", 100.0, interval=3600.0) as progress:
        for step in range(100):
            progress.advance(1.0, str(step))
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == ["0", "99"]


def test_a_log_hears_what_is_at_work(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Where nothing is finished for a while a line names what is at work, a few of many, and how far the part
    inside is, which says no line of its own; nothing is said after the last."""
    monkeypatch.setattr(parts, "LINE_SECONDS", 0.05)
    lines: list[str] = []

    def heard(text: str) -> bool:
        for _ in range(500):
            lines.extend(capsys.readouterr().err.splitlines())
            if any(text in line for line in lines):
                return True
            time.sleep(0.02)
        return False

    with Progress("study", 6.0) as progress:
        for number in range(6):
            progress.start(f"train/{number}")
        progress.advance(1.0, "train/0", of="train/0")
        with Shown(None, "finetuning", "steps") as inner:
            inner(3, 10)
            inner.say("two folds")
            assert heard("s), 2 more: finetuning: 3 of 10 steps")
        lines.clear()
        with parts.quiet(), Shown(None, "hidden", "steps"):
            assert heard("] at work: train/1 (")
        progress.advance(5.0, "all")
        time.sleep(0.12)
    assert not any("finetuning" in line or "hidden" in line for line in lines)
    lines.extend(capsys.readouterr().err.splitlines())
    assert lines[-1] == "[100 %] all"


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.234, "1.2 s"), (45.0, "45 s"), (170.0, "3 min"), (7500.0, "2 h 05 min")]
)
def test_durations(seconds: float, text: str):
    """Seconds are said in the unit that suits them."""
    assert duration(seconds) == text
