"""What runs in a worker process: a group of lanes that obeys messages from a socket and writes to shared memory.

Started as `python -m wsabench.emulator.worker SOCKET_FD MEMORY_FD`; messages and answers are lines of JSON, but a step,
which comes thousands of times per second, is an empty line, answered by an empty line. It ends when the socket closes,
so it never outlives the process that started it.
"""

from __future__ import annotations

import json
import mmap
import socket
import sys
from collections.abc import Sequence
from typing import Any

import cv2
from gymnasium.vector import AutoresetMode

from wsabench.emulator.group import LaneGroup, lay_out
from wsabench.errors import WsabenchError
from wsabench.perturb import CompiledPerturbation, compile_perturbation
from wsabench.processes import Reporting, ignore_interrupts
from wsabench.protocol import Protocol

STEP = b"\n"
"""The message to play one step."""
DONE = b"\n"
"""The answer when there is nothing to say."""


def main(arguments: Sequence[str]) -> None:
    """Serve until the socket closes.

    Args:
        arguments: File descriptors of the socket and of the shared memory.
    """
    ignore_interrupts()
    cv2.setNumThreads(1)
    socket_fd, memory_fd = (int(argument) for argument in arguments)
    with socket.socket(fileno=socket_fd) as connection, connection.makefile("rwb") as stream:
        group: LaneGroup | None = None
        told = Reporting()
        for line in stream:
            answer: dict[str, Any] = {}
            with told:
                message = {} if line == STEP else json.loads(line)
                if line == STEP and group is not None:
                    group.step()
                elif "start" in message:
                    group = _start(message["start"], memory_fd)
                    answer["num_actions"] = group.num_actions
                elif group is not None and "reset" in message:
                    _reset(group, message["reset"])
            if told.failure is not None:
                answer["failure"] = told.failure._asdict()
            stream.write(json.dumps(answer).encode() + b"\n" if answer else DONE)
            stream.flush()


def _start(order: dict[str, Any], memory_fd: int) -> LaneGroup:
    """Load the games of this worker's lanes."""
    protocol = Protocol.from_dict(order["protocol"])
    memory = mmap.mmap(memory_fd, 0)
    arrays = lay_out(order["num_lanes"], protocol, memory, order["inputs"]).rows(order["first"], order["stop"])
    perturbations = [_compiled(*item) for item in order["perturbations"]]
    return LaneGroup(perturbations, protocol, order["seeds"], arrays, AutoresetMode(order["autoreset_mode"]))


def _reset(group: LaneGroup, order: dict[str, Any]) -> None:
    """Reset some lanes."""
    perturbations = [None if item is None else _compiled(*item) for item in order["perturbations"]]
    group.reset(order["rows"], order["seeds"], perturbations)


def _compiled(name: str, content_hash: str, game: str) -> CompiledPerturbation:
    """Compile a perturbation, and make sure it is the one that the parent process meant."""
    compiled = compile_perturbation(name, game)
    if compiled.content_hash != content_hash:
        raise WsabenchError(
            f"The perturbation {name!r} means something else in the worker process: its catalogue file changed while "
            "the program ran. Start the program again."
        )
    return compiled


if __name__ == "__main__":
    main(sys.argv[1:])
