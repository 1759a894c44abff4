"""Progress in plain lines, and times as people say them."""

import pytest

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


def test_interval_limits_lines(capsys: pytest.CaptureFixture[str]):
    """Lines closer together than the interval are left out, but not the last."""
    with Progress("study", 100.0, interval=3600.0) as progress:
        for step in range(100):
            progress.advance(1.0, str(step))
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == ["0", "99"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.234, "1.2 s"), (45.0, "45 s"), (170.0, "3 min"), (7500.0, "2 h 05 min")]
)
def test_durations(seconds: float, text: str):
    """Seconds are said in the unit that suits them."""
    assert duration(seconds) == text
