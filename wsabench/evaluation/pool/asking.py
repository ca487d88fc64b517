"""Agents whose own code might end or stop its process are loaded, and asked whether they are repeatable, in another.

So a run learns what such an agent can do, and this process never imports its code: a module that ends its process, or
hangs, when it is imported is told of with its name.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NoReturn, TypeVar

from wsabench.errors import WorkerError
from wsabench.evaluation.contestants import Contestant, Loading, draws_of
from wsabench.evaluation.pool.watchdog import LOADING, Watchdog
from wsabench.processes import Crew, Failure, Reporting, Worker, serve
from wsabench.protocol import Protocol
from wsabench.types import Abilities, DeclaredPolicy

Answer = TypeVar("Answer")


class Silence(Exception):
    """A process hangs; the message says for how long, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class _Doing:
    """What the process begins now, as in `importing 'mine'`."""

    words: str
    cure: str
    """What to do where it does not come to an end."""


@dataclass(frozen=True, slots=True)
class _Factory:
    """A factory, of which is asked whether it takes train seeds."""

    reference: str


@dataclass(frozen=True, slots=True)
class _Ask:
    """The agent that was loaded last is to be asked twice for the same."""

    game: str
    protocol: Protocol


_Order = Loading | _Factory | _Ask


class AskingRoom:
    """A process in which agents with code of their own are loaded and asked; it starts with the first of them."""

    def __init__(self, seconds: float, note: Callable[[str], None]) -> None:
        """Prepare; nothing is started.

        Args:
            seconds: After so many without an answer an agent is taken to hang, `LOADING` times as many for its loading,
                0 for never.
            note: Gets a sentence about each that hangs when it is asked.
        """
        self._seconds, self._note = seconds, note
        self._open = ExitStack()
        self._crew: Crew | None = None
        self._worker: Worker | None = None

    def __enter__(self) -> AskingRoom:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._open.close()

    def takes_seeds(self, who: str, factory: str) -> bool:
        """Whether `package.module:factory` makes an agent of any train seed.

        Args:
            who: The agent and its game, for messages.
            factory: Where it stands.

        Raises:
            WorkerError: Importing it ends the process, or hangs.
            WsabenchError: It cannot be imported.
        """
        return self._loaded(who, _Factory(factory), bool)

    def abilities(self, who: str, loading: Loading) -> Abilities:
        """Load an agent; return what it can do.

        Args:
            who: The agent and its game, for messages.
            loading: Whom to load.

        Raises:
            WorkerError: That ends the process, or hangs.
            WsabenchError: It cannot be loaded.
        """
        return self._loaded(who, loading, Abilities)

    def asked(self, contestant: Contestant) -> Contestant:
        """Ask the agent that was loaded last twice for the same; return it with what that has told.

        Args:
            contestant: The agent. One that hangs is ended and marked as `hung`; one whose process ends, or that fails,
                is not marked: playing tells that with the place.
        """
        answer: object = None
        try:
            answer = self._heard(_Ask(contestant.game, contestant.protocol), self._seconds, "gave no answer")
        except Silence as silence:
            contestant = replace(contestant, hung=True)
            self._note(
                f"{contestant.id.describe()} {silence} (--worker-timeout {self._seconds:g}) and was ended: before it "
                "plays it is shown the same two steps twice. It plays all the same, and is given up when it hangs "
                "again."
            )
        except (EOFError, OSError):
            pass
        if answer is None:
            self._end()
        return replace(contestant, draws=answer is True)

    def _loaded(self, who: str, order: Loading | _Factory, kind: type[Answer]) -> Answer:
        """Return what comes of loading, which the process does in several steps."""
        limit = self._seconds * LOADING
        doing = _Doing("loading it", "")
        try:
            answer = self._heard(order, limit, "")
            while isinstance(answer, _Doing):
                doing = answer
                answer = self._heard(None, limit, "")
        except Silence as silence:
            self._end()
            raise WorkerError(
                f"{who}: {doing.words} took more than {limit:g} s ({LOADING} times --worker-timeout) and was ended. "
                f"{doing.cure}, or leave it more time."
            ) from silence
        except (EOFError, OSError) as error:
            how = "" if self._worker is None else self._worker.how_it_ended()
            self._end()
            raise WorkerError(f"{who}: {doing.words} ended its process, which {how}. {doing.cure}.") from error
        if isinstance(answer, kind):
            return answer
        if isinstance(answer, Failure):
            raise answer.to_error(f"The process in which {who} was loaded", "This is a fault of wsabench: report it.")
        raise WorkerError(f"{who}: the process in which it was loaded answered {answer!r}.")  # its code writes there

    def _heard(self, order: _Order | None, seconds: float, otherwise: str) -> object:
        """Send an order, if there is one, and return the next message."""
        if self._crew is None:
            self._crew = self._open.enter_context(Crew(_answer, (), "wsabench-ask"))
        self._worker = self._worker or self._crew.start(0)
        if order is not None:
            self._worker.connection.send(order)
        return heard(self._worker, seconds, otherwise)

    def _end(self) -> None:
        if self._crew is not None and self._worker is not None:
            self._crew.end(self._worker)
        self._worker = None


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
    """Answer for the agents that the parent sends; the entry point of the process."""
    serve(connection, partial(_answer_all, connection))


def _answer_all(connection: Connection) -> NoReturn:
    """Do what the parent orders; what fails is its answer."""
    policy: DeclaredPolicy | None = None

    def done(order: _Order) -> Any:
        nonlocal policy
        match order:
            case _Ask(game, protocol):
                return policy is not None and draws_of(policy, game, protocol)
            case _Factory(reference):
                from wsabench import agents

                return agents.takes_train_seed(_imported(connection, reference))
            case Loading():
                policy = None  # two would take twice the memory
                policy = _loaded(connection, order)
                return policy.abilities

    while True:
        order: _Order = connection.recv()
        answer: Any = None
        with Reporting() as told:
            answer = done(order)
        connection.send(answer if told.failure is None else told.failure)


def _loaded(connection: Connection, loading: Loading) -> DeclaredPolicy:
    """Load an agent, and say before what is done."""
    if (code := loading.code) is not None:
        _imported(connection, code)
    connection.send(_Doing(f"loading {str(loading.reference)!r}", "Correct the agent, or leave it out"))
    return loading.policy()


def _imported(connection: Connection, reference: str) -> Any:
    """Import what `module:attribute` names, and say before what is done."""
    from wsabench import agents

    module = reference.partition(":")[0]
    shows = f"import faulthandler; faulthandler.enable(); faulthandler.dump_traceback_later(10); import {module}"
    cure = f"Correct the module (`python -c '{shows}'` shows where)"
    connection.send(_Doing(f"importing {module!r}", cure))
    with agents.torch_as_shipped():
        return agents.import_attribute(reference)
