"""Worker processes that play the main job of `wsabench bench run`, or its parts alone, for a while when told."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from wsabench.errors import WorkerError
from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.rollout import NUM_LANES, EpisodeLanes, EpisodeTask, Handout, play
from wsabench.evaluation.timing import TimedLanes, TimedPolicy, Timer
from wsabench.processes import Failure, Worker, serve, single_thread
from wsabench.seeding import evaluation_seed, generator
from wsabench.types import DeclaredPolicy, LaneBatch

PLAY, LANES, NETWORK = "main job", "lanes alone", "network alone"
_ADVICE = "Start `wsabench run` to see it with its details."


class Order(NamedTuple):
    """What a worker is told to do."""

    work: str
    """`PLAY`, `LANES` or `NETWORK`."""
    seconds: float


class Turn(NamedTuple):
    """What a worker did."""

    steps: int
    """Steps of single lanes; for `NETWORK` observations."""
    seconds: float
    share: float
    """Share of the time that was spent in lanes or policy, 0 to 1."""


class Crew:
    """Workers that take their turns all at once."""

    def __init__(self, workers: Sequence[Worker], contestant: Contestant, cells: Sequence[str]) -> None:
        """Tell workers what they play, and wait until each has loaded it.

        Raises:
            WorkerError: One failed.
        """
        self._workers = workers
        self.turns: list[list[Turn]] = [[] for _ in workers]
        """The turns of `PLAY`, by worker."""
        for worker in workers:
            worker.connection.send((contestant, tuple(cells), worker.number, len(workers)))
        self._replies()

    def measure(self, work: str, seconds: float) -> float:
        """Let all workers do a piece of work; return the sum of their steps per second."""
        for worker in self._workers:
            worker.connection.send(Order(work, seconds))
        replies = self._replies()
        if work == PLAY:
            for turns, reply in zip(self.turns, replies, strict=True):
                turns.append(reply)
        return sum(reply.steps / reply.seconds for reply in replies)

    def dismiss(self) -> None:
        """Let the workers end."""
        for worker in self._workers:
            worker.connection.send(None)

    def _replies(self) -> list[Turn]:
        return [self._reply(worker) for worker in self._workers]

    @staticmethod
    def _reply(worker: Worker) -> Turn:
        try:
            reply: Turn | Failure = worker.connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerError(f"Worker process {worker.number} {worker.how_it_ended()}. {_ADVICE}") from error
        if isinstance(reply, Failure):
            raise reply.to_error(f"Worker process {worker.number}", _ADVICE)
        return reply


def sit(connection: Connection) -> None:
    """Do what the parent says until it says no more; the entry point of a worker process."""
    serve(connection, partial(obey, connection))


def obey(connection: Connection, num_lanes: int = NUM_LANES) -> None:
    """Load what the parent names, then do what it orders until it orders nothing more.

    Args:
        connection: To the parent: contestant, cells, this worker's number and how many there are; then orders.
        num_lanes: Lanes that are played at once.
    """
    contestant, cells, number, num_workers = connection.recv()
    policy = contestant.load(contestant.protocol.action_selection)
    timer = Timer()
    lanes = _lanes(contestant, num_lanes)
    with single_thread():
        player = _Player(connection, policy, _Bare(_lanes(contestant, num_lanes), cells), lanes, timer)
        source = EndlessTasks(contestant.game, cells, number, num_workers)
        with suppress(_Over):
            play(TimedPolicy(policy, timer), TimedLanes(lanes, timer), source, lambda _: None, player.turn)


class EndlessTasks:
    """Episodes without end, the cells in turn; workers share them out."""

    def __init__(self, game: str, cells: Sequence[str], number: int, num_workers: int) -> None:
        """Begin at the first.

        Args:
            game: The game.
            cells: Perturbations.
            number: The worker's number, from 0.
            num_workers: How many there are.
        """
        self._game, self._cells = game, cells
        self._places = itertools.count(number, num_workers)

    def take(self, count: int) -> Handout:
        """Return the next ones."""
        return Handout([self._task(next(self._places)) for _ in range(count)], is_last=False)

    def _task(self, place: int) -> EpisodeTask:
        # All cells of an episode before the next episode: also with two workers each has all cells.
        episode, cell = divmod(place, len(self._cells))
        seed = evaluation_seed(self._game, episode)
        return EpisodeTask(place, episode, seed, self._cells[cell], ())


class _Over(Exception):
    """Ends the play."""


class _Player:
    """Stops the play when a turn is over, and does what is ordered until it is the play's turn again."""

    def __init__(
        self, connection: Connection, policy: DeclaredPolicy, bare: _Bare, lanes: EpisodeLanes, timer: Timer
    ) -> None:
        self._connection, self._policy, self._bare = connection, policy, bare
        self._lanes, self._timer = lanes, timer
        self._begun = 0.0
        self._seconds = -1.0
        self._warm_turns = 3

    def turn(self, _: int) -> None:
        """Hear that all lanes made a step."""
        passed = time.perf_counter() - self._begun
        if self._warm_turns:
            self._warm_turns -= 1
            return
        if passed < self._seconds:
            return
        self._connection.send(Turn(self._timer.steps, passed, (self._timer.lanes + self._timer.network) / passed))
        self._obey()

    def _obey(self) -> None:
        """Do what is ordered; return when it is to play on."""
        while True:
            order: Order | None = self._connection.recv()
            if order is None:
                raise _Over
            if order.work == PLAY:
                self._timer.restart()
                self._begun, self._seconds = time.perf_counter(), order.seconds
                return
            if order.work == LANES:
                self._connection.send(self._bare.play(order.seconds))
            else:
                self._connection.send(self._forward(order.seconds))

    def _forward(self, seconds: float) -> Turn:
        """Let the policy choose in the lanes as they stand, again and again."""
        observations = self._lanes.observations.copy()
        batch = as_they_stand(self._lanes)
        begun, count = time.perf_counter(), 0
        while True:
            self._policy.act(observations, batch)
            count += len(observations)
            passed = time.perf_counter() - begun
            if passed >= seconds:
                return Turn(count, passed, 1.0)


class _Bare:
    """Lanes without a network: random actions, all cells alike, and the starts of episodes not timed."""

    def __init__(self, lanes: EpisodeLanes, cells: Sequence[str]) -> None:
        self._lanes = lanes
        self._tasks = EndlessTasks(lanes.game, cells, 0, 1)
        self._actions = generator(0, "benchmark")
        self._is_started = False

    def play(self, seconds: float) -> Turn:
        """Step all lanes for so many seconds."""
        lanes, timed, count = self._lanes, 0.0, 0
        if not self._is_started:
            self._is_started = True
            for row in range(lanes.num_lanes):
                self._start(row)
        while timed < seconds:
            ended: list[int] = []
            actions = self._actions.integers(lanes.num_actions, size=lanes.num_lanes).tolist()
            begun = time.perf_counter()
            for row, action in enumerate(actions):
                if lanes.step(row, action) is not None:
                    ended.append(row)
            timed += time.perf_counter() - begun
            count += lanes.num_lanes
            for row in ended:
                self._start(row)
        return Turn(count, timed, 1.0)

    def _start(self, row: int) -> None:
        task = self._tasks.take(1).tasks[0]
        self._lanes.start(row, task.episode_seed, task.perturbation)


def _lanes(contestant: Contestant, num_lanes: int) -> EpisodeLanes:
    return EpisodeLanes(contestant.game, contestant.protocol, num_lanes, contestant.abilities.inputs)


def as_they_stand(lanes: EpisodeLanes) -> LaneBatch:
    """Return what a policy is told about lanes in the middle of episodes."""
    count = lanes.num_lanes
    return LaneBatch(
        ids=np.arange(count, dtype=np.int64),
        generators=tuple(generator(0, "policy", row) for row in range(count)),
        episode_starts=np.zeros(count, bool),
        inputs={name: array.copy() for name, array in lanes.inputs.items()},
        encoder_operations=((),) * count,
        encoder_generators=(None,) * count,
        game=lanes.game,
    )
