"""Supplying episodes with the agent's own play, where their encoder operations need it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.rollout import Handout, TaskSource
from wsabench.types import EncoderOperation, OwnPlay, OwnPlayOperation


def needs_own_play(operations: Iterable[EncoderOperation]) -> bool:
    """Whether an operation needs embeddings of the agent's own play."""
    return any(isinstance(one, OwnPlayOperation) for one in operations)


def with_own_play(operations: Sequence[EncoderOperation], own: OwnPlay) -> tuple[EncoderOperation, ...]:
    """Return the operations, with the agent's own play in those that need it."""
    return tuple(one.with_own_play(own) if isinstance(one, OwnPlayOperation) else one for one in operations)


def supplied(source: TaskSource, contestant: Contestant) -> TaskSource:
    """Return a source of the same episodes with the contestant's own play, where it has any.

    Raises:
        StorageError: Its file is missing, damaged, or another than it was.
    """
    return source if contestant.own_play is None else _Supplied(source, contestant.own_play.load())


class _Supplied:
    """A source whose episodes have the agent's own play."""

    def __init__(self, source: TaskSource, own: OwnPlay) -> None:
        self._source, self._own = source, own

    def take(self, count: int) -> Handout:
        """Return the source's next episodes."""
        tasks, is_last = self._source.take(count)
        ready = [task._replace(encoder_operations=with_own_play(task.encoder_operations, self._own)) for task in tasks]
        return Handout(ready, is_last)
