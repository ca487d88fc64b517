"""Agents whose own code might end or stop its process are asked whether they are repeatable in one of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection

from wsabench.evaluation.contestants import Contestant, draws_of
from wsabench.evaluation.pool.watchdog import LOADING, Watchdog
from wsabench.processes import Crew, Worker, serve

_LOADED = "loaded"


class Silence(Exception):
    """A process hangs; the message says for how long, as the end of a sentence."""


def asked_apart(
    contestants: Sequence[Contestant], seconds: float, note: Callable[[str], None]
) -> tuple[Contestant, ...]:
    """Return the contestants, those that run code of their own with what asking them twice has told.

    Args:
        contestants: All of a run.
        seconds: After so many without an answer an agent is taken to hang, `LOADING` times as many for its loading, 0
            for never. It is ended and marked as `hung`. One whose process ends is not marked: playing tells that with
            the place.
        note: Gets a sentence about each that hangs.
    """
    waiting = [index for index, one in enumerate(contestants) if one.runs_own_code]
    found = list(contestants)
    if not waiting:
        return tuple(found)
    with Crew(_answer, (), "wsabench-ask") as crew:
        worker: Worker | None = None
        for index in waiting:
            one = found[index]
            worker = worker or crew.start(0)
            try:
                answer = _answer_of(worker, one, seconds)
            except Silence as silence:
                answer, found[index] = None, replace(one, hung=True)
                note(
                    f"{one.id.describe()} {silence} (--worker-timeout {seconds:g}) and was ended: before it plays it "
                    "is shown the same two steps twice. It plays all the same, and is given up when it hangs again."
                )
            if answer is None:
                crew.end(worker)
                worker = None
            else:
                found[index] = replace(one, draws=answer)
    return tuple(found)


def watch_here(note: Callable[[str], None], seconds: float, who: str) -> Watchdog:
    """Return what tells that an agent is not ready for long, which is loaded or asked in this process.

    Args:
        note: Gets the sentence.
        seconds: After so many; 0 for never.
        who: The agent and its game.
    """

    def tell(passed: float) -> None:
        note(
            f"{who} is not ready after {passed:g} s: it is loaded, and asked twice for the same, in this process, "
            "which cannot end it. Wait, or stop the run (Ctrl-C)."
        )

    return Watchdog(seconds, tell)


def _answer_of(worker: Worker, contestant: Contestant, seconds: float) -> bool | None:
    """Return whether a contestant draws random numbers of its own; None where its process fails or ends.

    Raises:
        Silence: It hangs; the message says when.
    """
    try:
        worker.connection.send(contestant)
        told = heard(worker, seconds * LOADING, "was not loaded")
        answer = heard(worker, seconds, "gave no answer") if told == _LOADED else told
    except (EOFError, OSError):
        return None
    return answer if isinstance(answer, bool) else None


def heard(worker: Worker, seconds: float, otherwise: str) -> object:
    """Return the next message of a process.

    Args:
        worker: The process.
        seconds: How long to wait for it; 0 for ever.
        otherwise: What is said of an agent from which none comes, as in `made no step`.

    Raises:
        EOFError: The process is gone.
        Silence: None comes.
    """
    if not worker.connection.poll(seconds or None):
        raise Silence(f"{otherwise} for {seconds:g} s")
    return worker.connection.recv()


def _answer(connection: Connection) -> None:
    """Answer for the contestants that the parent sends; the entry point of the process."""
    serve(connection, partial(_answer_all, connection))


def _answer_all(connection: Connection) -> None:
    while True:
        contestant: Contestant = connection.recv()
        policy = contestant.load(contestant.protocol.action_selection)
        connection.send(_LOADED)
        connection.send(draws_of(policy, contestant.game, contestant.protocol))
