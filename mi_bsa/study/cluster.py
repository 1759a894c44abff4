"""Steps of a study on a cluster: a pool with the interface of `concurrent.futures`, behind which Ray runs
them.

Ray is an extra (`pip install "mi-bsa[ray]"`). It joins the cluster that `RAY_ADDRESS` names, or starts one on
this machine. Every node must see the run folder and the model under the same path, as on a shared file
system; what is finished is known by the folder and not by Ray, so a study resumes under either engine.

A step whose node dies is started again on another, up to `RETRIES` times: it begins as after a kill. An
error of the step itself ends the run, as it does here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from mi_bsa.core.errors import ConfigError

RETRIES = 3
"""Nodes that one step may lose: more says that the step itself brings them down, by its memory for one."""


class RayPool:
    """Runs functions as Ray tasks, each with its share of CPUs.

    Args:
        workers: tasks at once, where Ray is started here; a cluster that is joined has its own number.
        threads: CPUs of each task, and its OMP_NUM_THREADS; as many as the largest node has at most.

    Raises:
        ConfigError: Ray is not installed.
    """

    def __init__(self, workers: int, threads: int) -> None:
        try:
            import ray
        except ImportError:
            raise ConfigError(
                "engine 'ray' needs Ray, which is not installed; pip install 'mi-bsa[ray]', or set engine: "
                "local"
            ) from None
        self._ray: Any = ray
        self._began = not ray.is_initialized()
        if self._began:
            here: dict[str, Any] = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers * threads}
            ray.init(include_dashboard=False, log_to_driver=False, **here)
        largest = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
        threads = max(1, min(threads, largest))  # Ray would wait in silence for a node that has more
        self._remote = self._ray.remote(_at).options(
            num_cpus=threads,
            max_retries=RETRIES,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": str(threads)}},
        )

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a function; its future is done when the task is, with the task's own error if it failed."""
        found: Future[Any] = self._remote.remote(os.getcwd(), function, *arguments).future()
        return found

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster; one that was started here ends, with all that still runs in it."""
        del wait, cancel_futures
        if self._began and self._ray.is_initialized():
            self._ray.shutdown()

    def __enter__(self) -> RayPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()


def _at(folder: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function where the study was started, since a config's paths may be relative to that."""
    os.chdir(folder)
    return function(*arguments)
