"""Playing episodes of one agent: lanes with different perturbations and episodes share each forward pass."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wsabench.agents.asking import Moment
from wsabench.agents.foreign import guarded
from wsabench.errors import ShapeError, SpecError
from wsabench.evaluation.timing import TimedLanes, TimedPolicy, timer_of_this_process, write_times
from wsabench.hashing import bytes_hash
from wsabench.protocol import Protocol
from wsabench.results.records import ACTION_DIGITS, CONTEXT_STEPS, EpisodeOutcome, EpisodeSteps, attention_sums
from wsabench.seeding import generator
from wsabench.stats.context_effect import ContextEffect, EvenSample
from wsabench.types import (
    INPUT_SHAPES,
    Abilities,
    Actions,
    Comparisons,
    Decision,
    DeclaredPolicy,
    EncoderOperation,
    EpisodeEnd,
    Inputs,
    LaneBatch,
    Observations,
)

if TYPE_CHECKING:
    from wsabench.emulator import Lane
    from wsabench.perturb import CompiledPerturbation


class EpisodeTask(NamedTuple):
    """One episode to be played."""

    job_index: int
    """Which job it belongs to: its place in the plan, or any number that tells tasks apart."""
    episode: int
    """The episode's number, from 0."""
    episode_seed: int
    perturbation: str
    """Canonical name with severity."""
    encoder_operations: tuple[EncoderOperation, ...]
    noops: int | None = None
    """No-op frames at the start; None: drawn by the episode seed."""


class Handout(NamedTuple):
    """What a rollout gets when it asks for episodes."""

    tasks: Sequence[EpisodeTask]
    """At most as many as were asked for."""
    is_last: bool
    """Whether there will be no more episodes of this agent."""


class Lanes(typing.Protocol):
    """Where episodes are played: `EpisodeLanes`, or whatever else has their methods."""

    game: str
    """The id of the game that all lanes play."""
    num_lanes: int
    num_actions: int
    observations: Observations
    """The newest observation of each lane: uint8, by default of shape (num_lanes, 4, 84, 84)."""

    @property
    def inputs(self) -> Inputs:
        """The further inputs that lanes supply, with one row per lane; read only for policies that require some."""
        ...

    def start(self, row: int, episode_seed: int, perturbation: str, noops: int | None = None) -> None:
        """Start an episode in one lane, with so many no-op frames; None: with as many as the seed draws."""
        ...

    def step(self, row: int, action: int) -> Finish | None:
        """Play one step in one lane; return how the episode ended, if it did."""
        ...

    def episode_return(self, row: int) -> float:
        """Return the unclipped return of a lane's episode so far."""
        ...

    def restarted(self, row: int) -> bool:
        """Whether the lane's last step began a new life whose stack starts anew: for the agent, another episode."""
        ...


class TaskSource(typing.Protocol):
    """Where a rollout takes its episodes from."""

    def take(self, count: int) -> Handout:
        """Return up to `count` episodes of one agent.

        A handout that is empty and not the last one is allowed only while some lane of the rollout still plays.
        """
        ...


class TaskList:
    """A source of listed episodes."""

    def __init__(self, tasks: Sequence[EpisodeTask]) -> None:
        """Keep the episodes, which are handed out in this order."""
        self._tasks = list(tasks)

    def take(self, count: int) -> Handout:
        """Return the next episodes."""
        taken, self._tasks = self._tasks[:count], self._tasks[count:]
        return Handout(taken, is_last=not self._tasks)


class _Step(NamedTuple):
    """One recorded step."""

    action: int
    value: float
    episode_return: float
    """After the step."""


@dataclass(slots=True)
class _Lane:
    """What is known of the episode that a lane plays."""

    task: EpisodeTask
    generator: np.random.Generator
    encoder_generator: np.random.Generator | None
    is_start: bool = True
    weights: list[npt.NDArray[np.float32]] = field(default_factory=list)
    log: list[_Step] = field(default_factory=list)
    actions: bytearray = field(default_factory=bytearray)
    """What the agent chose, one byte per step."""
    compared: EvenSample[Any] = field(default_factory=lambda: EvenSample(CONTEXT_STEPS))
    """What the weights come from, where a context has a part in them."""


def play(  # noqa: PLR0913  (two options beside what a rollout needs)
    policy: DeclaredPolicy,
    lanes: Lanes,
    source: TaskSource,
    deliver: Callable[[EpisodeOutcome], None],
    count_steps: Callable[[int], None],
    *,
    keep_steps: bool = False,
    name: str = "",
) -> None:
    """Play all episodes of a source with one agent.

    A lane that finishes is refilled with the next episode whatever its perturbation. An episode's randomness comes from
    its seed alone and every lane has a generator of its own, so an outcome does not depend on the lanes beside it.

    Args:
        policy: The agent.
        lanes: Where it plays, all of one game.
        source: Where episodes come from.
        deliver: Gets each outcome as soon as the episode ends.
        count_steps: Gets the number of lanes stepped, after each step.
        keep_steps: Whether every step is recorded in the outcomes; it changes nothing else.
        name: What messages call the agent; default: what it calls itself.

    Raises:
        SpecError: The policy chooses an action that the game does not have, or cannot take the encoder operations of
            an episode. What it answers otherwise is checked by `wsabench.agents.wrap_policy`.
    """
    timer = timer_of_this_process()
    if timer is not None:
        policy, lanes = TimedPolicy(policy, timer), TimedLanes(lanes, timer)
    try:
        _play_all(_Rollout(policy, lanes, keep_steps, name or policy.abilities.name), source, deliver, count_steps)
    finally:
        if timer is not None:
            write_times(timer)


def _play_all(
    rollout: _Rollout,
    source: TaskSource,
    deliver: Callable[[EpisodeOutcome], None],
    count_steps: Callable[[int], None],
) -> None:
    """Play until the source has no more and all lanes are done."""
    is_open = True
    while True:
        free = rollout.free_lanes() if is_open else []
        if free:
            tasks, is_last = source.take(len(free))
            is_open = not is_last
            if tasks:
                rollout.fill(free, tasks)
        if not rollout.is_playing:
            return
        count_steps(rollout.step(deliver))


class _Rollout:
    """What is known of the lanes while one agent plays in them."""

    def __init__(self, policy: DeclaredPolicy, lanes: Lanes, keep_steps: bool, name: str) -> None:
        self._keep_steps = keep_steps
        self._name = name
        self._policy = policy
        self._games = lanes
        self._lanes: list[_Lane | None] = [None] * lanes.num_lanes
        self._idle = generator(0, "idle")
        self._num_turns = 0

    @property
    def is_playing(self) -> bool:
        """Whether any lane plays."""
        return any(lane is not None for lane in self._lanes)

    def free_lanes(self) -> list[int]:
        """Return the lanes without an episode."""
        return [index for index, lane in enumerate(self._lanes) if lane is None]

    def fill(self, free: Sequence[int], tasks: Sequence[EpisodeTask]) -> None:
        """Start episodes in free lanes."""
        for index, task in zip(free, tasks, strict=False):
            check_encoder_operations(self._policy.abilities, task)
            self._games.start(index, task.episode_seed, task.perturbation, task.noops)
            for_encoders = generator(task.episode_seed, "encoders") if task.encoder_operations else None
            self._lanes[index] = _Lane(task, generator(task.episode_seed, "policy"), for_encoders)

    def step(self, deliver: Callable[[EpisodeOutcome], None]) -> int:
        """Let the agent act once in every playing lane; return how many there are."""
        playing = [(index, lane) for index, lane in enumerate(self._lanes) if lane is not None]
        rows = self._rows([index for index, _ in playing])
        decision = self._decide(rows)
        places = {index: place for place, index in enumerate(rows)}
        for index, lane in playing:
            place, action = places[index], int(decision.actions[places[index]])
            lane.actions.append(action)
            self._keep_weights(lane, decision, place)
            finish = self._games.step(index, action)
            lane.is_start = self._games.restarted(index)
            if self._keep_steps:
                total = self._games.episode_return(index) if finish is None else finish.episodic_return
                value = math.nan if decision.values is None else float(decision.values[place])
                lane.log.append(_Step(action, value, total))
            if finish is not None:
                deliver(_outcome(lane, finish, _context_effect(lane, decision.comparisons)))
                self._lanes[index] = None
        return len(playing)

    def _rows(self, playing: Sequence[int]) -> list[int]:
        """Return the lanes that the policy is shown: those that play, or all where it does not pad for itself."""
        return list(playing) if self._policy.abilities.batch_size is not None else list(range(len(self._lanes)))

    def _decide(self, rows: Sequence[int]) -> Decision:
        """Return what the policy chooses in some lanes, one row per lane; in idle lanes it means nothing."""
        observations = self._games.observations[rows]  # a copy: the policy may keep it
        batch = self._batch(rows)
        self._num_turns += 1
        place = f" on {self._games.game}, step {self._num_turns}"
        with guarded(self._name, place):
            try:
                decision = self._policy.act(observations, batch)
                check_range(decision.actions, self._games.num_actions, self._name, self._games.game)
            except (SpecError, ShapeError) as error:
                raise type(error)(f"{self._name}{place}: {error}") from error
        return decision

    @staticmethod
    def _keep_weights(lane: _Lane, decision: Decision, place: int) -> None:
        """Remember a lane's attention weights, and in some steps what they come from."""
        if decision.attention is not None:
            lane.weights.append(decision.attention[place].copy())
        if decision.comparisons is not None:
            lane.compared.offer(partial(decision.comparisons.row, place))

    def _batch(self, rows: Sequence[int]) -> LaneBatch:
        """Return what the policy is told about these lanes."""
        lanes = [self._lanes[index] for index in rows]
        return LaneBatch(
            ids=np.array(rows, dtype=np.int64),
            generators=tuple(lane.generator if lane else self._idle for lane in lanes),
            episode_starts=np.array([lane is None or lane.is_start for lane in lanes]),
            inputs={name: self._games.inputs[name][list(rows)] for name in self._policy.abilities.inputs},
            encoder_operations=tuple(lane.task.encoder_operations if lane else () for lane in lanes),
            encoder_generators=tuple(lane.encoder_generator if lane else None for lane in lanes),
            game=self._games.game,
        )


def check_encoder_operations(abilities: Abilities, task: EpisodeTask) -> None:
    """Refuse an episode whose encoder operations the policy cannot take: it must not be played as if it were clean.

    Raises:
        SpecError: They do not fit, or the policy applies none.
    """
    try:
        abilities.check(task.encoder_operations)
    except SpecError as error:
        raise SpecError(f"{task.perturbation}: {error}") from error


def _context_effect(lane: _Lane, comparisons: Comparisons | None) -> ContextEffect | None:
    """Return what the context did in a finished episode, by draws of the episode's own; None without a context."""
    if comparisons is None:
        return None
    return comparisons.measure(lane.compared.items, generator(lane.task.episode_seed, "context-effect"))


def _outcome(lane: _Lane, finish: Finish, context: ContextEffect | None) -> EpisodeOutcome:
    """Return how the episode of a lane went."""
    sums = attention_sums(np.stack(lane.weights)) if lane.weights else None
    return EpisodeOutcome(
        job_index=lane.task.job_index,
        episode=lane.task.episode,
        episodic_return=float(finish.episodic_return),
        length=int(finish.length),
        end=finish.end,
        attention=sums,
        steps=_steps(lane) if lane.log else None,
        context=context,
        noops=finish.noops,
        action_hash=bytes_hash(lane.actions, ACTION_DIGITS),
    )


def _steps(lane: _Lane) -> EpisodeSteps:
    """Return the recorded steps of a lane's episode."""
    returns = np.array([step.episode_return for step in lane.log], dtype=np.float64)
    return EpisodeSteps(
        actions=np.array([step.action for step in lane.log], dtype=np.int64),
        rewards=np.diff(returns, prepend=0.0),
        values=np.array([step.value for step in lane.log], dtype=np.float32),
        weights=np.stack(lane.weights) if lane.weights else np.zeros((len(lane.log), 0), np.float32),
    )


def check_range(actions: Actions, num_actions: int, agent: str = "", game: str = "") -> None:
    """Refuse actions that a game does not have.

    Args:
        actions: What a policy chose, int64, shape (N,).
        num_actions: Actions that the game has.
        agent: The policy's name, for the message.
        game: The game, for the message.

    Raises:
        SpecError: One is outside 0..num_actions-1.
    """
    if len(actions) and (actions.min() < 0 or actions.max() >= num_actions):
        wrong = int(actions.min() if actions.min() < 0 else actions.max())
        raise SpecError(
            f"The policy{f' {agent!r}' if agent else ''} chose action {wrong}. Allowed: 0 to {num_actions - 1}, the "
            f"actions of {game or 'this game'}; one that answers all 18 needs full_action_space (--full-action-space)."
        )


NUM_LANES = 16
"""Lanes a process plays at once. Policies that do not pad for themselves always see this many rows."""


class Finish(NamedTuple):
    """How an episode ended."""

    episodic_return: float
    length: int
    end: EpisodeEnd
    noops: int | None = None
    """No-op frames at its start; None where lanes do not say."""


class EpisodeLanes:
    """Lanes of one game. The vector environment steps all its lanes together; here the last episodes play alone."""

    def __init__(self, game: str, protocol: Protocol, num_lanes: int = NUM_LANES, inputs: Sequence[str] = ()) -> None:
        """Prepare; an emulator is loaded when its lane is first started.

        Args:
            game: The game's id.
            protocol: How lanes are made.
            num_lanes: How many there are.
            inputs: What lanes supply beside observations: `rgb84`, `ram`.
        """
        from wsabench.emulator import action_meanings, observation_shape

        self.game = game
        self.num_lanes = num_lanes
        self.num_actions = len(action_meanings(game, protocol))
        self.observations: Observations = np.zeros((num_lanes, *observation_shape(protocol)), dtype=np.uint8)
        self.inputs: dict[str, npt.NDArray[np.uint8]] = {
            name: np.zeros((num_lanes, *INPUT_SHAPES[name]), np.uint8) for name in inputs
        }
        self._protocol = protocol
        self._lanes: list[Lane | None] = [None] * num_lanes
        self._compiled: dict[str, CompiledPerturbation] = {}

    def start(self, row: int, episode_seed: int, perturbation: str, noops: int | None = None) -> None:
        """Start an episode in one lane; its first observation is in `observations[row]`."""
        from wsabench.emulator import Lane
        from wsabench.perturb import compile_perturbation

        if perturbation not in self._compiled:
            self._compiled[perturbation] = compile_perturbation(perturbation, self.game)
        compiled = self._compiled[perturbation]
        lane = self._lanes[row]
        if lane is None:
            arrays = {name: array[row] for name, array in self.inputs.items()}
            lane = self._lanes[row] = Lane(
                compiled, self._protocol, None, self.observations[row], tuple(arrays), arrays
            )
        else:
            lane.set_perturbation(compiled)
        lane.reset(episode_seed, noops)

    def step(self, row: int, action: int) -> Finish | None:
        """Play one step in one lane; return how the episode ended, None while it goes on."""
        lane = self.lane(row)
        lane.step(action)
        if lane.end is None:
            return None
        return Finish(lane.episode_return, lane.episode_length, lane.end, lane.num_noops)

    def episode_return(self, row: int) -> float:
        """Return the unclipped return of a lane's episode so far."""
        return self.lane(row).episode_return

    def restarted(self, row: int) -> bool:
        """Whether the lane's last step began a new life whose stack starts anew."""
        return self.lane(row).restarted

    def close(self) -> None:
        """Give the emulators back for other lanes."""
        for row, lane in enumerate(self._lanes):
            if lane is not None:
                lane.close()
                self._lanes[row] = None

    def lane(self, row: int) -> Lane:
        """Return a lane.

        Raises:
            IndexError: It was never started.
        """
        lane = self._lanes[row]
        if lane is None:
            raise IndexError(f"lane {row} was never started")
        return lane


_NUM_MOMENTS = 2


@lru_cache(maxsize=8)
def first_moments(game: str, protocol: Protocol, inputs: tuple[str, ...] = ()) -> tuple[Moment, ...]:
    """Return steps of unchanged play to ask an agent with: what one lane shows when it is played at random.

    Args:
        game: The game's id.
        protocol: How the lane is made.
        inputs: What it supplies beside observations.

    Returns:
        Steps of `NUM_LANES` rows; each row of the second step is what the lane shows a step after that of the first.
    """
    lanes, drawn = EpisodeLanes(game, protocol, 1, inputs), generator(0, "moments")
    seen: list[Moment] = []
    is_over = True
    for number in range(NUM_LANES + _NUM_MOMENTS - 1):
        if is_over:
            lanes.start(0, number, "clean")
        seen.append(Moment(lanes.observations.copy(), {name: lanes.inputs[name].copy() for name in inputs}))
        is_over = lanes.step(0, int(drawn.integers(lanes.num_actions))) is not None
    lanes.close()
    windows = [seen[start : start + NUM_LANES] for start in range(_NUM_MOMENTS)]
    return tuple(
        Moment(
            np.concatenate([one.observations for one in window]),
            {name: np.concatenate([one.inputs[name] for one in window]) for name in inputs},
        )
        for window in windows
    )
