"""Agents whose own code might end or stop its process are asked whether they are repeatable in one of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection

from wsabench.evaluation.contestants import Contestant, draws_of
from wsabench.processes import Crew, Worker, serve


def asked_apart(contestants: Sequence[Contestant], seconds: float) -> tuple[Contestant, ...]:
    """Return the contestants, those that run code of their own with what asking them twice has told.

    Args:
        contestants: All of a run.
        seconds: After so many without an answer an agent is taken to hang, 0 for never. It is not marked then, nor
            where its process ends: playing tells that with the place.
    """
    waiting = [index for index, one in enumerate(contestants) if one.runs_own_code]
    found = list(contestants)
    if not waiting:
        return tuple(found)
    with Crew(_answer, (), "wsabench-ask") as crew:
        worker: Worker | None = None
        for index in waiting:
            worker = worker or crew.start(0)
            answer = _answer_of(worker, found[index], seconds or None)
            if answer is None:
                crew.end(worker)
                worker = None
            else:
                found[index] = replace(found[index], draws=answer)
    return tuple(found)


def _answer_of(worker: Worker, contestant: Contestant, seconds: float | None) -> bool | None:
    """Return whether a contestant draws random numbers of its own; None where its process hangs, fails or ends."""
    try:
        worker.connection.send(contestant)
        answer = worker.connection.recv() if worker.connection.poll(seconds) else None
    except (EOFError, OSError):
        return None
    return answer if isinstance(answer, bool) else None


def _answer(connection: Connection) -> None:
    """Answer for the contestants that the parent sends; the entry point of the process."""
    serve(connection, partial(_answer_all, connection))


def _answer_all(connection: Connection) -> None:
    while True:
        contestant: Contestant = connection.recv()
        policy = contestant.load(contestant.protocol.action_selection)
        connection.send(draws_of(policy, contestant.game, contestant.protocol))
