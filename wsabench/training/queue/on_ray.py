"""Working through a queue on a Ray cluster: each run is a process on a node; the folder lies on a shared disk."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wsabench.evaluation.cluster.ray_executor import RayCluster, only_on, ray_cluster
from wsabench.resources import make_dir, write_text
from wsabench.training.queue.places import Places
from wsabench.training.queue.running import POLL_SECONDS, QueueOptions, Result, run_queue, start_child
from wsabench.training.queue.spec import Queue

_KILLED = -9
"""Exit code of a process whose node went: the run goes on from its last checkpoint."""
_OURS = "WSABENCH_"


def run_queue_on_ray(queue: Queue, out: Path, options: QueueOptions, address: str | None = None) -> Result:
    """Work through a queue on the nodes of a Ray cluster, one run a core; see `run_queue`.

    A run whose node goes is started on another one and goes on from its last checkpoint.

    Args:
        queue: The queue.
        out: The queue's folder, which every node must see under the same path, as the queue's file.
        options: How many at once (by default one a core of the cluster), which shard, who is told.
        address: Of the cluster; None for one of this machine alone.

    Returns:
        What finished (earlier or now), failed, and was skipped.

    Raises:
        SpecError: An option of a run does not fit, there is no cluster, or no node may be used.
        StorageError: Another process works on this folder, or it cannot be written.
        WorkerError: The cluster has no node with a core.
    """
    games = sorted({run.game for run in queue.runs})
    marker = make_dir(Places(out).root) / "seen-by-nodes"
    write_text(marker, "Nodes look for this file, to know that they share the disk.\n")
    try:
        with ray_cluster(address, options.parallel, games, options.tell, str(marker)) as (cluster, number):
            chosen = replace(options, parallel=number, spawn=_Nodes(cluster, options.tell).spawn)
            return run_queue(replace(queue, path=queue.path.resolve()), out, chosen)
    finally:
        marker.unlink(missing_ok=True)


class NodeProcess:
    """Stands on a node beside a run's process."""

    def __init__(self, command: Sequence[str], log: str, variables: dict[str, str]) -> None:
        """Start it; the last word of the command is the process that it must not outlive, which is this one."""
        self._process = start_child([*command[:-1], str(os.getpid())], Path(log), variables)

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        return self._process.poll()

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)


class _Nodes:
    """Where runs are started."""

    def __init__(self, cluster: RayCluster, tell: Callable[[str], None]) -> None:
        self._cluster, self._tell = cluster, tell
        self._has_told = False
        self._children: list[_RayChild] = []

    def spawn(self, command: Sequence[str], log: Path) -> _RayChild | None:
        """Start a run's process on the node with most room; None where none has any."""
        import ray

        self._children = [one for one in self._children if one.code is None]
        node = self._cluster.free_node([one.node for one in self._children])
        if node is None:
            if not self._children and not self._has_told:
                self._tell("no node has room for a run; waiting for one")
            self._has_told = not self._children
            return None
        self._has_told = False
        variables = {name: value for name, value in os.environ.items() if name.startswith(_OURS)}
        actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(NodeProcess)
        handle = actor.options(scheduling_strategy=only_on(node)).remote(list(command), str(log), variables)
        child = _RayChild(handle, node, self._cluster)
        self._children.append(child)
        return child


class _RayChild:
    """A run's process on a node, as the queue sees it."""

    def __init__(self, actor: Any, node: str, cluster: RayCluster) -> None:
        self.node = node
        self.code: int | None = None
        self._actor, self._cluster = actor, cluster
        self._asked: Any = None

    def poll(self) -> int | None:
        """Return the exit code; None while it runs, or waits for its node."""
        import ray
        from ray.exceptions import RayError

        if self.code is not None:
            return self.code
        self._asked = self._asked or self._actor.poll.remote()
        if not ray.wait([self._asked], timeout=0)[0]:
            return None
        try:
            self.code = ray.get(self._asked)
        except RayError:
            self.code = _KILLED
            self._cluster.suspect(self.node)
        self._asked = None
        if self.code is not None:
            ray.kill(self._actor)
        return self.code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code."""
        until = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired("a run on a node", timeout or 0.0)
            time.sleep(POLL_SECONDS)
        return code

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal."""
        self._actor.send_signal.remote(int(sig))

    def kill(self) -> None:
        """Kill it."""
        import ray

        ray.kill(self._actor)
