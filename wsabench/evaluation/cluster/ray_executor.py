"""Playing on a Ray cluster: one actor for each worker, beside a worker process like those of a run on one machine.

This process keeps the board and writes the results, so who plays where changes nothing in them. Nodes with other
versions of what decides bits are not used.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wsabench.errors import SpecError, WorkerError
from wsabench.evaluation.cluster.luggage import Packer
from wsabench.evaluation.cluster.node import Ended, Order, Relay, facts
from wsabench.evaluation.contestants import Contestant
from wsabench.machine import available_cores
from wsabench.words import counted

_PROBE_SECONDS = 120.0
"""How long a node may take to say what it is."""
_SUSPECT_SECONDS = 20.0
"""For how long nobody is sent to a node that lost a worker: Ray needs that long to find that it is gone."""
_PATIENCE_SECONDS = 90.0
_STORE_BYTES = 200 * 2**20
"""Of the object store of a cluster of this machine alone; what is more goes to disk."""
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_IGNORE_UNHANDLED_ERRORS": "1", "RAY_DEDUP_LOGS": "0"}


class RayWorker:
    """An actor, as the driver sees it; it is its own connection."""

    has_ended = False

    def __init__(self, number: int, actor: Any, node: str, crew: RayCrew) -> None:
        """Keep what was started.

        Args:
            number: Tells it from the others.
            actor: The actor's handle.
            node: Id of its node.
            crew: What it belongs to.
        """
        self.number, self.node = number, node
        self.is_up = False
        self.is_to_blame = True
        self._actor, self._crew = actor, crew
        self._waiting: list[Any] = []
        self._how = "was lost"

    @property
    def connection(self) -> RayWorker:
        """The way to talk to it."""
        return self

    def recv(self) -> Any:
        """Wait for what the worker sends next.

        Raises:
            EOFError: It is gone.
        """
        import ray
        from ray.exceptions import RayError

        while not self._waiting:
            try:
                self._waiting = ray.get(self._actor.poll.remote())
            except RayError as error:
                self.is_to_blame = False
                self._how = (
                    f"was lost with its node or Ray worker ({self._crew.name_of(self.node)}; {_first_line(error)})"
                )
                raise EOFError from error
            self.is_up = True
        message = self._waiting.pop(0)
        if isinstance(message, Ended):
            self._how = message.how
            raise EOFError
        return message

    def send(self, obj: Any, /) -> None:
        """Tell the worker what it asked for."""
        is_order = isinstance(obj, tuple) and len(obj) == 2 and isinstance(obj[1], Contestant)
        self._actor.answer.remote(self._crew.packed(*obj) if is_order else obj)

    def how_it_ended(self) -> str:
        """Say how it ended, as the end of a sentence."""
        return self._how

    def kill(self) -> None:
        """End the actor; its worker process ends with it."""
        import ray

        ray.kill(self._actor)


class RayCrew:
    """Workers on the nodes of a cluster."""

    patience = _PATIENCE_SECONDS

    def __init__(self, cluster: RayCluster, keep_steps: bool) -> None:
        """Prepare; nothing is started.

        Args:
            cluster: Where they play.
            keep_steps: Whether every step is recorded.
        """
        import ray

        self._cluster, self._keep_steps = cluster, keep_steps
        self._workers: list[RayWorker] = []
        self._contents: dict[str, Any] = {}
        self._packer = Packer(self._hand_over)
        remote: Any = ray.remote  # its types know fewer options than it has
        self._actor = remote(num_cpus=1, max_restarts=0, max_task_retries=0, max_concurrency=2)(Relay)

    def __enter__(self) -> RayCrew:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all that are left."""
        for worker in list(self._workers):
            self.end(worker)

    def start(self, number: int) -> RayWorker | None:
        """Start a worker on the node with most room; None where no node has any."""
        node = self._cluster.free_node([one.node for one in self._workers])
        if node is None:
            return None
        places = self._packer.data()
        contents = {found: self._contents[found] for found in places.values()}
        actor = self._actor.options(scheduling_strategy=only_on(node)).remote(
            _fetch, places, contents, self._keep_steps, self._cluster.own_path
        )
        worker = RayWorker(number, actor, node, self)
        self._workers.append(worker)
        return worker

    def kill(self, worker: RayWorker) -> None:
        """End a worker at once."""
        worker.kill()

    def end(self, worker: RayWorker) -> None:
        """End a worker, if it is still there, and forget it."""
        if worker not in self._workers:
            return
        worker.kill()
        self._workers.remove(worker)
        if not worker.is_to_blame:
            self._cluster.suspect(worker.node)

    def packed(self, index: int, contestant: Contestant) -> Order:
        """Return a contestant with where its files can be had."""
        parcel = self._packer.pack(contestant)
        return Order(index, parcel, {found: self._contents[found] for found in parcel.places.values()})

    def name_of(self, node: str) -> str:
        """Return how messages call a node."""
        return self._cluster.name_of(node)

    def _hand_over(self, content_hash: str, content: bytes) -> None:
        import ray

        self._contents[content_hash] = ray.put(content)


class RayCluster:
    """The nodes of a cluster that may play."""

    def __init__(self, games: Sequence[str], note: Callable[[str], None], shared: str | None = None) -> None:
        """Know of no node yet.

        Args:
            games: The games of the run, whose ROMs are compared.
            note: Hears of nodes that are not used.
            shared: A file that every node must see; None where none is needed.
        """
        self._games, self._note, self._shared = tuple(games), note, shared
        self._wanted = facts(games, shared)
        self._suspects: dict[str, float] = {}
        self._names: dict[str, str] = {}
        self._refusals: dict[str, str | None] = {}
        self._probes: dict[str, Any] = {}
        here = str(Path.cwd())
        self.own_path = here if sys.path[-1:] == [here] else None
        """The current directory, where an agent's module may lie; None where none was asked for."""

    def nodes(self) -> dict[str, int]:
        """Return the cores of each node that lives and may play; nodes that are new are asked what they are."""
        alive = self._alive()
        for node in alive:
            if node not in self._refusals and node not in self._probes:
                self._probes[node] = self._probe(node)
        self._hear_probes(0.0)
        return {node: cores for node, cores in alive.items() if self._refusals.get(node, "") is None}

    def begin(self) -> int:
        """Ask all nodes what they are, and return the cores of those that may play.

        Raises:
            SpecError: None may; the message names each with what is other there.
            WorkerError: There is no node with a core.
        """
        self.nodes()
        self._hear_probes(_PROBE_SECONDS)
        cores = sum(self.nodes().values())
        if cores:
            return cores
        if not any(self._refusals.values()):
            raise WorkerError("The Ray cluster has no node with a core to play on. Add one: `ray start --address=...`.")
        raise SpecError(
            "No node of the Ray cluster may play, because results would be others there. "
            f"{' '.join(text for text in self._refusals.values() if text)} Install the same versions everywhere."
        )

    def free_node(self, taken: Sequence[str]) -> str | None:
        """Return the node with most room for one more worker; None where there is no room.

        Args:
            taken: The node of each worker that there is.
        """
        now = time.monotonic()
        room = {node: cores - taken.count(node) for node, cores in self.nodes().items()}
        free = [node for node in room if room[node] > 0 and now >= self._suspects.get(node, now)]
        return max(free, key=lambda node: room[node], default=None)

    def suspect(self, node: str) -> None:
        """Send nobody to a node for a while."""
        self._suspects[node] = time.monotonic() + _SUSPECT_SECONDS

    def name_of(self, node: str) -> str:
        """Return how messages call a node."""
        return f"node {node[:8]}, {self._names.get(node, 'unknown host')}"

    def _alive(self) -> dict[str, int]:
        """Return the cores of each node that lives and has any."""
        import ray

        found = {}
        for node in ray.nodes():
            cores = int(node["Resources"].get("CPU", 0))
            if node["Alive"] and cores:
                found[node["NodeID"]] = cores
                self._names.setdefault(node["NodeID"], node["NodeManagerHostname"])
        return found

    def _probe(self, node: str) -> Any:
        """Ask a node what it is."""
        import ray

        remote: Any = ray.remote
        ask = remote(num_cpus=0, max_retries=0)(facts)
        return ask.options(scheduling_strategy=only_on(node)).remote(self._games, self._shared)

    def _hear_probes(self, seconds: float) -> None:
        """Judge the nodes that answered within some seconds; those that did not are asked again later."""
        import ray
        from ray.exceptions import RayError

        if not self._probes:
            return
        ready, _ = ray.wait(list(self._probes.values()), num_returns=len(self._probes), timeout=seconds)
        for node, probe in list(self._probes.items()):
            if probe not in ready:
                continue
            del self._probes[node]
            try:
                refusal = self._difference(ray.get(probe))
            except RayError as error:
                refusal = f"it cannot say what it is: {_first_line(error)}"
            self._refusals[node] = refusal and f"{self.name_of(node).capitalize()}: {refusal}."
            if refusal:
                self._note(f"{self.name_of(node).capitalize()} is not used: {refusal}.")

    def _difference(self, found: Mapping[str, str]) -> str | None:
        """Say what is other on a node; None for nothing."""
        other = [
            f"{name} {found.get(name, 'absent')} there, {wanted} here"
            for name, wanted in self._wanted.items()
            if found.get(name, "absent") != wanted
        ]
        return ", ".join(other) or None


@contextmanager
def ray_cluster(
    address: str | None,
    workers: int | None,
    games: Sequence[str],
    note: Callable[[str], None],
    shared: str | None = None,
) -> Iterator[tuple[RayCluster, int]]:
    """Connect to a cluster, or start one of this machine; one that was started here is ended here.

    Args:
        address: Address of the cluster, `HOST:PORT` or `auto`; None for one of this machine alone.
        workers: How many workers the user asked for; None: one for each core of the cluster.
        games: The games of the run.
        note: Hears of nodes that are not used.
        shared: A file that every node must see; None where none is needed.

    Yields:
        The cluster, and how many workers play.

    Raises:
        SpecError: There is no cluster at the address, or no node may play.
        WorkerError: It has no node with a core.
    """
    os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})
    import ray

    was_there = ray.is_initialized()
    folder = tempfile.mkdtemp(prefix="wsabench-ray-")  # short: sockets lie there
    try:
        if not was_there:
            _connect(address, workers or available_cores(), folder)
        cluster = RayCluster(games, note, shared)
        cores = cluster.begin()
        if workers is not None and workers > cores:
            note(f"{workers} workers are asked for. The cluster has {counted(cores, 'core')}, and so many play.")
        yield cluster, min(workers or cores, cores)
    finally:
        if not was_there:
            ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _connect(address: str | None, workers: int, folder: str) -> None:
    """Connect this process to a cluster; signals stay as they were, and workers look for no module where it is."""
    import ray
    from ray.job_config import JobConfig

    ways: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    # With `_client_job` Ray does not put the current directory first on the module path of its workers.
    ways["job_config"] = JobConfig(_client_job=True)
    if address is None:
        ways |= {"num_cpus": workers, "object_store_memory": _STORE_BYTES, "include_dashboard": False}
        ways |= {"_node_ip_address": "127.0.0.1", "_temp_dir": folder}
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address or "local", **ways)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"at {address!r}" if address else "on this machine"
        raise SpecError(
            f"There is no Ray cluster {where}: {_first_line(error)} Give the address that `ray start --head` prints, "
            "as in 10.0.0.1:6379, or none for a cluster of this machine."
        ) from error
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def only_on(node: str) -> Any:
    """Return the strategy by which Ray schedules something on one node and nowhere else."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)


def _fetch(content: Any) -> bytes:
    """Return a content from the object store; runs on a node."""
    import ray

    return ray.get(content)


def _first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") + "." if lines else type(error).__name__
