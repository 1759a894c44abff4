"""The law of engines: local by default; a cluster that is not there is one line that says what to do."""

import builtins
import json
import sys
import threading
import time

import pytest
from graph_of_steps import Small, steps
from smallest import WRAPPER

from mi_bsa.core.config import parse
from mi_bsa.core.errors import ConfigError
from mi_bsa.study.execute import execute
from mi_bsa.study.registry import named
from mi_bsa.study.steps import read_marker


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


def running_on(node):
    """Whether a task runs on a node: Ray names a worker's process after its task."""
    import psutil

    (raylet,) = node.all_processes["raylet"]
    titles = [(child.cmdline() or [""])[0] for child in psutil.Process(raylet.process.pid).children()]
    return "ray::_at" in titles


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_study_survives_a_node_that_dies(smallest, tmp_path, monkeypatch):
    """Two workers, one killed while a step runs on it: every number is what it is on this machine."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'mi-bsa[ray]'")
    from ray.cluster_utils import Cluster

    local, study = smallest("wrapper").finished, named("wrapper")
    config, out = parse(WRAPPER | {"engine": "ray"}, study.config), tmp_path / "run"
    names = [step.name for step in study.steps(config)]
    cluster, hit = Cluster(initialize_head=True, head_node_args={"num_cpus": 0}), []
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)

    def finished():
        markers = [read_marker(out, name) for name in names]
        return sum(marker is not None and marker["state"] == "finished" for marker in markers)

    def kill():
        while finished() < len(names) // 3 or not running_on(nodes[0]):
            time.sleep(0.02)
        cluster.remove_node(nodes[0], allow_graceful=False)
        hit.append(finished())

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    try:
        study.run(config, out)
        killer.join(timeout=10)
    finally:
        cluster.shutdown()
    assert hit
    assert len(names) // 3 <= hit[0] < len(names)
    read = [json.loads((folder / "results.json").read_text()) for folder in (local, out)]
    assert read[0] == read[1]
    print(f"killed after {hit[0]} of {len(names)} steps; {len(read[0])} numbers equal")
