"""A minute of play, to see how fast a run would be and how long its episodes are; nothing of it is kept."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from wsabench.errors import WorkerError
from wsabench.evaluation.contestants import Contestant
from wsabench.evaluation.own_play.collection import NUM_MOMENTS, Moments, one_round
from wsabench.evaluation.pool.watchdog import steps_watched
from wsabench.evaluation.pricing.answers import Operations, answer_seconds
from wsabench.evaluation.rollout import EpisodeLanes, EpisodeTask, Finish, TaskList, play
from wsabench.evaluation.timing import TimedPolicy, Timer
from wsabench.machine import most_memory
from wsabench.processes import Failure, Worker, serve, single_thread, started

_WARM_TURNS = 3
"""Turns that are not timed: the first ones compile and load."""
_SLOW_SECONDS = 1.0
"""Of a turn after which, when time is up, the first ones are not waited for: only the very first is not timed."""
_LEAST_SECONDS = 0.5
"""That an agent plays, however late it is."""
_SHARE_OF_ANSWERS = 0.12
"""Of a slice's time, to ask for answers to what a run asks for; half as much again for own play."""
_LEAST_SHARE = 0.4
"""Of the time of an average slice, for the smallest one."""
_PATIENCE_SECONDS = 8.0
"""How long after its time a worker process is waited for, at least."""
_SLOWER = 2.0
"""So many times as long as another train seed of an agent needed for what is left, it may need before it hangs."""
_MOST_TURNS = 14
"""That may be left when time is up: the first ones, one that is timed, and two times what `answer_seconds` asks."""
_MOST_PATIENCE_SECONDS = 120.0
"""The same where nothing has been measured yet of the agent that it plays, as on a machine that is very busy."""
_LATE = "did not get on in the time of a price"
_CURE = "Nobody can say how long its games take: leave it out, or start the run without --dry-run."


class Slice(NamedTuple):
    """What one agent plays in the sample."""

    contestant: int
    """The agent's place among the contestants of the plan."""
    who: Contestant
    tasks: tuple[EpisodeTask, ...]
    """Its episodes, in the order in which they are begun."""
    mixtures: tuple[tuple[Operations, ...], ...] = ()
    """What the run asks of the agent at some moments; empty where no cell changes encoders."""
    plays_for_itself: bool = False
    """Whether the run needs its own clean play."""


class Played(NamedTuple):
    """How far an episode of the sample came."""

    job_index: int
    episode: int
    steps: int
    is_ended: bool
    spans: tuple[int, ...] = ()
    """Steps of the lives that were lost, the last one of an episode that ended among them; a game without lives is one
    life."""
    start_lives: int = 1
    lives: int = 1
    """Lives to lose, the one that goes on included. Of an episode that ended: 0 where the game was over, above 0 where
    it was ended before."""

    @property
    def age(self) -> int:
        """Steps of the life that goes on."""
        return self.steps - sum(self.spans)


class Measured(NamedTuple):
    """What an agent's part of the sample says."""

    contestant: int
    load_seconds: float
    """Seconds to load the agent and start its first lanes."""
    turns: int
    """Forward passes that were timed."""
    turn_seconds: float
    """Seconds that they took, with all else that belongs to a turn."""
    lane_steps: int
    """Steps of single lanes in these turns."""
    lane_seconds: float
    """How many of `turn_seconds` passed inside the emulators."""
    run_seconds: float
    """Seconds by which a turn of the run is longer than one of the sample, for what it asks of the encoders."""
    own_seconds: float
    """The same for a turn of the agent's own clean play."""
    episodes: tuple[Played, ...]
    memory_bytes: int
    """Most memory of its process so far."""


class Sample(NamedTuple):
    """What was played."""

    measured: list[Measured]
    ready_seconds: float
    """Seconds that the first worker process took to be there."""
    silent: tuple[str, ...] = ()
    """Whoever did not get on in time; others of the same name did."""

    @property
    def complaint(self) -> str:
        """What is wrong with the price; nothing where all got on."""
        who = ", ".join(self.silent)
        return who and f"{who}: {_LATE}, which takes its games to be like those of others of its name. {_CURE}"


class _TimeIsUp(Exception):
    """Ends the play of a slice."""


def sample(
    orders: Sequence[Sequence[Slice]], until: float, *, here: bool, note: Callable[[str], None], timeout: float
) -> Sample:
    """Play slices of a run until a moment.

    Args:
        orders: What each worker process plays.
        until: When the sample must be over, by `time.time`.
        here: Whether this process plays them itself, as a run with one worker does.
        note: Gets a sentence where an agent hangs in this process.
        timeout: Seconds without a step after which an agent is taken to hang; 0 for never.

    Raises:
        WorkerError: An agent ends its process, or makes no step although its time is over.
        WsabenchError: An agent cannot be loaded or fails.
    """
    if here:
        measured: list[Measured] = []
        _play_all([one for order in orders for one in order], until, measured.append, note, timeout)
        return Sample(measured, 0.0)
    begin = time.time()
    with started(len(orders), _work, (), "wsabench-price") as workers:
        for worker, order in zip(workers, orders, strict=True):
            worker.connection.send((tuple(order), until))
        return _gathered(dict(zip(workers, orders, strict=True)), until, begin)


def _gathered(orders: Mapping[Worker, Sequence[Slice]], until: float, begin: float) -> Sample:
    """Return what workers send until they are done or late."""
    measured: list[Measured] = []
    ready = 0.0
    left = {worker.connection: (worker, deque(order)) for worker, order in orders.items()}
    while left:
        patience = max((_patience(orders, one, measured) for one in _playing(left)), default=_PATIENCE_SECONDS)
        seconds = until + patience - time.time()
        ready_now = wait(list(left), max(seconds, 0.0))
        if not ready_now:
            break
        for connection in [one for one in left if one in ready_now]:
            worker, to_play = left[connection]
            try:
                message: Measured | Failure | str | None = connection.recv()
            except (EOFError, OSError) as error:
                if to_play:
                    raise WorkerError(f"{_named(to_play[0])}: its process {worker.how_it_ended()}. {_CURE}") from error
                message = None
            match message:
                case Failure():
                    raise message.to_error("A worker process", "Start `wsabench run` to see it with its details.")
                case Measured():
                    measured.append(message)
                    to_play.popleft()
                case str():
                    ready = ready or time.time() - begin
                case _:
                    del left[connection]
    late = _playing(left) if ready else []
    names = tuple(_named(one) for one in late)
    if not all(_alike(orders, one, measured) for one in late):
        raise WorkerError(f"{', '.join(names)}: {_LATE}. {_CURE}")
    return Sample(measured, ready, names)


def _playing(left: Mapping[Connection, tuple[Worker, Sequence[Slice]]]) -> list[Slice]:
    """Return what the workers play that have not told of all."""
    return [to_play[0] for _, to_play in left.values() if to_play]


def _alike(orders: Mapping[Worker, Sequence[Slice]], late: Slice, measured: Sequence[Measured]) -> list[Measured]:
    """Return what tells the speed of an agent: what was measured of those of its name."""
    names = {one.contestant: one.who.name for order in orders.values() for one in order}
    return [one for one in measured if one.turns and names[one.contestant] == late.who.name]


def _patience(orders: Mapping[Worker, Sequence[Slice]], late: Slice, measured: Sequence[Measured]) -> float:
    """Return for how many seconds after its time an agent is waited for."""
    alike = _alike(orders, late, measured)
    if not alike:
        return _MOST_PATIENCE_SECONDS
    needed = max(one.load_seconds + _MOST_TURNS * one.turn_seconds / one.turns for one in alike)
    return min(max(_SLOWER * needed, _PATIENCE_SECONDS), _MOST_PATIENCE_SECONDS)


def _named(one: Slice) -> str:
    """Return who plays a slice."""
    return one.who.id.describe()


def _work(connection: Connection) -> None:
    """Play the slices that the parent sends; the entry point of a worker process."""
    serve(connection, partial(_serve, connection))


def _serve(connection: Connection) -> None:
    order, until = connection.recv()
    connection.send("ready")
    _play_all(order, until, connection.send, lambda _: None, 0.0)
    connection.send(None)


def _play_all(
    order: Sequence[Slice],
    until: float,
    tell: Callable[[Measured], None],
    note: Callable[[str], None],
    timeout: float,
) -> None:
    """Play one slice after the other, each in its share of the time that is left; the smallest first.

    A share is as large as the slice's part of the run, because what is not known of it counts as much; one that ends
    early leaves its time to those after it.
    """
    ordered = sorted(order, key=lambda one: len(one.tasks))
    least = _LEAST_SHARE * sum(len(one.tasks) for one in ordered) / max(len(ordered), 1)
    weights = [max(len(one.tasks), least) for one in ordered]
    for place, one in enumerate(ordered):
        now = time.time()
        if now >= until and place:
            return
        tell(_play(one, now + (until - now) * weights[place] / sum(weights[place:]), note, timeout))


def _play(one: Slice, until: float, note: Callable[[str], None], timeout: float) -> Measured:
    begin, timer = time.time(), Timer()
    lanes = _TimedLanes(one.who, one.tasks)
    asking = bool(one.mixtures) * _SHARE_OF_ANSWERS * (1.5 if one.plays_for_itself else 1.0)
    watch = _Watch(lanes, timer, until - asking * (until - begin))
    with single_thread():
        with steps_watched(one.who, note, timeout, watch.turn) as turn:
            policy = one.who.load(one.who.protocol.action_selection)
            with suppress(_TimeIsUp):
                play(TimedPolicy(policy, timer), lanes, TaskList(one.tasks), lambda _: None, turn, name=one.who.name)
        now, usual = time.time(), timer.network / max(timer.turns, 1)
        own = [[(watcher,) for watcher in one_round(Moments(NUM_MOMENTS))]] * 3 if one.plays_for_itself else []
        own_answer = answer_seconds(policy, lanes, own, until)
        answer = answer_seconds(policy, lanes, one.mixtures, max(until, now + asking * (now - begin)))
    return Measured(
        contestant=one.contestant,
        load_seconds=watch.begun - begin,
        turns=watch.turns,
        turn_seconds=watch.seconds,
        lane_steps=watch.lane_steps,
        lane_seconds=watch.lane_seconds,
        run_seconds=0.0 if answer is None else answer - usual,
        own_seconds=0.0 if own_answer is None else own_answer - usual,
        episodes=(*lanes.ended, *lanes.going()),
        memory_bytes=most_memory(),
    )


class _Watch:
    """Times turns, and ends the play when time is up."""

    def __init__(self, lanes: _TimedLanes, timer: Timer, until: float) -> None:
        self._lanes, self._timer, self._until = lanes, timer, until
        self._seen = 0
        self.begun = self._last = time.time()
        self.turns = self.lane_steps = 0
        self.seconds = self.lane_seconds = 0.0

    def turn(self, num_lanes: int) -> None:
        """Note a turn in which so many lanes played."""
        now, self._seen = time.time(), self._seen + 1
        if self._seen == 1:
            self.begun = now
        is_slow_end = self._seen > 1 and now >= self._until and now - self._last > _SLOW_SECONDS
        if self._seen > _WARM_TURNS or is_slow_end:
            self.turns += 1
            self.lane_steps += num_lanes
            self.seconds += now - self._last
            self.lane_seconds += self._lanes.seconds
        else:
            self._timer.restart()
        self._lanes.seconds, self._last = 0.0, now
        if now >= self._until and self.turns and now - self.begun >= _LEAST_SECONDS:
            raise _TimeIsUp


@dataclass(slots=True)
class _Going:
    """What is known of the episode in a lane."""

    task: EpisodeTask
    start_lives: int
    lives: int
    spans: list[int] = field(default_factory=list)

    def note(self, lives: int, length: int) -> None:
        """Note the lives after a step."""
        if lives < self.lives:
            self.spans.append(length - sum(self.spans))
        self.lives = lives

    def played(self, length: int) -> Played:
        """Return how far it came."""
        return Played(*self.task[:2], length, False, tuple(self.spans), max(self.start_lives, 1), max(self.lives, 1))

    def ended(self, length: int, lives: int) -> Played:
        """Return how it ended; the last life ends with it, if it had not before (as in Q*bert)."""
        is_over = self.start_lives > 0 and self.lives == 0
        spans = tuple(self.spans) if is_over else (*self.spans, length - sum(self.spans))
        return Played(*self.task[:2], length, True, spans, max(self.start_lives, 1), lives)


class _TimedLanes(EpisodeLanes):
    """Lanes that note how long their emulators take and how far each episode came, life by life."""

    def __init__(self, who: Contestant, tasks: Sequence[EpisodeTask]) -> None:
        super().__init__(who.game, who.protocol, inputs=who.abilities.inputs)
        self._by_start = {(task.episode_seed, task.perturbation): task for task in tasks}
        self._now: dict[int, _Going] = {}
        self.ended: list[Played] = []
        self.seconds = 0.0

    def start(self, row: int, episode_seed: int, perturbation: str, noops: int | None = None) -> None:
        """Start an episode in one lane."""
        super().start(row, episode_seed, perturbation, noops)
        lives = self.lane(row).lives
        self._now[row] = _Going(self._by_start[episode_seed, perturbation], lives, lives)

    def step(self, row: int, action: int) -> Finish | None:
        """Play one step in one lane."""
        begin = time.perf_counter()
        finish = super().step(row, action)
        self.seconds += time.perf_counter() - begin
        lane = self.lane(row)
        if finish is None:
            self._now[row].note(lane.lives, lane.episode_length)
        else:
            going = self._now.pop(row)
            left = 0 if finish.end == "game_over" else max(going.lives, 1)
            self.ended.append(going.ended(finish.length, left))
        return finish

    def going(self) -> list[Played]:
        """Return the episodes that go on."""
        return [going.played(self.lane(row).episode_length) for row, going in self._now.items()]
