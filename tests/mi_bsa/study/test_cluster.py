"""The law of engines: local by default; a cluster that is not there is one line that says what to do."""

import builtins
import sys

import pytest
from graph_of_steps import Small, steps

from mi_bsa.core.errors import ConfigError
from mi_bsa.study.execute import execute


def test_without_ray_the_engine_says_what_to_install(monkeypatch, tmp_path):
    """`engine: ray` without Ray is refused in one line before any step begins."""
    real = builtins.__import__

    def absent(name, *arguments, **named):
        if name == "ray":
            raise ImportError("no ray")
        return real(name, *arguments, **named)

    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ConfigError, match=r"mi-bsa\[ray\]") as caught:
        execute(steps(), config=Small(), folder=tmp_path, engine="ray")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "steps").exists()


def test_a_finished_graph_asks_for_no_engine(tmp_path):
    """Where nothing is to be done, no pool is opened, also not one that is not installed."""
    done = execute(steps(), config=Small(), folder=tmp_path)
    assert done.ran
    again = execute(steps(), config=Small(), folder=tmp_path, engine="ray")
    assert not again.ran
