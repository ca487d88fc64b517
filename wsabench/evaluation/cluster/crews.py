"""What an executor is: it hires workers that play, wherever they are; who plays what is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from wsabench.errors import SpecError, unknown_name

EXECUTORS = ("local", "ray")
"""`local`: processes of this machine; `ray`: workers on the nodes of a Ray cluster."""


class Line(Protocol):
    """A connection to a worker: `multiprocessing.connection.Connection` is one."""

    def send(self, obj: Any, /) -> None:
        """Send something.

        Raises:
            OSError: The worker is gone.
        """
        ...

    def recv(self) -> Any:
        """Wait for what the worker sends next.

        Raises:
            EOFError: The worker is gone, and all that it sent was received.
        """
        ...


class Hired(Protocol):
    """A worker that was started: `wsabench.processes.Worker` is one."""

    @property
    def number(self) -> int:
        """What tells it from the others."""
        ...

    @property
    def connection(self) -> Line:
        """The way to talk to it."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether it is known to be gone."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether it began; no while it waits for a place."""
        ...

    @property
    def is_to_blame(self) -> bool:
        """Whether its end may be the doing of what it played; no where its node went."""
        ...

    def how_it_ended(self) -> str:
        """Say how it ended, as the end of a sentence."""
        ...


class AnyCrew(Protocol):
    """Workers that are started one by one and ended together: `wsabench.processes.Crew` is one."""

    def __enter__(self) -> AnyCrew:
        """Begin."""
        ...

    def __exit__(self, *_: object) -> None:
        """End all that are left."""
        ...

    @property
    def patience(self) -> float:
        """Seconds for which nobody may be there because there is no place for anybody."""
        ...

    def start(self, number: int) -> Hired | None:
        """Start a worker; None where there is no place for one now."""
        ...

    def kill(self, worker: Any) -> None:
        """End a worker at once; what it had sent can still be received."""
        ...

    def end(self, worker: Any) -> None:
        """End a worker, if it is still there, and forget it."""
        ...


Hire = Callable[[bool], AnyCrew]
"""Makes a crew, told whether every step is to be recorded."""


class Workforce(NamedTuple):
    """Who plays, and how long one may hang."""

    number: int
    """Number of workers."""
    timeout: float
    """Seconds without a step after which a worker is taken to hang; 0 for none."""
    hire: Hire | None = None
    """Makes the crew of another executor; None: processes of this machine."""


def check_executor(executor: str, address: str | None, workers: int | None) -> None:
    """Refuse an executor that does not exist or cannot be had, before anything is played.

    Args:
        executor: One of `EXECUTORS`.
        address: Address of a Ray cluster; None for none.
        workers: Number of workers that the user asked for; None for none.

    Raises:
        SpecError: Ray is missing, or options do not go together.
        UnknownNameError: There is no such executor.
    """
    if executor not in EXECUTORS:
        raise unknown_name("executor", executor, EXECUTORS)
    if executor == "local":
        if address is not None:
            raise SpecError(
                f"The address {address!r} is given without an executor. Add --executor ray, or leave it out."
            )
        return
    if workers == 0:
        raise SpecError("--workers 0 plays in this process alone, and --executor ray elsewhere. Give one of them.")
    if address is not None and address.startswith("ray://"):
        raise SpecError(f"The address is {address!r}. Allowed: HOST:PORT of a cluster that this machine belongs to.")
    try:
        import ray  # noqa: F401 - whether it is there
    except ImportError as error:
        raise SpecError("--executor ray takes Ray. Install it: pip install 'wsabench[ray]'.") from error
