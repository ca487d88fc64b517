"""What runs in a worker process that plays nothing, and harms itself once for each agent, in the way of its name."""

from __future__ import annotations

import os
import signal
import struct
from multiprocessing.connection import Connection
from pathlib import Path

from wsabench.evaluation.pool.worker import StepsPlayed, WantAgent, WantTasks
from wsabench.processes import serve
from wsabench.results.records import EpisodeOutcome


def work(connection: Connection, keep_steps: bool) -> None:
    """Serve as `wsabench.evaluation.pool.worker.work` does."""
    serve(connection, lambda: _play(connection))


def _play(connection: Connection) -> None:
    while True:
        connection.send(WantAgent())
        order = connection.recv()
        if order is None:
            return
        index, contestant = order
        connection.send(StepsPlayed(3))
        is_last = False
        while not is_last:
            connection.send(WantTasks(index, 2))
            tasks, is_last = connection.recv()
            _harm_once(contestant.name, Path(contestant.reference), connection)
            for task in tasks:
                connection.send(
                    EpisodeOutcome(task.job_index, task.episode, float(task.episode), 10, "game_over", None)
                )


def _harm_once(way: str, marker: Path, connection: Connection) -> None:
    """Harm this process, if the marker does not say that it was done before."""
    if marker.exists():
        return
    marker.write_text(str(os.getpid()), encoding="ascii")
    match way:
        case "stopped":  # in the middle of a message of 100 bytes
            os.write(connection.fileno(), struct.pack("!i", 100) + b"ab")
            os.kill(os.getpid(), signal.SIGSTOP)
        case "cut":
            os.write(connection.fileno(), struct.pack("!i", 100) + b"ab")
            os._exit(5)
        case "holding":  # a child that left the group, and of which Python does not know, keeps the connection open
            actions = [(os.POSIX_SPAWN_DUP2, connection.fileno(), connection.fileno())]  # and lets it be inherited
            child = os.posix_spawn("/bin/sleep", ["sleep", "3600"], {}, file_actions=actions, setsid=True)
            marker.with_suffix(".child").write_text(str(child), encoding="ascii")
            os._exit(6)
